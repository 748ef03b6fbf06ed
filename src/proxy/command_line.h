// HAProxy's command line (management guide, section 3) as a value: what is asked for, or what is
// wrong with it. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "proxy/master_options.h"

namespace nines::proxy {

struct CommandLine {
  enum class Action : unsigned char {
    kRun,
    kVersion,    // "-v", "-vv"
    kCondition,  // "-cc <condition>": exit 0 when it holds
    kUsage,      // "-h"
  };
  Action action = Action::kRun;
  bool verbose_version = false;
  std::string condition;
  MasterOptions options;
  // What was accepted and has no effect here, each for a warning.
  std::vector<std::string> ignored;
};

// `arguments` without the program's name. kInvalid says which argument and what is allowed.
Result<CommandLine> parse_command_line(std::span<const std::string_view> arguments);

// The usage text, a line for each flag.
std::string_view command_line_usage();

}  // namespace nines::proxy

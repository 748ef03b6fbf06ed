// The VRRP process: all instances of a configuration on one loop, their scripts, the interfaces
// they watch, signals, the pid file.
//
// SIGTERM and SIGINT end it gracefully: addresses removed, priority 0 said, notify scripts started.
// SIGHUP reloads. SIGUSR1 writes the status to a file.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "io/log.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

inline constexpr int kVrrpExitGood = 0;
inline constexpr int kVrrpExitBad = 1;

struct VrrpOptions {
  std::string pid_file;   // empty: none
  std::string dump_file;  // written on SIGUSR1; empty: SIGUSR1 does nothing
  // Reads the configuration again; nothing when it is bad, which changes nothing. Empty: SIGHUP is
  // refused with a line in the log.
  std::function<std::optional<Config>()> reload;
  // Where the log goes; none: stderr, or the journal if that is what stderr is.
  std::vector<std::unique_ptr<io::LogSink>> sinks;
};

// What the text cannot know or this program does not do: kNotFound for an interface that is not
// there (the message names those that are), kUnsupported. Opens a netlink socket, needs no rights.
Result<void> check_against_host(const Config& config);

// Runs until stopped and returns the exit code. The process must have one thread.
int run_vrrp(Config config, VrrpOptions options);

}  // namespace nines::vrrp

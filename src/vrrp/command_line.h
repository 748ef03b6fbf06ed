// keepalived's command line (keepalived(8), version 2.2.7) as a struct. Pure.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace nines::vrrp {

// Tools take the second word of the first line and compare it with what they need.
inline constexpr std::string_view kKeepalivedVersion = "2.2.7";

// What "keepalived -t" ends with.
inline constexpr int kExitGood = 0;
inline constexpr int kExitBadOption = 1;
inline constexpr int kExitConfig = 5;          // something is wrong in the configuration
inline constexpr int kExitScriptSecurity = 6;  // scripts, without enable_script_security

struct CommandLine {
  enum class Action : std::uint8_t { kRun, kTest, kVersion, kUsage, kSignalNumber };
  Action action = Action::kRun;
  std::string config_path = "/etc/keepalived/keepalived.conf";  // -f
  std::string test_log;              // -t: where complaints go; empty: standard error
  std::string config_id;             // -i; empty: the host's name up to its first dot
  std::string signal;                // --signum: STOP, RELOAD, DATA, STATS, STATS_CLEAR, JSON
  bool all_config = false;           // -e: a file that is missing is an error
  bool foreground = false;           // -n
  bool log_console = false;          // -l
  bool log_detail = false;           // -D
  bool log_to_syslog = true;         // -G turns it off
  std::string log_facility;          // -S, as written; empty: daemon
  bool dump = false;                 // -d: the configuration into the log
  std::string pid_path;              // -p; empty: keepalived takes /run/keepalived.pid
  std::string vrrp_pid_path;         // -r; empty: keepalived takes /run/keepalived_vrrp.pid
  int umask = -1;                    // -u; -1: as it is
  bool json = false;                 // --json (ours): complaints as JSON, with -t
  std::vector<std::string> ignored;  // flags that change nothing here, as written
};

// `arguments` without the program's name. kInvalid with a message for people; kUnsupported for a
// flag that is known and not offered.
Result<CommandLine> parse_command_line(std::span<const std::string_view> arguments);

std::string_view command_line_usage();

// The number of --signum; 0 when there is no such signal.
int signal_number(std::string_view name);

}  // namespace nines::vrrp

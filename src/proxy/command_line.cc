// One table of flags; those with a value take the next argument, "-sf" and "-st" all the numbers
// that follow.
#include "proxy/command_line.h"

#include <array>
#include <charconv>
#include <optional>

namespace nines::proxy {

namespace {

std::optional<int> as_number(std::string_view text) {
  int number = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

enum class Flag : unsigned char {
  kFile,
  kCheck,
  kDebug,
  kDaemon,
  kMasterWorker,
  kForeground,
  kPidFile,
  kFinish,
  kEnd,
  kOldSockets,
  kMasterSocket,
  kLocalPeer,
  kMemory,
  kMaxconn,
  kDefaultMaxconn,
  kDirectory,
  kQuiet,
  kVerbose,
  kVersion,
  kLongVersion,
  kCondition,
  kHarmless,
  kUsage
};

struct FlagEntry {
  std::string_view text;
  Flag flag;
  bool takes_value;
};

constexpr std::array kFlags = {
    FlagEntry{"-f", Flag::kFile, true},
    FlagEntry{"-c", Flag::kCheck, false},
    FlagEntry{"-d", Flag::kDebug, false},
    FlagEntry{"-D", Flag::kDaemon, false},
    FlagEntry{"-W", Flag::kMasterWorker, false},
    FlagEntry{"-Ws", Flag::kMasterWorker, false},
    FlagEntry{"-db", Flag::kForeground, false},
    FlagEntry{"-p", Flag::kPidFile, true},
    FlagEntry{"-sf", Flag::kFinish, false},
    FlagEntry{"-st", Flag::kEnd, false},
    FlagEntry{"-x", Flag::kOldSockets, true},
    FlagEntry{"-S", Flag::kMasterSocket, true},
    FlagEntry{"-L", Flag::kLocalPeer, true},
    FlagEntry{"-m", Flag::kMemory, true},
    FlagEntry{"-n", Flag::kMaxconn, true},
    FlagEntry{"-N", Flag::kDefaultMaxconn, true},
    FlagEntry{"-C", Flag::kDirectory, true},
    FlagEntry{"-q", Flag::kQuiet, false},
    FlagEntry{"-V", Flag::kVerbose, false},
    FlagEntry{"-v", Flag::kVersion, false},
    FlagEntry{"-vv", Flag::kLongVersion, false},
    FlagEntry{"-cc", Flag::kCondition, true},
    FlagEntry{"-h", Flag::kUsage, false},
    FlagEntry{"--help", Flag::kUsage, false},
    // Switches of HAProxy's pollers and debugging that have no counterpart here.
    FlagEntry{"-de", Flag::kHarmless, false},
    FlagEntry{"-dp", Flag::kHarmless, false},
    FlagEntry{"-dG", Flag::kHarmless, false},
    FlagEntry{"-dR", Flag::kHarmless, false},
    FlagEntry{"-dS", Flag::kHarmless, false},
    FlagEntry{"-dV", Flag::kHarmless, false},
    FlagEntry{"-dr", Flag::kHarmless, false},
};

}  // namespace

Result<CommandLine> parse_command_line(std::span<const std::string_view> arguments) {
  CommandLine line;
  MasterOptions& options = line.options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--") {
      for (++i; i < arguments.size(); ++i) options.config_paths.emplace_back(arguments[i]);
      break;
    }
    if (argument.starts_with("-dM")) continue;  // memory poisoning
    const FlagEntry* found = nullptr;
    for (const FlagEntry& entry : kFlags) {
      if (entry.text == argument) found = &entry;
    }
    if (found == nullptr) {
      return Error(ErrorCode::kInvalid,
                   "unknown argument '" + std::string(argument) + "' (-h lists what there is)");
    }
    std::string_view value;
    if (found->takes_value) {
      if (++i == arguments.size()) {
        return Error(ErrorCode::kInvalid, "'" + std::string(argument) + "' needs a value");
      }
      value = arguments[i];
    }
    const auto take_pids = [&](std::vector<int>& pids) {
      while (i + 1 < arguments.size()) {
        const auto pid = as_number(arguments[i + 1]);
        if (!pid || *pid <= 0) break;
        pids.push_back(*pid);
        ++i;
      }
    };
    switch (found->flag) {
      case Flag::kFile:
        options.config_paths.emplace_back(value);
        break;
      case Flag::kCheck:
        options.check_only = true;
        break;
      case Flag::kDebug:
      case Flag::kForeground:
        options.foreground = true;
        break;
      case Flag::kDaemon:
        options.daemon = true;
        break;
      case Flag::kMasterWorker:
        options.master_worker = true;
        break;
      case Flag::kPidFile:
        options.pid_file = value;
        break;
      case Flag::kFinish:
        take_pids(options.finish_pids);
        break;
      case Flag::kEnd:
        take_pids(options.end_pids);
        break;
      case Flag::kLocalPeer:
        options.local_peer = value;
        break;
      case Flag::kMaxconn: {
        const auto number = as_number(value);
        if (!number || *number < 1) {
          return Error(ErrorCode::kInvalid,
                       "'-n' takes a number from 1, not '" + std::string(value) + "'");
        }
        options.maxconn = *number;
        break;
      }
      case Flag::kDirectory:
        options.directory = value;
        break;
      case Flag::kQuiet:
        options.quiet = true;
        break;
      case Flag::kVersion:
        line.action = CommandLine::Action::kVersion;
        break;
      case Flag::kLongVersion:
        line.action = CommandLine::Action::kVersion;
        line.verbose_version = true;
        break;
      case Flag::kCondition:
        line.action = CommandLine::Action::kCondition;
        line.condition = value;
        break;
      case Flag::kUsage:
        line.action = CommandLine::Action::kUsage;
        break;
      case Flag::kVerbose:
        break;
      // A reload here keeps its sockets by itself, there is no master CLI yet, and memory is
      // bounded by connections.
      case Flag::kOldSockets:
      case Flag::kMasterSocket:
      case Flag::kMemory:
      case Flag::kDefaultMaxconn:
      case Flag::kHarmless:
        line.ignored.emplace_back(argument);
        break;
    }
  }
  if (line.action == CommandLine::Action::kRun && options.config_paths.empty()) {
    return Error(ErrorCode::kInvalid, "no configuration: name one with '-f FILE'");
  }
  if (options.daemon && options.foreground) options.daemon = false;  // "-db" wins
  return line;
}

std::string_view command_line_usage() {
  return R"(usage: nines proxy -f FILE|DIRECTORY... [flags]

  -f FILE|DIR   the configuration; may be repeated; a directory stands for its *.cfg files
  -c            check the configuration and exit: 0 good, 1 bad, 2 no listener
  -db           stay in the foreground, whatever the configuration says
  -D            go into the background; returns once connections are accepted
  -W, -Ws       as a master with a worker (always so here); SIGUSR2 reloads
  -p FILE       write the master's process id there
  -sf PID...    once listening, tell these to finish their sessions (SIGUSR1)
  -st PID...    once listening, tell these to end at once (SIGTERM)
  -C DIR        change to this directory first
  -L NAME       the local peer: ${HAPROXY_LOCALPEER} in the configuration
  -n N          at most N connections
  -q            say nothing on standard error
  -cc COND      exit 0 if the condition holds, 1 if not
  -v, -vv       the version

Signals: SIGHUP, SIGUSR2 reload; SIGUSR1 finish sessions and end; SIGTERM, SIGINT end.
)";
}

}  // namespace nines::proxy

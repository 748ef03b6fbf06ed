// keepalived's flags, short ones run together ("-nldD") and long ones, from one table.
#include "vrrp/command_line.h"

#include <array>
#include <csignal>
#include <optional>

namespace nines::vrrp {

namespace {

enum class Value : std::uint8_t { kNone, kRequired, kOptional };

struct Flag {
  char letter;  // 0: only the long form
  std::string_view name;
  Value value;
  enum class Treatment : std::uint8_t { kRead, kIgnored, kRefused } treatment;
  std::string_view why;  // of kRefused
  void (*set)(CommandLine&, std::string_view value) = nullptr;
};

using enum Flag::Treatment;

template <bool CommandLine::*Field, bool kTo = true>
void set_flag(CommandLine& line, std::string_view) {
  line.*Field = kTo;
}

template <std::string CommandLine::*Field>
void set_text(CommandLine& line, std::string_view value) {
  line.*Field = value;
}

template <CommandLine::Action kAction>
void set_action(CommandLine& line, std::string_view) {
  line.action = kAction;
}

void set_test(CommandLine& line, std::string_view value) {
  line.action = CommandLine::Action::kTest;
  line.test_log = value;
}

void set_signal(CommandLine& line, std::string_view value) {
  line.action = CommandLine::Action::kSignalNumber;
  line.signal = value;
}

// Octal with a leading 0, as the shell writes it; -1 when it is no number.
void set_umask(CommandLine& line, std::string_view value) {
  int mask = 0;
  constexpr int kMaskMax = 0777;
  for (const char c : value) {
    if (c < '0' || c > '7' || (mask = mask * 8 + (c - '0')) > kMaskMax) {
      line.umask = -1;
      return;
    }
  }
  line.umask = value.empty() ? -1 : mask;
}

constexpr std::string_view kNoVirtualServers = "there are no virtual servers here";
constexpr std::string_view kLifetime = "an address never outlives the process that owns it";
constexpr std::string_view kRedirect = "use -l, and redirect standard error";
constexpr std::string_view kNamespace = "start it within the namespace ('ip netns exec NAME ...')";

constexpr Flag kFlags[] = {
    {'f', "use-file", Value::kRequired, kRead, {}, set_text<&CommandLine::config_path>},
    {'t', "config-test", Value::kOptional, kRead, {}, set_test},
    {'n', "dont-fork", Value::kNone, kRead, {}, set_flag<&CommandLine::foreground>},
    {'l', "log-console", Value::kNone, kRead, {}, set_flag<&CommandLine::log_console>},
    {'D', "log-detail", Value::kNone, kRead, {}, set_flag<&CommandLine::log_detail>},
    {'S', "log-facility", Value::kRequired, kRead, {}, set_text<&CommandLine::log_facility>},
    {'G', "no-syslog", Value::kNone, kRead, {}, set_flag<&CommandLine::log_to_syslog, false>},
    {'d', "dump-conf", Value::kNone, kRead, {}, set_flag<&CommandLine::dump>},
    {'p', "pid", Value::kRequired, kRead, {}, set_text<&CommandLine::pid_path>},
    {'r', "vrrp_pid", Value::kRequired, kRead, {}, set_text<&CommandLine::vrrp_pid_path>},
    {'e', "all-config", Value::kNone, kRead, {}, set_flag<&CommandLine::all_config>},
    {'i', "config-id", Value::kRequired, kRead, {}, set_text<&CommandLine::config_id>},
    {'u', "umask", Value::kRequired, kRead, {}, set_umask},
    {'v', "version", Value::kNone, kRead, {}, set_action<CommandLine::Action::kVersion>},
    {'h', "help", Value::kNone, kRead, {}, set_action<CommandLine::Action::kUsage>},
    {0, "signum", Value::kRequired, kRead, {}, set_signal},
    {0, "json", Value::kNone, kRead, {}, set_flag<&CommandLine::json>},
    // Only VRRP is there to be run.
    {'P', "vrrp", Value::kNone, kRead, {}, [](CommandLine&, std::string_view) {}},
    {'B', "no_bfd", Value::kNone, kRead, {}, [](CommandLine&, std::string_view) {}},
    {'R', "dont-respawn", Value::kNone, kRead, {}, [](CommandLine&, std::string_view) {}},
    {'a', "address-monitoring", Value::kNone, kIgnored, {}},
    {'c', "checkers_pid", Value::kRequired, kIgnored, {}},
    {'b', "bfd_pid", Value::kRequired, kIgnored, {}},
    {'I', "dont-release-ipvs", Value::kNone, kIgnored, {}},
    {'X', "release-vips", Value::kNone, kIgnored, {}},
    {'x', "snmp", Value::kNone, kIgnored, {}},
    {'A', "snmp-agent-socket", Value::kRequired, kIgnored, {}},
    {'m', "core-dump", Value::kNone, kIgnored, {}},
    {'M', "core-dump-pattern", Value::kOptional, kIgnored, {}},
    {0, "flush-log-file", Value::kNone, kIgnored, {}},
    {0, "all", Value::kNone, kIgnored, {}},
    {0, "no-mem-check", Value::kNone, kIgnored, {}},
    {0, "perf", Value::kOptional, kIgnored, {}},
    {0, "debug", Value::kOptional, kIgnored, {}},
    {'V', "dont-release-vrrp", Value::kNone, kRefused, kLifetime},
    {'g', "log-file", Value::kRequired, kRefused, kRedirect},
    {'C', "check", Value::kNone, kRefused, kNoVirtualServers},
    {'T', "genhash", Value::kNone, kRefused, kNoVirtualServers},
    {'s', "namespace", Value::kRequired, kRefused, kNamespace},
};

const Flag* find_letter(char letter) {
  for (const Flag& flag : kFlags) {
    if (flag.letter == letter && letter != 0) return &flag;
  }
  return nullptr;
}

const Flag* find_name(std::string_view name) {
  for (const Flag& flag : kFlags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

Result<void> apply(CommandLine& line, const Flag& flag, std::string_view written,
                   std::string_view value) {
  switch (flag.treatment) {
    case kIgnored:
      line.ignored.emplace_back(written);
      return {};
    case kRefused:
      return Error(ErrorCode::kUnsupported,
                   "'" + std::string(written) + "' is not supported: " + std::string(flag.why));
    case kRead:
      break;
  }
  flag.set(line, value);
  if (flag.letter == 'u' && line.umask < 0) {
    return Error(ErrorCode::kInvalid, "'" + std::string(value) + "' is no umask");
  }
  return {};
}

Error missing_value(std::string_view written) {
  return Error(ErrorCode::kInvalid, "'" + std::string(written) + "' wants a value");
}

}  // namespace

Result<CommandLine> parse_command_line(std::span<const std::string_view> arguments) {
  CommandLine line;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    const auto next_value = [&]() -> std::optional<std::string_view> {
      if (i + 1 == arguments.size()) return std::nullopt;
      return arguments[++i];
    };
    if (argument.starts_with("--") && argument.size() > 2) {
      const std::size_t equals = argument.find('=');
      const std::string_view written = argument.substr(0, equals);
      const Flag* const flag = find_name(written.substr(2));
      if (flag == nullptr) {
        return Error(ErrorCode::kInvalid, "unknown option '" + std::string(written) + "'");
      }
      std::optional<std::string_view> value;
      if (equals != std::string_view::npos) value = argument.substr(equals + 1);
      if (flag->value == Value::kNone && value) {
        return Error(ErrorCode::kInvalid, "'" + std::string(written) + "' takes no value");
      }
      if (flag->value == Value::kRequired && !value) value = next_value();
      if (flag->value == Value::kRequired && !value) return missing_value(written);
      TRY(apply(line, *flag, written, value.value_or("")));
      continue;
    }
    if (!argument.starts_with('-') || argument.size() < 2) {
      return Error(ErrorCode::kInvalid,
                   "'" + std::string(argument) + "' is not expected here; name a file with -f");
    }
    for (std::size_t at = 1; at < argument.size(); ++at) {
      const std::string written = std::string("-") + argument[at];
      const Flag* const flag = find_letter(argument[at]);
      if (flag == nullptr) return Error(ErrorCode::kInvalid, "unknown option '" + written + "'");
      if (flag->value == Value::kNone) {
        TRY(apply(line, *flag, written, ""));
        continue;
      }
      // What is left of the word is the value.
      std::optional<std::string_view> value;
      if (at + 1 < argument.size()) value = argument.substr(at + 1);
      if (flag->value == Value::kRequired && !value) value = next_value();
      if (flag->value == Value::kRequired && !value) return missing_value(written);
      TRY(apply(line, *flag, written, value.value_or("")));
      break;
    }
  }
  return line;
}

std::string_view command_line_usage() {
  return "usage: nines vrrp [OPTION...], or keepalived [OPTION...] through a link of that name\n\n"
         "  -f, --use-file=FILE          the configuration (/etc/keepalived/keepalived.conf)\n"
         "  -t, --config-test[=LOG]      check it and end: 0 good, 5 mistakes, 6 scripts without\n"
         "                               enable_script_security; complaints to LOG or stderr\n"
         "      --json                   with -t: complaints as JSON on standard output\n"
         "  -i, --config-id=ID           take the lines that begin with @ID (the host's name)\n"
         "  -e, --all-config             a configuration file that is missing is an error\n"
         "  -n, --dont-fork              stay in the foreground\n"
         "  -p, --pid=FILE               pid file (/run/keepalived.pid)\n"
         "  -r, --vrrp_pid=FILE          pid file of the VRRP process (/run/keepalived_vrrp.pid)\n"
         "  -l, --log-console            log to the console\n"
         "  -D, --log-detail             log more\n"
         "  -S, --log-facility=NAME      syslog facility: 0-7, local0-local7, user, daemon\n"
         "  -G, --no-syslog              do not log to syslog\n"
         "  -d, --dump-conf              log what the configuration means\n"
         "  -u, --umask=MASK             umask of files that are made\n"
         "  -P, -B, -R                   accepted: there is one process, for VRRP\n"
         "      --signum=NAME            the number of STOP, RELOAD, DATA, STATS, STATS_CLEAR, "
         "JSON\n"
         "  -v, --version                the version, on standard error\n"
         "  -h, --help                   this text\n\n"
         "keepalived's other options are accepted and change nothing, save -C, -T and -s, which "
         "are\n"
         "refused.\n";
}

int signal_number(std::string_view name) {
  // As keepalived 2.2.7 numbers them on Linux; the last two are real-time signals.
  constexpr int kJsonBehindFirst = 2;
  if (name == "STOP") return SIGTERM;
  if (name == "RELOAD") return SIGHUP;
  if (name == "DATA") return SIGUSR1;
  if (name == "STATS") return SIGUSR2;
  if (name == "STATS_CLEAR") return SIGRTMAX - 1;
  if (name == "JSON") return SIGRTMIN + kJsonBehindFirst;
  return 0;
}

}  // namespace nines::vrrp

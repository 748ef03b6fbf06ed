// VRRP's command line: keepalived's flags, the test of a configuration, and the daemon's start.
#include "vrrp_command.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "io/log.h"
#include "proxy_command.h"
#include "run_command.h"
#include "text/units.h"
#include "version.h"
#include "vrrp/command_line.h"
#include "vrrp/config_files.h"
#include "vrrp/vrrp_daemon.h"
#include "vrrp/vrrp_service.h"

namespace nines {

namespace {

using vrrp::CommandLine;

// keepalived's own, when it cannot read the file or cannot start with it.
constexpr int kExitNoConfig = 4;
constexpr int kExitCheckBad = 1;                    // nines check
constexpr std::string_view kStatusFolder = "/tmp";  // unless TMPDIR names another
constexpr std::string_view kPidPath = "/run/keepalived.pid";
constexpr std::string_view kVrrpPidPath = "/run/keepalived_vrrp.pid";
constexpr auto kStartMax = std::chrono::seconds(30);
constexpr std::size_t kSniffBytes = 65'536;

void print_version(bool as_keepalived) {
  if (as_keepalived) {
    std::fprintf(stderr, "Keepalived v%s (nines %s)\n",
                 std::string(vrrp::kKeepalivedVersion).c_str(), kVersion);
  } else {
    std::fprintf(stderr, "nines v%s (reads the configuration of keepalived %s)\n", kVersion,
                 std::string(vrrp::kKeepalivedVersion).c_str());
  }
}

std::string findings(const vrrp::LoadedConfig& loaded, bool color) {
  return text::render_text(loaded.diagnostics, loaded.files, {.color = color});
}

int test_config(const CommandLine& line, const char* program) {
  FILE* out = stderr;
  std::unique_ptr<FILE, int (*)(FILE*)> log(nullptr, &std::fclose);
  if (!line.test_log.empty()) {
    log.reset(std::fopen(line.test_log.c_str(), "we"));
    if (!log) {
      std::fprintf(stderr, "%s: cannot write '%s'\n", program, line.test_log.c_str());
      return vrrp::kExitBadOption;
    }
    out = log.get();
  }
  auto loaded = vrrp::load_config_file(line.config_path, line.config_id);
  if (!loaded) {
    std::fprintf(out, "%s: %s\n", program, loaded.error().message().c_str());
    return kExitNoConfig;
  }
  vrrp::check_names_on_host(*loaded);
  const int status = vrrp::config_test_status(*loaded);
  if (line.json) std::puts(text::render_json(loaded->diagnostics, loaded->files).c_str());
  if (!line.json || !line.test_log.empty()) {
    std::fputs(findings(*loaded, out == stderr && ::isatty(STDERR_FILENO) == 1).c_str(), out);
  }
  if (status == vrrp::kExitScriptSecurity) {
    std::fprintf(out,
                 "%s: scripts are run, and script security is off: add 'enable_script_security' "
                 "to global_defs\n",
                 program);
  } else if (status == vrrp::kExitConfig && loaded->ok()) {
    std::fprintf(out, "%s: it runs; the status is %d because keepalived's test has it so\n",
                 program, status);
  }
  return status;
}

// syslog(3)'s numbers: "0" to "7" and "local0" to "local7", "user", "daemon".
std::optional<int> facility_of(std::string_view name) {
  constexpr int kUser = 1, kDaemon = 3, kLocal0 = 16;
  if (name.empty() || name == "daemon") return kDaemon;
  if (name == "user") return kUser;
  if (name.starts_with("local")) name.remove_prefix(5);
  if (name.size() == 1 && name[0] >= '0' && name[0] <= '7') return kLocal0 + (name[0] - '0');
  return std::nullopt;
}

// Findings of a reload go where the log goes, a line each.
void tell(std::string_view text, bool to_syslog, bool to_console) {
  while (!text.empty()) {
    const std::size_t feed = text.find('\n');
    const std::string line(text.substr(0, feed));
    if (to_syslog) ::syslog(LOG_ERR, "%s", line.c_str());
    if (to_console) std::fprintf(stderr, "%s\n", line.c_str());
    text.remove_prefix(feed == std::string_view::npos ? text.size() : feed + 1);
  }
}

std::string absolute(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(::realpath(path.c_str(), nullptr),
                                                        &std::free);
  return resolved ? std::string(resolved.get()) : path;
}

// A pid file need not exist yet: its folder is what is resolved.
std::string absolute_file(const std::string& path) {
  if (path.empty() || path.starts_with('/')) return path;
  return absolute(".") + "/" + path;
}

// What the child tells its parent, which waits for it: that it runs, or why it does not. A child
// that ends without a word has failed as well.
class StartReport {
 public:
  explicit StartReport(int descriptor) : descriptor_(descriptor) {}

  void started() { tell("+"); }
  void failed(const std::string& why) { tell("-" + why); }

 private:
  void tell(const std::string& word) {
    if (descriptor_ < 0) return;
    // A parent that was killed hears nothing, and that is all.
    static_cast<void>(!::write(descriptor_, word.data(), word.size()));
    ::close(std::exchange(descriptor_, -1));
  }
  int descriptor_;
};

// The parent's part: the exit code by what the child tells.
int wait_for_start(const char* program, pid_t child, int descriptor) {
  std::string word;
  const auto deadline = std::chrono::steady_clock::now() + kStartMax;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd ready{descriptor, POLLIN, 0};
    const int count = ::poll(&ready, 1, std::max(0, static_cast<int>(left.count())));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      ::kill(child, SIGKILL);
      word = "-it did not start in time";
      break;
    }
    std::array<char, 512> bytes{};
    const ssize_t size = ::read(descriptor, bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    word.append(bytes.data(), static_cast<std::size_t>(size));
  }
  if (word == "+") return vrrp::kExitGood;
  std::fprintf(stderr, "%s: %s\n", program,
               word.empty() ? "it ended while it started" : word.c_str() + 1);
  return vrrp::kExitBadOption;
}

// Leaves the terminal. Gives the exit code in the parent, once the child runs or has failed; in the
// child nothing, and `report` speaks to the parent.
std::optional<int> go_to_background(const char* program, bool keep_stderr, StartReport& report) {
  std::array<int, 2> ends{};
  const pid_t child = ::pipe2(ends.data(), O_CLOEXEC) == 0 ? ::fork() : -1;
  if (child < 0) {
    std::fprintf(stderr, "%s: cannot fork\n", program);
    return vrrp::kExitBadOption;
  }
  if (child > 0) {
    ::close(ends[1]);
    return wait_for_start(program, child, ends[0]);
  }
  ::close(ends[0]);
  ::signal(SIGPIPE, SIG_IGN);
  report = StartReport(ends[1]);
  ::setsid();
  if (::chdir("/") != 0) return vrrp::kExitBadOption;
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null >= 0) {
    ::dup2(null, STDIN_FILENO);
    ::dup2(null, STDOUT_FILENO);
    if (!keep_stderr) ::dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO) ::close(null);
  }
  return std::nullopt;
}

std::string status_path(std::string_view name) {
  const char* const folder = std::getenv("TMPDIR");
  const bool named = folder != nullptr && folder[0] == '/';
  return std::string(named ? folder : kStatusFolder) + "/" + std::string(name);
}

int run_daemon(CommandLine line, const char* program, bool as_keepalived) {
  const auto facility = facility_of(line.log_facility);
  if (!facility) {
    std::fprintf(stderr, "%s: no syslog facility '%s'\n", program, line.log_facility.c_str());
    return vrrp::kExitBadOption;
  }
  const auto loaded = vrrp::load_config_file(line.config_path, line.config_id);
  if (!loaded) {
    std::fprintf(stderr, "%s: %s\n", program, loaded.error().message().c_str());
    return kExitNoConfig;
  }
  std::fputs(findings(*loaded, ::isatty(STDERR_FILENO) == 1).c_str(), stderr);
  if (!loaded->ok()) return kExitNoConfig;
  if (const auto checked = vrrp::check_against_host(loaded->config); !checked) {
    std::fprintf(stderr, "%s: %s\n", program, checked.error().message().c_str());
    return kExitNoConfig;
  }
  if (line.dump) std::fputs(vrrp::dump(loaded->config).c_str(), stderr);

  line.config_path = absolute(line.config_path);
  line.pid_path = absolute_file(line.pid_path);
  line.vrrp_pid_path = absolute_file(line.vrrp_pid_path);
  StartReport report(-1);
  if (as_keepalived) {
    if (line.pid_path.empty()) line.pid_path = kPidPath;
    if (line.vrrp_pid_path.empty()) line.vrrp_pid_path = kVrrpPidPath;
    if (!line.foreground) {
      if (const auto status = go_to_background(program, line.log_console, report)) return *status;
    }
  }
  if (line.umask >= 0) ::umask(static_cast<mode_t>(line.umask));
  // Their default would end the daemon; what comes before it is ready is lost.
  for (const std::string_view name : {"STATS", "STATS_CLEAR", "JSON"}) {
    ::signal(vrrp::signal_number(name), SIG_IGN);
  }

  vrrp::VrrpOptions options;
  // In the background under that name: neutron's L3 agent, whose monitor takes renewals for news.
  if (as_keepalived && !line.foreground) {
    options.address_life = vrrp::AddressLife::kUntilDropped;
  }
  for (const std::string* path : {&line.pid_path, &line.vrrp_pid_path}) {
    if (!path->empty()) options.pid_files.push_back(*path);
  }
  options.started = [&report] { report.started(); };
  options.failed = [&report](const std::string& why) { report.failed(why); };
  options.dump_file = status_path("keepalived.data");
  options.stats_file = status_path("keepalived.stats");
  options.json_file = status_path("keepalived.json");
  options.stats_signal = vrrp::signal_number("STATS");
  options.stats_clear_signal = vrrp::signal_number("STATS_CLEAR");
  options.json_signal = vrrp::signal_number("JSON");
  const bool to_syslog = as_keepalived && line.log_to_syslog;
  const bool to_console = !as_keepalived || line.log_console;
  if (to_syslog) {
    ::openlog("Keepalived_vrrp", LOG_PID, *facility << 3);
    io::SyslogForm form;
    form.facility = *facility;
    form.tag = "Keepalived_vrrp";
    form.pid = static_cast<int>(::getpid());
    if (auto sink = io::open_syslog(SocketAddress::unix_path("/dev/log"), form)) {
      options.sinks.push_back(std::move(*sink));
    }
  }
  if (as_keepalived && to_console) options.sinks.push_back(io::open_console(STDERR_FILENO));
  options.reload = [path = line.config_path, id = line.config_id, to_syslog,
                    to_console]() -> std::optional<vrrp::Config> {
    const auto fresh = vrrp::load_config_file(path, id);
    if (!fresh) {
      tell(fresh.error().message(), to_syslog, to_console);
      return std::nullopt;
    }
    tell(findings(*fresh, false), to_syslog, to_console);
    if (!fresh->ok()) return std::nullopt;
    if (const auto checked = vrrp::check_against_host(fresh->config); !checked) {
      tell(checked.error().message(), to_syslog, to_console);
      return std::nullopt;
    }
    return fresh->config;
  };
  return vrrp::run_vrrp(loaded->config, std::move(options));
}

bool is_keepalived_file(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), &std::fclose);
  if (!file) return false;
  std::string head(kSniffBytes, '\0');
  head.resize(std::fread(head.data(), 1, head.size(), file.get()));
  return vrrp::looks_like_keepalived(head);
}

int check_keepalived_file(const std::string& path, bool json, bool dump, bool quiet) {
  const auto loaded = vrrp::load_config_file(path, "");
  if (!loaded) {
    std::fprintf(stderr, "nines check: %s\n", loaded.error().message().c_str());
    return kExitCheckBad;
  }
  if (json) {
    std::puts(text::render_json(loaded->diagnostics, loaded->files).c_str());
  } else {
    if (!quiet || !loaded->ok()) {
      std::fputs(findings(*loaded, ::isatty(STDERR_FILENO) == 1).c_str(), stderr);
    }
    if (loaded->ok() && !quiet) std::puts("Configuration file is valid");
  }
  if (dump && loaded->ok()) std::fputs(vrrp::dump(loaded->config).c_str(), stdout);
  return loaded->ok() ? 0 : kExitCheckBad;
}

}  // namespace

int vrrp_command(std::span<char*> arguments, const char* program, bool as_keepalived) {
  const std::vector<std::string_view> words(arguments.begin(), arguments.end());
  auto line = vrrp::parse_command_line(words);
  if (!line) {
    std::fprintf(stderr, "%s: %s (--help lists what there is)\n", program,
                 line.error().message().c_str());
    return vrrp::kExitBadOption;
  }
  for (const std::string& flag : line->ignored) {
    std::fprintf(stderr, "%s: '%s' has no effect here\n", program, flag.c_str());
  }
  switch (line->action) {
    case CommandLine::Action::kVersion:
      print_version(as_keepalived);
      return vrrp::kExitGood;
    case CommandLine::Action::kUsage:
      std::fputs(std::string(vrrp::command_line_usage()).c_str(), stdout);
      return vrrp::kExitGood;
    case CommandLine::Action::kSignalNumber: {
      const int number = vrrp::signal_number(line->signal);
      if (number == 0) {
        std::fprintf(stderr, "%s: no signal '%s'\n", program, line->signal.c_str());
        return vrrp::kExitBadOption;
      }
      std::printf("%d\n", number);
      return vrrp::kExitGood;
    }
    case CommandLine::Action::kTest:
      return test_config(*line, program);
    case CommandLine::Action::kRun:
      break;
  }
  return run_daemon(std::move(*line), program, as_keepalived);
}

int check_files_command(std::span<char*> arguments) {
  std::vector<char*> others;
  std::vector<std::string> keepalived, daemons;
  bool json = false, dump = false, quiet = false, other_files = false, help = false;
  for (char* const argument : arguments) {
    const std::string_view word = argument;
    json |= word == "--json";
    dump |= word == "--dump";
    quiet |= word == "-q" || word == "--quiet";
    help |= word == "-h" || word == "--help";
    if (!word.starts_with('-') && (word.ends_with(".yaml") || word.ends_with(".yml"))) {
      daemons.emplace_back(word);
    } else if (!word.starts_with('-') && is_keepalived_file(argument)) {
      keepalived.emplace_back(word);
    } else {
      others.push_back(argument);
      other_files |= !word.starts_with('-');
    }
  }
  int status = 0;
  // Options alone go there as well: it knows which there are.
  if (other_files || help || (keepalived.empty() && daemons.empty()))
    status = check_command(others);
  if (help) return status;
  for (const std::string& path : daemons) {
    status = std::max(status, check_run_file(path, json, quiet));
  }
  for (const std::string& path : keepalived) {
    status = std::max(status, check_keepalived_file(path, json, dump, quiet));
  }
  return status;
}

}  // namespace nines

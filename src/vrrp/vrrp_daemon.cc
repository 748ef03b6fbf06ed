// The process's part: who signals what, where it is told that this process runs, and its log.
#include "vrrp/vrrp_daemon.h"

#include <csignal>
#include <cstdlib>
#include <utility>

#include <unistd.h>

#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "vrrp/vrrp_json.h"
#include "vrrp/vrrp_service.h"
#include "vrrp/vrrp_stats.h"

namespace nines::vrrp {

namespace {

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

// What a process calls itself; empty when there is none of that id.
std::string program_of(int pid) {
  io::LinuxFiles files;
  auto name = files.read("/proc/" + std::to_string(pid) + "/comm");
  if (!name.has_value()) return {};
  while (!name->empty() && name->back() == '\n') name->pop_back();
  return *std::move(name);
}

// Ids are used again, after a reboot above all: a living process of another kind is no daemon.
// And one that has ended and that nobody has waited for has no command line any more.
bool is_daemon(int pid) {
  io::LinuxFiles files;
  const auto command_line = files.read("/proc/" + std::to_string(pid) + "/cmdline");
  if (!command_line.has_value() || command_line->empty()) return false;
  const std::string program = program_of(pid);
  // keepalived's two processes, by their whole names: a script may be called after it.
  return !program.empty() && (program == program_of(::getpid()) || program == "nines" ||
                              program == "keepalived" || program == "keepalived_vrrp");
}

int pid_in(const std::string& path) {
  io::LinuxFiles files;
  const auto text = files.read(path);
  return text.has_value() ? std::atoi(text->c_str()) : 0;
}

// The files that tell of this process. They go when this does, unless they name another by then.
class PidFiles {
 public:
  static Result<PidFiles> create(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      const int pid = pid_in(path);
      if (pid > 1 && pid != ::getpid() && is_daemon(pid)) {
        return Error(ErrorCode::kExists,
                     "process " + std::to_string(pid) + " of " + path + " is running already");
      }
    }
    constexpr unsigned kMode = 0644;
    PidFiles made;
    io::LinuxFiles files;
    for (const std::string& path : paths) {
      TRY(files.replace(path, std::to_string(::getpid()) + "\n", kMode));
      made.paths_.push_back(path);
    }
    return made;
  }

  PidFiles(PidFiles&& other) noexcept : paths_(std::exchange(other.paths_, {})) {}
  PidFiles& operator=(PidFiles&&) = delete;
  ~PidFiles() {
    io::LinuxFiles files;
    for (const std::string& path : paths_) {
      if (pid_in(path) == ::getpid()) static_cast<void>(files.remove(path).has_value());
    }
  }

 private:
  PidFiles() = default;
  std::vector<std::string> paths_;
};

void reload(VrrpService& service, const VrrpOptions& options, io::Log& log) {
  if (!options.reload) {
    log.write(io::Severity::kError, "this process cannot read its configuration again");
    return;
  }
  if (std::optional<Config> fresh = options.reload()) {
    const auto reloaded = service.reload(*std::move(fresh));
    if (reloaded.has_value()) return log.write(io::Severity::kNotice, "reloaded");
    log.write(io::Severity::kError, reloaded.error().message());
  }
  log.write(io::Severity::kError, "the configuration is bad; the old one stays");
}

// By rename: what others left at that name in a folder for everybody is not followed, nor written.
void write_file(const std::string& path, const std::string& content, io::Log& log) {
  if (path.empty()) return log.write(io::Severity::kNotice, "no file was named for the status");
  constexpr unsigned kMode = 0600;
  io::LinuxFiles files;
  if (const auto written = files.replace(path, content, kMode); !written.has_value()) {
    log.write(io::Severity::kError, written.error().message());
  }
}

Result<void> write_files_on_signals(VrrpService& service, const VrrpOptions& options,
                                    io::EpollLoop& loop, io::Log& log) {
  const auto on = [&loop](int number, std::function<void()> callback) -> Result<void> {
    if (number == 0) return {};
    return loop.on_signal(number, std::move(callback));
  };
  const auto stats = [&] { write_file(options.stats_file, stats_text(service.reports()), log); };
  TRY(on(SIGUSR1, [&] { write_file(options.dump_file, service.status_text(), log); }));
  TRY(on(options.stats_signal, stats));
  TRY(on(options.stats_clear_signal, [&, stats] {
    stats();
    service.clear_counters();
  }));
  return on(options.json_signal,
            [&] { write_file(options.json_file, json_text(service.reports()), log); });
}

Result<void> run(Config config, const VrrpOptions& options, io::EpollLoop& loop, io::Log& log) {
  TRY(check_against_host(config));
  const PidFiles pid_files = TRY(PidFiles::create(options.pid_files));
  {
    const auto service =
        TRY(VrrpService::create(std::move(config), loop, log, options.address_life));
    service->start();
    bool leaving = false;
    const auto stop = [&] {
      if (!std::exchange(leaving, true)) return service->hand_over([&] { loop.stop(); });
      service->stop();  // the second time it is meant now
      loop.stop();
    };
    TRY(loop.on_signal(SIGTERM, stop));
    TRY(loop.on_signal(SIGINT, stop));
    TRY(loop.on_signal(SIGHUP, [&] { reload(*service, options, log); }));
    TRY(write_files_on_signals(*service, options, loop, log));
    log.write(io::Severity::kNotice, "VRRP runs");
    if (options.started) options.started();
    loop.run();
  }
  log.write(io::Severity::kNotice, "VRRP has stopped");
  return {};
}

}  // namespace

int run_vrrp(Config config, VrrpOptions options) {
  auto loop = io::EpollLoop::create();
  io::Logger log([&loop] { return loop.has_value() ? (*loop)->wall_time() : WallTime{}; });
  if (options.sinks.empty()) {
    log.add(io::open_stderr_or_journal("nines-vrrp", environment("JOURNAL_STREAM")));
  }
  for (auto& sink : options.sinks) log.add(std::move(sink));
  options.sinks.clear();
  if (!loop.has_value()) {
    log.write(io::Severity::kCritical, loop.error().message());
    return kVrrpExitBad;
  }
  ::signal(SIGPIPE, SIG_IGN);
  if (const auto ran = run(std::move(config), options, **loop, log); !ran.has_value()) {
    log.write(io::Severity::kCritical, ran.error().message());
    if (options.failed) options.failed(ran.error().message());
    return kVrrpExitBad;
  }
  return kVrrpExitGood;
}

}  // namespace nines::vrrp

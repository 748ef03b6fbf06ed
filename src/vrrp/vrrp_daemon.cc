// The process's part: who signals what, where it is told that this process runs, and its log.
#include "vrrp/vrrp_daemon.h"

#include <csignal>
#include <cstdlib>
#include <utility>

#include <unistd.h>

#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "vrrp/vrrp_service.h"

namespace nines::vrrp {

namespace {

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

// Held as long as this process runs; a living process of that id is another daemon.
Result<void> write_pid_file(const std::string& path) {
  io::LinuxFiles files;
  if (const auto before = files.read(path); before.has_value()) {
    const int pid = std::atoi(before->c_str());
    if (pid > 1 && pid != ::getpid() && ::kill(pid, 0) == 0) {
      return Error(ErrorCode::kExists,
                   "process " + std::to_string(pid) + " of " + path + " is running already");
    }
  }
  return files.replace(path, std::to_string(::getpid()) + "\n", 0644);
}

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

void dump(const VrrpService& service, const std::string& path, io::Log& log) {
  if (path.empty()) return log.write(io::Severity::kNotice, "no file was named for the status");
  constexpr unsigned kMode = 0600;
  io::LinuxFiles files;
  if (const auto written = files.replace(path, service.status_text(), kMode);
      !written.has_value()) {
    log.write(io::Severity::kError, written.error().message());
  }
}

Result<void> run(Config config, const VrrpOptions& options, io::EpollLoop& loop, io::Log& log) {
  TRY(check_against_host(config));
  if (!options.pid_file.empty()) TRY(write_pid_file(options.pid_file));
  {
    const auto service = TRY(VrrpService::create(std::move(config), loop, log));
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
    TRY(loop.on_signal(SIGUSR1, [&] { dump(*service, options.dump_file, log); }));
    log.write(io::Severity::kNotice, "VRRP runs");
    loop.run();
  }
  io::LinuxFiles files;
  if (!options.pid_file.empty()) static_cast<void>(files.remove(options.pid_file).has_value());
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
    return kVrrpExitBad;
  }
  return kVrrpExitGood;
}

}  // namespace nines::vrrp

// The process's part: HAProxy's command line, its signals, its exit codes.
#include "proxy/master.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/check.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "node/service_manager.h"
#include "proxy/master_config.h"
#include "proxy/plane_main.h"
#include "proxy/proxy_master.h"
#include "text/diagnostics.h"

namespace nines::proxy {

namespace {

void say(const MasterOptions& options, const char* level, const std::string& text) {
  if (options.quiet) return;
  std::fprintf(stderr, "[%s]   (%d) : %s\n", level, static_cast<int>(::getpid()), text.c_str());
}

// Forks into the background. The parent waits for one byte, written once the plane serves, so that
// whoever started us knows when it may go on; without it the start has failed.
class Daemon {
 public:
  static Result<Daemon> begin() {
    int pair[2];
    if (::pipe2(pair, O_CLOEXEC) != 0) return Error::from_errno(errno, "pipe2");
    io::Descriptor reader(pair[0]), writer(pair[1]);
    const pid_t child = ::fork();
    if (child < 0) return Error::from_errno(errno, "fork");
    if (child > 0) {
      writer.reset();
      char byte = 0;
      ssize_t count;
      do {
        count = ::read(reader.get(), &byte, 1);
      } while (count < 0 && errno == EINTR);
      ::_exit(count == 1 ? kExitGood : kExitBad);
    }
    ::setsid();
    Daemon daemon;
    daemon.ready_ = std::move(writer);
    return daemon;
  }
  void ready() {
    const char byte = 1;
    static_cast<void>(!::write(ready_.get(), &byte, 1));
    ready_.reset();
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int standard : {0, 1, 2}) ::dup2(null, standard);
    if (null > 2) ::close(null);
  }

 private:
  io::Descriptor ready_;
};

void signal_predecessors(const MasterOptions& options) {
  for (const int pid : options.finish_pids) ::kill(pid, SIGUSR1);
  for (const int pid : options.end_pids) ::kill(pid, SIGTERM);
}

// Until the plane has ended. Signals are watched before anybody may think that we run: the default
// action of most would end us.
class MasterProcess final : public ProxyObserver {
 public:
  MasterProcess(io::EpollLoop& loop, const MasterOptions& options)
      : loop_(loop), options_(options) {}

  void watch_signals(ProxyMaster& master) {
    for (const int number : {SIGHUP, SIGUSR2}) {
      CHECK(loop_.on_signal(number, [&master] { master.reload(); }).has_value());
    }
    const auto stop = [this, &master](int code, void (ProxyMaster::*how)()) {
      node::notify_stopping();
      exit_code_ = code;
      (master.*how)();
    };
    const int interrupted = options_.master_worker ? kExitInterrupted : kExitGood;
    CHECK(
        loop_.on_signal(SIGUSR1, [=] { stop(kExitGood, &ProxyMaster::stop_softly); }).has_value());
    CHECK(loop_.on_signal(SIGTERM, [=] { stop(kExitGood, &ProxyMaster::stop_hard); }).has_value());
    CHECK(loop_.on_signal(SIGINT, [=] { stop(interrupted, &ProxyMaster::stop_hard); }).has_value());
    ::signal(SIGPIPE, SIG_IGN);  // the plane inherits this
  }
  void on_started(std::function<void()> callback) { started_ = std::move(callback); }
  int run() {
    loop_.run();
    return exit_code_;
  }

  void on_proxy_started() override {
    if (started_) started_();
    node::notify_ready(::getpid());
  }
  void on_reload_begun() override { node::notify_reloading(); }
  void on_reload_ended(bool) override { node::notify_reloaded(); }
  void on_proxy_ended(bool good) override {
    if (!good) exit_code_ = kExitBad;
    loop_.stop();
  }

 private:
  io::EpollLoop& loop_;
  const MasterOptions& options_;
  std::function<void()> started_;
  int exit_code_ = kExitGood;
};

}  // namespace

int run_master(const MasterOptions& options) {
  set_local_peer(options.local_peer);
  if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) {
    say(options, "ALERT",
        Error::from_errno(errno, "cannot change to " + options.directory).message());
    return kExitBad;
  }
  io::LinuxFiles files;
  auto texts = read_texts(files, options.config_paths);
  if (!texts) {
    say(options, "ALERT", "could not open the configuration: " + texts.error().message());
    return kExitBad;
  }
  MasterConfig loaded;
  loaded.texts = *std::move(texts);
  loaded.files = as_sources(loaded.texts);
  LoadedConfig parsed = parse(loaded.files, loaded.texts, options);
  loaded.credentials = add_credentials(parsed);
  if (options.json) {
    std::puts(text::render_json(parsed.diagnostics, loaded.files).c_str());
  } else if (!options.quiet && !parsed.diagnostics.all().empty()) {
    std::fputs(
        text::render_text(parsed.diagnostics, loaded.files, {.color = on_terminal()}).c_str(),
        stderr);
  }
  if (!parsed.ok()) {
    if (!options.json) say(options, "ALERT", "Fatal errors found in configuration.");
    return kExitBad;
  }
  loaded.config = std::move(parsed.config);
  if (auto identity = find_identity(loaded.config.global); !identity) {
    say(options, "ALERT", identity.error().message());
    return kExitBad;
  }
  if (options.dump) std::fputs(dump(loaded.config).c_str(), stdout);
  if (!has_listeners(loaded.config)) {
    say(options, "ALERT", "No enabled listener found (check for 'bind' directives) ! Exiting.");
    return options.check_only ? kExitNoListener : kExitBad;
  }
  if (options.check_only) {
    if (!options.quiet && !options.json && !options.dump) {
      std::puts(parsed.diagnostics.warnings() > 0
                    ? "Warnings were found.\nConfiguration file is valid"
                    : "Configuration file is valid");
    }
    return kExitGood;
  }

  const bool daemonize = options.daemon || (loaded.config.global.daemon && !options.foreground);
  std::optional<Daemon> daemon;
  if (daemonize) {
    auto begun = Daemon::begin();
    if (!begun) {
      say(options, "ALERT", begun.error().message());
      return kExitBad;
    }
    daemon = *std::move(begun);
  }
  auto loop = io::EpollLoop::create();
  if (!loop) {
    say(options, "ALERT", loop.error().message());
    return kExitBad;
  }
  const std::string pid_file =
      options.pid_file.empty() ? loaded.config.global.pidfile : options.pid_file;
  auto log = make_log(**loop, options.quiet);
  MasterProcess process(**loop, options);
  ProxyMaster master(**loop, *log, options, std::move(loaded), daemonize, process);
  process.watch_signals(master);
  if (auto bound = master.bind_all(); !bound) {
    say(options, "ALERT", "Starting failed: " + bound.error().message());
    return kExitBad;
  }
  if (!pid_file.empty()) {
    if (auto written = files.replace(pid_file, std::to_string(::getpid()) + "\n", 0644); !written) {
      say(options, "ALERT", "Cannot create pidfile " + pid_file + ": " + written.error().message());
      return kExitBad;
    }
  }
  process.on_started([&] {
    signal_predecessors(options);
    if (daemon) daemon->ready();
  });
  if (auto started = master.start(); !started) {
    say(options, "ALERT", started.error().message());
    return kExitBad;
  }
  return process.run();
}

}  // namespace nines::proxy

// The channel's messages to the service, the service's changes to the channel.
#include "vrrp/owner_main.h"

#include <cstdlib>
#include <memory>

#include <cap-ng.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "io/linux/epoll_loop.h"
#include "io/log.h"
#include "node/plane_channel.h"
#include "node/plane_process.h"
#include "node/plane_requests.h"
#include "vrrp/owner_report.h"
#include "vrrp/vrrp_service.h"

namespace nines::vrrp {

namespace {

using node::ChannelMessage;

// Addresses and raw packets; scheduling and locked memory where they are configured; the
// configuration again, whoever owns it; scripts as other users. A script of root's has all rights,
// since the bounding set stays when there are scripts.
Result<void> drop_privileges(const Config& config) {
  const bool scripts = runs_scripts(config);
  // BPF, where there is one to keep: who stands in for a dead host goes by it
  // (address/stand_ins.h).
  const bool bpf = capng_get_caps_process() == 0 && capng_have_capability(CAPNG_PERMITTED, CAP_BPF);
  capng_clear(CAPNG_SELECT_BOTH);
  const auto keep = [](std::initializer_list<unsigned> capabilities) {
    for (const unsigned each : capabilities) {
      capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), each);
    }
  };
  keep({CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_NICE, CAP_IPC_LOCK, CAP_DAC_READ_SEARCH});
  if (bpf) keep({CAP_BPF});
  if (scripts) keep({CAP_SETUID, CAP_SETGID, CAP_KILL});
  if (capng_apply(scripts ? CAPNG_SELECT_CAPS : CAPNG_SELECT_BOTH) != 0) {
    return Error(ErrorCode::kRefused, "the owner cannot give up its rights");
  }
  if (!scripts && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Error::from_errno(errno, "prctl(PR_SET_NO_NEW_PRIVS)");
  }
  return {};
}

// An address is lost by being late. Wishes: a container that may not grant them still runs. Scripts
// inherit none of it.
std::string take_precedence(io::Log& log) {
  constexpr int kFifoPriority = 1;  // of those that are ahead of everybody else, the last
  constexpr int kNice = -10;
  constexpr rlim_t kFifoRunMax = 500'000;  // microseconds without a pause: a fault of ours, ends us
  // Only what is touched, so that locking costs no memory.
  const bool locked = ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
  const rlimit run{kFifoRunMax, kFifoRunMax};
  sched_param parameters{};
  parameters.sched_priority = kFifoPriority;
  std::string scheduling = "no precedence";
  if (::setrlimit(RLIMIT_RTTIME, &run) == 0 &&
      ::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &parameters) == 0) {
    scheduling = "SCHED_FIFO";
  } else {
    parameters.sched_priority = 0;
    ::sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &parameters);
    if (::setpriority(PRIO_PROCESS, 0, kNice) == 0) scheduling = "nice " + std::to_string(kNice);
  }
  log.write(io::Severity::kInformational, "the owner runs",
            {{"scheduling", scheduling}, {"memory", locked ? "locked" : "not locked"}});
  return scheduling;
}

class VrrpOwner final : public OwnerService {
 public:
  explicit VrrpOwner(std::unique_ptr<VrrpService> service) : service_(std::move(service)) {}

  void start(const Predecessor& predecessor) override { service_->start(predecessor); }
  void set_fit(bool fit) override { service_->set_fit(fit); }
  Result<void> reload(Config config) override { return service_->reload(std::move(config)); }
  void stop() override { service_->stop(); }
  void hand_over(std::function<void()> done) override { service_->hand_over(std::move(done)); }
  void on_change(std::function<void()> callback) override {
    service_->on_change(std::move(callback));
  }
  std::vector<OwnerReport> reports() const override {
    std::vector<OwnerReport> reports;
    for (const VrrpDriver* const driver : service_->drivers()) {
      reports.push_back(report_of(driver->machine()));
    }
    return reports;
  }

 private:
  std::unique_ptr<VrrpService> service_;
};

class OwnerMain {
 public:
  OwnerMain(const OwnerMainOptions& options, io::EpollLoop& loop, io::Log& log,
            std::unique_ptr<OwnerService> service, std::string scheduling)
      : options_(options),
        loop_(loop),
        log_(log),
        service_(std::move(service)),
        scheduling_(std::move(scheduling)) {}

  int run() {
    say({ChannelMessage::Kind::kScheduling, scheduling_, {}});
    service_->on_change([this] { report(); });
    service_->on_share([this](const node::HostShare& share) {
      say({ChannelMessage::Kind::kShare, node::encode(share), {}});
    });
    service_->set_fit(options_.proxy_fit);
    service_->start(options_.predecessor);
    loop_.watch_descriptor(node::kPlaneChannel, EPOLLIN, [this](std::uint32_t) { on_channel(); });
    report();
    say({ChannelMessage::Kind::kTaken, "", {}});
    loop_.run();
    return exit_code_;
  }

 private:
  void on_channel() {
    while (true) {
      const auto message = node::receive_message(node::kPlaneChannel);
      if (!message.has_value()) {
        if (message.error().code() == ErrorCode::kUnavailable) return;
        log_.write(io::Severity::kAlert, "the supervisor is gone: all addresses are released");
        service_->stop();  // the proxy is gone as well: nothing is served until somebody follows
        return loop_.post([this] { loop_.stop(); });
      }
      switch (message->kind) {
        case ChannelMessage::Kind::kAsk:
          say({ChannelMessage::Kind::kAnswer, "", {}});
          break;
        case ChannelMessage::Kind::kProxyFit:
          service_->set_fit(true);
          break;
        case ChannelMessage::Kind::kProxyUnfit:
          service_->set_fit(false);
          break;
        case ChannelMessage::Kind::kReload:
          reload();
          break;
        case ChannelMessage::Kind::kRelease:
          release();
          break;
        case ChannelMessage::Kind::kRequest:
          answer(message->text);
          break;
        default:
          break;  // ours to say, or another plane's to hear
      }
    }
  }

  void reload() {
    const auto reloaded = [&]() -> Result<void> {
      return service_->reload(TRY(options_.reload()));
    }();
    if (reloaded.has_value()) {
      report();
      return say({ChannelMessage::Kind::kTaken, "", {}});
    }
    say({ChannelMessage::Kind::kRefused,
         reloaded.error().message().substr(0, node::kChannelTextMax),
         {}});
  }

  void release() {
    service_->hand_over([this] {
      report();
      loop_.stop();
    });
  }

  void answer(std::string_view text) {
    const auto reply = [&]() -> Result<ChannelMessage> {
      const auto request = TRY(node::parse_plane_request(text));
      return node::make_plane_reply(request.number, service_->answer(request.text));
    }();
    if (!reply.has_value()) return log_.write(io::Severity::kError, reply.error().message());
    say(*reply);
  }

  void report() {
    for (const OwnerReport& each : service_->reports()) {
      say({ChannelMessage::Kind::kHoldings, encode(each), {}});
    }
  }

  void say(const ChannelMessage& message) {
    // A supervisor that is gone is heard of by the channel's end.
    static_cast<void>(node::send_message(node::kPlaneChannel, message).has_value());
  }

  const OwnerMainOptions& options_;
  io::EpollLoop& loop_;
  io::Log& log_;
  std::unique_ptr<OwnerService> service_;
  const std::string scheduling_;
  int exit_code_ = 0;
};

}  // namespace

std::string OwnerService::answer(std::string_view) {
  return R"({"error": "addresses are owned by election here: there is nothing to ask"})";
}

Result<std::unique_ptr<OwnerService>> make_vrrp_owner(const Config& config, io::EpollLoop& loop,
                                                      io::Log& log) {
  return std::unique_ptr<OwnerService>(
      std::make_unique<VrrpOwner>(TRY(VrrpService::create(config, loop, log))));
}

int run_owner_main(const OwnerMainOptions& options) {
  constexpr int kExitBad = 1;
  auto loop = io::EpollLoop::create();
  if (!loop.has_value()) return kExitBad;
  io::Logger log([&loop] { return (*loop)->wall_time(); });
  const char* const journal = std::getenv("JOURNAL_STREAM");
  log.add(io::open_stderr_or_journal("nines-owner", journal != nullptr ? journal : ""));
  const auto ran = [&]() -> Result<int> {
    // Before anything begins a thread: rights are given up by one alone.
    TRY(drop_privileges(options.config));
    auto service = TRY(options.make(options.config, **loop, log));
    std::string scheduling = take_precedence(log);
    return OwnerMain(options, **loop, log, std::move(service), std::move(scheduling)).run();
  }();
  if (ran.has_value()) return *ran;
  log.write(io::Severity::kCritical, ran.error().message());
  return kExitBad;
}

}  // namespace nines::vrrp

// Told once what to be, it gives up every right and starts the plane (plane.h); then it obeys the
// channel until that ends.
#include "proxy/plane_main.h"

#include <cerrno>
#include <cstdlib>
#include <utility>

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io/linux/epoll_loop.h"
#include "node/host_share.h"
#include "node/member_word.h"
#include "node/plane_process.h"
#include "proxy/master_config.h"
#include "proxy/plane.h"

namespace nines::proxy {

namespace {

constexpr int kExitPlaneBad = 1;
constexpr int kReservedDescriptors = 100;  // for what is no connection: listeners, loops, logs

// From here on a fault in what parses the network's bytes cannot touch the host.
Result<void> drop_privileges(const GlobalConfig& global, const Identity& identity) {
  if (!global.chroot.empty()) {
    if (::chroot(global.chroot.c_str()) != 0 || ::chdir("/") != 0) {
      return Error::from_errno(errno, "cannot chroot to " + global.chroot);
    }
  }
  if (::geteuid() == 0 && (identity.user || identity.group)) {
    if (::setgroups(0, nullptr) != 0) return Error::from_errno(errno, "setgroups");
    if (identity.group && ::setgid(*identity.group) != 0) {
      return Error::from_errno(errno, "cannot become group " + std::to_string(*identity.group));
    }
    if (identity.user && ::setuid(*identity.user) != 0) {
      return Error::from_errno(errno, "cannot become user " + std::to_string(*identity.user));
    }
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return Error::from_errno(errno, "prctl(PR_SET_NO_NEW_PRIVS)");
  }
  return {};
}

// A connection of a client and one to a server for each of `maxconn` (0: not configured). The hard
// limit is raised too where that is allowed; where not, the newest clients will wait.
void raise_descriptor_limit(int maxconn, io::Log& log) {
  const auto wanted = static_cast<rlim_t>(maxconn) * 2 + kReservedDescriptors;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  if (maxconn > 0 && limit.rlim_max < wanted) {
    const rlimit higher{wanted, wanted};
    if (::setrlimit(RLIMIT_NOFILE, &higher) == 0) return;
    log.write(io::Severity::kWarning, "fewer descriptors than 'maxconn' needs",
              {{"wanted", std::to_string(wanted)}, {"limit", std::to_string(limit.rlim_max)}});
  }
  if (limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));  // the soft limit serves as well
}

// The plane's main thread. Ends when the master says so, or is gone.
class PlaneMain {
 public:
  // `null` is /dev/null when the standard descriptors are to be let go of, else none.
  PlaneMain(io::EpollLoop& loop, io::Log& log, int channel, const MasterOptions& options,
            io::Descriptor null)
      : loop_(loop),
        log_(log),
        channel_(channel),
        options_(options),
        null_(std::move(null)),
        plane_(loop, log,
               Plane::Options{.pid = ::getpid(),
                              .version = options.version,
                              .name = options.product,
                              .tell_verdicts = [this](const std::string& lines) {
                                say(node::ChannelMessage::Kind::kVerdict, lines);
                              }}) {}

  int run() {
    loop_.watch_descriptor(channel_, EPOLLIN, [this](std::uint32_t) { on_channel(); });
    loop_.run();
    return exit_code_;
  }

 private:
  void on_channel() {
    while (true) {
      auto message = node::receive_message(channel_);
      if (!message) {
        if (message.error().code() == ErrorCode::kUnavailable) return;
        exit_code_ = 0;  // a plane ends with its supervisor
        loop_.stop();
        return;
      }
      switch (message->kind) {
        case node::ChannelMessage::Kind::kListener:
          sockets_[message->text] = std::move(message->descriptor);
          break;
        case node::ChannelMessage::Kind::kCredentials:
          credentials_ = std::move(message->descriptor);
          break;
        case node::ChannelMessage::Kind::kConfigure:
          configure(message->descriptor.get());
          break;
        case node::ChannelMessage::Kind::kStopSoftly:
          if (!started_) return loop_.stop();
          plane_.stop_softly([this] {
            exit_code_ = 0;
            loop_.stop();
          });
          break;
        case node::ChannelMessage::Kind::kBadReload:
          if (started_) plane_.on_failed_reload(not_reloaded(message->text));
          break;
        case node::ChannelMessage::Kind::kAsk:
          if (started_) plane_.ask([this] { say(node::ChannelMessage::Kind::kAnswer); });
          break;
        case node::ChannelMessage::Kind::kDrain:
          if (!started_) return say(node::ChannelMessage::Kind::kDrained);
          plane_.drain([this] { say(node::ChannelMessage::Kind::kDrained); });
          break;
        case node::ChannelMessage::Kind::kShare:
          share(message->text);
          break;
        case node::ChannelMessage::Kind::kMember:
          hear_of_member(message->text);
          break;
        case node::ChannelMessage::Kind::kEndDrain:
          if (started_) plane_.end_drain();
          break;
        default:
          break;  // ours to say, or another plane's to hear
      }
    }
  }

  void share(std::string_view text) {
    const auto share = node::parse_host_share(text);
    if (!share.has_value()) return log_.write(io::Severity::kError, share.error().message());
    if (started_) plane_.set_host_share(*share);
  }

  void hear_of_member(std::string_view text) {
    const auto word = node::parse_member_word(text);
    if (!word.has_value()) return log_.write(io::Severity::kError, word.error().message());
    if (started_) plane_.set_member_word(*word);
  }

  void say(node::ChannelMessage::Kind kind, std::string text = "") {
    if (auto sent = node::send_message(channel_, {kind, std::move(text), {}}); !sent) {
      log_.write(io::Severity::kError, sent.error().message());
    }
  }

  void configure(int descriptor) {
    const auto result = [&]() -> Result<void> {
      ListenerSockets sockets = std::exchange(sockets_, {});  // closed if refused
      const node::NamedTexts texts = TRY(node::unpack_texts(descriptor));
      const auto files = as_sources(texts);
      LoadedConfig loaded = parse(files, texts, options_);
      if (const io::Descriptor credentials = std::exchange(credentials_, {})) {
        add_credentials(loaded, TRY(node::unpack_texts(credentials.get())));
      }
      if (!loaded.ok()) return Error(ErrorCode::kInvalid, "the configuration has errors");
      if (started_) return plane_.reload(std::move(loaded.config), std::move(sockets));
      const GlobalConfig global = loaded.config.global;
      raise_descriptor_limit(global.maxconn, log_);
      const Identity identity = TRY(find_identity(global));
      TRY(drop_privileges(global, identity));
      ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);  // forgotten with the rights, so after them
      TRY(plane_.start(std::move(loaded.config), std::move(sockets)));
      started_ = true;
      if (null_) {
        for (const int standard : {0, 1, 2}) ::dup2(null_.get(), standard);
        null_.reset();
      }
      return {};
    }();
    node::ChannelMessage answer;
    if (!result) {
      answer.kind = node::ChannelMessage::Kind::kRefused;
      answer.text = result.error().message().substr(0, node::kChannelTextMax);
      if (started_) {
        plane_.on_failed_reload(not_reloaded(answer.text));
      } else {
        loop_.stop();
      }
    }
    if (auto sent = node::send_message(channel_, answer); !sent) {
      log_.write(io::Severity::kError, sent.error().message());
    }
  }

  io::EpollLoop& loop_;
  io::Log& log_;
  int channel_;
  const MasterOptions& options_;
  io::Descriptor null_;
  Plane plane_;
  bool started_ = false;
  int exit_code_ = kExitPlaneBad;
  ListenerSockets sockets_;
  io::Descriptor credentials_;  // for the next configuration
};

}  // namespace

std::unique_ptr<io::Logger> make_log(io::EpollLoop& loop, bool quiet) {
  auto log = std::make_unique<io::Logger>([&loop] { return loop.wall_time(); });
  if (!quiet) {
    const char* const journal = std::getenv("JOURNAL_STREAM");
    log->add(io::open_stderr_or_journal("nines", journal != nullptr ? journal : ""), {});
  }
  return log;
}

int run_plane_main(const MasterOptions& options, bool daemon) {
  io::Descriptor null;
  if (daemon) null = io::Descriptor(::open("/dev/null", O_RDWR | O_CLOEXEC));
  auto loop = io::EpollLoop::create();
  if (!loop) return kExitPlaneBad;
  const auto log = make_log(**loop, options.quiet);
  static_cast<void>(io::local_utc_offset((*loop)->wall_time()));  // reads the zone, before chroot
  PlaneMain plane(**loop, *log, node::kPlaneChannel, options, std::move(null));
  return plane.run();
}

}  // namespace nines::proxy

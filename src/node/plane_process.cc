// One fork each time: a plane is this very program with this very memory, so that nothing can be
// missing when it has to come back in milliseconds.
#include "node/plane_process.h"

#include <cerrno>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

namespace nines::node {

namespace {

constexpr time_t kSendPatienceSeconds = 1;

// Signals are the supervisor's business; a plane hears of them through its channel. SIGTERM still
// ends one that does not answer.
void become_plane(const std::string& name, io::Descriptor channel) {
  ::prctl(PR_SET_NAME, ("nines-" + name).c_str(), 0, 0, 0);
  sigset_t blocked;
  sigemptyset(&blocked);
  for (const int number : {SIGHUP, SIGUSR1, SIGUSR2, SIGINT}) sigaddset(&blocked, number);
  ::sigprocmask(SIG_SETMASK, &blocked, nullptr);
  // Nothing else of the supervisor's stays open: a listener that it lets go of must be gone.
  const int inherited = channel.release();
  if (inherited != kPlaneChannel) ::dup3(inherited, kPlaneChannel, O_CLOEXEC);
  ::close_range(kPlaneChannel + 1, ~0u, 0);
}

}  // namespace

PlaneProcess::PlaneProcess(std::string name, PlanePolicy policy, io::EpollLoop& loop, io::Log& log,
                           PlaneSupport& support)
    : name_(std::move(name)), loop_(loop), log_(log), support_(support), watch_(policy) {}

PlaneProcess::~PlaneProcess() {
  close_channel();
  if (pid_ != 0) loop_.unwatch_descriptor(pid_watch_);
}

Result<void> PlaneProcess::start() {
  handle(event::Begin{});
  return std::move(spawned_);
}

Result<void> PlaneProcess::send(const ChannelMessage& message) {
  if (!channel_) return Error(ErrorCode::kUnavailable, "the " + name_ + " plane does not run");
  return send_message(channel_.get(), message);
}

void PlaneProcess::served() { handle(event::Served{}); }

void PlaneProcess::expect_end() { handle(event::End{}); }

void PlaneProcess::close_channel() {
  if (!channel_) return;
  loop_.unwatch_descriptor(channel_watch_);
  channel_.reset();
}

void PlaneProcess::end(Duration patience) {
  expect_end();
  if (!alive()) return;
  kill_at_ = loop_.now() + patience;
  loop_.arm(*this, *kill_at_);
}

void PlaneProcess::on_timer(Instant now) {
  read_channel();  // before anything is concluded from silence
  if (kill_at_ && now >= *kill_at_) {
    kill_at_.reset();
    return kill();
  }
  handle(event::WatchTimer{});
}

void PlaneProcess::handle(const PlaneEvent& event) {
  std::vector<PlaneEffect> effects;
  watch_.handle(event, loop_.now(), effects);
  for (const PlaneEffect effect : effects) perform(effect);
  std::optional<Instant> deadline = watch_.deadline();
  if (kill_at_ && (!deadline || *kill_at_ < *deadline)) deadline = kill_at_;
  if (deadline) {
    loop_.arm(*this, *deadline);
  } else {
    cancel();
  }
}

void PlaneProcess::perform(PlaneEffect effect) {
  switch (effect) {
    case PlaneEffect::kStart:
      spawned_ = spawn();
      if (!spawned_.has_value()) {
        log_.write(io::Severity::kCritical, spawned_.error().message());
        // Without a process this is its death; with one it ends by the end of its channel.
        close_channel();
        if (!alive()) loop_.post([this] { handle(event::Died{}); });
      }
      return;
    case PlaneEffect::kAsk:
      // A plane whose channel is full of questions is told nothing new by one more.
      static_cast<void>(send({ChannelMessage::Kind::kAsk, "", {}}).has_value());
      return;
    case PlaneEffect::kKill:
      log_.write(io::Severity::kAlert, "the " + name_ + " plane does not answer and is killed");
      return kill();
    case PlaneEffect::kFit:
      return support_.on_plane_fit(true);
    case PlaneEffect::kUnfit:
      return support_.on_plane_fit(false);
  }
}

Result<void> PlaneProcess::spawn() {
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return Error::from_errno(errno, "socketpair");
  }
  io::Descriptor ours(pair[0]), theirs(pair[1]);
  // A stopped plane reads nothing: nobody waits for it for long.
  const timeval patience{.tv_sec = kSendPatienceSeconds, .tv_usec = 0};
  ::setsockopt(ours.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const pid_t child = ::fork();
  if (child < 0) return Error::from_errno(errno, "fork");
  if (child == 0) {
    become_plane(name_, std::move(theirs));
    ::_exit(support_.run_plane());
  }
  theirs.reset();
  pid_ = child;
  channel_ = std::move(ours);
  pid_descriptor_ = io::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  CHECK(static_cast<bool>(pid_descriptor_));  // a child that nobody has waited for
  pid_watch_ =
      loop_.watch_descriptor(pid_descriptor_.get(), EPOLLIN, [this](std::uint32_t) { on_exit(); });
  channel_watch_ =
      loop_.watch_descriptor(channel_.get(), EPOLLIN, [this](std::uint32_t) { read_channel(); });
  return support_.on_plane_started();
}

void PlaneProcess::read_channel() {
  while (channel_) {
    auto message = receive_message(channel_.get());
    if (!message.has_value()) {
      if (message.error().code() != ErrorCode::kUnavailable) close_channel();
      return;
    }
    if (message->kind == ChannelMessage::Kind::kAnswer) {
      handle(event::Answered{});
    } else {
      support_.on_plane_message(*std::move(message));
    }
  }
}

void PlaneProcess::on_exit() {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG);
  if (info.si_pid == 0) return;
  read_channel();  // its last words
  loop_.unwatch_descriptor(pid_watch_);
  pid_descriptor_.reset();
  close_channel();
  pid_ = 0;
  kill_at_.reset();
  const bool asked_for = watch_.state() == PlaneWatch::State::kEnding;
  handle(event::Died{});
  support_.on_plane_died(asked_for);
  if (watch_.state() == PlaneWatch::State::kWaiting) {
    const bool killed = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
    log_.write(io::Severity::kAlert, "the " + name_ + " plane died, it is started again",
               {{killed ? "signal" : "status", std::to_string(info.si_status)},
                {"delay_ms", std::to_string(milliseconds_of(watch_.restart_delay()))}});
  }
}

void PlaneProcess::kill() {
  if (pid_ != 0) ::syscall(SYS_pidfd_send_signal, pid_descriptor_.get(), SIGKILL, 0, 0);
}

}  // namespace nines::node

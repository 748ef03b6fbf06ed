// How a pass goes: wait; read the clock once; let each event mark its stream; read what is ready;
// fire timers; run end-of-pass hooks; register the streams that turned out to need it; free what
// was closed.
#include "io/linux/epoll_loop.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/linux/socket.h"

namespace nines::io {

namespace {

// The most that TCP_KEEPCNT takes: two minutes of probes, within which somebody has decided.
constexpr int kProbesMax = 127;
constexpr std::uint32_t kStreamEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
constexpr Duration kAcceptPause =
    std::chrono::milliseconds(100);  // after running out of descriptors

Instant read_clock() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec};
}

Error no_more_watches() {
  return Error(ErrorCode::kExhausted, "the kernel watches no more descriptors");
}

int socket_error(int descriptor) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

}  // namespace

// Whatever the kernel reports events for. Freed at the end of a pass only, so that an event later
// in the same batch finds a closed object and not a dangling one.
class EpollLoop::Pollable {
 public:
  virtual ~Pollable() = default;
  virtual void on_events(std::uint32_t events) = 0;
};

class EpollLoop::EpollStream final : public Pollable, public Stream {
 public:
  explicit EpollStream(EpollLoop& loop) : loop_(loop) {}
  ~EpollStream() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  // Begins a new life for a fresh or recycled object.
  void begin(int descriptor, std::size_t index) {
    descriptor_ = descriptor;
    index_ = index;
    handler_ = nullptr;
    read_size_ = kReadMin;
    flags_ = Flags{};
    pending_.clear();
    pending_offset_ = 0;
    local_known_ = false;
    send_error_ = 0;
  }

  void begin_connecting(const SocketAddress& to) {
    peer_ = to;
    flags_.connecting = true;
  }
  void begin_accepted(const SocketAddress& peer, const SocketAddress& local, bool local_known) {
    peer_ = peer;
    local_ = local;
    local_known_ = local_known;
    flags_.readable = true;  // optimistic: with deferred accepts the bytes are there already
  }

  Sent send(std::string_view bytes) override { return send_flags(bytes, 0); }
  Sent send_more(std::string_view bytes) override { return send_flags(bytes, MSG_MORE); }

  void finish() override {
    if (flags_.closed || flags_.finished) return;
    flags_.finished = true;
    if (!flags_.connecting && pending_size() == 0) ::shutdown(descriptor_, SHUT_WR);
  }

  void pause() override { flags_.paused = true; }
  void resume() override {
    if (!flags_.paused || flags_.closed) return;
    flags_.paused = false;
    if (flags_.readable) {
      loop_.make_ready(*this);
    } else if (!flags_.registered) {
      loop_.register_later(*this);
    }
  }
  void watch() override {
    if (!flags_.registered && !flags_.closed) loop_.register_later(*this);
  }

  void close() override {
    if (flags_.closed) return;
    flags_.closed = true;
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
    loop_.doomed_streams_.push_back(this);
  }
  void abort() override {
    if (flags_.closed) return;
    const linger reset{.l_onoff = 1, .l_linger = 0};
    static_cast<void>(setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &reset, sizeof reset));
    close();
  }

  std::size_t queued() const override { return pending_size(); }
  bool peer_gone() const override { return flags_.peer_gone || flags_.failed; }
  const SocketAddress& peer() const override { return peer_; }
  const SocketAddress& local() const override {
    if (!local_known_ && descriptor_ >= 0) {
      if (auto found = local_address(descriptor_)) local_ = *std::move(found);
      local_known_ = true;
    }
    return local_;
  }
  std::optional<Credentials> peer_credentials() const override {
    ucred found{};
    socklen_t size = sizeof found;
    if (peer_.family() != SocketAddress::Family::kUnix || descriptor_ < 0 ||
        getsockopt(descriptor_, SOL_SOCKET, SO_PEERCRED, &found, &size) != 0) {
      return std::nullopt;
    }
    return Credentials{found.pid, found.uid, found.gid};
  }
  void acknowledge() override {
    if (flags_.closed || flags_.failed || flags_.readable || flags_.peer_gone || !peer_.is_ip()) {
      return;
    }
    const int on = 1;
    static_cast<void>(setsockopt(descriptor_, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on));
  }
  void set_keepalive(bool on) override {
    const int value = on ? 1 : 0;
    static_cast<void>(setsockopt(descriptor_, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
  }
  void probe_peer() override {
    if (descriptor_ < 0 || !peer_.is_ip()) return;
    const auto set = [this](int level, int option, int value) {
      static_cast<void>(setsockopt(descriptor_, level, option, &value, sizeof value));
    };
    set(IPPROTO_TCP, TCP_KEEPIDLE, 1);
    set(IPPROTO_TCP, TCP_KEEPINTVL, 1);
    set(IPPROTO_TCP, TCP_KEEPCNT, kProbesMax);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
  }
  bool acknowledgement_overdue() const override {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (descriptor_ < 0 || getsockopt(descriptor_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
      return false;
    }
    return (info.tcpi_unacked > 0 && info.tcpi_retransmits > 0) || info.tcpi_probes > 0;
  }
  int descriptor() const override { return descriptor_; }

  void on_events(std::uint32_t events) override {
    if (flags_.closed || flags_.failed) return;
    if (flags_.connecting) {
      if (!finish_connecting(events)) return;
    }
    if ((events & EPOLLERR) != 0 && (flags_.paused || flags_.end_delivered)) {
      fail(Error::from_errno(socket_error_or_reset(), "connection with " + peer_.text()));
      return;
    }
    // Reading, even after a reset, yields first what came before it: an answer sent by a server
    // that closed without having read all of the request. Then recv() tells the error.
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) flags_.peer_gone = true;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
      flags_.readable = true;
      if (!flags_.paused) loop_.make_ready(*this);
    }
    if ((events & EPOLLOUT) != 0 && pending_size() > 0) flush();
  }

  // Reads what is there, at most kReadsPerPass times; stays ready when there may be more.
  void read() {
    flags_.in_ready = false;
    for (int reads = 0; reads < kReadsPerPass; ++reads) {
      if (flags_.closed || flags_.failed || flags_.paused || flags_.connecting ||
          flags_.end_delivered) {
        return;
      }
      if (!flags_.readable) break;
      char* const begin = loop_.scratch_.get();
      char* const data = begin + LentBytes::kHeadroom;
      const ssize_t count = ::recv(descriptor_, data, read_size_, MSG_DONTWAIT);
      if (count > 0) {
        const auto size = static_cast<std::size_t>(count);
        const bool full = size == read_size_;
        // A short read has emptied the socket: the next byte makes an edge. Not so once the peer
        // has finished, for that edge has passed; then read on to the end.
        if (!full && !flags_.peer_gone) flags_.readable = false;
        if (full) {
          read_size_ = std::min(read_size_ * 2, kReadMax);
        } else if (size < read_size_ / 4) {
          read_size_ = std::max(read_size_ / 2, kReadMin);
        }
        handler_->on_data(*this, LentBytes(begin, data, size, data + size + LentBytes::kTailroom));
        continue;
      }
      if (count == 0) {
        flags_.readable = false;
        flags_.peer_gone = true;
        if (send_error_ != 0) {
          fail(Error::from_errno(send_error_, "connection with " + peer_.text()));
          return;
        }
        flags_.end_delivered = true;
        handler_->on_end(*this);
        // Whoever still has to answer wants to know when the peer breaks off altogether.
        if (!flags_.closed && !flags_.registered) loop_.register_later(*this);
        return;
      }
      if (errno == EAGAIN || errno == EINTR) {
        flags_.readable = errno == EINTR;
        if (!flags_.readable) break;
        continue;
      }
      fail(Error::from_errno(errno, "connection with " + peer_.text()));
      return;
    }
    if (flags_.closed || flags_.failed || flags_.paused) return;
    if (flags_.readable) {
      loop_.make_ready(*this);
    } else if (!flags_.registered) {
      loop_.register_later(*this);
    }
  }

  bool register_now() {
    flags_.in_unregistered = false;
    if (flags_.closed || flags_.registered) return true;
    flags_.registered = true;
    return loop_.register_with_kernel(*this, descriptor_, kStreamEvents);
  }

  void fail(Error error) {
    if (flags_.closed || flags_.failed) return;
    flags_.failed = true;
    flags_.readable = false;
    pending_.clear();
    pending_offset_ = 0;
    if (handler_ != nullptr) handler_->on_failed(*this, error);
  }

  // Shrinks what a recycled object would otherwise hold on to.
  void forget() {
    handler_ = nullptr;
    if (pending_.capacity() > kReadMin) std::string().swap(pending_);
  }

  struct Flags {
    bool registered : 1 = false;
    bool readable : 1 = false;
    bool paused : 1 = false;
    bool connecting : 1 = false;
    bool closed : 1 = false;
    bool failed : 1 = false;
    bool finished : 1 = false;   // our FIN is sent or follows the queue
    bool peer_gone : 1 = false;  // the peer's FIN was seen
    bool end_delivered : 1 = false;
    bool in_ready : 1 = false;
    bool in_unregistered : 1 = false;
  } flags_;
  std::size_t index_ = 0;  // in loop_.streams_

 private:
  std::size_t pending_size() const { return pending_.size() - pending_offset_; }

  int socket_error_or_reset() const {
    const int error = socket_error(descriptor_);
    return error != 0 ? error : ECONNRESET;
  }

  Sent send_flags(std::string_view bytes, int flags) {
    if (flags_.closed || flags_.failed || (flags_.finished && !flags_.connecting)) {
      return Sent::kDone;
    }
    if (!flags_.connecting && pending_size() == 0) {
      while (!bytes.empty()) {
        const ssize_t count =
            ::send(descriptor_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL | flags);
        if (count >= 0) {
          bytes.remove_prefix(static_cast<std::size_t>(count));
          continue;
        }
        if (errno == EINTR) continue;
        if (errno == EAGAIN) break;
        break_later(errno);
        return Sent::kDone;
      }
      if (bytes.empty()) return Sent::kDone;
    }
    if (pending_offset_ > 0 && pending_offset_ >= pending_.size() / 2) {
      pending_.erase(0, pending_offset_);
      pending_offset_ = 0;
    }
    pending_.append(bytes);
    if (!flags_.registered) loop_.register_later(*this);
    return Sent::kQueued;
  }

  // Sending met a broken connection. The read side tells it, after the peer's last words (an answer
  // sent before it closed); the error is kept, for the kernel reports it once only and then looks
  // like a graceful end.
  void break_later(int error) {
    send_error_ = error;
    flags_.readable = true;
    if (flags_.paused || flags_.end_delivered) {
      loop_.failing_.emplace_back(this,
                                  Error::from_errno(error, "connection with " + peer_.text()));
    } else {
      loop_.make_ready(*this);
    }
    if (!flags_.registered) loop_.register_later(*this);
  }

  void flush() {
    while (pending_size() > 0) {
      const ssize_t count = ::send(descriptor_, pending_.data() + pending_offset_, pending_size(),
                                   MSG_DONTWAIT | MSG_NOSIGNAL);
      if (count < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN) return;
        const int error = errno;
        pending_.clear();
        pending_offset_ = 0;
        break_later(error);
        return;
      }
      pending_offset_ += static_cast<std::size_t>(count);
    }
    pending_.clear();
    pending_offset_ = 0;
    if (flags_.finished) ::shutdown(descriptor_, SHUT_WR);
    handler_->on_drained(*this);
  }

  // True when connected and the rest of the events is still to be looked at.
  bool finish_connecting(std::uint32_t events) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
      flags_.connecting = false;
      fail(Error::from_errno(socket_error_or_reset(), "connect to " + peer_.text()));
      return false;
    }
    if ((events & EPOLLOUT) == 0) return false;
    flags_.connecting = false;
    ++loop_.counters_.connected;
    handler_->on_connected(*this);
    if (flags_.closed || flags_.failed) return false;
    if (pending_size() > 0) {
      flush();
    } else if (flags_.finished) {
      ::shutdown(descriptor_, SHUT_WR);
    }
    return !flags_.closed && !flags_.failed;
  }

  EpollLoop& loop_;
  int descriptor_ = -1;
  std::size_t read_size_ = kReadMin;
  std::string pending_;
  std::size_t pending_offset_ = 0;
  SocketAddress peer_;
  mutable SocketAddress local_;
  mutable bool local_known_ = false;
  int send_error_ = 0;  // what a send() found, not yet told
};

class EpollLoop::EpollAcceptor final : public Pollable, public Acceptor, private Timer {
 public:
  EpollAcceptor(EpollLoop& loop, Descriptor owned, int descriptor, SocketAddress at,
                AcceptHandler& handler)
      : loop_(loop),
        owned_(std::move(owned)),
        descriptor_(descriptor),
        local_(std::move(at)),
        handler_(handler) {}

  bool start() {
    listening_ = true;
    return loop_.register_with_kernel(*this, descriptor_, EPOLLIN | EPOLLEXCLUSIVE);
  }

  void pause() override {
    cancel();
    stop_listening();
  }
  void resume() override {
    if (!listening_ && !closed_) start();
  }
  void close() override {
    if (closed_) return;
    pause();
    closed_ = true;
    owned_.reset();
    const auto found = std::find_if(loop_.others_.begin(), loop_.others_.end(),
                                    [this](const auto& other) { return other.get() == this; });
    CHECK(found != loop_.others_.end());
    loop_.doom(std::move(*found));
    loop_.others_.erase(found);
  }
  const SocketAddress& local() const override { return local_; }

  void on_events(std::uint32_t) override {
    for (int accepted = 0; accepted < kAcceptsPerPass && listening_ && !closed_; ++accepted) {
      sockaddr_storage storage;
      socklen_t size = sizeof storage;
      const int socket = ::accept4(descriptor_, reinterpret_cast<sockaddr*>(&storage), &size,
                                   SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket < 0) {
        if (errno == EAGAIN) return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
          stop_listening();
          loop_.arm(*this, kAcceptPause);
          handler_.on_accept_exhausted(Error::from_errno(errno, "accept on " + local_.text()));
          return;
        }
        continue;  // that connection died in the queue; the next may be sound
      }
      ++loop_.counters_.accepted;
      EpollStream& stream = loop_.new_stream(socket);
      SocketAddress peer = from_kernel(storage, size);
      if (local_.family() == SocketAddress::Family::kUnix) peer = local_;
      stream.begin_accepted(peer, local_, !local_.is_wildcard());
      handler_.on_accepted(stream);
      if (!stream.flags_.closed) {
        CHECK(stream.handler() != nullptr);
        stream.read();
      }
    }
  }

 private:
  void on_timer(Instant) override { resume(); }
  void stop_listening() {
    if (!listening_) return;
    listening_ = false;
    epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_DEL, descriptor_, nullptr);
  }

  EpollLoop& loop_;
  Descriptor owned_;
  int descriptor_;
  SocketAddress local_;
  AcceptHandler& handler_;
  bool listening_ = false;
  bool closed_ = false;
};

class EpollLoop::EpollDatagram final : public Pollable, public Datagram {
 public:
  EpollDatagram(EpollLoop& loop, Descriptor socket, SocketAddress local, DatagramHandler& handler)
      : loop_(loop), socket_(std::move(socket)), local_(std::move(local)), handler_(handler) {}

  bool send_to(const SocketAddress& to, std::string_view bytes) override {
    if (!socket_) return false;
    if (to != kernel_to_of_) {
      auto converted = to_kernel(to);
      if (!converted) return false;
      kernel_to_ = *converted;
      kernel_to_of_ = to;
    }
    return ::sendto(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                    kernel_to_.get(), kernel_to_.size) >= 0;
  }
  void close() override {
    if (!socket_) return;
    socket_.reset();
    const auto found = std::find_if(loop_.others_.begin(), loop_.others_.end(),
                                    [this](const auto& other) { return other.get() == this; });
    CHECK(found != loop_.others_.end());
    loop_.doom(std::move(*found));
    loop_.others_.erase(found);
  }
  const SocketAddress& local() const override { return local_; }

  void on_events(std::uint32_t) override {
    for (int reads = 0; reads < kReadsPerPass && socket_; ++reads) {
      sockaddr_storage storage;
      socklen_t size = sizeof storage;
      // The kernel writes nothing for an unnamed Unix sender.
      storage.ss_family = local_.is_ip() ? AF_UNSPEC : AF_UNIX;
      const ssize_t count = ::recvfrom(socket_.get(), loop_.scratch_.get(), kReadMax, MSG_DONTWAIT,
                                       reinterpret_cast<sockaddr*>(&storage), &size);
      if (count < 0) return;  // EAGAIN, or an ICMP error that concerns an earlier datagram
      handler_.on_datagram(from_kernel(storage, size),
                           {loop_.scratch_.get(), static_cast<std::size_t>(count)});
    }
  }

 private:
  EpollLoop& loop_;
  Descriptor socket_;
  SocketAddress local_;
  DatagramHandler& handler_;
  SocketAddress kernel_to_of_;
  KernelAddress kernel_to_;
};

class EpollLoop::Watch final : public Pollable {
 public:
  Watch(EpollLoop& loop, WatchId id, int descriptor, std::function<void(std::uint32_t)> callback)
      : loop_(loop), id_(id), descriptor_(descriptor), callback_(std::move(callback)) {}
  void on_events(std::uint32_t events) override {
    if (!dead_) callback_(events);
  }
  WatchId id() const { return id_; }
  void end() {
    dead_ = true;
    epoll_ctl(loop_.epoll_.get(), EPOLL_CTL_DEL, descriptor_, nullptr);
  }

 private:
  EpollLoop& loop_;
  WatchId id_;
  int descriptor_;
  std::function<void(std::uint32_t)> callback_;
  bool dead_ = false;
};

class EpollLoop::Wakeup final : public Pollable {
 public:
  Wakeup(EpollLoop& loop, Descriptor event) : loop_(loop), event_(std::move(event)) {}
  void ring() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(event_.get(), &one, sizeof one));
  }
  void on_events(std::uint32_t) override {
    std::uint64_t count = 0;
    static_cast<void>(!::read(event_.get(), &count, sizeof count));
    loop_.run_posted();
  }
  int descriptor() const { return event_.get(); }

 private:
  EpollLoop& loop_;
  Descriptor event_;
};

EpollLoop::EpollLoop(Descriptor epoll)
    : Loop(read_clock()),
      epoll_(std::move(epoll)),
      scratch_(new char[LentBytes::kHeadroom + kReadMax + LentBytes::kTailroom]) {}

EpollLoop::~EpollLoop() = default;

Result<std::unique_ptr<EpollLoop>> EpollLoop::create() {
  Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return Error::from_errno(errno, "epoll_create1");
  std::unique_ptr<EpollLoop> loop(new EpollLoop(std::move(epoll)));
  TRY(loop->prepare_wakeup());
  return loop;
}

Result<void> EpollLoop::prepare_wakeup() {
  Descriptor event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return Error::from_errno(errno, "eventfd");
  wakeup_ = std::make_unique<Wakeup>(*this, std::move(event));
  register_with_kernel(*wakeup_, wakeup_->descriptor(), EPOLLIN);
  return {};
}

void EpollLoop::run() {
  while (!stopping_.load(std::memory_order_relaxed)) run_once(std::chrono::hours(1));
  stopping_.store(false, std::memory_order_relaxed);
}

void EpollLoop::run_once(Duration wait_max) {
  int timeout_ms = static_cast<int>(milliseconds_of(wait_max));
  if (!ready_.empty() || !doomed_streams_.empty() || !doomed_.empty() || !unregistered_.empty() ||
      !end_of_pass_.empty() || !failing_.empty()) {
    // Work begun outside of a pass (a connect() before run()) must not wait for an event.
    timeout_ms = 0;
  } else if (const auto wakeup = wheel_.next_wakeup()) {
    const auto wait = *wakeup - now_;
    const auto rounded_up = (wait.count() + 999'999) / 1'000'000;
    timeout_ms = static_cast<int>(std::clamp<std::int64_t>(rounded_up, 0, timeout_ms));
  }
  epoll_event events[kEventsPerPass];
  if (watch_) watch_->sleeps_until(now_ + std::chrono::milliseconds(timeout_ms));
  const int count = ::epoll_wait(epoll_.get(), events, kEventsPerPass, timeout_ms);
  CHECK(count >= 0 || errno == EINTR);
  if (watch_) watch_->is_awake();
  refresh_clock();
  ++counters_.passes;
  for (int i = 0; i < count; ++i) {
    ++counters_.events;
    static_cast<Pollable*>(events[i].data.ptr)->on_events(events[i].events);
  }
  if (!failing_.empty()) {
    failing_now_.swap(failing_);
    for (auto& [stream, error] : failing_now_) stream->fail(std::move(error));
    failing_now_.clear();
  }
  ready_now_.swap(ready_);
  for (EpollStream* stream : ready_now_) stream->read();
  ready_now_.clear();
  wheel_.advance(now_);
  finish_pass();
}

void EpollLoop::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  wakeup_->ring();
}

void EpollLoop::refresh_clock() {
  now_ = read_clock();
  wall_time_ = WallTime{};
}

WallTime EpollLoop::wall_time() const {
  if (wall_time_.nanoseconds_since_epoch == 0) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    wall_time_ = WallTime{std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec};
  }
  return wall_time_;
}

Result<Acceptor*> EpollLoop::listen(const SocketAddress& at, const ListenOptions& options,
                                    AcceptHandler& handler) {
  Descriptor socket = TRY(open_listener(at, options));
  const SocketAddress local = TRY(local_address(socket.get()));
  const int descriptor = socket.get();
  auto acceptor =
      std::make_unique<EpollAcceptor>(*this, std::move(socket), descriptor, local, handler);
  EpollAcceptor* const result = acceptor.get();
  others_.push_back(std::move(acceptor));
  result->start();
  return result;
}

Acceptor* EpollLoop::share_listener(int descriptor, const SocketAddress& at,
                                    AcceptHandler& handler) {
  auto acceptor = std::make_unique<EpollAcceptor>(*this, Descriptor(), descriptor, at, handler);
  EpollAcceptor* const result = acceptor.get();
  others_.push_back(std::move(acceptor));
  result->start();
  return result;
}

Stream& EpollLoop::connect(const SocketAddress& to, const ConnectOptions& options,
                           StreamHandler& handler) {
  const auto begin = [&]() -> Result<int> {
    const KernelAddress kernel = TRY(to_kernel(to));
    Descriptor socket(
        ::socket(kernel.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return Error::from_errno(errno, "socket for " + to.text());
    if (to.is_ip()) {
      const int on = 1, off = 0;
      static_cast<void>(setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
      // The handshake's last ACK rides on the request, and later ACKs on data.
      if (!options.peer_may_speak_first) {
        static_cast<void>(setsockopt(socket.get(), IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off));
      }
    }
    if (options.source) {
      const KernelAddress source = TRY(to_kernel(*options.source));
      if (::bind(socket.get(), source.get(), source.size) != 0) {
        return Error::from_errno(errno, "cannot bind " + options.source->text());
      }
    }
    if (::connect(socket.get(), kernel.get(), kernel.size) != 0 && errno != EINPROGRESS) {
      return Error::from_errno(errno, "connect to " + to.text());
    }
    return socket.release();
  };
  auto descriptor = begin();
  EpollStream& stream = new_stream(descriptor ? *descriptor : -1);
  stream.begin_connecting(to);
  stream.set_handler(&handler);
  if (!descriptor) {
    // Told in the next pass, so that nobody hears of a failure before connect() has returned.
    failing_.emplace_back(&stream, std::move(descriptor).error());
    return stream;
  }
  if (options.keepalive) stream.set_keepalive(true);
  if (!stream.register_now()) {
    failing_.emplace_back(&stream, no_more_watches());
  }
  return stream;
}

Stream& EpollLoop::adopt(Descriptor socket, StreamHandler& handler) {
  const int descriptor = socket.release();
  EpollStream& stream = new_stream(descriptor);
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  SocketAddress peer;
  if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) == 0) {
    peer = from_kernel(storage, size);
  }
  stream.begin_accepted(peer, SocketAddress(), false);
  stream.flags_.readable = false;
  stream.set_handler(&handler);
  register_later(stream);
  return stream;
}

Result<Datagram*> EpollLoop::open_datagram(const SocketAddress& local, DatagramHandler& handler) {
  const bool unnamed = local.family() == SocketAddress::Family::kUnix && local.path().empty();
  KernelAddress kernel;
  kernel.storage.ss_family = AF_UNIX;
  if (!unnamed) kernel = TRY(to_kernel(local));
  Descriptor socket(
      ::socket(kernel.storage.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return Error::from_errno(errno, "socket for " + local.text());
  const int on = 1;
  static_cast<void>(setsockopt(socket.get(), IPPROTO_IP, IP_FREEBIND, &on, sizeof on));
  if (!unnamed && ::bind(socket.get(), kernel.get(), kernel.size) != 0) {
    return Error::from_errno(errno, "cannot bind " + local.text());
  }
  const SocketAddress bound = TRY(local_address(socket.get()));
  const int descriptor = socket.get();
  auto datagram = std::make_unique<EpollDatagram>(*this, std::move(socket), bound, handler);
  EpollDatagram* const result = datagram.get();
  others_.push_back(std::move(datagram));
  register_with_kernel(*result, descriptor, EPOLLIN);
  return result;
}

void EpollLoop::post(std::function<void()> task) {
  bool first;
  {
    const std::lock_guard lock(posted_mutex_);
    first = posted_.empty();
    posted_.push_back(std::move(task));
  }
  if (first) wakeup_->ring();
}

void EpollLoop::run_posted() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(posted_mutex_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) task();
}

void EpollLoop::at_end_of_pass(EndOfPass& hook) { end_of_pass_.push_back(&hook); }

EpollLoop::WatchId EpollLoop::watch_descriptor(int descriptor, std::uint32_t events,
                                               std::function<void(std::uint32_t)> callback) {
  const WatchId id = next_watch_++;
  auto watch = std::make_unique<Watch>(*this, id, descriptor, std::move(callback));
  CHECK(register_with_kernel(*watch, descriptor, events));
  others_.push_back(std::move(watch));
  return id;
}

void EpollLoop::unwatch_descriptor(WatchId id) {
  const auto found = std::find_if(others_.begin(), others_.end(), [id](const auto& other) {
    const auto* watch = dynamic_cast<const Watch*>(other.get());
    return watch != nullptr && watch->id() == id;
  });
  if (found == others_.end()) return;
  static_cast<Watch&>(**found).end();
  doom(std::move(*found));
  others_.erase(found);
}

Result<void> EpollLoop::on_signal(int number, std::function<void()> callback) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, number);
  if (::pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) {
    return Error::from_errno(errno, "pthread_sigmask");
  }
  Descriptor signal(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal) return Error::from_errno(errno, "signalfd");
  const int descriptor = signal.get();
  const WatchId id = watch_descriptor(
      descriptor, EPOLLIN, [descriptor, callback = std::move(callback)](std::uint32_t) {
        signalfd_siginfo info;
        while (::read(descriptor, &info, sizeof info) == sizeof info) callback();
      });
  signals_.emplace_back(std::move(signal), id);
  return {};
}

EpollLoop::EpollStream& EpollLoop::new_stream(int descriptor) {
  std::unique_ptr<EpollStream> stream;
  if (spares_.empty()) {
    stream = std::make_unique<EpollStream>(*this);
  } else {
    stream = std::move(spares_.back());
    spares_.pop_back();
  }
  stream->begin(descriptor, streams_.size());
  streams_.push_back(std::move(stream));
  return *streams_.back();
}

bool EpollLoop::register_with_kernel(Pollable& pollable, int descriptor, std::uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &pollable;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0;
}

void EpollLoop::make_ready(EpollStream& stream) {
  if (stream.flags_.in_ready) return;
  stream.flags_.in_ready = true;
  ready_.push_back(&stream);
}

void EpollLoop::register_later(EpollStream& stream) {
  if (stream.flags_.in_unregistered || stream.flags_.registered) return;
  stream.flags_.in_unregistered = true;
  unregistered_.push_back(&stream);
}

void EpollLoop::doom(std::unique_ptr<Pollable> pollable) { doomed_.push_back(std::move(pollable)); }

void EpollLoop::finish_pass() {
  // Hooks may ask again and may send, so by index over a list that can grow.
  for (std::size_t i = 0; i < end_of_pass_.size(); ++i) end_of_pass_[i]->on_end_of_pass();
  end_of_pass_.clear();

  for (std::size_t i = 0; i < unregistered_.size(); ++i) {
    EpollStream& stream = *unregistered_[i];
    if (!stream.register_now()) {
      stream.fail(no_more_watches());
    }
  }
  unregistered_.clear();

  if (doomed_streams_.empty() && doomed_.empty()) return;
  const auto closed = [](const EpollStream* stream) { return stream->flags_.closed; };
  std::erase_if(ready_, closed);
  std::erase_if(failing_, [](const auto& entry) { return entry.first->flags_.closed; });
  for (EpollStream* stream : doomed_streams_) {
    const std::size_t index = stream->index_;
    std::unique_ptr<EpollStream> owned = std::move(streams_[index]);
    if (index + 1 != streams_.size()) {
      streams_[index] = std::move(streams_.back());
      streams_[index]->index_ = index;
    }
    streams_.pop_back();
    if (spares_.size() < kSparesMax) {
      owned->forget();
      spares_.push_back(std::move(owned));
    }
  }
  doomed_streams_.clear();
  doomed_.clear();
}

}  // namespace nines::io

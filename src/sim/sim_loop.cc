// A pass, in the production loop's order: the clock is read once; what has changed is told; posted
// tasks; failures from before; reading; timers; hooks; registration; what was closed is freed.
#include "sim/sim_loop.h"

#include <algorithm>
#include <cerrno>

#include "base/check.h"
#include "sim/core.h"
#include "sim/host.h"
#include "sim/kernel.h"

namespace nines::sim {

using io::LentBytes;
using io::Sent;

class SimLoop::Pollable : public Watcher {
 public:
  explicit Pollable(SimLoop& loop) : loop_(loop) {}
  virtual void on_events() = 0;
  virtual void die(Ending how) = 0;
  void on_change() override {
    if (registered_) loop_.changed(*this);
  }

 protected:
  friend class SimLoop;
  SimLoop& loop_;
  bool registered_ = false;
  bool in_changed_ = false;
};

class SimLoop::SimStream final : public Pollable, public io::Stream {
 public:
  explicit SimStream(SimLoop& loop) : Pollable(loop) {}

  void begin(Tcp* tcp, std::size_t index) {
    tcp_ = tcp;
    index_ = index;
    handler_ = nullptr;
    registered_ = in_changed_ = false;
    read_size_ = kReadMin;
    flags_ = Flags{};
    pending_.clear();
    pending_offset_ = 0;
    local_ = SocketAddress();
    send_error_ = 0;
  }
  void begin_connecting(const SocketAddress& to) {
    peer_ = to;
    flags_.connecting = true;
  }
  void begin_accepted(const SocketAddress& peer) {
    peer_ = peer;
    flags_.readable = true;  // optimistic, as in production: the bytes may be there already
  }
  void take(Tcp* tcp) { tcp_ = tcp; }

  Sent send(std::string_view bytes) override { return send_bytes(bytes, false); }
  Sent send_more(std::string_view bytes) override { return send_bytes(bytes, true); }

  void finish() override {
    if (flags_.closed || flags_.finished) return;
    flags_.finished = true;
    if (!flags_.connecting && pending_size() == 0 && tcp_ != nullptr) tcp_->finish();
  }
  void pause() override { flags_.paused = true; }
  void resume() override {
    if (!flags_.paused || flags_.closed) return;
    flags_.paused = false;
    if (flags_.readable) {
      loop_.make_ready(*this);
    } else if (!registered_) {
      loop_.register_later(*this);
    }
  }
  void watch() override {
    if (!registered_ && !flags_.closed) loop_.register_later(*this);
  }
  void close() override { end(false); }
  void abort() override { end(true); }

  std::size_t queued() const override { return pending_size(); }
  bool peer_gone() const override { return flags_.peer_gone || flags_.failed; }
  const SocketAddress& peer() const override { return peer_; }
  const SocketAddress& local() const override {
    if (local_.family() == SocketAddress::Family::kNone && tcp_ != nullptr) {
      local_ = loop_.process_.host().kernel().local_address(*tcp_);
    }
    return local_;
  }
  std::optional<Credentials> peer_credentials() const override {
    if (peer_.family() != SocketAddress::Family::kUnix || tcp_ == nullptr) return std::nullopt;
    return Credentials{tcp_->peer_process_id(), 0, 0};
  }
  // Idle probes come after hours on Linux: there is nothing to simulate.
  void set_keepalive(bool) override {}
  void probe_peer() override {
    if (tcp_ != nullptr && peer_.is_ip()) tcp_->probe_peer();
  }
  bool acknowledgement_overdue() const override {
    return tcp_ != nullptr && peer_.is_ip() && tcp_->acknowledgement_overdue();
  }

  void on_events() override {
    if (flags_.closed || flags_.failed || tcp_ == nullptr) return;
    const Readiness events = tcp_->readiness();
    if (flags_.connecting && !finish_connecting(events)) return;
    if (events.error && (flags_.paused || flags_.end_delivered)) {
      fail(Error::from_errno(error_or_reset(), "connection with " + peer_.text()));
      return;
    }
    if (events.peer_finished || events.hang_up || events.error) flags_.peer_gone = true;
    if (events.in || events.peer_finished || events.hang_up || events.error) {
      flags_.readable = true;
      if (!flags_.paused) loop_.make_ready(*this);
    }
    if (events.out && pending_size() > 0) flush();
  }

  void read() {
    flags_.in_ready = false;
    for (int reads = 0; reads < kReadsPerPass; ++reads) {
      if (loop_.dead_ || flags_.closed || flags_.failed || flags_.paused || flags_.connecting ||
          flags_.end_delivered) {
        return;
      }
      if (!flags_.readable) break;
      char* const begin = loop_.scratch_.get();
      char* const data = begin + LentBytes::kHeadroom;
      const long count = tcp_->receive(data, read_size_);
      if (count > 0) {
        const auto size = static_cast<std::size_t>(count);
        const bool full = size == read_size_;
        if (!full && !flags_.peer_gone) flags_.readable = false;
        if (full) {
          read_size_ = std::min(read_size_ * 2, kReadMax);
        } else if (size < read_size_ / 4) {
          read_size_ = std::max(read_size_ / 2, kReadMin);
        }
        handler_->on_data(*this, LentBytes(begin, data, size, data + size + LentBytes::kTailroom));
        continue;
      }
      flags_.readable = false;
      if (count == 0) {
        flags_.peer_gone = true;
        if (send_error_ != 0) {
          fail(Error::from_errno(send_error_, "connection with " + peer_.text()));
          return;
        }
        flags_.end_delivered = true;
        handler_->on_end(*this);
        if (!loop_.dead_ && !flags_.closed && !registered_) loop_.register_later(*this);
        return;
      }
      if (count == -EAGAIN) break;
      fail(Error::from_errno(static_cast<int>(-count), "connection with " + peer_.text()));
      return;
    }
    if (loop_.dead_ || flags_.closed || flags_.failed || flags_.paused) return;
    if (flags_.readable) {
      loop_.make_ready(*this);
    } else if (!registered_) {
      loop_.register_later(*this);
    }
  }

  void register_now() {
    flags_.in_unregistered = false;
    if (flags_.closed || registered_) return;
    registered_ = true;
    // Registering reports what is ready already, as epoll does.
    if (tcp_ != nullptr && tcp_->readiness().any()) loop_.changed(*this);
  }

  void fail(Error error) {
    if (flags_.closed || flags_.failed) return;
    flags_.failed = true;
    flags_.readable = false;
    pending_.clear();
    pending_offset_ = 0;
    if (handler_ != nullptr) handler_->on_failed(*this, error);
  }

  void forget() {
    handler_ = nullptr;
    if (pending_.capacity() > kReadMin) std::string().swap(pending_);
  }

  void die(Ending how) override {
    if (Tcp* const tcp = std::exchange(tcp_, nullptr)) {
      if (how == Ending::kSilent && !tcp->dead()) {
        tcp->set_watcher(nullptr);  // the kernel frees it as it forgets everything
      } else {
        tcp->close(how == Ending::kReset);
      }
    }
    flags_.closed = true;
  }

  struct Flags {
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

  int error_or_reset() {
    const int error = tcp_->take_error();
    return error != 0 ? error : ECONNRESET;
  }

  void end(bool reset) {
    if (flags_.closed) return;
    flags_.closed = true;
    local();
    if (tcp_ != nullptr) {
      std::exchange(tcp_, nullptr)->close(reset);
      loop_.process_.give_back_descriptor();
    }
    loop_.doomed_streams_.push_back(this);
    loop_.wake();
  }

  Sent send_bytes(std::string_view bytes, bool more) {
    if (flags_.closed || flags_.failed || (flags_.finished && !flags_.connecting)) {
      return Sent::kDone;
    }
    if (!flags_.connecting && pending_size() == 0) {
      while (!bytes.empty()) {
        const long count = tcp_->send(bytes, more);
        if (count >= 0) {
          bytes.remove_prefix(static_cast<std::size_t>(count));
          continue;
        }
        if (count == -EAGAIN) break;
        break_later(static_cast<int>(-count));
        return Sent::kDone;
      }
      if (bytes.empty()) return Sent::kDone;
    }
    if (pending_offset_ > 0 && pending_offset_ >= pending_.size() / 2) {
      pending_.erase(0, pending_offset_);
      pending_offset_ = 0;
    }
    pending_.append(bytes);
    if (!registered_) loop_.register_later(*this);
    return Sent::kQueued;
  }

  // Told by the read side, after the peer's last words.
  void break_later(int error) {
    send_error_ = error;
    flags_.readable = true;
    if (flags_.paused || flags_.end_delivered) {
      loop_.failing_.emplace_back(this,
                                  Error::from_errno(error, "connection with " + peer_.text()));
      loop_.wake();
    } else {
      loop_.make_ready(*this);
    }
    if (!registered_) loop_.register_later(*this);
  }

  void flush() {
    while (pending_size() > 0) {
      const long count = tcp_->send(std::string_view(pending_).substr(pending_offset_), false);
      if (count == -EAGAIN) return;
      if (count < 0) {
        pending_.clear();
        pending_offset_ = 0;
        break_later(static_cast<int>(-count));
        return;
      }
      pending_offset_ += static_cast<std::size_t>(count);
    }
    pending_.clear();
    pending_offset_ = 0;
    if (flags_.finished) tcp_->finish();
    handler_->on_drained(*this);
  }

  bool finish_connecting(const Readiness& events) {
    if (events.error || events.hang_up) {
      flags_.connecting = false;
      fail(Error::from_errno(error_or_reset(), "connect to " + peer_.text()));
      return false;
    }
    if (!events.out) return false;
    flags_.connecting = false;
    ++loop_.counters_.connected;
    handler_->on_connected(*this);
    if (loop_.dead_ || flags_.closed || flags_.failed) return false;
    if (pending_size() > 0) {
      flush();
    } else if (flags_.finished) {
      tcp_->finish();
    }
    return !loop_.dead_ && !flags_.closed && !flags_.failed;
  }

  Tcp* tcp_ = nullptr;  // null when closed, or when connect() could not even begin
  std::size_t read_size_ = kReadMin;
  std::string pending_;
  std::size_t pending_offset_ = 0;
  SocketAddress peer_;
  mutable SocketAddress local_;
  int send_error_ = 0;  // what a send() found, not yet told
};

class SimLoop::SimAcceptor final : public Pollable, public io::Acceptor, private Timer {
 public:
  SimAcceptor(SimLoop& loop, io::AcceptHandler& handler) : Pollable(loop), handler_(handler) {}

  void start(Listener* listener) {
    listener_ = listener;
    local_ = listener->local;
    resume();
  }
  void pause() override {
    cancel();
    registered_ = false;
  }
  void resume() override {
    if (registered_ || listener_ == nullptr) return;
    registered_ = true;
    if (!listener_->queue.empty()) loop_.changed(*this);
  }
  void close() override {
    if (listener_ == nullptr) return;
    pause();
    loop_.process_.host().kernel().close(*std::exchange(listener_, nullptr));
    loop_.doom(*this);
  }
  const SocketAddress& local() const override { return local_; }

  void on_events() override {
    Process& process = loop_.process_;
    for (int accepted = 0; accepted < kAcceptsPerPass; ++accepted) {
      if (loop_.dead_ || !registered_ || listener_->queue.empty()) return;
      if (!process.take_descriptor()) {
        registered_ = false;
        loop_.arm(*this, kAcceptPause);
        handler_.on_accept_exhausted(Error::from_errno(EMFILE, "accept on " + local_.text()));
        return;
      }
      Tcp* const tcp = listener_->queue.front();
      listener_->queue.pop_front();
      ++loop_.counters_.accepted;
      SimStream& stream = loop_.new_stream(tcp);
      tcp->accepted(&stream);
      stream.begin_accepted(local_.is_ip() ? tcp->remote().address() : local_);
      handler_.on_accepted(stream);
      if (!loop_.dead_ && !stream.flags_.closed) {
        CHECK(stream.handler() != nullptr);
        stream.read();
      }
    }
    loop_.changed(*this);  // level-triggered: there may be more
  }
  void die(Ending how) override {
    cancel();
    registered_ = false;
    Listener* const listener = std::exchange(listener_, nullptr);
    if (listener != nullptr && how != Ending::kSilent) {
      loop_.process_.host().kernel().close(*listener);
    }
  }

 private:
  void on_timer(Instant) override { resume(); }

  io::AcceptHandler& handler_;
  Listener* listener_ = nullptr;
  SocketAddress local_;
};

class SimLoop::SimDatagram final : public Pollable, public io::Datagram {
 public:
  SimDatagram(SimLoop& loop, io::DatagramHandler& handler) : Pollable(loop), handler_(handler) {
    registered_ = true;
  }
  void start(DatagramSocket* socket) {
    socket_ = socket;
    local_ = socket->local;
  }

  bool send_to(const SocketAddress& to, std::string_view bytes) override {
    return socket_ != nullptr && loop_.process_.host().kernel().send(*socket_, to, bytes);
  }
  void close() override {
    if (socket_ == nullptr) return;
    loop_.process_.host().kernel().close(*std::exchange(socket_, nullptr));
    loop_.doom(*this);
  }
  const SocketAddress& local() const override { return local_; }

  void on_events() override {
    for (int reads = 0; reads < kReadsPerPass; ++reads) {
      if (loop_.dead_ || socket_ == nullptr || socket_->queue.empty()) return;
      Packet* const packet = socket_->queue.front();
      socket_->queue.pop_front();
      socket_->queued_bytes -= packet->payload.size();
      handler_.on_datagram(loop_.process_.host().kernel().address_of(packet->from),
                           packet->payload);
      loop_.core_.release(packet);
    }
    if (socket_ != nullptr && !socket_->queue.empty()) loop_.changed(*this);
  }
  void die(Ending how) override {
    DatagramSocket* const socket = std::exchange(socket_, nullptr);
    if (socket != nullptr && how != Ending::kSilent) {
      loop_.process_.host().kernel().close(*socket);
    }
  }

 private:
  io::DatagramHandler& handler_;
  DatagramSocket* socket_ = nullptr;
  SocketAddress local_;
};

SimLoop::SimLoop(Core& core, Process& process)
    : Loop(process.host().local_time()),
      core_(core),
      process_(process),
      scratch_(new char[LentBytes::kHeadroom + kReadMax + LentBytes::kTailroom]) {
  core_.loops.push_back(this);
}

SimLoop::~SimLoop() = default;

WallTime SimLoop::wall_time() const { return process_.host().wall_time(); }

Result<io::Acceptor*> SimLoop::listen(const SocketAddress& at, const io::ListenOptions& options,
                                      io::AcceptHandler& handler) {
  if (dead_) return Error(ErrorCode::kUnavailable, "the process is dead");
  auto acceptor = std::make_unique<SimAcceptor>(*this, handler);
  acceptor->start(TRY(process_.host().kernel().listen(at, options, process_.id(), *acceptor)));
  SimAcceptor* const result = acceptor.get();
  others_.push_back(std::move(acceptor));
  return result;
}

io::Stream& SimLoop::connect(const SocketAddress& to, const io::ConnectOptions& options,
                             io::StreamHandler& handler) {
  SimStream& stream = new_stream(nullptr);
  stream.begin_connecting(to);
  stream.set_handler(&handler);
  if (dead_) {
    stream.flags_.closed = true;
    return stream;
  }
  const auto begin = [&]() -> Result<Tcp*> {
    if (!process_.take_descriptor()) return Error::from_errno(EMFILE, "socket for " + to.text());
    auto tcp = process_.host().kernel().connect(to, options.source, process_.id(), stream);
    if (!tcp) process_.give_back_descriptor();
    return tcp;
  };
  if (auto tcp = begin()) {
    stream.take(*tcp);
    stream.register_now();
  } else {
    // Told in the next pass, so that nobody hears of a failure before connect() has returned.
    failing_.emplace_back(&stream, std::move(tcp).error());
    wake();
  }
  return stream;
}

Result<io::Datagram*> SimLoop::open_datagram(const SocketAddress& local,
                                             io::DatagramHandler& handler) {
  if (dead_) return Error(ErrorCode::kUnavailable, "the process is dead");
  auto datagram = std::make_unique<SimDatagram>(*this, handler);
  datagram->start(TRY(process_.host().kernel().open_datagram(local, *datagram)));
  SimDatagram* const result = datagram.get();
  others_.push_back(std::move(datagram));
  return result;
}

void SimLoop::post(std::function<void()> task) {
  if (dead_) return;
  posted_.push_back(std::move(task));
  wake();
}

std::size_t SimLoop::queued() const {
  std::size_t sum = 0;
  for (const auto& stream : streams_) sum += stream->queued();
  return sum;
}

void SimLoop::at_end_of_pass(io::EndOfPass& hook) {
  if (dead_) return;
  end_of_pass_.push_back(&hook);
  wake();
}

void SimLoop::run_pass() {
  woken_ = false;
  if (dead_ || process_.paused()) return;
  in_pass_ = true;
  refresh_clock();
  ++counters_.passes;

  changed_now_.swap(changed_);
  for (Pollable* const pollable : changed_now_) {
    if (dead_) break;
    pollable->in_changed_ = false;
    pollable->on_events();
  }
  changed_now_.clear();
  std::vector<std::function<void()>> tasks;
  tasks.swap(posted_);
  for (auto& task : tasks) {
    if (!dead_) task();
  }
  failing_now_.swap(failing_);
  for (auto& [stream, error] : failing_now_) {
    if (!dead_) stream->fail(std::move(error));
  }
  failing_now_.clear();
  ready_now_.swap(ready_);
  for (SimStream* const stream : ready_now_) {
    if (!dead_) stream->read();
  }
  ready_now_.clear();
  if (!dead_) wheel_.advance(now_);
  finish_pass();
  in_pass_ = false;
  if (dead_) return;
  if (!idle()) wake();
  wake_for_timer();
}

bool SimLoop::idle() const {
  return changed_.empty() && ready_.empty() && failing_.empty() && posted_.empty() &&
         unregistered_.empty() && end_of_pass_.empty() && doomed_streams_.empty() &&
         doomed_.empty();
}

void SimLoop::wake() {
  if (woken_ || in_pass_ || dead_ || process_.paused()) return;
  woken_ = true;
  core_.schedule(core_.now + process_.host().scheduling_delay(), Core::Kind::kPass, this);
}

void SimLoop::wake_for_timer() {
  if (woken_ || process_.paused()) return;  // the pass, or thaw(), looks again
  const auto wakeup = wheel_.next_wakeup();
  if (!wakeup) return;
  const Instant at = std::max(process_.host().true_time(*wakeup), core_.now);
  if (timer_queued_ != Instant{} && timer_queued_ <= at) return;
  timer_queued_ = at;
  core_.schedule(at, Core::Kind::kTimer, this, ++timer_tag_);
}

void SimLoop::on_timer_event(std::uint32_t tag) {
  if (tag != timer_tag_) return;
  timer_queued_ = Instant{};
  if (dead_ || process_.paused()) return;
  const auto wakeup = wheel_.next_wakeup();
  if (wakeup && *wakeup <= process_.host().local_time()) {
    wake();
  } else {
    wake_for_timer();
  }
}

void SimLoop::settle() {
  if (dead_) return;
  if (!idle()) wake();
  wake_for_timer();
}

void SimLoop::refresh_clock() {
  if (!dead_) now_ = process_.host().local_time();
}

void SimLoop::thaw() {
  if (dead_) return;
  if (!idle()) wake();
  timer_queued_ = Instant{};
  wake_for_timer();
}

void SimLoop::die(Ending how) {
  if (dead_) return;
  dead_ = true;
  for (auto& stream : streams_) stream->die(how);
  for (auto& other : others_) other->die(how);
  ready_.clear();
  failing_.clear();
  posted_.clear();
}

SimLoop::SimStream& SimLoop::new_stream(Tcp* tcp) {
  std::unique_ptr<SimStream> stream;
  if (spares_.empty()) {
    stream = std::make_unique<SimStream>(*this);
  } else {
    stream = std::move(spares_.back());
    spares_.pop_back();
  }
  stream->begin(tcp, streams_.size());
  streams_.push_back(std::move(stream));
  return *streams_.back();
}

void SimLoop::make_ready(SimStream& stream) {
  if (stream.flags_.in_ready) return;
  stream.flags_.in_ready = true;
  ready_.push_back(&stream);
  wake();
}

void SimLoop::register_later(SimStream& stream) {
  if (stream.flags_.in_unregistered || stream.registered_) return;
  stream.flags_.in_unregistered = true;
  unregistered_.push_back(&stream);
  wake();
}

void SimLoop::changed(Pollable& pollable) {
  if (pollable.in_changed_) return;
  pollable.in_changed_ = true;
  changed_.push_back(&pollable);
  wake();
}

void SimLoop::doom(Pollable& pollable) {
  const auto found = std::find_if(others_.begin(), others_.end(),
                                  [&](const auto& other) { return other.get() == &pollable; });
  CHECK(found != others_.end());
  doomed_.push_back(std::move(*found));
  others_.erase(found);
  wake();
}

void SimLoop::finish_pass() {
  for (std::size_t i = 0; i < end_of_pass_.size() && !dead_; ++i) {
    end_of_pass_[i]->on_end_of_pass();
  }
  end_of_pass_.clear();
  if (dead_) return;  // nothing is freed any more: its owners may still hold it
  for (std::size_t i = 0; i < unregistered_.size(); ++i) unregistered_[i]->register_now();
  unregistered_.clear();

  if (doomed_streams_.empty() && doomed_.empty()) return;
  const auto closed = [](const SimStream* stream) { return stream->flags_.closed; };
  std::erase_if(ready_, closed);
  std::erase_if(failing_, [](const auto& entry) { return entry.first->flags_.closed; });
  std::erase_if(changed_, [&](Pollable* pollable) {
    const auto* stream = dynamic_cast<const SimStream*>(pollable);
    if (stream != nullptr) return closed(stream);
    return std::any_of(doomed_.begin(), doomed_.end(),
                       [&](const auto& other) { return other.get() == pollable; });
  });
  for (SimStream* const stream : doomed_streams_) {
    const std::size_t index = stream->index_;
    std::unique_ptr<SimStream> owned = std::move(streams_[index]);
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

}  // namespace nines::sim

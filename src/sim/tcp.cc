// The life of a simulated connection. What is modelled follows RFC 9293 and Linux where a driver
// can tell the difference: who is told what after a reset, what close() with unread bytes does,
// when room for more is announced.
#include "sim/tcp.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "sim/core.h"
#include "sim/host.h"
#include "sim/kernel.h"

namespace nines::sim {

namespace {

constexpr std::size_t kKeptCapacity = 64u << 10;  // bytes of a buffer that outlive a connection

void empty(std::string& buffer, std::size_t& head) {
  head = 0;
  if (buffer.capacity() > kKeptCapacity) {
    std::string().swap(buffer);
  } else {
    buffer.clear();
  }
}

void drop_front(std::string& buffer, std::size_t& head, std::size_t count) {
  head += count;
  if (head == buffer.size()) {
    buffer.clear();
    head = 0;
  } else if (head >= buffer.size() / 2) {
    buffer.erase(0, head);
    head = 0;
  }
}

}  // namespace

void Tcp::begin(Kernel& kernel, const Endpoint& local, const Endpoint& remote) {
  kernel_ = &kernel;
  listener_ = nullptr;
  watcher_ = nullptr;
  ends_ = {local, remote};
  orphan_ = queued_for_accept_ = unreachable_ = false;
  peer_process_id_ = 0;
  error_ = 0;
  empty(out_, out_head_);
  empty(in_, in_head_);
  acknowledged_ = next_ = end_ = recover_ = peer_edge_ = received_ = 0;
  told_edge_ = kernel.receive_buffer();
  finishing_ = corked_ = wants_room_ = peer_finished_ = false;
  early_bytes_ = 0;
  retransmit_after_ = kSynTimeout;
  retries_ = 0;
  retransmit_at_ = core_.now + kSynTimeout;
  uncork_at_ = end_at_ = defer_until_ = timer_queued_ = Instant{};
  kernel.add(*this, ends_);
  in_table_ = true;
}

void Tcp::connect(Kernel& kernel, const Endpoint& local, const Endpoint& remote, int process_id) {
  begin(kernel, local, remote);
  connection_ = ++core_.connections;
  process_id_ = process_id;
  state_ = State::kSynSent;
  send_plain(PacketKind::kSyn, false);
  schedule_timer();
}

void Tcp::answer(Kernel& kernel, Listener& listener, const Packet& syn) {
  begin(kernel, syn.to, syn.from);
  connection_ = syn.connection;
  process_id_ = listener.process_id;
  peer_process_id_ = syn.process_id;
  peer_edge_ = syn.window;
  listener_ = &listener;
  ++listener.opening;
  state_ = State::kSynReceived;
  send_plain(PacketKind::kSynAck, false);
  schedule_timer();
}

void Tcp::handle_syn_again() {
  if (state_ == State::kSynReceived) send_plain(PacketKind::kSynAck, false);
}

void Tcp::open() {
  state_ = State::kOpen;
  retries_ = 0;
  retransmit_after_ = kRetransmitMin;
  retransmit_at_ = end_at_ = Instant{};
}

void Tcp::handle(Packet*& packet) {
  const Packet& seen = *packet;
  if (seen.kind == PacketKind::kReset) {
    if (state_ == State::kTimeWait) {
      free();
    } else {
      fail(state_ == State::kSynSent ? ECONNREFUSED : peer_finished_ ? EPIPE : ECONNRESET);
    }
    return;
  }
  switch (state_) {
    case State::kDead:
      return;
    case State::kSynSent:
      if (seen.kind != PacketKind::kSynAck) return;
      peer_process_id_ = seen.process_id;
      peer_edge_ = seen.window;
      open();
      kernel_->trace(ends_, "connected to");
      send_plain(PacketKind::kSegment, false);
      notify();
      return;
    case State::kTimeWait:
      if (seen.fin || !seen.payload.empty()) send_plain(PacketKind::kSegment, false);
      return;
    case State::kSynReceived:
      if (seen.kind != PacketKind::kSegment) return;
      if (listener_->closed) {
        send_plain(PacketKind::kReset, false);
        free();
        return;
      }
      open();
      if (listener_->defer && seen.payload.empty() && !seen.fin) {
        defer_until_ = core_.now + kDeferMax;
        schedule_timer();
      } else {
        ready_for_acceptor();
      }
      break;
    case State::kOpen:
      break;
  }
  if (seen.kind == PacketKind::kSynAck) {  // our acknowledgement was lost
    send_plain(PacketKind::kSegment, false);
    return;
  }
  if (seen.kind != PacketKind::kSegment) return;
  heard_at_ = core_.now;
  probes_out_ = 0;
  const std::uint32_t life = generation_;
  handle_acknowledgement(seen);
  if (life != generation_ || state_ == State::kDead) return;
  if (!seen.payload.empty() || seen.fin || seen.probe) handle_bytes(packet);
}

void Tcp::ready_for_acceptor() {
  if (queued_for_accept_ || listener_ == nullptr) return;
  defer_until_ = Instant{};
  queued_for_accept_ = true;
  --listener_->opening;
  listener_->queue.push_back(this);
  if (listener_->watcher != nullptr) listener_->watcher->on_change();
}

void Tcp::accepted(Watcher* watcher) {
  listener_ = nullptr;
  queued_for_accept_ = false;
  watcher_ = watcher;
}

void Tcp::handle_acknowledgement(const Packet& packet) {
  peer_edge_ = std::max(peer_edge_, packet.acknowledged + packet.window);
  if (packet.acknowledged > next_) return;  // of another life
  if (packet.acknowledged > acknowledged_) {
    const std::uint64_t bytes = std::min(packet.acknowledged, end_) - acknowledged_;
    drop_front(out_, out_head_, static_cast<std::size_t>(bytes));
    acknowledged_ = packet.acknowledged;
    retries_ = 0;
    retransmit_after_ = kRetransmitMin;
    retransmit_at_ = outstanding() ? core_.now + retransmit_after_ : Instant{};
    // What was lost together with the first is sent at once (RFC 6582's partial acknowledgement).
    if (outstanding() && acknowledged_ < recover_) retransmit_first();
    const std::size_t room =
        kernel_->send_buffer() - std::min(kernel_->send_buffer(), unacknowledged());
    if (wants_room_ && room >= kernel_->send_buffer() / 3) {
      wants_room_ = false;
      notify();
    }
    if (orphan_ && finish_acknowledged()) {
      if (peer_finished_) {  // the passive side: nothing of ours can be asked for again
        free();
        return;
      }
      end_at_ = core_.now + kOrphanMax;
    }
  } else if (!outstanding() && !packet.fin && packet.payload.empty()) {
    retries_ = 0;  // the peer lives and has no room yet
    if (peer_edge_ > next_) {
      retransmit_after_ = kRetransmitMin;
      retransmit_at_ = Instant{};
    }
  }
  send_new();
  schedule_timer();
}

void Tcp::handle_bytes(Packet*& packet) {
  const std::uint64_t begins = packet->sequence;
  const std::uint64_t ends = begins + packet->payload.size();
  if (orphan_ && !packet->payload.empty() && ends > received_) {
    // Nobody is left to read it (RFC 2525, section 2.16).
    send_plain(PacketKind::kReset, false);
    free();
    return;
  }
  const std::size_t before = unread();
  const bool had_finished = peer_finished_;
  if (!peer_finished_ && ends <= told_edge_ && ends + (packet->fin ? 1 : 0) > received_) {
    const auto place = std::lower_bound(
        early_.begin(), early_.end(), begins,
        [](const Packet* other, std::uint64_t sequence) { return other->sequence < sequence; });
    if (begins <= received_) {
      const auto known = static_cast<std::size_t>(received_ - begins);
      in_.append(packet->payload, known);
      received_ = ends;
      if (packet->fin) {
        peer_finished_ = true;
        ++received_;
      }
      take_early();
    } else if (early_.size() < kEarlyMax) {
      early_bytes_ += packet->payload.size();
      early_.insert(place, packet);
      packet = nullptr;
    }
  }
  send_plain(PacketKind::kSegment, false);
  if (unread() > before || peer_finished_ != had_finished) {
    if (listener_ != nullptr) ready_for_acceptor();
    notify();
  }
  if (orphan_) finish_orphan();
}

void Tcp::take_early() {
  std::size_t used = 0;
  for (; used < early_.size() && early_[used]->sequence <= received_; ++used) {
    Packet* const packet = early_[used];
    early_bytes_ -= packet->payload.size();
    const std::uint64_t ends = packet->sequence + packet->payload.size();
    if (!peer_finished_ && ends >= received_) {
      in_.append(packet->payload, static_cast<std::size_t>(received_ - packet->sequence));
      received_ = ends;
      if (packet->fin) {
        peer_finished_ = true;
        ++received_;
      }
    }
    core_.release(packet);
  }
  early_.erase(early_.begin(), early_.begin() + static_cast<std::ptrdiff_t>(used));
}

long Tcp::send(std::string_view bytes, bool more) {
  if (error_ != 0) return -std::exchange(error_, 0);
  if (state_ == State::kDead || finishing_) return -EPIPE;
  const std::size_t used = unacknowledged();
  const std::size_t room = kernel_->send_buffer() - std::min(kernel_->send_buffer(), used);
  const std::size_t size = std::min(room, bytes.size());
  if (size == 0) {
    wants_room_ = true;
    return -EAGAIN;
  }
  out_.append(bytes.substr(0, size));
  end_ += size;
  corked_ = more;
  uncork_at_ = more ? core_.now + kCorkMax : Instant{};
  send_new();
  schedule_timer();
  return static_cast<long>(size);
}

long Tcp::receive(char* into, std::size_t size) {
  const std::size_t count = std::min(size, unread());
  if (count > 0) {
    std::memcpy(into, in_.data() + in_head_, count);
    drop_front(in_, in_head_, count);
    // Room is announced once it is worth a packet (RFC 9293, section 3.8.6.2.2).
    const std::uint64_t edge = received_ + window();
    if (state_ == State::kOpen && !peer_finished_ &&
        edge - told_edge_ >= kernel_->receive_buffer() / 4) {
      send_plain(PacketKind::kSegment, false);
    }
    return static_cast<long>(count);
  }
  if (error_ != 0) return -std::exchange(error_, 0);
  return peer_finished_ || state_ == State::kDead ? 0 : -EAGAIN;
}

void Tcp::finish() {
  if (finishing_ || state_ == State::kDead) return;
  finishing_ = true;
  corked_ = false;
  send_new();
  schedule_timer();
}

void Tcp::close(bool reset) {
  watcher_ = nullptr;
  if (state_ == State::kDead || state_ == State::kSynSent) {
    free();
    return;
  }
  if (reset || unread() > 0) {
    send_plain(PacketKind::kReset, false);
    free();
    return;
  }
  orphan_ = true;
  finish();
  finish_orphan();
}

void Tcp::finish_orphan() {
  if (!finish_acknowledged()) return;
  if (peer_finished_) state_ = State::kTimeWait;
  end_at_ = core_.now + (peer_finished_ ? kTimeWait : kOrphanMax);
  retransmit_at_ = Instant{};
  schedule_timer();
}

int Tcp::take_error() { return std::exchange(error_, 0); }

Readiness Tcp::readiness() const {
  Readiness ready;
  if (state_ == State::kSynSent) return ready;
  ready.error = error_ != 0;
  ready.peer_finished = peer_finished_ || state_ == State::kDead;
  ready.hang_up = state_ == State::kDead || (peer_finished_ && finishing_);
  ready.in = unread() > 0 || ready.peer_finished || ready.error;
  ready.out = state_ == State::kDead || unacknowledged() < kernel_->send_buffer();
  return ready;
}

void Tcp::vanish() {
  in_table_ = false;  // the table is emptied as a whole
  if (orphan_ || watcher_ == nullptr) {
    free();
  } else {
    state_ = State::kDead;
    watcher_ = nullptr;
  }
}

void Tcp::fail(int error) {
  if (state_ == State::kDead) return;
  if (listener_ != nullptr && !queued_for_accept_) {
    free();
    return;
  }
  kernel_->trace(ends_, error == ECONNREFUSED   ? "refused by"
                        : error == ETIMEDOUT    ? "timed out with"
                        : error == EHOSTUNREACH ? "no such host:"
                                                : "reset by");
  if (orphan_) {
    free();
    return;
  }
  state_ = State::kDead;
  error_ = error;
  empty(out_, out_head_);
  retransmit_at_ = uncork_at_ = end_at_ = defer_until_ = probe_at_ = heard_at_ = Instant{};
  probes_out_ = 0;
  if (std::exchange(in_table_, false)) kernel_->remove(ends_);
  notify();
}

void Tcp::free() {
  if (std::exchange(in_table_, false)) kernel_->remove(ends_);
  if (listener_ != nullptr && !queued_for_accept_) --listener_->opening;
  listener_ = nullptr;
  watcher_ = nullptr;
  for (Packet* const packet : early_) core_.release(packet);
  early_.clear();
  ++generation_;
  state_ = State::kDead;
  core_.free_tcp(this);
}

void Tcp::send_new() {
  if (state_ != State::kOpen) return;
  while (next_ < end_) {
    const std::uint64_t room = peer_edge_ > next_ ? peer_edge_ - next_ : 0;
    const auto size =
        static_cast<std::size_t>(std::min({std::uint64_t{kSegmentMax}, end_ - next_, room}));
    const bool part = size < kSegmentMax && next_ + size == end_;
    if (size == 0 || (corked_ && part)) break;
    const bool fin = finishing_ && next_ + size == end_;
    send_segment(next_, size, fin);
    next_ += size + (fin ? 1 : 0);
  }
  if (finishing_ && next_ == end_) {
    send_segment(next_, 0, true);
    ++next_;
  }
  const bool blocked = next_ < end_ && !corked_;
  if ((outstanding() || blocked) && retransmit_at_ == Instant{}) {
    retransmit_at_ = core_.now + retransmit_after_;
  }
}

void Tcp::send_segment(std::uint64_t sequence, std::size_t size, bool fin) {
  Packet* const segment = packet(PacketKind::kSegment);
  segment->sequence = sequence;
  segment->fin = fin;
  segment->payload.append(out_, out_head_ + static_cast<std::size_t>(sequence - acknowledged_),
                          size);
  core_.transmit(kernel_->host(), segment);
}

void Tcp::send_plain(PacketKind kind, bool probe) {
  Packet* const plain = packet(kind);
  plain->sequence = next_;
  plain->probe = probe;
  const bool routed = core_.transmit(kernel_->host(), plain);
  if (kind == PacketKind::kSyn) {
    if (routed) {
      unreachable_ = false;
      end_at_ = Instant{};
    } else if (!std::exchange(unreachable_, true)) {
      end_at_ = core_.now + kNoNeighbour;
    }
  }
}

void Tcp::retransmit_first() {
  const auto size = static_cast<std::size_t>(std::min(
      {std::uint64_t{kSegmentMax}, end_ - std::min(end_, acknowledged_), next_ - acknowledged_}));
  send_segment(acknowledged_, size, finishing_ && acknowledged_ + size == end_ && next_ > end_);
}

Packet* Tcp::packet(PacketKind kind) {
  Packet* const made = core_.new_packet();
  made->kind = kind;
  made->from = ends_.local;
  made->to = ends_.remote;
  made->connection = connection_;
  made->process_id = process_id_;
  made->acknowledged = received_;
  made->window = window();
  told_edge_ = received_ + made->window;
  return made;
}

std::uint32_t Tcp::window() const {
  const std::size_t used = unread() + early_bytes_;
  const std::size_t room = kernel_->receive_buffer() - std::min(kernel_->receive_buffer(), used);
  // A window's end never moves back (RFC 9293, section 3.8.6.2.1).
  return static_cast<std::uint32_t>(std::max(received_ + room, told_edge_) - received_);
}

void Tcp::probe_peer() {
  if (state_ != State::kOpen || probe_at_ != Instant{}) return;
  probe_at_ = core_.now + kProbeInterval;
  schedule_timer();
}

bool Tcp::acknowledgement_overdue() const {
  return state_ == State::kOpen && ((outstanding() && retries_ > 0) || probes_out_ > 0);
}

void Tcp::schedule_timer() {
  Instant earliest = Instant::max();
  for (const Instant at : {retransmit_at_, uncork_at_, end_at_, defer_until_, probe_at_}) {
    if (at != Instant{}) earliest = std::min(earliest, at);
  }
  if (earliest == Instant::max()) return;
  if (timer_queued_ != Instant{} && timer_queued_ <= earliest) return;
  timer_queued_ = earliest;
  core_.schedule(earliest, Core::Kind::kSocket, this, generation_);
}

void Tcp::on_timer_event(std::uint32_t generation) {
  if (generation != generation_ || state_ == State::kDead) return;
  if (timer_queued_ <= core_.now) timer_queued_ = Instant{};
  const auto due = [this](Instant& at) {
    if (at == Instant{} || at > core_.now) return false;
    at = Instant{};
    return true;
  };
  if (due(end_at_)) {
    if (state_ == State::kSynSent) {
      fail(EHOSTUNREACH);
    } else {
      free();
    }
    return;
  }
  if (due(defer_until_)) ready_for_acceptor();
  if (due(uncork_at_)) {
    corked_ = false;
    send_new();
  }
  if (due(probe_at_)) {
    probe_at_ = core_.now + kProbeInterval;
    // Bytes that wait for their acknowledgement ask the same.
    if (!outstanding() && core_.now - heard_at_ >= kProbeInterval) {
      ++probes_out_;
      send_plain(PacketKind::kSegment, true);
    }
  }
  if (due(retransmit_at_)) {
    on_retransmit_timer();
    if (generation != generation_ || state_ == State::kDead) return;
  }
  schedule_timer();
}

void Tcp::on_retransmit_timer() {
  const int retries_max = state_ == State::kSynSent       ? kSynRetriesMax
                          : state_ == State::kSynReceived ? kSynAckRetriesMax
                                                          : kRetransmitsMax;
  const bool waiting = state_ != State::kOpen || outstanding() || next_ < end_;
  if (!waiting) return;
  if (retries_ >= retries_max) {
    fail(ETIMEDOUT);
    return;
  }
  ++retries_;
  retransmit_after_ = std::min(retransmit_after_ * 2, kRetransmitMax);
  retransmit_at_ = core_.now + retransmit_after_;
  if (state_ == State::kSynSent) {
    send_plain(PacketKind::kSyn, false);
  } else if (state_ == State::kSynReceived) {
    send_plain(PacketKind::kSynAck, false);
  } else if (outstanding()) {
    recover_ = next_;
    retransmit_first();
  } else {
    send_plain(PacketKind::kSegment, true);
  }
}

}  // namespace nines::sim

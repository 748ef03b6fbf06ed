// One end of a simulated stream connection, as a kernel has it: buffers, windows, retransmission,
// and calls that never block. TCP's behaviour, without its wire format or congestion control.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "sim/packet.h"

namespace nines::sim {

class Core;
class Kernel;
class Listener;

// Whoever wants to know that something about a socket has changed; what, it asks the socket.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void on_change() = 0;
};

// What a socket is ready for; named after poll(2)'s bits.
struct Readiness {
  bool in = false, out = false, peer_finished = false, hang_up = false, error = false;
  bool any() const { return in || out || peer_finished || hang_up || error; }
};

class Tcp {
 public:
  // Linux's own figures (tcp(7): tcp_syn_retries, tcp_synack_retries, tcp_retries2, TCP_RTO_MIN,
  // TCP_RTO_MAX): an unanswered connect() ends after 127 s, unanswered data after 15 minutes.
  static constexpr Duration kSynTimeout = 1s;
  static constexpr int kSynRetriesMax = 6;
  static constexpr int kSynAckRetriesMax = 5;
  static constexpr Duration kRetransmitMin = 200ms;
  static constexpr Duration kRetransmitMax = 120s;
  static constexpr int kRetransmitsMax = 15;
  static constexpr Duration kNoNeighbour = 3s;  // until an address that nobody has is unreachable
  static constexpr Duration kCorkMax = 200ms;   // MSG_MORE holds a part of a segment so long
  static constexpr Duration kTimeWait = 3s;    // shorter than Linux's 60 s: late packets end sooner
  static constexpr Duration kOrphanMax = 60s;  // a closed socket whose peer does not finish
  static constexpr Duration kDeferMax = 1s;    // a deferred connection is accepted without bytes
  static constexpr Duration kProbeInterval = 1s;         // of probe_peer()
  static constexpr std::size_t kSegmentMax = 16u << 10;  // bytes; as with segmentation offload
  static constexpr std::size_t kEarlyMax = 64;  // segments kept that came before their turn

  explicit Tcp(Core& core) : core_(core) {}

  // A client's end; sends the SYN.
  void connect(Kernel& kernel, const Endpoint& local, const Endpoint& remote, int process_id);
  // A server's end, made for a SYN that came.
  void answer(Kernel& kernel, Listener& listener, const Packet& syn);

  // The calls. Sizes are bytes; a negative answer is an errno.
  long send(std::string_view bytes, bool more);
  long receive(char* into, std::size_t size);
  void finish();           // shutdown(SHUT_WR)
  void close(bool reset);  // the caller's pointer is dead then
  int take_error();        // SO_ERROR
  void probe_peer();       // SO_KEEPALIVE with the shortest interval, and no end
  bool acknowledgement_overdue() const;
  Readiness readiness() const;
  void set_watcher(Watcher* watcher) { watcher_ = watcher; }
  int peer_process_id() const { return peer_process_id_; }
  const Endpoint& local() const { return ends_.local; }
  const Endpoint& remote() const { return ends_.remote; }
  bool dead() const { return state_ == State::kDead; }

  // For the kernel.
  void handle(Packet*& packet);  // sets it to null when it keeps it
  void handle_syn_again();
  void on_timer_event(std::uint32_t generation);
  void accepted(Watcher* watcher);  // leaves the listener's queue
  void vanish();  // the host lost power: no packet, no error; freed when nobody holds it
  bool orphan() const { return orphan_; }
  std::uint64_t connection() const { return connection_; }

 private:
  // kSynSent ──SYN-ACK──> kOpen ──reset, timeout──> kDead
  // kSynReceived ──ACK──> kOpen ──closed, all said and acknowledged──> kTimeWait ──> (free)
  enum class State : std::uint8_t { kSynSent, kSynReceived, kOpen, kTimeWait, kDead };

  void begin(Kernel& kernel, const Endpoint& local, const Endpoint& remote);
  void open();
  void handle_acknowledgement(const Packet& packet);
  void handle_bytes(Packet*& packet);
  void take_early();
  void ready_for_acceptor();
  void fail(int error);
  void free();
  void send_new();
  void send_segment(std::uint64_t sequence, std::size_t size, bool fin);
  void send_plain(PacketKind kind, bool probe);
  void retransmit_first();
  Packet* packet(PacketKind kind);
  void on_retransmit_timer();
  void schedule_timer();
  void finish_orphan();
  void notify() {
    if (watcher_ != nullptr) watcher_->on_change();
  }
  std::size_t unread() const { return in_.size() - in_head_; }
  std::size_t unacknowledged() const { return out_.size() - out_head_; }
  std::uint32_t window() const;
  bool outstanding() const { return next_ > acknowledged_; }
  bool finish_acknowledged() const { return finishing_ && acknowledged_ == end_ + 1; }

  Core& core_;
  Kernel* kernel_ = nullptr;
  Listener* listener_ = nullptr;  // until accepted
  Watcher* watcher_ = nullptr;
  EndpointPair ends_;
  std::uint64_t connection_ = 0;
  std::uint32_t generation_ = 0;
  State state_ = State::kDead;
  bool orphan_ = false;  // closed by its process
  bool in_table_ = false;
  bool queued_for_accept_ = false;
  bool unreachable_ = false;  // nobody has the address
  int process_id_ = 0;
  int peer_process_id_ = 0;
  int error_ = 0;

  // Sending: out_ holds the bytes from acknowledged_ to end_; those before next_ are on their way.
  // The FIN takes the sequence number end_.
  std::string out_;
  std::size_t out_head_ = 0;
  std::uint64_t acknowledged_ = 0, next_ = 0, end_ = 0;
  std::uint64_t recover_ = 0;    // what was on its way when the timer last fired
  std::uint64_t peer_edge_ = 0;  // the first byte that the peer has no room for
  bool finishing_ = false;
  bool corked_ = false;
  bool wants_room_ = false;  // a send() was cut short

  // Receiving: in_ holds what came in order; early_ what came before its turn.
  std::string in_;
  std::size_t in_head_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t told_edge_ = 0;  // the window's end as the peer knows it
  bool peer_finished_ = false;
  std::vector<Packet*> early_;  // ordered by sequence
  std::size_t early_bytes_ = 0;

  Duration retransmit_after_{};
  int retries_ = 0;
  Instant retransmit_at_{}, uncork_at_{}, end_at_{}, defer_until_{}, probe_at_{};
  Instant heard_at_{};      // of probe_peer(): the last packet
  int probes_out_ = 0;      // since then
  Instant timer_queued_{};  // the earliest event in the queue for this life
};

}  // namespace nines::sim

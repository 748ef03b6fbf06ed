// Runs a membership machine on a loop: its heartbeats to peers, what it concludes to whoever
// listens. Duties: membership.h.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/time.h"
#include "cluster/membership.h"
#include "cluster/node_verdict.h"
#include "io/loop.h"

namespace nines::cluster {

// To other nodes, on one network; losing, delaying and reordering are allowed.
class HeartbeatSender {
 public:
  virtual ~HeartbeatSender() = default;
  virtual void send(std::size_t network, NodeId to, const Heartbeat& heartbeat) = 0;
};

// Lives on its loop; all references outlive it.
class MembershipDriver : private Timer {
 public:
  // CLOCK_BOOTTIME at this very moment: a loop's own is of the beginning of its pass.
  using Clock = std::function<Instant()>;
  using Concluded = std::function<void(const NodeVerdict&)>;

  MembershipDriver(Membership machine, io::Loop& loop, Clock clock, HeartbeatSender& sender);
  MembershipDriver(const MembershipDriver&) = delete;
  MembershipDriver& operator=(const MembershipDriver&) = delete;

  // Before start(). Called from the loop once the event that brought it about is dealt with, in
  // the order of these calls; may call back, but for start().
  void on_verdict(Concluded listener) { concluded_.push_back(std::move(listener)); }
  // After each change of anybody's presence or standing, and after its verdict.
  void on_change(std::function<void()> listener) { changed_.push_back(std::move(listener)); }

  // Once, first. `incarnation`: random, not 0.
  void start(std::uint64_t incarnation) { handle(membership_event::Start{incarnation}); }
  // `from`: as authenticated, never as claimed.
  void heard(NodeId from, std::size_t network, const Heartbeat& heartbeat) {
    handle(membership_event::Heard{from, static_cast<int>(network), heartbeat});
  }
  // Something is about to be sent to that node on all networks: the heartbeats that go along, by
  // network; none when none is due soon. Calls no listener.
  const std::vector<Heartbeat>& riding_to(NodeId to);
  void stand(Standing standing) { handle(membership_event::Stand{standing}); }

  const Membership& machine() const { return machine_; }
  std::vector<PeerStatus> status() const { return machine_.status(clock_()); }

 private:
  void on_timer(Instant) override { handle(membership_event::TimerFired{}); }
  void handle(const MembershipEvent& event);
  void arm();

  Membership machine_;
  io::Loop& loop_;
  Clock clock_;
  HeartbeatSender& sender_;
  std::vector<Concluded> concluded_;
  std::vector<std::function<void()>> changed_;
  MembershipEffects effects_, riding_effects_;
  std::vector<Heartbeat> riding_;
  bool handling_ = false;
};

}  // namespace nines::cluster

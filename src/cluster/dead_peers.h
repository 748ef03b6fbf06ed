// When a controller is dead to everybody at once: who may be cut off from the clients on this host,
// for how long, and when that ends. A verdict needs a majority, a host that says nothing at all,
// and an observer that trusts itself; a rule in the kernel lives no longer than its reason.
//
// One detector, a threshold for each action by what a mistake costs: a doubt takes new work away,
// within tens of milliseconds, and is taken back as fast. A verdict resets connections, and a reset
// to a peer that lives makes real partitions in RabbitMQ and Galera.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cluster/membership.h"
#include "cluster/node_set.h"

namespace nines::cluster {

struct DeadPeersOptions {
  NodeId self = 0;
  NodeSet nodes;  // all controllers, with or without self
  // This host is none of them, has no vote and gives no work: others' verdicts are its reason, its
  // own silence is asked for besides. `self` is 0.
  bool observes = false;
  bool on = true;
  // For so long a host is silent on all networks before its connections are reset.
  Duration silence = std::chrono::seconds(1);  // DeadPeers::kSilenceLeast to kSilenceMost
  // Each return from a verdict doubles the silence asked for, until the host has been there for so
  // long without a pause.
  Duration hold_down = std::chrono::minutes(1);  // 0 to DeadPeers::kHoldDownMost
};

// One peer as it is seen at the moment.
struct PeerSight {
  NodeId node = 0;
  bool heard = false;      // its heartbeats come, on some network
  bool was_known = false;  // it has been heard at some time
  bool has_left = false;   // it said that it goes
  // Who of those that are heard, ourselves included, does not hear it.
  NodeSet unheard_by;
};

namespace dead_peer_event {
// What membership sees, by deadline() and whenever it changes. All peers, by node.
struct Look {
  std::vector<PeerSight> peers;
  bool isolated = false;  // we hear nobody
  int strain = 0;         // how much this host distrusts its own clock, 0 to 7
};
// The host's kernel answered an echo request, on some network.
struct Answered {
  NodeId node = 0;
};
// The first rule against the node stands: said once after each verdict.
struct Blocked {
  NodeId node = 0;
};
struct Configure {
  bool on = true;
  Duration silence{};    // as in the options, checked
  Duration hold_down{};  // as in the options, checked
};
}  // namespace dead_peer_event
using DeadPeerEvent = std::variant<dead_peer_event::Look, dead_peer_event::Answered,
                                   dead_peer_event::Blocked, dead_peer_event::Configure>;

dead_peer_event::Look look_of(const Membership& membership, int networks, Instant now);

namespace dead_peer_effect {
// New connections to the node's services are answered with a reset until then, by the clock of
// `now`. Repeated to renew.
struct Block {
  NodeId node = 0;
  Instant until{};
};
// Sockets to the node's services end. Only ever while it is blocked; the rule comes first, or they
// would connect anew into silence.
struct Destroy {
  NodeId node = 0;
  bool again = false;
};
struct Unblock {
  NodeId node = 0;
};
// No new work for the node's servers; then work again, as much as before or little by little.
struct Shun {
  NodeId node = 0;
};
struct Readmit {
  NodeId node = 0;
  bool slowly = false;
};
// Ask the host's kernel whether it is there.
struct Probe {
  NodeId node = 0;
};
}  // namespace dead_peer_effect
using DeadPeerEffect =
    std::variant<dead_peer_effect::Block, dead_peer_effect::Destroy, dead_peer_effect::Unblock,
                 dead_peer_effect::Shun, dead_peer_effect::Readmit, dead_peer_effect::Probe>;
using DeadPeerEffects = std::vector<DeadPeerEffect>;

// Why a verdict is as it is, at a moment.
struct DeadPeerEvidence {
  bool heard = false;
  bool has_left = false;
  std::optional<Duration> silent;    // for how long it has been quiet by all we know
  Duration silence_asked{};          // from which on it counts as dead
  NodeSet unheard_by;                // controllers that do not hear it
  int controllers = 0;               // of so many
  int strain = 0;                    // of our own
  std::optional<Duration> answered;  // since its kernel answered an echo request; none: never
  int returns = 0;                   // lately, after having been called dead
};

struct DeadPeerStatus {
  NodeId node = 0;
  // kWell ──not heard──> kDoubted ──silent, by majority──> kDead ──heard, or reason gone──> kBack
  //   ^───────────────────── heard ──┘                                                        │
  //   └──────────────────────────────────────────────────────── steady ───────────────────────┘
  enum class Verdict : std::uint8_t { kWell, kDoubted, kDead, kBack };
  Verdict verdict = Verdict::kWell;
  bool shunned = false;                 // its servers get no new work
  bool blocked = false;                 // the kernel has said that the rule stands
  std::optional<Duration> blocked_for;  // since the verdict
  int verdicts = 0;                     // since this process began
  DeadPeerEvidence evidence;
};
std::string_view name_of(DeadPeerStatus::Verdict verdict);
// For people: "silent for 1.2 s of 1.0 s asked, on all networks; not heard by 2 of 3 controllers".
std::string text_of(const DeadPeerEvidence& evidence);

// The driver's duties: effects in their order. A Block has taken effect in the kernel before
// Blocked is said; what it put there ends by itself at `until`, whatever becomes of this process. A
// Look no later than deadline(); `now` is CLOCK_BOOTTIME. Lives on one loop; not thread-safe.
//
//  1. With each Look, look_of() what the membership machine says now, after what waits in the
//     sockets was read; one with each change of anybody's presence, at once.
//  2. Shun and Readmit are passed on to whoever balances.
//  3. When the process ends, its rules end with it (`flags owner` of nftables).
class DeadPeers {
 public:
  static constexpr Duration kSilenceLeast = std::chrono::milliseconds(500);
  static constexpr Duration kSilenceMost = std::chrono::minutes(1);
  static constexpr Duration kHoldDownMost = std::chrono::hours(1);
  static constexpr Duration kLookEvery = std::chrono::milliseconds(50);
  // While everybody hears everybody and nothing is left of a verdict, there is nothing to wait for
  // but a change, which is told: a host at rest is woken for looks no more often than this.
  static constexpr Duration kLookCalmEvery = std::chrono::milliseconds(200);
  // Looks further apart than this: it was this host that stood still, and whatever it thought of
  // others before says nothing now.
  static constexpr Duration kGapMost = std::chrono::milliseconds(400);
  // How long the kernel keeps a rule that nobody renews. Renewed only while its reason is seen to
  // hold: with whatever hangs, a rule is gone a second after that. Who is back is seen by the
  // answer to a probe, kProbeEvery and a look later, if no heartbeat comes before.
  static constexpr Duration kRuleLife = std::chrono::seconds(1);
  static constexpr Duration kRenewEvery = std::chrono::milliseconds(250);
  // A majority that was lost for a moment is waited for; then the rule goes.
  static constexpr Duration kReasonGrace = std::chrono::milliseconds(500);
  static constexpr Duration kDestroyAgainAfter = std::chrono::milliseconds(200);
  static constexpr Duration kSteady = std::chrono::milliseconds(500);  // until it gets work again
  static constexpr int kDoublingsMost = 4;                             // of the silence asked for
  // Each degree of strain asks for a part more of the silence.
  static constexpr int kStrainPart = 4;
  // Echo requests to a host that is not heard, and to one that is: whether it answers when well.
  static constexpr Duration kProbeEvery = std::chrono::milliseconds(200);
  static constexpr Duration kProbeWellEvery = std::chrono::seconds(10);
  // An answer vouches for the host for so long.
  static constexpr Duration kAnswerHolds = std::chrono::milliseconds(450);

  static Result<DeadPeers> create(DeadPeersOptions options);
  // kInvalid, and why.
  static Result<void> check(Duration silence, Duration hold_down);

  // Appends to `out`.
  void handle(const DeadPeerEvent& event, Instant now, DeadPeerEffects& out);
  Instant deadline() const { return look_at_; }

  std::vector<DeadPeerStatus> status(Instant now) const;  // by node
  NodeSet blocked() const;
  bool on() const { return options_.on; }
  const DeadPeersOptions& options() const { return options_; }
  // So many may be cut off at a time: fewer than half.
  int blocked_most() const { return (nodes_.size() - 1) / 2; }

 private:
  struct Peer {
    NodeId node = 0;
    PeerSight sight;
    std::optional<Instant> answered_at;
    Instant unheard_at{};   // when it was heard no longer; zero: it never was
    Instant there_since{};  // without a pause
    bool was_there = false;
    // Since when nothing was heard of it while a majority did not hear it either.
    std::optional<Instant> quiet_since;
    Instant reason_at{};  // when the reason was last seen to hold
    Instant probe_at{};
    bool dead = false;      // the verdict
    bool standing = false;  // and the rule stands
    Instant dead_since{}, renew_at{};
    std::optional<Instant> destroy_again_at;
    bool shunned = false;
    bool slowly = false;  // what it returns from was a verdict
    int returns = 0;
    int verdicts = 0;
  };

  explicit DeadPeers(DeadPeersOptions options);

  void on(const dead_peer_event::Look& look, Instant now, DeadPeerEffects& out);
  void on(const dead_peer_event::Answered& answered, Instant now, DeadPeerEffects& out);
  void on(const dead_peer_event::Blocked& blocked, Instant now, DeadPeerEffects& out);
  void on(const dead_peer_event::Configure& configure, Instant now, DeadPeerEffects& out);

  void forget_silence(DeadPeerEffects& out);
  void judge(Peer& peer, Instant now, DeadPeerEffects& out);
  void declare_dead(Peer& peer, Instant now, DeadPeerEffects& out);
  void lift(Peer& peer, DeadPeerEffects& out);
  void count_return(Peer& peer);
  void share_work(Instant now, DeadPeerEffects& out);
  void probe(Peer& peer, Instant now, DeadPeerEffects& out);
  bool is_calm() const;
  bool is_there(const Peer& peer, Instant now) const;
  NodeSet unheard_by(const Peer& peer) const;
  bool has_reason(const Peer& peer) const;
  bool counts_silence(bool reason) const;
  bool is_doubtful(const Peer& peer, Instant now) const;
  Duration silence_asked(const Peer& peer) const;
  Peer* find(NodeId node);

  DeadPeersOptions options_;
  NodeSet nodes_;            // self included, unless it only observes
  std::vector<Peer> peers_;  // by node
  std::optional<Instant> looked_at_;
  Instant look_at_{};
  bool isolated_ = true;
  int strain_ = 0;
};

}  // namespace nines::cluster

// Who is there: heartbeats on every network between all nodes, a detector that learns what each
// link is like, and a verdict that needs several observers. Membership says who is probably alive,
// and fast; who may own is for leases alone.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cluster/node_set.h"
#include "cluster/node_verdict.h"

namespace nines::cluster {

// As a node says of itself.
enum class Standing : std::uint8_t { kServing, kMaintenance, kLeaving };
std::string_view name_of(Standing standing);

// As others see it.
//
//   kUnknown ──heard both ways──> kJoining ──steady──> kMember <──heard again── kSuspect
//      kGone ──heard both ways──────^  │                  └──silent on all links───^  │
//        ^── silent, or it leaves ─────┴───────────────────────────── verdict ────────┘
enum class Presence : std::uint8_t { kUnknown, kJoining, kMember, kSuspect, kGone };
std::string_view name_of(Presence presence);

struct Heartbeat {
  std::uint64_t incarnation = 0;  // random for each process
  std::uint64_t sequence = 0;     // grows by one on each link
  Instant sent_at{};              // by the sender's clock; only it ever reads this
  // What the sender heard last from the receiver on this network; sequence 0: nothing yet.
  std::uint64_t echo_sequence = 0;
  std::uint64_t echo_incarnation = 0;  // of the receiver, when it sent that
  Instant echo_sent_at{};
  Duration echo_held{};  // from hearing that until sending this
  Standing standing = Standing::kServing;
  std::uint8_t strain = 0;  // how much the sender distrusts itself: 0 to Membership::kStrainMax
  NodeSet hears;            // both ways, on some network
  NodeSet suspects;
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

struct MembershipOptions {
  NodeId self = 0;
  NodeSet peers;     // with or without self
  int networks = 1;  // 1 to kNetworksMax
  // Of heartbeats; 1 ms to 10 s. Not below that of renewals, with which they go.
  Duration interval = std::chrono::milliseconds(30);
  Duration silence_min =
      std::chrono::milliseconds(90);                 // never suspected sooner; 2 intervals or more
  Duration silence_max = std::chrono::seconds(2);    // suspected by then at the latest
  Duration steady = std::chrono::milliseconds(500);  // heard for so long before it is a member
};

namespace membership_event {
struct Start {
  std::uint64_t incarnation = 0;  // random, not 0
};
struct Heard {
  NodeId from = 0;  // authenticated
  int network = 0;
  Heartbeat heartbeat;
};
struct TimerFired {};
struct Stand {
  Standing standing = Standing::kServing;
};
// Something else is about to be sent to that node on all networks: its heartbeats go along when
// they are due within half an interval. Nobody is judged; the effects are Sends alone.
struct Departing {
  NodeId to = 0;
};
}  // namespace membership_event
using MembershipEvent =
    std::variant<membership_event::Start, membership_event::Heard, membership_event::TimerFired,
                 membership_event::Stand, membership_event::Departing>;

namespace membership_effect {
struct Send {
  NodeId to = 0;
  int network = 0;
  Heartbeat heartbeat;
};
struct Changed {
  NodeId node = 0;
  Presence presence = Presence::kUnknown;
  Standing standing = Standing::kServing;
};
// Follows the Changed that it is the reason of.
struct Concluded {
  NodeVerdict verdict;
};
}  // namespace membership_effect
using MembershipEffect =
    std::variant<membership_effect::Send, membership_effect::Changed, membership_effect::Concluded>;
using MembershipEffects = std::vector<MembershipEffect>;

struct LinkStatus {
  bool ever_heard = false;     // in this life of either side
  bool hears = false;          // the peer's heartbeats come
  bool is_heard = false;       // and the peer's echoes say that ours arrive
  Duration round_trip{};       // smoothed; zero: not known
  Duration jitter{};           // mean deviation between arrivals
  double loss = 0;             // of the peer's heartbeats, smoothed, 0 to 1
  Duration silence{};          // since it was last heard
  Duration silence_allowed{};  // until it counts as broken
};
struct PeerStatus {
  NodeId node = 0;
  std::uint64_t incarnation = 0;  // its newest life that was heard; 0: none
  Presence presence = Presence::kUnknown;
  Instant since{};  // when it became that
  Standing standing = Standing::kServing;
  std::uint8_t strain = 0;
  NodeSet suspected_by;                        // ourselves included, of those who count
  NodeSet observers;                           // who count
  NodeSet unheard_by;                          // observers that do not hear it both ways
  std::array<LinkStatus, kNetworksMax> links;  // the first `networks`
};

// The driver's duties: what waits in the sockets is read before TimerFired; `now` is
// CLOCK_BOOTTIME; effects at once and in order. Lives on one loop; not thread-safe.
class Membership {
 public:
  static constexpr int kStrainMax = 7;
  static constexpr int kMissedMin = 3;    // heartbeats in a row before a link is suspected
  static constexpr double kDoubt = 1e-8;  // how likely silence may be on a sound link
  // A heartbeat that is due waits so long for something to go along with.
  static constexpr Duration kCompanyWait = std::chrono::milliseconds(4);
  static constexpr int kCalmHeartbeats = 25;  // in time, until one strain less

  static Result<Membership> create(MembershipOptions options);

  // Appends to `out`.
  void handle(const MembershipEvent& event, Instant now, MembershipEffects& out);
  std::optional<Instant> deadline() const;

  std::vector<PeerStatus> status(Instant now) const;  // by node
  Presence presence(NodeId node) const;
  NodeSet members() const;  // self included while it hears anybody or is alone by configuration
  // We hear nobody at all: it is ourselves that we should doubt. Nobody is declared gone then.
  bool is_isolated() const { return isolated_; }
  int strain() const { return strain_; }
  Standing standing() const { return standing_; }
  std::uint64_t incarnation() const { return incarnation_; }

 private:
  struct Link {
    bool begun = false;
    std::uint64_t incarnation = 0;
    std::uint64_t sequence_heard = 0, sequence_sent = 0;
    Instant heard_at{}, their_sent_at{}, echo_sent_at{};
    Instant arrives_until{};  // the last instant at which the peer is known to have heard us
    Duration round_trip{}, interval{}, jitter{};
    double loss = 0;
    int missed_max = 0;  // in a row, of a sound link with that loss; 0: not reckoned yet
  };
  struct Peer {
    NodeId node = 0;
    std::uint64_t incarnation = 0;
    Presence presence = Presence::kUnknown;
    Instant since{};
    Standing standing = Standing::kServing;
    std::uint8_t strain = 0;
    Instant heard_since{};
    Instant beat_at{};        // when its heartbeats go by themselves at the latest
    NodeSet hears, suspects;  // as it said last
    std::array<Link, kNetworksMax> links;
  };

  explicit Membership(MembershipOptions options);

  void on(const membership_event::Start& start, Instant now, MembershipEffects& out);
  void on(const membership_event::Heard& heard, Instant now, MembershipEffects& out);
  void on(const membership_event::TimerFired&, Instant, MembershipEffects&) {}
  void on(const membership_event::Stand& stand, Instant now, MembershipEffects& out);
  void on(const membership_event::Departing& departing, Instant now, MembershipEffects& out);

  void notice_stall(Instant now);
  void measure(Link& link, const Heartbeat& heartbeat, Instant now);
  void judge(Instant now, MembershipEffects& out);
  void enter(Peer& peer, Presence presence, Instant now, MembershipEffects& out);
  NodeVerdict verdict_on(const Peer& peer, Finding finding, Instant now) const;
  bool is_late(Instant now) const;
  void send_due(Instant now, MembershipEffects& out);
  void send_to(Peer& peer, Instant now, MembershipEffects& out);
  void hurry(Instant now);
  Duration allowed(const Link& link) const;
  bool hears(const Link& link, Instant now) const;
  bool is_heard(const Link& link, Instant now) const;
  bool is_up(const Peer& peer, Instant now) const;
  NodeSet observers_of(NodeId node) const;
  NodeSet suspecting(NodeId node) const;
  NodeSet not_hearing(NodeId node) const;
  Peer* find(NodeId node);
  const Peer* find(NodeId node) const;

  MembershipOptions options_;
  std::vector<Peer> peers_;  // by node
  bool started_ = false;
  std::uint64_t incarnation_ = 0;
  Standing standing_ = Standing::kServing;
  Instant trust_others_until_{};  // after a stall of ours
  Instant judge_at_{};            // at the latest, whatever else happens
  int strain_ = 0, calm_ = 0;
  bool isolated_ = true;
  NodeSet hears_, suspects_;
};

}  // namespace nines::cluster

// Tests only: controllers whose networks, processes and clocks fail, with the membership machine
// and the verdicts' machine of each, a kernel that keeps rules, and a judge who knows the truth.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <tuple>
#include <vector>

#include "base/rng.h"
#include "cluster/dead_peers.h"
#include "cluster/membership.h"

namespace nines::cluster {

// Bugs that a driver or a kernel could have; the judge must find each.
enum class DeadPeerPlant {
  kNone,
  kForgetsToUnblock,    // the rule is never taken away, and goes on being renewed
  kRulesWithoutEnd,     // elements without timeouts in a table without an owner
  kHidesStandingStill,  // looks are made up for the time in which the host stood still
  kMinorityActs,        // says that everybody sees what we see
  kEchoIgnored,         // answers of a host whose nines is dead are not passed on
  kImpatient,           // half the silence is enough
  kDestroysFirst,       // sockets end before the rule stands
};

struct DeadPeersTally {
  std::uint64_t verdicts = 0, lifted = 0, shunned = 0, faults = 0;
  Duration outlived_most{};  // a rule, its reason
  Duration noticed_most{};   // the same, where the host was at work and nothing was lost
};

class DeadPeersWorld {
 public:
  DeadPeersWorld(std::uint64_t seed, DeadPeerPlant plant);

  // Half a minute of faults, then all is healed, one host dies, and returns. What was wrong, or
  // nothing.
  std::string run();
  const DeadPeersTally& tally() const { return tally_; }
  int nodes() const { return count_; }

  // For single stories.
  void run_for(Duration time);
  void cut_off(NodeId node, bool cut);  // all networks, both ways
  void kill_nines(NodeId node);
  void start_nines(NodeId node);
  void stop_nines(NodeId node, bool stopped);  // SIGSTOP: its kernel goes on
  void pause_host(NodeId node, bool paused);   // nothing goes on
  bool stands(NodeId on, NodeId against) const;
  bool shuns(NodeId on, NodeId against) const { return host(on).shunned.contains(against); }
  int destroyed(NodeId on) const { return host(on).destroyed; }
  void set_nodes(int count);  // first
  const std::string& wrong() const { return wrong_; }

 private:
  static constexpr int kNetworks = 2;
  static constexpr std::size_t kHostsMost = 5;
  struct Host {
    std::unique_ptr<Membership> membership;  // none: its nines is dead
    std::unique_ptr<DeadPeers> verdicts;
    std::deque<membership_event::Heard> inbox;  // while it is stopped
    bool stopped = false, paused = false;
    Duration offset{};  // of its clock
    Instant armed{}, looks_at{};
    std::map<NodeId, Instant> rules;  // in its kernel: until when
    NodeSet shunned;
    int destroyed = 0;
    std::uint64_t life = 0;
    Instant majority_at{};  // the last time it was with most
    Instant works_since{};  // its nines, without a pause
  };
  struct Entry {
    Instant at;
    std::uint64_t order;
    NodeId to;
    std::uint64_t life;
    enum class Kind : std::uint8_t { kHeard, kTimer, kLook, kAnswered } kind;
    membership_event::Heard heard;
    bool operator<(const Entry& other) const {
      return std::tie(other.at, other.order) < std::tie(at, order);
    }
  };

  Host& host(NodeId id) { return hosts_[id - 1u]; }
  const Host& host(NodeId id) const { return hosts_[id - 1u]; }
  Instant local(NodeId id) const { return now_ + host(id).offset; }
  bool runs(NodeId id) const {
    return host(id).membership != nullptr && !host(id).stopped && !host(id).paused;
  }
  void push(Duration in, NodeId to, Entry::Kind kind, membership_event::Heard heard = {});
  bool is_open(NodeId from, NodeId to, int network) const;
  bool hears_truly(NodeId by, NodeId who) const;
  void tell_membership(NodeId id, const MembershipEvent& event);
  void look(NodeId id);
  void tell_verdicts(NodeId id, const DeadPeerEvent& event, Instant when);
  void perform(NodeId id, const DeadPeerEffect& effect);
  void block(NodeId id, NodeId against, Instant until);
  void wake(NodeId id);
  void set_cut(NodeId from, NodeId to, int network, bool cut) {
    cuts_[static_cast<std::size_t>(network)][from][to] = cut;
    truth_known_ = false;
  }
  void know_truth();
  void note_truth();
  void judge_rules();
  void set_loss(double loss) {
    if (loss_ > 0) lossless_since_ = now_;
    loss_ = loss;
  }
  void fault();
  void heal();
  void complain(const std::string& what);
  void dispatch(const Entry& entry);

  base::Rng rng_;
  DeadPeerPlant plant_;
  int count_;
  std::uint64_t seed_;
  std::vector<Host> hosts_;
  std::priority_queue<Entry> queue_;
  // A table by two hosts.
  template <typename T>
  using Pairs = std::array<std::array<T, kHostsMost + 1>, kHostsMost + 1>;
  std::array<Pairs<bool>, kNetworks> cuts_{};  // from, to
  // What follows from cuts, pauses and deaths, worked out anew when one of them has changed: who
  // (second) is truly heard by whom (first), and who has most others.
  Pairs<bool> hears_{};
  std::array<bool, kHostsMost + 1> with_most_{};
  bool truth_known_ = false;
  // By observer and observed: when it was last there for it, and since when without a pause.
  Pairs<std::optional<Instant>> there_last_{}, there_since_{};
  MembershipEffects effects_;  // scratch
  Instant now_{1'000'000'000};
  Instant noted_at_{};
  std::uint64_t order_ = 0;
  double loss_ = 0;
  Instant lossless_since_{};
  DeadPeersTally tally_;
  std::string wrong_;
};

}  // namespace nines::cluster

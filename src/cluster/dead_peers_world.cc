// Time goes in events; the truth is noted each few milliseconds, and rules are held against it.
#include "cluster/dead_peers_world.h"

#include <algorithm>

#include "base/check.h"

namespace nines::cluster {
namespace {

constexpr Duration kNoteEvery = std::chrono::milliseconds(5);
// Whoever is back is noticed by the answer to a probe, which is sent in the first look that is due,
// or by a heartbeat before.
constexpr Duration kBackUnnoticedMost = DeadPeers::kProbeEvery + DeadPeers::kLookEvery;
// An answer's or a heartbeat's way, to the next time that the truth is noted.
constexpr Duration kWayMost = std::chrono::milliseconds(10);
// Where nothing is lost, a host at work takes a rule away by then after its reason has gone.
constexpr Duration kLiftMost = kBackUnnoticedMost + kWayMost;
// Until then a rule may be renewed; if its host is stopped right after that, the element's own end
// is what takes it away. No bound below the sum of both can be kept, since nobody knows sooner.
constexpr Duration kOutliveMost = kLiftMost + DeadPeers::kRuleLife;
// What a lossy network takes besides.
constexpr Duration kNoticeMost = std::chrono::milliseconds(150);
// Since gossip needs its way, and a lost majority is waited for.
constexpr Duration kMajorityAgo = DeadPeers::kReasonGrace + std::chrono::milliseconds(300);
constexpr Duration kFaultsFor = std::chrono::seconds(30);
// Shorter than by default, so that a schedule can end with everything forgotten.
constexpr Duration kHoldDown = std::chrono::seconds(10);
constexpr Duration kEndless = std::chrono::hours(1000);
constexpr std::size_t kInboxMost = 200;

}  // namespace

DeadPeersWorld::DeadPeersWorld(std::uint64_t seed, DeadPeerPlant plant)
    : rng_(seed), plant_(plant), count_(3 + static_cast<int>(rng_.below(3))), seed_(seed) {
  set_nodes(count_);
}

void DeadPeersWorld::set_nodes(int count) {
  CHECK(count <= static_cast<int>(kHostsMost));
  count_ = count;
  truth_known_ = false;
  hosts_.clear();
  hosts_.resize(static_cast<std::size_t>(count));
  queue_ = {};
  for (int i = 1; i <= count; ++i) {
    host(static_cast<NodeId>(i)).offset =
        Duration(static_cast<std::int64_t>(rng_.below(1'000'000'000'000)));
  }
  for (int i = 1; i <= count; ++i) start_nines(static_cast<NodeId>(i));
}

void DeadPeersWorld::start_nines(NodeId id) {
  Host& each = host(id);
  NodeSet all;
  for (int i = 1; i <= count_; ++i) all.add(static_cast<NodeId>(i));
  MembershipOptions options;
  options.self = id;
  options.peers = all;
  options.networks = kNetworks;
  each.membership = std::make_unique<Membership>(*Membership::create(options));
  DeadPeersOptions verdicts;
  verdicts.self = id;
  verdicts.nodes = all;
  verdicts.hold_down = kHoldDown;
  if (plant_ == DeadPeerPlant::kImpatient) verdicts.silence = DeadPeers::kSilenceLeast;
  each.verdicts = std::make_unique<DeadPeers>(*DeadPeers::create(verdicts));
  each.stopped = false;
  each.works_since = now_;
  truth_known_ = false;
  each.inbox.clear();
  each.shunned = {};
  ++each.life;
  each.armed = {};
  each.looks_at = {};
  tell_membership(id, membership_event::Start{rng_.next() | 1});
  push(0ns, id, Entry::Kind::kLook);
}

void DeadPeersWorld::kill_nines(NodeId id) {
  Host& each = host(id);
  truth_known_ = false;
  each.membership.reset();
  each.verdicts.reset();
  each.stopped = false;
  each.inbox.clear();
  if (plant_ != DeadPeerPlant::kRulesWithoutEnd) each.rules.clear();  // `flags owner`
}

void DeadPeersWorld::stop_nines(NodeId id, bool stopped) {
  if (host(id).membership == nullptr) return;
  if (!runs(id)) host(id).works_since = now_;
  host(id).stopped = stopped;
  truth_known_ = false;
  if (runs(id)) wake(id);
}

void DeadPeersWorld::pause_host(NodeId id, bool paused) {
  if (!runs(id)) host(id).works_since = now_;
  host(id).paused = paused;
  truth_known_ = false;
  if (runs(id)) wake(id);
}

// What waits in the sockets is read first.
void DeadPeersWorld::wake(NodeId id) {
  while (!host(id).inbox.empty()) {
    const auto heard = host(id).inbox.front();
    host(id).inbox.pop_front();
    tell_membership(id, heard);
  }
  tell_membership(id, membership_event::TimerFired{});
  look(id);
}

void DeadPeersWorld::cut_off(NodeId node, bool cut) {
  for (int i = 1; i <= count_; ++i) {
    for (int network = 0; network < kNetworks; ++network) {
      set_cut(node, static_cast<NodeId>(i), network, cut);
      set_cut(static_cast<NodeId>(i), node, network, cut);
    }
  }
}

void DeadPeersWorld::push(Duration in, NodeId to, Entry::Kind kind, membership_event::Heard heard) {
  queue_.push({.at = now_ + in,
               .order = order_++,
               .to = to,
               .life = host(to).life,
               .kind = kind,
               .heard = heard});
}

bool DeadPeersWorld::is_open(NodeId from, NodeId to, int network) const {
  return !host(from).paused && !cuts_[static_cast<std::size_t>(network)][from][to];
}

// What comes from its nines by one way, or from its kernel by both.
bool DeadPeersWorld::hears_truly(NodeId by, NodeId who) const {
  for (int network = 0; network < kNetworks; ++network) {
    const bool comes = is_open(who, by, network);
    if (comes && runs(who)) return true;
    if (comes && is_open(by, who, network)) return true;
  }
  return false;
}

void DeadPeersWorld::tell_membership(NodeId id, const MembershipEvent& event) {
  Host& each = host(id);
  effects_.clear();
  each.membership->handle(event, local(id), effects_);
  bool changed = false;
  for (const MembershipEffect& effect : effects_) {
    changed |= std::holds_alternative<membership_effect::Changed>(effect);
    const auto* const send = std::get_if<membership_effect::Send>(&effect);
    if (send == nullptr || rng_.chance(loss_)) continue;
    push(50us + Duration(static_cast<std::int64_t>(rng_.below(2'000'000))), send->to,
         Entry::Kind::kHeard, membership_event::Heard{id, send->network, send->heartbeat});
  }
  const auto deadline = each.membership->deadline();
  if (deadline && *deadline != each.armed) {
    each.armed = *deadline;
    push(std::max(*deadline - local(id), Duration{}) +
             Duration(static_cast<std::int64_t>(rng_.below(1'000'000))),
         id, Entry::Kind::kTimer);
  }
  if (changed) look(id);
}

void DeadPeersWorld::look(NodeId id) {
  Host& each = host(id);
  dead_peer_event::Look look = look_of(*each.membership, kNetworks, local(id));
  if (plant_ == DeadPeerPlant::kMinorityActs) {
    look.isolated = false;
    for (PeerSight& sight : look.peers) {
      if (sight.heard) continue;
      for (int i = 1; i <= count_; ++i) sight.unheard_by.add(static_cast<NodeId>(i));
    }
  }
  if (plant_ == DeadPeerPlant::kHidesStandingStill && each.looks_at.nanoseconds != 0) {
    // As if the sight of before had been there all the while, with nobody heard.
    for (PeerSight& sight : look.peers) {
      sight.heard = false;
      for (int i = 1; i <= count_; ++i) sight.unheard_by.add(static_cast<NodeId>(i));
    }
    look.isolated = false;
    for (Instant at = each.looks_at; at + DeadPeers::kGapMost < local(id);
         at = at + DeadPeers::kLookEvery) {
      tell_verdicts(id, look, at);
    }
    look = look_of(*each.membership, kNetworks, local(id));
  }
  each.looks_at = local(id);
  tell_verdicts(id, look, local(id));
  push(each.verdicts->deadline() - local(id), id, Entry::Kind::kLook);
}

void DeadPeersWorld::tell_verdicts(NodeId id, const DeadPeerEvent& event, Instant when) {
  DeadPeerEffects effects;
  host(id).verdicts->handle(event, when, effects);
  for (const DeadPeerEffect& effect : effects) perform(id, effect);
}

void DeadPeersWorld::perform(NodeId id, const DeadPeerEffect& effect) {
  Host& each = host(id);
  if (const auto* const probe = std::get_if<dead_peer_effect::Probe>(&effect)) {
    bool answers = false;
    for (int network = 0; network < kNetworks; ++network) {
      answers |= is_open(id, probe->node, network) && is_open(probe->node, id, network) &&
                 !rng_.chance(loss_);
    }
    if (!answers || plant_ == DeadPeerPlant::kEchoIgnored) return;
    membership_event::Heard from;
    from.from = probe->node;
    push(1ms, id, Entry::Kind::kAnswered, from);
  } else if (const auto* const shun = std::get_if<dead_peer_effect::Shun>(&effect)) {
    ++tally_.shunned;
    each.shunned.add(shun->node);
    if (2 * each.shunned.size() >= count_) complain("more than a minority gets no work");
  } else if (const auto* const readmit = std::get_if<dead_peer_effect::Readmit>(&effect)) {
    each.shunned.remove(readmit->node);
  } else if (const auto* const block = std::get_if<dead_peer_effect::Block>(&effect)) {
    this->block(id, block->node, block->until);
  } else if (const auto* const unblock = std::get_if<dead_peer_effect::Unblock>(&effect)) {
    ++tally_.lifted;
    if (plant_ != DeadPeerPlant::kForgetsToUnblock) {
      each.rules.erase(unblock->node);
    } else if (each.rules.contains(unblock->node)) {
      each.rules[unblock->node] = now_ + kEndless;
    }
  } else if (const auto* const destroy = std::get_if<dead_peer_effect::Destroy>(&effect)) {
    ++each.destroyed;
    if (!stands(id, destroy->node)) {
      complain("node " + std::to_string(id) + " destroys sockets to " +
               std::to_string(destroy->node) + " without a rule");
    }
  }
}

void DeadPeersWorld::block(NodeId id, NodeId against, Instant until) {
  Host& each = host(id);
  const bool stood = stands(id, against);
  if (!stood && plant_ == DeadPeerPlant::kDestroysFirst) {
    tell_verdicts(id, dead_peer_event::Blocked{against}, local(id));
  }
  each.rules[against] =
      plant_ == DeadPeerPlant::kRulesWithoutEnd ? now_ + kEndless : until - each.offset;
  if (stood) return;
  ++tally_.verdicts;
  const std::string who =
      "node " + std::to_string(id) + " against " + std::to_string(against) + ": ";
  const auto& last = there_last_[id][against];
  const Duration silent = last ? now_ - *last : kEndless;
  if (silent < DeadPeersOptions{}.silence) {
    complain(who + "it was there " + std::to_string(milliseconds_of(silent)) + " ms ago");
  }
  if (const Duration alone = now_ - each.majority_at; alone > kMajorityAgo) {
    complain(who + "a verdict " + std::to_string(milliseconds_of(alone)) +
             " ms after it was last with a majority");
  }
  int standing = 0;
  for (int i = 1; i <= count_; ++i) standing += stands(id, static_cast<NodeId>(i)) ? 1 : 0;
  if (2 * standing >= count_) complain(who + "more than a minority is cut off");
  tell_verdicts(id, dead_peer_event::Blocked{against}, local(id));
}

bool DeadPeersWorld::stands(NodeId on, NodeId against) const {
  const auto found = host(on).rules.find(against);
  return found != host(on).rules.end() && found->second > now_;
}

void DeadPeersWorld::know_truth() {
  truth_known_ = true;
  for (int i = 1; i <= count_; ++i) {
    for (int j = 1; j <= count_; ++j) {
      const auto by = static_cast<NodeId>(i), who = static_cast<NodeId>(j);
      hears_[by][who] = i != j && hears_truly(by, who);
    }
  }
  for (int i = 1; i <= count_; ++i) {
    const auto by = static_cast<NodeId>(i);
    int with = 1;
    for (int j = 1; j <= count_; ++j) {
      const auto who = static_cast<NodeId>(j);
      if (i != j && runs(who) && hears_[by][who] && hears_[who][by]) ++with;
    }
    with_most_[by] = 2 * with > count_;
  }
}

void DeadPeersWorld::note_truth() {
  if (!truth_known_) know_truth();
  for (int i = 1; i <= count_; ++i) {
    const auto by = static_cast<NodeId>(i);
    for (int j = 1; j <= count_; ++j) {
      if (i == j) continue;
      const auto who = static_cast<NodeId>(j);
      auto& since = there_since_[by][who];
      if (!hears_[by][who]) {
        since.reset();
        continue;
      }
      if (!since) since = now_;
      // Whoever is back for shorter than a probe and its answer take may not have been noticed.
      if (now_ - *since >= kBackUnnoticedMost) there_last_[by][who] = now_;
    }
    if (with_most_[by]) host(by).majority_at = now_;
  }
  judge_rules();
}

// A paused host's clients stand still with it; otherwise a rule against somebody who has been there
// all the while must be gone.
void DeadPeersWorld::judge_rules() {
  for (int i = 1; i <= count_; ++i) {
    const auto on = static_cast<NodeId>(i);
    for (const auto& [against, until] : host(on).rules) {
      if (until <= now_ || host(on).paused) continue;
      const auto& since = there_since_[on][against];
      if (!since) continue;
      const Duration outlived = now_ - *since;
      tally_.outlived_most = std::max(tally_.outlived_most, outlived);
      Duration most = kOutliveMost + (loss_ > 0 ? kNoticeMost : 0ns);
      if (runs(on) && loss_ == 0) {
        const Instant undisturbed = std::max({*since, host(on).works_since, lossless_since_});
        tally_.noticed_most = std::max(tally_.noticed_most, now_ - undisturbed);
        most = std::min(most, undisturbed - *since + kLiftMost);
      }
      if (outlived <= most) continue;
      complain("node " + std::to_string(on) + ": the rule against " + std::to_string(against) +
               " outlives its reason by " + std::to_string(milliseconds_of(outlived)) + " ms");
    }
  }
}

void DeadPeersWorld::complain(const std::string& what) {
  if (wrong_.empty()) {
    wrong_ = what + " (" + std::to_string(count_) + " nodes, after " +
             std::to_string(milliseconds_of(now_ - Instant{1'000'000'000})) + " ms)";
  }
}

void DeadPeersWorld::dispatch(const Entry& entry) {
  Host& each = host(entry.to);
  const bool is_heard = entry.kind == Entry::Kind::kHeard;
  if (is_heard) {
    if (!is_open(entry.heard.from, entry.to, entry.heard.network)) return;
    if (each.membership == nullptr) return;
    if (!runs(entry.to)) {
      if (each.inbox.size() < kInboxMost) each.inbox.push_back(entry.heard);
      return;
    }
    return tell_membership(entry.to, entry.heard);
  }
  if (each.membership == nullptr || entry.life != each.life || !runs(entry.to)) return;
  switch (entry.kind) {
    case Entry::Kind::kTimer:
      each.armed = {};
      tell_membership(entry.to, membership_event::TimerFired{});
      break;
    case Entry::Kind::kLook:
      // One that was waited for while the host stood still was made up for when it woke.
      if (local(entry.to) >= each.verdicts->deadline()) look(entry.to);
      break;
    case Entry::Kind::kAnswered:
      tell_verdicts(entry.to, dead_peer_event::Answered{entry.heard.from}, local(entry.to));
      break;
    case Entry::Kind::kHeard:
      break;
  }
}

void DeadPeersWorld::run_for(Duration time) {
  const Instant end = now_ + time;
  while (now_ < end && wrong_.empty()) {
    const Instant note = noted_at_ + kNoteEvery;
    if (!queue_.empty() && queue_.top().at <= end && queue_.top().at < note) {
      const Entry entry = queue_.top();
      queue_.pop();
      now_ = std::max(now_, entry.at);
      dispatch(entry);
    } else {
      now_ = std::max(now_, std::min(note, end));
      noted_at_ = now_;
      note_truth();
    }
  }
}

void DeadPeersWorld::fault() {
  ++tally_.faults;
  const auto node = static_cast<NodeId>(1 + rng_.below(static_cast<std::uint64_t>(count_)));
  const auto other = static_cast<NodeId>(1 + rng_.below(static_cast<std::uint64_t>(count_)));
  switch (rng_.below(10)) {
    case 0:
      return cut_off(node, true);
    case 1:
      return cut_off(node, false);
    case 2:
      if (host(node).membership != nullptr) kill_nines(node);
      return;
    case 3:
      if (host(node).membership == nullptr) start_nines(node);
      return;
    case 4:
      return stop_nines(node, true);
    case 5:
      return stop_nines(node, false);
    case 6:
      return pause_host(node, true);
    case 7:
      return pause_host(node, false);
    case 8:
      for (int network = 0; network < kNetworks; ++network) {
        set_cut(node, other, network, true);
      }
      return;
    default:
      set_loss(rng_.chance(0.5) ? 0 : 0.1);
  }
}

void DeadPeersWorld::heal() {
  cuts_ = {};
  truth_known_ = false;
  set_loss(0);
  for (int i = 1; i <= count_; ++i) {
    const auto node = static_cast<NodeId>(i);
    pause_host(node, false);
    stop_nines(node, false);
    if (host(node).membership == nullptr) start_nines(node);
  }
}

std::string DeadPeersWorld::run() {
  const Instant end = now_ + kFaultsFor;
  while (now_ < end && wrong_.empty()) {
    run_for(Duration(static_cast<std::int64_t>(rng_.below(3'000'000'000))));
    fault();
  }
  heal();
  run_for(2s);
  const auto expect_nobody = [&](const std::string& when) {
    for (int i = 1; i <= count_; ++i) {
      for (int j = 1; j <= count_; ++j) {
        const auto on = static_cast<NodeId>(i), against = static_cast<NodeId>(j);
        if (stands(on, against) || host(on).shunned.contains(against)) {
          complain("node " + std::to_string(i) + " has something against " + std::to_string(j) +
                   " " + when);
        }
      }
    }
  };
  expect_nobody("two seconds after all was healed");
  // Returns and strain are forgotten; then a death, which all agree on.
  run_for(kHoldDown + 2s);
  const auto victim = static_cast<NodeId>(1 + rng_.below(static_cast<std::uint64_t>(count_)));
  pause_host(victim, true);
  cut_off(victim, true);
  run_for(1300ms);
  for (int i = 1; i <= count_; ++i) {
    const auto on = static_cast<NodeId>(i);
    if (on == victim || !wrong_.empty()) continue;
    if (!stands(on, victim)) complain("node " + std::to_string(i) + " has no rule after a death");
    if (!shuns(on, victim)) complain("node " + std::to_string(i) + " sends work to a dead host");
  }
  cut_off(victim, false);
  pause_host(victim, false);
  run_for(1s);
  expect_nobody("a second after it returned");
  return wrong_;
}

}  // namespace nines::cluster

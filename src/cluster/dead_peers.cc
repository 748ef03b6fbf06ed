// All verdicts fall in Look, once the time since the look before has been judged; between two looks
// only counter-evidence counts.
#include "cluster/dead_peers.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

#include "base/check.h"

namespace nines::cluster {
namespace {

std::string plain(Duration time) { return std::to_string(milliseconds_of(time)) + " ms"; }

// "1.2 s"
std::string seconds_text(Duration time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", std::chrono::duration<double>(time).count());
  return text;
}

}  // namespace

dead_peer_event::Look look_of(const Membership& membership, int networks, Instant now) {
  dead_peer_event::Look look{
      .peers = {}, .isolated = membership.is_isolated(), .strain = membership.strain()};
  for (const PeerStatus& peer : membership.status(now)) {
    PeerSight sight{.node = peer.node,
                    .heard = false,
                    .was_known = peer.presence != Presence::kUnknown,
                    .has_left = peer.standing == Standing::kLeaving,
                    .unheard_by = peer.unheard_by};
    // One way is enough to show that a host is alive.
    for (int network = 0; network < networks; ++network) {
      sight.heard |= peer.links[static_cast<std::size_t>(network)].hears;
    }
    look.peers.push_back(sight);
  }
  return look;
}

std::string_view name_of(DeadPeerStatus::Verdict verdict) {
  switch (verdict) {
    case DeadPeerStatus::Verdict::kWell:
      return "well";
    case DeadPeerStatus::Verdict::kDoubted:
      return "doubted";
    case DeadPeerStatus::Verdict::kDead:
      return "dead";
    case DeadPeerStatus::Verdict::kBack:
      return "back";
  }
  return "well";
}

std::string text_of(const DeadPeerEvidence& evidence) {
  if (evidence.heard) return "heard";
  std::string text = evidence.has_left ? "it took its leave" : "not heard";
  if (!evidence.unheard_by.empty()) {
    text += " by " + std::to_string(evidence.unheard_by.size()) + " of " +
            std::to_string(evidence.controllers) + " controllers";
  }
  if (evidence.silent) {
    text += ", silent on all networks for " + seconds_text(*evidence.silent) + " of " +
            seconds_text(evidence.silence_asked) + " asked";
  }
  if (!evidence.answered) {
    text += ", its kernel has never answered an echo request";
  } else {
    text += ", its kernel answered " + seconds_text(*evidence.answered) + " ago";
  }
  if (evidence.returns > 0) {
    text += ", came back " + std::to_string(evidence.returns) +
            (evidence.returns == 1 ? " time" : " times") + " lately";
  }
  if (evidence.strain > 0) text += ", own strain " + std::to_string(evidence.strain);
  return text;
}

Result<void> DeadPeers::check(Duration silence, Duration hold_down) {
  if (silence < kSilenceLeast || silence > kSilenceMost) {
    return Error(ErrorCode::kInvalid, "a silence of " + plain(silence) + " is not " +
                                          plain(kSilenceLeast) + " to " + plain(kSilenceMost));
  }
  if (hold_down < 0ns || hold_down > kHoldDownMost) {
    return Error(ErrorCode::kInvalid,
                 "a hold-down of " + plain(hold_down) + " is not 0 ms to " + plain(kHoldDownMost));
  }
  return {};
}

Result<DeadPeers> DeadPeers::create(DeadPeersOptions options) {
  TRY(check(options.silence, options.hold_down));
  if (options.observes) {
    if (options.self == 0) return DeadPeers(options);
    return Error(ErrorCode::kInvalid, "who observes is no node");
  }
  if (options.self < 1 || options.self > kNodeIdMax) {
    return Error(ErrorCode::kInvalid, "node number " + std::to_string(options.self) +
                                          " is not 1 to " + std::to_string(kNodeIdMax));
  }
  return DeadPeers(options);
}

DeadPeers::DeadPeers(DeadPeersOptions options) : options_(options), nodes_(options.nodes) {
  nodes_.add(options_.self);  // 0 names nobody
  nodes_.for_each([&](NodeId node) {
    if (node == options_.self) return;
    Peer peer;
    peer.node = node;
    peers_.push_back(peer);
  });
}

void DeadPeers::handle(const DeadPeerEvent& event, Instant now, DeadPeerEffects& out) {
  std::visit([&](const auto& each) { on(each, now, out); }, event);
}

void DeadPeers::on(const dead_peer_event::Look& look, Instant now, DeadPeerEffects& out) {
  if (looked_at_ && now - *looked_at_ > kGapMost) forget_silence(out);
  looked_at_ = now;
  isolated_ = look.isolated;
  strain_ = look.strain;
  for (const PeerSight& sight : look.peers) {
    Peer* const peer = find(sight.node);
    if (peer == nullptr) continue;
    if (peer->sight.heard && !sight.heard) {
      peer->unheard_at = now;
      peer->probe_at = now;
    }
    peer->sight = sight;
  }
  for (Peer& peer : peers_) judge(peer, now, out);
  share_work(now, out);
  for (Peer& peer : peers_) probe(peer, now, out);
  look_at_ = now + (is_calm() ? kLookCalmEvery : kLookEvery);
}

void DeadPeers::on(const dead_peer_event::Answered& answered, Instant now, DeadPeerEffects& out) {
  Peer* const peer = find(answered.node);
  if (peer == nullptr) return;
  peer->answered_at = now;
  if (!looked_at_) return;
  judge(*peer, now, out);
  share_work(now, out);
}

void DeadPeers::on(const dead_peer_event::Blocked& blocked, Instant now, DeadPeerEffects& out) {
  Peer* const peer = find(blocked.node);
  if (peer == nullptr || !peer->dead || peer->standing) return;
  peer->standing = true;
  peer->destroy_again_at = now + kDestroyAgainAfter;
  out.push_back(dead_peer_effect::Destroy{.node = peer->node, .again = false});
}

void DeadPeers::on(const dead_peer_event::Configure& configure, Instant now, DeadPeerEffects& out) {
  CHECK(check(configure.silence, configure.hold_down).has_value());
  options_.on = configure.on;
  options_.silence = configure.silence;
  options_.hold_down = configure.hold_down;
  if (options_.on) return;
  for (Peer& peer : peers_) {
    if (peer.dead) lift(peer, out);
  }
  share_work(now, out);
}

// This host stood still: what it did not hear meanwhile says nothing, and its rules have run out.
void DeadPeers::forget_silence(DeadPeerEffects& out) {
  for (Peer& peer : peers_) {
    if (peer.dead) lift(peer, out);
    peer.quiet_since.reset();
  }
}

void DeadPeers::judge(Peer& peer, Instant now, DeadPeerEffects& out) {
  const bool there = is_there(peer, now);
  if (there && !peer.was_there) peer.there_since = now;
  peer.was_there = there;
  if (there) {
    if (peer.dead) {
      count_return(peer);
      lift(peer, out);
    }
    peer.quiet_since.reset();
    // Short silences begin the hold-down anew.
    if (now - peer.there_since >= options_.hold_down) peer.returns = 0;
    return;
  }
  const bool reason = has_reason(peer);
  if (reason) peer.reason_at = now;
  if (counts_silence(reason)) {
    if (!peer.quiet_since) peer.quiet_since = now;
  } else if (!peer.dead) {
    peer.quiet_since.reset();
  }
  if (peer.dead && now - peer.reason_at > kReasonGrace) {
    count_return(peer);
    lift(peer, out);
  }
  if (peer.dead) {
    if (peer.reason_at == now && now >= peer.renew_at) {
      peer.renew_at = now + kRenewEvery;
      out.push_back(dead_peer_effect::Block{.node = peer.node, .until = now + kRuleLife});
    }
    if (peer.destroy_again_at && now >= *peer.destroy_again_at) {
      peer.destroy_again_at.reset();
      out.push_back(dead_peer_effect::Destroy{.node = peer.node, .again = true});
    }
    return;
  }
  int dead = 0;
  for (const Peer& each : peers_) dead += each.dead ? 1 : 0;
  if (options_.on && reason && peer.quiet_since && now - *peer.quiet_since >= silence_asked(peer) &&
      dead < blocked_most()) {
    declare_dead(peer, now, out);
  }
}

void DeadPeers::declare_dead(Peer& peer, Instant now, DeadPeerEffects& out) {
  peer.dead = true;
  peer.standing = false;
  peer.slowly = true;
  peer.dead_since = now;
  peer.renew_at = now + kRenewEvery;
  ++peer.verdicts;
  out.push_back(dead_peer_effect::Block{.node = peer.node, .until = now + kRuleLife});
}

void DeadPeers::lift(Peer& peer, DeadPeerEffects& out) {
  peer.dead = false;
  peer.standing = false;
  peer.destroy_again_at.reset();
  peer.quiet_since.reset();
  out.push_back(dead_peer_effect::Unblock{peer.node});
}

void DeadPeers::count_return(Peer& peer) {
  peer.returns = std::min(peer.returns + 1, kDoublingsMost);
}

// Rules go first, then the work comes back: at once to who was only doubted, little by little to
// who was called dead, once it has been there for a while.
void DeadPeers::share_work(Instant now, DeadPeerEffects& out) {
  if (options_.observes) return;
  const auto is_settling = [&](const Peer& peer) {
    return peer.slowly && peer.was_there && now - peer.there_since < kSteady;
  };
  int without = 0;
  for (const Peer& peer : peers_) without += is_doubtful(peer, now) || is_settling(peer) ? 1 : 0;
  // When most seem to be away it is rather ourselves.
  const bool may_doubt = options_.on && !isolated_ && without <= blocked_most();
  const auto is_to_shun = [&](const Peer& peer) {
    return peer.dead || (may_doubt && (is_doubtful(peer, now) || is_settling(peer)));
  };
  // Who returns comes first: never more than a minority without work, not for a moment.
  for (Peer& peer : peers_) {
    if (!peer.shunned || is_to_shun(peer)) continue;
    peer.shunned = false;
    out.push_back(dead_peer_effect::Readmit{.node = peer.node, .slowly = peer.slowly});
    peer.slowly = false;
  }
  for (Peer& peer : peers_) {
    if (peer.shunned || !is_to_shun(peer)) continue;
    peer.shunned = true;
    out.push_back(dead_peer_effect::Shun{peer.node});
  }
}

void DeadPeers::probe(Peer& peer, Instant now, DeadPeerEffects& out) {
  if (now < peer.probe_at || !options_.on) return;
  peer.probe_at = now + (peer.sight.heard ? kProbeWellEvery : kProbeEvery);
  out.push_back(dead_peer_effect::Probe{peer.node});
}

// Whoever observes is told of by others, who say no more often that nothing has changed.
bool DeadPeers::is_calm() const {
  return !options_.observes && !isolated_ &&
         std::all_of(peers_.begin(), peers_.end(), [](const Peer& peer) {
           return peer.sight.heard && peer.sight.unheard_by.empty() && !peer.dead &&
                  !peer.shunned && !peer.slowly;
         });
}

// An answer from before it fell silent says nothing of the silence.
bool DeadPeers::is_there(const Peer& peer, Instant now) const {
  if (peer.sight.heard) return true;
  return peer.answered_at && *peer.answered_at > peer.unheard_at &&
         now - *peer.answered_at <= kAnswerHolds;
}

NodeSet DeadPeers::unheard_by(const Peer& peer) const {
  NodeSet nodes = peer.sight.unheard_by;
  nodes.remove(peer.node);
  if (!peer.sight.heard) nodes.add(options_.self);
  return nodes & nodes_;
}

// Of all controllers, not of those that are left: a minority resets nobody. Who took its leave is
// silent by its own word; only a kernel that used to answer can be missed.
bool DeadPeers::has_reason(const Peer& peer) const {
  if (isolated_ || (peer.sight.has_left && !peer.answered_at)) return false;
  return is_majority(unheard_by(peer), nodes_);
}

// A controller's silence is what it doubts together with others: it counts from there. Who observes
// is told when they have waited, and need not begin to wait only then.
bool DeadPeers::counts_silence(bool reason) const {
  return options_.observes ? !isolated_ : reason;
}

bool DeadPeers::is_doubtful(const Peer& peer, Instant now) const {
  if (peer.dead) return true;
  return peer.sight.was_known && !peer.sight.has_left && !is_there(peer, now);
}

Duration DeadPeers::silence_asked(const Peer& peer) const {
  return options_.silence * (1 << peer.returns) * (kStrainPart + strain_) / kStrainPart;
}

NodeSet DeadPeers::blocked() const {
  NodeSet nodes;
  for (const Peer& peer : peers_) {
    if (peer.dead) nodes.add(peer.node);
  }
  return nodes;
}

std::vector<DeadPeerStatus> DeadPeers::status(Instant now) const {
  using Verdict = DeadPeerStatus::Verdict;
  std::vector<DeadPeerStatus> all;
  for (const Peer& peer : peers_) {
    DeadPeerStatus status;
    status.node = peer.node;
    status.verdict = peer.dead                       ? Verdict::kDead
                     : peer.slowly && peer.was_there ? Verdict::kBack
                     : is_doubtful(peer, now)        ? Verdict::kDoubted
                                                     : Verdict::kWell;
    status.shunned = peer.shunned;
    status.blocked = peer.standing;
    if (peer.dead) status.blocked_for = now - peer.dead_since;
    status.verdicts = peer.verdicts;
    DeadPeerEvidence& evidence = status.evidence;
    evidence.heard = peer.sight.heard;
    evidence.has_left = peer.sight.has_left;
    if (peer.quiet_since) evidence.silent = now - *peer.quiet_since;
    evidence.silence_asked = silence_asked(peer);
    evidence.unheard_by = unheard_by(peer);
    evidence.controllers = nodes_.size();
    evidence.strain = strain_;
    if (peer.answered_at) evidence.answered = now - *peer.answered_at;
    evidence.returns = peer.returns;
    all.push_back(status);
  }
  return all;
}

DeadPeers::Peer* DeadPeers::find(NodeId node) {
  const auto found = std::find_if(peers_.begin(), peers_.end(),
                                  [&](const Peer& peer) { return peer.node == node; });
  return found == peers_.end() ? nullptr : &*found;
}

}  // namespace nines::cluster

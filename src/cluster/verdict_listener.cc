// A word is believed when it answers an ask of the last seconds, is newer than what its sender said
// before, and is sealed for this listener by that sender.
#include "cluster/verdict_listener.h"

#include <utility>

namespace nines::cluster {

Result<VerdictListener> VerdictListener::create(const ClusterKeys& keys, std::string name,
                                                NodeSet nodes, Incarnation own) {
  if (keys.empty()) return Error(ErrorCode::kInvalid, "a listener has no key");
  if (name.empty() || name.size() > kListenerNameMax) {
    return Error(ErrorCode::kInvalid,
                 "a listener's name has 1 to " + std::to_string(kListenerNameMax) + " characters");
  }
  if (nodes.empty()) return Error(ErrorCode::kInvalid, "there is no controller to listen to");
  if (own == Incarnation{}) {
    return Error(ErrorCode::kInvalid, "an incarnation of zeros names nobody");
  }
  VerdictListener listener(keys.front(), std::move(name), own);
  std::vector<NodeId> each;
  nodes.for_each([&](NodeId node) { each.push_back(node); });
  for (const NodeId node : each) {
    Cipher asking = TRY(ask_cipher(listener.key_, own, node));
    listener.tellers_.emplace(node, Teller(std::move(asking)));
  }
  return listener;
}

std::vector<NodeId> VerdictListener::due(Instant now) const {
  bool doubted = false;
  for (const auto& [node, teller] : tellers_) {
    doubted |= !is_heard(node, teller, now);
    doubted |= counts(teller, now) && !(teller.unheard | teller.dead).empty();
  }
  std::vector<NodeId> nodes;
  for (const auto& [node, teller] : tellers_) {
    const Duration pause = doubted ? kAskDoubtedEvery : kAskEvery;
    if (teller.last_asked == 0 || now - teller.asked_at >= pause) nodes.push_back(node);
  }
  return nodes;
}

std::string VerdictListener::ask(NodeId node, Instant now) {
  Teller& teller = tellers_.at(node);
  const std::uint64_t number = ++teller.last_asked;
  teller.asked_at = now;
  teller.asks[number % kAsksKept] = {.number = number, .at = now};
  return seal_ask(
      teller.asking,
      {.to = node, .key_id = key_.id, .number = number, .listener = own_, .name = name_});
}

bool VerdictListener::heard(std::string_view datagram, Instant now) {
  const auto head = parse_head(datagram);
  if (!head || head->key_id != key_.id) return false;
  const auto found = tellers_.find(head->from);
  if (found == tellers_.end()) return false;
  Teller& teller = found->second;
  const bool is_present = teller.hearing.has_value() && teller.life == head->teller;
  // A life that another one came after is over.
  if (!is_present && head->teller == teller.life_before) return false;
  std::optional<Cipher> fresh;
  if (!is_present) {
    if (!may_introduce(now)) return false;
    auto made = word_cipher(key_, head->teller, head->from);
    if (!made) return false;
    fresh = *std::move(made);
  }
  const auto word = open_word(is_present ? *teller.hearing : *fresh, *head, datagram);
  if (!word || word->listener != own_ || !is_recent(teller, word->asked, now)) return false;
  if (is_present && head->number <= teller.number) return false;
  if (!is_present) {
    teller.life_before = teller.life;
    teller.life = head->teller;
    teller.hearing = std::move(fresh);
  }
  teller.number = head->number;
  teller.word_at = now;
  teller.unheard = word->unheard;
  teller.dead = word->dead;
  return true;
}

bool VerdictListener::is_recent(const Teller& teller, std::uint64_t number, Instant now) const {
  const Asked& asked = teller.asks[number % kAsksKept];
  return number != 0 && asked.number == number && now - asked.at <= kEchoHolds;
}

bool VerdictListener::may_introduce(Instant now) {
  if (now - introductions_since_ >= std::chrono::seconds(1)) {
    introductions_since_ = now;
    introductions_ = 0;
  }
  return ++introductions_ <= kIntroductionsMost;
}

bool VerdictListener::counts(const Teller& teller, Instant now) const {
  return teller.word_at && now - *teller.word_at <= kWordHolds;
}

bool VerdictListener::is_doubted(NodeId node, Instant now) const {
  for (const auto& [other, teller] : tellers_) {
    if (other == node || !counts(teller, now)) continue;
    if ((teller.unheard | teller.dead).contains(node)) return true;
  }
  return false;
}

bool VerdictListener::is_heard(NodeId node, const Teller& teller, Instant now) const {
  const Duration holds = is_doubted(node, now) ? kDoubtedHeardHolds : kHeardHolds;
  return teller.word_at && now - *teller.word_at <= holds;
}

dead_peer_event::Look VerdictListener::look(Instant now) const {
  dead_peer_event::Look look{.peers = {}, .isolated = true, .strain = 0};
  for (const auto& [node, teller] : tellers_) {
    PeerSight sight{.node = node,
                    .heard = is_heard(node, teller, now),
                    .was_known = teller.word_at.has_value(),
                    .has_left = false,
                    .unheard_by = {}};
    for (const auto& [other, says] : tellers_) {
      if (other != node && counts(says, now) && says.dead.contains(node)) {
        sight.unheard_by.add(other);
      }
    }
    look.isolated &= !sight.heard;
    look.peers.push_back(sight);
  }
  return look;
}

std::vector<TellerSight> VerdictListener::sights(Instant now) const {
  std::vector<TellerSight> sights;
  for (const auto& [node, teller] : tellers_) {
    TellerSight sight;
    sight.node = node;
    sight.heard = is_heard(node, teller, now);
    if (teller.word_at) sight.word = now - *teller.word_at;
    sight.unheard = teller.unheard;
    sight.dead = teller.dead;
    sights.push_back(sight);
  }
  return sights;
}

}  // namespace nines::cluster

// A listener's entry is made by its first ask that proves to be its own, and replaced by a later
// life.
#include "cluster/verdict_teller.h"

#include <algorithm>
#include <utility>

namespace nines::cluster {

VerdictTeller::VerdictTeller(ClusterKeys keys, NodeId self, Incarnation own)
    : keys_(std::move(keys)), self_(self), own_(own) {}

std::optional<VerdictTeller::Datagram> VerdictTeller::heard(const SocketAddress& from,
                                                            std::string_view datagram,
                                                            Instant now) {
  const auto ask = parse_ask(datagram);
  if (!ask || ask->to != self_) return std::nullopt;
  Listener* listener = nullptr;
  const auto found = listeners_.find(ask->name);
  if (found != listeners_.end() && found->second.life == ask->listener &&
      found->second.key.id == ask->key_id) {
    if (!is_genuine(found->second.opening, *ask, datagram)) return std::nullopt;
    listener = &found->second;
  } else {
    listener = introduce(*ask, datagram, now);
  }
  // A number that came before: repeated by somebody.
  if (listener == nullptr || ask->number <= listener->asked) return std::nullopt;
  listener->asked = ask->number;
  listener->address = from;
  listener->heard_at = now;
  return word_for(*listener);
}

bool VerdictTeller::may_introduce(Instant now) {
  const auto earned = (now - introductions_counted_) / kIntroductionEvery;
  if (earned > 0) {
    introductions_ = static_cast<int>(
        std::min<std::int64_t>(kIntroductionsBurst, introductions_ + std::int64_t{earned}));
    introductions_counted_ = now;
  }
  if (introductions_ == 0) return false;
  --introductions_;
  return true;
}

VerdictTeller::Listener* VerdictTeller::introduce(const VerdictAsk& ask, std::string_view datagram,
                                                  Instant now) {
  if (!may_introduce(now)) return nullptr;
  const auto key = key_of(ask);
  if (!key) return nullptr;
  auto opening = ask_cipher(*key, ask.listener, self_);
  if (!opening || !is_genuine(*opening, ask, datagram)) return nullptr;
  const auto known = listeners_.find(ask.name);
  if (known != listeners_.end() && known->second.key.id == ask.key_id) {
    known->second.life = ask.listener;
    known->second.opening = *std::move(opening);
    known->second.asked = 0;
    return &known->second;
  }
  auto sealing = word_cipher(*key, own_, self_);
  if (!sealing) return nullptr;
  if (known == listeners_.end()) {
    forget(now);
    if (listeners_.size() >= kListenersMax) return nullptr;
  }
  Listener listener{.key = *key,
                    .life = ask.listener,
                    .opening = *std::move(opening),
                    .sealing = *std::move(sealing),
                    .asked = 0,
                    .address = {},
                    .heard_at = now};
  return &listeners_.insert_or_assign(ask.name, std::move(listener)).first->second;
}

std::optional<ClusterKey> VerdictTeller::key_of(const VerdictAsk& ask) const {
  for (const ClusterKey& each : keys_) {
    auto key = listener_key(each, ask.name);
    if (key.has_value() && key->id == ask.key_id) return *std::move(key);
  }
  return std::nullopt;
}

void VerdictTeller::forget(Instant now) {
  std::erase_if(listeners_,
                [&](const auto& each) { return now - each.second.heard_at > kForgetAfter; });
}

bool VerdictTeller::set_view(NodeSet unheard, NodeSet dead) {
  if (unheard == unheard_ && dead == dead_) return false;
  unheard_ = unheard;
  dead_ = dead;
  return true;
}

std::vector<VerdictTeller::Datagram> VerdictTeller::tell(Instant now) {
  std::vector<Datagram> datagrams;
  for (auto& [name, listener] : listeners_) {
    if (now - listener.heard_at <= kForgetAfter) datagrams.push_back(word_for(listener));
  }
  return datagrams;
}

std::size_t VerdictTeller::listeners(Instant now) const {
  return static_cast<std::size_t>(
      std::count_if(listeners_.begin(), listeners_.end(),
                    [&](const auto& each) { return now - each.second.heard_at <= kForgetAfter; }));
}

VerdictTeller::Datagram VerdictTeller::word_for(Listener& listener) {
  const VerdictHead head{
      .from = self_, .key_id = listener.key.id, .number = ++last_number_, .teller = own_};
  const VerdictWord word{
      .listener = listener.life, .asked = listener.asked, .unheard = unheard_, .dead = dead_};
  return {.to = listener.address, .bytes = seal_word(listener.sealing, head, word)};
}

}  // namespace nines::cluster

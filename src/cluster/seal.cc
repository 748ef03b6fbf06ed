// Little-endian, fixed places. In clear, and under the tag:
//    0 version   1 kind   2 from   3 to   4 key id (4)   8 number (8)
//   16 sender's incarnation (16)   32 receiver's incarnation, as far as known (16)
//   48 ticket shown (4)   52 ticket given (4)
// and behind it the encrypted payload and the tag. The number is the nonce: it counts what this
// life seals for this receiver, under a key of just these two nodes and this life.
#include "cluster/seal.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "cluster/sealed_bytes.h"

namespace nines::cluster {

namespace {

constexpr std::string_view kSealInfo = "nines cluster 1: seal";
constexpr Incarnation kNobody{};

using sealed::append;
using sealed::incarnation_at;
using sealed::integer_at;
using sealed::view_of;

}  // namespace

std::string_view name_of(SealFault fault) {
  switch (fault) {
    case SealFault::kNone:
      return "none";
    case SealFault::kTooShort:
      return "too short";
    case SealFault::kTooLong:
      return "too long";
    case SealFault::kVersion:
      return "unknown version";
    case SealFault::kMalformed:
      return "malformed";
    case SealFault::kReflected:
      return "our own, reflected";
    case SealFault::kNotForUs:
      return "for another node";
    case SealFault::kUnknownSender:
      return "unknown sender";
    case SealFault::kUnknownKey:
      return "unknown key";
    case SealFault::kForged:
      return "forged";
    case SealFault::kReplayed:
      return "replayed";
    case SealFault::kTooOld:
      return "too old";
    case SealFault::kUnproven:
      return "unproven";
  }
  return "?";
}

struct Sealer::Header {
  Kind kind = Kind::kAsk;
  NodeId from = 0;
  NodeId to = 0;
  std::uint64_t number = 0;
  Incarnation sender{};
  Incarnation receiver{};  // kNobody: not known
  std::uint32_t shown = 0;
  std::uint32_t given = 0;
};

struct Sealer::Peer {
  // Of ours.
  Cipher sealing;
  std::uint64_t next_number = 1;

  // Of the peer's.
  struct Life {
    Incarnation incarnation;
    std::size_t key_index;
    Cipher opening;
    std::uint32_t ticket;  // that it gave to this life of ours: we show it
  };
  std::optional<Life> life{};
  ReplayWindow window{};  // of that life's numbers
  // The ticket that the present life shows. Any other life needs one more: it is given that when it
  // asks, and one that lived before this life never was.
  std::uint32_t admitted = 0;
};

Sealer::Sealer(ClusterKeys keys, NodeId self, NodeSet peers, Incarnation own)
    : keys_(std::move(keys)), self_(self), peers_(peers), own_(own), by_node_(kNodeIdMax + 1) {
  peers_.remove(self);
}
Sealer::Sealer(Sealer&&) noexcept = default;
Sealer& Sealer::operator=(Sealer&&) noexcept = default;
Sealer::~Sealer() = default;

Result<Sealer> Sealer::create(ClusterKeys keys, NodeId self, NodeSet peers, Incarnation own) {
  if (keys.empty() || keys.size() > kKeysMax) {
    return Error(ErrorCode::kInvalid, "one key or two are expected");
  }
  if (self == 0 || self > kNodeIdMax) return Error(ErrorCode::kInvalid, "no such node can be");
  if (own == kNobody) return Error(ErrorCode::kInvalid, "an incarnation of zeros names nobody");
  Sealer sealer(std::move(keys), self, peers, own);
  std::vector<NodeId> nodes;
  sealer.peers_.for_each([&](NodeId node) { nodes.push_back(node); });
  for (const NodeId node : nodes) {
    Cipher sealing = TRY(sealer.cipher_for(sealer.keys_.front(), own, self, node));
    sealer.by_node_[node] = std::make_unique<Peer>(Peer{.sealing = std::move(sealing)});
  }
  return sealer;
}

Result<Cipher> Sealer::cipher_for(const ClusterKey& key, const Incarnation& sender, NodeId from,
                                  NodeId to) const {
  std::string info(kSealInfo);
  append(info, from, 1);
  append(info, to, 1);
  return Cipher::create(TRY(derive(key.secret, view_of(sender), info)));
}

Sealer::Peer* Sealer::find_peer(NodeId node) const {
  return node < by_node_.size() ? by_node_[node].get() : nullptr;
}

bool Sealer::ready(NodeId peer) const {
  const Peer* const found = find_peer(peer);
  return found != nullptr && found->life.has_value();
}

std::optional<Incarnation> Sealer::life_of(NodeId peer) const {
  if (!ready(peer)) return std::nullopt;
  return find_peer(peer)->life->incarnation;
}

std::string Sealer::make(Peer& peer, NodeId to, Kind kind, const Incarnation& named,
                         std::uint32_t shown, std::uint32_t given, std::string_view payload) {
  std::string datagram;
  datagram.reserve(kSealedMin + payload.size());
  append(datagram, kSealVersion, 1);
  append(datagram, static_cast<std::uint8_t>(kind), 1);
  append(datagram, self_, 1);
  append(datagram, to, 1);
  append(datagram, keys_.front().id, 4);
  append(datagram, peer.next_number, 8);
  append(datagram, own_);
  append(datagram, named);
  append(datagram, shown, 4);
  append(datagram, given, 4);
  const std::string header = datagram;
  peer.sealing.seal(peer.next_number, header, payload, datagram);
  CHECK(++peer.next_number != 0);
  ++counters_.sealed;
  return datagram;
}

Result<std::string> Sealer::seal(NodeId to, std::string_view payload) {
  Peer* const peer = find_peer(to);
  if (peer == nullptr) {
    return Error(ErrorCode::kNotFound, "node " + std::to_string(to) + " is no peer");
  }
  if (payload.size() > kPayloadMax) {
    return Error(ErrorCode::kExhausted, std::to_string(payload.size()) + " bytes, at most " +
                                            std::to_string(kPayloadMax) + " fit a datagram");
  }
  if (!peer->life) {
    return Error(ErrorCode::kUnavailable, "node " + std::to_string(to) + " was not heard yet");
  }
  return make(*peer, to, Kind::kContent, peer->life->incarnation, peer->life->ticket,
              peer->admitted, payload);
}

std::string Sealer::hello(NodeId to) {
  Peer* const peer = find_peer(to);
  CHECK(peer != nullptr);
  if (!peer->life) return make(*peer, to, Kind::kAsk, kNobody, 0, peer->admitted + 1, {});
  return make(*peer, to, Kind::kAsk, peer->life->incarnation, peer->life->ticket, peer->admitted,
              {});
}

Opened Sealer::open(std::string_view datagram) {
  buffer_.clear();
  Opened opened;
  Header header;
  std::size_t key_index = 0;
  opened.fault = check_clear(datagram, header, key_index);
  if (opened.fault == SealFault::kNone) open_checked(datagram, header, key_index, opened);
  if (opened.fault == SealFault::kNone) {
    ++counters_.opened;
    if (opened.new_life) ++counters_.lives;
  } else {
    ++counters_.refused[static_cast<std::size_t>(opened.fault)];
    buffer_.clear();
  }
  return opened;
}

// All that can be said without a key, so that nothing is spent on strangers.
SealFault Sealer::check_clear(std::string_view datagram, Header& header,
                              std::size_t& key_index) const {
  if (datagram.empty()) return SealFault::kTooShort;
  if (integer_at(datagram, 0, 1) != kSealVersion) return SealFault::kVersion;
  if (datagram.size() < kSealedMin) return SealFault::kTooShort;
  if (datagram.size() > kSealedMax) return SealFault::kTooLong;
  header.kind = static_cast<Kind>(integer_at(datagram, 1, 1));
  header.from = static_cast<NodeId>(integer_at(datagram, 2, 1));
  header.to = static_cast<NodeId>(integer_at(datagram, 3, 1));
  header.number = integer_at(datagram, 8, 8);
  header.sender = incarnation_at(datagram, 16);
  header.receiver = incarnation_at(datagram, 32);
  header.shown = static_cast<std::uint32_t>(integer_at(datagram, 48, 4));
  header.given = static_cast<std::uint32_t>(integer_at(datagram, 52, 4));
  const bool known =
      header.kind == Kind::kAsk || header.kind == Kind::kAnswer || header.kind == Kind::kContent;
  if (!known || header.sender == kNobody || header.number == 0 || header.given == 0 ||
      (header.kind != Kind::kContent && datagram.size() != kSealedMin)) {
    return SealFault::kMalformed;
  }
  if (header.from == self_ || header.sender == own_) return SealFault::kReflected;
  if (header.to != self_) return SealFault::kNotForUs;
  if (find_peer(header.from) == nullptr) return SealFault::kUnknownSender;
  const std::uint64_t id = integer_at(datagram, 4, 4);
  const auto key = std::find_if(keys_.begin(), keys_.end(),
                                [&](const ClusterKey& each) { return each.id == id; });
  if (key == keys_.end()) return SealFault::kUnknownKey;
  key_index = static_cast<std::size_t>(key - keys_.begin());
  return SealFault::kNone;
}

void Sealer::open_checked(std::string_view datagram, const Header& header, std::size_t key_index,
                          Opened& opened) {
  Peer& peer = *find_peer(header.from);
  const std::string_view clear = datagram.substr(0, kSealedHeaderSize);
  const std::string_view sealed = datagram.substr(kSealedHeaderSize);
  const bool is_present =
      peer.life && peer.life->incarnation == header.sender && peer.life->key_index == key_index;
  std::optional<Cipher> fresh;
  if (!is_present) {
    auto made = cipher_for(keys_[key_index], header.sender, header.from, self_);
    if (made) fresh = *std::move(made);
    // Without memory for a cipher nothing can be believed.
    if (!fresh) {
      opened.fault = SealFault::kForged;
      return;
    }
  }
  Cipher& cipher = is_present ? peer.life->opening : *fresh;
  if (!cipher.open(header.number, clear, sealed, buffer_)) {
    opened.fault = SealFault::kForged;
    return;
  }
  opened.from = header.from;
  if (is_present) {
    switch (peer.window.take(header.number)) {
      case ReplayWindow::Verdict::kNew:
        break;
      case ReplayWindow::Verdict::kSeen:
        opened.fault = SealFault::kReplayed;
        return;
      case ReplayWindow::Verdict::kTooOld:
        opened.fault = SealFault::kTooOld;
        return;
    }
  }

  const bool names_us = header.receiver == own_;
  const std::uint32_t wanted = is_present ? peer.admitted : peer.admitted + 1;
  if (!names_us || header.shown != wanted) {
    opened.fault = SealFault::kUnproven;
    if (!is_present) {
      // A ticket counts only if it was given to this life, or to whoever is next.
      const bool counts = names_us || header.receiver == kNobody;
      opened.answer =
          make(peer, header.from, Kind::kAsk, header.sender, counts ? header.given : 0, wanted, {});
    } else if (!names_us && header.kind == Kind::kContent) {
      // It still speaks to the life before this one, of which our proof has not reached it.
      // Whatever else of it is unproven is late, or provoked by somebody who replays: not worth an
      // answer.
      opened.answer = make(peer, header.from, Kind::kAnswer, peer.life->incarnation,
                           peer.life->ticket, peer.admitted, {});
    }
    return;
  }
  if (is_present) {
    peer.life->ticket = std::max(peer.life->ticket, header.given);
  } else {
    opened.new_life = true;
    peer.admitted = wanted;
    peer.life.emplace(Peer::Life{header.sender, key_index, *std::move(fresh), header.given});
    peer.window = ReplayWindow();
    peer.window.take(header.number);
  }
  if (header.kind == Kind::kAsk) {
    opened.answer = make(peer, header.from, Kind::kAnswer, peer.life->incarnation,
                         peer.life->ticket, peer.admitted, {});
  }
  opened.has_content = header.kind == Kind::kContent;
  opened.payload = buffer_;
}

}  // namespace nines::cluster

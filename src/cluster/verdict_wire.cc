// Little-endian, fixed places. In clear, and under the tag:
//    0 version   1 kind   2 the controller   3 size of the name, or zero   4 key id (4)
//    8 number (8)   16 sender's life (16)   32 of an ask: the name, zeros behind it (64)
// Sealed in a word: listener's life (16), number asked (8), unheard (8), dead (8). The number is
// the nonce.
#include "cluster/verdict_wire.h"

#include <algorithm>

#include "base/check.h"
#include "cluster/sealed_bytes.h"

namespace nines::cluster {
namespace {

constexpr std::uint8_t kAsk = 1;
constexpr std::uint8_t kWord = 2;
constexpr std::size_t kHeadSize = 32;
constexpr std::size_t kAskHeadSize = kHeadSize + kListenerNameMax;
constexpr std::size_t kWordTextSize = 40;
constexpr std::string_view kKeyInfo = "nines listener 1: key of ";
constexpr std::string_view kAskInfo = "nines listener 1: ask";
constexpr std::string_view kWordInfo = "nines listener 1: word";
static_assert(kVerdictAskSize == kAskHeadSize + kTagSize);
static_assert(kVerdictWordSize == kHeadSize + kWordTextSize + kTagSize);
static_assert(kVerdictWordSize <= kVerdictAskSize);

using sealed::append;
using sealed::incarnation_at;
using sealed::integer_at;
using sealed::view_of;

std::string head_text(std::uint8_t kind, NodeId controller, std::size_t name_size,
                      std::uint32_t key_id, std::uint64_t number, const Incarnation& life) {
  std::string text;
  append(text, kVerdictVersion, 1);
  append(text, kind, 1);
  append(text, controller, 1);
  append(text, name_size, 1);
  append(text, key_id, 4);
  append(text, number, 8);
  return text += view_of(life);
}

bool is_head(std::string_view datagram, std::uint8_t kind, std::size_t size) {
  if (datagram.size() != size || integer_at(datagram, 0, 1) != kVerdictVersion ||
      integer_at(datagram, 1, 1) != kind) {
    return false;
  }
  const std::uint64_t controller = integer_at(datagram, 2, 1);
  return controller >= 1 && controller <= kNodeIdMax && integer_at(datagram, 8, 8) != 0 &&
         incarnation_at(datagram, 16) != Incarnation{};
}

Result<Cipher> cipher_for(const ClusterKey& key, const Incarnation& life, NodeId controller,
                          std::string_view info) {
  std::string whole(info);
  append(whole, controller, 1);
  return Cipher::create(TRY(derive(key.secret, view_of(life), whole)));
}

}  // namespace

Result<ClusterKey> listener_key(const ClusterKey& cluster, std::string_view name) {
  return make_key(TRY(derive(cluster.secret, {}, std::string(kKeyInfo).append(name))));
}

std::string listener_key_text(const ClusterKey& key, std::string_view name) {
  return "# The key by which " + std::string(name) +
         " hears the controllers' verdicts; for that host alone. Keep it secret.\n# Its id is " +
         id_text(key.id) + ".\n" + secret_text(key.secret) + "\n";
}

std::optional<VerdictAsk> parse_ask(std::string_view datagram) {
  if (!is_head(datagram, kAsk, kVerdictAskSize)) return std::nullopt;
  const auto size = static_cast<std::size_t>(integer_at(datagram, 3, 1));
  if (size < 1 || size > kListenerNameMax) return std::nullopt;
  const std::string_view rest = datagram.substr(kHeadSize + size, kListenerNameMax - size);
  if (rest.find_first_not_of('\0') != rest.npos) return std::nullopt;
  return VerdictAsk{.to = static_cast<NodeId>(integer_at(datagram, 2, 1)),
                    .key_id = static_cast<std::uint32_t>(integer_at(datagram, 4, 4)),
                    .number = integer_at(datagram, 8, 8),
                    .listener = incarnation_at(datagram, 16),
                    .name = std::string(datagram.substr(kHeadSize, size))};
}

std::optional<VerdictHead> parse_head(std::string_view datagram) {
  if (!is_head(datagram, kWord, kVerdictWordSize) || datagram[3] != 0) return std::nullopt;
  return VerdictHead{.from = static_cast<NodeId>(integer_at(datagram, 2, 1)),
                     .key_id = static_cast<std::uint32_t>(integer_at(datagram, 4, 4)),
                     .number = integer_at(datagram, 8, 8),
                     .teller = incarnation_at(datagram, 16)};
}

Result<Cipher> ask_cipher(const ClusterKey& listener, const Incarnation& life, NodeId to) {
  return cipher_for(listener, life, to, kAskInfo);
}
Result<Cipher> word_cipher(const ClusterKey& listener, const Incarnation& life, NodeId from) {
  return cipher_for(listener, life, from, kWordInfo);
}

std::string seal_ask(Cipher& cipher, const VerdictAsk& ask) {
  CHECK(!ask.name.empty() && ask.name.size() <= kListenerNameMax && ask.number != 0);
  std::string datagram =
      head_text(kAsk, ask.to, ask.name.size(), ask.key_id, ask.number, ask.listener) + ask.name;
  datagram.resize(kAskHeadSize);
  const std::string head = datagram;
  cipher.seal(ask.number, head, {}, datagram);
  return datagram;
}

bool is_genuine(Cipher& cipher, const VerdictAsk& ask, std::string_view datagram) {
  std::string nothing;
  return cipher.open(ask.number, datagram.substr(0, kAskHeadSize), datagram.substr(kAskHeadSize),
                     nothing);
}

std::string seal_word(Cipher& cipher, const VerdictHead& head, const VerdictWord& word) {
  CHECK(head.number != 0);
  std::string datagram = head_text(kWord, head.from, 0, head.key_id, head.number, head.teller);
  const std::string clear = datagram;
  std::string text(view_of(word.listener));
  append(text, word.asked, 8);
  append(text, word.unheard.bits(), 8);
  append(text, word.dead.bits(), 8);
  cipher.seal(head.number, clear, text, datagram);
  return datagram;
}

std::optional<VerdictWord> open_word(Cipher& cipher, const VerdictHead& head,
                                     std::string_view datagram) {
  std::string text;
  if (!cipher.open(head.number, datagram.substr(0, kHeadSize), datagram.substr(kHeadSize), text) ||
      text.size() != kWordTextSize) {
    return std::nullopt;
  }
  return VerdictWord{.listener = incarnation_at(text, 0),
                     .asked = integer_at(text, 16, 8),
                     .unheard = NodeSet::of_bits(integer_at(text, 24, 8)),
                     .dead = NodeSet::of_bits(integer_at(text, 32, 8))};
}

}  // namespace nines::cluster

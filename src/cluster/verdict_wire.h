// What controllers tell hosts that are no nodes, such as compute hosts: whom they do not hear, and
// whom they call dead. A listener asks with a number of its own, and believes a word only that
// names a number it asked with lately: an old word is worth nothing, whoever sends it.
//
//   listener ── ask (its name, its life, a number) ──> controller
//   listener <── word (that life and number, unheard, dead) ── controller, at once when it changes
//
// Each listener has a key of its own, derived from the cluster's: who breaks into one host can
// neither speak as a controller to another nor with the controllers among themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cluster/cipher.h"
#include "cluster/cluster_key.h"
#include "cluster/node_set.h"
#include "cluster/seal.h"

namespace nines::cluster {

inline constexpr std::size_t kListenerNameMax = 64;  // bytes, at least one
inline constexpr std::size_t kVerdictAskSize = 112;  // bytes, always
inline constexpr std::size_t kVerdictWordSize = 88;  // and never larger than what it answers
inline constexpr std::uint8_t kVerdictVersion = 1;

// The key of the listener of that name. kSystem: OpenSSL failed.
Result<ClusterKey> listener_key(const ClusterKey& cluster, std::string_view name);

// A key file with it, ending in a line feed.
std::string listener_key_text(const ClusterKey& key, std::string_view name);

// What stands in clear, read before anything is believed.
struct VerdictAsk {
  NodeId to = 0;
  std::uint32_t key_id = 0;
  std::uint64_t number = 0;  // counts from 1 what this life asks that controller
  Incarnation listener{};
  std::string name;
};
struct VerdictHead {
  NodeId from = 0;
  std::uint32_t key_id = 0;
  std::uint64_t number = 0;  // counts from 1 what this life says to that listener
  Incarnation teller{};
};
struct VerdictWord {
  Incarnation listener{};   // whom it answers,
  std::uint64_t asked = 0;  // and which of its asks
  NodeSet unheard;          // of the cluster, not heard by the controller
  NodeSet dead;             // called dead by it
  friend bool operator==(const VerdictWord&, const VerdictWord&) = default;
};

// Nothing: no such datagram.
std::optional<VerdictAsk> parse_ask(std::string_view datagram);
std::optional<VerdictHead> parse_head(std::string_view datagram);

// The ciphers of one direction between one listener and one controller, for one life of the sender.
Result<Cipher> ask_cipher(const ClusterKey& listener, const Incarnation& life, NodeId to);
Result<Cipher> word_cipher(const ClusterKey& listener, const Incarnation& life, NodeId from);

// A number is sealed once.
std::string seal_ask(Cipher& cipher, const VerdictAsk& ask);
bool is_genuine(Cipher& cipher, const VerdictAsk& ask, std::string_view datagram);
std::string seal_word(Cipher& cipher, const VerdictHead& head, const VerdictWord& word);
std::optional<VerdictWord> open_word(Cipher& cipher, const VerdictHead& head,
                                     std::string_view datagram);

}  // namespace nines::cluster

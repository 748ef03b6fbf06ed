// What one controller says to another, sealed: encrypted, authenticated, and good once only, for
// one life of the receiver, from one life of the sender. Pure: bytes in, bytes out, no clock, no
// random source. docs/internals/cluster-wire.md has the protocol and why it holds.
//
//      hello ──> unproven: ask ──> proven: content, answer ──> proven
//
// A life is one run of a process, named by a random number of 128 bits. A datagram is *proven* when
// it shows that its sender has heard this life of the receiver: it names it, and shows the ticket
// that this life gave to that life of the sender. Content is taken from proven datagrams alone; all
// that an unproven one can do is to have a datagram without content sent to where the sender is
// configured to be, not larger than itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cluster/cipher.h"
#include "cluster/cluster_key.h"
#include "cluster/node_set.h"
#include "cluster/replay_window.h"

namespace nines::cluster {

inline constexpr std::size_t kPayloadMax = 1200;  // bytes; sealed and in IPv6, 1320 on the wire
inline constexpr std::size_t kSealedHeaderSize = 56;
inline constexpr std::size_t kSealedMin = kSealedHeaderSize + kTagSize;
inline constexpr std::size_t kSealedMax = kSealedMin + kPayloadMax;
inline constexpr std::uint8_t kSealVersion = 1;

// Fresh random bytes of the kernel for each process; never zero.
using Incarnation = std::array<std::uint8_t, 16>;

// Why a datagram was refused, in the order in which it is asked.
enum class SealFault : std::uint8_t {
  kNone,
  kTooShort,
  kTooLong,
  kVersion,
  kMalformed,      // an unknown kind, content where none may be, no incarnation
  kReflected,      // says that it comes from ourselves
  kNotForUs,       // is addressed to another node
  kUnknownSender,  // no node of this cluster
  kUnknownKey,     // a key whose id is none of ours
  kForged,         // does not authenticate
  kReplayed,       // was opened before
  kTooOld,         // more than kReplayWindow behind the newest: cannot be told from a replay
  kUnproven,       // of, or to, a life that is not this one's present conversation; a hello too
};
inline constexpr std::size_t kSealFaults = 13;
std::string_view name_of(SealFault fault);

struct Opened {
  SealFault fault = SealFault::kNone;
  // Authenticated by a key of the cluster; 0 with the faults before kReplayed.
  NodeId from = 0;
  // Whether `payload` is what the peer's sealer was given. Only without a fault.
  bool has_content = false;
  // Without a fault: the first datagram of a life of the peer that was not known before. What is
  // remembered of the life before is void.
  bool new_life = false;
  std::string_view payload;  // valid until the next call of open()
  // To be sent to `from`, where it is configured to be and never to where the datagram came from;
  // empty: nothing. Never larger than what it answers, and never content.
  std::string answer;
};

struct SealCounters {
  std::uint64_t sealed = 0;                          // datagrams made, hellos and answers included
  std::uint64_t opened = 0;                          // without a fault
  std::uint64_t lives = 0;                           // of peers, that began to be believed
  std::array<std::uint64_t, kSealFaults> refused{};  // by SealFault
};

// The driver's duties:
//  1. `own` is from the kernel's random source, anew for each Sealer: a second one with the same
//     incarnation would use nonces again. Other keys need another Sealer.
//  2. While a peer is not ready(), hello() is sent to it from time to time.
//  3. Answers are sent, but not without limit: whoever replays hellos must not keep us busy.
// State is bounded: one life of each peer. Lives on one loop; not thread-safe.
class Sealer {
 public:
  // `peers` with or without self. kInvalid: no key or too many, a node or an incarnation that
  // cannot be. kSystem: OpenSSL has no such algorithms.
  static Result<Sealer> create(ClusterKeys keys, NodeId self, NodeSet peers, Incarnation own);
  Sealer(Sealer&&) noexcept;
  Sealer& operator=(Sealer&&) noexcept;
  ~Sealer();

  // One datagram; sent again unchanged it is a replay to its receiver. kUnavailable: the peer is
  // not ready; kNotFound: is no peer; kExhausted: more than kPayloadMax.
  Result<std::string> seal(NodeId to, std::string_view payload);
  // Says that this life is there, and asks the peer for its own. `to` is a peer.
  std::string hello(NodeId to);
  Opened open(std::string_view datagram);

  // The peer's present life is known, and it knows or can prove to know this one.
  bool ready(NodeId peer) const;
  // The life that is believed now; nothing when not ready.
  std::optional<Incarnation> life_of(NodeId peer) const;
  NodeId self() const { return self_; }
  NodeSet peers() const { return peers_; }
  const SealCounters& counters() const { return counters_; }

 private:
  enum class Kind : std::uint8_t { kAsk = 1, kAnswer = 2, kContent = 3 };
  struct Header;
  struct Peer;

  Sealer(ClusterKeys keys, NodeId self, NodeSet peers, Incarnation own);

  Result<Cipher> cipher_for(const ClusterKey& key, const Incarnation& sender, NodeId from,
                            NodeId to) const;
  Peer* find_peer(NodeId node) const;
  std::string make(Peer& peer, NodeId to, Kind kind, const Incarnation& named, std::uint32_t shown,
                   std::uint32_t given, std::string_view payload);
  SealFault check_clear(std::string_view datagram, Header& header, std::size_t& key_index) const;
  void open_checked(std::string_view datagram, const Header& header, std::size_t key_index,
                    Opened& opened);

  ClusterKeys keys_;
  NodeId self_;
  NodeSet peers_;
  Incarnation own_;
  std::vector<std::unique_ptr<Peer>> by_node_;  // by NodeId; null: no peer
  std::string buffer_;                          // the text of the last open()
  SealCounters counters_;
};

}  // namespace nines::cluster

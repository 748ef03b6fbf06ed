// A host that is no node hears the controllers' verdicts: whom to ask when, which words to believe,
// and what they come to, as a look for DeadPeers. It has no vote, and cuts nobody off that answers
// it: what it is told is one reason, its own silence another. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cluster/dead_peers.h"
#include "cluster/verdict_wire.h"

namespace nines::cluster {

// One controller as the listener sees it.
struct TellerSight {
  NodeId node = 0;
  bool heard = false;
  std::optional<Duration> word;  // since its last one
  NodeSet unheard, dead;         // by that
};

// The driver's duties: `own` is fresh for each listener; asks go out when due() says so, and each
// datagram that comes is shown to heard(). A number counts for kEchoHolds, so the clock must not
// stand still while the host sleeps: CLOCK_BOOTTIME. Lives on one loop; not thread-safe.
class VerdictListener {
 public:
  static constexpr Duration kAskEvery = std::chrono::seconds(1);
  // Everybody, while somebody is doubted or not heard.
  static constexpr Duration kAskDoubtedEvery = std::chrono::milliseconds(150);
  // An older ask is no proof that an answer is new.
  static constexpr Duration kEchoHolds = std::chrono::milliseconds(2500);
  static constexpr std::size_t kAsksKept = 32;  // more than kEchoHolds has of them
  // What a controller said counts for so long, as a reason against another.
  static constexpr Duration kWordHolds = std::chrono::seconds(1);
  // So long after its last word a controller is heard: when all is well, and when another says that
  // it is gone, for then it is asked more often.
  static constexpr Duration kHeardHolds = std::chrono::milliseconds(3500);
  static constexpr Duration kDoubtedHeardHolds = std::chrono::milliseconds(400);
  // Lives of controllers that were not known, each second: each costs a derived key.
  static constexpr int kIntroductionsMost = 1024;

  // kInvalid: no key, a name that cannot be, or no nodes. kSystem: OpenSSL failed.
  static Result<VerdictListener> create(const ClusterKeys& keys, std::string name, NodeSet nodes,
                                        Incarnation own);

  // The controllers to be asked now; each of them is then asked.
  std::vector<NodeId> due(Instant now) const;
  std::string ask(NodeId node, Instant now);
  // True: it is believed.
  bool heard(std::string_view datagram, Instant now);
  dead_peer_event::Look look(Instant now) const;
  std::vector<TellerSight> sights(Instant now) const;  // by node

 private:
  struct Asked {
    std::uint64_t number = 0;
    Instant at{};
  };
  struct Teller {
    explicit Teller(Cipher cipher) : asking(std::move(cipher)) {}

    Cipher asking;
    std::uint64_t last_asked = 0;
    Instant asked_at{};
    std::array<Asked, kAsksKept> asks{};  // the newest, by number modulo size
    std::optional<Cipher> hearing;        // of its life
    Incarnation life{}, life_before{};
    std::uint64_t number = 0;  // the highest of that life
    std::optional<Instant> word_at;
    NodeSet unheard, dead;
  };

  VerdictListener(ClusterKey key, std::string name, Incarnation own)
      : key_(std::move(key)), name_(std::move(name)), own_(own) {}

  bool is_recent(const Teller& teller, std::uint64_t number, Instant now) const;
  bool counts(const Teller& teller, Instant now) const;
  bool is_doubted(NodeId node, Instant now) const;
  bool is_heard(NodeId node, const Teller& teller, Instant now) const;
  bool may_introduce(Instant now);

  ClusterKey key_;
  std::string name_;
  Incarnation own_;
  std::map<NodeId, Teller> tellers_;
  int introductions_ = 0;
  Instant introductions_since_{};
};

}  // namespace nines::cluster

// The controller's side of listeners: who asked lately, and what they are told. Pure: datagrams in,
// datagrams out. Wire and keys: verdict_wire.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "cluster/verdict_wire.h"

namespace nines::cluster {

// The driver's duties: `own` is fresh for each teller; what heard() gives goes back to where the
// ask came from; tell() when set_view() says so, and every kTellEvery while there is something to
// tell. Lives on one loop; not thread-safe.
class VerdictTeller {
 public:
  static constexpr std::size_t kListenersMax = 2048;
  static constexpr Duration kForgetAfter = std::chrono::seconds(10);  // who asks no longer
  static constexpr Duration kTellEvery = std::chrono::milliseconds(250);
  // A life that was not known costs two derived keys before anything is believed.
  static constexpr int kIntroductionsBurst = 256;
  static constexpr Duration kIntroductionEvery = std::chrono::milliseconds(4);

  struct Datagram {
    SocketAddress to;
    std::string bytes;
  };

  VerdictTeller(ClusterKeys keys, NodeId self, Incarnation own);

  // The word for who asked; nothing when it is not believed.
  std::optional<Datagram> heard(const SocketAddress& from, std::string_view datagram, Instant now);
  // True: it is another than before, and all listeners are to be told at once.
  bool set_view(NodeSet unheard, NodeSet dead);
  bool has_news() const { return !(unheard_ | dead_).empty(); }
  // To everybody who asked lately.
  std::vector<Datagram> tell(Instant now);
  std::size_t listeners(Instant now) const;

 private:
  struct Listener {
    ClusterKey key;
    Incarnation life{};
    Cipher opening, sealing;
    std::uint64_t asked = 0;  // the highest number
    SocketAddress address;
    Instant heard_at{};
  };

  bool may_introduce(Instant now);
  Listener* introduce(const VerdictAsk& ask, std::string_view datagram, Instant now);
  std::optional<ClusterKey> key_of(const VerdictAsk& ask) const;
  void forget(Instant now);
  Datagram word_for(Listener& listener);

  ClusterKeys keys_;
  NodeId self_;
  Incarnation own_;
  NodeSet unheard_, dead_;
  // Of all words, to whomever: a listener that is forgotten and comes back has the same key, and no
  // number may be sealed twice with it.
  std::uint64_t last_number_ = 0;
  std::map<std::string, Listener, std::less<>> listeners_;  // by name
  int introductions_ = kIntroductionsBurst;
  Instant introductions_counted_{};  // introductions_ was right then
};

}  // namespace nines::cluster

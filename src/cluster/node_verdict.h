// What membership concluded of another node, and from what: plain values for whoever acts on it. A
// verdict is about who probably lives. It gives nobody a right, and what a mistake makes dear asks
// for more than this (dead_peers.h).
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/time.h"
#include "cluster/node_set.h"

namespace nines::cluster {

inline constexpr int kNetworksMax = 4;

//   kSuspect  no network works both ways any more, as this node sees it; nobody else was asked
//   kGone     most of those who are heard say so (or, while it was joining, this node alone; or it
//             said itself that it leaves)
//   kBack     it is heard again, both ways
enum class Finding : std::uint8_t { kSuspect, kGone, kBack };
std::string_view name_of(Finding finding);

// One network's part in it.
struct LinkEvidence {
  bool ever_heard = false;     // in this life of either side
  bool hears = false;          // the peer's heartbeats come
  bool is_heard = false;       // and its echoes show that ours arrive
  Duration silence{};          // since it was heard last; zero: it never was
  Duration silence_allowed{};  // that a sound link like this may show
  friend bool operator==(const LinkEvidence&, const LinkEvidence&) = default;
};

struct NodeVerdict {
  NodeId node = 0;
  Finding finding = Finding::kSuspect;
  Instant at{};                   // CLOCK_BOOTTIME
  std::uint64_t incarnation = 0;  // the node's newest life that was heard; 0: none
  bool leaves = false;            // its own word
  Duration silence{};             // since it was heard last, on whatever network
  NodeSet suspected_by;           // ourselves included
  NodeSet observers;              // who had a say
  int networks = 0;
  std::array<LinkEvidence, kNetworksMax> links{};  // the first `networks`
};

// For people: what was seen on each network, and who agrees.
std::string text_of(const NodeVerdict& verdict);

}  // namespace nines::cluster

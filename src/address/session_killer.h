// Ends TCP sessions on an address that this host has lost. An established socket lives on after its
// address has gone, and behind it database locks, for as long as TCP keeps trying.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/socket_address.h"

namespace nines::address {

// More sessions than this at a time are left to a second look.
inline constexpr int kSessionsMax = 100'000;

struct EndedSession {
  SocketAddress local, peer;
};

// Destroys every TCP socket of this network namespace whose own address is `local` (port ignored),
// but not listeners; those who hold them hear ECONNABORTED at once. Returns those it destroyed.
// Peers hear of it only while the host still has the address: a reset is not sent from one that it
// has not (peer_nudge.h). Synchronous: 0.3 ms to some milliseconds with many sockets on the
// machine, and some microseconds for each destroyed. Needs CAP_NET_ADMIN.
Result<std::vector<EndedSession>> destroy_sessions(const SocketAddress& local);

}  // namespace nines::address

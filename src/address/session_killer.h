// Ends TCP sessions on an address that this host has lost, or to a host that is dead. An
// established socket lives on after its address or its peer has gone, and behind it database locks
// and waiting clients, for as long as TCP keeps trying.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "address/session.h"
#include "base/result.h"
#include "base/socket_address.h"

namespace nines::address {

// More sessions than this at a time are left to a second look.
inline constexpr int kSessionsMax = 100'000;

// Destroys every TCP socket of this network namespace whose own address is `local` (port ignored),
// but not listeners; those who hold them hear ECONNABORTED at once. Returns those it destroyed.
// Peers hear of it only while the host still has the address: a reset is not sent from one that it
// has not (peer_nudge.h). Synchronous: 0.3 ms to some milliseconds with many sockets on the
// machine, and some microseconds for each destroyed. Needs CAP_NET_ADMIN.
Result<std::vector<Session>> destroy_sessions(const SocketAddress& local);

// Destroys every TCP socket of this network namespace, but listeners, whose peer is one of `hosts`
// (their ports ignored) and that has one of `ports` at either end: clients that wait for the host's
// services, connecting or connected, and what the host's clients hold here, their locks with it.
// Those who hold them hear ECONNABORTED at once; a host that lives after all hears a reset. Sockets
// with one of `spared` at either end are left alone. Returns how many. Costs and rights as above.
Result<std::size_t> destroy_connections(const std::vector<SocketAddress>& hosts,
                                        const std::vector<std::uint16_t>& ports,
                                        const std::vector<std::uint16_t>& spared);

// Destroys every TCP connection of this network namespace whose peer is one of `addresses` (their
// ports ignored) and whose kernel repeats what is not acknowledged: what an address's former holder
// owed. Its next holder knows nothing of them and would reset them, but is asked again only as
// TCP's patience doubles, seconds after it has the address. Connects under way are left alone: they
// will succeed. Returns how many. Costs and rights as above.
Result<std::size_t> destroy_stranded(const std::vector<SocketAddress>& addresses);
// kUnsupported when the kernel cannot destroy sockets (CONFIG_INET_DIAG_DESTROY).
Result<void> check_destroying();

}  // namespace nines::address

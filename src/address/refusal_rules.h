// Connections to the services of a host that is dead are refused at once, as nftables transactions:
// one table with an owner, sets of (address . port) whose elements end by themselves. Pure;
// refusals.h sends them, docs/internals/dead-peers.md draws the rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "address/nft_batch.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"

namespace nines::address {

inline constexpr std::string_view kRefusalTable = "nines-dead-peers";

inline constexpr std::size_t kRefusedAddressesMax = 8;  // of one host
inline constexpr std::size_t kRefusedPortsMax = 64;
// One message holds a host's elements of one family, at 44 bytes each; a transaction of several
// hosts stays within what a netlink socket sends.
static_assert(kRefusedAddressesMax * kRefusedPortsMax * 44 < 0xffff);

// A kernel of 100 ticks a second would round less down to nothing, and nothing means "for ever" to
// older ones.
inline constexpr Duration kRefusalLeast = std::chrono::milliseconds(10);

struct RefusalRulesHost {
  std::vector<SocketAddress> addresses;  // ports are ignored
  Duration left{};                       // kRefusalLeast or more
};

// kInvalid, and why: an address that is not one host's (unspecified, loopback, multicast,
// link-local IPv6, IPv4 written as IPv6). kExhausted: too many.
Result<void> check_refusable(const std::vector<SocketAddress>& addresses);
// kInvalid: port 0, or one that is never refused; kExhausted: too many.
Result<void> check_refusable_ports(const std::vector<std::uint16_t>& ports);
// SSH, the way in for whoever mends the host; and nines' own.
inline constexpr std::uint16_t kNeverRefused[] = {22, 7402};

// The table, with nothing refused yet. It must not be there.
void write_refusal_table(NftBatch& batch, std::string_view table = kRefusalTable);
// In place of all that was refused before. Hosts and ports were checked.
void write_refusals(NftBatch& batch, const std::vector<RefusalRulesHost>& hosts,
                    const std::vector<std::uint16_t>& ports,
                    std::string_view table = kRefusalTable);
void write_refusal_removal(NftBatch& batch);

}  // namespace nines::address

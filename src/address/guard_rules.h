// The guard's tables as nftables transactions: what is dropped, and how a lease opens and shuts.
// Pure; guard.h sends them. docs/internals/guard.md draws the rules.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "address/nft_batch.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"

namespace nines::address {

inline constexpr std::string_view kGuardTable = "nines";

// One batch writes them all; an attribute holds 64 KiB, and an address needs 60 bytes.
inline constexpr std::size_t kGuardedAddressesMax = 1000;
inline constexpr std::size_t kGuardedLeasesMax = 64;

// A kernel that counts 100 ticks a second would round less down to nothing, and nothing means
// "for ever" to older ones. Whoever has less left than this stays shut.
inline constexpr Duration kOpeningMin = std::chrono::milliseconds(10);
inline constexpr Duration kOpeningMax = std::chrono::hours(24);

// What a lease lets through. The kernel closes at the earlier of the two: `left` is counted by its
// ticks from the moment it takes the transaction, `wall_end` (CLOCK_REALTIME) holds whenever that
// is.
struct Opening {
  Duration left{};  // kOpeningMin to kOpeningMax
  WallTime wall_end;
};

// Addresses that open and shut together: by a set and a rule that are written anew for each
// opening; or, but for ARP, by a program of the kernel's, which says whether they are shut
// (lease_ends.h). No program may judge ARP: the kernel has that family take only what was written
// for it (net/netfilter/x_tables.c).
struct GuardRulesLease {
  std::vector<SocketAddress> addresses;  // ports are ignored
  std::optional<Opening> opening{};      // none: shut
  std::optional<int> program{};          // a descriptor
};

// Which of the two tables have anything to guard.
struct GuardFamilies {
  bool ipv4 = false;
  bool ipv6 = false;
};
GuardFamilies families_of(const std::vector<SocketAddress>& addresses);

// kInvalid, and why: an address that cannot be guarded without touching what is not ours
// (unspecified, loopback, multicast, link-local IPv6, IPv4 written as IPv6), or guarded twice.
// kExhausted: too many.
Result<void> check_guardable(const std::vector<GuardRulesLease>& leases);

// Everything that stood in both tables is replaced, and nothing else touched. `leases` were
// checked. With another `table` name, a rehearsal.
void write_guard(NftBatch& batch, const std::vector<GuardRulesLease>& leases,
                 std::string_view table = kGuardTable);
// Rules that ask a program, and a rule of IPv4 alone before them: by that family's name the kernel
// finds the module it may need, by inet's it does not.
void write_program_rehearsal(NftBatch& batch, int program, std::string_view table);

// Which tables have a set and a rule for each lease.
enum class OpeningTables : std::uint8_t {
  kBoth,
  kArp,  // those with programs
};
// Where a batch of write_opening() has what differs from one opening of the lease to the next.
struct OpeningPlaces {
  std::vector<std::size_t> left, wall_end;
};
OpeningPlaces write_opening(NftBatch& batch, OpeningTables tables, std::size_t lease,
                            GuardFamilies families, const std::optional<Opening>& opening,
                            std::string_view table = kGuardTable);
// In a batch that was sent: it opens the same lease anew.
void replace_opening(NftBatch& batch, const OpeningPlaces& places, const Opening& opening);
void write_removal(NftBatch& batch);

// A datagram of nftables' events: does any of them speak of our tables?
bool speaks_of_guard(std::string_view datagram);

}  // namespace nines::address

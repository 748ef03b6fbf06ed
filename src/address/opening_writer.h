// Opens and shuts leases by elements: one transaction each, as guard_rules.h writes it.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "address/guard_rules.h"
#include "address/nft_batch.h"
#include "address/nft_socket.h"
#include "base/result.h"
#include "base/time.h"

namespace nines::address {

// Nothing when less than kOpeningMin is left, by CLOCK_BOOTTIME.
std::optional<Duration> left_until(Instant end);
// The same with the wall clock's end. Being held up on the way makes the opening shorter, never
// longer.
std::optional<Opening> opening_until(Instant end);

// Of tables that are installed. Not thread-safe.
class OpeningWriter {
 public:
  explicit OpeningWriter(OpeningTables tables) : tables_(tables) {}

  // The tables were installed anew, with these leases.
  void start_anew(const std::vector<GuardFamilies>& leases);

  // One transaction, acknowledged when it returns: about 0.1 ms, longer while somebody else changes
  // nftables. Without an opening the lease is shut. kNotFound: the tables are gone.
  Result<void> write(NftSocket& netlink, std::size_t lease, const std::optional<Opening>& opening);

 private:
  struct Lease {
    GuardFamilies families;
    // The batch by which it was opened last: of the next renewal only a few numbers differ, and
    // writing all of it costs more than these, several dozen times a second.
    struct Renewal {
      NftBatch batch;
      OpeningPlaces places;
    };
    std::optional<Renewal> renewal{};
  };

  OpeningTables tables_;
  std::vector<Lease> leases_;
};

}  // namespace nines::address

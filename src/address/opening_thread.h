// Openings of the ARP table on a thread of its own. A transaction waits for whoever else changes
// nftables, for seconds while 60,000 rules are loaded; the loop that renews leases waits for
// nobody.
#pragma once

#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "address/guard_rules.h"
#include "address/nft_socket.h"
#include "address/opening_writer.h"
#include "base/result.h"
#include "base/time.h"
#include "io/linux/keyed_worker.h"

namespace nines::address {

// One thread asks.
class OpeningThread {
 public:
  // `netlink` is the other thread's from here on.
  explicit OpeningThread(NftSocket netlink) : netlink_(std::move(netlink)) {}

  // The tables were installed anew, with these leases, or are about to be. Waits for what is being
  // written; nothing that was asked before is written after.
  void start_anew(const std::vector<GuardFamilies>& leases);
  // The same for one lease, which the caller opens until `end`, or shuts: what has passed.
  void settle(std::size_t lease, Instant end);

  // The lease is to be open until `end` (CLOCK_BOOTTIME), soon: an opening that has half of that
  // left is let be, and written anew at the next call. Does not wait. The error is that of an
  // opening before this one, told once; kNotFound: the tables are gone.
  Result<void> open_until(std::size_t lease, Instant end);

 private:
  struct Lease {
    bool guarded = false;  // has addresses in the table
    Instant end{};         // as asked for last; none: 0
  };

  void write(std::size_t lease, Instant end);
  std::optional<Error> take_failure();

  std::vector<Lease> leases_;
  NftSocket netlink_;                          // the thread's while it is at work
  OpeningWriter writer_{OpeningTables::kArp};  // the same
  std::mutex mutex_;
  std::optional<Error> failure_;  // guarded by mutex_
  io::KeyedWorker worker_;        // its keys: leases
};

}  // namespace nines::address

// Openings of the ARP table on a thread of its own. A transaction waits for whoever else changes
// nftables, for half a second while 60,000 rules are loaded; the loop that renews leases waits for
// nobody.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "address/guard_rules.h"
#include "address/nft_socket.h"
#include "address/opening_writer.h"
#include "base/result.h"
#include "base/time.h"

namespace nines::address {

// One thread asks. The other begins with the first opening, and so with no more rights than the
// asking one has kept.
class OpeningThread {
 public:
  // `netlink` is the thread's from here on.
  explicit OpeningThread(NftSocket netlink) : netlink_(std::move(netlink)) {}
  ~OpeningThread();  // waits for what is being written
  OpeningThread(const OpeningThread&) = delete;
  OpeningThread& operator=(const OpeningThread&) = delete;

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
    bool guarded = false;             // has addresses in the table
    Instant end{};                    // as asked for last; none: 0
    std::optional<Instant> wanted{};  // and not yet begun to be written
  };

  void run();
  // Both with the lock held.
  std::optional<std::size_t> next_wanted() const;
  void wait_until_idle(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable news_;
  std::condition_variable idle_;
  // The thread's while it writes, else guarded by mutex_.
  NftSocket netlink_;
  OpeningWriter writer_{OpeningTables::kArp};
  // Guarded by mutex_.
  std::vector<Lease> leases_;
  std::optional<Error> failure_;
  bool writing_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace nines::address

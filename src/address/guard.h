// The kernel guard: addresses of ours answer only while their lease lives, and the kernel itself
// sees to it. Two nftables tables drop what is for or from such an address unless the lease is
// open; an opening ends by the kernel's clock, whoever is stopped or dead by then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "address/guard_rules.h"
#include "address/lease_ends.h"
#include "address/nft_socket.h"
#include "address/opening_thread.h"
#include "address/opening_writer.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "io/linux/descriptor.h"

namespace nines::address {

// Addresses that open and shut together.
struct GuardedLease {
  std::vector<SocketAddress> addresses;  // ports are ignored
  Instant open_until{};                  // CLOCK_BOOTTIME; one that has passed: shut
};

// How a lease's end gets into the kernel.
enum class GuardMeans : std::uint8_t {
  kProgram,   // memory that a program of the kernel's reads: lease_ends.h. ARP's is an element
  kElements,  // a transaction for each opening: guard_rules.h, Opening
};

// The owner's duties, in order:
//  1. install() before any of the addresses exists on this host, all of them shut.
//  2. open_until() with each grant and renewal, and only then the address and its announcements:
//     those go out by a packet socket, which no rule sees.
//  3. close() on losing a lease, before anything is said to others.
//  4. When monitor() is readable: disturbed(), and if so install() again with what is open. The
//     same when open_until() says kNotFound.
// The tables outlive this object and its process: that is their purpose. remove() is for hosts that
// leave the cluster.
//
// install() and remove() are one transaction, taken as a whole or not at all, and acknowledged
// before the call returns: about 0.1 ms, longer while somebody else changes nftables. So is
// close(), and open_until() where ends are elements, or the lease was shut. By a program a renewal
// waits for nobody, and ARP's follows by a thread of this object's. Belongs to the network
// namespace of the thread that made it. Not thread-safe. Needs CAP_NET_ADMIN; for a program CAP_BPF
// as well.
class Guard {
 public:
  // By `means` and no other; without any by a program, or by elements if the first install() shows
  // that the kernel or the process's rights do not allow one. kExists while another process guards
  // this network namespace. What is missing for `means` is told here, as install() tells it.
  // Waits so long for that one, which may have been killed and be on its way out.
  static Result<Guard> create(std::optional<GuardMeans> means = std::nullopt,
                              Duration patience = {});

  // Both as of the first install().
  GuardMeans means() const { return means_; }
  // Why it is not a program, where one would have been taken.
  const std::optional<Error>& no_program() const { return no_program_; }

  // Replaces what stood there, in one step even for packets on their way; what the list has open
  // stays open. kInvalid, kExhausted: see check_guardable(); the tables are then as before. The
  // first one: kUnsupported, with the name of what the kernel lacks; kRefused without
  // CAP_NET_ADMIN.
  Result<void> install(const std::vector<GuardedLease>& leases);

  // Lets a lease's addresses through until `end` (CLOCK_BOOTTIME), whatever end they had before.
  // `lease` counts from 0 in the installed list. An element's end is kOpeningMax from now at most.
  // A call that was held up opens nothing beyond `end`, however late it comes. kTimeout: less than
  // kOpeningMin is left; the lease is shut then. kNotFound: the tables are gone; by a program a
  // renewal says what became of ARP's before it.
  Result<void> open_until(std::size_t lease, Instant end);
  Result<void> close(std::size_t lease);

  Result<void> remove();

  // Readable when somebody else has changed any nftables of this namespace.
  int monitor() const { return monitor_.get(); }
  // Reads all that the monitor has. True when our tables were touched, or news was lost.
  Result<bool> disturbed();

 private:
  Guard(io::Descriptor lock, NftSocket netlink);

  void take_elements();
  Result<void> find_means();
  // Writes every rule and has the kernel leave none of them.
  Result<void> rehearse(GuardMeans means);
  Result<void> replace(const std::vector<GuardedLease>& leases, std::vector<GuardRulesLease> rules);
  Result<void> send(NftBatch& batch, NftBatch::Ending ending);
  Result<void> open_by_program(std::size_t lease, Instant end);

  io::Descriptor lock_;
  NftSocket netlink_;
  io::Descriptor monitor_;
  GuardMeans means_ = GuardMeans::kProgram;
  bool is_tried_ = false;  // the kernel has taken rules by these means
  std::optional<Error> no_program_;
  OpeningWriter writer_{OpeningTables::kArp};
  std::vector<GuardFamilies> families_;  // as installed
  std::optional<LeaseEnds> ends_;        // by a program: of what is installed
  std::unique_ptr<OpeningThread> arp_;   // by a program
  std::vector<char> answer_;
};

}  // namespace nines::address

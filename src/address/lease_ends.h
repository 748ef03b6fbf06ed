// When leases end, in memory that the kernel reads: a program compares it with CLOCK_BOOTTIME at
// each packet that a rule asks it about (NftTable::if_program()). A renewal is a store.
#pragma once

#include <cstddef>
#include <vector>

#include "address/bpf_calls.h"
#include "base/result.h"
#include "base/time.h"
#include "io/linux/descriptor.h"

namespace nines::address {

// The memory stays for the rules that use it when this object or its process is gone, and says what
// was stored last. One thread stores.
class LeaseEnds {
 public:
  // All over, as if none had ever begun. At most kGuardedLeasesMax. Needs CAP_BPF: kRefused without
  // it, kUnsupported with what the kernel lacks.
  static Result<LeaseEnds> create(std::size_t leases);

  // By CLOCK_BOOTTIME. Each packet that is judged after the call sees it, on all processors.
  void set(std::size_t lease, Instant end);
  Instant of(std::size_t lease) const;

  // Answers 1 for every packet at or after the lease's end, and 0 before.
  int program(std::size_t lease) const { return programs_[lease].get(); }

 private:
  LeaseEnds() = default;

  io::Descriptor map_;
  bpf::SharedWords ends_;
  std::vector<io::Descriptor> programs_;
};

}  // namespace nines::address

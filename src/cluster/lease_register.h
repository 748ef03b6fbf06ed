// One voter's memory of one name: what it promised, and whose lease runs here until when. The whole
// safety of leases rests on two rules kept here: while one node's lease runs, no other's is
// accepted; and ballots only grow.
#pragma once

#include <cstdint>

#include "base/time.h"
#include "cluster/lease_message.h"

namespace nines::cluster {

struct LeaseRegister {
  Ballot promised;          // nothing below is answered with yes
  Ballot accepted;          // none: nobody's
  Ballot released;          // nothing up to here is accepted again
  std::uint64_t round = 0;  // of `accepted`
  Instant expires{};        // by this host's clock

  NodeId owner() const { return accepted.node(); }
  bool runs(Instant now) const { return accepted.value != 0 && now < expires; }

  message::Verdict prepare(Ballot ballot, Instant now);
  // With yes the lease runs until `now + term` at least. The round of a repeated message changes
  // nothing and is answered as before; an older one is refused.
  message::Verdict accept(const message::Proposal& proposal, Instant now);
  // Whether anything changed.
  bool release(Ballot ballot);

  friend bool operator==(const LeaseRegister&, const LeaseRegister&) = default;
};

}  // namespace nines::cluster

// A voter's answers. To say no is always safe; each yes is argued in docs/internals/leases.md.
#include "cluster/lease_register.h"

#include <algorithm>

namespace nines::cluster {

using message::Verdict;

Verdict LeaseRegister::prepare(Ballot ballot, Instant now) {
  if (runs(now) && owner() != ballot.node()) return Verdict::kBusy;
  if (ballot < promised || ballot <= released) return Verdict::kOutbid;
  promised = ballot;
  return Verdict::kYes;
}

Verdict LeaseRegister::accept(const message::Proposal& proposal, Instant now) {
  const Ballot ballot = proposal.ballot;
  if (runs(now) && owner() != ballot.node()) {
    // The former holder stopped before it gave the name to this proposer, whose word for that may
    // come before the former holder's own.
    const bool gave_up =
        owner() == proposal.follows.node() && accepted <= proposal.follows && ballot > accepted;
    if (!gave_up) return Verdict::kBusy;
    expires = now;
  }
  if (ballot < promised || ballot <= released) return Verdict::kOutbid;
  if (ballot == accepted && proposal.round == round) return Verdict::kYes;
  if (ballot == accepted && proposal.round < round) return Verdict::kOutbid;
  const Instant until = now + proposal.term;
  expires = runs(now) ? std::max(expires, until) : until;
  promised = accepted = ballot;
  round = proposal.round;
  return Verdict::kYes;
}

bool LeaseRegister::release(Ballot ballot) {
  if (ballot <= released) return false;
  released = ballot;
  if (owner() == ballot.node() && accepted <= ballot) accepted = Ballot{};
  return true;
}

}  // namespace nines::cluster

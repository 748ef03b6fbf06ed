// The rule of a vrrp_sync_group, as a machine over the machines of its members: they are master
// together or not at all (keepalived.conf(5), "VRRP synchronization group(s)"). Pure.
//
// A member whose time has come does not claim: it waits until all are so far. Then all claim, and
// when each has held its claim, all take their addresses. One that follows another master, or that
// may not stand, makes the others yield. That faults are shared is the driver's part: what one
// member is told of the world counts for all.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "vrrp/vrrp.h"

namespace nines::vrrp {

struct GroupStep {
  enum class Kind : std::uint8_t {
    kGo,     // event::GroupGo to the members that wait to claim
    kTake,   // event::GroupGo to all that wait
    kYield,  // event::GroupYield to those that claim or are master
  };
  Kind kind = Kind::kGo;
  std::size_t member = 0;  // an index; a step for each
  friend bool operator==(const GroupStep&, const GroupStep&) = default;
};

// What is to be told next, in the members' order; empty: all is as it should be. To be asked again
// after what it said was done.
std::vector<GroupStep> group_steps(const std::vector<const VrrpStatus*>& members);

// Steps until nothing is left to be told; `members` are read anew after each. The driver's duty is
// to call this after every event of a member, once all members have heard of the same thing.
void settle_group(const std::vector<const VrrpStatus*>& members,
                  const std::function<void(const GroupStep&)>& tell);

// The state that all members are in; nothing while they differ or have not begun.
std::optional<State> group_state(const std::vector<const VrrpStatus*>& members);

}  // namespace nines::vrrp

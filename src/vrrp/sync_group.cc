// Decided anew from the members' states each time: there is no state of the group itself that could
// differ from theirs.
#include "vrrp/sync_group.h"

#include <algorithm>

namespace nines::vrrp {

namespace {

// To go, to take, to yield: each changes what the next pass sees, and none leads back.
constexpr int kPassesMax = 8;

bool claims(const VrrpStatus& member) { return member.state == State::kBackup && member.claiming; }
bool waits_to_claim(const VrrpStatus& member) {
  return member.state == State::kBackup && member.waiting && !member.claiming;
}
bool waits_to_take(const VrrpStatus& member) { return claims(member) && member.waiting; }
// It is master, or would be but for the others. One that hands over serves on by itself.
bool stands(const VrrpStatus& member) {
  return member.state == State::kMaster || claims(member) || waits_to_claim(member);
}
bool is_master(const VrrpStatus& member) {
  return member.state == State::kMaster && !member.leaving;
}
bool has_to_yield(const VrrpStatus& member) { return claims(member) || is_master(member); }

template <typename Predicate>
std::vector<GroupStep> step_of(GroupStep::Kind kind, const std::vector<const VrrpStatus*>& members,
                               Predicate meant) {
  std::vector<GroupStep> steps;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (meant(*members[i])) steps.push_back({kind, i});
  }
  return steps;
}

}  // namespace

std::vector<GroupStep> group_steps(const std::vector<const VrrpStatus*>& members) {
  const auto all = [&](auto predicate) {
    return std::all_of(members.begin(), members.end(),
                       [&](const VrrpStatus* member) { return predicate(*member); });
  };
  if (!all(stands)) return step_of(GroupStep::Kind::kYield, members, has_to_yield);
  auto waiting = step_of(GroupStep::Kind::kGo, members, waits_to_claim);
  if (!waiting.empty()) {
    // One that was master as the others and is to claim anew was stopped for too long, and so were
    // they.
    auto masters = step_of(GroupStep::Kind::kYield, members, is_master);
    return masters.empty() ? waiting : masters;
  }
  const auto may_take = [](const VrrpStatus& member) {
    return member.state == State::kMaster || waits_to_take(member);
  };
  if (!all(may_take)) return {};
  return step_of(GroupStep::Kind::kTake, members, waits_to_take);
}

void settle_group(const std::vector<const VrrpStatus*>& members,
                  const std::function<void(const GroupStep&)>& tell) {
  for (int pass = 0; pass < kPassesMax; ++pass) {
    const std::vector<GroupStep> steps = group_steps(members);
    if (steps.empty()) return;
    for (const GroupStep& step : steps) tell(step);
  }
}

std::optional<State> group_state(const std::vector<const VrrpStatus*>& members) {
  if (members.empty()) return std::nullopt;
  const State first = members.front()->state;
  const bool same = std::all_of(members.begin(), members.end(),
                                [&](const VrrpStatus* member) { return member->state == first; });
  if (!same || first == State::kInit) return std::nullopt;
  return first;
}

}  // namespace nines::vrrp

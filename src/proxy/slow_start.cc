// A straight line from nothing to everything, looked at in steps.
#include "proxy/slow_start.h"

#include <algorithm>

namespace nines::proxy {

void SlowStart::begin() {
  deadline_.reset();
  for (auto& [state, seen] : servers_) seen.in_this_pass = false;
}

int SlowStart::percent(const Server& server, BalanceAlgorithm algorithm, Instant now) {
  const Duration length = server.config->slowstart;
  const bool weighs =
      algorithm == BalanceAlgorithm::kRoundRobin || algorithm == BalanceAlgorithm::kLeastConn;
  if (length <= Duration(0) || !weighs) return 100;
  const bool down = !server.state->up.load(std::memory_order_relaxed) ||
                    server.state->maintenance.load(std::memory_order_relaxed);
  const auto [entry, is_new] = servers_.try_emplace(server.state.get(), Seen{.down = down});
  Seen& seen = entry->second;
  seen.in_this_pass = true;
  if (down) seen.up_since.reset();
  if (seen.down && !down) seen.up_since = now;
  seen.down = down;
  if (!seen.up_since) return 100;
  const Duration passed = now - *seen.up_since;
  if (passed >= length) {
    seen.up_since.reset();
    return 100;
  }
  const Duration step = std::max(Duration(length / kSteps), kStepLeast);
  const Instant next = std::min(now + step, *seen.up_since + length);
  deadline_ = std::min(deadline_.value_or(next), next);
  return std::max(1, static_cast<int>(100 * passed / length));
}

void SlowStart::end() {
  std::erase_if(servers_, [](const auto& entry) { return !entry.second.in_this_pass; });
}

}  // namespace nines::proxy

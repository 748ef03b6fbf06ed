// The order of the questions is the policy: may it be sent again at all, then how often, then
// where.
#include "proxy/retry.h"

namespace nines::proxy {

Retry decide_retry(const RetryFacts& facts) {
  const bool may_repeat = facts.untouched || (facts.idempotent && facts.kept);
  if (facts.answered || !may_repeat) return Retry::kGiveUp;
  if (facts.pooled) return Retry::kSameServerNow;
  if (facts.failures > facts.retries) return Retry::kGiveUp;
  if (facts.redispatch && facts.other_usable) return Retry::kOtherServer;
  return Retry::kSameServerLater;
}

}  // namespace nines::proxy

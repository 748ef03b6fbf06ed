// The claim of one recovery on one member, as a text in the member's state folder: two that were
// begun on two hosts never act on the same member.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nines::galera {

inline constexpr std::string_view kClaimFile = "galera.claim";
inline constexpr std::size_t kRunMax = 80;  // characters of a run's name

// Letters, digits, '-', '_' and '.': a word for a shell, a line of a file.
bool is_run_name(std::string_view run);

// Whether `run` may have the claim that now belongs to `holder` (empty: to nobody).
bool may_claim(std::string_view holder, std::string_view run, std::span<const std::string> earlier);

// The claim in `folder`, under a lock that others wait for. kRefused names the holder.
Result<void> take_claim(const std::string& folder, const std::string& run,
                        std::span<const std::string> earlier);
// Of `run`, or of one of those before it; another's is left.
Result<void> release_claim(const std::string& folder, const std::string& run,
                           std::span<const std::string> earlier);
// Empty: nobody's.
Result<std::string> claim_holder(const std::string& folder);

}  // namespace nines::galera

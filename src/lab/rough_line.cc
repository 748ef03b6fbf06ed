// A queue for each direction; what is lost never enters it.
#include "lab/rough_line.h"

#include <algorithm>
#include <utility>

namespace nines::lab {

Result<void> check(const Roughness& roughness) {
  for (const int loss : {roughness.loss_from, roughness.loss_to}) {
    if (loss < 0 || loss > kLossMax) {
      return Error(ErrorCode::kInvalid, "a loss of " + std::to_string(loss) + " %; 0 to " +
                                            std::to_string(kLossMax) + " % are allowed");
    }
  }
  if (roughness.delay < Duration(0) || roughness.delay > kLineDelayMax) {
    return Error(ErrorCode::kInvalid,
                 "a delay of " + std::to_string(milliseconds_of(roughness.delay)) + " ms; 0 to " +
                     std::to_string(milliseconds_of(kLineDelayMax)) + " ms are allowed");
  }
  return {};
}

void RoughDirection::put(std::string frame, int loss, Duration delay, Instant now) {
  const bool lost = rng_.below(kLossMax) < static_cast<std::uint64_t>(loss);
  if (lost || frames_.size() >= kFramesMax) return;
  // A delay that has become shorter overtakes nothing.
  const Instant due = now + delay;
  frames_.push_back({.due = frames_.empty() ? due : std::max(due, frames_.back().due),
                     .bytes = std::move(frame)});
}

std::optional<std::string> RoughDirection::take(Instant now) {
  if (frames_.empty() || frames_.front().due > now) return std::nullopt;
  std::string bytes = std::move(frames_.front().bytes);
  frames_.pop_front();
  return bytes;
}

std::optional<Instant> RoughDirection::next() const {
  if (frames_.empty()) return std::nullopt;
  return frames_.front().due;
}

}  // namespace nines::lab

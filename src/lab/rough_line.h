// What becomes of frames on a line that loses some and delays the rest: the kernels at hand have no
// netem. Pure: frames and instants in, frames out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"

namespace nines::lab {

inline constexpr int kLossMax = 100;  // percent: nothing gets through
inline constexpr Duration kLineDelayMax = std::chrono::seconds(1);

// Of a host's line to the switch.
struct Roughness {
  int loss_from = 0;  // of the frames that the host sends, percent, 0 to kLossMax
  int loss_to = 0;    // of those that are sent to it
  Duration delay{};   // of each, in either direction, 0 to kLineDelayMax
  bool is_smooth() const { return loss_from == 0 && loss_to == 0 && delay == Duration(0); }
  friend bool operator==(const Roughness&, const Roughness&) = default;
};
// kInvalid: what was found and what is allowed.
Result<void> check(const Roughness& roughness);

// One direction of a line. Frames leave in the order in which they came.
class RoughDirection {
 public:
  // Frames on their way; more are lost, as by a switch whose buffers are full.
  static constexpr std::size_t kFramesMax = 4096;

  explicit RoughDirection(std::uint64_t seed) : rng_(seed) {}

  // Takes the frame, or loses it. `loss` in percent.
  void put(std::string frame, int loss, Duration delay, Instant now);
  // The next frame that has arrived.
  std::optional<std::string> take(Instant now);
  // When the next one will have arrived.
  std::optional<Instant> next() const;

 private:
  struct Frame {
    Instant due;
    std::string bytes;
  };
  base::Rng rng_;
  std::deque<Frame> frames_;
};

}  // namespace nines::lab

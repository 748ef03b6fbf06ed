// Instants and durations as values. Nothing here reads a clock: the time is an argument everywhere,
// so that production, simulation and replay are the same code.
#pragma once

#include <chrono>
#include <cstdint>

namespace nines::base {

using Duration = std::chrono::nanoseconds;

// A point on the monotonic axis (CLOCK_BOOTTIME in production: it goes on while the machine
// sleeps). Comparable only within one boot. The zero Instant is "never set".
struct Instant {
  std::int64_t nanoseconds = 0;

  friend constexpr auto operator<=>(Instant, Instant) = default;
  friend constexpr Instant operator+(Instant at, Duration by) {
    return Instant{at.nanoseconds + by.count()};
  }
  friend constexpr Instant operator-(Instant at, Duration by) {
    return Instant{at.nanoseconds - by.count()};
  }
  friend constexpr Duration operator-(Instant later, Instant earlier) {
    return Duration(later.nanoseconds - earlier.nanoseconds);
  }
  static constexpr Instant max() { return Instant{INT64_MAX}; }
};

// A point on the civil time line, for log lines and records only; never for a decision.
struct WallTime {
  std::int64_t nanoseconds_since_epoch = 0;
  std::int64_t seconds() const { return nanoseconds_since_epoch / 1'000'000'000; }
  int milliseconds() const { return static_cast<int>(nanoseconds_since_epoch / 1'000'000 % 1000); }
};

constexpr std::int64_t milliseconds_of(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

}  // namespace nines::base

namespace nines {
using base::Duration;
using base::Instant;
using base::milliseconds_of;
using base::WallTime;
using namespace std::chrono_literals;
}  // namespace nines

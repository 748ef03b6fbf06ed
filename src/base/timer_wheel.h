// A lazy hierarchical timer wheel (Varghese and Lauck, 1987), as a machine: no clock, no IO. Moving
// a deadline later, the common case of an idle timeout pushed back by each byte, only stores the
// new instant; the timer is filed anew when its old slot comes round.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace nines::base {

class TimerWheel;

// One timer, a member of whatever it wakes. Unlinks itself when destroyed. Lives on the loop of the
// wheel it was armed in; not copied, not moved.
class Timer {
 public:
  Timer() = default;
  virtual ~Timer() { cancel(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Runs at or after the deadline, at most one tick late plus the loop's own delay. May arm again
  // and may destroy this timer.
  virtual void on_timer(Instant now) = 0;

  void cancel();
  bool armed() const { return deadline_ != Instant{}; }
  Instant deadline() const { return deadline_; }  // zero when not armed

 private:
  friend class TimerWheel;
  Instant deadline_{};
  std::uint64_t filed_tick_ = 0;  // the slot this timer is linked in stands for this tick
  Timer* next_ = nullptr;
  Timer** previous_link_ = nullptr;  // the pointer that points at us; null when not linked
};

class TimerWheel {
 public:
  static constexpr Duration kTick = std::chrono::milliseconds(1);

  explicit TimerWheel(Instant now) : current_tick_(tick_of(now)) {}
  ~TimerWheel();
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Arms or moves a timer. A deadline in the past fires in the next advance().
  void arm(Timer& timer, Instant deadline);

  // Fires everything due at `now`. Returns how many fired.
  int advance(Instant now);

  // When to call advance() next: never later than the earliest deadline; may be earlier, because
  // filing is lazy. Empty when nothing is filed.
  std::optional<Instant> next_wakeup() const;

 private:
  static constexpr int kLevels = 5;
  static constexpr int kBitsPerLevel = 6;
  static constexpr int kSlots = 1 << kBitsPerLevel;
  // Deadlines beyond the wheel's span (64^5 ms, 12 days) wait in the last slot and are filed anew.
  static constexpr std::uint64_t kSpan = std::uint64_t{1} << (kLevels * kBitsPerLevel);

  static std::uint64_t tick_of(Instant at) {
    return static_cast<std::uint64_t>(at.nanoseconds / kTick.count());
  }
  static std::uint64_t tick_not_before(Instant at);
  void file(Timer& timer);
  void link(Timer*& head, Timer& timer);
  static void unlink(Timer& timer);
  friend class Timer;

  std::uint64_t current_tick_;  // everything filed at or before this tick has been looked at
  std::array<std::array<Timer*, kSlots>, kLevels> slots_{};
  std::array<std::uint64_t, kLevels> occupied_{};  // a bit a slot; may say yes for an emptied one
};

}  // namespace nines::base

namespace nines {
using base::Timer;
}

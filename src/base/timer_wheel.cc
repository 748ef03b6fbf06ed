// The wheel: five levels of 64 slots, a bitmap a level, so that finding the next occupied slot is a
// count of trailing zeros.
#include "base/timer_wheel.h"

#include <algorithm>
#include <bit>
#include <span>

#include "base/check.h"

namespace nines::base {
namespace {

constexpr int kBits = 6;  // of each level
constexpr int kLookedAtMax = 16;

// The next tick at which a slot comes round, if only to be emptied into a lower level.
std::optional<std::uint64_t> next_slot(std::span<const std::uint64_t> occupied,
                                       std::uint64_t current_tick) {
  std::optional<std::uint64_t> earliest;
  for (std::size_t level = 0; level < occupied.size(); ++level) {
    if (occupied[level] == 0) continue;
    const auto shift = static_cast<unsigned>(level * kBits);
    const std::uint64_t position = current_tick >> shift;
    // Rotate so that bit 0 is the slot after the current one: the distance is its trailing zeros.
    const auto ahead =
        std::rotr(occupied[level], static_cast<int>((position + 1) & ((1u << kBits) - 1)));
    const std::uint64_t tick = (position + 1 + static_cast<unsigned>(std::countr_zero(ahead)))
                               << shift;
    if (!earliest || tick < *earliest) earliest = tick;
  }
  return earliest;
}

}  // namespace

void Timer::cancel() {
  deadline_ = Instant{};
  TimerWheel::unlink(*this);
}

TimerWheel::~TimerWheel() {
  for (auto& level : slots_) {
    for (auto*& head : level) {
      while (head != nullptr) {
        head->deadline_ = Instant{};
        unlink(*head);
      }
    }
  }
}

std::uint64_t TimerWheel::tick_not_before(Instant at) {
  if (at.nanoseconds >= INT64_MAX - kTick.count()) return tick_of(Instant::max());
  return tick_of(at + (kTick - Duration(1)));
}

void TimerWheel::arm(Timer& timer, Instant deadline) {
  CHECK(deadline != Instant{});
  timer.deadline_ = deadline;
  const bool filed_early_enough =
      timer.previous_link_ != nullptr && tick_not_before(deadline) >= timer.filed_tick_;
  if (filed_early_enough) return;
  unlink(timer);
  file(timer);
}

void TimerWheel::file(Timer& timer) {
  std::uint64_t tick = tick_not_before(timer.deadline_);
  if (tick <= current_tick_) tick = current_tick_ + 1;
  if (tick - current_tick_ >= kSpan) tick = current_tick_ + kSpan - 1;
  timer.filed_tick_ = tick;
  // The level is the highest group of bits in which the tick differs from now: within that level
  // the slot lies ahead, so it comes round before the tick does and never after.
  const std::uint64_t difference = tick ^ current_tick_;
  int level = (std::bit_width(difference) - 1) / kBitsPerLevel;
  if (level >= kLevels) level = kLevels - 1;
  const auto slot = (tick >> (level * kBitsPerLevel)) & (kSlots - 1);
  link(slots_[static_cast<std::size_t>(level)][slot], timer);
  occupied_[static_cast<std::size_t>(level)] |= std::uint64_t{1} << slot;
}

void TimerWheel::link(Timer*& head, Timer& timer) {
  timer.next_ = head;
  timer.previous_link_ = &head;
  if (head != nullptr) head->previous_link_ = &timer.next_;
  head = &timer;
}

void TimerWheel::unlink(Timer& timer) {
  if (timer.previous_link_ == nullptr) return;
  *timer.previous_link_ = timer.next_;
  if (timer.next_ != nullptr) timer.next_->previous_link_ = timer.previous_link_;
  timer.next_ = nullptr;
  timer.previous_link_ = nullptr;
}

int TimerWheel::advance(Instant now) {
  const std::uint64_t target = tick_of(now);
  int fired = 0;
  while (current_tick_ < target) {
    // Jump to the next tick at which any slot comes round.
    const std::uint64_t next = next_slot(occupied_, current_tick_).value_or(target + 1);
    if (next > target) {
      current_tick_ = target;
      break;
    }
    current_tick_ = next;
    for (std::size_t level = kLevels; level-- > 0;) {
      const auto shift = level * kBitsPerLevel;
      if ((current_tick_ & ((std::uint64_t{1} << shift) - 1)) != 0) continue;
      const auto slot = (current_tick_ >> shift) & (kSlots - 1);
      if ((occupied_[level] & (std::uint64_t{1} << slot)) == 0) continue;
      occupied_[level] &= ~(std::uint64_t{1} << slot);
      // Take the whole slot first: firing may file new timers, even here.
      Timer* due = slots_[level][slot];
      slots_[level][slot] = nullptr;
      if (due != nullptr) due->previous_link_ = &due;
      while (due != nullptr) {
        Timer& timer = *due;
        unlink(timer);
        if (tick_not_before(timer.deadline_) > current_tick_) {
          file(timer);  // moved later meanwhile, or cascading down a level
          continue;
        }
        timer.deadline_ = Instant{};
        ++fired;
        timer.on_timer(now);
      }
    }
  }
  return fired;
}

// Slots are visited in their order on each level; one that begins after the earliest deadline found
// cannot hold an earlier one. A loop with few timers so sleeps until one is due, and is woken
// neither by slots that were left behind nor by those that only have to be emptied. Where many
// timers wait not all are looked at, and the loop may be woken early.
std::optional<Instant> TimerWheel::next_wakeup() const {
  static_assert(kBits == kBitsPerLevel);
  std::optional<std::uint64_t> earliest;
  int looked_at = 0;
  for (std::size_t level = 0; level < kLevels; ++level) {
    const auto shift = static_cast<unsigned>(level * kBitsPerLevel);
    const std::uint64_t position = current_tick_ >> shift;
    auto ahead = std::rotr(occupied_[level], static_cast<int>((position + 1) & (kSlots - 1)));
    for (; ahead != 0; ahead &= ahead - 1) {
      const std::uint64_t place = position + 1 + static_cast<unsigned>(std::countr_zero(ahead));
      if (earliest && place << shift >= *earliest) break;
      const Timer* timer = slots_[level][place & (kSlots - 1)];
      for (; timer != nullptr; timer = timer->next_) {
        if (++looked_at > kLookedAtMax) {
          return Instant{static_cast<std::int64_t>(*next_slot(occupied_, current_tick_)) *
                         kTick.count()};
        }
        const std::uint64_t due = std::max(tick_not_before(timer->deadline_), current_tick_ + 1);
        if (!earliest || due < *earliest) earliest = due;
      }
    }
  }
  if (!earliest) return std::nullopt;
  return Instant{static_cast<std::int64_t>(*earliest) * kTick.count()};
}

}  // namespace nines::base

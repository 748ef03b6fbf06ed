// The wheel against a naive model: the same timers, the same moves, the same firings.
#include "base/timer_wheel.h"

#include <map>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace nines::base {
namespace {

class Recorder : public Timer {
 public:
  void on_timer(Instant now) override { fired.push_back(now); }
  std::vector<Instant> fired;
};

Instant at(std::int64_t ms) { return Instant{ms * 1'000'000}; }

TEST(TimerWheel, FiresNotBeforeItsDeadlineAndAtMostATickLate) {
  TimerWheel wheel(at(1000));
  Recorder timer;
  wheel.arm(timer, Instant{1'005'300'000});
  wheel.advance(Instant{1'005'300'000});
  EXPECT_TRUE(timer.fired.empty());
  wheel.advance(at(1006));
  ASSERT_EQ(timer.fired.size(), 1u);
  EXPECT_FALSE(timer.armed());
}

TEST(TimerWheel, ADeadlineMovedLaterFiresOnceAndLater) {
  TimerWheel wheel(at(0));
  Recorder timer;
  wheel.arm(timer, at(10));
  wheel.arm(timer, at(500));
  wheel.advance(at(499));
  EXPECT_TRUE(timer.fired.empty());
  wheel.advance(at(500));
  EXPECT_EQ(timer.fired.size(), 1u);
}

TEST(TimerWheel, ADeadlineMovedEarlierFiresEarlier) {
  TimerWheel wheel(at(0));
  Recorder timer;
  wheel.arm(timer, at(60'000));
  wheel.arm(timer, at(3));
  wheel.advance(at(3));
  EXPECT_EQ(timer.fired.size(), 1u);
}

TEST(TimerWheel, ADestroyedTimerNeverFires) {
  TimerWheel wheel(at(0));
  auto timer = std::make_unique<Recorder>();
  wheel.arm(*timer, at(5));
  timer.reset();
  EXPECT_EQ(wheel.advance(at(100)), 0);
}

class Killer : public Timer {
 public:
  explicit Killer(std::unique_ptr<Recorder>& victim) : victim_(victim) {}
  void on_timer(Instant) override { victim_.reset(); }

 private:
  std::unique_ptr<Recorder>& victim_;
};

TEST(TimerWheel, ATimerMayDestroyAnotherOfTheSameTick) {
  TimerWheel wheel(at(0));
  auto victim = std::make_unique<Recorder>();
  Killer killer(victim);
  wheel.arm(*victim, at(7));
  wheel.arm(killer, at(7));  // linked in front, so it runs first
  EXPECT_EQ(wheel.advance(at(7)), 1);
  EXPECT_EQ(victim, nullptr);
}

TEST(TimerWheel, BeyondTheSpanOfTheWheelItStillFires) {
  TimerWheel wheel(at(0));
  Recorder timer;
  const auto far = at(std::int64_t{40} * 24 * 3600 * 1000);
  wheel.arm(timer, far);
  wheel.advance(far - std::chrono::milliseconds(1));
  EXPECT_TRUE(timer.fired.empty());
  wheel.advance(far);
  EXPECT_EQ(timer.fired.size(), 1u);
}

// A loop with a few timers is woken for none that was moved or taken away meanwhile.
TEST(TimerWheel, NobodyIsWokenForWhatWasMovedLater) {
  TimerWheel wheel(at(0));
  Recorder timer, other;
  wheel.arm(timer, at(10));
  wheel.arm(timer, at(90));
  EXPECT_EQ(wheel.next_wakeup(), at(90));
  wheel.arm(other, at(20));
  EXPECT_EQ(wheel.next_wakeup(), at(20));
  other.cancel();
  EXPECT_EQ(wheel.next_wakeup(), at(90));
  wheel.advance(at(89));
  EXPECT_EQ(wheel.next_wakeup(), at(90));
  wheel.advance(at(90));
  EXPECT_EQ(timer.fired.size(), 1u);
  EXPECT_EQ(wheel.next_wakeup(), std::nullopt);
}

TEST(TimerWheel, AgreesWithANaiveModelOverRandomSchedules) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Rng rng(seed);
    Instant now = at(static_cast<std::int64_t>(rng.below(1'000'000)));
    TimerWheel wheel(now);
    std::vector<std::unique_ptr<Recorder>> timers;
    std::map<std::size_t, Instant> model;
    const bool few = seed % 2 == 0;
    for (int i = 0; i < (few ? 8 : 60); ++i) timers.push_back(std::make_unique<Recorder>());
    for (int step = 0; step < 200; ++step) {
      const auto which = rng.below(timers.size());
      const auto span = rng.chance(0.2) ? 10'000'000u : rng.chance(0.5) ? 300u : 5'000u;
      if (rng.chance(0.1)) {
        timers[which]->cancel();
        model.erase(which);
      } else {
        const auto deadline = now + std::chrono::milliseconds(1 + rng.below(span));
        wheel.arm(*timers[which], deadline);
        model[which] = deadline;
      }
      if (const auto wakeup = wheel.next_wakeup(); !model.empty()) {
        Instant earliest = Instant::max();
        for (const auto& [_, deadline] : model) earliest = std::min(earliest, deadline);
        ASSERT_TRUE(wakeup.has_value()) << "seed " << seed;
        ASSERT_LE(wakeup->nanoseconds, earliest.nanoseconds) << "seed " << seed;
        if (few) {
          ASSERT_EQ(wakeup->nanoseconds, earliest.nanoseconds) << "seed " << seed;
        }
      }
      now = now + std::chrono::milliseconds(rng.below(rng.chance(0.1) ? 100'000 : 400));
      wheel.advance(now);
      for (auto it = model.begin(); it != model.end();) {
        auto& timer = *timers[it->first];
        if (it->second <= now) {
          ASSERT_EQ(timer.fired.size(), 1u) << "seed " << seed << " step " << step;
          timer.fired.clear();
          it = model.erase(it);
        } else {
          ASSERT_TRUE(timer.fired.empty()) << "seed " << seed << " step " << step;
          ++it;
        }
      }
    }
  }
}

}  // namespace
}  // namespace nines::base

// The life of one plane, event by event, at instants that are written down.
#include "node/plane_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Effects = std::vector<PlaneEffect>;

constexpr Instant kOrigin{1'000'000'000'000};

class PlaneWatchTest : public testing::Test {
 protected:
  Effects at(Duration after, const PlaneEvent& event) {
    Effects effects;
    watch_.handle(event, kOrigin + after, effects);
    return effects;
  }
  // Runs the timers up to that time; a living plane answers each question at once.
  Effects run_until(Duration after, bool answers = true) {
    Effects all;
    while (watch_.deadline() && *watch_.deadline() <= kOrigin + after) {
      const Instant now = *watch_.deadline();
      Effects effects;
      watch_.handle(event::WatchTimer{}, now, effects);
      for (const PlaneEffect effect : effects) {
        if (effect == PlaneEffect::kAsk && answers) {
          watch_.handle(event::Answered{}, now, effects);
        }
        if (effect != PlaneEffect::kAsk) all.push_back(effect);
      }
    }
    return all;
  }
  void serve(Duration after = 0ms) {
    at(after, event::Begin{});
    at(after, event::Served{});
  }

  PlaneWatch watch_{PlanePolicy{}};
};

TEST_F(PlaneWatchTest, ItIsFitOnceItServes) {
  EXPECT_THAT(at(0ms, event::Begin{}), ElementsAre(PlaneEffect::kStart));
  EXPECT_FALSE(watch_.fit());
  EXPECT_THAT(at(30ms, event::Served{}), ElementsAre(PlaneEffect::kFit));
  EXPECT_TRUE(watch_.fit());
}

TEST_F(PlaneWatchTest, ADeathIsMendedBeforeAnybodyNeedsToKnow) {
  serve();
  EXPECT_THAT(at(20s, event::Died{}), IsEmpty());
  EXPECT_THAT(run_until(20s + 9ms), IsEmpty());
  EXPECT_THAT(run_until(20s + 10ms), ElementsAre(PlaneEffect::kStart));
  EXPECT_THAT(at(20s + 60ms, event::Served{}), IsEmpty());
  EXPECT_THAT(run_until(40s), IsEmpty());
  EXPECT_TRUE(watch_.fit());
}

TEST_F(PlaneWatchTest, NotBackInTimeIsUnfitUntilItServes) {
  serve();
  at(20s, event::Died{});
  EXPECT_THAT(run_until(20s + 499ms), ElementsAre(PlaneEffect::kStart));
  EXPECT_THAT(run_until(20s + 500ms), ElementsAre(PlaneEffect::kUnfit));
  EXPECT_THAT(at(21s, event::Served{}), ElementsAre(PlaneEffect::kFit));
}

TEST_F(PlaneWatchTest, TimeWithoutItCountsFromItsFirstDeathWhileItComesBack) {
  serve();
  at(20s, event::Died{});
  run_until(20s + 10ms);
  at(20s + 400ms, event::Died{});  // again, before it served
  EXPECT_THAT(run_until(20s + 500ms), ElementsAre(PlaneEffect::kStart, PlaneEffect::kUnfit));
}

TEST_F(PlaneWatchTest, DyingAgainAndAgainIsUnfitUntilItHasBeenHealthy) {
  serve();
  at(1s, event::Died{});
  run_until(1s + 10ms);
  at(1s + 50ms, event::Served{});
  at(2s, event::Died{});
  run_until(2s + 20ms);
  at(2s + 50ms, event::Served{});
  EXPECT_THAT(at(3s, event::Died{}), ElementsAre(PlaneEffect::kUnfit));
  EXPECT_THAT(run_until(3s + 40ms), ElementsAre(PlaneEffect::kStart));
  EXPECT_THAT(at(3s + 50ms, event::Served{}), IsEmpty());
  EXPECT_THAT(run_until(13s + 49ms), IsEmpty());
  EXPECT_THAT(run_until(13s + 50ms), ElementsAre(PlaneEffect::kFit));
}

TEST_F(PlaneWatchTest, RestartsBackOffAndStartAfreshAfterHealth) {
  serve();
  std::vector<std::int64_t> delays;
  Duration now = 1s;
  for (int i = 0; i < 12; ++i) {
    at(now, event::Died{});
    delays.push_back(milliseconds_of(watch_.restart_delay()));
    now += watch_.restart_delay();
    EXPECT_THAT(run_until(now), testing::Contains(PlaneEffect::kStart));
    now += 1ms;
  }
  EXPECT_THAT(delays, ElementsAre(10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5000, 5000, 5000));
  at(now, event::Served{});
  run_until(now + 10s);
  at(now + 10s, event::Died{});
  EXPECT_EQ(watch_.restart_delay(), 10ms);
}

TEST_F(PlaneWatchTest, OneThatDoesNotAnswerIsKilledOnce) {
  serve();
  run_until(5s);
  EXPECT_THAT(run_until(6s, false), IsEmpty());
  EXPECT_THAT(run_until(6s + 200ms, false), ElementsAre(PlaneEffect::kKill));
  EXPECT_THAT(run_until(9s, false), IsEmpty());
  EXPECT_THAT(at(9s, event::Died{}), IsEmpty());
  EXPECT_THAT(run_until(9s + 10ms), ElementsAre(PlaneEffect::kStart));
}

TEST_F(PlaneWatchTest, AStoppedSupervisorBlamesNobody) {
  serve();
  run_until(5s);
  Effects effects = at(5s + 100ms, event::WatchTimer{});
  EXPECT_THAT(effects, ElementsAre(PlaneEffect::kAsk));
  // The whole machine stood still for a minute, with a question on its way.
  EXPECT_THAT(at(65s, event::WatchTimer{}), ElementsAre(PlaneEffect::kAsk));
  EXPECT_THAT(run_until(65s + 900ms, false), IsEmpty());
  EXPECT_THAT(run_until(66s + 100ms, false), ElementsAre(PlaneEffect::kKill));
}

TEST_F(PlaneWatchTest, ItWasSeenWhenTheQuestionThatItAnsweredWasAsked) {
  at(0ms, event::Begin{});
  EXPECT_EQ(watch_.seen_at(), Instant{});
  at(30ms, event::Served{});  // so it had begun
  EXPECT_EQ(watch_.seen_at(), kOrigin);
  at(130ms, event::WatchTimer{});
  EXPECT_EQ(watch_.seen_at(), kOrigin);
  at(230ms, event::WatchTimer{});
  // However late the supervisor hears it, and however many questions went out meanwhile.
  at(90s, event::Answered{});
  EXPECT_EQ(watch_.seen_at(), kOrigin + 130ms);
  at(90s, event::Answered{});
  EXPECT_EQ(watch_.seen_at(), kOrigin + 130ms);
  // The next one follows a plane that was last seen then, until it serves itself.
  at(91s, event::Died{});
  run_until(91s + 10ms);
  EXPECT_EQ(watch_.seen_at(), kOrigin + 130ms);
  at(92s, event::Served{});
  EXPECT_EQ(watch_.seen_at(), kOrigin + 91s + 10ms);
}

TEST_F(PlaneWatchTest, OneThatNeverBeginsToServeIsKilled) {
  at(0s, event::Begin{});
  EXPECT_THAT(run_until(29s), IsEmpty());
  EXPECT_THAT(run_until(30s), ElementsAre(PlaneEffect::kKill));
}

TEST_F(PlaneWatchTest, AnEndThatWasAskedForIsNotMended) {
  serve();
  EXPECT_THAT(at(1s, event::End{}), ElementsAre(PlaneEffect::kUnfit));
  EXPECT_THAT(at(2s, event::Died{}), IsEmpty());
  EXPECT_EQ(watch_.state(), PlaneWatch::State::kIdle);
  EXPECT_FALSE(watch_.deadline());
  EXPECT_EQ(watch_.deaths(), 0);
  EXPECT_THAT(at(3s, event::Begin{}), ElementsAre(PlaneEffect::kStart));
}

TEST_F(PlaneWatchTest, AnEndWhileItWaitsIsTheEnd) {
  serve();
  at(1s, event::Died{});
  at(1s, event::End{});
  EXPECT_EQ(watch_.state(), PlaneWatch::State::kIdle);
  EXPECT_FALSE(watch_.deadline());
}

}  // namespace
}  // namespace nines::node

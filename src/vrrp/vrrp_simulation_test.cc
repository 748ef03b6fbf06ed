// Scenarios on one simulated segment: who starts, leaves, dies, wakes or is cut off, and who holds
// the address for it. What happens by chance is in vrrp_schedules_test.cc.
#include <array>

#include <gtest/gtest.h>

#include "vrrp/simulated_segment.h"

namespace nines::vrrp {
namespace {

using Wire = SimulatedSegment;
using Conditions = SegmentConditions;

template <typename Scenario>
void each_seed(std::uint64_t count, Scenario scenario) {
  for_seeds(count, [&](std::uint64_t seed) {
    scenario(seed);
    return !testing::Test::HasFailure();
  });
}

constexpr Duration kSettled = 1s;  // ten adverts: beyond any timer at rest

TEST(VrrpSimulation, WithoutLossNeverTwoHoldTheAddress) {
  each_seed(1500, [](std::uint64_t seed) {
    Wire wire(seed, {});
    const int count = std::array{2, 3, 5}[seed % 3];
    for (int i = 0; i < count; ++i) {
      wire.add(static_cast<int>(1 + wire.rng().below(seed % 2 == 0 ? 254 : 3)), seed % 5 == 0);
    }
    for (int i = 0; i < count; ++i) {
      wire.start(i);
      if (wire.rng().chance(0.5)) wire.run_for(std::chrono::milliseconds(wire.rng().below(500)));
    }
    wire.run_for(kSettled);
    EXPECT_GE(wire.holder(), 0);
    // Masters leave in order and come back, which makes the others claim and preempt.
    for (int round = 0; round < 4; ++round) {
      const int leaving = wire.holder();
      ASSERT_GE(leaving, 0);
      wire.stop(leaving);
      wire.run_for(std::chrono::milliseconds(wire.rng().below(600)));
      wire.restart(leaving);
      wire.run_for(kSettled);
      EXPECT_GE(wire.holder(), 0);
    }
    EXPECT_EQ(wire.two_held_max(), Duration{});
  });
}

TEST(VrrpSimulation, TwoBackupsThatWakeTogetherNeverBothAnnounce) {
  each_seed(1500, [](std::uint64_t seed) {
    Wire wire(seed, {});
    const int master = wire.add(200);
    const int one = wire.add(100);
    const int other = wire.add(static_cast<int>(100 - seed % 2));  // equal, or 0.4 ms of skew apart
    for (int i = 0; i < wire.size(); ++i) wire.start(i);
    wire.run_for(kSettled);
    ASSERT_EQ(wire.holder(), master);
    wire.kill(master);
    wire.run_for(kSettled);
    EXPECT_GE(wire.holder(), 0);
    EXPECT_EQ(wire.two_held_max(), Duration{});
    EXPECT_TRUE(wire.announcements(one) == 0 || wire.announcements(other) == 0);
  });
}

TEST(VrrpSimulation, AGracefulStopHandsOverWithinTheSkew) {
  each_seed(500, [](std::uint64_t seed) {
    Wire wire(seed, {});
    wire.add(254);
    wire.add(253);
    wire.add(252);
    for (int i = 0; i < 3; ++i) wire.start(i);
    wire.run_for(kSettled);
    ASSERT_EQ(wire.holder(), 0);
    wire.stop(0);
    EXPECT_EQ(wire.holder(), -1);
    // Skew 1.2 ms, the claim's 1 ms, and the wire and the timers twice.
    wire.run_for(4ms);
    EXPECT_EQ(wire.holder(), 1);
  });
}

TEST(VrrpSimulation, NopreemptKeepsTheAddressWhereItIs) {
  each_seed(500, [](std::uint64_t seed) {
    Wire wire(seed, {});
    wire.add(150, true);
    wire.add(100, true);
    wire.start(0);
    wire.start(1);
    wire.run_for(kSettled);
    ASSERT_EQ(wire.holder(), 0);
    wire.kill(0);
    wire.run_for(kSettled);
    ASSERT_EQ(wire.holder(), 1);
    wire.restart(0);
    wire.run_for(kSettled);
    EXPECT_EQ(wire.holder(), 1);
    EXPECT_EQ(wire.machine(1).status().counters.released_master, 0u);
  });
}

TEST(VrrpSimulation, AStoppedMasterThatMayNotPreemptStaysAway) {
  each_seed(300, [](std::uint64_t seed) {
    Wire wire(seed, {});
    wire.add(150, true);
    wire.add(100, true);
    wire.start(0);
    wire.start(1);
    wire.run_for(kSettled);
    ASSERT_EQ(wire.holder(), 0);
    wire.pause(0);
    wire.run_for(500ms + std::chrono::milliseconds(wire.rng().below(3000)));
    ASSERT_EQ(wire.holder(), 1);
    wire.resume(0);
    wire.run_for(kSettled);
    EXPECT_EQ(wire.holder(), 1);
    EXPECT_EQ(wire.two_held_max(), Duration{});
  });
}

TEST(VrrpSimulation, AHealedCutLeavesOneThatAnnouncesAgain) {
  each_seed(500, [](std::uint64_t seed) {
    Wire wire(seed, {});
    wire.add(150);
    wire.add(seed % 2 == 0 ? 150 : 100);
    wire.start(0);
    wire.start(1);
    wire.run_for(kSettled);
    wire.cut(0, 1, true);
    wire.cut(1, 0, true);
    wire.run_for(2s + std::chrono::milliseconds(wire.rng().below(100)));
    EXPECT_EQ(wire.holder(), -2);  // as VRRP is
    const int before[] = {wire.announcements(0), wire.announcements(1)};
    const Instant healed = wire.now();
    wire.heal();
    wire.run_for(kSettled);
    const int winner = wire.holder();
    ASSERT_GE(winner, 0);
    EXPECT_GT(wire.announcements(winner), before[winner]);
    EXPECT_EQ(wire.machine(winner).status().since < healed, true);
    // One of them advertises within an interval, and the other answers at once.
    EXPECT_LE(wire.two_hearing_max(), 102ms);
  });
}

TEST(VrrpSimulation, WhateverHappensOneMasterIsLeftInTheEnd) {
  each_seed(6000, [](std::uint64_t seed) {
    Conditions conditions;
    if (seed % 2 == 0) conditions.loss = 0.1;
    if (seed % 3 == 0) conditions.delay_max = 20ms;
    if (seed % 4 == 0) conditions.lateness_max = 10ms;
    Wire wire(seed, conditions);
    const int count = std::array{2, 3, 5}[seed % 3];
    const bool nopreempt = seed % 5 == 0;
    for (int i = 0; i < count; ++i) {
      wire.add(static_cast<int>(1 + wire.rng().below(seed % 7 == 0 ? 2 : 254)), nopreempt);
    }
    for (int i = 0; i < count; ++i) wire.start(i);
    const int faults = 3 + static_cast<int>(wire.rng().below(8));
    for (int i = 0; i < faults; ++i) {
      const int host = static_cast<int>(wire.rng().below(static_cast<std::uint64_t>(count)));
      const int other = static_cast<int>(wire.rng().below(static_cast<std::uint64_t>(count)));
      switch (wire.rng().below(6)) {
        case 0:
          wire.kill(host);
          break;
        case 1:
          wire.restart(host);
          break;
        case 2:
          wire.pause(host);
          break;
        case 3:
          wire.resume(host);
          break;
        case 4:
          wire.cut(host, other, true);
          break;
        case 5:
          wire.cut(host, other, false);
          break;
      }
      wire.run_for(std::chrono::milliseconds(wire.rng().below(700)));
    }
    wire.heal();
    wire.run_for(1s);
    const int holder = wire.holder();
    ASSERT_GE(holder, 0);
    // And so it stays.
    wire.run_for(1s);
    EXPECT_EQ(wire.holder(), holder);
    if (!nopreempt) {
      for (int i = 0; i < count; ++i) {
        EXPECT_LE(wire.machine(i).status().priority, wire.machine(holder).status().priority);
      }
    }
    // The master-down interval (400 ms at most) and an advert of undisturbed hearing.
    EXPECT_LE(wire.two_hearing_max(), 500ms);
  });
}

TEST(VrrpSimulation, AMasterRestartedAtOnceKeepsItsAddress) {
  each_seed(500, [](std::uint64_t seed) {
    Wire wire(seed, {});
    wire.add(150, seed % 2 == 0);
    wire.add(100, seed % 2 == 0);
    wire.start(0);
    wire.start(1);
    wire.run_for(kSettled);
    ASSERT_EQ(wire.holder(), 0);
    wire.take_none_held_max();
    for (int round = 0; round < 5; ++round) {
      wire.kill(0);
      wire.run_for(std::chrono::milliseconds(wire.rng().below(100)));
      wire.restart_as_master(0);
      wire.run_for(std::chrono::milliseconds(5 + wire.rng().below(500)));
      EXPECT_EQ(wire.machine(0).status().state, State::kMaster);
    }
    EXPECT_EQ(wire.take_none_held_max(), Duration{});
    EXPECT_EQ(wire.two_held_max(), Duration{});
    EXPECT_EQ(wire.machine(1).status().counters.became_master, 0u);
  });
}

TEST(VrrpSimulation, AMasterRestartedLateGivesWayToTheBetterOneThatTookOver) {
  each_seed(500, [](std::uint64_t seed) {
    Wire wire(seed, {});
    wire.add(150, true);
    wire.add(200, true);
    wire.start(0);
    wire.run_for(kSettled);
    wire.start(1);
    wire.run_for(kSettled);
    ASSERT_EQ(wire.holder(), 0);
    wire.kill(0);
    wire.run_for(kSettled);
    ASSERT_EQ(wire.holder(), 1);
    wire.restart_as_master(0);
    wire.run_for(kSettled);
    EXPECT_EQ(wire.holder(), 1);
    EXPECT_EQ(wire.two_held_max(), Duration{});
    EXPECT_EQ(wire.machine(0).status().counters.became_master, 0u);
  });
}

TEST(VrrpSimulation, AMasterThatFollowsTooLateLeavesTheAddressWhereItIs) {
  each_seed(500, [](std::uint64_t seed) {
    Wire wire(seed, {});
    wire.add(150, true);
    wire.add(100, true);
    wire.start(0);
    wire.start(1);
    wire.run_for(kSettled);
    ASSERT_EQ(wire.holder(), 0);
    // It stands still until its supervisor ends it, and the supervisor was not quick either.
    wire.pause(0);
    wire.run_for(500ms + std::chrono::milliseconds(wire.rng().below(1000)));
    ASSERT_EQ(wire.holder(), 1);
    wire.kill(0);
    wire.restart_as_master(0);
    wire.run_for(kSettled);
    EXPECT_EQ(wire.holder(), 1);
    EXPECT_EQ(wire.displaced(), 0);
    EXPECT_EQ(wire.last_announcer(), 1);
  });
}

// The one case in which two hold the address though nothing is lost: the claim of a restarted
// master comes while a better one stands still, which took the address when the worse one was dead.
// Neither can know of the other before both run. From then on it takes one advert.
TEST(VrrpSimulation, AClaimThatABetterOneSleptThroughEndsWithItsFirstAdvert) {
  Duration longest{};
  each_seed(500, [&](std::uint64_t seed) {
    Wire wire(seed, {});
    wire.add(100);
    wire.add(200);
    wire.start(0);
    wire.run_for(kSettled);
    wire.start(1);
    wire.run_for(310ms);
    ASSERT_EQ(wire.holder(), 0);
    wire.kill(0);
    wire.run_for(20ms);
    ASSERT_TRUE(wire.holds(1));
    wire.pause(1);
    wire.restart_as_master(0);
    wire.run_for(20ms);
    ASSERT_EQ(wire.machine(0).status().state, State::kMaster);
    wire.resume(1);
    wire.run_for(kSettled);
    EXPECT_EQ(wire.holder(), 1);
    EXPECT_EQ(wire.last_announcer(), 1);
    EXPECT_EQ(wire.two_living_max(), Duration{});
    EXPECT_LE(wire.two_woken_max(), Conditions{}.delay_max);
    longest = std::max(longest, wire.two_woken_max());
  });
  EXPECT_GT(longest, Duration{});
}

TEST(VrrpSimulation, RestartsAsMasterUnderLossLeaveOneInTheEnd) {
  each_seed(1000, [](std::uint64_t seed) {
    Conditions conditions;
    conditions.loss = 0.2;
    Wire wire(seed, conditions);
    for (int i = 0; i < 3; ++i)
      wire.add(static_cast<int>(1 + wire.rng().below(254)), seed % 2 == 0);
    for (int i = 0; i < 3; ++i) wire.start(i);
    wire.run_for(kSettled);
    for (int round = 0; round < 6; ++round) {
      const int host = wire.holder();
      if (host < 0) {
        wire.run_for(100ms);
        continue;
      }
      wire.kill(host);
      wire.run_for(std::chrono::milliseconds(wire.rng().below(600)));
      wire.restart_as_master(host);
      wire.run_for(std::chrono::milliseconds(wire.rng().below(300)));
    }
    wire.heal();
    wire.run_for(kSettled);
    EXPECT_GE(wire.holder(), 0);
    EXPECT_LE(wire.two_hearing_max(), 500ms);
  });
}

// Nobody holds the address from the successor's claim until it is ripe: the hold, begun anew with
// the last answer of another claimant, and what the timer is late.
constexpr Duration kHandOverGapMax = 1ms + 2 * Conditions{}.delay_max + Conditions{}.lateness_max;

TEST(VrrpSimulation, AHandOverLeavesNoGapButTheClaim) {
  each_seed(1000, [](std::uint64_t seed) {
    Wire wire(seed, {});
    const bool nopreempt = seed % 2 == 0;
    wire.add(3, nopreempt);  // the worst spread
    wire.add(2, nopreempt);
    wire.add(seed % 3 == 0 ? 2 : 1, nopreempt);
    for (int i = 0; i < 3; ++i) wire.start(i);
    wire.run_for(kSettled);
    wire.take_none_held_max();
    for (int round = 0; round < 4; ++round) {
      const int leaving = wire.holder();
      ASSERT_GE(leaving, 0);
      const int before = wire.announcements(leaving);
      wire.hand_over(leaving);
      EXPECT_EQ(wire.holder(), leaving);
      wire.run_for(300ms);
      EXPECT_GE(wire.holder(), 0);
      EXPECT_NE(wire.holder(), leaving);
      EXPECT_EQ(wire.announcements(leaving), before);
      wire.restart(leaving);
      wire.run_for(kSettled);
    }
    EXPECT_LE(wire.take_none_held_max(), kHandOverGapMax);
    EXPECT_EQ(wire.two_held_max(), Duration{});
  });
}

TEST(VrrpSimulation, AHandOverToNobodyEndsByItself) {
  each_seed(100, [](std::uint64_t seed) {
    Wire wire(seed, {});
    wire.add(100);
    wire.start(0);
    wire.run_for(kSettled);
    wire.hand_over(0);
    wire.run_for(wire.machine(0).hand_over_patience() - 1ms);
    EXPECT_EQ(wire.holder(), 0);
    wire.run_for(2ms);
    EXPECT_EQ(wire.holder(), -1);
    EXPECT_EQ(wire.machine(0).status().state, State::kStopped);
  });
}

TEST(VrrpSimulation, AHandOverMeetsABetterRivalOrAStop) {
  each_seed(500, [](std::uint64_t seed) {
    Wire wire(seed, {});
    wire.add(150);
    wire.add(100);
    wire.add(200);
    wire.start(0);
    wire.start(1);
    wire.run_for(kSettled);
    ASSERT_EQ(wire.holder(), 0);
    wire.start(2);
    // Its claim comes after three adverts and a skew, about when the other leaves.
    wire.run_for(300ms + std::chrono::microseconds(wire.rng().below(60'000)));
    wire.hand_over(0);
    if (seed % 2 == 0) wire.stop(0);
    wire.run_for(kSettled);
    EXPECT_EQ(wire.holder(), 2);
    EXPECT_EQ(wire.two_held_max(), Duration{});
    EXPECT_EQ(wire.machine(0).status().counters.released_master, 1u);
  });
}

TEST(VrrpSimulation, AHandOverUnderLossEndsAndLeavesOneInTheEnd) {
  each_seed(1000, [](std::uint64_t seed) {
    Conditions conditions;
    conditions.loss = 0.2;
    Wire wire(seed, conditions);
    for (int i = 0; i < 3; ++i) wire.add(static_cast<int>(1 + wire.rng().below(254)), true);
    for (int i = 0; i < 3; ++i) wire.start(i);
    wire.run_for(kSettled);
    for (int round = 0; round < 4; ++round) {
      const int leaving = wire.holder();
      if (leaving >= 0) {
        wire.hand_over(leaving);
        wire.run_for(wire.machine(leaving).hand_over_patience() + 1ms);
        EXPECT_EQ(wire.machine(leaving).status().state, State::kStopped);
        EXPECT_FALSE(wire.holds(leaving));
        wire.restart(leaving);
      }
      wire.run_for(std::chrono::milliseconds(wire.rng().below(500)));
    }
    wire.heal();
    wire.run_for(kSettled);
    EXPECT_GE(wire.holder(), 0);
    EXPECT_LE(wire.two_hearing_max(), 500ms);
  });
}

// The checker itself: a host that hears nothing must be found out.
TEST(VrrpSimulation, ADeafHostIsFoundOut) {
  Wire wire(1, {});
  wire.add(150);
  wire.add(200);
  wire.cut(0, 1, true);
  wire.cut(1, 0, true);
  wire.start(0);
  wire.start(1);
  wire.run_for(2s);
  EXPECT_EQ(wire.holder(), -2);
  EXPECT_GT(wire.two_held_max(), 1s);
}

}  // namespace
}  // namespace nines::vrrp

// Verdicts under faults by seeds: no rule outlives its reason, none is made by a minority, against
// more than a minority, against a host that was there, or by one that stood still. And planted
// bugs, each of which the same judge must find.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

#include "cluster/dead_peers_world.h"

namespace nines::cluster {
namespace {

constexpr std::uint64_t kSchedules = 12;
constexpr std::uint64_t kSchedulesForPlant = 20;

std::uint64_t number_in(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(DeadPeersSimulation, NoRuleOutlivesItsReasonOrFallsWithoutOne) {
  // NINES_SIM_SEED=n one schedule; NINES_SIM_SEEDS=n that many, from NINES_SIM_FIRST=n on.
  std::uint64_t first = number_in("NINES_SIM_FIRST", 1),
                count = number_in("NINES_SIM_SEEDS", kSchedules);
  if (std::getenv("NINES_SIM_SEED") != nullptr) first = number_in("NINES_SIM_SEED", 1), count = 1;
  DeadPeersTally sum;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    DeadPeersWorld world(seed, DeadPeerPlant::kNone);
    const std::string wrong = world.run();
    ASSERT_EQ(wrong, "") << "seed " << seed;
    sum.verdicts += world.tally().verdicts;
    sum.lifted += world.tally().lifted;
    sum.shunned += world.tally().shunned;
    sum.faults += world.tally().faults;
    sum.outlived_most = std::max(sum.outlived_most, world.tally().outlived_most);
    sum.noticed_most = std::max(sum.noticed_most, world.tally().noticed_most);
  }
  std::printf(
      "%llu schedules, %llu faults: %llu verdicts, %llu lifted, %llu doubts; a rule "
      "outlived its reason by %lld ms at most, by %lld on a host at work without loss\n",
      static_cast<unsigned long long>(count), static_cast<unsigned long long>(sum.faults),
      static_cast<unsigned long long>(sum.verdicts), static_cast<unsigned long long>(sum.lifted),
      static_cast<unsigned long long>(sum.shunned),
      static_cast<long long>(milliseconds_of(sum.outlived_most)),
      static_cast<long long>(milliseconds_of(sum.noticed_most)));
  if (count >= kSchedules) {
    EXPECT_GT(sum.verdicts, count) << "too tame to prove anything";
  }
}

class DeadPeersPlantedBug : public testing::TestWithParam<std::pair<DeadPeerPlant, const char*>> {};

TEST_P(DeadPeersPlantedBug, IsFound) {
  for (std::uint64_t seed = 1; seed <= kSchedulesForPlant; ++seed) {
    DeadPeersWorld world(seed, GetParam().first);
    const std::string wrong = world.run();
    if (wrong.empty()) continue;
    std::printf("found by seed %llu: %s\n", static_cast<unsigned long long>(seed), wrong.c_str());
    return;
  }
  FAIL() << "not found by " << kSchedulesForPlant << " schedules";
}

INSTANTIATE_TEST_SUITE_P(
    Each, DeadPeersPlantedBug,
    testing::Values(std::pair(DeadPeerPlant::kForgetsToUnblock, "ForgetsToUnblock"),
                    std::pair(DeadPeerPlant::kRulesWithoutEnd, "RulesWithoutEnd"),
                    std::pair(DeadPeerPlant::kHidesStandingStill, "HidesStandingStill"),
                    std::pair(DeadPeerPlant::kMinorityActs, "MinorityActs"),
                    std::pair(DeadPeerPlant::kEchoIgnored, "EchoIgnored"),
                    std::pair(DeadPeerPlant::kImpatient, "Impatient"),
                    std::pair(DeadPeerPlant::kDestroysFirst, "DestroysFirst")),
    [](const auto& each) { return std::string(each.param.second); });

// Named stories, each with its figures.
class DeadPeersStory : public testing::Test {
 protected:
  DeadPeersStory() : world_(7, DeadPeerPlant::kNone) {}
  void begin(int nodes) {
    world_.set_nodes(nodes);
    world_.run_for(3s);
  }
  void TearDown() override { EXPECT_EQ(world_.wrong(), ""); }
  DeadPeersWorld world_;
};

TEST_F(DeadPeersStory, AControllerDiesAndReturns) {
  begin(3);
  world_.pause_host(3, true);
  world_.run_for(150ms);
  EXPECT_TRUE(world_.shuns(1, 3) && world_.shuns(2, 3)) << "no new work at once";
  EXPECT_FALSE(world_.stands(1, 3));
  world_.run_for(1050ms);
  EXPECT_TRUE(world_.stands(1, 3) && world_.stands(2, 3));
  EXPECT_EQ(world_.destroyed(1), 1);
  world_.run_for(1min);
  EXPECT_TRUE(world_.stands(1, 3));
  EXPECT_EQ(world_.destroyed(1), 2);
  world_.pause_host(3, false);
  world_.run_for(100ms);
  EXPECT_FALSE(world_.stands(1, 3) || world_.stands(2, 3));
  EXPECT_FALSE(world_.stands(3, 1) || world_.stands(3, 2)) << "it distrusts itself";
  EXPECT_TRUE(world_.shuns(1, 3));
  world_.run_for(700ms);
  EXPECT_FALSE(world_.shuns(1, 3));
}

TEST_F(DeadPeersStory, AHostPausedForThreeSecondsHarmsNobodyAndIsHealedWithinASecond) {
  begin(3);
  world_.pause_host(3, true);
  world_.run_for(3s);
  EXPECT_TRUE(world_.stands(1, 3)) << "the others cannot know better";
  world_.pause_host(3, false);
  world_.run_for(1s);
  for (const NodeId on : {1, 2, 3}) {
    for (const NodeId against : {1, 2, 3}) {
      EXPECT_FALSE(world_.stands(on, against)) << int{on} << int{against};
      EXPECT_FALSE(world_.shuns(on, against)) << int{on} << int{against};
    }
  }
  EXPECT_EQ(world_.destroyed(3), 0) << "its own clock stood still, not the others";
}

TEST_F(DeadPeersStory, NinesKilledOrStoppedOnALivingHostResetsNobody) {
  begin(3);
  world_.kill_nines(3);
  world_.run_for(30s);
  world_.start_nines(3);
  world_.run_for(2s);
  world_.stop_nines(3, true);
  world_.run_for(30s);
  EXPECT_EQ(world_.destroyed(1) + world_.destroyed(2), 0);
  EXPECT_EQ(world_.tally().verdicts, 0u);
}

TEST_F(DeadPeersStory, NinesKilledWhileARuleStandsTakesItAlongAndTheNextMakesItAnew) {
  begin(3);
  world_.pause_host(3, true);
  world_.run_for(2s);
  EXPECT_TRUE(world_.stands(1, 3));
  world_.kill_nines(1);
  EXPECT_FALSE(world_.stands(1, 3));
  world_.run_for(100ms);
  world_.start_nines(1);
  world_.run_for(1500ms);
  EXPECT_TRUE(world_.stands(1, 3)) << "though it has never heard of it";
  EXPECT_TRUE(world_.stands(2, 3));
}

TEST_F(DeadPeersStory, ThreeOfFiveDieOneByOne) {
  begin(5);
  world_.pause_host(5, true);
  world_.pause_host(4, true);
  world_.run_for(2s);
  EXPECT_TRUE(world_.stands(1, 4) && world_.stands(1, 5));
  world_.pause_host(3, true);
  world_.run_for(1s);
  for (const NodeId on : {1, 2}) {
    for (const NodeId against : {3, 4, 5}) {
      EXPECT_FALSE(world_.stands(on, against)) << "two of five cut off nobody";
    }
  }
  world_.run_for(1min);
  EXPECT_FALSE(world_.stands(1, 3));
  world_.pause_host(3, false);
  world_.run_for(10s);
  EXPECT_TRUE(world_.stands(1, 4) && world_.stands(1, 5));
}

TEST_F(DeadPeersStory, AFlappingHostIsCutOffEverMoreSeldom) {
  begin(3);
  for (int i = 0; i < 20; ++i) {
    world_.cut_off(3, true);
    world_.run_for(2s);
    world_.cut_off(3, false);
    world_.run_for(1s);
  }
  EXPECT_EQ(world_.destroyed(1), 2) << "the first time, twice: then two seconds are not enough";
}

// What schedule 16592 found (of the time when a calm host looked as often as any): sockets that had
// overflowed while their host's nines stood still passed for a lossy line, and a peer counted
// towards a majority for most of a second after it had been stopped itself.
TEST_F(DeadPeersStory, WhoStoodStillCountsOnNobodyLongerThanOthersDo) {
  begin(4);
  world_.stop_nines(1, true);
  world_.run_for(10s);
  world_.cut_off(4, true);
  world_.run_for(100ms);
  world_.stop_nines(1, false);
  world_.pause_host(2, true);
  world_.run_for(100ms);
  world_.cut_off(4, false);  // heard again, once what happened meanwhile is forgiven
  world_.run_for(120ms);
  world_.stop_nines(4, true);
  world_.run_for(3s);
  EXPECT_FALSE(world_.stands(1, 2) || world_.stands(3, 2)) << "two of four are no majority";
}

// What schedule 1564 found: until a return can be noticed a rule is renewed, and if its nines is
// stopped then, the element is what ends it. The judge had allowed for the element alone.
TEST(DeadPeersStories, ARuleOfAStoppedNinesEndsASecondAfterTheReturnCouldBeNoticed) {
  Duration outlived{};
  for (Duration after = 0ms; after < DeadPeers::kProbeEvery; after += 10ms) {
    DeadPeersWorld world(7, DeadPeerPlant::kNone);
    world.set_nodes(3);
    world.run_for(3s);
    world.kill_nines(3);
    world.cut_off(3, true);
    world.run_for(1500ms + after);
    ASSERT_TRUE(world.stands(1, 3));
    world.cut_off(3, false);
    world.run_for(150ms);
    world.stop_nines(1, true);
    world.run_for(1200ms);
    EXPECT_FALSE(world.stands(1, 3));
    EXPECT_EQ(world.wrong(), "") << milliseconds_of(after);
    outlived = std::max(outlived, world.tally().outlived_most);
  }
  EXPECT_GT(outlived, DeadPeers::kRuleLife) << "otherwise this is not that story";
}

}  // namespace
}  // namespace nines::cluster

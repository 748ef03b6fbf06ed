// Outages by chance and seeded, and the way back: never two primary components, never a member that
// begins or is fed over what only it had, never two fed at once, and back without a word when
// nothing was in the way. And planted bugs, each of which the same outages must find.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "galera/recovery_world.h"

namespace nines::galera {
namespace {

constexpr std::uint64_t kOutages = 3000;  // NINES_SIM_SEEDS=100000 and more by hand
constexpr std::uint64_t kOutagesForPlant = 3000;
constexpr std::size_t kTraceLinesShown = 100;

std::uint64_t number_in(const char* variable, std::uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// NINES_SIM_SEED=n one outage; NINES_SIM_SEEDS=n that many, NINES_SIM_FIRST=n from that one on.
struct Seeds {
  std::uint64_t first, count;
};
Seeds seeds() {
  if (std::getenv("NINES_SIM_SEED") != nullptr) return {number_in("NINES_SIM_SEED", 1), 1};
  return {number_in("NINES_SIM_FIRST", 1), number_in("NINES_SIM_SEEDS", kOutages)};
}

std::string story_of(std::uint64_t seed, RecoveryPlant plant,
                     Conductor conductor = Conductor::kOperator) {
  RecoveryWorld world(seed, plant, true, conductor);
  world.run();
  const auto& lines = world.trace();
  std::string story;
  for (std::size_t i = lines.size() > kTraceLinesShown ? lines.size() - kTraceLinesShown : 0;
       i < lines.size(); ++i) {
    story += lines[i] + "\n";
  }
  return story;
}

TEST(RecoverySimulation, NeverTwoPrimariesNeverALostCommitAndBackWhenNothingIsInTheWay) {
  const auto [first, count] = seeds();
  RecoveryTally sum;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    RecoveryWorld world(seed, RecoveryPlant::kNone, false);
    const std::string violation = world.run();
    if (!violation.empty()) {
      FAIL() << "seed " << seed << ": " << violation << "\nthe story ends:\n"
             << story_of(seed, RecoveryPlant::kNone) << "replay: NINES_SIM_SEED=" << seed << " "
             << testing::internal::GetArgvs().front()
             << " --gtest_filter='RecoverySimulation.NeverTwo*'";
    }
    const RecoveryTally& tally = world.tally();
    sum.bootstraps += tally.bootstraps;
    sum.promotions += tally.promotions;
    sum.reforms += tally.reforms;
    sum.in_vain += tally.in_vain;
    sum.rejoins += tally.rejoins;
    sum.refusals += tally.refusals;
    sum.words += tally.words;
    sum.crashes += tally.crashes;
    sum.meddlings += tally.meddlings;
    sum.unneeded += tally.unneeded;
  }
  std::printf(
      "%llu outages: %llu bootstraps, %llu promotions, %llu reformed, %llu waited in vain for it, "
      "%llu wholly back, %llu refusals, %llu true words, %llu crashes of nines, %llu meddlings, "
      "%llu without hindrance\n",
      static_cast<unsigned long long>(count), static_cast<unsigned long long>(sum.bootstraps),
      static_cast<unsigned long long>(sum.promotions), static_cast<unsigned long long>(sum.reforms),
      static_cast<unsigned long long>(sum.in_vain), static_cast<unsigned long long>(sum.rejoins),
      static_cast<unsigned long long>(sum.refusals), static_cast<unsigned long long>(sum.words),
      static_cast<unsigned long long>(sum.crashes), static_cast<unsigned long long>(sum.meddlings),
      static_cast<unsigned long long>(sum.unneeded));
  if (count < 1000) return;
  // The outages are worth something only if all of it happened.
  EXPECT_GT(sum.bootstraps, count / 4);
  EXPECT_GT(sum.promotions, count / 50);
  EXPECT_GT(sum.reforms, count / 50);
  EXPECT_GT(sum.in_vain, count / 200);
  EXPECT_GT(sum.rejoins, count / 3);
  EXPECT_GT(sum.refusals, count / 20);
  EXPECT_GT(sum.words, count / 20);
  EXPECT_GT(sum.crashes, count / 10);
  EXPECT_GT(sum.unneeded, count / 10);
}

TEST(RecoverySimulation, WithNobodyThereItComesBackByItselfOrStaysDown) {
  const auto [first, count] = seeds();
  RecoveryTally sum;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    RecoveryWorld world(seed, RecoveryPlant::kNone, false, Conductor::kAutomatic);
    const std::string violation = world.run();
    if (!violation.empty()) {
      FAIL() << "seed " << seed << ": " << violation << "\nthe story ends:\n"
             << story_of(seed, RecoveryPlant::kNone, Conductor::kAutomatic)
             << "replay: NINES_SIM_SEED=" << seed << " " << testing::internal::GetArgvs().front()
             << " --gtest_filter='RecoverySimulation.WithNobody*'";
    }
    const RecoveryTally& tally = world.tally();
    sum.bootstraps += tally.bootstraps;
    sum.promotions += tally.promotions;
    sum.reforms += tally.reforms;
    sum.in_vain += tally.in_vain;
    sum.rejoins += tally.rejoins;
    sum.refusals += tally.refusals;
    sum.crashes += tally.crashes;
    sum.meddlings += tally.meddlings;
    sum.unneeded += tally.unneeded;
    sum.begun += tally.begun;
    sum.resumed += tally.resumed;
    sum.by_will += tally.by_will;
  }
  const auto figure = [](std::uint64_t number) { return static_cast<unsigned long long>(number); };
  std::printf(
      "%llu outages with nobody there: %llu recoveries began, %llu went on with a dead one, %llu "
      "bootstraps, %llu promotions, %llu reformed, %llu waited in vain for it, %llu wholly back, "
      "%llu refusals, %llu crashes of nines, %llu meddlings; %llu without hindrance, %llu stopped "
      "by will and left so\n",
      figure(count), figure(sum.begun), figure(sum.resumed), figure(sum.bootstraps),
      figure(sum.promotions), figure(sum.reforms), figure(sum.in_vain), figure(sum.rejoins),
      figure(sum.refusals), figure(sum.crashes), figure(sum.meddlings), figure(sum.unneeded),
      figure(sum.by_will));
  if (count < 1000) return;
  EXPECT_GT(sum.bootstraps, count / 5);
  EXPECT_GT(sum.promotions, count / 50);
  EXPECT_GT(sum.rejoins, count / 4);
  EXPECT_GT(sum.refusals, count / 5);
  EXPECT_GT(sum.crashes, count / 10);
  EXPECT_GT(sum.resumed, count / 20);
  EXPECT_GT(sum.unneeded, count / 10);
  EXPECT_GT(sum.by_will, count / 100);
}

TEST(RecoverySimulation, WithNobodyThereClaimsAreNeeded) {
  const std::uint64_t count = number_in("NINES_SIM_SEEDS", kOutagesForPlant);
  for (std::uint64_t seed = 1; seed <= count; ++seed) {
    RecoveryWorld world(seed, RecoveryPlant::kClaimsIgnored, false, Conductor::kAutomatic);
    const std::string violation = world.run();
    if (violation.empty()) continue;
    std::printf("found at seed %llu: %s\n", static_cast<unsigned long long>(seed),
                violation.c_str());
    return;
  }
  ADD_FAILURE() << "claims that are ignored were not found in " << count << " outages";
}

TEST(RecoverySimulation, EveryPlantedBugIsFound) {
  const std::uint64_t count = number_in("NINES_SIM_SEEDS", kOutagesForPlant);
  for (const RecoveryPlant plant : kRecoveryPlants) {
    bool is_found = false;
    for (std::uint64_t seed = 1; seed <= count && !is_found; ++seed) {
      RecoveryWorld world(seed, plant, false);
      const std::string violation = world.run();
      if (violation.empty()) continue;
      is_found = true;
      std::printf("'%s' found at seed %llu: %s\n", name_of(plant),
                  static_cast<unsigned long long>(seed), violation.c_str());
    }
    EXPECT_TRUE(is_found) << name_of(plant) << " was not found in " << count << " outages";
  }
}

}  // namespace
}  // namespace nines::galera

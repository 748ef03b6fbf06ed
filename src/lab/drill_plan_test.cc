// The table of drills is complete and mends what it breaks.
#include "lab/drill_plan.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lab/lab_plan.h"

namespace nines::lab {
namespace {

std::optional<Act> mending_of(Act act) {
  const std::map<Act, Act> mending = {
      {Act::kKill, Act::kStart},   {Act::kStop, Act::kStart},
      {Act::kPause, Act::kResume}, {Act::kCrash, Act::kBoot},
      {Act::kCut, Act::kHeal},     {Act::kIsolate, Act::kHeal},
      {Act::kMute, Act::kHeal},    {Act::kDeafen, Act::kHeal},
      {Act::kFreeze, Act::kThaw},  {Act::kBreakConfiguration, Act::kRestoreConfiguration}};
  const auto found = mending.find(act);
  if (found == mending.end()) return std::nullopt;
  return found->second;
}

TEST(DrillPlan, EveryFaultHasItsMending) {
  for (const auto& scenario : scenarios()) {
    std::vector<const Phase*> faults;
    for (const auto& phase : scenario.phases) {
      if (mending_of(phase.act) && !phase.mends_itself) {
        faults.push_back(&phase);
        continue;
      }
      const auto mended = std::find_if(faults.rbegin(), faults.rend(), [&](const Phase* fault) {
        return mending_of(fault->act) == phase.act &&
               (phase.host == kVictim || phase.host == fault->host);
      });
      if (mended == faults.rend()) continue;
      EXPECT_EQ(phase.and_host, (*mended)->and_host) << scenario.name;
      faults.erase(std::next(mended).base());
    }
    EXPECT_TRUE(faults.empty()) << scenario.name << ": " << faults.front()->name;
  }
}

TEST(DrillPlan, NamesAreUniqueAndTheServicesExist) {
  std::set<std::string_view> names;
  std::set<std::string_view> phases;
  for (const auto& scenario : scenarios()) {
    EXPECT_TRUE(names.insert(scenario.name).second);
    EXPECT_EQ(find_scenario(scenario.name), &scenario);
    EXPECT_GE(scenario.pace, 1);
    for (const auto& phase : scenario.phases) {
      EXPECT_TRUE(phases.insert(phase.name).second) << phase.name;
      EXPECT_NE(find_stand_in(phase.proxy), nullptr) << phase.proxy;
      EXPECT_GT(phase.watch_max, Duration(0));
      if (!phase.service.empty() && !scenario.needs_engine) {
        ASSERT_NE(find_stand_in(phase.service), nullptr);
        EXPECT_EQ(find_stand_in(phase.service)->proxy, phase.proxy);
      }
    }
  }
  EXPECT_EQ(find_scenario("none"), nullptr);
}

TEST(DrillPlan, AReloadMayCostNoRequestAtAll) {
  for (const auto& phase : find_scenario("reload")->phases) {
    EXPECT_EQ(phase.expected.failed_max, 0);
    EXPECT_EQ(phase.expected.failed_in_flight_max, 0);
  }
  EXPECT_TRUE(find_scenario("bad-reload")->phases[0].expected.same_process);
}

TEST(DrillPlan, WithStandInsNothingIsAskedThatOnlyRealServicesCanDo) {
  for (const auto& scenario : scenarios()) {
    for (const auto& phase : scenario_for(scenario, ServiceSource::kStandIns).phases) {
      EXPECT_FALSE(phase.only_real) << phase.name;
      EXPECT_EQ(phase.expected.writes_refused_after, std::nullopt) << phase.name;
    }
  }
}

TEST(DrillPlan, WithoutAMajorityRealDatabasesAreExpectedToRefuseAndAreThenTold) {
  for (const auto* name : {"nodes-die", "both-die"}) {
    const auto real = scenario_for(*find_scenario(name), ServiceSource::kReal);
    bool lost = false;
    bool told = false;
    for (const auto& phase : real.phases) {
      if (phase.loses_majority) {
        lost = true;
        EXPECT_FALSE(phase.until_sessions);
        EXPECT_TRUE(phase.expected.writes_refused_after.has_value());
      }
      if (phase.act == Act::kBootstrap) {
        EXPECT_TRUE(lost) << phase.name;
        told = true;
      }
      if (phase.act == Act::kBoot) {
        EXPECT_TRUE(told) << "no database can join before: " << phase.name;
      }
    }
    EXPECT_TRUE(told) << name;
  }
}

}  // namespace
}  // namespace nines::lab

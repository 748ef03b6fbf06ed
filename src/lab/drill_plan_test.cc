// The table of drills is complete and mends what it breaks.
#include "lab/drill_plan.h"

#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "lab/lab_plan.h"

namespace nines::lab {
namespace {

TEST(DrillPlan, EveryFaultIsFollowedByItsMending) {
  const std::map<Act, Act> mending = {{Act::kKill, Act::kStart},
                                      {Act::kPause, Act::kResume},
                                      {Act::kCut, Act::kHeal},
                                      {Act::kBreakConfiguration, Act::kRestoreConfiguration}};
  for (const auto& scenario : scenarios()) {
    for (std::size_t i = 0; i < scenario.phases.size(); ++i) {
      const auto found = mending.find(scenario.phases[i].act);
      if (found == mending.end()) continue;
      ASSERT_LT(i + 1, scenario.phases.size()) << scenario.name;
      const Phase& next = scenario.phases[i + 1];
      EXPECT_EQ(next.act, found->second) << scenario.name;
      EXPECT_EQ(next.host, scenario.phases[i].host);
      EXPECT_EQ(next.service, scenario.phases[i].service);
    }
  }
}

TEST(DrillPlan, NamesAreUniqueAndTheServicesExist) {
  std::set<std::string_view> names;
  for (const auto& scenario : scenarios()) {
    EXPECT_TRUE(names.insert(scenario.name).second);
    EXPECT_EQ(find_scenario(scenario.name), &scenario);
    for (const auto& phase : scenario.phases) {
      EXPECT_NE(find_stand_in(phase.proxy), nullptr) << phase.proxy;
      EXPECT_GT(phase.watch_max, Duration(0));
      if (!phase.service.empty()) {
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

}  // namespace
}  // namespace nines::lab

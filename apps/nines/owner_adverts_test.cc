// When a holder's adverts are due, and when an advert that is heard can only be a stranger's.
#include "owner_adverts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vrrp/vrrp_wire.h"

namespace nines {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Due = AdvertSchedule::Due;

constexpr Instant kT0{50'000'000'000};

vrrp::Config config_of(int priority, Duration interval = 1s) {
  vrrp::Config config;
  for (const char* name : {"internal", "external"}) {
    vrrp::VrrpInstance& instance = config.instances.emplace_back();
    instance.name = name;
    instance.priority = priority;
    instance.advert_int = interval;
  }
  return config;
}

TEST(AdvertSchedule, AHolderSpeaksAtOnceThenEachIntervalAndSaysWhenItEnds) {
  AdvertSchedule schedule;
  EXPECT_THAT(schedule.configure(config_of(200), true, kT0), IsEmpty());
  EXPECT_EQ(schedule.deadline(), std::nullopt);
  EXPECT_THAT(schedule.set_held("external", true, kT0 + 5ms), ElementsAre(Due{1, 200}));
  EXPECT_THAT(schedule.set_held("external", true, kT0 + 6ms), IsEmpty()) << "each renewal says so";
  EXPECT_EQ(schedule.deadline(), kT0 + 1005ms);
  EXPECT_THAT(schedule.due(kT0 + 1004ms), IsEmpty());
  EXPECT_THAT(schedule.due(kT0 + 1005ms), ElementsAre(Due{1, 200}));
  EXPECT_THAT(schedule.due(kT0 + 1006ms), IsEmpty());
  EXPECT_THAT(schedule.set_held("external", false, kT0 + 1500ms),
              ElementsAre(Due{1, vrrp::kPriorityStop}));
  EXPECT_EQ(schedule.deadline(), std::nullopt);
  EXPECT_THAT(schedule.set_held("unknown", true, kT0 + 2s), IsEmpty());
}

TEST(AdvertSchedule, NothingIsSaidUnlessItIsAskedFor) {
  AdvertSchedule schedule;
  EXPECT_THAT(schedule.configure(config_of(200), false, kT0), IsEmpty());
  EXPECT_THAT(schedule.set_held("internal", true, kT0), IsEmpty());
  EXPECT_THAT(schedule.due(kT0 + 10s), IsEmpty());
  EXPECT_EQ(schedule.deadline(), std::nullopt);
}

TEST(AdvertSchedule, AReloadKeepsWhatIsHeldAndTurnsAdvertsOnAndOff) {
  AdvertSchedule schedule;
  schedule.configure(config_of(200), false, kT0);
  schedule.set_held("internal", true, kT0);
  EXPECT_THAT(schedule.configure(config_of(150, 2s), true, kT0 + 10s), IsEmpty());
  EXPECT_THAT(schedule.due(kT0 + 10s), ElementsAre(Due{0, 150}));
  EXPECT_EQ(schedule.deadline(), kT0 + 12s);
  EXPECT_THAT(schedule.configure(config_of(150, 2s), false, kT0 + 11s),
              ElementsAre(Due{0, vrrp::kPriorityStop}));
  EXPECT_EQ(schedule.deadline(), std::nullopt);
}

TEST(AdvertSchedule, WhatWasSaidBeforeUsIsNoRivals) {
  AdvertSchedule schedule;
  schedule.configure(config_of(200), true, kT0);
  EXPECT_FALSE(schedule.is_sole_speaker("internal", kT0 + 1h)) << "another node may hold it";
  schedule.set_held("internal", true, kT0);
  EXPECT_FALSE(schedule.is_sole_speaker("internal", kT0 + 1999ms));
  EXPECT_TRUE(schedule.is_sole_speaker("internal", kT0 + 2s));
}

}  // namespace
}  // namespace nines

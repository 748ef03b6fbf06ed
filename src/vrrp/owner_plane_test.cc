// How long a dead owner's addresses are kept for the one that follows it.
#include "vrrp/owner_plane.h"

#include <gtest/gtest.h>

namespace nines::vrrp {
namespace {

Config with_intervals(std::initializer_list<Duration> intervals) {
  Config config;
  for (const Duration interval : intervals) {
    config.instances.emplace_back().advert_int = interval;
  }
  return config;
}

TEST(OwnerPlaneTest, ByElectionItMayBeAwayForAsLongAsNoBackupCanHaveItsAddresses) {
  const auto time = [](std::initializer_list<Duration> intervals) {
    return back_within(with_intervals(intervals), OwnerRight::kElection);
  };
  // A backup waits for three intervals from the last advert. Up to 600 ms of silence before the
  // death is known and 100 ms for the removal are taken off.
  EXPECT_EQ(time({1s}), 1s);
  EXPECT_EQ(time({10s}), 1s);
  EXPECT_EQ(time({700ms}), 700ms);
  EXPECT_EQ(time({500ms}), 300ms);
  // Where it is late anyway, it is given time to be forked once.
  EXPECT_EQ(time({400ms}), 100ms);
  EXPECT_EQ(time({10ms}), 100ms);
  // The most impatient one counts.
  EXPECT_EQ(time({1s, 600ms, 2s}), 500ms);
  EXPECT_EQ(time({}), 1s);
}

TEST(OwnerPlaneTest, FewerAdvertsAreLessPatience) {
  Config config = with_intervals({1s});
  config.instances.front().down_timer_adverts = 1;
  EXPECT_EQ(back_within(config, OwnerRight::kElection), 100ms);
  config.instances.front().down_timer_adverts = 2;
  EXPECT_EQ(back_within(config, OwnerRight::kElection), 300ms);
}

TEST(OwnerPlaneTest, ByLeaseAnotherHasThemAtOnce) {
  EXPECT_EQ(back_within(with_intervals({1s}), OwnerRight::kLease), 100ms);
}

}  // namespace
}  // namespace nines::vrrp

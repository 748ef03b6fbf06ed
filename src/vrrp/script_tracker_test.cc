// Rise, fall and weights, as keepalived counts them.
#include "vrrp/script_tracker.h"

#include <gtest/gtest.h>

namespace nines::vrrp {
namespace {

TEST(ScriptTracker, TheFirstResultCountsAtOnce) {
  ScriptTracker tracker(3, 3, ScriptState::kUnknown);
  EXPECT_EQ(tracker.state(), ScriptState::kUnknown);
  EXPECT_TRUE(tracker.ended(false));
  EXPECT_EQ(tracker.state(), ScriptState::kFailed);
}

TEST(ScriptTracker, LaterOnesCountInARowOnly) {
  ScriptTracker tracker(2, 3, ScriptState::kUnknown);
  EXPECT_TRUE(tracker.ended(true));
  EXPECT_FALSE(tracker.ended(false));
  EXPECT_FALSE(tracker.ended(false));
  EXPECT_FALSE(tracker.ended(true));
  EXPECT_FALSE(tracker.ended(false));
  EXPECT_FALSE(tracker.ended(false));
  EXPECT_TRUE(tracker.ended(false));
  EXPECT_FALSE(tracker.ended(true));
  EXPECT_TRUE(tracker.ended(true));
}

TEST(ScriptTracker, InitFailWaitsForItsRise) {
  ScriptTracker tracker(2, 1, ScriptState::kFailed);
  EXPECT_EQ(tracker.state(), ScriptState::kFailed);
  EXPECT_FALSE(tracker.ended(true));
  EXPECT_TRUE(tracker.ended(true));
}

TEST(ScriptTracker, WhatADeadProcessKnewTakesItsFall) {
  ScriptTracker tracker(1, 2, ScriptState::kGood);
  EXPECT_FALSE(tracker.ended(true));
  EXPECT_FALSE(tracker.ended(false));
  EXPECT_TRUE(tracker.ended(false));
  EXPECT_EQ(tracker.state(), ScriptState::kFailed);
}

TEST(TrackSum, WeightsAreAddedWhileGoodOrTakenWhileFailed) {
  TrackSum sum;
  sum.add(ScriptState::kGood, 10, false);
  sum.add(ScriptState::kFailed, 20, false);
  sum.add(ScriptState::kFailed, -5, false);
  sum.add(ScriptState::kGood, -7, false);
  EXPECT_EQ(sum.weight, 5);
  EXPECT_EQ(sum.faults, 0);
  EXPECT_TRUE(sum.known);
}

TEST(TrackSum, WithoutAWeightAFailureIsAFault) {
  TrackSum sum;
  sum.add(ScriptState::kFailed, 0, false);
  sum.add(ScriptState::kGood, 0, false);
  EXPECT_EQ(sum.faults, 1);
  sum.add(ScriptState::kGood, 0, true);
  EXPECT_EQ(sum.faults, 2);
  sum.add(ScriptState::kUnknown, 0, false);
  EXPECT_FALSE(sum.known);
}

}  // namespace
}  // namespace nines::vrrp

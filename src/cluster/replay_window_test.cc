// The window beside a set that forgets nothing.
#include "cluster/replay_window.h"

#include <set>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace nines::cluster {
namespace {

using Verdict = ReplayWindow::Verdict;

TEST(ReplayWindowTest, EachNumberIsNewOnce) {
  ReplayWindow window;
  EXPECT_EQ(window.take(0), Verdict::kTooOld);
  EXPECT_EQ(window.take(3), Verdict::kNew);
  EXPECT_EQ(window.take(3), Verdict::kSeen);
  EXPECT_EQ(window.take(1), Verdict::kNew);
  EXPECT_EQ(window.take(2), Verdict::kNew);
  EXPECT_EQ(window.take(1), Verdict::kSeen);
}

TEST(ReplayWindowTest, WhatIsOlderThanTheWindowIsRefusedWhetherSeenOrNot) {
  ReplayWindow window;
  EXPECT_EQ(window.take(10'000), Verdict::kNew);
  EXPECT_EQ(window.take(10'000 - kReplayWindow + 1), Verdict::kNew);
  EXPECT_EQ(window.take(10'000 - kReplayWindow), Verdict::kTooOld);
  EXPECT_EQ(window.take(10'001), Verdict::kNew);
  EXPECT_EQ(window.take(10'000 - kReplayWindow + 1), Verdict::kTooOld);
}

TEST(ReplayWindowTest, ItAgreesWithASet) {
  base::Rng rng(1);
  for (int round = 0; round < 50; ++round) {
    ReplayWindow window;
    std::set<std::uint64_t> seen;
    std::uint64_t around = 1 + rng.below(3000), highest = 0;
    for (int i = 0; i < 4000; ++i) {
      if (rng.chance(0.01)) around += rng.below(2 * kReplayWindow);
      const std::uint64_t number = around + rng.below(kReplayWindow + 300);
      const bool old = number + kReplayWindow <= highest;
      const Verdict expected = old                     ? Verdict::kTooOld
                               : seen.contains(number) ? Verdict::kSeen
                                                       : Verdict::kNew;
      ASSERT_EQ(window.take(number), expected) << number << " after " << highest;
      if (!old) seen.insert(number);
      highest = std::max(highest, number);
    }
  }
}

TEST(ReplayWindowTest, TheLastNumbersThereAreAreNumbersToo) {
  ReplayWindow window;
  EXPECT_EQ(window.take(UINT64_MAX), Verdict::kNew);
  EXPECT_EQ(window.take(UINT64_MAX), Verdict::kSeen);
  EXPECT_EQ(window.take(UINT64_MAX - 1), Verdict::kNew);
  EXPECT_EQ(window.take(1), Verdict::kTooOld);
}

}  // namespace
}  // namespace nines::cluster

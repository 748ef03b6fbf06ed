// Chances by a seed, instants by hand.
#include "lab/rough_line.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

using std::chrono::milliseconds;

Instant at(int milliseconds_from_start) {
  return Instant{1'000'000'000} + milliseconds(milliseconds_from_start);
}

TEST(RoughLine, ASmoothOneKeepsEveryFrameInOrder) {
  RoughDirection line(1);
  for (int i = 0; i < 100; ++i) line.put(std::to_string(i), 0, Duration(0), at(i));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(line.take(at(100)), std::to_string(i));
  EXPECT_EQ(line.take(at(100)), std::nullopt);
  EXPECT_EQ(line.next(), std::nullopt);
}

TEST(RoughLine, LosesTheShareThatIsAskedFor) {
  for (const int loss : {0, 5, 20, 100}) {
    RoughDirection line(7);
    int kept = 0;
    for (int i = 0; i < 20'000; ++i) {
      line.put("x", loss, Duration(0), at(i));
      kept += line.take(at(i)).has_value();
    }
    EXPECT_NEAR(kept, 20'000 * (100 - loss) / 100, 200) << loss;
  }
}

TEST(RoughLine, AFrameArrivesAfterItsDelay) {
  RoughDirection line(1);
  line.put("first", 0, milliseconds(50), at(0));
  EXPECT_EQ(line.take(at(49)), std::nullopt);
  EXPECT_EQ(line.next(), at(50));
  // The delay is gone meanwhile, and nothing overtakes.
  line.put("second", 0, Duration(0), at(10));
  EXPECT_EQ(line.take(at(49)), std::nullopt);
  EXPECT_EQ(line.take(at(50)), "first");
  EXPECT_EQ(line.take(at(50)), "second");
}

TEST(RoughLine, HasRoomForSoManyFramesAndNoMore) {
  RoughDirection line(1);
  for (std::size_t i = 0; i < RoughDirection::kFramesMax + 10; ++i) {
    line.put(std::to_string(i), 0, milliseconds(50), at(0));
  }
  std::size_t taken = 0;
  while (const auto frame = line.take(at(50))) EXPECT_EQ(*frame, std::to_string(taken++));
  EXPECT_EQ(taken, RoughDirection::kFramesMax);
}

TEST(RoughLine, WhatIsNotAllowedIsSaid) {
  EXPECT_TRUE(check({.loss_from = 100, .loss_to = 0, .delay = kLineDelayMax}).has_value());
  for (const Roughness& bad : std::vector<Roughness>{{.loss_from = -1},
                                                     {.loss_to = 101},
                                                     {.delay = Duration(-1)},
                                                     {.delay = kLineDelayMax + milliseconds(1)}}) {
    const auto checked = check(bad);
    ASSERT_FALSE(checked.has_value());
    EXPECT_NE(checked.error().message().find("allowed"), std::string::npos);
  }
}

}  // namespace
}  // namespace nines::lab

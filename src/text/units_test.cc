// Numbers with units, and the edges where they overflow.
#include "text/units.h"

#include <gtest/gtest.h>

namespace nines::text {
namespace {

TEST(Units, DurationsHaveTheManualsUnits) {
  EXPECT_EQ(parse_duration("10s").value(), 10s);
  EXPECT_EQ(parse_duration("2000").value(), 2s);
  EXPECT_EQ(parse_duration("5", 1s).value(), 5s);
  EXPECT_EQ(parse_duration("500us").value(), 500us);
  EXPECT_EQ(parse_duration("3600s").value(), 1h);
  EXPECT_EQ(parse_duration("1m").value(), 1min);
  EXPECT_EQ(parse_duration("1d").value(), 24h);
}

TEST(Units, WhatIsNotADurationIsRefused) {
  for (const char* bad : {"", "s", "-1s", "1.5s", "1w", "1s ", "1s2m", "+1"}) {
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
  }
  EXPECT_EQ(parse_duration("99999999999999999999").error().code(), ErrorCode::kExhausted);
  EXPECT_EQ(parse_duration("999999999999d").error().code(), ErrorCode::kExhausted);
}

TEST(Units, SizesArePowersOf1024) {
  EXPECT_EQ(parse_size("16k").value(), 16384u);
  EXPECT_EQ(parse_size("1m").value(), 1048576u);
  EXPECT_EQ(parse_size("7").value(), 7u);
  EXPECT_FALSE(parse_size("1kb").has_value());
  EXPECT_EQ(parse_size("18446744073709551615g").error().code(), ErrorCode::kExhausted);
}

TEST(Units, IntegersStandAlone) {
  EXPECT_EQ(parse_integer("-3").value(), -3);
  EXPECT_EQ(parse_integer("+3").value(), 3);
  for (const char* bad : {"", "3x", " 3", "+-3", "+"}) {
    EXPECT_FALSE(parse_integer(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace nines::text

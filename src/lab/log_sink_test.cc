// A log line keeps its instant from the sink to the reader.
#include "lab/log_sink.h"

#include <string>

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

TEST(LogSink, LineComesBackWithItsInstant) {
  const std::string line = format_log_line(WallTime{1'767'225'600'123'456'789},
                                           Instant{4711'000'000'042}, "<134>a\nb\n");
  EXPECT_EQ(line, "2026-01-01T00:00:00.123456Z 4711.000000042 <134>a?b\n");
  const auto parsed = parse_log_line(std::string_view(line).substr(0, line.size() - 1));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->at, Instant{4711'000'000'042});
  EXPECT_EQ(parsed->text, "<134>a?b");
}

TEST(LogSink, WhatIsNoLineOfOursIsNotTakenForOne) {
  for (const std::string line : {"", "a", "a b c", "a 1 c", "a 1.5 c", "a 1.00000000x c",
                                 "a x.000000000 c", "a 99999999999999.000000000 c"}) {
    EXPECT_FALSE(parse_log_line(line).has_value()) << line;
  }
}

}  // namespace
}  // namespace nines::lab

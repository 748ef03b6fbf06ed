// Lines of the log, and times of day around midnight.
#include "lab/engine_words.h"

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

using Kind = PeerWord::Kind;

constexpr Duration kTime =
    std::chrono::hours(11) + std::chrono::minutes(16) + 27s + std::chrono::milliseconds(143);

TEST(EngineWords, SayWhoIsDoubtedAndWhoIsDead) {
  EXPECT_EQ(parse_peer_word("2026-11-21 11:16:27.143 notice node03 gets no new work evidence=\"not "
                            "heard by 1 of 3 controllers\""),
            (PeerWord{Kind::kDoubted, "node03", kTime}));
  EXPECT_EQ(parse_peer_word("2026-11-21 11:16:27.143 warning node03 is called dead evidence=heard"),
            (PeerWord{Kind::kDead, "node03", kTime}));
}

TEST(EngineWords, OtherLinesSayNothing) {
  for (const char* line :
       {"", "help: nobody fails over later", "node03 is called dead",
        "2026-11-21 11:16:27.143 notice node03 is dead no longer evidence=heard",
        "2026-11-21 11:16:99.143 notice node03 is called dead",
        "2026-11-21 1x:16:27.143 notice node03 is called dead",
        "2026-11-21 11:16:27 notice node03 is called dead", "2026-11-21 11:16:27.143 notice"}) {
    EXPECT_EQ(parse_peer_word(line), std::nullopt) << line;
  }
}

TEST(EngineWords, ATimeOfDayIsTheNearestOne) {
  const Instant now{1'000'000'000'000'000};
  EXPECT_EQ(instant_of(kTime, kTime + 5s, now), now - 5s);
  EXPECT_EQ(instant_of(std::chrono::hours(24) - 1s, 1s, now), now - 2s) << "over midnight";
  EXPECT_EQ(instant_of(1s, std::chrono::hours(24) - 1s, now), now + 2s) << "a clock that was set";
}

}  // namespace
}  // namespace nines::lab

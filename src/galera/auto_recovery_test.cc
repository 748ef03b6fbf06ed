// Who begins when, who waits for whom, and how refusals are spaced.
#include "galera/auto_recovery.h"

#include <gtest/gtest.h>

namespace nines::galera {
namespace {

using namespace std::chrono_literals;

constexpr Instant kBegin{1'000'000'000'000};
const OutageView kOutage{.is_outage = true, .is_interrupted = false, .claimed_by = ""};
const OutageView kWell{};

// Looks once a second; when it began, after how long, or nothing within `limit`.
std::optional<Duration> begins_after(AutoRecovery& automatic, const OutageView& view, Instant from,
                                     Duration limit) {
  for (Duration passed{}; passed <= limit; passed += 1s) {
    if (automatic.look(view, from + passed)) return passed;
  }
  return std::nullopt;
}

TEST(AutoRecovery, begins_after_an_outage_that_lasts_each_host_in_its_turn) {
  for (std::size_t turn = 0; turn < 3; ++turn) {
    AutoRecovery automatic(turn);
    EXPECT_FALSE(automatic.look(kWell, kBegin));
    EXPECT_EQ(begins_after(automatic, kOutage, kBegin, 10min),
              AutoRecovery::kOutageFor + static_cast<std::int64_t>(turn) * AutoRecovery::kTurn);
    EXPECT_FALSE(automatic.look(kOutage, kBegin + 1h)) << "one at a time";
  }
}

TEST(AutoRecovery, an_outage_that_ends_by_itself_is_nobodys) {
  AutoRecovery automatic(0);
  Instant now = kBegin;
  for (int i = 0; i < 20; ++i) {
    EXPECT_FALSE(begins_after(automatic, kOutage, now, 19s));
    EXPECT_EQ(automatic.step(), AutoStep::kWaiting);
    EXPECT_FALSE(automatic.look(kWell, now = now + 20s));
    EXPECT_EQ(automatic.step(), AutoStep::kWatching);
    now = now + 1s;
  }
}

TEST(AutoRecovery, what_another_recovery_has_is_left_to_it) {
  AutoRecovery automatic(1);
  OutageView claimed = kOutage;
  claimed.claimed_by = "node01-12-34";
  EXPECT_FALSE(begins_after(automatic, claimed, kBegin, 2h));
  EXPECT_EQ(automatic.step(), AutoStep::kHeld);
  EXPECT_NE(automatic.text(kBegin).find("node01-12-34"), std::string::npos);
  // Given back, and still no primary component: its turn begins anew.
  EXPECT_EQ(begins_after(automatic, kOutage, kBegin + 3h, 10min),
            AutoRecovery::kOutageFor + AutoRecovery::kTurn);
}

TEST(AutoRecovery, what_it_began_itself_it_goes_on_with_soon) {
  AutoRecovery automatic(2);
  // The first member is back already, and the claims are its own.
  const OutageView interrupted{
      .is_outage = false, .is_interrupted = true, .claimed_by = "node03-12-34"};
  EXPECT_EQ(begins_after(automatic, interrupted, kBegin, 10min), AutoRecovery::kResumeAfter);
}

TEST(AutoRecovery, refusals_come_ever_later_and_say_why) {
  AutoRecovery automatic(0);
  Instant now = kBegin;
  now = now + *begins_after(automatic, kOutage, now, 10min);
  Duration last{};
  for (int i = 0; i < 10; ++i) {
    automatic.ended(false, "REFUSED: node02 cannot be asked", now);
    EXPECT_EQ(automatic.words(), "REFUSED: node02 cannot be asked");
    EXPECT_EQ(automatic.step(), AutoStep::kPausing);
    const auto pause = begins_after(automatic, kOutage, now, 2h);
    ASSERT_TRUE(pause);
    EXPECT_GE(*pause, last);
    EXPECT_LE(*pause, AutoRecovery::kPauseMax + AutoRecovery::kOutageFor + 1s);
    last = *pause;
    now = now + *pause;
  }
  EXPECT_GE(last, AutoRecovery::kPauseMax);
  // Over: nothing is remembered against the next one.
  automatic.ended(true, "", now);
  EXPECT_FALSE(automatic.look(kWell, now));
  EXPECT_EQ(automatic.words(), "");
  EXPECT_EQ(begins_after(automatic, kOutage, now, 10min), AutoRecovery::kOutageFor);
}

TEST(AutoRecovery, two_that_refused_each_other_do_not_meet_again) {
  AutoRecovery one(0), two(1);
  ASSERT_TRUE(begins_after(one, kOutage, kBegin, 10min));
  ASSERT_TRUE(begins_after(two, kOutage, kBegin, 10min));
  one.ended(false, "", kBegin);
  two.ended(false, "", kBegin);
  const auto first = begins_after(one, kOutage, kBegin, 1h);
  const auto second = begins_after(two, kOutage, kBegin, 1h);
  ASSERT_TRUE(first && second);
  EXPECT_GE(*second - *first, AutoRecovery::kTurn);
}

TEST(AutoRecovery, only_members_of_a_primary_component_can_do_without_it) {
  EXPECT_TRUE(may_be_primary(Health::kSynced));
  EXPECT_TRUE(may_be_primary(Health::kDonor));
  EXPECT_TRUE(may_be_primary(Health::kDesynced));
  EXPECT_TRUE(may_be_primary(Health::kJoining));
  EXPECT_FALSE(may_be_primary(Health::kLost));
  EXPECT_FALSE(may_be_primary(Health::kNonPrimary));
  EXPECT_FALSE(may_be_primary(Health::kInitialising));
  EXPECT_FALSE(may_be_primary(Health::kRecovering));
}

}  // namespace
}  // namespace nines::galera

// Gaps, channels, and what is forgotten.
#include "vrrp/announcement_pacer.h"

#include <gtest/gtest.h>

namespace nines::vrrp {
namespace {

constexpr Instant kStart{1'000'000'000};
constexpr Duration kGap = std::chrono::milliseconds(10);

std::vector<PacedAnnouncement> due(AnnouncementPacer& pacer, Instant now) {
  std::vector<PacedAnnouncement> out;
  pacer.take_due(now, out);
  return out;
}
std::vector<PacedAnnouncement> just(PacedAnnouncement one) { return {std::move(one)}; }

TEST(AnnouncementPacer, SaysOneAtOnceAndTheOthersWithGaps) {
  AnnouncementPacer pacer;
  EXPECT_EQ(pacer.deadline(), std::nullopt);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(pacer.add("eth0", kGap, {"one", i}));
  EXPECT_EQ(due(pacer, kStart), just({"one", 0}));
  EXPECT_TRUE(due(pacer, kStart + kGap / 2).empty());
  EXPECT_EQ(pacer.deadline(), kStart + kGap);
  EXPECT_EQ(due(pacer, kStart + kGap), just({"one", 1}));
  // Late once is not early the next time.
  EXPECT_EQ(due(pacer, kStart + 5 * kGap), just({"one", 2}));
  EXPECT_EQ(pacer.deadline(), std::nullopt);
  EXPECT_TRUE(pacer.add("eth0", kGap, {"one", 3}));
  EXPECT_EQ(pacer.deadline(), kStart + 6 * kGap);
}

TEST(AnnouncementPacer, ChannelsDoNotWaitForOneAnother) {
  AnnouncementPacer pacer;
  pacer.add("eth0", kGap, {"one", 0});
  pacer.add("eth0", kGap, {"other", 0});
  pacer.add("eth1", kGap, {"one", 1});
  EXPECT_EQ(due(pacer, kStart), (std::vector<PacedAnnouncement>{{"one", 0}, {"one", 1}}));
  EXPECT_EQ(due(pacer, kStart + kGap), just({"other", 0}));
}

TEST(AnnouncementPacer, WhoLostTheAddressSaysNothingMore) {
  AnnouncementPacer pacer;
  for (std::size_t i = 0; i < 3; ++i) pacer.add("eth0", kGap, {"one", i});
  pacer.add("eth0", kGap, {"other", 0});
  EXPECT_EQ(due(pacer, kStart), just({"one", 0}));
  pacer.forget("one");
  EXPECT_TRUE(due(pacer, kStart + kGap / 2).empty());
  EXPECT_EQ(due(pacer, kStart + kGap), just({"other", 0}));
  EXPECT_EQ(pacer.deadline(), std::nullopt);
}

TEST(AnnouncementPacer, AFullChannelTakesNoMore) {
  AnnouncementPacer pacer;
  for (std::size_t i = 0; i < AnnouncementPacer::kWaitingMax; ++i) {
    ASSERT_TRUE(pacer.add("eth0", kGap, {"one", i}));
  }
  EXPECT_FALSE(pacer.add("eth0", kGap, {"one", 0}));
  EXPECT_TRUE(pacer.add("eth1", kGap, {"one", 0}));
}

}  // namespace
}  // namespace nines::vrrp

// Kernels, announcements and faults brought together: who held the address, and what is told of it.
#include "lab/ownership.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

using Kind = OwnershipEvent::Kind;
using Names = std::vector<std::string>;

const SocketAddress kAddress = *SocketAddress::parse_ip("100.2.30.40", 0);
const SocketAddress kOther = *SocketAddress::parse_ip("100.2.30.41", 0);

Instant at(int milliseconds) { return Instant{} + std::chrono::milliseconds(milliseconds); }

struct Teller {
  Ownership ownership{kAddress};

  Teller() { ownership.handle({.kind = Kind::kBegan, .at = at(0)}); }
  Teller& tell(int milliseconds, Kind kind, std::string host, const SocketAddress& of = kAddress) {
    ownership.handle(
        {.kind = kind, .at = at(milliseconds), .host = std::move(host), .address = of});
    return *this;
  }
  OwnershipReport report(int begin, int end) const { return ownership.report(at(begin), at(end)); }
};

TEST(Ownership, DeathLeavesNobodyUntilTheBackupTakesOver) {
  Teller teller;
  teller.tell(0, Kind::kHeld, "node01").tell(1000, Kind::kDied, "node01");
  teller.tell(4612, Kind::kHeld, "node02");
  for (int i = 0; i < 5; ++i) teller.tell(4613, Kind::kAnnounced, "node02");
  // The dead host's namespace is swept later: that is no news.
  teller.tell(4800, Kind::kReleased, "node01");
  const auto report = teller.report(1000, 6000);
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(report.before, Names{"node01"});
  EXPECT_EQ(report.after, Names{"node02"});
  EXPECT_EQ(report.nobody, (OwnershipSpans{1, 3612ms, 3612ms}));
  EXPECT_EQ(report.overlap, OwnershipSpans{});
  EXPECT_EQ(report.overlap_with_cut_off, OwnershipSpans{});
  EXPECT_EQ(report.announced.at("node02"), 5);
  EXPECT_EQ(report.holdings, (std::vector<Holding>{{"node02", 3612ms, 5000ms, false}}));
  EXPECT_EQ(render_timeline(report),
            "+0.000 node01 holds; +0.000 node01 dies, holding it; "
            "+3.612 node02 holds, announced x5");
}

TEST(Ownership, TwoMastersAreMeasuredFromTheSecondToTheFirstToLeave) {
  Teller teller;
  teller.tell(0, Kind::kHeld, "node01");
  teller.tell(1100, Kind::kHeld, "node02").tell(1350, Kind::kReleased, "node01");
  teller.tell(1500, Kind::kHeld, "node03").tell(1600, Kind::kReleased, "node03");
  const auto report = teller.report(1000, 2000);
  EXPECT_EQ(report.overlap, (OwnershipSpans{2, 350ms, 250ms}));
  EXPECT_EQ(report.overlap_with_cut_off, report.overlap);
  EXPECT_EQ(report.nobody, OwnershipSpans{});
  EXPECT_EQ(report.after, Names{"node02"});
}

TEST(Ownership, HolderBehindACutIsOutOfReachUntilItIsHealed) {
  Teller teller;
  teller.tell(0, Kind::kHeld, "node01").tell(1000, Kind::kCut, "node01");
  teller.tell(4000, Kind::kHeld, "node02");
  const auto cut = teller.report(1000, 8000);
  EXPECT_EQ(cut.nobody, (OwnershipSpans{1, 3000ms, 3000ms}));
  EXPECT_EQ(cut.overlap, OwnershipSpans{});
  EXPECT_EQ(cut.overlap_with_cut_off, (OwnershipSpans{1, 4000ms, 4000ms}));
  EXPECT_EQ(cut.after, Names{"node02"});
  EXPECT_EQ(cut.cut_off_after, Names{"node01"});
  EXPECT_EQ(cut.holdings, (std::vector<Holding>{{"node01", 0ms, 7000ms, true},
                                                {"node02", 3000ms, 7000ms, false}}));

  teller.tell(8000, Kind::kHealed, "node01").tell(8700, Kind::kReleased, "node02");
  const auto healed = teller.report(8000, 9000);
  EXPECT_EQ(healed.cut_off_before, Names{"node01"});
  EXPECT_EQ(healed.overlap, (OwnershipSpans{1, 700ms, 700ms}));
  EXPECT_EQ(healed.after, Names{"node01"});
  EXPECT_EQ(render_timeline(healed),
            "+0.000 node01 holds behind the cut; +0.000 node02 holds; "
            "+0.000 node01 is healed, holding it; +0.700 node02 holds no longer");
}

TEST(Ownership, DeadHostHoldsNothingUntilItReturns) {
  Teller teller;
  teller.tell(0, Kind::kDied, "node01").tell(100, Kind::kHeld, "node01");
  EXPECT_EQ(teller.report(50, 500).nobody.total, 450ms);
  teller.tell(500, Kind::kReturned, "node01");
  const auto report = teller.report(500, 600);
  EXPECT_EQ(report.after, Names{"node01"});
  EXPECT_EQ(render_timeline(report), "+0.000 nobody holds; +0.000 node01 returns, holding it");
}

TEST(Ownership, ChangesOfOneInstantAreOneChange) {
  Teller teller;
  teller.tell(0, Kind::kHeld, "node01");
  // A hand-over that was read at once, in the wrong order, and an address that came and went.
  teller.tell(100, Kind::kHeld, "node02").tell(100, Kind::kReleased, "node01");
  teller.tell(150, Kind::kHeld, "node03").tell(150, Kind::kReleased, "node03");
  const auto report = teller.report(50, 200);
  EXPECT_EQ(report.overlap, OwnershipSpans{});
  EXPECT_EQ(report.nobody, OwnershipSpans{});
  EXPECT_EQ(report.holdings,
            (std::vector<Holding>{{"node01", 0ms, 50ms, false}, {"node02", 50ms, 150ms, false}}));
  EXPECT_EQ(render_timeline(report),
            "+0.000 node01 holds; +0.050 node01 holds no longer; +0.050 node02 holds");
}

TEST(Ownership, EventsMayComeInAnyOrder) {
  Teller teller;
  teller.tell(300, Kind::kHeld, "node02").tell(200, Kind::kDied, "node01");
  teller.tell(0, Kind::kHeld, "node01");
  EXPECT_EQ(teller.report(200, 400).nobody, (OwnershipSpans{1, 100ms, 100ms}));
}

TEST(Ownership, OtherAddressesAreIgnored) {
  Teller teller;
  teller.tell(10, Kind::kHeld, "node01", kOther).tell(20, Kind::kAnnounced, "node01", kOther);
  teller.tell(30, Kind::kHeld, "node02", kAddress.with_port(80));
  const auto report = teller.report(5, 100);
  EXPECT_EQ(report.after, Names{"node02"});
  EXPECT_TRUE(report.announced.empty());
}

TEST(Ownership, BurstsOfAnnouncementsAreToldApart) {
  Teller teller;
  teller.tell(100, Kind::kHeld, "node02");
  for (int i = 0; i < 5; ++i) teller.tell(101 + i, Kind::kAnnounced, "node02");
  for (int i = 0; i < 5; ++i) teller.tell(5101 + i, Kind::kAnnounced, "node02");
  teller.tell(5102, Kind::kAnnounced, "node01").tell(5104, Kind::kAnswered, "node01");
  const auto report = teller.report(50, 6000);
  EXPECT_EQ(report.announced.at("node02"), 10);
  EXPECT_EQ(report.announced.at("node01"), 1);
  EXPECT_EQ(report.answered.at("node01"), 1);
  EXPECT_EQ(report.bursts, (std::vector<AnnouncementBurst>{
                               {"node02", 51ms, 5}, {"node02", 5051ms, 5}, {"node01", 5052ms, 1}}));
  EXPECT_EQ(render_timeline(report),
            "+0.000 nobody holds; +0.050 node02 holds, announced x5; "
            "+5.051 node02 announces x5; +5.052 node01 announces x1");
}

TEST(Ownership, HealedHolderAnnounces) {
  Teller teller;
  teller.tell(0, Kind::kHeld, "node01").tell(100, Kind::kCut, "node01");
  teller.tell(200, Kind::kHealed, "node01").tell(210, Kind::kAnnounced, "node01");
  EXPECT_EQ(render_timeline(teller.report(200, 300)),
            "+0.000 node01 holds behind the cut; "
            "+0.000 node01 is healed, holding it, announced x1");
}

TEST(Ownership, AnnouncementWithoutHoldingIsToldApart) {
  Teller teller;
  teller.tell(0, Kind::kHeld, "node01").tell(100, Kind::kReleased, "node01");
  teller.tell(110, Kind::kAnnounced, "node01").tell(120, Kind::kAnnounced, "node01");
  EXPECT_EQ(render_timeline(teller.report(50, 300)),
            "+0.000 node01 holds; +0.050 node01 holds no longer; +0.060 node01 announces x2");
}

TEST(Ownership, WindowBeforeTheRecorderIsNotComplete) {
  Ownership ownership(kAddress);
  ownership.handle({.kind = Kind::kBegan, .at = at(100)});
  ownership.handle({.kind = Kind::kHeld, .at = at(100), .host = "node01", .address = kAddress});
  EXPECT_FALSE(ownership.report(at(50), at(200)).complete);
  const auto report = ownership.report(at(101), at(200));
  EXPECT_TRUE(report.complete);
  EXPECT_EQ(report.before, Names{"node01"});
}

TEST(Ownership, MissedChangesAreSaid) {
  Teller teller;
  teller.tell(100, Kind::kLost, "node02").tell(100, Kind::kHeld, "node02");
  const auto report = teller.report(50, 200);
  EXPECT_FALSE(report.complete);
  EXPECT_EQ(render_timeline(report),
            "+0.000 nobody holds; +0.050 the recorder missed changes at node02; "
            "+0.050 node02 holds");
}

TEST(Ownership, RestartedRecorderForgetsWhatItDoesNotFindAgain) {
  Teller teller;
  teller.tell(0, Kind::kHeld, "node01").tell(0, Kind::kCut, "node02");
  teller.ownership.handle({.kind = Kind::kBegan, .at = at(500)});
  teller.tell(500, Kind::kHeld, "node02");
  const auto report = teller.report(600, 700);
  EXPECT_EQ(report.after, Names{});
  EXPECT_EQ(report.cut_off_after, Names{"node02"});
}

TEST(Ownership, LongStoryIsCut) {
  Teller teller;
  for (int i = 1; i <= 300; ++i) {
    teller.tell(i, i % 2 == 1 ? Kind::kHeld : Kind::kReleased, "node01");
  }
  const auto report = teller.report(1, 400);
  ASSERT_EQ(report.timeline.size(), Ownership::kMomentsMax);
  // 300 changes and how it began, 199 told.
  EXPECT_EQ(report.timeline.back().what, "and 102 more");
}

TEST(Ownership, BeyondTheBoundIsSaidToBeMissing) {
  Teller teller;
  for (std::size_t i = 0; i < Ownership::kEventsMax; ++i) {
    teller.tell(static_cast<int>(i), Kind::kAnswered, "node01");
  }
  EXPECT_FALSE(teller.report(1, 10).complete);
}

TEST(Ownership, HoldersInWords) {
  EXPECT_EQ(render_holders({}), "nobody");
  EXPECT_EQ(render_holders(Names{"node01", "node03"}), "node01+node03");
}

}  // namespace
}  // namespace nines::lab

// Clients' records to figures.
#include "lab/peer_watch.h"

#include <vector>

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

using Outcome = PeerAttempt::Outcome;

const std::vector<std::string> kHosts{"node01", "node02", "node03"};

class Scene {
 public:
  Scene& attempt(std::string_view host, Duration begun, Duration took, Outcome outcome,
                 std::string_view against = "node03") {
    attempts_.push_back({host, against, Instant{} + begun, Instant{} + begun + took, outcome});
    return *this;
  }
  Scene& broken(std::string_view host, Duration at, std::string_view against = "node03") {
    breaks_.push_back({host, against, Instant{} + at});
    return *this;
  }
  PeerWatchReport report(Duration begin, Duration end, std::set<std::string> away = {"node03"}) {
    return report_peer_watch(attempts_, breaks_, kHosts,
                             {.begin = Instant{} + begin,
                              .end = Instant{} + end,
                              .about = {"node03"},
                              .away = std::move(away),
                              .broken = {"node03"}});
  }

 private:
  std::vector<PeerAttempt> attempts_;
  std::vector<PeerBreak> breaks_;
};

TEST(PeerWatch, TheWorstHostCounts) {
  Scene scene;
  scene.attempt("node01", 10100ms, 1s, Outcome::kRefused);
  scene.attempt("node02", 10100ms, 1500ms, Outcome::kRefused);
  scene.broken("node01", 11s).broken("node02", 11200ms);
  const auto report = scene.report(10s, 20s);
  EXPECT_EQ(report.refused, 1600ms);
  EXPECT_EQ(report.told, 1200ms);
  EXPECT_EQ(report.waited, 1500ms);
  EXPECT_EQ(report.connected, std::nullopt);
  EXPECT_EQ(report.refused_there, 0);
}

TEST(PeerWatch, AFigureThatOneHostHasNotIsNone) {
  Scene scene;
  scene.attempt("node01", 10100ms, 1s, Outcome::kRefused).broken("node01", 11s);
  scene.attempt("node02", 10100ms, 8s, Outcome::kSilent);
  const auto report = scene.report(10s, 20s);
  EXPECT_EQ(report.refused, std::nullopt);
  EXPECT_EQ(report.told, std::nullopt);
  EXPECT_EQ(report.waited, 8s);
}

TEST(PeerWatch, WhoStillWaitsHasWaitedUntilTheEnd) {
  Scene scene;
  scene.attempt("node01", 9s, 0s, Outcome::kUnderWay);
  EXPECT_EQ(scene.report(10s, 16s).waited, 6s) << "from the fault on";
}

TEST(PeerWatch, RefusalsBegunAfterTheFirstSayHowLongOneTakes) {
  Scene scene;
  for (const auto* host : {"node01", "node02"}) {
    scene.attempt(host, 10s, 1s, Outcome::kRefused);  // its SYN was said again
    scene.attempt(host, 12s, 2ms, Outcome::kRefused).attempt(host, 13s, 1ms, Outcome::kRefused);
  }
  EXPECT_EQ(scene.report(10s, 20s).refusal_took, 2ms);
}

TEST(PeerWatch, ClientsOfWhoIsAwayDoNotCount) {
  Scene scene;
  scene.attempt("node03", 10s, 5s, Outcome::kSilent, "node01");
  for (const auto* host : {"node01", "node02"}) scene.attempt(host, 12s, 1ms, Outcome::kConnected);
  const auto report = scene.report(10s, 20s, {});
  EXPECT_EQ(report.connected, 2001ms);
  EXPECT_EQ(report.waited, 1ms);
}

TEST(PeerWatch, WhoWasThereAllTheTimeMustNotBeRefused) {
  Scene scene;
  scene.attempt("node01", 12s, 1ms, Outcome::kRefused, "node02");
  scene.attempt("node01", 12s, 1ms, Outcome::kRefused);
  EXPECT_EQ(scene.report(10s, 20s).refused_there, 1);
}

TEST(PeerWatch, WhatEndedBeforeTheFaultIsNobodysBusiness) {
  Scene scene;
  for (const auto* host : {"node01", "node02"}) scene.attempt(host, 8s, 1s, Outcome::kRefused);
  scene.broken("node01", 9s).broken("node02", 9s);
  const auto report = scene.report(10s, 20s);
  EXPECT_EQ(report.refused, std::nullopt);
  EXPECT_EQ(report.told, std::nullopt);
  EXPECT_EQ(report.waited, std::nullopt);
}

}  // namespace
}  // namespace nines::lab

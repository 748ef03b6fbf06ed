// Rules and reasons, played out by hand.
#include "lab/peer_rules.h"

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

using Kind = RuleEvent::Kind;

SocketAddress address_of(int host) {
  return *SocketAddress::parse_ip("100.2.30.4" + std::to_string(host), 0);
}
std::string name_of(int host) { return "node0" + std::to_string(host); }

class Scene {
 public:
  explicit Scene(int hosts) : rules_(hosts_of(hosts)) {}

  Scene& fact(Kind kind, int host, Duration at) {
    rules_.handle({.kind = kind, .at = Instant{} + at, .host = name_of(host)});
    return *this;
  }
  Scene& rule(Kind kind, int host, int against, Duration at) {
    rules_.handle({kind, Instant{} + at, name_of(host), address_of(against)});
    return *this;
  }
  RuleReport report(Duration begin, Duration end) const {
    return rules_.report(Instant{} + begin, Instant{} + end);
  }
  const PeerRules& rules() const { return rules_; }

 private:
  static std::vector<PeerRules::Host> hosts_of(int count) {
    std::vector<PeerRules::Host> hosts;
    for (int i = 1; i <= count; ++i) hosts.push_back({name_of(i), address_of(i).with_port(80)});
    return hosts;
  }
  PeerRules rules_;
};

TEST(PeerRules, WordsComeBackAsTheyWent) {
  const Instant at{42};
  for (const RuleEvent& event :
       {RuleEvent{Kind::kBegan, at}, RuleEvent{Kind::kLost, at, "node01"},
        RuleEvent{Kind::kStands, at, "node01", address_of(3)},
        RuleEvent{Kind::kGone, at, "node02", *SocketAddress::parse_ip("2001:db8::1", 0)}}) {
    EXPECT_EQ(parse_rule_words(at, rule_words(event)), event);
  }
  for (const char* words : {"", "stands", "stands node01", "stands node01 here", "lost",
                            "gone node01 10.0.0.1 more", "away node01"}) {
    EXPECT_EQ(parse_rule_words(at, words), std::nullopt) << words;
  }
}

TEST(PeerRules, ARuleHasItsReasonWhileTheHostIsAwayAndAMajorityIsThere) {
  Scene scene(3);
  EXPECT_FALSE(scene.rules().has_reason("node01", "node03"));
  scene.fact(Kind::kAway, 3, 1s);
  EXPECT_TRUE(scene.rules().has_reason("node01", "node03"));
  EXPECT_FALSE(scene.rules().has_reason("node03", "node01")) << "who is away judges nobody";
  EXPECT_FALSE(scene.rules().has_reason("node03", "node03"));
  scene.fact(Kind::kSilent, 2, 2s);
  EXPECT_FALSE(scene.rules().has_reason("node01", "node03")) << "one of three is no majority";
  EXPECT_FALSE(scene.rules().has_reason("node02", "node03")) << "a dead engine has no rules";
  scene.fact(Kind::kSpeaks, 2, 3s).fact(Kind::kBack, 3, 4s);
  EXPECT_FALSE(scene.rules().has_reason("node01", "node03"));
}

TEST(PeerRules, WhoReachesAHostAgainHasNoReasonAndTheOthersHave) {
  Scene scene(3);
  scene.fact(Kind::kAway, 3, 1s).rule(Kind::kReaches, 1, 3, 2s);
  EXPECT_FALSE(scene.rules().has_reason("node01", "node03"));
  EXPECT_TRUE(scene.rules().has_reason("node02", "node03"));
  scene.fact(Kind::kBack, 3, 3s).fact(Kind::kAway, 3, 4s);
  EXPECT_TRUE(scene.rules().has_reason("node01", "node03")) << "that was the time before";
}

TEST(PeerRules, TellsWhenTheFirstAndTheLastRuleCame) {
  Scene scene(3);
  scene.fact(Kind::kAway, 3, 10s).rule(Kind::kStands, 1, 3, 11s).rule(Kind::kStands, 2, 3, 11200ms);
  const auto report = scene.report(10s, 20s);
  EXPECT_EQ(report.first, 1s);
  EXPECT_EQ(report.all, 1200ms);
  EXPECT_EQ(report.begun, 2);
  EXPECT_EQ(report.against_most, 1);
  EXPECT_EQ(report.verdicts_most, 1);
  EXPECT_EQ(report.outlived, 0);
  EXPECT_EQ(report.gone_after, std::nullopt) << "the reason still holds";
  EXPECT_EQ(report.standing, (std::vector<StandingRule>{{"node01", "node03", 1s, 10s},
                                                        {"node02", "node03", 1200ms, 10s}}));
  EXPECT_TRUE(scene.rules().is_settled());
}

TEST(PeerRules, OneThatDoesNotComeLeavesTheLastUnsaid) {
  Scene scene(3);
  scene.fact(Kind::kAway, 3, 10s).rule(Kind::kStands, 1, 3, 11s);
  EXPECT_EQ(scene.report(10s, 20s).first, 1s);
  EXPECT_EQ(scene.report(10s, 20s).all, std::nullopt);
  EXPECT_FALSE(scene.rules().is_settled());
}

TEST(PeerRules, MeasuresFromTheEndOfTheReasonToTheLastRulesEnd) {
  Scene scene(3);
  scene.fact(Kind::kAway, 3, 1s).rule(Kind::kStands, 1, 3, 2s).rule(Kind::kStands, 2, 3, 2s);
  scene.fact(Kind::kBack, 3, 5s).rule(Kind::kGone, 1, 3, 5100ms).rule(Kind::kGone, 2, 3, 5700ms);
  const auto report = scene.report(5s, 8s);
  EXPECT_EQ(report.gone_after, 700ms);
  EXPECT_EQ(report.outlived, 0);
  EXPECT_EQ(report.first, std::nullopt);
  EXPECT_EQ(report.begun, 0);
  EXPECT_FALSE(scene.rules().any_stands());
}

TEST(PeerRules, OneThatStandsForMoreThanASecondWithoutItsReasonHasOutlivedIt) {
  Scene scene(3);
  scene.fact(Kind::kAway, 3, 1s).rule(Kind::kStands, 1, 3, 2s).fact(Kind::kBack, 3, 5s);
  EXPECT_EQ(scene.report(5s, 5900ms).outlived, 0);
  const auto later = scene.report(5s, 9s);
  EXPECT_EQ(later.outlived, 1);
  EXPECT_EQ(later.gone_after, 4s) << "as long as it was watched";
  scene.rule(Kind::kGone, 1, 3, 10s);
  EXPECT_EQ(scene.report(5s, 20s).gone_after, 5s);
  EXPECT_EQ(scene.report(7s, 20s).outlived, 0) << "told once, in the window in which it did";
}

TEST(PeerRules, OneThatNeverHadAReasonCounts) {
  Scene scene(3);
  scene.rule(Kind::kStands, 1, 2, 2s).rule(Kind::kGone, 1, 2, 4s);
  EXPECT_EQ(scene.report(1s, 9s).outlived, 1);
  EXPECT_EQ(scene.report(1s, 9s).gone_after, 2s);
}

TEST(PeerRules, AReasonThatComesAgainDoesNotExcuseTheTimeBetween) {
  Scene scene(3);
  scene.fact(Kind::kAway, 3, 1s).rule(Kind::kStands, 1, 3, 2s).fact(Kind::kBack, 3, 5s);
  scene.fact(Kind::kAway, 3, 7s).rule(Kind::kGone, 1, 3, 9s);
  EXPECT_EQ(scene.report(1s, 20s).outlived, 1);
}

TEST(PeerRules, ThoseThatWentBeforeTheirReasonWentAtOnce) {
  Scene scene(3);
  scene.fact(Kind::kAway, 3, 1s).rule(Kind::kStands, 1, 3, 2s).rule(Kind::kGone, 1, 3, 4s);
  scene.fact(Kind::kBack, 3, 5s);
  EXPECT_EQ(scene.report(5s, 8s).gone_after, std::nullopt) << "none stood";
  EXPECT_EQ(scene.report(1s, 8s).outlived, 0);
}

TEST(PeerRules, ALostMajorityAndADeadEngineEndTheReason) {
  Scene scene(5);
  for (const int host : {4, 5}) {
    scene.fact(Kind::kAway, host, 1s);
    for (const int who : {1, 2, 3}) scene.rule(Kind::kStands, who, host, 2s);
  }
  EXPECT_EQ(scene.report(1s, 4s).against_most, 2);
  scene.fact(Kind::kAway, 3, 5s);
  for (const int host : {4, 5}) {
    for (const int who : {1, 2}) scene.rule(Kind::kGone, who, host, 5600ms);
    scene.rule(Kind::kGone, 3, host, 5s);
  }
  const auto report = scene.report(5s, 9s);
  EXPECT_EQ(report.gone_after, 600ms);
  EXPECT_EQ(report.outlived, 0);
  EXPECT_EQ(report.begun, 0);
  EXPECT_TRUE(scene.rules().is_settled());
}

TEST(PeerRules, CountsVerdictsSinceTheBeginningAndHostsRefusedAtATime) {
  Scene scene(3);
  for (int i = 0; i < 3; ++i) {
    const Duration at = 10s * i;
    scene.fact(Kind::kAway, 3, at + 1s).rule(Kind::kStands, 1, 3, at + 2s);
    scene.rule(Kind::kGone, 1, 3, at + 3s).fact(Kind::kBack, 3, at + 3s);
  }
  EXPECT_EQ(scene.report(21s, 30s).verdicts_most, 3);
  EXPECT_EQ(scene.report(21s, 30s).begun, 1);
  EXPECT_EQ(scene.report(0s, 30s).against_most, 1);
}

TEST(PeerRules, WhatTheRecorderMissedIsSaid) {
  Scene scene(3);
  scene.fact(Kind::kLost, 1, 5s);
  EXPECT_FALSE(scene.report(4s, 6s).complete);
  EXPECT_TRUE(scene.report(6s, 9s).complete);
}

}  // namespace
}  // namespace nines::lab

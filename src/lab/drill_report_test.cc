// Requests to gaps, counts and verdicts.
#include "lab/drill_report.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

Instant at(int milliseconds) { return Instant{} + std::chrono::milliseconds(milliseconds); }

RequestRecord success(int begun, int ended, std::int8_t node = 0) {
  return {at(begun), at(ended), Outcome::kSuccess, {}, node};
}

TEST(DrillReport, GapCountsFromTheLastSuccessBeforeTheFault) {
  const std::vector<RequestRecord> records = {success(80, 90), success(95, 98), success(150, 250),
                                              success(255, 260)};
  const auto report = report_service("p", records, {at(100), at(300)});
  EXPECT_EQ(report.gap_longest, 152ms);  // 98 to 250
  EXPECT_EQ(report.first_success, Duration(150ms));
  EXPECT_EQ(report.requests, 2);
  EXPECT_EQ(report.failed, 0);
}

TEST(DrillReport, GapWithoutAnySuccessReachesTheWindowsEnd) {
  const auto report = report_service("p", {}, {at(100), at(300)});
  EXPECT_EQ(report.gap_longest, 200ms);
  EXPECT_EQ(report.first_success, std::nullopt);
}

TEST(DrillReport, SuccessOfALaterPhaseEndsTheGapAtTheWindow) {
  const auto report =
      report_service("p", std::vector{success(90, 95), success(120, 900)}, {at(100), at(300)});
  EXPECT_EQ(report.gap_longest, 205ms);  // nothing ended within it
  EXPECT_EQ(report.slow, 1);             // 780 ms, begun within it
  EXPECT_EQ(report.first_success, Duration(800ms));
}

TEST(DrillReport, UnderWayAtTheFaultIsToldApart) {
  const std::vector<RequestRecord> records = {
      {at(95), at(105), Outcome::kFailed, "reset", -1},
      {at(110), at(120), Outcome::kFailed, "503", -1},
      {at(120), at(1200), Outcome::kUnfinished, {}, -1},
      {at(50), at(60), Outcome::kFailed, "reset", -1},
  };
  const auto report = report_service("p", records, {at(100), at(300)});
  EXPECT_EQ(report.requests, 3);
  EXPECT_EQ(report.failed, 1);
  EXPECT_EQ(report.failed_in_flight, 1);
  EXPECT_EQ(report.unfinished, 1);
  EXPECT_EQ(report.slow, 1);
  EXPECT_EQ(report.reasons.at("reset"), 1);
}

TEST(DrillReport, UnderWayAtAPlannedMoveIsToldApartToo) {
  const std::vector<RequestRecord> records = {
      {at(110), at(130), Outcome::kFailed, "reset", -1},  // the old holder still answered
      {at(140), at(155), Outcome::kFailed, "reset", -1},
      {at(149), at(170), Outcome::kFailed, "reset", -1},
      {at(161), at(170), Outcome::kFailed, "refused", -1},  // the new one did
  };
  Window window{.begin = at(100), .end = at(300)};
  EXPECT_EQ(report_service("p", records, window).failed, 4);
  window.move = {.after = at(150), .before = at(160)};
  const auto report = report_service("p", records, window);
  EXPECT_EQ(report.failed, 2);
  EXPECT_EQ(report.failed_in_flight, 2);
}

TEST(DrillReport, LastAnswerIsThatOfTheLastRequestBegun) {
  const auto report = report_service("p", std::vector{success(110, 200, 1), success(120, 130, 0)},
                                     {at(100), at(300)});
  EXPECT_EQ(report.last_node, 0);
}

PhaseReport phase_with(const ServiceReport& service) {
  PhaseReport report;
  report.phase = "service-killed";
  report.watched_proxy = service.proxy;
  report.services = {service};
  report.change_expected = true;
  return report;
}

TEST(DrillReport, EveryExpectationThatDoesNotHoldIsNamed) {
  ServiceReport service;
  service.proxy = "p";
  service.failed = 2;
  service.failed_in_flight = 1;
  service.gap_longest = 900ms;
  service.reasons = {{"503", 3}};
  auto report = phase_with(service);
  report.answered_by = "node01";
  report.same_process = false;
  judge({.failed_max = 0,
         .failed_in_flight_max = 0,
         .gap_max = 500ms,
         .decided = true,
         .answered_by = "node02",
         .same_process = true},
        report);
  ASSERT_EQ(report.broken.size(), 6u);
  EXPECT_EQ(report.broken[0], "2 requests begun after the fault failed, 0 allowed (p 503 x3)");
  EXPECT_EQ(report.broken[2], "p without a success for 900 ms, 500 ms allowed");
}

TEST(DrillReport, WhatIsNotExpectedIsOnlyMeasured) {
  ServiceReport service;
  service.proxy = "p";
  service.failed = 2;
  auto report = phase_with(service);
  judge({}, report);
  EXPECT_TRUE(report.broken.empty());
}

TEST(DrillReport, TableAlignsAndNamesWhatBroke) {
  ServiceReport service;
  service.proxy = "p";
  service.requests = 1234;
  service.gap_longest = 12ms;
  auto report = phase_with(service);
  report.decided = 10040ms;
  report.broken = {"because"};
  const std::string table = render_table(std::vector{report});
  EXPECT_EQ(table,
            "drill           requests  failed  slow  longest gap  first success  detected  decided"
            "  acted  verdict\n"
            "service-killed      1234       0     0        12 ms              -         -  10.04 s"
            "      -  BROKEN\n"
            "    because\n");
}

TEST(DrillReport, TableTellsWhereTheAddressWentAndWhatIsDangerous) {
  ServiceReport service;
  service.proxy = "p";
  auto report = phase_with(service);
  report.change_expected = false;
  report.outage = 3100ms;
  report.holder_before = "node01";
  report.holder_after = "node02";
  report.ownership.emplace();
  report.ownership->nobody = {.count = 1, .total = 3090ms, .longest = 3090ms};
  report.hazards = {"two writers"};
  const std::string table = render_table(std::vector{report});
  EXPECT_EQ(table,
            "drill           requests  failed  slow  longest gap  first success          address"
            "  silent  nobody  two  verdict\n"
            "service-killed         0       0     0       0.0 ms              -  node01 > node02"
            "  3.10 s  3.09 s    -  held\n"
            "    hazard: two writers\n");
}

TEST(DrillReport, SilenceCountsFromTheLastAnswerBeforeTheFault) {
  const std::vector<AddressAnswer> answers = {{at(95), 0}, {at(150), 1}, {at(155), 1}};
  EXPECT_EQ(longest_silence(answers, {at(100), at(160)}), 55ms);
  EXPECT_EQ(longest_silence(answers, {at(151), at(200)}), 45ms);
  EXPECT_EQ(longest_silence({}, {at(100), at(160)}), 60ms);
}

TEST(DrillReport, WhatTheAddressOwesIsJudged) {
  ServiceReport service;
  service.proxy = "p";
  service.reasons = {{"refused", 2}, {"reset", 1}};
  auto report = phase_with(service);
  report.change_expected = false;
  report.outage = 120ms;
  report.holder_before = report.holder_after = "node01";
  report.ownership.emplace();
  report.ownership->overlap.longest = 80ms;
  report.spread = {"node01", "node03"};
  judge({.refused_max = 0,
         .outage_max = 100ms,
         .address_moves = true,
         .overlap_max = 50ms,
         .answering_min = 3},
        report);
  EXPECT_EQ(report.broken, (std::vector<std::string>{
                               "nobody answered at the address for 120 ms, 100 ms allowed",
                               "two hosts within reach had the address for 80 ms, 50 ms allowed",
                               "the address stayed at node01", "2 connections refused, 0 allowed",
                               "p answered by node01, node03 at the end, 3 hosts expected"}));
  report.broken.clear();
  report.holder_after = "node02";
  judge({.address_moves = false}, report);
  EXPECT_EQ(report.broken, std::vector<std::string>{"the address moved to node02"});
}

// Two kinds of a real lab beside one that every lab has.
PhaseReport phase_of_real_services() {
  const Window window{at(100), at(1100)};
  PhaseReport report;
  report.phase = "service-stopped";
  report.watched_proxy = "p";
  report.services.push_back(report_service("p", std::vector{success(110, 120)}, window));
  report.services.push_back(
      report_service("tokens",
                     std::vector<RequestRecord>{success(90, 200),
                                                {at(95), at(150), Outcome::kFailed, "502", -1},
                                                {at(200), at(2300), Outcome::kUnfinished, {}, -1}},
                     window, LoadKind::kTokens));
  report.services.push_back(
      report_service("transactions",
                     std::vector<RequestRecord>{success(150, 400),
                                                {at(500), at(510), Outcome::kFailed, "reset", 0}},
                     window, LoadKind::kTransactions));
  report.tokens_before = {.asked = 12, .valid = 12};
  report.tokens_within = {.asked = 4, .valid = 4};
  return report;
}

TEST(DrillReport, TokensAndTransactionsHaveATableOfTheirOwn) {
  const auto report = phase_of_real_services();
  EXPECT_EQ(totals_of(report).requests, 1);
  EXPECT_EQ(totals_of(report).failed_in_flight, 0);
  const std::string table = render_table(std::vector{report});
  EXPECT_EQ(table.substr(table.find("\n\n") + 2),
            "drill            tokens  failed  slowest  valid: from before  from then"
            "  transactions  failed  slowest\n"
            "service-stopped       3       2   2.10 s            12 of 12     4 of 4"
            "             2       1   250 ms\n");
}

TEST(DrillReport, TokensAreJudgedByWhatIsExpectedOfThem) {
  auto report = phase_of_real_services();
  // One that was under way when its keystone died is not sent again.
  judge({.failed_max = 0, .failed_in_flight_max = 0, .tokens_failed_max = 0}, report);
  EXPECT_EQ(report.broken, std::vector<std::string>{});
  judge({.token_slowest_max = 2s}, report);
  EXPECT_EQ(report.broken, std::vector<std::string>{"a token took 2.10 s, 2.00 s allowed"});
  report.broken.clear();
  report.tokens_before->valid = 11;
  judge({}, report);
  EXPECT_EQ(report.broken, std::vector<std::string>{"of 12 tokens only 11 are still valid"});
  report.broken.clear();
  report.tokens_before->valid = 12;
  report.services[1].failed = 1;
  judge({.tokens_failed_max = 0}, report);
  EXPECT_EQ(report.broken, std::vector<std::string>{
                               "1 tokens asked for after the fault failed, 0 allowed (tokens 502 "
                               "x1, transactions reset x1)"});
}

TEST(DrillReport, AMinorityThatCommitsBreaksTheDrill) {
  auto report = phase_of_real_services();
  judge({.writes_refused_after = 300ms}, report);
  EXPECT_EQ(report.broken, std::vector<std::string>{});
  judge({.writes_refused_after = 299ms}, report);
  EXPECT_EQ(report.broken, std::vector<std::string>{
                               "a transaction was committed 300 ms after the majority was gone"});
}

PhaseReport with_peers() {
  PhaseReport report;
  report.peers.emplace();
  report.peers->controllers = 3;
  return report;
}

TEST(DrillReport, RulesAreJudgedWhateverADrillExpects) {
  PhaseReport well = with_peers();
  well.peers->rules.against_most = 1;
  judge({}, well);
  EXPECT_TRUE(well.broken.empty());

  PhaseReport ill = with_peers();
  ill.peers->rules.outlived = 2;
  ill.peers->rules.against_most = 2;
  ill.peers->rules.complete = false;
  ill.peers->clients.refused_there = 1;
  judge({}, ill);
  EXPECT_EQ(ill.broken, (std::vector<std::string>{
                            "what the kernels refused was not seen throughout",
                            "2 rules outlived their reason by more than 1.00 s",
                            "a host refused 2 of 3 at a time, 1 allowed",
                            "1 connections to controllers that were there were refused"}));
}

TEST(DrillReport, RulesThatComeLateOrStayOrFallTooOftenBreakTheDrill) {
  PhaseReport report = with_peers();
  report.length = 15s;
  report.peers->rules.begun = 1;
  report.peers->rules.gone_after = 700ms;
  report.peers->rules.verdicts_most = 3;
  judge({.rules_after_max = 3s, .no_rule_begins = true, .rule_gone_max = 500ms, .verdicts_max = 2},
        report);
  EXPECT_EQ(report.broken,
            (std::vector<std::string>{"not every survivor had its rule within 15.00 s",
                                      "1 rules began, none allowed",
                                      "a rule was gone 700 ms after its reason, 500 ms allowed",
                                      "3 verdicts on one host, 2 allowed"}));
}

TEST(DrillReport, AServiceThatIsNotBackLeavesTheSlowestUnsaid) {
  PhaseReport report = with_peers();
  report.peers->services_back = {{"keystone", 300ms}, {"mariadb", 900ms}};
  EXPECT_EQ(slowest_back(*report.peers), 900ms);
  report.peers->services_back["neutron"] = std::nullopt;
  EXPECT_EQ(slowest_back(*report.peers), std::nullopt);
}

}  // namespace
}  // namespace nines::lab

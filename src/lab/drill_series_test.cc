// Runs to rows, rows to text and back, rows to the table of two engines.
#include "lab/drill_series.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

std::int64_t ms(int milliseconds) {
  return Duration(std::chrono::milliseconds(milliseconds)).count();
}

DrillRow row(std::string engine, int run, int outage, int failed, int overlap = 0,
             std::string phase = "node01-dies") {
  DrillRow result{.engine = std::move(engine),
                  .run = run,
                  .scenario = "host-dies",
                  .phase = std::move(phase),
                  .scheduling = {},
                  .broken = {}};
  result[Figure::kOutage] = ms(outage);
  result[Figure::kFailed] = failed;
  result[Figure::kOverlap] = ms(overlap);
  return result;
}

TEST(DrillSeries, RowTakesItsFiguresFromTheReport) {
  PhaseReport report;
  report.scenario = "host-dies";
  report.phase = "node01-dies";
  report.watched_proxy = "b";
  report.length = 9s;
  report.services.resize(2);
  report.services[0].proxy = "a";
  report.services[0].failed = 2;
  report.services[0].unfinished = 1;
  report.services[1].proxy = "b";
  report.services[1].failed = 1;
  report.services[1].failed_in_flight = 4;
  report.services[1].gap_longest = 3s;
  report.broken = {"3 requests failed, 0 allowed"};
  report.scheduling = "SCHED_FIFO";
  const DrillRow found = row_of(report, "nines", 7);
  EXPECT_EQ(found.engine, "nines");
  EXPECT_EQ(found.run, 7);
  EXPECT_EQ(found.phase, "node01-dies");
  EXPECT_EQ(found.scheduling, "SCHED_FIFO");
  const auto back = parse_drill_series(to_text({.about = {}, .rows = {found}, .failed = {}}));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->rows.front().scheduling, "SCHED_FIFO");
  EXPECT_FALSE(found.held);
  EXPECT_EQ(found[Figure::kFailed], 3);
  EXPECT_EQ(found[Figure::kFailedInFlight], 4);
  EXPECT_EQ(found[Figure::kUnfinished], 1);
  EXPECT_EQ(found[Figure::kLongestGap], ms(3000));
  // It never came: as long as it was watched.
  EXPECT_EQ(found[Figure::kFirstSuccess], ms(9000));
  EXPECT_EQ(found[Figure::kOutage], std::nullopt);
  EXPECT_EQ(found[Figure::kDecided], std::nullopt);
  report.change_expected = true;
  report.decided = 20ms;
  EXPECT_EQ(row_of(report, "nines", 7)[Figure::kDecided], ms(20));
  EXPECT_EQ(row_of(report, "nines", 7)[Figure::kActed], ms(9000));
}

TEST(DrillSeries, RowTakesOwnershipThatIsKnown) {
  const auto row_with = [](bool complete) {
    const auto report = std::make_unique<PhaseReport>();
    report->outage = 3s;
    report->ownership = OwnershipReport{};
    auto& ownership = *report->ownership;
    ownership.nobody = {.count = 2, .total = 3500ms, .longest = 3s};
    ownership.overlap_with_cut_off = {.count = 1, .total = 1s, .longest = 1s};
    ownership.announced = {{"node02", 5}, {"node03", 10}};
    ownership.complete = complete;
    return row_of(*report, "nines", 1);
  };
  const DrillRow known = row_with(true);
  EXPECT_EQ(known[Figure::kOutage], ms(3000));
  EXPECT_EQ(known[Figure::kNobody], ms(3000));
  EXPECT_EQ(known[Figure::kOverlap], 0);
  EXPECT_EQ(known[Figure::kOverlapWithCutOff], ms(1000));
  EXPECT_EQ(known[Figure::kAnnounced], 15);
  const DrillRow missed = row_with(false);
  EXPECT_EQ(missed[Figure::kOutage], ms(3000));
  EXPECT_EQ(missed[Figure::kNobody], std::nullopt);
  EXPECT_EQ(missed[Figure::kOverlap], std::nullopt);
}

TEST(DrillSeries, RowCountsWhatTokensAndTransactionsLost) {
  PhaseReport report;
  EXPECT_EQ(row_of(report, "nines", 1)[Figure::kTokens], std::nullopt);
  report.services.resize(2);
  report.services[0].kind = LoadKind::kTokens;
  report.services[0].requests = 9;
  report.services[0].failed = 1;
  report.services[0].failed_in_flight = 2;
  report.services[0].unfinished = 3;
  report.services[0].slowest = 4s;
  report.services[1].kind = LoadKind::kTransactions;
  report.services[1].requests = 7;
  report.services[1].slowest = 2s;
  report.tokens_before = {.asked = 5, .valid = 4};
  report.tokens_within = {.asked = 5, .valid = 5};
  const DrillRow found = row_of(report, "nines", 1);
  EXPECT_EQ(found[Figure::kFailed], 0);
  EXPECT_EQ(found[Figure::kTokens], 9);
  EXPECT_EQ(found[Figure::kTokensLost], 6);
  EXPECT_EQ(found[Figure::kTokenSlowest], ms(4000));
  EXPECT_EQ(found[Figure::kTokensInvalid], 1);
  EXPECT_EQ(found[Figure::kTransactions], 7);
  EXPECT_EQ(found[Figure::kTransactionsLost], 0);
  EXPECT_EQ(found[Figure::kTransactionSlowest], ms(2000));
}

TEST(DrillSeries, TextComesBackAsItWent) {
  DrillSeries series;
  series.about = {{"machine", "two processors, \"busy\""}, {"nines", "0.1.0"}};
  series.rows = {row("nines", 1, 3612, 0), row("keepalived", 1, 4100, 12, 250)};
  series.failed = {"nines, run 2: the lab is not well"};
  series.rows[1].held = false;
  series.rows[1].broken = {"12 requests begun after the fault failed, 0 allowed"};
  series.rows[0][Figure::kLongestGap] = 1'234'567'000;
  const std::string text = to_text(series);
  EXPECT_NE(text.find("\"longest_gap_ms\":1234.567"), std::string::npos) << text;
  const auto found = parse_drill_series(text);
  ASSERT_TRUE(found.has_value()) << found.error().message();
  EXPECT_EQ(*found, series);
  EXPECT_EQ(to_text(*found), text);
  // A row a line, so that two results can be compared line by line.
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 6);
}

TEST(DrillSeries, NoRowsAreASeriesToo) {
  const auto found = parse_drill_series(to_text({}));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(*found, DrillSeries{});
}

TEST(DrillSeries, MistakesAreNamed) {
  const auto message = [](const std::string& member) {
    std::string rows = R"({"engine":"e","run":1,"scenario":"s","phase":"p","held":true})";
    const std::string second = "{" + member + R"("scenario":"s","phase":"p","held":true})";
    const auto found = parse_drill_series(R"({"rows":[)" + rows + "," + second + "]}");
    return found.has_value() ? std::string("good") : found.error().message();
  };
  EXPECT_EQ(message(R"("engine":"e","run":2,"failed":3,)"), "good");
  EXPECT_EQ(message(R"("run":2,)"), "row 2 has no \"engine\"; every row needs it");
  EXPECT_EQ(message(R"("engine":"e","run":0,)"),
            "row 2 has \"run\": 0; a whole number from 1 to 1000000 is allowed");
  EXPECT_EQ(message(R"("engine":7,"run":1,)"), "row 2 has \"engine\": 7; a string is allowed");
  EXPECT_EQ(message(R"("engine":"e","run":1,"failed":1.5,)"),
            "row 2 has \"failed\": 1.5; a whole number from 0 is allowed");
  EXPECT_EQ(message(R"("engine":"e","run":1,"outage_ms":-1,)"),
            "row 2 has \"outage_ms\": -1; milliseconds from 0 to a week is allowed");
  EXPECT_EQ(message(R"("engine":"e","run":1,"outage_ms":1e300,)"),
            "row 2 has \"outage_ms\": 1e+300; milliseconds from 0 to a week is allowed");
  EXPECT_EQ(message(R"("engine":"e","run":1,"outage":3,)"),
            "row 2 has \"outage\"; no such figure is known");
  EXPECT_EQ(message(R"("engine":"e","run":1,"broken":[1],)"),
            "row 2 has \"broken\": [1]; a list of strings is allowed");
}

TEST(DrillSeries, WhatIsNoSeriesIsRefused) {
  for (const char* text :
       {"", "[]", "{", "{}", R"({"rows":{}})", R"({"rows":[1]})", R"({"about":1,"rows":[]})",
        R"({"about":{"a":1},"rows":[]})", R"({"failed":[1],"rows":[]})"}) {
    const auto found = parse_drill_series(text);
    ASSERT_FALSE(found.has_value()) << text;
    EXPECT_EQ(found.error().code(), ErrorCode::kInvalid);
  }
}

TEST(DrillSeries, SummaryIsOfTheRowsThatHaveTheFigure) {
  std::vector<DrillRow> rows = {row("nines", 1, 30, 0), row("nines", 2, 10, 4),
                                row("nines", 3, 20, 0), row("nines", 4, 90, 0),
                                row("other", 1, 5, 5),  row("nines", 1, 7, 7, 0, "node01-returns")};
  auto found = summarize(rows, "nines", "host-dies", "node01-dies", Figure::kOutage);
  EXPECT_EQ(found.count, 4);
  EXPECT_EQ(found.least, static_cast<double>(ms(10)));
  EXPECT_EQ(found.median, static_cast<double>(ms(25)));  // between the two in the middle
  EXPECT_EQ(found.most, static_cast<double>(ms(90)));
  rows[3][Figure::kOutage].reset();
  found = summarize(rows, "nines", "host-dies", "node01-dies", Figure::kOutage);
  EXPECT_EQ(found.count, 3);
  EXPECT_EQ(found.median, static_cast<double>(ms(20)));
  found = summarize(rows, "nines", "host-dies", "node01-dies", Figure::kFailed);
  EXPECT_EQ(found.nonzero, 1);
  EXPECT_EQ(summarize(rows, "nines", "host-dies", "node01-dies", Figure::kNobody).count, 0);
}

TEST(DrillSeries, TableHasTheEnginesSideBySide) {
  std::vector<DrillRow> rows = {
      row("nines", 1, 3610, 0),           row("keepalived", 1, 3620, 4),
      row("nines", 2, 3610, 0),           row("keepalived", 2, 3630, 0, 250),
      row("nines", 3, 3610, 0),           row("keepalived", 3, 7240, 2),
      row("nines", 1, 0, 0, 0, "returns")};
  rows[1].held = false;
  EXPECT_EQ(render_series(rows, TableStyle::kPlain),
            R"(drill        median (least to most)  nines        keepalived                  ratio
node01-dies  runs                    3 of 3 held  2 of 3 held
             address silent          3.61 s       3.63 s (3.62 s to 7.24 s)   0.99
             failed                  0            2 (0 to 4, in 2 of 3)       0.00
             two held it             0            0 (0 to 250 ms, in 1 of 3)
returns      runs                    1 of 1 held  -
             address silent          0            -
             failed                  0            -
             two held it             0            -
)");
}

TEST(DrillSeries, PhaseOfTwoScenariosIsNamedWithItsOwn) {
  std::vector<DrillRow> rows = {row("nines", 1, 20, 0), row("nines", 1, 30, 0)};
  rows[1].scenario = "both-die";
  const auto text = render_series(rows, TableStyle::kPlain);
  EXPECT_NE(text.find("\nhost-dies, node01-dies  "), std::string::npos) << text;
  EXPECT_NE(text.find("\nboth-die, node01-dies  "), std::string::npos) << text;
}

TEST(DrillSeries, MarkdownIsATable) {
  const std::vector<DrillRow> rows = {row("nines", 1, 20, 0), row("a|b", 1, 40, 0)};
  EXPECT_EQ(render_series(rows, TableStyle::kMarkdown),
            "| drill | median (least to most) | nines | a\\|b | ratio |\n"
            "|---|---|---:|---:|---:|\n"
            "| node01-dies | runs | 1 of 1 held | 1 of 1 held | |\n"
            "| | address silent | 20 ms | 40 ms | 0.50 |\n"
            "| | failed | 0 | 0 | |\n"
            "| | two held it | 0 | 0 | |\n");
}

TEST(DrillSeries, OverlapWithTheCutOffIsShownWhereItIsMore) {
  std::vector<DrillRow> rows = {row("nines", 1, 20, 0, 3), row("nines", 2, 20, 0, 3)};
  for (auto& each : rows) each[Figure::kOverlapWithCutOff] = each[Figure::kOverlap];
  const std::string title(title_of(Figure::kOverlapWithCutOff));
  EXPECT_EQ(render_series(rows, TableStyle::kPlain).find(title), std::string::npos);
  rows[1][Figure::kOverlapWithCutOff] = ms(9);
  EXPECT_NE(render_series(rows, TableStyle::kPlain).find(title), std::string::npos);
}

TEST(DrillSeries, OneEngineHasNoRatio) {
  const auto text = render_series(std::vector{row("nines", 1, 20, 0)}, TableStyle::kPlain);
  EXPECT_EQ(text.find("ratio"), std::string::npos);
}

}  // namespace
}  // namespace nines::lab

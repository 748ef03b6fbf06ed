// Records of a client of an OpenStack to the figures of a run.
#include "lab/cloud_report.h"

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

constexpr Instant kFault{1'000'000'000'000};
const Window kWindow{.begin = kFault, .end = kFault + 60s};

RequestRecord record(Duration begun, Duration took, Outcome outcome = Outcome::kSuccess,
                     std::string_view reason = {}) {
  return {kFault + begun, kFault + begun + took, outcome, reason, -1};
}

TEST(CloudReport, what_was_over_before_the_fault_does_not_count_and_what_was_under_way_does) {
  const std::vector<RequestRecord> tokens = {record(-5s, 4s), record(-1s, 2s), record(3s, 100ms)};
  EXPECT_EQ(figures_of(tokens, kWindow),
            (CloudFigures{.asked = 2, .failed = 0, .worst = Duration(2s)}));
}

TEST(CloudReport, what_failed_counts_as_long_as_it_was_waited_for) {
  const std::vector<RequestRecord> tokens = {record(1s, 100ms),
                                             record(2s, 30s, Outcome::kFailed, "503"),
                                             record(50s, 9s, Outcome::kUnfinished)};
  EXPECT_EQ(figures_of(tokens, kWindow),
            (CloudFigures{.asked = 3, .failed = 2, .worst = Duration(30s)}));
}

TEST(CloudReport, the_first_twelve_servers_by_their_begin_count) {
  CloudRecords records;
  // In order of their end, as records come.
  for (int i = 20; i > 0; --i) records.servers.push_back(record(i * 2s, 41s - i * 2s));
  records.servers.push_back(record(-10s, 2s));
  const CloudRow row = measure_cloud(records, kWindow);
  EXPECT_EQ(row.servers.asked, kServersAsked);
  ASSERT_EQ(row.each.size(), 12u);
  EXPECT_EQ(row.each.front().begun, Duration(2s));
  EXPECT_EQ(row.each.back().begun, Duration(24s));
  EXPECT_EQ(row.servers.worst, Duration(39s));
}

TEST(CloudReport, a_server_that_does_not_become_active_says_why) {
  CloudRecords records;
  records.servers = {record(1s, 62s, Outcome::kFailed, "ERROR")};
  const CloudRow row = measure_cloud(records, kWindow);
  ASSERT_EQ(row.each.size(), 1u);
  EXPECT_FALSE(row.each[0].active);
  EXPECT_EQ(row.each[0].reason, "ERROR");
  EXPECT_EQ(row.servers.failed, 1);
}

TEST(CloudReport, seconds_count_from_the_fault_in_both_directions) {
  CloudRecords records;
  records.tokens = {record(-1500ms, 1ms), record(-500ms, 1ms), record(0s, 1ms), record(999ms, 7ms),
                    record(1s, 1ms, Outcome::kFailed, "502")};
  const CloudRow row = measure_cloud(records, kWindow);
  ASSERT_EQ(row.seconds.size(), 4u);
  EXPECT_EQ(row.seconds[0].second, -2);
  EXPECT_EQ(row.seconds[1].second, -1);
  EXPECT_EQ(row.seconds[2].second, 0);
  EXPECT_EQ(row.seconds[2].tokens, (CloudFigures{.asked = 2, .failed = 0, .worst = 7ms}));
  EXPECT_EQ(row.seconds[3].tokens.failed, 1);
}

TEST(CloudReport, a_picture_calls_a_server_slow_later_than_a_token) {
  CloudRecords records;
  records.tokens = {record(10ms, 800ms)};
  records.servers = {record(110ms, 2500ms), record(210ms, 3500ms),
                     record(310ms, 62s, Outcome::kFailed, "ERROR")};
  const auto requests = requests_of(records, kWindow);
  ASSERT_GE(requests.size(), 4u);
  EXPECT_EQ(requests[0], (DrillStory::Requests{.good = 0, .slow = 1, .failed = 0}));
  EXPECT_EQ(requests[1], (DrillStory::Requests{.good = 1, .slow = 0, .failed = 0}));
  EXPECT_EQ(requests[2], (DrillStory::Requests{.good = 0, .slow = 1, .failed = 0}));
  EXPECT_EQ(requests[3], (DrillStory::Requests{.good = 0, .slow = 0, .failed = 1}));
}

CloudSeries example() {
  CloudRecords records;
  records.tokens = {record(1s, 900ms)};
  records.servers = {record(1s, 2s), record(3s, 62s, Outcome::kFailed, "ERROR")};
  CloudSeries series;
  series.about = {{"processors", "2"}};
  series.failed = {"nines, run 2: the lab is not well"};
  for (int run = 1; run <= 2; ++run) {
    CloudRow row = measure_cloud(records, kWindow);
    row.scenario = "holder-lost";
    row.engine = "nines";
    row.run = run;
    row.left = {{"ACTIVE", 12}, {"ERROR", 1}};
    series.rows.push_back(row);
  }
  return series;
}

TEST(CloudReport, rows_come_back_from_their_text) {
  const CloudSeries series = example();
  const auto back = parse_cloud_series(to_text(series));
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(back->rows, series.rows);
  EXPECT_EQ(back->about, series.about);
  EXPECT_EQ(back->failed, series.failed);
}

TEST(CloudReport, a_row_that_lacks_something_is_named) {
  std::string text = to_text(example());
  const auto at = text.rfind("\"left\"");
  text.replace(at, 6, "\"gone\"");
  const auto back = parse_cloud_series(text);
  ASSERT_FALSE(back.has_value());
  EXPECT_EQ(back.error().code(), ErrorCode::kInvalid);
  EXPECT_NE(back.error().message().find("row 2"), std::string::npos) << back.error().message();
  EXPECT_FALSE(parse_cloud_series("[]").has_value());
}

TEST(CloudReport, a_table_has_a_line_for_each_engine) {
  EXPECT_EQ(
      render_cloud_series(example().rows, TableStyle::kMarkdown),
      "| drill | engine | runs | servers | worst server | worst token | tokens failed | worst "
      "list | lists failed | in BUILD | in ERROR |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|\n"
      "| holder-lost | nines | 2 | 2 of 4 | 62.0 s (62.0 s to 62.0 s) | 0.9 s (0.9 s to 0.9 "
      "s) | 0 | 0.0 s (0.0 s to 0.0 s) | 0 | 0 | 2 |\n");
}

}  // namespace
}  // namespace nines::lab

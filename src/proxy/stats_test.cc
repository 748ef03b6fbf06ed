// The statistics' texts against a fixed proxy, and the rules that tools rely on.
#include <algorithm>
#include <cerrno>

#include "proxy/stats_fixture_test.h"
#include "proxy/stats_info.h"
#include "proxy/stats_rows.h"
#include "proxy/stats_text.h"

namespace nines::proxy {
namespace {

std::string render(const StatsTextOptions& options, StatsFilter filter = {}) {
  const auto generation = fixture_generation();
  StatsCursor cursor(*generation, std::move(filter), 4000, kFixtureNow);
  StatsRow row;
  std::string out;
  append_stats_head(out, options);
  for (bool first = true; cursor.next(row); first = false) {
    append_stats_row(out, row, options, first);
  }
  append_stats_tail(out, options);
  return out;
}

std::string names_of(StatsFilter filter) {
  const auto generation = fixture_generation();
  StatsCursor cursor(*generation, std::move(filter), 4000, kFixtureNow);
  StatsRow row;
  std::string names;
  while (cursor.next(row)) {
    names += std::string(row.text(StatsColumn::kPxname)) + "/" +
             std::string(row.text(StatsColumn::kSvname)) + "=" +
             std::string(row.text(StatsColumn::kStatus)) + " ";
  }
  return names;
}

StatsFilter with_details() {
  StatsFilter filter;
  filter.details = true;
  return filter;
}

TEST(Stats, CsvOfAKnownProxy) { expect_golden("stats.csv", render({}, with_details())); }

TEST(Stats, TypedLinesOfAKnownProxy) {
  StatsFilter filter = with_details();
  filter.proxy = 3;
  expect_golden("stats_typed.txt", render({StatsFormat::kTyped, false}, filter));
}

TEST(Stats, JsonOfAKnownServer) {
  StatsFilter filter = with_details();
  filter.proxy = 3;
  filter.types = StatsFilter::kServers;
  filter.server = 3;
  expect_golden("stats.json", render({StatsFormat::kJson, false}, filter));
}

TEST(Stats, EveryCsvRowHasAsManyFieldsAsTheHeader) {
  const std::string text = render({}, with_details());
  std::size_t begin = 0;
  std::ptrdiff_t commas = -1;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const auto count = std::count(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                  text.begin() + static_cast<std::ptrdiff_t>(end), ',');
    if (commas == -1) commas = count;
    EXPECT_EQ(count, commas);
  }
  EXPECT_EQ(commas, static_cast<std::ptrdiff_t>(kStatsColumns) + 1);
}

TEST(Stats, RowsComeAsFrontendServersBackend) {
  EXPECT_EQ(names_of({}),
            "stats/FRONTEND=OPEN stats/BACKEND=UP api/FRONTEND=OPEN api/node1=UP api/node2=UP 2/3 "
            "api/node3=DOWN 1/2 api/node4=MAINT api/node5=DRAIN api/node6=no check api/BACKEND=UP "
            "database/active=DOWN database/spare=UP database/BACKEND=UP ");
}

TEST(Stats, FiltersByProxyTypeAndServer) {
  StatsFilter filter;
  filter.proxy = 3;
  filter.types = StatsFilter::kServers;
  filter.server = 2;
  EXPECT_EQ(names_of(filter), "api/node2=UP 2/3 ");
  filter.types = StatsFilter::kListeners;
  EXPECT_EQ(names_of(filter), "");
}

TEST(Stats, OnlyUpHidesDownAndMaintenanceAndCountsServers) {
  StatsFilter filter;
  filter.only_up = true;
  EXPECT_EQ(names_of(filter),
            "stats/FRONTEND=OPEN stats/BACKEND=UP (0/0) api/FRONTEND=OPEN api/node1=UP "
            "api/node2=UP 2/3 api/node5=DRAIN api/node6=no check api/BACKEND=UP (4/6) "
            "database/spare=UP database/BACKEND=UP (1/2) ");
}

TEST(Stats, ScopeIsAPartOfAProxysNameInAnyCase) {
  StatsFilter filter;
  filter.scope = "DataB";
  filter.types = StatsFilter::kBackends;
  EXPECT_EQ(names_of(filter), "database/BACKEND=UP ");
}

TEST(Stats, ReadersWithoutDetailsSeeNoAddress) {
  EXPECT_EQ(render({}).find("10.0.0.1:8774"), std::string::npos);
  EXPECT_NE(render({}, with_details()).find("10.0.0.1:8774"), std::string::npos);
}

TEST(Stats, PausedFrontendSaysSo) {
  const auto generation = fixture_generation();
  generation->proxies[1].frontend->paused = true;
  generation->proxies[1].frontend->maxconn = 17;
  StatsCursor cursor(*generation,
                     StatsFilter{3, StatsFilter::kFrontends, -1, false, false, false, ""}, 4000,
                     kFixtureNow);
  StatsRow row;
  ASSERT_TRUE(cursor.next(row));
  EXPECT_EQ(row.text(StatsColumn::kStatus), "PAUSED");
  EXPECT_EQ(row.number(StatsColumn::kSlim), 17);
}

TEST(Stats, CsvQuotesOnlyWhatNeedsIt) {
  StatsRow row;
  row.set(StatsColumn::kPxname, "a,b");
  row.set(StatsColumn::kSvname, "say \"so\"");
  std::string out;
  append_stats_row(out, row, {}, true);
  EXPECT_EQ(out.substr(0, 23), "\"a,b\",\"say \"\"so\"\"\",,,,,");
}

TEST(Stats, JsonEscapesWhatAServerMayHaveSaid) {
  std::string out;
  append_json_string(out, std::string_view("a\"\\\n\0b", 6));
  EXPECT_EQ(out, R"("a\"\\\u000a\u0000b")");
}

TEST(Info, PlainTextOfAKnownProcess) {
  std::string out;
  append_info(out, fixture_process(), kFixtureNow, kFixtureWall, {});
  expect_golden("info.txt", out);
}

TEST(Info, TypedAndJsonKeepPositionsAndTags) {
  std::string typed;
  append_info(typed, fixture_process(), kFixtureNow, kFixtureWall,
              {InfoOptions::Format::kTyped, false});
  EXPECT_EQ(typed.substr(0, typed.find('\n')), "0.Name.1:POS:str:Nines");
  EXPECT_NE(typed.find("\n6.Pid.1:SGP:u32:4711\n"), std::string::npos);
  EXPECT_NE(typed.find("\n70.Start_time_sec.1:MDP:u32:1767322945\n"), std::string::npos);
  std::string json;
  append_info(json, fixture_process(), kFixtureNow, kFixtureWall,
              {InfoOptions::Format::kJson, false});
  EXPECT_EQ(json.substr(0, json.find("}}") + 2),
            R"([{"field":{"pos":0,"name":"Name"},"processNum":1,"tags":{"origin":"Product",)"
            R"("nature":"Output","scope":"Service"},"value":{"type":"str","value":"Nines"}})");
}

TEST(Info, DropInNameAndDescriptions) {
  ProcessInfo process = fixture_process();
  process.name = "HAProxy";
  process.description = "a \"node\"";
  std::string out;
  append_info(out, process, kFixtureNow, kFixtureWall, {InfoOptions::Format::kPlain, true});
  EXPECT_EQ(out.substr(0, out.find('\n')), "Name: HAProxy:\"product\"");
  EXPECT_NE(out.find("\ndescription: a \"node\":\""), std::string::npos);
}

TEST(Info, UptimeCountsDaysHoursMinutesSeconds) {
  EXPECT_EQ(uptime_text(0), "0d 0h00m00s");
  EXPECT_EQ(uptime_text(86400 * 12 + 3661), "12d 1h01m01s");
}

}  // namespace
}  // namespace nines::proxy

// The page as a scraper gets it: well formed, and silent about what is not known.
#include "galera/metrics.h"

#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::galera {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr Instant kBegin{1'000'000'000'000};

Look answered(std::string_view cluster_status, std::string_view history) {
  Look look;
  look.contact = Look::Contact::kAnswered;
  WsrepStatus& status = look.status.emplace();
  const auto row = [&status](std::string_view name, std::string_view value) {
    read_wsrep_row({name, value}, status);
  };
  row("wsrep_on", "ON");
  row("wsrep_ready", "ON");
  row("wsrep_connected", "ON");
  row("wsrep_cluster_status", cluster_status);
  row("wsrep_local_state", "4");
  row("wsrep_cluster_size", "3");
  row("wsrep_last_committed", "9007199254740991");
  row("wsrep_cluster_state_uuid", history);
  row("wsrep_incoming_addresses", "10.0.0.1:3306,10.0.0.2:3306,");
  row("wsrep_flow_control_paused", "0.25");
  return look;
}

Look refused() {
  Look look;
  look.contact = Look::Contact::kRefused;
  return look;
}

constexpr std::string_view kHistory = "aaaaaaaa-c6b1-11f0-9b0e-9e2fd2c5a3f1";
constexpr std::string_view kOtherHistory = "bbbbbbbb-c6b1-11f0-9b0e-9e2fd2c5a3f1";

TEST(MetricsTest, EachMemberIsInOneState) {
  MemberHealth one, two, three;
  one.look(answered("Primary", kHistory), kBegin);
  two.look(answered("Primary", kHistory), kBegin);
  two.look(refused(), kBegin + std::chrono::seconds(4));
  const std::string page =
      render_metrics({{{"node01", &one}, {"node02", &two}, {"no\"de\\03", &three}}, 1, 7},
                     kBegin + std::chrono::seconds(5));
  EXPECT_THAT(page, HasSubstr("nines_galera_member_state{member=\"node01\",state=\"synced\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_member_state{member=\"node02\",state=\"lost\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_member_state{member=\"node02\",state=\"synced\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_member_state_seconds{member=\"node01\"} 5\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_member_state_seconds{member=\"node02\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_member_state_changes_total{member=\"node02\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("member=\"no\\\"de\\\\03\",state=\"lost\"} 0\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_members 3\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_members_synced 1\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_primary 1\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_two_histories 0\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_arbitrators_seen 1\n"));
  EXPECT_THAT(page, HasSubstr("nines_galera_looks_total 7\n"));
  // Whole numbers stay whole.
  EXPECT_THAT(page, HasSubstr("member_committed_seqno{member=\"node01\"} 9007199254740991"));
  EXPECT_THAT(page, HasSubstr("flow_control_paused_ratio{member=\"node01\"} 0.25\n"));
  // What a lost member said last is not what it is.
  EXPECT_THAT(page, Not(HasSubstr("committed_seqno{member=\"node02\"}")));
}

TEST(MetricsTest, TwoPrimaryComponentsAreTold) {
  MemberHealth one, two;
  one.look(answered("Primary", kHistory), kBegin);
  two.look(answered("Primary", kOtherHistory), kBegin);
  const std::string page = render_metrics({{{"node01", &one}, {"node02", &two}}, 0, 1}, kBegin);
  EXPECT_THAT(page, HasSubstr("nines_galera_two_histories 1\n"));
}

TEST(MetricsTest, EverySampleBelongsToTheFamilyBeforeIt) {
  MemberHealth one;
  one.look(answered("Primary", kHistory), kBegin);
  std::istringstream lines(render_metrics({{{"node01", &one}}, 0, 1}, kBegin));
  std::set<std::string> families;
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, name;
    if (line.starts_with("# HELP ")) {
      words >> hash >> kind >> family;
      EXPECT_TRUE(families.insert(family).second) << family;
    } else if (line.starts_with("# TYPE ")) {
      words >> hash >> kind >> name;
      EXPECT_EQ(name, family);
    } else {
      EXPECT_EQ(line.substr(0, line.find_first_of("{ ")), family);
    }
  }
  EXPECT_GE(families.size(), 15u);
}

}  // namespace
}  // namespace nines::galera

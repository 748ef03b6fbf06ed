// A node's health as its own status variables tell it: whole conversations with what a real server
// was recorded to say, and with servers that lie.
#include "proxy/galera_check.h"

#include <gtest/gtest.h>

#include "proxy/mysql_password.h"
#include "proxy/mysql_status.h"
#include "proxy/recorded_packets_test.h"

namespace nines::proxy {
namespace {

using namespace std::string_literals;

CheckCredentials credentials() {
  CheckCredentials made;
  made.user = "nines";
  made.password = "secret";
  return made;
}

struct Told {
  std::optional<CheckOutcome> verdict;
  std::string sent;
};

// The server says `parts` one after another; each also byte by byte, which must change nothing.
Told tell(const std::vector<std::string>& parts, DonorPolicy donor = DonorPolicy::kUnavailable) {
  Told at_once, in_bytes;
  GaleraCheck check(credentials(), donor);
  check.begin();
  for (const std::string& part : parts) {
    at_once.verdict = check.on_data(part);
    at_once.sent += check.to_send();
    if (at_once.verdict) break;
  }
  check.begin();
  for (const std::string& part : parts) {
    for (std::size_t i = 0; i < part.size() && !in_bytes.verdict; ++i) {
      in_bytes.verdict = check.on_data(std::string_view(part).substr(i, 1));
      in_bytes.sent += check.to_send();
    }
  }
  EXPECT_EQ(at_once.verdict.has_value(), in_bytes.verdict.has_value());
  if (at_once.verdict && in_bytes.verdict) {
    EXPECT_EQ(*at_once.verdict, *in_bytes.verdict);
  }
  EXPECT_EQ(at_once.sent, in_bytes.sent);
  return at_once;
}

CheckOutcome judge(const std::string& status, DonorPolicy donor = DonorPolicy::kUnavailable) {
  return tell({recorded::greeting(), recorded::login_ok(), status}, donor)
      .verdict.value_or(CheckOutcome{});
}

TEST(GaleraJudgement, synced_ready_and_primary_is_well) {
  const CheckOutcome found = judge_galera({"ON", "4", "Primary"}, DonorPolicy::kUnavailable);
  EXPECT_EQ(found.status, CheckStatus::kLayer7Ok);
  EXPECT_EQ(found.info, "Synced");
}

TEST(GaleraJudgement, each_of_the_three_can_fail_it) {
  for (const GaleraStatus& status :
       {GaleraStatus{"OFF", "4", "Primary"}, GaleraStatus{"ON", "3", "Primary"},
        GaleraStatus{"ON", "1", "Primary"}, GaleraStatus{"ON", "4", "non-Primary"},
        GaleraStatus{"", "4", "Primary"}, GaleraStatus{"ON", "", "Primary"},
        GaleraStatus{"ON", "44", "Primary"}}) {
    EXPECT_EQ(judge_galera(status, DonorPolicy::kAvailable).status, CheckStatus::kLayer7Status);
  }
  EXPECT_EQ(judge_galera({"OFF", "0", "non-Primary"}, DonorPolicy::kUnavailable).info,
            "wsrep_ready=OFF wsrep_local_state=0 wsrep_cluster_status=non-Primary");
}

TEST(GaleraJudgement, a_donor_is_well_only_when_the_operator_says_so) {
  const GaleraStatus donor{"ON", "2", "Primary"};
  EXPECT_FALSE(judge_galera(donor, DonorPolicy::kUnavailable).passed());
  EXPECT_TRUE(judge_galera(donor, DonorPolicy::kAvailable).passed());
  EXPECT_EQ(judge_galera(donor, DonorPolicy::kAvailable).info, "Donor/Desynced");
}

TEST(GaleraJudgement, a_server_without_wsrep_is_named_as_such) {
  EXPECT_EQ(judge_galera({}, DonorPolicy::kAvailable).info,
            "the server knows no wsrep status: not Galera");
}

TEST(GaleraCheck, a_synced_node_is_asked_and_left) {
  const Told told = tell({recorded::greeting(), recorded::login_ok(), recorded::status_synced()});
  ASSERT_TRUE(told.verdict);
  EXPECT_EQ(told.verdict->status, CheckStatus::kLayer7Ok);
  EXPECT_EQ(told.verdict->info, "Synced");
  EXPECT_NE(told.sent.find("nines\0\x14"s +
                           mysql::native_password_answer("secret", recorded::kChallenge)),
            std::string::npos);
  EXPECT_NE(told.sent.find("SHOW GLOBAL STATUS"), std::string::npos);
  EXPECT_TRUE(told.sent.ends_with("\x01\0\0\0\x01"s));  // goodbye
  EXPECT_EQ(told.sent.find("secret"), std::string::npos);
}

TEST(GaleraCheck, recorded_states_are_judged) {
  EXPECT_TRUE(judge(recorded::status_synced()).passed());
  EXPECT_FALSE(judge(recorded::status_desynced()).passed());
  EXPECT_TRUE(judge(recorded::status_desynced(), DonorPolicy::kAvailable).passed());
  EXPECT_EQ(judge(recorded::status_disconnected(), DonorPolicy::kAvailable).info,
            "wsrep_ready=OFF wsrep_local_state=0 wsrep_cluster_status=Disconnected");
}

TEST(GaleraCheck, a_wrong_password_is_the_servers_word) {
  const CheckOutcome found =
      tell({recorded::greeting(), recorded::login_denied()}).verdict.value_or(CheckOutcome{});
  EXPECT_EQ(found.status, CheckStatus::kLayer7Status);
  EXPECT_EQ(found.code, 1045);
  EXPECT_EQ(found.info,
            "login: #28000Access denied for user 'nines'@'127.0.0.1' (using password: YES)");
}

TEST(GaleraCheck, another_method_than_ours_is_named_with_what_to_do) {
  const CheckOutcome found =
      tell({recorded::greeting(), recorded::switch_to_ed25519()}).verdict.value_or(CheckOutcome{});
  EXPECT_EQ(found.status, CheckStatus::kLayer7Status);
  EXPECT_EQ(found.info,
            "the user's login method is 'client_ed25519': give it mysql_native_password");
  const std::string old = mysql::encode_packet(2, "\xfe");
  EXPECT_EQ(tell({recorded::greeting(), old}).verdict->info,
            "the user's login method is 'mysql_old_password': give it mysql_native_password");
}

TEST(GaleraCheck, a_switch_to_our_method_is_followed_once) {
  const Told told = tell({recorded::greeting(), recorded::switch_to_native(),
                          mysql::encode_packet(4, "\0\0\0\2\0\0\0"s), recorded::status_synced()});
  ASSERT_TRUE(told.verdict);
  EXPECT_TRUE(told.verdict->passed());
  EXPECT_NE(told.sent.find(mysql::encode_packet(
                3, mysql::native_password_answer("secret", recorded::kChallenge))),
            std::string::npos);
  EXPECT_FALSE(
      tell({recorded::greeting(), recorded::switch_to_native(), recorded::switch_to_native()})
          .verdict->passed());
}

TEST(GaleraCheck, what_is_not_the_protocol_fails) {
  for (const std::vector<std::string>& parts : std::vector<std::vector<std::string>>{
           {"SSH-2.0-OpenSSH\r\n"},
           {recorded::login_ok()},
           {recorded::greeting(), recorded::greeting()},
           {recorded::greeting(), mysql::encode_packet(2, "\x01more")},
           {recorded::greeting(), recorded::login_ok(), recorded::login_ok()},
           {recorded::greeting(), recorded::login_ok(), mysql::encode_packet(1, "\xfb/etc/passwd")},
           {recorded::greeting(), recorded::login_ok(), mysql::encode_packet(1, "\3")}}) {
    const auto verdict = tell(parts).verdict;
    ASSERT_TRUE(verdict);
    EXPECT_EQ(verdict->status, CheckStatus::kLayer7Response);
    EXPECT_TRUE(verdict->info.starts_with("not the MySQL protocol")) << verdict->info;
  }
}

TEST(GaleraCheck, an_error_instead_of_rows_fails_with_its_number) {
  const CheckOutcome found =
      judge(mysql::encode_packet(1, "\xff\x17\x04#08S01WSREP has not yet prepared node"));
  EXPECT_EQ(found.status, CheckStatus::kLayer7Status);
  EXPECT_EQ(found.code, 1047);
}

TEST(GaleraCheck, rows_without_end_end) {
  GaleraCheck check(credentials(), DonorPolicy::kUnavailable);
  check.begin();
  EXPECT_FALSE(check.on_data(recorded::greeting() + recorded::login_ok()));
  EXPECT_FALSE(check.on_data(recorded::status_columns()));
  std::optional<CheckOutcome> verdict;
  const std::string row = mysql::encode_packet(0, "\x01x\x01y");
  int rows = 0;
  for (; rows < 1000 && !verdict; ++rows) verdict = check.on_data(row);
  ASSERT_TRUE(verdict);
  EXPECT_FALSE(verdict->passed());
  EXPECT_LE(rows, 10);
}

TEST(GaleraCheck, a_server_that_leaves_is_told_by_when) {
  GaleraCheck check(credentials(), DonorPolicy::kUnavailable);
  check.begin();
  EXPECT_EQ(check.on_end().info, "closed before its greeting");
  EXPECT_FALSE(check.on_data(recorded::greeting()));
  EXPECT_EQ(check.on_end().info, "closed during the login");
  EXPECT_FALSE(check.on_data(recorded::login_ok()));
  EXPECT_EQ(check.on_end().info, "closed instead of telling its wsrep status");
}

TEST(GaleraCheck, a_servers_own_words_are_bounded) {
  const std::string value(2000, 'x');
  const CheckOutcome found = judge_galera({value, value, value}, DonorPolicy::kAvailable);
  EXPECT_LT(found.info.size(), 200u);
}

TEST(MysqlPassword, the_standards_own_examples) {
  const auto hex = [](std::string_view text) {
    std::string digits;
    for (const std::uint8_t byte : mysql::sha1(text)) {
      for (const int half : {byte >> 4, byte & 15}) digits += "0123456789abcdef"[half];
    }
    return digits;
  };
  EXPECT_EQ(hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(hex(""), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
  EXPECT_EQ(hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
  EXPECT_EQ(hex(std::string(1000, 'a')), "291e9a6c66994949b57ba5e650361e98fc36b1ba");
}

TEST(MysqlStatus, every_prefix_needs_more) {
  const std::string whole = recorded::status_synced();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(mysql::parse_status(whole.substr(0, size)).parse, mysql::Parse::kNeedMore) << size;
  }
  const std::string longer = whole + "more";
  const mysql::StatusAnswer answer = mysql::parse_status(longer);
  ASSERT_EQ(answer.parse, mysql::Parse::kComplete);
  EXPECT_EQ(answer.size, whole.size());
  ASSERT_EQ(answer.rows().size(), 3u);
  EXPECT_EQ(answer.rows()[2].name, "wsrep_ready");
  EXPECT_EQ(answer.rows()[2].value, "ON");
}

}  // namespace
}  // namespace nines::proxy

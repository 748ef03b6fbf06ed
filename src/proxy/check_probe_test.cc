// What checks say and what they make of the answers, held against what HAProxy 2.6 was seen to do.
#include "proxy/check_probe.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

using namespace std::string_literals;

CheckConfig http_check() {
  CheckConfig config;
  config.kind = CheckKind::kHttp;
  return config;
}

// The verdict on a whole answer, given at once and byte by byte.
CheckOutcome judge(const CheckConfig& config, const std::string& answer, bool then_end = true) {
  CheckProbe probe(config);
  probe.begin();
  EXPECT_FALSE(probe.on_connected());
  std::optional<CheckOutcome> whole = probe.on_data(answer);
  if (!whole && then_end) whole = probe.on_end();
  probe.begin();
  EXPECT_FALSE(probe.on_connected());
  std::optional<CheckOutcome> piecewise;
  for (const char byte : answer) {
    piecewise = probe.on_data(std::string_view(&byte, 1));
    if (piecewise) break;
  }
  if (!piecewise && then_end) piecewise = probe.on_end();
  EXPECT_EQ(whole.has_value(), piecewise.has_value());
  if (whole && piecewise) {
    EXPECT_EQ(*whole, *piecewise);
  }
  return whole.value_or(CheckOutcome{});
}

TEST(ConnectCheck, to_be_connected_is_enough) {
  CheckProbe probe(CheckConfig{});
  probe.begin();
  EXPECT_EQ(probe.on_connected()->status, CheckStatus::kLayer4Ok);
}

TEST(ConnectCheck, failures_are_named_as_haproxy_names_them) {
  CheckProbe probe(CheckConfig{});
  const auto failed = [&probe](int number) {
    probe.begin();
    return probe.on_failed(Error::from_errno(number, "connect"));
  };
  EXPECT_EQ(failed(ECONNREFUSED).status, CheckStatus::kLayer4Connection);
  EXPECT_EQ(failed(ECONNREFUSED).info, "Connection refused");
  EXPECT_EQ(failed(ECONNREFUSED).error_number, ECONNREFUSED);
  EXPECT_EQ(failed(ENETUNREACH).status, CheckStatus::kLayer4Connection);
  EXPECT_EQ(failed(ENETUNREACH).info, "General socket error (Network is unreachable)");
  EXPECT_EQ(failed(ENOENT).status, CheckStatus::kSocketError);
  EXPECT_EQ(failed(ENOENT).info, "General socket error (No such file or directory)");
  EXPECT_EQ(failed(EMFILE).status, CheckStatus::kSocketError);
}

TEST(HttpCheck, requests_are_what_haproxy_sends) {
  CheckConfig config = http_check();
  EXPECT_EQ(encode_http_check(config), "OPTIONS / HTTP/1.0\r\n\r\n");
  config.method = "GET";
  config.uri = "/y";
  config.version = "HTTP/1.1";
  EXPECT_EQ(encode_http_check(config), "GET /y HTTP/1.1\r\nconnection: close\r\n\r\n");
  config.host = "a.b";
  config.headers = {{"X-Y", "z"}};
  EXPECT_EQ(encode_http_check(config),
            "GET /y HTTP/1.1\r\nhost: a.b\r\nx-y: z\r\nconnection: close\r\n\r\n");
}

TEST(HttpCheck, the_request_goes_out_once_connected) {
  CheckProbe probe(http_check());
  probe.begin();
  EXPECT_EQ(probe.to_send(), "");
  EXPECT_FALSE(probe.on_connected());
  EXPECT_EQ(probe.to_send(), "OPTIONS / HTTP/1.0\r\n\r\n");
  EXPECT_FALSE(probe.on_data("HTTP/1.0 2"));
  EXPECT_EQ(probe.to_send(), "");
}

TEST(HttpCheck, two_and_three_hundreds_are_well) {
  for (const int status : {200, 204, 300, 399}) {
    const CheckOutcome found =
        judge(http_check(), "HTTP/1.0 " + std::to_string(status) + " X\r\n\r\n");
    EXPECT_EQ(found.status, CheckStatus::kLayer7Ok);
    EXPECT_EQ(found.code, status);
    EXPECT_EQ(found.info, "");
  }
  const CheckOutcome bad = judge(http_check(), "HTTP/1.0 503 Service Unavailable\r\n\r\n");
  EXPECT_EQ(bad.status, CheckStatus::kLayer7Status);
  EXPECT_EQ(bad.code, 503);
  EXPECT_EQ(bad.info, "Service Unavailable");
}

TEST(HttpCheck, expected_statuses_and_their_negation) {
  CheckConfig config = http_check();
  config.expected = {{200, 299}, {401, 401}};
  EXPECT_TRUE(judge(config, "HTTP/1.1 401 No\r\n\r\n").passed());
  EXPECT_FALSE(judge(config, "HTTP/1.1 300 Many\r\n\r\n").passed());
  config.expect_negated = true;
  EXPECT_FALSE(judge(config, "HTTP/1.1 401 No\r\n\r\n").passed());
  EXPECT_TRUE(judge(config, "HTTP/1.1 300 Many\r\n\r\n").passed());
}

TEST(HttpCheck, a_broken_or_missing_answer_is_invalid) {
  for (const char* answer : {"garbage\r\n\r\n", "HTTP/1.1 2", "", "HTTP/1.1 200 OK\r\nX: y"}) {
    EXPECT_EQ(judge(http_check(), answer).status, CheckStatus::kLayer7Response) << answer;
  }
}

TEST(HttpCheck, the_head_must_be_complete) {
  EXPECT_EQ(judge(http_check(), "HTTP/1.1 200 OK\r\nX: y", false).status, CheckStatus::kUnknown);
}

TEST(HttpCheck, an_interim_answer_is_waited_through) {
  EXPECT_EQ(judge(http_check(), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").code, 200);
}

TEST(HttpCheck, an_endless_head_ends) {
  CheckProbe probe(http_check());
  probe.begin();
  probe.on_connected();
  std::optional<CheckOutcome> verdict = probe.on_data("HTTP/1.1 200 OK\r\n");
  for (int i = 0; i < 1000 && !verdict; ++i) verdict = probe.on_data("X: " + std::string(97, 'x'));
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->status, CheckStatus::kLayer7Response);
}

TEST(HttpCheck, a_reset_in_the_middle_is_a_socket_error) {
  CheckProbe probe(http_check());
  probe.begin();
  probe.on_connected();
  const CheckOutcome found = probe.on_failed(Error::from_errno(ECONNRESET, "read"));
  EXPECT_EQ(found.status, CheckStatus::kSocketError);
  EXPECT_EQ(found.info, "Connection reset by peer");
}

std::string packet(std::uint8_t sequence, const std::string& payload) {
  std::string out;
  for (int i = 0; i < 3; ++i) out += static_cast<char>(payload.size() >> (8 * i) & 0xff);
  out += static_cast<char>(sequence);
  return out + payload;
}

std::string greeting() {
  return packet(0,
                "\x0a"
                "10.11\0"s +
                    "\x07\0\0\0"s + "abcdefgh\0"s + "\xfe\xf7"s);
}

CheckConfig mysql_check(std::string user = {}) {
  CheckConfig config;
  config.kind = CheckKind::kMysql;
  config.user = std::move(user);
  return config;
}

TEST(MysqlCheck, the_bare_form_is_content_with_a_greeting) {
  const CheckOutcome found = judge(mysql_check(), greeting());
  EXPECT_EQ(found.status, CheckStatus::kLayer7Ok);
  EXPECT_EQ(found.info, "10.11");
}

TEST(MysqlCheck, an_error_packet_is_a_wrong_status_with_its_number) {
  const CheckOutcome found = judge(mysql_check(), packet(0, "\xff\x10\x04Too many connections"));
  EXPECT_EQ(found.status, CheckStatus::kLayer7Status);
  EXPECT_EQ(found.code, 1040);
  EXPECT_EQ(found.info, "Too many connections");
}

TEST(MysqlCheck, a_server_that_closes_or_speaks_otherwise_is_invalid) {
  EXPECT_EQ(judge(mysql_check(), "").status, CheckStatus::kLayer7Response);
  EXPECT_EQ(judge(mysql_check(), "").info, "TCPCHK got an empty response at step 2");
  EXPECT_EQ(judge(mysql_check(), "SSH-2.0-x\r\n").status, CheckStatus::kLayer7Response);
  EXPECT_EQ(judge(mysql_check("u"), greeting()).status, CheckStatus::kLayer7Response);
}

TEST(MysqlCheck, the_user_form_logs_in_and_leaves) {
  CheckProbe probe(mysql_check("haproxy"));
  probe.begin();
  EXPECT_FALSE(probe.on_connected());
  EXPECT_EQ(probe.to_send(), "");
  EXPECT_FALSE(probe.on_data(greeting()));
  EXPECT_TRUE(probe.to_send().ends_with("haproxy\0\0\x01\0\0\0\x01"s));
  const auto verdict = probe.on_data(packet(2, "\0\0\0\2\0\0\0"s));
  ASSERT_TRUE(verdict);
  EXPECT_EQ(verdict->status, CheckStatus::kLayer7Ok);
  EXPECT_EQ(verdict->info, "10.11");
  EXPECT_EQ(probe.to_send(), "");
}

TEST(MysqlCheck, a_user_that_is_refused_and_one_that_must_authenticate_otherwise) {
  const CheckOutcome denied =
      judge(mysql_check("u"), greeting() + packet(2, "\xff\x15\x04#28000Access denied"));
  EXPECT_EQ(denied.status, CheckStatus::kLayer7Status);
  EXPECT_EQ(denied.code, 1045);
  EXPECT_EQ(denied.info, "#28000Access denied");
  EXPECT_TRUE(judge(mysql_check("u"), greeting() + packet(2, "\xfeother\0"s)).passed());
}

TEST(CheckProbe, a_second_attempt_knows_nothing_of_the_first) {
  CheckProbe probe(http_check());
  probe.begin();
  probe.on_connected();
  EXPECT_FALSE(probe.on_data("HTTP/1.1 503 N"));
  probe.begin();
  probe.on_connected();
  EXPECT_TRUE(probe.on_data("HTTP/1.1 200 OK\r\n\r\n")->passed());
}

}  // namespace
}  // namespace nines::proxy

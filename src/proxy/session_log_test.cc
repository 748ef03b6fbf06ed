// Golden log lines: the examples' fields are what HAProxy 2.6 writes for the same session, as
// tests/compat/traffic_test.py compares them live.
#include "proxy/session_log.h"

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

// 2026-11-21 02:25:17.042 UTC
constexpr WallTime kBegun{1'795'227'917'042'000'000};

std::chrono::seconds no_offset(WallTime) { return std::chrono::seconds(0); }
std::chrono::seconds two_hours_east(WallTime) { return std::chrono::hours(2); }

const SocketAddress kClient = SocketAddress::ipv4({10, 0, 0, 7}, 40001);
const SocketAddress kLocal = SocketAddress::ipv4({10, 0, 0, 1}, 80);

SessionRecord finished_request() {
  SessionRecord record;
  record.client = &kClient;
  record.frontend_address = &kLocal;
  record.frontend = "web";
  record.backend = "app";
  record.server = "a";
  record.begun = kBegun;
  record.request_ms = 0;
  record.queue_ms = 0;
  record.connect_ms = 1;
  record.response_ms = 12;
  record.total_ms = 13;
  record.status = 200;
  record.bytes = 58;
  record.process_connections = record.frontend_connections = 1;
  record.request_line = "GET / HTTP/1.1";
  return record;
}

std::string http_line(const SessionRecord& record) {
  DateText dates(no_offset);
  std::string line;
  append_http_log(line, record, dates);
  return line;
}

std::string tcp_line(const SessionRecord& record) {
  DateText dates(no_offset);
  std::string line;
  append_tcp_log(line, record, dates);
  return line;
}

TEST(SessionLog, FinishedRequest) {
  EXPECT_EQ(http_line(finished_request()),
            "10.0.0.7:40001 [21/Nov/2026:02:25:17.042] web app/a 0/0/1/12/13 200 58 - - ---- "
            "1/1/0/0/0 0/0 \"GET / HTTP/1.1\"");
}

TEST(SessionLog, RequestThatNoServerTook) {
  SessionRecord record = finished_request();
  record.server = "<NOSRV>";
  record.queue_ms = record.connect_ms = record.response_ms = -1;
  record.total_ms = 0;
  record.status = 503;
  record.bytes = 217;
  record.cause = 'S';
  record.state = 'C';
  EXPECT_EQ(http_line(record),
            "10.0.0.7:40001 [21/Nov/2026:02:25:17.042] web app/<NOSRV> 0/-1/-1/-1/0 503 217 - - "
            "SC-- 1/1/0/0/0 0/0 \"GET / HTTP/1.1\"");
}

TEST(SessionLog, BadRequestHasNoLineAndNoServer) {
  SessionRecord record;
  record.client = &kClient;
  record.frontend = record.backend = "web";
  record.begun = kBegun;
  record.status = 400;
  record.bytes = 0;
  record.cause = 'C';
  record.state = 'R';
  record.process_connections = record.frontend_connections = 1;
  record.request_line = "<BADREQ>";
  EXPECT_EQ(http_line(record),
            "10.0.0.7:40001 [21/Nov/2026:02:25:17.042] web web/<NOSRV> -1/-1/-1/-1/0 400 0 - - "
            "CR-- 1/1/0/0/0 0/0 \"<BADREQ>\"");
}

TEST(SessionLog, RetriesAndRedispatchAndQueue) {
  SessionRecord record = finished_request();
  record.retries = 2;
  record.redispatched = true;
  record.server_queue = 3;
  record.backend_queue = 14;
  record.process_connections = 9;
  record.frontend_connections = 8;
  record.backend_connections = 7;
  record.server_connections = 6;
  const std::string line = http_line(record);
  EXPECT_NE(line.find(" ---- 9/8/7/6/+2 3/14 "), std::string::npos) << line;
}

TEST(SessionLog, TcpSession) {
  SessionRecord record = finished_request();
  record.cause = 's';
  record.state = 'D';
  EXPECT_EQ(tcp_line(record),
            "10.0.0.7:40001 [21/Nov/2026:02:25:17.042] web app/a 0/1/13 58 sD 1/1/0/0/0 0/0");
}

TEST(SessionLog, DefaultFormatNamesBothEnds) {
  std::string line;
  append_default_log(line, finished_request(), true);
  EXPECT_EQ(line, "Connect from 10.0.0.7:40001 to 10.0.0.1:80 (web/HTTP)");
  line.clear();
  append_default_log(line, finished_request(), false);
  EXPECT_EQ(line, "Connect from 10.0.0.7:40001 to 10.0.0.1:80 (web/TCP)");
}

TEST(SessionLog, Ipv6ClientHasNoBrackets) {
  SessionRecord record = finished_request();
  const auto client = SocketAddress::parse("[2001:db8::1]:443");
  ASSERT_TRUE(client);
  record.client = &*client;
  EXPECT_EQ(http_line(record).substr(0, 16), "2001:db8::1:443 ");
}

TEST(SessionLog, ClientOfAUnixSocket) {
  SessionRecord record = finished_request();
  const auto client = SocketAddress::unix_path("/run/x");
  record.client = record.frontend_address = &client;
  EXPECT_EQ(http_line(record).substr(0, 7), "unix:1 ");
  std::string line;
  append_default_log(line, record, true);
  EXPECT_EQ(line, "Connect from unix:1 to unix:1 (web/HTTP)");
}

TEST(SessionLog, BytesThatWouldBreakTheLineAreEscaped) {
  std::string text;
  append_escaped(text, "GET /a\"b#c\x01\x7f\xc3\xa4\n z");
  EXPECT_EQ(text, "GET /a#22b#23c#01#7F#C3#A4#0A z");
}

TEST(SessionLog, DatesAreLocalAndTheMillisecondsMove) {
  DateText dates(two_hours_east);
  EXPECT_EQ(dates.accurate(kBegun), "21/Nov/2026:04:25:17.042");
  EXPECT_EQ(dates.accurate(WallTime{kBegun.nanoseconds_since_epoch + 900'000'000}),
            "21/Nov/2026:04:25:17.942");
  // Midnight, and the last day of a month.
  EXPECT_EQ(dates.accurate(WallTime{1'795'989'600'000'000'000 + 7'000'000}),
            "30/Nov/2026:00:00:00.007");
}

}  // namespace
}  // namespace nines::proxy

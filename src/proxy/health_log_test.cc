// The lines about servers, each held against one that HAProxy 2.6 wrote for the same event.
#include "proxy/health_log.h"

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

struct Fixture {
  Fixture() {
    Config config;
    ProxyConfig proxy;
    proxy.name = "l4";
    proxy.frontend = proxy.backend = true;
    for (const char* name : {"a", "b"}) {
      ServerConfig server;
      server.name = name;
      server.address = SocketAddress::ipv4({127, 0, 0, 1}, 80);
      server.check = true;
      server.backup = server.name == "b";
      proxy.servers.push_back(server);
    }
    config.proxies.push_back(proxy);
    proxy.name = "be";
    proxy.frontend = false;
    proxy.log_health_checks = true;
    config.proxies.push_back(proxy);
    generation = Generation::create(config, 1, Instant{1}, nullptr);
  }
  const Proxy& proxy(std::size_t index = 0) const { return generation->proxies[index]; }
  const Server& a() const { return proxy().servers[0]; }
  const Server& b() const { return proxy().servers[1]; }
  std::shared_ptr<const Generation> generation;
};

CheckOutcome outcome(CheckStatus status, int code, std::string info, Duration duration) {
  CheckOutcome result;
  result.status = status;
  result.code = code;
  result.info = std::move(info);
  result.duration = duration;
  return result;
}

const CheckOutcome kRefused =
    outcome(CheckStatus::kLayer4Connection, 0, "Connection refused", 400us);

TEST(HealthLog, a_server_goes_down) {
  Fixture f;
  const LogLine line =
      describe_server_down(f.proxy(), f.a(), HealthCause::kCheck, kRefused, {1, 2});
  EXPECT_EQ(line.level, LogLevel::kAlert);
  EXPECT_EQ(line.text,
            "Server l4/a is DOWN, reason: Layer4 connection problem, info: \"Connection refused\", "
            "check duration: 0ms. 1 active and 2 backup servers left. 0 sessions active, "
            "0 requeued, 0 remaining in queue.");
}

TEST(HealthLog, the_last_active_one_leaves_the_backups_running) {
  Fixture f;
  f.a().state->sessions.add(7);
  f.a().state->queued.add(3);
  const LogLine line = describe_server_down(
      f.proxy(), f.a(), HealthCause::kCheck,
      outcome(CheckStatus::kLayer7Status, 503, "Service Unavailable", 1ms), {0, 1});
  EXPECT_EQ(line.text,
            "Server l4/a is DOWN, reason: Layer7 wrong status, code: 503, info: \"Service "
            "Unavailable\", check duration: 1ms. 0 active and 1 backup servers left. Running on "
            "backup. 7 sessions active, 3 requeued, 0 remaining in queue.");
}

TEST(HealthLog, a_backup_comes_up) {
  Fixture f;
  const LogLine line =
      describe_server_up(f.proxy(), f.b(), HealthCause::kCheck,
                         outcome(CheckStatus::kLayer4Ok, 0, "", Duration{}), {1, 1});
  EXPECT_EQ(line.level, LogLevel::kNotice);
  EXPECT_EQ(line.text,
            "Backup Server l4/b is UP, reason: Layer4 check passed, check duration: 0ms. 1 active "
            "and 1 backup servers online. 0 sessions requeued, 0 total in queue.");
}

TEST(HealthLog, with_log_health_checks_the_reason_was_said_before) {
  Fixture f;
  const Server& server = f.proxy(1).servers[0];
  CheckState state;
  state.last = outcome(CheckStatus::kLayer7Status, 503, "Service Unavailable", Duration{});
  EXPECT_EQ(describe_check(f.proxy(1), server, state).text,
            "Health check for server be/a failed, reason: Layer7 wrong status, code: 503, info: "
            "\"Service Unavailable\", check duration: 0ms, status: 0/2 DOWN.");
  EXPECT_EQ(describe_server_down(f.proxy(1), server, HealthCause::kCheck, state.last, {6, 0}).text,
            "Server be/a is DOWN. 6 active and 0 backup servers left. 0 sessions active, 0 "
            "requeued, 0 remaining in queue.");
  state.health = 4;
  state.last = outcome(CheckStatus::kLayer7Ok, 0, "5.5.5-10.11", 42ms);
  EXPECT_EQ(describe_check(f.proxy(1), f.proxy(1).servers[1], state).text,
            "Health check for backup server be/b succeeded, reason: Layer7 check passed, code: 0, "
            "info: \"5.5.5-10.11\", check duration: 42ms, status: 3/3 UP.");
}

TEST(HealthLog, what_a_server_said_cannot_break_the_line) {
  Fixture f;
  const std::string line =
      describe_server_down(
          f.proxy(), f.a(), HealthCause::kCheck,
          outcome(CheckStatus::kLayer7Status, 503, "we \"quote\" \x01\xc3\xa9 <x>\n", Duration{}),
          {1, 0})
          .text;
  EXPECT_NE(line.find("info: \"we <22>quote<22> <01><C3><A9> <3C>x<3E><0A>\", check"),
            std::string::npos);
}

TEST(HealthLog, a_backend_without_servers) {
  Fixture f;
  EXPECT_EQ(describe_backend_down(f.proxy()).level, LogLevel::kEmerg);
  EXPECT_EQ(describe_backend_down(f.proxy()).text, "proxy l4 has no server available!");
  EXPECT_EQ(describe_backend_down(f.proxy(1)).text, "backend be has no server available!");
}

TEST(HealthLog, the_operators_changes) {
  Fixture f;
  EXPECT_EQ(describe_server_down(f.proxy(), f.a(), HealthCause::kOperator, kRefused, {1, 0}).text,
            "Server l4/a is DOWN, changed from CLI. 1 active and 0 backup servers left. 0 sessions "
            "active, 0 requeued, 0 remaining in queue.");
  const LogLine going = describe_enter_maintenance(f.proxy(), f.a(), false, false, {0, 0});
  EXPECT_EQ(going.level, LogLevel::kAlert);
  EXPECT_EQ(going.text,
            "Server l4/a is going DOWN for maintenance. 0 active and 0 backup servers left. 0 "
            "sessions active, 0 requeued, 0 remaining in queue.");
  EXPECT_EQ(describe_enter_maintenance(f.proxy(), f.a(), true, false, {0, 0}).text,
            "Server l4/a was DOWN and now enters maintenance.");
  EXPECT_EQ(describe_leave_maintenance(f.proxy(), f.a()).text,
            "Server l4/a is UP/READY (leaving forced maintenance).");
  EXPECT_EQ(describe_enter_drain(f.proxy(), f.a(), {1, 0}).text,
            "Server l4/a enters drain state. 1 active and 0 backup servers online. 0 sessions "
            "requeued, 0 total in queue.");
  f.a().state->up = false;
  EXPECT_EQ(describe_leave_drain(f.proxy(), f.a()).text,
            "Server l4/a is DOWN (leaving forced drain).");
}

}  // namespace
}  // namespace nines::proxy

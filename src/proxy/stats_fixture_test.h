// One small proxy with everything in a known state, for the golden texts of the statistics and of
// the runtime socket.
#pragma once

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "proxy/control.h"

namespace nines::proxy {

inline constexpr Instant kFixtureStart{1'000'000'000'000};
inline constexpr Instant kFixtureNow{kFixtureStart.nanoseconds + 100'000'000'000};
inline constexpr WallTime kFixtureWall{1'767'323'045'678'000'000};  // 2026-01-02 03:04:05.678 UTC

inline ServerConfig fixture_server(std::string name, const char* address) {
  ServerConfig server;
  server.name = std::move(name);
  server.address = *SocketAddress::parse(address);
  return server;
}

// stats: the page alone. api: HTTP, with a server in each state. database: TCP with a backup.
inline std::shared_ptr<const Generation> fixture_generation() {
  Config config;
  config.global.maxconn = 4000;

  ProxyConfig stats;
  stats.name = "stats";
  stats.frontend = stats.backend = true;
  stats.mode = Mode::kHttp;
  stats.stats.enabled = true;
  config.proxies.push_back(stats);

  ProxyConfig api;
  api.name = "api";
  api.frontend = api.backend = true;
  api.mode = Mode::kHttp;
  api.maxconn = 200;
  for (int i = 1; i <= 6; ++i) {
    const std::string address = "10.0.0." + std::to_string(i) + ":8774";
    api.servers.push_back(fixture_server("node" + std::to_string(i), address.c_str()));
    api.servers.back().check = i != 6;
    api.servers.back().rise = 2;
    api.servers.back().fall = 3;
  }
  api.servers[1].maxconn = 50;
  config.proxies.push_back(api);

  ProxyConfig database;
  database.name = "database";
  database.backend = true;
  database.balance = BalanceAlgorithm::kSource;
  database.servers.push_back(fixture_server("active", "10.0.0.1:3306"));
  database.servers.push_back(fixture_server("spare", "[fd00::2]:3306"));
  database.servers[0].check = database.servers[1].check = true;
  database.servers[1].backup = true;
  config.proxies.push_back(database);

  auto generation = Generation::create(std::move(config), 2, kFixtureStart, nullptr);

  const Proxy& web = generation->proxies[1];
  web.frontend->sessions.add(7);
  web.frontend->sessions.add(-4);
  ProxyCounters& front = web.frontend->counters[1];
  front.connections.add(40), front.sessions.add(40), front.requests.add(90);
  front.bytes_in.add(12345), front.bytes_out.add(678901);
  front.responses[status_class(200)].add(88), front.responses[status_class(404)].add(2);
  for (int i = 0; i < 5; ++i) web.frontend->request_rate.count(kFixtureNow - 1s);

  const auto up = [&](int index, int health) {
    ServerState& state = *web.servers[static_cast<std::size_t>(index)].state;
    state.health = health;
    state.check_status = CheckStatus::kLayer7Ok;
    state.check_code = 200;
    state.check_duration_ms = 3;
  };
  up(0, 4);
  ServerCounters& first = web.servers[0].state->counters[0];
  first.sessions.add(50), first.selected.add(49), first.requests.add(60), first.timed.add(10);
  first.connect_time.add(25'000), first.response_time.add(400'000), first.total_time.add(990'000);
  first.responses[status_class(200)].add(58);
  web.servers[0].state->last_session = (kFixtureNow - 12s).nanoseconds;
  up(1, 3);
  ServerState& down = *web.servers[2].state;
  down.up = false;
  down.health = 1;
  down.check_status = CheckStatus::kLayer4Connection;
  down.check_errno = ECONNREFUSED;
  down.check_duration_ms = 0;
  down.changed_at = (kFixtureNow - 30s).nanoseconds;
  down.check_failures = 4;
  down.downs = 2;
  down.down_total_ns = 11'000'000'000;
  web.servers[3].state->maintenance = true;
  up(4, 4);
  web.servers[4].state->draining = true;

  const Proxy& sql = generation->proxies[2];
  ServerState& active = *sql.servers[0].state;
  active.up = false;
  active.check_status = CheckStatus::kLayer7Status;
  active.check_code = 1045;
  active.changed_at = (kFixtureNow - 5s).nanoseconds;
  sql.servers[1].state->health = 4;
  sql.servers[1].state->check_status = CheckStatus::kLayer7Ok;
  return generation;
}

inline ProcessInfo fixture_process() {
  ProcessInfo process;
  process.pid = 4711;
  process.workers = 2;
  process.started = kFixtureStart;
  process.maxconn = 4000;
  process.max_sockets = 8100;
  process.current_connections = 3;
  process.connections = 40;
  process.requests = 90;
  process.bytes_out = 678901;
  process.idle_percent = 97;
  process.memory_bytes = 12u << 20;
  process.node = "controller1";
  process.version = "0.1.0";
  process.listeners = 3;
  process.tasks = 9;
  return process;
}

// Compares with testdata/NAME; with NINES_GOLDEN_WRITE set, writes it instead.
inline void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(NINES_TESTDATA) + "/" + name;
  if (std::getenv("NINES_GOLDEN_WRITE") != nullptr) {
    std::ofstream(path, std::ios::binary) << text;
    return;
  }
  std::ifstream file(path, std::ios::binary);
  std::ostringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(text, expected.str()) << "in " << path;
}

}  // namespace nines::proxy

// New configurations under load: nothing that was begun is lost, what is known about servers is
// kept, and what the text no longer names ends in peace.
#include <gtest/gtest.h>

#include "proxy_world.h"

namespace nines::scenarios {
namespace {

constexpr const char* kDefaults = R"(
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout queue 20s
  timeout http-keep-alive 20s
  retries 3
  option redispatch
)";

std::string api(const std::string& servers, const std::string& name = "api") {
  return std::string(kDefaults) + "frontend " + name +
         "\n  bind %front:8080\n  default_backend pool\nbackend pool\n" + servers;
}

const std::string kOneTwo =
    "  server s1 %s1 check inter 2000 rise 2 fall 5\n"
    "  server s2 %s2 check inter 2000 rise 2 fall 5\n";
const std::string kTwoThree =
    "  server s2 %s2 check inter 2000 rise 2 fall 5\n"
    "  server s3 %s3 check inter 2000 rise 2 fall 5\n";

TEST(ProxyReload, no_request_is_lost_while_configurations_change_under_load) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world, {.servers = 3, .workers = 2});
    proxy.load(api(kOneTwo));
    for (int i = 0; i < 10; ++i) {
      WebClient& client =
          proxy.add_client({.pipeline = 1 + i % 2, .think = i % 3 == 0 ? 2ms : 0ms}, 8080, i % 2);
      for (int n = 0; n < 60; ++n) {
        Ask ask = proxy.ask();
        ask.method = n % 4 == 0 ? "POST" : "GET";
        ask.upload = n % 4 == 0 ? world.rng().below(20000) : 0;
        ask.size = world.rng().below(3000);
        ask.delay_ms = static_cast<int>(world.rng().below(10));
        client.ask(ask);
      }
    }
    for (int i = 0; i < 12; ++i) {
      world.after(std::chrono::milliseconds(20 * (i + 1)),
                  [&proxy, i] { proxy.load(api(i % 2 == 0 ? kTwoThree : kOneTwo)); });
    }
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 60s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 600);
    EXPECT_GT(proxy.server(3).served(), 0);
    // A connection each: listeners and sessions were kept.
    proxy.expect_quiet();
  });
}

TEST(ProxyReload, health_is_kept_and_a_server_known_to_be_down_gets_nothing) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(api(kOneTwo));
    world.run_for(3s);
    proxy.kill_server(2);
    ASSERT_TRUE(world.run_until([&] { return !proxy.state("pool", "s2").up; }, 15s));
    proxy.load(api(kOneTwo + "  # the same, and again\n"));
    world.run_for(1ms);
    EXPECT_FALSE(proxy.state("pool", "s2").up);
    WebClient& client = proxy.add_client({.one_connection_each = true});
    for (int n = 0; n < 6; ++n) client.ask(proxy.ask());
    EXPECT_TRUE(world.run_until([&] { return client.done(); }, 100ms));
    EXPECT_EQ(proxy.count(Outcome::kWhole), 6);
    EXPECT_EQ(proxy.backend("pool").counters[0].retries.value(), 0u);
    proxy.expect_quiet();
  });
}

TEST(ProxyReload, requests_that_wait_for_a_slot_are_served_although_the_text_has_changed) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world, {.servers = 3, .workers = 2});
    const std::string narrow = "  server s1 %s1 maxconn 1\n  server s2 %s2 maxconn 1\n";
    proxy.load(api(narrow));
    for (int i = 0; i < 16; ++i) {
      Ask ask = proxy.ask();
      ask.delay_ms = 5 + static_cast<int>(world.rng().below(30));
      proxy.add_client({}, 8080, i % 2).ask(ask);
    }
    for (int i = 0; i < 3; ++i) {
      world.after(std::chrono::milliseconds(10 + 20 * i), [&proxy, i, narrow] {
        proxy.load(api(i % 2 == 0 ? narrow + "  server s3 %s3 maxconn 1\n" : narrow));
      });
    }
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 5s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 16);
    for (int i = 1; i <= 3; ++i) EXPECT_LE(proxy.server(i).busy_max(), 1);
    proxy.expect_quiet();
  });
}

TEST(ProxyReload, a_frontend_that_is_gone_ends_idle_clients_and_others_after_their_answer) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(api(kOneTwo) + "frontend old\n  bind %front:8081\n  default_backend pool\n");
    WebClient& idle = proxy.add_client({}, 8081);
    idle.ask(proxy.ask());
    WebClient& waiting = proxy.add_client({}, 8081);
    Ask late = proxy.ask();
    late.delay_ms = 200;
    waiting.ask(late);
    WebClient& other = proxy.add_client();
    other.ask(proxy.ask());
    world.run_for(50ms);
    proxy.load(api(kOneTwo));
    EXPECT_TRUE(world.run_until([&] { return idle.saw_end(); }, 5ms));
    EXPECT_TRUE(world.run_until([&] { return waiting.done(); }, 300ms));
    EXPECT_TRUE(world.run_until([&] { return waiting.saw_end(); }, 5ms));
    EXPECT_FALSE(other.saw_end());
    WebClient& refused = proxy.add_client({}, 8081);
    refused.ask(proxy.ask());
    EXPECT_TRUE(world.run_until([&] { return refused.done(); }, 100ms));
    EXPECT_EQ(refused.answers()[0].outcome, Outcome::kBroken);
    EXPECT_EQ(proxy.count(Outcome::kWhole), 3);
    proxy.expect_quiet();
  });
}

TEST(ProxyReload, a_frontend_under_a_new_name_keeps_its_socket_and_finishes_what_it_began) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(api(kOneTwo));
    for (int i = 0; i < 8; ++i) {
      WebClient& client = proxy.add_client({.asks_again = true});
      for (int n = 0; n < 40; ++n) {
        Ask ask = proxy.ask();
        ask.delay_ms = static_cast<int>(world.rng().below(10));
        client.ask(ask);
      }
    }
    for (int i = 0; i < 4; ++i) {
      world.after(std::chrono::milliseconds(25 * (i + 1)),
                  [&proxy, i] { proxy.load(api(kOneTwo, i % 2 == 0 ? "public" : "api")); });
    }
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 60s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 8 * 40);
    EXPECT_EQ(proxy.count(Outcome::kBroken), 0);
    proxy.expect_quiet();
  });
}

TEST(ProxyReload, connections_kept_for_a_server_that_is_gone_are_closed_at_once) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(api("  server s1 %s1\n"));
    WebClient& client = proxy.add_client();
    client.ask(proxy.ask());
    world.run_for(50ms);
    const auto gone = proxy.generation().find_server("pool", "s1")->state;
    EXPECT_EQ(gone->idle.value(), 1);
    EXPECT_EQ(proxy.server(1).open(), 1);
    proxy.load(api("  server s2 %s2\n"));
    world.run_for(5ms);
    EXPECT_EQ(gone->idle.value(), 0);
    EXPECT_EQ(proxy.server(1).open(), 0);
    client.ask(proxy.ask());
    EXPECT_TRUE(world.run_until([&] { return client.done(); }, 100ms));
    EXPECT_EQ(client.answers()[1].server, "s2");
    EXPECT_EQ(client.connections(), 1);
    proxy.expect_quiet();
  });
}

}  // namespace
}  // namespace nines::scenarios

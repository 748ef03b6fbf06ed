// Generations: what is taken over from the one before, what starts afresh, and the rates.
#include "proxy/runtime.h"

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

ServerConfig server(std::string name, std::uint16_t port, bool check = false) {
  ServerConfig config;
  config.name = std::move(name);
  config.address = SocketAddress::ipv4({127, 0, 0, 1}, port);
  config.check = check;
  return config;
}

Config config_of(std::vector<ServerConfig> servers) {
  Config config;
  ProxyConfig frontend;
  frontend.name = "web";
  frontend.frontend = true;
  frontend.default_backend = "web";
  ProxyConfig backend;
  backend.name = "web";
  backend.backend = true;
  backend.servers = std::move(servers);
  ProxyConfig listen;
  listen.name = "api";
  listen.frontend = listen.backend = true;
  config.proxies = {frontend, backend, listen};
  return config;
}

TEST(Generation, sides_and_default_backends_are_found_by_name) {
  const auto g = Generation::create(config_of({server("a", 1)}), 2, Instant{5}, nullptr);
  EXPECT_EQ(g->number, 1u);
  EXPECT_EQ(g->proxies[0].default_backend, 1);
  EXPECT_EQ(g->proxies[1].default_backend, 1);
  EXPECT_EQ(g->proxies[2].default_backend, 2);
  EXPECT_EQ(g->proxies[0].id, 2);
  EXPECT_EQ(g->proxies[0].backend, nullptr);
  EXPECT_EQ(g->proxies[1].frontend, nullptr);
  EXPECT_NE(g->proxies[2].frontend, g->proxies[2].backend);
  EXPECT_EQ(g->find_proxy("web"), &g->proxies[0]);
  EXPECT_EQ(g->find_server("web", "a"), &g->proxies[1].servers[0]);
  EXPECT_EQ(g->find_server("web", "b"), nullptr);
  EXPECT_EQ(g->find_proxy("none"), nullptr);
  EXPECT_EQ(g->proxies[1].servers[0].state->counters.size(), 2u);
}

TEST(Generation, a_checked_server_begins_up_one_failure_from_down) {
  const auto g =
      Generation::create(config_of({server("a", 1, true), server("b", 2)}), 1, Instant{5}, nullptr);
  const ServerState& a = *g->find_server("web", "a")->state;
  EXPECT_TRUE(a.up);
  EXPECT_EQ(a.health, 2);
  EXPECT_EQ(a.check_status, CheckStatus::kInitialized);
  const ServerState& b = *g->find_server("web", "b")->state;
  EXPECT_TRUE(b.up);
  EXPECT_EQ(b.check_status, CheckStatus::kUnknown);
}

TEST(Generation, a_reload_keeps_the_health_of_the_same_server_and_nothing_else) {
  const auto before = Generation::create(config_of({server("a", 1, true), server("b", 2, true)}), 1,
                                         Instant{5}, nullptr);
  before->find_server("web", "a")->state->up = false;
  before->find_server("web", "b")->state->up = false;
  const auto after = Generation::create(
      config_of({server("b", 3, true), server("a", 1, true), server("c", 4, true)}), 1, Instant{6},
      before.get());
  EXPECT_EQ(after->number, 2u);
  EXPECT_EQ(after->find_server("web", "a")->state, before->find_server("web", "a")->state);
  EXPECT_NE(after->find_server("web", "b")->state, before->find_server("web", "b")->state);
  EXPECT_TRUE(after->find_server("web", "b")->state->up);
  EXPECT_EQ(after->proxies[0].frontend, before->proxies[0].frontend);
  EXPECT_EQ(after->proxies[1].backend, before->proxies[1].backend);
}

TEST(Generation, a_weight_set_at_run_time_stays_until_the_text_says_another) {
  auto text = config_of({server("a", 1)});
  const auto first = Generation::create(text, 1, Instant{5}, nullptr);
  ServerState& state = *first->find_server("web", "a")->state;
  state.weight = 7;
  const auto second = Generation::create(text, 1, Instant{6}, first.get());
  second->settle(Instant{6});
  EXPECT_EQ(state.weight, 7);
  text.proxies[1].servers[0].weight = 3;
  const auto third = Generation::create(text, 1, Instant{7}, second.get());
  EXPECT_EQ(state.weight, 7) << "a generation that is not published changes nothing";
  third->settle(Instant{7});
  EXPECT_EQ(state.weight, 3);
}

TEST(Generation, disabled_in_the_text_means_maintenance_and_its_change_is_followed) {
  auto text = config_of({server("a", 1, true)});
  text.proxies[1].servers[0].disabled = true;
  const auto first = Generation::create(text, 1, Instant{5}, nullptr);
  const ServerState& state = *first->find_server("web", "a")->state;
  EXPECT_TRUE(state.maintenance);
  EXPECT_FALSE(first->proxies[1].backend->up);
  text.proxies[1].servers[0].disabled = false;
  const auto second = Generation::create(text, 1, Instant{6}, first.get());
  second->settle(Instant{6});
  EXPECT_FALSE(state.maintenance);
  EXPECT_TRUE(second->proxies[1].backend->up);
}

TEST(Generation, a_server_whose_checks_are_gone_is_up) {
  const auto first = Generation::create(config_of({server("a", 1, true)}), 1, Instant{5}, nullptr);
  ServerState& state = *first->find_server("web", "a")->state;
  state.up = false;
  state.changed_at = 5;
  const auto second = Generation::create(config_of({server("a", 1)}), 1, Instant{9}, first.get());
  second->settle(Instant{9});
  EXPECT_TRUE(state.up);
  EXPECT_EQ(state.down_total_ns, 4);
  EXPECT_EQ(state.check_status, CheckStatus::kUnknown);
}

TEST(Backend, goes_down_with_its_last_server_and_tells_the_workers) {
  const auto g = Generation::create(config_of({server("a", 1), server("b", 2)}), 1,
                                    Instant{1 * kSecond}, nullptr);
  const Proxy& proxy = g->proxies[1];
  const auto version = proxy.backend->generation.load();
  g->find_server("web", "a")->state->up = false;
  EXPECT_EQ(refresh_backend(proxy, Instant{2 * kSecond}), BackendChange::kNone);
  g->find_server("web", "b")->state->maintenance = true;
  EXPECT_EQ(refresh_backend(proxy, Instant{3 * kSecond}), BackendChange::kWentDown);
  EXPECT_EQ(proxy.backend->downs, 1u);
  g->find_server("web", "a")->state->up = true;
  EXPECT_EQ(refresh_backend(proxy, Instant{5 * kSecond}), BackendChange::kCameUp);
  EXPECT_EQ(proxy.backend->down_total_ns, 2 * kSecond);
  EXPECT_EQ(proxy.backend->generation, version + 3);
}

TEST(Rate, counts_this_second_and_weighs_the_last_one) {
  Rate rate;
  for (int i = 0; i < 10; ++i) rate.count(Instant{100 * kSecond});
  EXPECT_EQ(rate.per_second(Instant{100 * kSecond + kSecond / 2}), 10u);
  EXPECT_EQ(rate.per_second(Instant{101 * kSecond}), 10u);
  EXPECT_EQ(rate.per_second(Instant{101 * kSecond + kSecond / 2}), 5u);
  rate.count(Instant{101 * kSecond + kSecond / 2});
  EXPECT_EQ(rate.per_second(Instant{101 * kSecond + kSecond / 2}), 6u);
  EXPECT_EQ(rate.per_second(Instant{103 * kSecond}), 0u);
  EXPECT_EQ(rate.max(), 10u);
}

TEST(Rate, a_thread_behind_the_others_counts_into_their_second) {
  Rate rate;
  rate.count(Instant{7 * kSecond});
  rate.count(Instant{7 * kSecond - 1});
  EXPECT_EQ(rate.per_second(Instant{7 * kSecond}), 2u);
}

}  // namespace
}  // namespace nines::proxy

// Selection against naive versions of each algorithm, and the promises that hold whatever dies and
// returns: shares, stickiness, backups.
#include "proxy/balance.h"

#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace nines::proxy {
namespace {

struct Fixture {
  explicit Fixture(BalanceAlgorithm algorithm, std::vector<int> weights, std::set<int> backups = {},
                   bool all_backups = false, std::vector<int> maxconn = {}) {
    Config config;
    ProxyConfig proxy;
    proxy.name = "be";
    proxy.backend = true;
    proxy.balance = algorithm;
    proxy.all_backups = all_backups;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      ServerConfig server;
      server.name = "s" + std::to_string(i + 1);
      server.address = SocketAddress::ipv4({127, 0, 0, 1}, static_cast<std::uint16_t>(1000 + i));
      server.weight = weights[i];
      server.backup = backups.contains(static_cast<int>(i));
      if (i < maxconn.size()) server.maxconn = maxconn[i];
      proxy.servers.push_back(server);
    }
    config.proxies.push_back(proxy);
    generation = Generation::create(config, 4, Instant{1}, nullptr);
  }

  const Proxy& proxy() const { return generation->proxies[0]; }
  ServerState& state(int server) const {
    return *proxy().servers[static_cast<std::size_t>(server)].state;
  }
  void changed() const { refresh_backend(proxy(), Instant{2}); }
  void set_up(int server, bool up) const {
    state(server).up = up;
    changed();
  }

  std::shared_ptr<const Generation> generation;
};

SocketAddress client(std::uint32_t number, std::uint16_t port = 0) {
  return SocketAddress::ipv4(
      {10, static_cast<std::uint8_t>(number >> 16), static_cast<std::uint8_t>(number >> 8),
       static_cast<std::uint8_t>(number)},
      port);
}

std::string picks(Balancer& balancer, int count, PickInput input = {}) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    const Pick pick = balancer.pick(input);
    text += pick ? std::to_string(*pick + 1) : "-";
  }
  return text;
}

TEST(RoundRobin, equal_servers_take_turns_in_the_order_of_the_text) {
  Fixture f(BalanceAlgorithm::kRoundRobin, {1, 1, 1});
  Balancer balancer(f.proxy());
  EXPECT_EQ(picks(balancer, 7), "1231231");
}

TEST(RoundRobin, a_heavy_server_is_spread_over_the_rotation) {
  Fixture f(BalanceAlgorithm::kRoundRobin, {5, 1, 1});
  Balancer balancer(f.proxy());
  EXPECT_EQ(picks(balancer, 7), "1211131");
}

TEST(RoundRobin, shares_are_exact_over_each_rotation_whatever_the_weights) {
  base::Rng rng(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<int> weights(1 + rng.below(12));
    for (int& weight : weights) weight = static_cast<int>(rng.below(257));
    Fixture f(BalanceAlgorithm::kRoundRobin, weights);
    int divisor = 0;
    for (const int weight : weights) divisor = std::gcd(divisor, weight);
    Balancer balancer(f.proxy());
    if (divisor == 0) {
      EXPECT_EQ(balancer.pick({}).outcome, Pick::Outcome::kNoServer);
      continue;
    }
    const int rotation = std::accumulate(weights.begin(), weights.end(), 0) / divisor;
    std::vector<int> taken(weights.size());
    for (int i = 0; i < 2 * rotation; ++i) ++taken[static_cast<std::size_t>(*balancer.pick({}))];
    for (std::size_t i = 0; i < weights.size(); ++i) {
      EXPECT_EQ(taken[i], 2 * weights[i] / divisor) << "server " << i << " round " << round;
    }
  }
}

TEST(RoundRobin, no_server_waits_longer_than_about_twice_its_fair_distance) {
  base::Rng rng(2);
  for (int round = 0; round < 100; ++round) {
    std::vector<int> weights(2 + rng.below(6));
    for (int& weight : weights) weight = 1 + static_cast<int>(rng.below(20));
    Fixture f(BalanceAlgorithm::kRoundRobin, weights);
    const int total = std::accumulate(weights.begin(), weights.end(), 0);
    Balancer balancer(f.proxy());
    std::vector<int> last(weights.size(), -1);
    for (int i = 0; i < 3 * total; ++i) {
      const auto server = static_cast<std::size_t>(*balancer.pick({}));
      if (last[server] >= 0) {
        const double fair = static_cast<double>(total) / weights[server];
        EXPECT_LE(i - last[server], 2 * fair + static_cast<double>(weights.size()));
      }
      last[server] = i;
    }
  }
}

TEST(RoundRobin, shares_stay_exact_across_workers) {
  Fixture f(BalanceAlgorithm::kRoundRobin, {3, 1});
  Balancer first(f.proxy()), second(f.proxy()), third(f.proxy());
  base::Rng rng(3);
  std::map<int, int> taken;
  for (int i = 0; i < 400; ++i) {
    Balancer* const workers[] = {&first, &second, &third};
    ++taken[*workers[rng.below(3)]->pick({})];
  }
  EXPECT_EQ(taken[0], 300);
  EXPECT_EQ(taken[1], 100);
}

TEST(RoundRobin, a_death_and_a_return_are_seen_by_the_next_pick) {
  Fixture f(BalanceAlgorithm::kRoundRobin, {1, 1, 1});
  Balancer balancer(f.proxy());
  EXPECT_EQ(picks(balancer, 3), "123");
  f.set_up(1, false);
  EXPECT_EQ(picks(balancer, 4).find('2'), std::string::npos);
  f.set_up(1, true);
  EXPECT_NE(picks(balancer, 3).find('2'), std::string::npos);
}

TEST(RoundRobin, the_load_of_a_full_server_is_shared_out_in_proportion) {
  Fixture f(BalanceAlgorithm::kRoundRobin, {1, 1, 1}, {}, false, {1, 0, 0});
  f.state(0).sessions.add(1);
  Balancer balancer(f.proxy());
  std::map<int, int> taken;
  for (int i = 0; i < 300; ++i) ++taken[*balancer.pick({})];
  EXPECT_EQ(taken[0], 0);
  EXPECT_EQ(taken[1], 150);
  EXPECT_EQ(taken[2], 150);
}

TEST(RoundRobin, one_light_server_is_found_behind_a_long_row_of_a_full_one) {
  Fixture f(BalanceAlgorithm::kRoundRobin, {256, 1, 3}, {}, false, {1, 0, 0});
  f.state(0).sessions.add(1);
  Balancer balancer(f.proxy());
  std::map<int, int> taken;
  for (int i = 0; i < 4000; ++i) ++taken[*balancer.pick({})];
  EXPECT_EQ(taken[0], 0);
  EXPECT_NEAR(taken[1], 1000, 150);
  EXPECT_NEAR(taken[2], 3000, 150);
}

TEST(RoundRobin, more_servers_than_a_rotation_can_hold_still_all_get_work) {
  std::vector<int> weights(700);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 255 - static_cast<int>(i % 2);
  Fixture f(BalanceAlgorithm::kRoundRobin, weights);
  Balancer balancer(f.proxy());
  std::set<int> seen;
  for (int i = 0; i < 65536; ++i) seen.insert(*balancer.pick({}));
  EXPECT_EQ(seen.size(), weights.size());
}

TEST(Selection, all_full_and_none_usable_are_told_apart) {
  for (const auto algorithm :
       {BalanceAlgorithm::kRoundRobin, BalanceAlgorithm::kLeastConn, BalanceAlgorithm::kFirst}) {
    Fixture f(algorithm, {1, 1}, {}, false, {2, 2});
    Balancer balancer(f.proxy());
    for (int i = 0; i < 2; ++i) {
      f.state(i).sessions.add(2);
    }
    EXPECT_EQ(balancer.pick({}).outcome, Pick::Outcome::kAllFull);
    f.set_up(0, false);
    EXPECT_EQ(balancer.pick({}).outcome, Pick::Outcome::kAllFull);
    f.set_up(1, false);
    EXPECT_EQ(balancer.pick({}).outcome, Pick::Outcome::kNoServer);
  }
}

TEST(Selection, whoever_waits_for_a_slot_is_not_overtaken) {
  Fixture f(BalanceAlgorithm::kFirst, {1, 1}, {}, false, {2, 2});
  Balancer balancer(f.proxy());
  f.state(0).queued.add(1);
  EXPECT_EQ(*balancer.pick({}), 1);
}

TEST(Selection, drained_disabled_and_weightless_servers_get_nothing) {
  for (const auto algorithm : {BalanceAlgorithm::kRoundRobin, BalanceAlgorithm::kLeastConn,
                               BalanceAlgorithm::kFirst, BalanceAlgorithm::kSource}) {
    Fixture f(algorithm, {1, 1, 1, 1});
    Balancer balancer(f.proxy());
    f.state(0).draining = true;
    f.state(1).maintenance = true;
    f.state(2).weight = 0;
    f.changed();
    const SocketAddress address = client(7);
    EXPECT_EQ(picks(balancer, 5, {&address, {}}), "44444");
  }
}

TEST(Selection, a_suspect_is_passed_over_while_another_of_its_class_is_left) {
  for (const auto algorithm : {BalanceAlgorithm::kRoundRobin, BalanceAlgorithm::kLeastConn,
                               BalanceAlgorithm::kFirst, BalanceAlgorithm::kSource}) {
    Fixture f(algorithm, {1, 1, 1}, {2});
    Balancer balancer(f.proxy());
    const SocketAddress address = client(7);
    f.state(0).suspect = true;
    EXPECT_EQ(picks(balancer, 4, {&address, {}}), "2222");
    f.state(1).suspect = true;  // both: the class stays, the backup is not asked
    EXPECT_EQ(picks(balancer, 8, {&address, {}}).find('3'), std::string::npos);
  }
}

TEST(Selection, what_was_tried_comes_last_even_after_suspects) {
  for (const auto algorithm : {BalanceAlgorithm::kRoundRobin, BalanceAlgorithm::kLeastConn,
                               BalanceAlgorithm::kFirst, BalanceAlgorithm::kSource}) {
    Fixture f(algorithm, {1, 1, 1});
    Balancer balancer(f.proxy());
    const SocketAddress address = client(7);
    const std::vector<int> tried = {0, 2};
    EXPECT_EQ(picks(balancer, 3, {&address, tried}), "222");
    f.state(1).suspect = true;
    EXPECT_EQ(picks(balancer, 3, {&address, tried}), "222");
    f.set_up(1, false);
    EXPECT_TRUE(balancer.pick({&address, tried}));
  }
}

TEST(Backup, only_the_first_usable_one_serves_and_only_without_actives) {
  for (const auto algorithm : {BalanceAlgorithm::kRoundRobin, BalanceAlgorithm::kLeastConn,
                               BalanceAlgorithm::kFirst, BalanceAlgorithm::kSource}) {
    Fixture f(algorithm, {1, 1, 1}, {1, 2});
    Balancer balancer(f.proxy());
    const SocketAddress address = client(7);
    EXPECT_EQ(picks(balancer, 3, {&address, {}}), "111");
    f.set_up(0, false);
    EXPECT_EQ(picks(balancer, 3, {&address, {}}), "222");
    f.set_up(1, false);
    EXPECT_EQ(picks(balancer, 3, {&address, {}}), "333");
    f.set_up(2, false);
    EXPECT_EQ(picks(balancer, 3, {&address, {}}), "---");
    f.set_up(0, true);
    EXPECT_EQ(picks(balancer, 3, {&address, {}}), "111");
  }
}

TEST(Backup, allbackups_share_the_load) {
  Fixture f(BalanceAlgorithm::kRoundRobin, {1, 1, 1}, {1, 2}, true);
  Balancer balancer(f.proxy());
  f.set_up(0, false);
  EXPECT_EQ(picks(balancer, 4), "2323");
}

TEST(First, the_first_with_a_free_slot) {
  Fixture f(BalanceAlgorithm::kFirst, {1, 1, 1}, {}, false, {2, 1, 0});
  Balancer balancer(f.proxy());
  std::string taken;
  for (int i = 0; i < 5; ++i) {
    const Pick pick = balancer.pick({});
    f.state(*pick).sessions.add(1);
    taken += std::to_string(*pick + 1);
  }
  EXPECT_EQ(taken, "11233");
}

TEST(LeastConn, agrees_with_the_naive_choice_whatever_the_loads) {
  base::Rng rng(4);
  for (int round = 0; round < 500; ++round) {
    std::vector<int> weights(1 + rng.below(8));
    for (int& weight : weights) weight = 1 + static_cast<int>(rng.below(256));
    Fixture f(BalanceAlgorithm::kLeastConn, weights);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      f.state(static_cast<int>(i)).sessions.add(static_cast<std::int64_t>(rng.below(50)));
    }
    Balancer balancer(f.proxy());
    const int chosen = *balancer.pick({});
    const auto key = [&](int server) {
      return static_cast<double>(f.state(server).sessions.value()) /
             weights[static_cast<std::size_t>(server)];
    };
    for (int other = 0; other < static_cast<int>(weights.size()); ++other) {
      EXPECT_LE(key(chosen), key(other) + 1e-12);
    }
  }
}

TEST(LeastConn, equals_take_turns) {
  Fixture f(BalanceAlgorithm::kLeastConn, {1, 1, 1});
  Balancer balancer(f.proxy());
  EXPECT_EQ(picks(balancer, 6), "123123");
}

TEST(LeastConn, long_sessions_end_up_in_proportion_to_the_weights) {
  Fixture f(BalanceAlgorithm::kLeastConn, {4, 2, 1});
  Balancer balancer(f.proxy());
  for (int i = 0; i < 700; ++i) f.state(*balancer.pick({})).sessions.add(1);
  EXPECT_NEAR(static_cast<double>(f.state(0).sessions.value()), 400, 2);
  EXPECT_NEAR(static_cast<double>(f.state(1).sessions.value()), 200, 2);
  EXPECT_NEAR(static_cast<double>(f.state(2).sessions.value()), 100, 2);
}

TEST(Source, a_client_stays_while_its_server_lives_and_comes_back_when_it_returns) {
  Fixture f(BalanceAlgorithm::kSource, {1, 1, 1, 1, 1});
  Balancer balancer(f.proxy());
  constexpr std::uint32_t kClients = 500;
  std::vector<int> home(kClients);
  for (std::uint32_t c = 0; c < kClients; ++c) {
    const SocketAddress address = client(c);
    home[c] = *balancer.pick({&address, {}});
  }
  base::Rng rng(5);
  for (int round = 0; round < 100; ++round) {
    bool any = false;
    for (int s = 0; s < 5; ++s) {
      const bool up = rng.chance(0.6);
      f.state(s).up = up;
      any |= up;
    }
    f.changed();
    for (std::uint32_t c = 0; c < kClients; ++c) {
      const SocketAddress address = client(c, static_cast<std::uint16_t>(rng.below(65536)));
      const Pick pick = balancer.pick({&address, {}});
      ASSERT_EQ(pick.has_value(), any);
      if (any && f.state(home[c]).up) {
        EXPECT_EQ(*pick, home[c]);
      }
    }
  }
}

TEST(Source, the_order_of_the_text_and_other_servers_do_not_matter) {
  Fixture three(BalanceAlgorithm::kSource, {1, 1, 1});
  Fixture four(BalanceAlgorithm::kSource, {1, 1, 1, 1});
  Balancer a(three.proxy()), b(four.proxy());
  for (std::uint32_t c = 0; c < 500; ++c) {
    const SocketAddress address = client(c);
    const int after = *b.pick({&address, {}});
    if (after != 3) {
      EXPECT_EQ(*a.pick({&address, {}}), after);
    }
  }
}

TEST(Source, shares_follow_the_weights) {
  Fixture f(BalanceAlgorithm::kSource, {1, 2, 5});
  Balancer balancer(f.proxy());
  std::array<int, 3> taken{};
  constexpr int kClients = 16000;
  for (std::uint32_t c = 0; c < kClients; ++c) {
    const SocketAddress address = client(c);
    ++taken[static_cast<std::size_t>(*balancer.pick({&address, {}}))];
  }
  EXPECT_NEAR(taken[0], kClients / 8, 200);
  EXPECT_NEAR(taken[1], kClients / 4, 250);
  EXPECT_NEAR(taken[2], kClients * 5 / 8, 300);
}

TEST(Source, a_full_server_keeps_its_clients) {
  Fixture f(BalanceAlgorithm::kSource, {1, 1}, {}, false, {1, 1});
  Balancer balancer(f.proxy());
  const SocketAddress address = client(9);
  const int home = *balancer.pick({&address, {}});
  f.state(home).sessions.add(5);
  EXPECT_EQ(*balancer.pick({&address, {}}), home);
}

TEST(Source, a_mapped_ipv4_address_is_the_same_client) {
  Fixture f(BalanceAlgorithm::kSource, {1, 1, 1, 1, 1});
  Balancer balancer(f.proxy());
  for (std::uint8_t c = 0; c < 100; ++c) {
    const SocketAddress plain = SocketAddress::ipv4({10, 0, 0, c}, 1);
    const SocketAddress mapped =
        SocketAddress::ipv6({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, c}, 2);
    EXPECT_EQ(*balancer.pick({&plain, {}}), *balancer.pick({&mapped, {}}));
  }
}

TEST(Source, without_an_address_servers_take_turns) {
  Fixture f(BalanceAlgorithm::kSource, {1, 1, 1});
  Balancer balancer(f.proxy());
  EXPECT_EQ(picks(balancer, 3), "123");
}

}  // namespace
}  // namespace nines::proxy

// The ramp, step by step, on a clock of its own; and the share of sessions that comes of it.
#include "proxy/slow_start.h"

#include <algorithm>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "proxy/balance.h"
#include "proxy/host_shares.h"

namespace nines::proxy {
namespace {

constexpr Instant kBegin{1'000'000'000'000};

struct Scene {
  explicit Scene(BalanceAlgorithm algorithm = BalanceAlgorithm::kRoundRobin, int weight = 10,
                 Duration slowstart = 20s) {
    Config config;
    ProxyConfig proxy;
    proxy.name = "be";
    proxy.backend = true;
    proxy.balance = algorithm;
    for (int i = 1; i <= 2; ++i) {
      ServerConfig server;
      server.name = "s" + std::to_string(i);
      server.address = SocketAddress::ipv4({192, 0, 2, static_cast<std::uint8_t>(i)}, 80);
      server.weight = weight;
      if (i == 2) server.slowstart = slowstart;
      proxy.servers.push_back(server);
    }
    config.proxies.push_back(proxy);
    generation = Generation::create(config, 1, kBegin, nullptr);
    apply(0s);
  }
  ServerState& state() { return *generation->proxies[0].servers[1].state; }
  void apply(Duration at) { shares.apply(*generation, kBegin + at); }
  void goes(bool up, Duration at) {
    apply_change(state(), {.up = up}, kBegin + at);
    apply(at);
  }
  int percent() { return state().share_percent; }
  int share_of_slow(int count) {
    Balancer balancer(generation->proxies[0]);
    int found = 0;
    for (int i = 0; i < count; ++i) found += *balancer.pick({}) == 1 ? 1 : 0;
    return found;
  }

  std::shared_ptr<const Generation> generation;
  HostShares shares;
};

TEST(SlowStart, AServerThatWasDownGetsItsWeightInTwentySteps) {
  Scene scene;
  scene.goes(false, 10s);
  scene.goes(true, 30s);
  EXPECT_EQ(scene.percent(), 1);
  for (int step = 1; step < SlowStart::kSteps; ++step) {
    ASSERT_EQ(scene.shares.deadline(), kBegin + 30s + step * 1s) << step;
    scene.apply(30s + step * 1s);
    EXPECT_EQ(scene.percent(), 5 * step);
  }
  scene.apply(50s);
  EXPECT_EQ(scene.percent(), 100);
  EXPECT_EQ(scene.shares.deadline(), std::nullopt);
}

TEST(SlowStart, StepsOfALongOneAreATwentiethAndOfAShortOneASecond) {
  Scene longer(BalanceAlgorithm::kRoundRobin, 10, 200s);
  longer.goes(false, 1s);
  longer.goes(true, 2s);
  EXPECT_EQ(longer.shares.deadline(), kBegin + 12s);
  Scene shorter(BalanceAlgorithm::kRoundRobin, 10, 1500ms);
  shorter.goes(false, 1s);
  shorter.goes(true, 2s);
  EXPECT_EQ(shorter.shares.deadline(), kBegin + 3s);
  shorter.apply(3s);
  EXPECT_EQ(shorter.percent(), 66);
  EXPECT_EQ(shorter.shares.deadline(), kBegin + 3500ms) << "and not beyond its end";
}

TEST(SlowStart, SessionsFollowTheWeight) {
  for (const int weight : {1, 10}) {
    Scene scene(BalanceAlgorithm::kRoundRobin, weight);
    scene.goes(false, 1s);
    scene.goes(true, 2s);
    scene.apply(12s);  // half of it: a third of all
    EXPECT_NEAR(scene.share_of_slow(3000), 1000, 10) << weight;
    scene.apply(22s);
    EXPECT_NEAR(scene.share_of_slow(3000), 1500, 10) << weight;
  }
}

TEST(SlowStart, NeverAtTheStart) {
  Scene scene;
  EXPECT_EQ(scene.percent(), 100);
  scene.apply(1s);
  EXPECT_EQ(scene.percent(), 100);
  EXPECT_EQ(scene.shares.deadline(), std::nullopt);
}

TEST(SlowStart, WhoGoesDownMeanwhileBeginsAnew) {
  Scene scene;
  scene.goes(false, 1s);
  scene.goes(true, 2s);
  scene.apply(12s);
  EXPECT_EQ(scene.percent(), 50);
  scene.goes(false, 13s);
  EXPECT_EQ(scene.shares.deadline(), std::nullopt);
  scene.goes(true, 14s);
  EXPECT_EQ(scene.percent(), 1);
}

TEST(SlowStart, MaintenanceIsDownAndDrainIsNot) {
  Scene scene;
  apply_change(scene.state(), {.draining = true}, kBegin + 1s);
  scene.apply(1s);
  apply_change(scene.state(), {.draining = false}, kBegin + 2s);
  scene.apply(2s);
  EXPECT_EQ(scene.percent(), 100);
  apply_change(scene.state(), {.maintenance = true}, kBegin + 3s);
  scene.apply(3s);
  apply_change(scene.state(), {.maintenance = false}, kBegin + 4s);
  scene.apply(4s);
  EXPECT_EQ(scene.percent(), 1);
}

TEST(SlowStart, WhereWeightsDoNotMoveNothingIsSlow) {
  for (const auto algorithm : {BalanceAlgorithm::kSource, BalanceAlgorithm::kFirst}) {
    Scene scene(algorithm);
    scene.goes(false, 1s);
    scene.goes(true, 2s);
    EXPECT_EQ(scene.percent(), 100);
  }
}

TEST(SlowStart, AReturningHostAndASlowServerTakeTheSmallerShare) {
  Scene scene;
  using Kind = node::HostShare::Kind;
  const auto tell = [&](Kind kind, Duration at) {
    scene.shares.set({.kind = kind, .addresses = {SocketAddress::ipv4({192, 0, 2, 2}, 0)}},
                     kBegin + at);
    scene.apply(at);
  };
  scene.goes(false, 1s);
  tell(Kind::kGone, 1s);
  tell(Kind::kSlowly, 5s);
  scene.goes(true, 8s);  // its own check comes later than its host
  EXPECT_EQ(scene.percent(), 1) << "the host's share is 40";
  scene.apply(18s);
  EXPECT_EQ(scene.percent(), 50) << "the host has all of its share";
  EXPECT_EQ(scene.shares.deadline(), kBegin + 19s);
}

}  // namespace
}  // namespace nines::proxy

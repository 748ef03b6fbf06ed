// Hosts that are doubted, die and return, as their servers' backends see it.
#include "proxy/host_shares.h"

#include <algorithm>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "proxy/balance.h"

namespace nines::proxy {
namespace {

using Kind = node::HostShare::Kind;

constexpr Instant kBegin{1'000'000'000'000};

SocketAddress host(int number) {
  return SocketAddress::ipv4({192, 0, 2, static_cast<std::uint8_t>(40 + number)}, 8774);
}

struct Scene {
  // Servers on hosts 1, 2, 3; the last `backups` of them are backups.
  explicit Scene(int backups = 0, BalanceAlgorithm algorithm = BalanceAlgorithm::kRoundRobin,
                 int weight = 1) {
    Config config;
    ProxyConfig proxy;
    proxy.name = "be";
    proxy.backend = true;
    proxy.balance = algorithm;
    for (int i = 1; i <= 3; ++i) {
      ServerConfig server;
      server.name = "s" + std::to_string(i);
      server.address = host(i);
      server.weight = weight;
      server.backup = i > 3 - backups;
      proxy.servers.push_back(server);
    }
    config.proxies.push_back(proxy);
    generation = Generation::create(config, 1, kBegin, nullptr);
  }
  void set(Kind kind, int number, Duration at = {}) {
    shares.set({.kind = kind, .addresses = {host(number).with_port(0)}}, kBegin + at);
    shares.apply(*generation, kBegin + at);
  }
  std::string picks(int count) {
    std::string text;
    for (int i = 0; i < count; ++i) {
      const Pick pick = balancer().pick({});
      text += pick ? std::to_string(*pick + 1) : "-";
    }
    return text;
  }
  int share_of(char server, int count) {
    const std::string all = picks(count);
    return static_cast<int>(std::count(all.begin(), all.end(), server));
  }
  Balancer& balancer() {
    if (!balancer_) balancer_.emplace(generation->proxies[0]);
    return *balancer_;
  }

  std::shared_ptr<const Generation> generation;
  HostShares shares;
  std::optional<Balancer> balancer_;
};

TEST(HostShares, WhoIsNotHeardGetsNothingNew) {
  Scene scene;
  scene.set(Kind::kNone, 2);
  EXPECT_EQ(scene.share_of('2', 30), 0);
  scene.set(Kind::kAll, 2);
  EXPECT_EQ(scene.share_of('2', 30), 10);
  EXPECT_EQ(scene.shares.deadline(), std::nullopt);
}

TEST(HostShares, ADoubtMovesNoWriterAndADeathDoes) {
  Scene scene(2);  // one active, two backups, as for a database
  scene.set(Kind::kNone, 1);
  EXPECT_EQ(scene.picks(3), "111");
  scene.set(Kind::kGone, 1);
  EXPECT_EQ(scene.picks(3), "222");
  scene.set(Kind::kAll, 1);
  EXPECT_EQ(scene.picks(3), "111");
}

TEST(HostShares, WhereNobodyElseIsLeftTheDeadAreAsked) {
  Scene scene;
  for (const int number : {1, 2, 3}) scene.set(Kind::kGone, number);
  EXPECT_NE(scene.picks(3).find_first_of("123"), std::string::npos);
  EXPECT_EQ(scene.picks(3).find('-'), std::string::npos);
}

TEST(HostShares, WhoReturnsGetsItsShareStepByStep) {
  for (const auto algorithm : {BalanceAlgorithm::kRoundRobin, BalanceAlgorithm::kSource}) {
    for (const int weight : {1, 10}) {
      Scene scene(0, algorithm, weight);
      scene.set(Kind::kGone, 3);
      scene.set(Kind::kSlowly, 3, 1s);
      int before = 0;
      for (int step = 1; step <= HostShares::kSteps; ++step) {
        const int share = scene.share_of('3', 2100);
        // Of the whole: step of 10 against 10 and 10.
        EXPECT_NEAR(share, 2100 * step / (20 + step), 2) << step;
        EXPECT_GT(share, before);
        before = share;
        if (step == HostShares::kSteps) break;
        ASSERT_EQ(scene.shares.deadline(), kBegin + 1s + HostShares::kStepEvery * step);
        scene.shares.apply(*scene.generation, *scene.shares.deadline());
      }
      EXPECT_EQ(scene.shares.deadline(), std::nullopt);
      EXPECT_EQ(scene.share_of('3', 30), 10);
    }
  }
}

TEST(HostShares, ANewGenerationIsToldAnew) {
  Scene scene;
  scene.set(Kind::kGone, 2);
  Scene next;  // as after a reload that renamed everything
  scene.shares.apply(*next.generation, kBegin + 1s);
  EXPECT_EQ(next.share_of('2', 30), 0);
}

TEST(HostShares, OtherHostsAndOtherPortsOfTheHost) {
  Scene scene;
  scene.set(Kind::kGone, 7);
  EXPECT_EQ(scene.share_of('2', 30), 10);
  // The address alone counts.
  scene.shares.set({.kind = Kind::kGone, .addresses = {host(2).with_port(1)}}, kBegin);
  scene.shares.apply(*scene.generation, kBegin);
  EXPECT_EQ(scene.share_of('2', 30), 0);
}

}  // namespace
}  // namespace nines::proxy

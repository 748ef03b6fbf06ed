// The real proxy worker while its servers die, stop, vanish and come back: what clients may see,
// and what must never happen, over many seeds.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "proxy_world.h"
#include "sim/for_each_seed.h"

namespace nines::scenarios {
namespace {

using sim::Ending;
using sim::Host;
using sim::Process;
using sim::World;

constexpr std::string_view kConfig = R"(defaults
  mode http
  timeout connect 500ms
  timeout client 10s
  timeout server 2s
  timeout http-request 5s
  retries 3
  option redispatch
listen api
  bind 10.0.0.10:80
  balance roundrobin
  server one 10.0.0.1:8080
  server two 10.0.0.2:8080
)";

struct Cloud {
  explicit Cloud(World& in)
      : world(in),
        outside(in.add_host("outside", {"10.0.0.99"})),
        balancer_host(in.add_host("balancer", {"10.0.0.10"})),
        one(in.add_host("one", {"10.0.0.1"})),
        two(in.add_host("two", {"10.0.0.2"})),
        users(outside.start("users")),
        proxy(balancer_host.start("proxy")),
        balancer(proxy.make<Balancer>(proxy, std::string(kConfig))) {
    start_web(one);
    start_web(two);
    for (const char* const name : {"ann", "bob", "cleo", "dan"}) {
      clients.push_back(&users.make<WebClient>(users, balancer_host.address(80), name, kRequests));
    }
  }
  Process& start_web(Host& host) {
    Process& web = host.start("web");
    web.make<WebService>(web, host.address(8080), executions, world.rng(), WebService::Options());
    return web;
  }
  Process& web_of(Host& host) { return *host.living().back(); }
  bool run_to_the_end(Duration limit) {
    return world.run_until(
        [&] {
          for (const WebClient* client : clients) {
            if (!client->done()) return false;
          }
          return true;
        },
        limit);
  }
  // Whatever happened: what is not idempotent ran once at most, and nobody waited for ever.
  void check_safety(Duration latency_max = 12s) const {
    for (const WebClient* client : clients) {
      for (const Outcome& outcome : client->outcomes()) {
        const auto found = executions.count.find(outcome.path);
        const int executed = found == executions.count.end() ? 0 : found->second;
        if (outcome.method == "POST") {
          EXPECT_LE(executed, 1) << outcome.path;
        }
        if (outcome.status == 200 && outcome.complete) {
          EXPECT_GE(executed, 1) << outcome.path;
        }
        EXPECT_LT(outcome.took, latency_max) << outcome.path;
      }
    }
  }
  // An idempotent request is lost only if its answer had begun.
  void check_no_get_lost() const {
    for (const WebClient* client : clients) {
      for (const Outcome& outcome : client->outcomes()) {
        if (outcome.method == "GET") {
          EXPECT_EQ(outcome.status, 200) << outcome.path;
        }
      }
    }
  }

  static constexpr int kRequests = 60;
  World& world;
  Host& outside;
  Host& balancer_host;
  Host& one;
  Host& two;
  Process& users;
  Process& proxy;
  Executions executions;
  Balancer& balancer;
  std::vector<WebClient*> clients;
};

Duration some_time(World& world, std::int64_t limit_ns = 150'000'000) {
  return Duration(
      static_cast<std::int64_t>(world.rng().below(static_cast<std::uint64_t>(limit_ns))));
}

TEST(ProxyFaults, WithoutAFaultEveryRequestIsAnsweredOnce) {
  sim::for_each_seed(5, [](std::uint64_t, World& world) {
    Cloud cloud(world);
    ASSERT_TRUE(cloud.run_to_the_end(60s));
    cloud.check_safety();
    for (const WebClient* client : cloud.clients) {
      for (const Outcome& outcome : client->outcomes()) {
        EXPECT_EQ(outcome.status, 200);
        EXPECT_TRUE(outcome.complete);
        EXPECT_EQ(cloud.executions.count[outcome.path], 1);
      }
    }
  });
}

TEST(ProxyFaults, AServerThatDiesAndReturnsCostsNoGet) {
  sim::for_each_seed(60, [](std::uint64_t, World& world) {
    Cloud cloud(world);
    const Ending ending = world.rng().chance(0.5) ? Ending::kReset : Ending::kLikeLinux;
    const Duration dies = some_time(world);
    world.after(dies, [&, ending] { cloud.web_of(cloud.two).kill(ending); });
    world.after(dies + some_time(world), [&] { cloud.start_web(cloud.two); });
    ASSERT_TRUE(cloud.run_to_the_end(120s));
    cloud.check_safety();
    cloud.check_no_get_lost();
  });
}

TEST(ProxyFaults, AServerInABlackHoleDelaysButNobodyHangs) {
  sim::for_each_seed(30, [](std::uint64_t, World& world) {
    Cloud cloud(world);
    const bool one_way = world.rng().chance(0.5);
    world.after(some_time(world), [&, one_way] {
      world.cut(cloud.two, cloud.balancer_host);
      if (!one_way) world.cut(cloud.balancer_host, cloud.two);
    });
    world.after(8s, [&] { world.heal_all(); });
    ASSERT_TRUE(cloud.run_to_the_end(600s));
    cloud.check_safety();
  });
}

TEST(ProxyFaults, AStoppedServerThatGoesOnExecutesNothingTwice) {
  sim::for_each_seed(30, [](std::uint64_t, World& world) {
    Cloud cloud(world);
    const Duration stops = some_time(world);
    world.after(stops, [&] { cloud.two.pause(); });
    world.after(stops + 5s, [&] { cloud.two.resume(); });
    ASSERT_TRUE(cloud.run_to_the_end(600s));
    cloud.check_safety();
  });
}

TEST(ProxyFaults, PowerCutsAndABadNetworkTogether) {
  sim::for_each_seed(30, [](std::uint64_t, World& world) {
    sim::Link bad;
    bad.latency_max = 2ms;
    bad.loss = 0.01;
    world.set_default_link(bad);
    Cloud cloud(world);
    world.after(some_time(world, 1'000'000'000), [&] { cloud.two.power_cut(); });
    world.after(4s, [&] {
      cloud.two.power_on();
      cloud.start_web(cloud.two);
    });
    ASSERT_TRUE(cloud.run_to_the_end(900s));
    cloud.check_safety(WebClient::kPatience + 1s);  // of the proxy's resets some are lost
  });
}

TEST(ProxyFaults, TheProxyItselfMayDieAndStartAgain) {
  sim::for_each_seed(20, [](std::uint64_t, World& world) {
    Cloud cloud(world);
    world.after(some_time(world), [&] {
      cloud.proxy.kill();
      Process& next = cloud.balancer_host.start("proxy");
      next.make<Balancer>(next, std::string(kConfig));
    });
    ASSERT_TRUE(cloud.run_to_the_end(120s));
    cloud.check_safety();
  });
}

}  // namespace
}  // namespace nines::scenarios

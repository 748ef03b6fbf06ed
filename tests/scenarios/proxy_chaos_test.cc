// All faults and all traffic at once, by chance: whatever happens, nothing is sent twice that must
// not be, nothing looks whole that is not, and in the end everybody is served and nothing is left.
// NINES_SIM_SEEDS=n runs n schedules instead of the ordinary number.
#include <gtest/gtest.h>

#include "proxy_world.h"

namespace nines::scenarios {
namespace {

std::string configuration(base::Rng& rng, int servers) {
  std::string text = R"(
defaults
  mode http
  timeout connect 2s
  timeout client 8s
  timeout server 8s
  timeout queue 5s
  timeout check 1s
  timeout http-request 5s
  timeout http-keep-alive 3s
  retries 3
)";
  if (rng.chance(0.8)) text += "  option redispatch\n";
  if (rng.chance(0.1)) text += "  option http-server-close\n";
  const char* const balance[] = {"roundrobin", "leastconn", "first", "source"};
  const bool split = rng.chance(0.5);
  if (split) {
    text += "frontend " + std::string(rng.chance(0.2) ? "other" : "api") + "\n";
  } else {
    text += "listen pool\n";
  }
  text += "  bind %front:8080\n";
  if (rng.chance(0.2)) text += "  maxconn " + std::to_string(3 + rng.below(10)) + "\n";
  if (split) text += "  default_backend pool\nbackend pool\n";
  text += std::string("  balance ") + balance[rng.below(4)] + "\n";
  const bool narrow = rng.chance(0.4);
  const bool checked = rng.chance(0.8);
  const std::uint64_t backup = rng.below(6);
  const std::uint64_t left_out = rng.below(5);
  for (int i = 1; i <= servers; ++i) {
    if (left_out == static_cast<std::uint64_t>(i)) continue;
    const std::string name = "s" + std::to_string(i);
    text += "  server " + name + " %" + name;
    if (checked) text += " check inter 1000 rise 2 fall 3";
    if (narrow) text += " maxconn " + std::to_string(1 + rng.below(3));
    if (backup == static_cast<std::uint64_t>(i)) text += " backup";
    if (rng.chance(0.1)) text += " on-marked-down shutdown-sessions";
    text += "\n";
  }
  return text;
}

Ask any_ask(ProxyWorld& proxy, base::Rng& rng) {
  Ask ask = proxy.ask();
  const char* const methods[] = {"GET", "GET", "GET", "HEAD", "PUT", "POST", "POST", "DELETE"};
  ask.method = methods[rng.below(8)];
  if (ask.method == "POST" || ask.method == "PUT") {
    ask.upload = rng.chance(0.3) ? rng.below(150000) : rng.below(500);
    ask.upload_chunked = rng.chance(0.5);
  }
  ask.size = rng.chance(0.2) ? rng.below(150000) : rng.below(500);
  ask.framing = rng.chance(0.1) ? Ask::Framing::kClose : static_cast<Ask::Framing>(rng.below(2));
  ask.delay_ms = static_cast<int>(rng.below(15));
  ask.interims = rng.chance(0.1) ? 2 : 0;
  ask.dies_before = rng.chance(0.05) ? 1 : 0;
  ask.dies_in_middle = rng.chance(0.05) ? 1 : 0;
  ask.server_closes = rng.chance(0.1);
  ask.client_closes = rng.chance(0.1);
  ask.http10 = rng.chance(0.05) && !ask.upload_chunked;
  return ask;
}

class Chaos {
 public:
  static constexpr int kServers = 3;
  static constexpr Duration kTime = 2s;      // of faults
  static constexpr Duration kRecovery = 6s;  // until checks have seen all servers up

  explicit Chaos(sim::World& world)
      : world_(world),
        rng_(world.rng().next()),
        workers_(1 + static_cast<int>(rng_.below(2))),
        proxy_(world, {.servers = kServers, .workers = workers_}) {
    if (rng_.chance(0.5)) {
      world.set_default_link({.latency_min = 50us,
                              .latency_max = std::chrono::microseconds(100 + rng_.below(3000)),
                              .loss = rng_.chance(0.5) ? 0.005 : 0.0});
    }
    if (rng_.chance(0.3)) proxy_.front().set_buffers(16 << 10, 16 << 10);
    if (rng_.chance(0.3)) proxy_.clients_host().set_buffers(8 << 10, 8 << 10);
    for (int i = 1; i <= kServers; ++i) {
      if (rng_.chance(0.3)) proxy_.server_host(i).set_buffers(16 << 10, 16 << 10);
    }
    proxy_.load(configuration(rng_, kServers));
    add_clients();
    plan_faults();
  }

  void run() {
    EXPECT_TRUE(world_.run_until([&] { return proxy_.clients_done(); }, 400s)) << proxy_.pending();
    // What is not idempotent was held to its rule at each arrival; this is liveness after healing.
    world_.run_for(kRecovery);
    WebClient& last = proxy_.add_client({.asks_again = true});
    for (int i = 0; i < 3; ++i) last.ask(proxy_.ask());
    EXPECT_TRUE(world_.run_until([&] { return last.done(); }, 100s)) << proxy_.pending();
    for (const Answer& answer : last.answers()) {
      EXPECT_TRUE(answer.outcome == Outcome::kWhole || answer.outcome == Outcome::kUntouched)
          << "status " << answer.status;
    }
    proxy_.expect_quiet(120s);
  }

 private:
  void add_clients() {
    const int count = 3 + static_cast<int>(rng_.below(8));
    for (int i = 0; i < count; ++i) {
      WebClient& client = proxy_.add_client(
          {.pipeline = rng_.chance(0.3) ? 4 : 1,
           .read_pause = rng_.chance(0.15) ? 5ms : 0ms,
           .think = std::chrono::milliseconds(rng_.below(80)),
           .upload_pause = rng_.chance(0.2) ? 3ms : 0ms,
           .one_connection_each = rng_.chance(0.2)},
          8080, static_cast<int>(rng_.below(static_cast<std::uint64_t>(workers_))));
      const int asks = 5 + static_cast<int>(rng_.below(20));
      for (int n = 0; n < asks; ++n) client.ask(any_ask(proxy_, rng_));
      if (rng_.chance(0.1)) {
        world_.after(some_time(), [&client] { client.hang_up(client.connections() % 2 == 0); });
      }
    }
  }

  Duration some_time() {
    return std::chrono::microseconds(
        rng_.below(static_cast<std::uint64_t>(kTime / std::chrono::microseconds(1))));
  }

  void plan_faults() {
    const int count = 2 + static_cast<int>(rng_.below(10));
    for (int i = 0; i < count; ++i) {
      const int number = 1 + static_cast<int>(rng_.below(kServers));
      switch (rng_.below(9)) {
        case 0:
        case 1:
          world_.after(some_time(), [this, number] { kill(number); });
          break;
        case 2:
        case 3:
          world_.after(some_time(), [this, number] { start(number); });
          break;
        case 4:
          world_.after(some_time(), [this, number] { proxy_.server_process(number).pause(); });
          world_.after(some_time(), [this, number] { proxy_.server_process(number).resume(); });
          break;
        case 5:
          world_.after(some_time(), [this, number, both = rng_.chance(0.5)] {
            world_.cut(proxy_.front(), proxy_.server_host(number));
            if (both) world_.cut(proxy_.server_host(number), proxy_.front());
          });
          break;
        case 6:
          world_.after(some_time(), [this] { proxy_.load(configuration(rng_, kServers)); });
          break;
        case 7:
          world_.after(some_time(), [this, number, state = rng_.below(3)] {
            proxy_.set_state("pool", "s" + std::to_string(number),
                             static_cast<proxy::AdminState>(state));
          });
          break;
        case 8:
          if (rng_.chance(0.5)) {
            world_.after(some_time(), [this, number] { power_cut(number); });
          } else {
            world_.after(some_time(), [this, number] {
              if (proxy_.server_process(number).alive()) proxy_.server(number).close_idle();
            });
          }
          break;
      }
    }
    world_.after(kTime, [this] { heal(); });
  }

  void kill(int number) {
    if (!proxy_.server_process(number).alive()) return;
    proxy_.kill_server(number, rng_.chance(0.5) ? sim::Ending::kReset : sim::Ending::kLikeLinux);
  }
  void start(int number) {
    proxy_.server_host(number).power_on();
    if (!proxy_.server_process(number).alive()) proxy_.start_server(number);
  }
  void power_cut(int number) { proxy_.server_host(number).power_cut(); }
  void heal() {
    world_.heal_all();
    for (int i = 1; i <= kServers; ++i) {
      proxy_.server_process(i).resume();
      start(i);
      proxy_.set_state("pool", "s" + std::to_string(i), proxy::AdminState::kReady);
    }
  }

  sim::World& world_;
  base::Rng rng_;
  int workers_;
  ProxyWorld proxy_;
};

TEST(ProxyChaos, whatever_happens_nothing_is_sent_twice_cut_unseen_or_left_behind) {
  sim::for_each_seed(300, [](std::uint64_t, sim::World& world) {
    Chaos chaos(world);
    chaos.run();
  });
}

}  // namespace
}  // namespace nines::scenarios

// HTTP through the proxy while servers die, stall and return: nothing is sent twice that must not
// be, and every answer is whole or visibly broken.
#include <gtest/gtest.h>

#include "proxy_world.h"

namespace nines::scenarios {
namespace {

constexpr const char* kThreeServers = R"(
global
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout http-request 10s
  timeout http-keep-alive 10s
  retries 3
  option redispatch
listen api
  bind %front:8080
  server s1 %s1 check inter 2000 rise 2 fall 5
  server s2 %s2 check inter 2000 rise 2 fall 5
  server s3 %s3 check inter 2000 rise 2 fall 5
)";

std::string with(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  if (at == std::string::npos) ADD_FAILURE() << "no " << what;
  return text.replace(at, what.size(), by);
}

void set_weather(sim::World& world) {
  world.set_default_link({.latency_min = 50us,
                          .latency_max = std::chrono::microseconds(60 + world.rng().below(2000)),
                          .loss = world.rng().chance(0.5) ? 0.01 : 0.0});
}

TEST(ProxyHttp, keep_alive_clients_get_their_own_answers) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    set_weather(world);
    proxy.load(kThreeServers);
    for (int i = 0; i < 6; ++i) {
      WebClient& client = proxy.add_client({.pipeline = 1 + i % 3});
      for (int n = 0; n < 10; ++n) {
        Ask ask = proxy.ask();
        ask.size = world.rng().below(4) == 0 ? world.rng().below(60000) : world.rng().below(300);
        ask.framing = static_cast<Ask::Framing>(world.rng().below(2));
        ask.delay_ms = static_cast<int>(world.rng().below(5));
        ask.interims = static_cast<int>(world.rng().below(3));
        if (world.rng().chance(0.1)) ask.method = "HEAD";
        if (world.rng().chance(0.2)) ask.method = "POST";
        client.ask(ask);
      }
    }
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 60s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 60);
    proxy::ProxyCounters& front = proxy.frontend("api").counters[0];
    EXPECT_EQ(front.requests.value(), 60u);
    EXPECT_EQ(front.responses[1].value(), 60u);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, killed_servers_cost_no_idempotent_request) {
  sim::for_each_seed(40, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(kThreeServers);
    for (int i = 0; i < 8; ++i) {
      WebClient& client = proxy.add_client({.think = 3ms, .one_connection_each = i % 3 == 0});
      for (int n = 0; n < 60; ++n) {
        Ask ask = proxy.ask();
        ask.delay_ms = static_cast<int>(world.rng().below(12));
        if (world.rng().chance(0.1)) ask.method = "PUT", ask.upload = world.rng().below(9000);
        client.ask(ask);
      }
    }
    // One after the other, each back before the next goes.
    Duration at = 50ms;
    for (int round = 0; round < 3; ++round) {
      const int victim = 1 + static_cast<int>(world.rng().below(3));
      const auto ending = world.rng().chance(0.5) ? sim::Ending::kReset : sim::Ending::kLikeLinux;
      world.after(at, [&proxy, victim, ending] { proxy.kill_server(victim, ending); });
      world.after(at + 150ms, [&proxy, victim] { proxy.start_server(victim); });
      at += 200ms;
    }
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 60s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 8 * 60);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, what_is_not_idempotent_is_never_sent_twice_whoever_dies) {
  sim::for_each_seed(40, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    set_weather(world);
    proxy.load(kThreeServers);
    for (int i = 0; i < 8; ++i) {
      WebClient& client = proxy.add_client({.think = 1ms, .upload_pause = i % 2 == 0 ? 1ms : 0ms});
      for (int n = 0; n < 30; ++n) {
        Ask ask = proxy.ask();
        ask.method = "POST";
        ask.upload = world.rng().below(2) == 0 ? world.rng().below(100000) : world.rng().below(200);
        ask.upload_chunked = world.rng().chance(0.5);
        ask.delay_ms = static_cast<int>(world.rng().below(8));
        ask.dies_before = world.rng().chance(0.1) ? 1 : 0;
        ask.dies_in_middle = world.rng().chance(0.1) ? 1 : 0;
        client.ask(ask);
      }
    }
    for (int i = 0; i < 6; ++i) {
      const int victim = 1 + static_cast<int>(world.rng().below(3));
      world.after(std::chrono::milliseconds(30 + i * 60), [&proxy, victim] {
        if (proxy.server_process(victim).alive()) {
          proxy.kill_server(victim, sim::Ending::kReset);
        } else {
          proxy.start_server(victim);
        }
      });
    }
    // The servers' own journal holds each arrival to the rule.
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 120s)) << proxy.pending();
    EXPECT_GT(proxy.count(Outcome::kWhole), 0);
    for (const auto& [id, arrivals] : proxy.journal().arrivals) EXPECT_EQ(arrivals.size(), 1u);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, a_power_cut_costs_idempotent_requests_no_more_than_their_timeouts) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(with(kThreeServers, "timeout server 30s", "timeout server 2s"));
    for (int i = 0; i < 6; ++i) {
      WebClient& client = proxy.add_client({.think = 5ms, .one_connection_each = i % 2 == 0});
      for (int n = 0; n < 60; ++n) client.ask(proxy.ask());
    }
    world.run_for(100ms);
    proxy.server_host(2).power_cut();
    const Instant cut = proxy.clients().loop().now();
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 60s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kBroken), 0);
    // Only what the dead host had already been sent waits for "timeout server".
    EXPECT_LE(proxy.count(Outcome::kError), 6);
    EXPECT_TRUE(world.run_until([&] { return !proxy.state("api", "s2").up; }, 20s));
    proxy.expect_quiet();
    (void)cut;
  });
}

TEST(ProxyHttp, pooled_connections_that_die_while_idle_or_at_their_reuse_are_replayed) {
  sim::for_each_seed(60, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    set_weather(world);
    proxy.load(kThreeServers);
    for (int i = 1; i <= 3; ++i) proxy.server(i).set_idle_life(20ms);
    for (int i = 0; i < 5; ++i) {
      // The pauses straddle the servers' patience, so that requests and FINs cross.
      WebClient& client =
          proxy.add_client({.think = 17ms + std::chrono::milliseconds(world.rng().below(4))});
      for (int n = 0; n < 40; ++n) {
        Ask ask = proxy.ask();
        if (n % 5 == 4) ask.method = "POST";
        client.ask(ask);
      }
    }
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 60s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 200);
    EXPECT_GT(proxy.backend("api").counters[0].reuses.value(), 0u);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, servers_that_break_connections_before_or_in_answers_are_told_apart) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    set_weather(world);
    proxy.load(kThreeServers);
    WebClient& client = proxy.add_client();
    for (int n = 0; n < 40; ++n) {
      Ask ask = proxy.ask();
      ask.method = n % 2 == 0 ? "GET" : "POST";
      ask.size = 3000;
      ask.interims = n % 3;
      ask.framing = static_cast<Ask::Framing>(n % 3);
      if (n % 4 < 2) {
        ask.dies_before = 1;
      } else {
        ask.dies_in_middle = 1;
      }
      client.ask(ask);
    }
    EXPECT_TRUE(world.run_until([&] { return client.done(); }, 120s));
    for (const Answer& answer : client.answers()) {
      if (answer.ask.dies_in_middle > 0) {
        // Until the connection's end is a framing that a server's FIN ends, cut or not.
        if (answer.ask.framing == Ask::Framing::kClose) continue;
        const bool cut =
            answer.outcome == Outcome::kBroken || answer.outcome == Outcome::kUntouched;
        if (cut) continue;
        // Or the reset threw away all that had come of it: it died before, for all that is known.
      }
      if (answer.ask.idempotent()) {
        EXPECT_EQ(answer.outcome, Outcome::kWhole) << answer.ask.id;
      } else {
        EXPECT_EQ(answer.outcome, Outcome::kError) << answer.ask.id;
        EXPECT_TRUE(answer.status == 502 || answer.status == 504) << answer.status;  // reset lost
      }
    }
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, big_bodies_both_ways_stay_whole_and_memory_bounded) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    for (sim::Host* host : {&proxy.front(), &proxy.clients_host(), &proxy.server_host(1)}) {
      host->set_buffers(16 << 10, 16 << 10);
    }
    set_weather(world);
    proxy.load(kThreeServers);
    for (int i = 1; i <= 3; ++i) proxy.server(i).set_slow_reader(true);
    for (int i = 0; i < 4; ++i) {
      WebClient& client = proxy.add_client({.read_pause = i % 2 == 0 ? 2ms : 0ms});
      for (int n = 0; n < 3; ++n) {
        Ask ask = proxy.ask();
        ask.method = "POST";
        ask.upload = 300000 + world.rng().below(100000);
        ask.upload_chunked = world.rng().chance(0.5);
        ask.size = 400000 + world.rng().below(100000);
        ask.framing = static_cast<Ask::Framing>(world.rng().below(2));
        client.ask(ask);
      }
    }
    proxy.watch_queues();
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 120s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 12);
    // A stream holds what one read brought, and reads grow to 256 KiB at most.
    EXPECT_LE(proxy.queued_most(), 4u * 2u * (256u << 10));
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, a_client_that_pipelines_and_does_not_read_holds_back_its_own_requests) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.clients_host().set_buffers(16 << 10, 16 << 10);
    proxy.front().set_buffers(16 << 10, 64 << 10);
    proxy.load(kThreeServers);
    WebClient& client = proxy.add_client({.pipeline = 300, .read_pause = 10ms});
    for (int n = 0; n < 300; ++n) {
      Ask ask = proxy.ask();
      ask.size = 30000;
      client.ask(ask);
    }
    proxy.watch_queues();
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 120s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 300);
    EXPECT_LE(proxy.queued_most(), 600u << 10);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, a_slow_reader_gets_the_end_of_its_answer_although_the_server_is_long_done) {
  sim::for_each_seed(12, [](std::uint64_t seed, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.clients_host().set_buffers(8 << 10, 8 << 10);
    proxy.front().set_buffers(8 << 10, 256 << 10);
    proxy.load(with(with(kThreeServers, "timeout client 30s", "timeout client 3s"),
                    "http-keep-alive 10s", "http-keep-alive 1s"));
    WebClient& client = proxy.add_client({.read_pause = 400ms});
    Ask ask = proxy.ask();
    ask.size = 200000;
    ask.framing = static_cast<Ask::Framing>(seed % 3);
    ask.client_closes = seed % 2 == 0;
    ask.http10 = seed % 4 == 3;
    client.ask(ask);
    EXPECT_TRUE(world.run_until([&] { return client.done(); }, 120s));
    EXPECT_EQ(client.answers()[0].outcome, Outcome::kWhole);
    EXPECT_GT(client.answers()[0].took(), 4s) << "not slow enough to show anything";
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, a_reader_that_stops_sees_its_connection_break_and_no_end) {
  sim::for_each_seed(6, [](std::uint64_t seed, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.clients_host().set_buffers(8 << 10, 8 << 10);
    proxy.front().set_buffers(8 << 10, 256 << 10);
    proxy.load(with(kThreeServers, "timeout client 30s", "timeout client 1s"));
    WebClient& client = proxy.add_client({.read_pause = 20s});
    Ask ask = proxy.ask();
    ask.size = 200000;
    ask.framing = static_cast<Ask::Framing>(seed % 3);
    ask.client_closes = true;
    client.ask(ask);
    EXPECT_TRUE(world.run_until([&] { return client.done(); }, 300s));
    EXPECT_EQ(client.answers()[0].outcome, Outcome::kBroken);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, a_server_that_is_cut_off_costs_one_client_its_patience_and_then_nobody) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(with(kThreeServers, "retries 3", "retries 3\n  timeout check 1s"));
    world.run_for(3s);
    proxy.world().isolate(proxy.server_host(2));
    WebClient& client = proxy.add_client({.think = 20ms, .one_connection_each = true});
    for (int n = 0; n < 150; ++n) client.ask(proxy.ask());
    EXPECT_TRUE(world.run_until([&] { return client.done(); }, 60s));
    EXPECT_EQ(proxy.count(Outcome::kWhole), 150);
    int waited = 0;
    for (const Answer& answer : client.answers()) {
      if (answer.took() > 20ms) ++waited;
      EXPECT_LE(answer.took(), 250ms + 10ms);
    }
    EXPECT_EQ(waited, 1);
    EXPECT_FALSE(proxy.state("api", "s2").up);
    world.heal_all();
    EXPECT_TRUE(world.run_until([&] { return proxy.state("api", "s2").up.load(); }, 10s));
    const int before = proxy.server(2).served();
    for (int n = 0; n < 6; ++n) client.ask(proxy.ask());
    EXPECT_TRUE(world.run_until([&] { return client.done(); }, 60s));
    EXPECT_EQ(proxy.server(2).served() - before, 2);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, a_backup_takes_what_waits_for_an_active_server_whose_host_is_dead) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    std::string text(kThreeServers);
    for (const std::string_view server : {"server s2 %s2", "server s3 %s3"}) {
      text.insert(text.find(server) + server.size(), " backup");
    }
    proxy.load(text);
    world.run_for(3s);
    world.isolate(proxy.server_host(1));
    WebClient& client = proxy.add_client({.think = 100ms, .one_connection_each = true});
    for (int n = 0; n < 10; ++n) client.ask(proxy.ask());
    EXPECT_TRUE(world.run_until([&] { return client.done(); }, 60s));
    EXPECT_EQ(proxy.count(Outcome::kWhole), 10);
    for (const Answer& answer : client.answers()) EXPECT_LE(answer.took(), 2200ms);
    EXPECT_FALSE(proxy.state("api", "s1").up);
    world.heal_all();
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, a_stopped_server_delays_what_it_was_given_and_runs_nothing_twice) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(kThreeServers);
    for (int i = 0; i < 6; ++i) {
      WebClient& client = proxy.add_client({.think = 10ms});
      for (int n = 0; n < 30; ++n) {
        Ask ask = proxy.ask();
        ask.method = i == 0 && n % 10 == 5 ? "POST" : "GET";
        ask.delay_ms = static_cast<int>(world.rng().below(5));
        client.ask(ask);
      }
    }
    world.after(std::chrono::milliseconds(world.rng().below(100)),
                [&] { proxy.server_process(2).pause(); });
    world.after(10s, [&] { proxy.server_process(2).resume(); });
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 100s)) << proxy.pending();
    // Its neighbours answer: nobody waits for "timeout server", and a POST waits for the server.
    EXPECT_EQ(proxy.count(Outcome::kWhole), 6 * 30) << proxy.pending();
    proxy.expect_quiet();
  });
}

// Servers that no check finds down: keystone-check is there for what it says about tokens alone.
constexpr const char* kKeystones = R"(
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 60s
  retries 3
  option redispatch
listen api
  bind %front:8080
  option keystone-check credentials /etc/nines/keystone repeat-tokens
  server s1 %s1
  server s2 %s2
  server s3 %s3
)";

TEST(ProxyHttp, a_token_that_a_stopped_keystone_owes_comes_from_another_where_that_is_allowed) {
  sim::for_each_seed(20, [](std::uint64_t seed, sim::World& world) {
    const bool allowed = seed % 2 == 0;
    ProxyWorld proxy(world);
    proxy.load(allowed ? kKeystones : with(kKeystones, " repeat-tokens", ""));
    proxy.server_process(2).pause();
    std::vector<std::uint64_t> ids;
    for (int i = 0; i < 3; ++i) {
      Ask ask = proxy.ask();
      ask.method = "POST";
      ask.upload = 200;
      ask.token = true;
      ids.push_back(ask.id);
      proxy.add_client().ask(ask);
    }
    world.run_until([&] { return proxy.clients_done(); }, 2s);
    EXPECT_EQ(proxy.count(Outcome::kWhole), allowed ? 3 : 2) << proxy.pending();
    // Who asks next waits for nobody, whatever it asks for.
    WebClient& next = proxy.add_client();
    for (int i = 0; i < 4; ++i) {
      Ask ask = proxy.ask();
      ask.method = "POST";
      next.ask(ask);
    }
    EXPECT_TRUE(world.run_until([&] { return next.done(); }, 100ms));
    proxy.server_process(2).resume();
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 10s));
    EXPECT_EQ(proxy.count(Outcome::kWhole), 7);
    for (const auto id : ids) {
      EXPECT_LE(proxy.journal().arrivals[id].size(), allowed ? 2u : 1u) << id;
    }
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, what_is_no_request_for_a_token_is_not_repeated_beside_those_that_are) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(kKeystones);
    std::vector<std::uint64_t> others;
    for (int i = 0; i < 6; ++i) {
      WebClient& client = proxy.add_client();
      for (int n = 0; n < 10; ++n) {
        Ask ask = proxy.ask();
        ask.method = "POST";
        ask.token = world.rng().chance(0.5);
        ask.delay_ms = static_cast<int>(world.rng().below(20));
        if (!ask.token) others.push_back(ask.id);
        client.ask(ask);
      }
    }
    world.after(std::chrono::milliseconds(world.rng().below(200)), [&] { proxy.kill_server(2); });
    world.after(std::chrono::milliseconds(world.rng().below(200)),
                [&] { proxy.server_process(3).pause(); });
    world.after(5s, [&] { proxy.server_process(3).resume(); });
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 100s)) << proxy.pending();
    for (const auto id : others) EXPECT_LE(proxy.journal().arrivals[id].size(), 1u) << id;
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp,
     who_waits_on_a_host_that_vanished_is_told_within_two_seconds_and_nothing_is_repeated) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(kThreeServers);
    world.run_for(3s);
    std::vector<std::uint64_t> ids;
    for (int i = 0; i < 3; ++i) {
      Ask ask = proxy.ask();
      ask.method = "POST";
      ask.delay_ms = 300;
      ids.push_back(ask.id);
      proxy.add_client().ask(ask);
    }
    // Sent, acknowledged, and being worked on; or on the way.
    world.run_for(std::chrono::microseconds(100 + world.rng().below(200000)));
    world.isolate(proxy.server_host(2));
    const Instant vanished = world.now();
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 2300ms)) << proxy.pending();
    EXPECT_GE(world.now() - vanished, 1s);
    EXPECT_EQ(proxy.count(Outcome::kWhole), 2);
    EXPECT_EQ(proxy.count(Outcome::kError), 1);
    for (const auto id : ids) EXPECT_LE(proxy.journal().arrivals[id].size(), 1u);
    world.heal_all();
    proxy.expect_quiet();
  });
}

// On a busy machine the others are suspects too, now and then.
TEST(ProxyHttp, what_may_be_repeated_leaves_a_vanished_host_even_for_servers_under_suspicion) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(kThreeServers);
    world.run_for(3s);
    for (int i = 0; i < 3; ++i) {
      Ask ask = proxy.ask();
      ask.delay_ms = 300;
      proxy.add_client().ask(ask);
    }
    world.run_for(std::chrono::microseconds(100 + world.rng().below(200000)));
    world.isolate(proxy.server_host(2));
    const Instant vanished = world.now();
    while (!proxy.clients_done() && world.now() - vanished < 4s) {
      for (const char* name : {"s1", "s3"}) proxy.state("api", name).suspect = true;
      world.run_for(1ms);
    }
    EXPECT_EQ(proxy.count(Outcome::kWhole), 3) << proxy.pending();
    world.heal_all();
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, marked_down_with_its_sessions_a_server_gives_up_what_waits_and_others_take_it) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    std::string text = with(kThreeServers, "fall 5", "fall 5 on-marked-down shutdown-sessions");
    text = with(text, "server s2 %s2 check inter 2000 rise 2 fall 5",
                "server s2 %s2 check inter 2000 rise 2 fall 5 on-marked-down shutdown-sessions");
    proxy.load(text);
    world.run_for(3s);
    for (int i = 0; i < 6; ++i) {
      Ask ask = proxy.ask();
      ask.method = i < 3 ? "GET" : "POST";
      ask.delay_ms = 400;
      proxy.add_client().ask(ask);
      world.run_for(1ms);
    }
    world.run_for(50ms);
    proxy.set_state("api", "s2", proxy::AdminState::kMaintenance);
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 1s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 5);
    EXPECT_EQ(proxy.count(Outcome::kError), 1);  // the POST
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, a_proxy_that_dies_breaks_connections_and_no_answer_looks_whole) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    for (int i = 0; i < 6; ++i) {
      if (i == 0) proxy.load(kThreeServers);
      WebClient& client = proxy.add_client({.read_pause = i % 2 == 0 ? 1ms : 0ms});
      for (int n = 0; n < 20; ++n) {
        Ask ask = proxy.ask();
        ask.size = world.rng().below(100000);
        ask.framing = static_cast<Ask::Framing>(world.rng().below(2));
        client.ask(ask);
      }
    }
    world.after(std::chrono::microseconds(world.rng().below(30000)), [&] { proxy.kill(); });
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 100s));
  });
}

TEST(ProxyHttp, one_refused_connect_brings_a_server_down_within_a_second) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.load(kThreeServers);
    world.run_for(3s + std::chrono::milliseconds(world.rng().below(2000)));
    proxy.kill_server(2);
    WebClient& client = proxy.add_client({.one_connection_each = true});
    for (int n = 0; n < 6; ++n) client.ask(proxy.ask());
    EXPECT_TRUE(world.run_until([&] { return !proxy.state("api", "s2").up; }, 1s));
    EXPECT_TRUE(world.run_until([&] { return client.done(); }, 1s));
    EXPECT_EQ(proxy.count(Outcome::kWhole), 6);
    EXPECT_EQ(proxy.health_lines().size(), 1u);
    proxy.expect_quiet();
  });
}

constexpr const char* kNarrow = R"(
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout queue 1s
  retries 3
  option redispatch
listen api
  bind %front:8080
  server s1 %s1 maxconn 2
  server s2 %s2 maxconn 1
)";

TEST(ProxyHttp, requests_wait_for_a_slot_in_the_order_they_came) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world, {.servers = 2});
    proxy.load(with(kNarrow, "timeout queue 1s", "timeout queue 20s"));
    std::vector<WebClient*> clients;
    for (int i = 0; i < 20; ++i) {
      clients.push_back(&proxy.add_client());
      Ask ask = proxy.ask();
      ask.delay_ms = 10 + static_cast<int>(world.rng().below(10));
      clients.back()->ask(ask);
      world.run_for(1ms);
    }
    std::uint64_t last = 0;
    std::uint64_t seen = 0;
    EXPECT_TRUE(world.run_until(
        [&] {
          // Nobody arrives at a server before those who asked earlier, but for their way there.
          if (proxy.journal().total == seen) return proxy.clients_done();
          seen = proxy.journal().total;
          const std::uint64_t newest = proxy.journal().arrivals.rbegin()->first;
          EXPECT_GE(newest, last);
          EXPECT_LE(newest, seen + 2);
          last = newest;
          return false;
        },
        30s));
    EXPECT_EQ(proxy.count(Outcome::kWhole), 20);
    EXPECT_LE(proxy.server(1).busy_max(), 2);
    EXPECT_LE(proxy.server(2).busy_max(), 1);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, who_waits_for_a_slot_too_long_hears_503_at_the_configured_time) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world, {.servers = 2});
    proxy.load(kNarrow);
    for (int i = 0; i < 10; ++i) {
      Ask ask = proxy.ask();
      // The slots turn over all the time, and yet nobody's patience begins anew.
      ask.delay_ms = 700;
      proxy.add_client().ask(ask);
      world.run_for(1ms);
    }
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 30s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 6);
    EXPECT_EQ(proxy.count(Outcome::kError), 4);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, two_workers_share_a_servers_slots_and_no_waiter_is_forgotten) {
  sim::for_each_seed(30, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world, {.servers = 2, .workers = 2});
    set_weather(world);
    proxy.load(with(kNarrow, "timeout queue 1s", "timeout queue 60s"));
    for (int i = 0; i < 24; ++i) {
      WebClient& client = proxy.add_client({}, 8080, static_cast<int>(world.rng().below(2)));
      for (int n = 0; n < 4; ++n) {
        Ask ask = proxy.ask();
        ask.delay_ms = static_cast<int>(world.rng().below(20));
        client.ask(ask);
      }
    }
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 30s)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 96);
    EXPECT_LE(proxy.server(1).busy_max(), 2);
    EXPECT_LE(proxy.server(2).busy_max(), 1);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, waiting_requests_are_served_when_the_only_server_returns_to_duty) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world, {.servers = 2});
    proxy.load(with(kNarrow, "timeout queue 1s", "timeout queue 20s"));
    proxy.set_state("api", "s1", proxy::AdminState::kMaintenance);
    Ask first = proxy.ask();
    first.delay_ms = 3000;
    proxy.add_client().ask(first);
    world.run_for(10ms);
    Ask second = proxy.ask();
    proxy.add_client().ask(second);
    world.run_for(10ms);
    EXPECT_EQ(proxy.backend("api").queued.value(), 1);
    proxy.set_state("api", "s1", proxy::AdminState::kReady);
    EXPECT_TRUE(world.run_until([&] { return proxy.count(Outcome::kWhole) == 1; }, 100ms));
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 30s)) << proxy.pending();
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, frontends_at_their_limit_take_turns_and_none_stays_shut) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world, {.servers = 2});
    proxy.load(R"(
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend a
  bind %front:8080
  maxconn 2
  default_backend api
frontend b
  bind %front:8081
  maxconn 2
  default_backend api
backend api
  server s1 %s1
  server s2 %s2
)");
    for (int i = 0; i < 40; ++i) {
      WebClient& client = proxy.add_client({.one_connection_each = true}, i % 2 == 0 ? 8080 : 8081);
      Ask ask = proxy.ask();
      ask.delay_ms = static_cast<int>(1 + world.rng().below(30));
      client.ask(ask);
    }
    // No timer is needed: a session that ends lets the next one in.
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 900ms)) << proxy.pending();
    EXPECT_EQ(proxy.count(Outcome::kWhole), 40);
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, a_soft_stop_ends_idle_connections_at_once_and_others_after_their_answer) {
  sim::for_each_seed(15, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    proxy.clients_host().set_buffers(8 << 10, 8 << 10);
    proxy.front().set_buffers(8 << 10, 256 << 10);
    proxy.load(kThreeServers);
    WebClient& idle = proxy.add_client();
    idle.ask(proxy.ask());
    WebClient& waiting = proxy.add_client();
    Ask late = proxy.ask();
    late.delay_ms = 300;
    waiting.ask(late);
    WebClient& reading = proxy.add_client({.read_pause = 50ms});
    Ask big = proxy.ask();
    big.size = 150000;
    reading.ask(big);
    world.run_for(200ms);
    EXPECT_TRUE(idle.done());
    EXPECT_FALSE(waiting.done());
    EXPECT_FALSE(reading.done());
    proxy.stop();
    EXPECT_TRUE(world.run_until([&] { return idle.saw_end(); }, 5ms));
    EXPECT_TRUE(world.run_until([&] { return waiting.done() && waiting.saw_end(); }, 200ms));
    EXPECT_TRUE(world.run_until([&] { return reading.done(); }, 20s));
    EXPECT_EQ(proxy.count(Outcome::kWhole), 3);
    EXPECT_TRUE(world.run_until([&] { return proxy.worker().idle(); }, 3s));
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, a_client_that_sent_its_last_word_is_answered_and_leaves_nothing) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world);
    set_weather(world);
    proxy.load(with(with(kThreeServers, "timeout http-request 10s\n", ""),
                    "timeout http-keep-alive 10s\n", ""));
    WebClient& client = proxy.add_client({.half_close = true});
    Ask ask = proxy.ask();
    ask.delay_ms = 100;
    client.ask(ask);
    EXPECT_TRUE(world.run_until([&] { return client.done(); }, 10s));
    EXPECT_EQ(proxy.count(Outcome::kWhole), 1);
    EXPECT_TRUE(world.run_until([&] { return proxy.worker().idle(); }, 3s));
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, clients_that_vanish_anywhere_leave_nothing_behind) {
  sim::for_each_seed(60, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world, {.servers = 2});
    set_weather(world);
    proxy.load(with(kNarrow, "timeout queue 1s", "timeout queue 20s"));
    for (int i = 0; i < 12; ++i) {
      WebClient& client = proxy.add_client(
          {.pipeline = 1 + static_cast<int>(world.rng().below(3)), .upload_pause = 1ms});
      for (int n = 0; n < 4; ++n) {
        Ask ask = proxy.ask();
        ask.size = world.rng().below(100000);
        ask.delay_ms = static_cast<int>(world.rng().below(20));
        if (world.rng().chance(0.3)) ask.method = "POST", ask.upload = world.rng().below(100000);
        client.ask(ask);
      }
      const bool reset = world.rng().chance(0.5);
      world.after(std::chrono::microseconds(world.rng().below(100000)),
                  [&client, reset] { client.hang_up(reset); });
    }
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 60s)) << proxy.pending();
    proxy.expect_quiet();
  });
}

TEST(ProxyHttp, workers_that_go_away_in_full_flight_take_their_sessions_along) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    ProxyWorld proxy(world, {.servers = 2});
    proxy.load(kNarrow);
    for (int i = 0; i < 12; ++i) {
      WebClient& client = proxy.add_client();
      for (int n = 0; n < 5; ++n) {
        Ask ask = proxy.ask();
        ask.size = world.rng().below(50000);
        ask.delay_ms = static_cast<int>(world.rng().below(20));
        client.ask(ask);
      }
    }
    world.run_for(std::chrono::microseconds(world.rng().below(60000)));
    proxy.end();
    EXPECT_TRUE(world.run_until([&] { return proxy.clients_done(); }, 60s)) << proxy.pending();
    EXPECT_EQ(proxy.state().current_connections.value(), 0);
    EXPECT_EQ(proxy.backend("api").queued.value(), 0);
    EXPECT_EQ(proxy.state("api", "s1").sessions.value(), 0);
    EXPECT_EQ(proxy.state("api", "s2").idle.value(), 0);
  });
}

}  // namespace
}  // namespace nines::scenarios

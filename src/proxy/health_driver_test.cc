// The driver over the simulated network: real machines, probes and logs; servers that die, hang,
// are cut off and return; reloads and the operator in between.
#include "proxy/health_driver.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "proxy/recorded_packets_test.h"
#include "sim/for_each_seed.h"
#include "sim/world.h"

namespace nines::proxy {
namespace {

// A server process: accepts, and answers whatever comes with one text.
class Service : public io::AcceptHandler, public io::StreamHandler {
 public:
  Service(io::Loop& loop, const SocketAddress& at, std::string answer)
      : answer_(std::move(answer)), acceptor_(loop.listen(at, {}, *this).value()) {}
  void on_accepted(io::Stream& stream) override {
    ++accepted;
    stream.set_handler(this);
  }
  void on_accept_exhausted(const Error&) override {}
  void on_data(io::Stream& stream, io::LentBytes bytes) override {
    heard += bytes.view();
    if (!answer_.empty()) stream.send(answer_);
  }
  void on_end(io::Stream& stream) override { stream.close(); }
  void on_failed(io::Stream& stream, const Error&) override { stream.close(); }
  int accepted = 0;
  std::string heard;

 private:
  std::string answer_;
  io::Acceptor* acceptor_;
};

// A database node: greets, takes any login, and tells its wsrep status.
class Database : public io::AcceptHandler, public io::StreamHandler {
 public:
  Database(io::Loop& loop, const SocketAddress& at) : acceptor_(*loop.listen(at, {}, *this)) {}
  void on_accepted(io::Stream& stream) override {
    ++accepted;
    stream.set_handler(this);
    stream.send(recorded::greeting());
  }
  void on_accept_exhausted(const Error&) override {}
  void on_data(io::Stream& stream, io::LentBytes bytes) override {
    const std::string_view said = bytes.view();
    if (said.find("SHOW GLOBAL STATUS") != std::string_view::npos) {
      stream.send(status);
    } else if (said.find("nines") != std::string_view::npos) {
      stream.send(recorded::login_ok());
    } else if (said == std::string_view("\x01\0\0\0\x01", 5)) {
      ++goodbyes;
    }
  }
  void on_end(io::Stream& stream) override { stream.close(); }
  void on_failed(io::Stream& stream, const Error&) override { stream.close(); }
  std::string status = recorded::status_synced();
  int accepted = 0, goodbyes = 0;

 private:
  io::Acceptor* acceptor_;
};

class Recorder : public HealthObserver {
 public:
  void on_health_log(const Proxy&, LogLevel, const std::string& text) override {
    lines.push_back(text.substr(0, text.find(',')));
  }
  void on_server_down(const Proxy&, const Server&) override { ++downs; }
  void on_server_up(const Proxy&, const Server&) override { ++ups; }
  void on_transition(const Proxy&, const Server&, const HealthTransition& what) override {
    last = what;
  }
  void on_verdicts(const std::string& told) override { verdicts = told; }
  void on_backend_down(const Proxy&) override { ++backend_downs; }
  void on_backend_up(const Proxy&) override { ++backend_ups; }
  std::vector<std::string> lines;
  HealthTransition last;
  std::string verdicts;
  int downs = 0, ups = 0, backend_downs = 0, backend_ups = 0;
};

class Scene {
 public:
  explicit Scene(sim::World& world)
      : world_(world),
        front_(world.add_host("front", {"10.0.0.1"})),
        process_(front_.start("proxy")),
        driver_(process_.make<HealthDriver>(process_.loop(), recorder, base::Rng(world.seed()))) {
    for (int i = 0; i < 3; ++i) {
      hosts.push_back(
          &world.add_host("s" + std::to_string(i + 1), {"10.0.0.1" + std::to_string(i + 1)}));
      services.push_back(nullptr);
      start(i);
    }
    text.global.spread_checks = 0;
    ProxyConfig proxy;
    proxy.name = "api";
    proxy.backend = true;
    proxy.timeouts.connect = 10s;
    proxy.timeouts.check = 10s;
    for (int i = 0; i < 3; ++i) {
      ServerConfig server;
      server.name = "s" + std::to_string(i + 1);
      server.address = hosts[static_cast<std::size_t>(i)]->address(80);
      server.check = true;
      server.inter = 2s;
      server.rise = 2;
      server.fall = 5;
      proxy.servers.push_back(server);
    }
    text.proxies.push_back(proxy);
  }

  void start(int index, std::string answer = "HTTP/1.0 200 OK\r\n\r\n") {
    sim::Host& host = *hosts[static_cast<std::size_t>(index)];
    processes_.resize(hosts.size());
    processes_[static_cast<std::size_t>(index)] = &host.start("service");
    services[static_cast<std::size_t>(index)] =
        &process_of(index).make<Service>(process_of(index).loop(), host.address(80), answer);
  }
  Database& start_database(int index) {
    sim::Host& host = *hosts[static_cast<std::size_t>(index)];
    processes_[static_cast<std::size_t>(index)] = &host.start("database");
    return process_of(index).make<Database>(process_of(index).loop(), host.address(80));
  }
  sim::Process& process_of(int index) { return *processes_[static_cast<std::size_t>(index)]; }

  // On the control thread, as everything that is asked of the driver.
  void reload() {
    on_loop([this] {
      auto next = Generation::create(text, 1, process_.loop().now(), generation.get());
      generation = next;
      driver_.adopt(next);
    });
  }
  template <typename Task>
  void on_loop(Task task) {
    process_.loop().post(task);
    world_.run_for(1ms);
  }
  ServerState& state(int index) {
    return *generation->proxies[0].servers[static_cast<std::size_t>(index)].state;
  }
  const Server& server(int index) {
    return generation->proxies[0].servers[static_cast<std::size_t>(index)];
  }
  void traffic_failure(int index) {
    state(index).suspect = true;
    on_loop([this, index] { driver_.on_traffic_failure(*generation, 0, index); });
  }
  HealthDriver& driver() { return driver_; }
  Instant now() const { return process_.loop().now(); }  // of its host

  Config text;
  std::shared_ptr<const Generation> generation;
  std::vector<sim::Host*> hosts;
  std::vector<Service*> services;
  Recorder recorder;

 private:
  sim::World& world_;
  sim::Host& front_;
  sim::Process& process_;
  HealthDriver& driver_;
  std::vector<sim::Process*> processes_;
};

TEST(HealthDriver, finds_everybody_well_within_an_interval) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.reload();
    world.run_for(2s);
    for (int i = 0; i < 3; ++i) {
      EXPECT_EQ(scene.state(i).check_status, CheckStatus::kLayer4Ok);
      EXPECT_EQ(scene.state(i).health, 6);
      EXPECT_EQ(scene.services[static_cast<std::size_t>(i)]->accepted, 1);
    }
    EXPECT_TRUE(scene.recorder.lines.empty());
  });
}

TEST(HealthDriver, a_killed_server_under_traffic_is_down_in_a_quarter_of_a_second) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.reload();
    world.run_for(3s);
    scene.process_of(1).kill();
    world.run_for(10ms);
    scene.traffic_failure(1);
    EXPECT_TRUE(world.run_until([&] { return !scene.state(1).up; }, 260ms));
    EXPECT_FALSE(scene.state(1).suspect);
    EXPECT_EQ(scene.state(1).downs, 1u);
    EXPECT_EQ(scene.recorder.downs, 1);
    EXPECT_LE(scene.recorder.last.decided - scene.recorder.last.detected, 260ms);
    EXPECT_EQ(scene.recorder.lines, std::vector<std::string>{"Server api/s2 is DOWN"});
    scene.start(1);
    EXPECT_TRUE(world.run_until([&] { return scene.state(1).up.load(); }, 4100ms));
    EXPECT_EQ(scene.recorder.ups, 1);
    EXPECT_EQ(scene.state(1).health, 6);
  });
}

TEST(HealthDriver, a_host_that_is_cut_off_under_traffic_is_down_in_under_two_seconds) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.reload();
    world.run_for(3s);
    world.isolate(*scene.hosts[2]);
    scene.traffic_failure(2);
    EXPECT_TRUE(world.run_until([&] { return !scene.state(2).up; }, 1600ms));
    EXPECT_EQ(scene.state(2).check_status, CheckStatus::kLayer4Timeout);
    world.heal_all();
    EXPECT_TRUE(world.run_until([&] { return scene.state(2).up.load(); }, 8s));
  });
}

TEST(HealthDriver, one_refusal_too_many_is_forgotten_by_the_next_check) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.reload();
    world.run_for(3s);
    scene.traffic_failure(0);
    EXPECT_TRUE(world.run_until([&] { return !scene.state(0).suspect; }, 20ms));
    EXPECT_TRUE(scene.state(0).up);
    EXPECT_TRUE(scene.recorder.lines.empty());
  });
}

TEST(HealthDriver, the_backend_goes_down_with_its_last_server_and_comes_back) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.reload();
    world.run_for(3s);
    const std::uint32_t version = scene.generation->proxies[0].backend->generation;
    for (int i = 0; i < 3; ++i) {
      scene.process_of(i).kill();
      scene.traffic_failure(i);
    }
    EXPECT_TRUE(world.run_until([&] { return !scene.generation->proxies[0].backend->up; }, 500ms));
    EXPECT_EQ(scene.recorder.lines.back(), "backend api has no server available!");
    EXPECT_EQ(scene.recorder.backend_downs, 1);
    EXPECT_EQ(scene.generation->proxies[0].backend->generation, version + 3);
    scene.start(0);
    EXPECT_TRUE(
        world.run_until([&] { return scene.generation->proxies[0].backend->up.load(); }, 5s));
    EXPECT_EQ(scene.recorder.backend_ups, 1);
  });
}

TEST(HealthDriver, http_checks_read_the_answer_and_time_out_on_silence) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.text.proxies[0].check.kind = CheckKind::kHttp;
    scene.text.proxies[0].timeouts.check = 500ms;
    scene.process_of(1).kill();
    scene.start(1, "HTTP/1.0 503 No\r\n\r\n");
    scene.reload();
    scene.process_of(2).pause();
    world.run_for(4s);
    EXPECT_EQ(scene.state(0).check_code, 200);
    EXPECT_TRUE(scene.state(0).up);
    EXPECT_EQ(scene.state(1).check_status, CheckStatus::kLayer7Status);
    EXPECT_EQ(scene.state(1).check_code, 503);
    EXPECT_FALSE(scene.state(1).up);
    EXPECT_EQ(scene.state(2).check_status, CheckStatus::kLayer7Timeout);
    EXPECT_GE(scene.state(2).check_duration_ms, 500);
    EXPECT_FALSE(scene.state(2).up);
  });
}

TEST(HealthDriver, a_reload_keeps_health_and_schedule_and_follows_what_changed) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.reload();
    world.run_for(3s);
    scene.process_of(0).kill();
    scene.traffic_failure(0);
    world.run_for(400ms);
    EXPECT_FALSE(scene.state(0).up);
    const auto before = scene.services[1]->accepted;
    for (int i = 0; i < 20; ++i) scene.reload();
    EXPECT_FALSE(scene.state(0).up);
    EXPECT_EQ(scene.services[1]->accepted, before);  // nobody is checked more often for it
    EXPECT_EQ(scene.recorder.lines.size(), 1u);

    scene.text.proxies[0].servers.pop_back();
    scene.text.proxies[0].servers[0].disabled = true;
    scene.reload();
    EXPECT_TRUE(scene.state(0).maintenance);
    const auto gone = scene.services[2]->accepted;
    const auto stays = scene.services[1]->accepted;
    world.run_for(10s);
    EXPECT_EQ(scene.services[2]->accepted, gone);
    EXPECT_EQ(scene.services[1]->accepted, stays + 5);

    scene.start(0);
    scene.text.proxies[0].servers[0].disabled = false;
    scene.reload();
    EXPECT_TRUE(scene.state(0).up);
    world.run_for(100ms);
    EXPECT_EQ(scene.state(0).check_status, CheckStatus::kLayer4Ok);
    EXPECT_TRUE(scene.state(0).up);
  });
}

TEST(HealthDriver, a_reload_that_drops_and_adds_checks) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.reload();
    world.run_for(3s);
    scene.process_of(0).kill();
    scene.traffic_failure(0);
    world.run_for(400ms);
    scene.text.proxies[0].servers[0].check = false;
    scene.reload();
    EXPECT_TRUE(scene.state(0).up);
    EXPECT_EQ(scene.state(0).check_status, CheckStatus::kUnknown);
    scene.text.proxies[0].servers[0].check = true;
    scene.reload();
    EXPECT_TRUE(scene.state(0).up);
    world.run_for(2100ms);
    EXPECT_FALSE(scene.state(0).up);  // one failure from down, as at the start
  });
}

TEST(HealthDriver, the_operators_word_is_taken_at_once) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.reload();
    world.run_for(3s);
    HealthDriver& driver = scene.driver();
    Recorder& seen = scene.recorder;
    scene.on_loop([&] { driver.set_state(scene.server(0), AdminState::kMaintenance); });
    EXPECT_TRUE(scene.state(0).maintenance);
    EXPECT_EQ(seen.downs, 1);
    scene.on_loop([&] { driver.set_state(scene.server(0), AdminState::kDrain); });
    EXPECT_FALSE(scene.state(0).maintenance);
    EXPECT_TRUE(scene.state(0).draining);
    scene.on_loop([&] { driver.set_state(scene.server(0), AdminState::kReady); });
    EXPECT_TRUE(scene.state(0).usable());
    EXPECT_EQ(
        seen.lines,
        (std::vector<std::string>{
            "Server api/s1 is going DOWN for maintenance. 2 active and 0 backup servers left. "
            "0 sessions active",
            "Server api/s1 is UP/DRAIN (leaving forced maintenance).",
            "Server api/s1 is UP (leaving forced drain)."}));

    scene.on_loop([&] { driver.set_checks(scene.server(1), false); });
    scene.on_loop([&] { driver.set_health(scene.server(1), false); });
    const auto accepted = scene.services[1]->accepted;
    world.run_for(10s);
    EXPECT_FALSE(scene.state(1).up);
    EXPECT_EQ(scene.services[1]->accepted, accepted);
    EXPECT_EQ(seen.last.cause, HealthCause::kOperator);
    scene.on_loop([&] { driver.set_checks(scene.server(1), true); });
    EXPECT_TRUE(world.run_until([&] { return scene.state(1).up.load(); }, 4s));

    const std::uint32_t version = scene.generation->proxies[0].backend->generation;
    scene.on_loop([&] { driver.set_weight(scene.server(2), 0); });
    EXPECT_EQ(scene.generation->proxies[0].backend->generation, version + 1);
    EXPECT_FALSE(scene.state(2).usable());
  });
}

TEST(HealthDriver, a_hundred_refusals_are_no_storm) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.reload();
    world.run_for(3s);
    const int before = scene.services[0]->accepted;
    for (int i = 0; i < 1000; ++i) scene.traffic_failure(0);  // a second of it
    EXPECT_LE(scene.services[0]->accepted - before, 8);
    EXPECT_TRUE(scene.state(0).up);
  });
}

TEST(HealthDriver, a_galera_node_that_lost_its_cluster_gets_no_sessions) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    CheckConfig& check = scene.text.proxies[0].check;
    check.kind = CheckKind::kGalera;
    check.credentials.user = "nines";
    check.credentials.password = "topsecret";
    std::vector<Database*> nodes;
    for (int i = 0; i < 3; ++i) {
      scene.process_of(i).kill();
      nodes.push_back(&scene.start_database(i));
    }
    scene.text.proxies[0].log_health_checks = true;
    scene.reload();
    world.run_for(10s);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(scene.state(i).up);
    EXPECT_EQ(nodes[1]->goodbyes, nodes[1]->accepted);

    nodes[1]->status = recorded::status_disconnected();
    EXPECT_TRUE(world.run_until([&] { return !scene.state(1).up; }, 12s));
    EXPECT_EQ(scene.state(1).check_status.load(), CheckStatus::kLayer7Status);
    EXPECT_TRUE(scene.state(0).up && scene.state(2).up);
    nodes[1]->status = recorded::status_synced();
    EXPECT_TRUE(world.run_until([&] { return scene.state(1).up.load(); }, 5s));

    scene.text.proxies[0].check.donor_is_available = true;
    nodes[2]->status = recorded::status_desynced();
    scene.reload();
    world.run_for(12s);
    EXPECT_TRUE(scene.state(2).up);
    for (const std::string& line : scene.recorder.lines) {
      EXPECT_EQ(line.find("topsecret"), std::string::npos) << line;
    }
  });
}

// Three database nodes behind galera-checks, and a manager that asks them each second.
class ToldScene : public Scene {
 public:
  explicit ToldScene(sim::World& its_world) : Scene(its_world), world(its_world) {
    CheckConfig& check = text.proxies[0].check;
    check.kind = CheckKind::kGalera;
    check.credentials.user = "nines";
    check.credentials.password = "topsecret";
    text.proxies[0].log_health_checks = true;
    for (int i = 0; i < 3; ++i) {
      process_of(i).kill();
      nodes.push_back(&start_database(i));
    }
    reload();
  }

  int asked(int i) const { return nodes[static_cast<std::size_t>(i)]->accepted; }
  void say(int i, const std::string& ready = "ON", const std::string& state = "4",
           const std::string& status = "Primary", Duration age = 2ms) {
    node::MemberWord word{
        node::MemberWord::Kind::kSays, server(i).config->address, {}, ready, state, status};
    on_loop([this, word, age]() mutable {
      word.asked = now() - age;
      driver().take_word(word);
    });
  }
  void say_not_primary(int i) { say(i, "OFF", "0", "non-Primary"); }
  void doubt(int i) {
    const node::MemberWord word{
        node::MemberWord::Kind::kDoubt, server(i).config->address, {}, "", "", ""};
    on_loop([this, word] { driver().take_word(word); });
  }
  // Good words, once a second.
  void all_is_well_for(Duration time) {
    for (Duration passed{}; passed < time; passed += 1s) {
      for (int i = 0; i < 3; ++i) say(i);
      world.run_for(997ms);
    }
  }

  sim::World& world;
  std::vector<Database*> nodes;
};

TEST(HealthDriver, what_the_manager_heard_saves_logins) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    ToldScene scene(world);
    scene.all_is_well_for(4s);  // each has been asked once over the way of clients
    const int before = scene.asked(0);
    EXPECT_GE(before, 1);
    scene.all_is_well_for(120s);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(scene.state(i).up);
    // Four proofs of the way, one each 30 s and what is left of an interval; 60 without words.
    EXPECT_LE(scene.asked(0) - before, 5);
    EXPECT_GE(scene.asked(0) - before, 3);
    EXPECT_EQ(scene.recorder.verdicts, "manager api/s1\nmanager api/s2\nmanager api/s3\n");
  });
}

TEST(HealthDriver, a_bad_word_counts_when_it_is_said_and_once) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    ToldScene scene(world);
    scene.all_is_well_for(10s);
    const int before = scene.asked(1);
    for (int said = 0; said < 5; ++said) {
      EXPECT_TRUE(scene.state(1).up) << said;
      scene.say_not_primary(1);
      world.run_for(200ms);
    }
    EXPECT_FALSE(scene.state(1).up);  // fall 5, inter 2 s: 8 to 10 s without words
    EXPECT_EQ(scene.asked(1), before);
    EXPECT_EQ(scene.state(1).check_status.load(), CheckStatus::kLayer7Status);
    EXPECT_NE(scene.recorder.last.outcome.info.find("cluster_status=non-Primary, as the manager"),
              std::string::npos)
        << scene.recorder.last.outcome.info;
    // Back, it has to be seen over the clients' way before a good word counts.
    scene.all_is_well_for(10s);
    EXPECT_TRUE(scene.state(1).up);
    EXPECT_GT(scene.asked(1), before);
    EXPECT_TRUE(scene.state(0).up && scene.state(2).up);
  });
}

TEST(HealthDriver, one_word_is_one_result) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    ToldScene scene(world);
    scene.all_is_well_for(10s);
    scene.say_not_primary(1);
    scene.nodes[1]->status = recorded::status_disconnected();
    world.run_for(1s);
    EXPECT_EQ(scene.state(1).check_failures, 1u);
    world.run_for(1500ms);  // too old by now: it asks itself
    EXPECT_EQ(scene.state(1).check_failures, 2u);
  });
}

TEST(HealthDriver, a_silent_manager_is_not_missed) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    ToldScene scene(world);
    scene.all_is_well_for(10s);
    const int before = scene.asked(0);
    world.run_for(HealthDriver::kWordAgeMax + 2s);  // an interval later
    EXPECT_GT(scene.asked(0), before);
    EXPECT_EQ(scene.recorder.verdicts, "own api/s1\nown api/s2\nown api/s3\n");
    world.run_for(60s);
    EXPECT_GE(scene.asked(0) - before, 29);
    scene.nodes[0]->status = recorded::status_disconnected();
    EXPECT_TRUE(world.run_until([&] { return !scene.state(0).up; }, 12s));
  });
}

TEST(HealthDriver, doubt_asks_at_once) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    ToldScene scene(world);
    scene.all_is_well_for(10s);
    const int before = scene.asked(2);
    scene.doubt(2);
    world.run_for(10ms);
    EXPECT_EQ(scene.asked(2), before + 1);
    EXPECT_TRUE(scene.state(2).up);                // it answers: nothing has happened
    for (int i = 0; i < 200; ++i) scene.doubt(2);  // within 0.2 s
    EXPECT_LE(scene.asked(2), before + 6);
  });
}

TEST(HealthDriver, a_good_word_does_not_outlive_the_proof) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    ToldScene scene(world);
    scene.all_is_well_for(10s);
    scene.nodes[1]->status = recorded::status_disconnected();  // the manager hears another thing
    scene.all_is_well_for(HealthDriver::kProofLasts + 12s);
    EXPECT_FALSE(scene.state(1).up);
    EXPECT_TRUE(scene.state(0).up);
  });
}

TEST(HealthDriver, words_from_elsewhere_and_other_times_count_for_nothing) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    ToldScene scene(world);
    scene.all_is_well_for(10s);
    const int before = scene.asked(1);
    for (int i = 0; i < 20; ++i) {
      scene.say(1, "OFF", "0", "non-Primary", -5s);  // to come
      scene.say(1, "OFF", "0", "non-Primary", 10s);  // long ago
      world.run_for(50ms);
    }
    EXPECT_TRUE(scene.state(1).up);
    EXPECT_LE(scene.asked(1) - before, 1);
    // Of nobody here, more than are kept.
    scene.on_loop([&] {
      for (std::uint16_t port = 1; port < 200; ++port) {
        scene.driver().take_word({node::MemberWord::Kind::kDoubt,
                                  scene.server(1).config->address.with_port(port),
                                  {},
                                  "",
                                  "",
                                  ""});
      }
    });
    scene.on_loop([&] { scene.driver().take_word({}); });  // the manager is gone
    scene.all_is_well_for(5s);
    EXPECT_EQ(scene.recorder.verdicts, "manager api/s1\nmanager api/s2\nmanager api/s3\n");
  });
}

TEST(HealthDriver, what_traffic_saw_is_asked_and_not_told) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    ToldScene scene(world);
    scene.all_is_well_for(10s);
    scene.process_of(0).kill();
    scene.say(0);  // heard just before
    scene.traffic_failure(0);
    EXPECT_TRUE(world.run_until([&] { return !scene.state(0).up; }, 260ms));
  });
}

TEST(HealthDriver, a_new_password_is_used_from_the_next_check_on) {
  sim::for_each_seed(3, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    CheckConfig& check = scene.text.proxies[0].check;
    check.kind = CheckKind::kKeystone;
    check.credentials.user = "nines";
    check.credentials.password = "old";
    for (int i = 0; i < 3; ++i) {
      scene.process_of(i).kill();
      scene.start(i, "HTTP/1.1 201 CREATED\r\nX-Subject-Token: t\r\n\r\n");
    }
    scene.reload();
    world.run_for(5s);
    EXPECT_NE(scene.services[0]->heard.find("\"old\""), std::string::npos);
    scene.services[0]->heard.clear();
    check.credentials.password = "new";
    scene.reload();
    world.run_for(5s);
    EXPECT_NE(scene.services[0]->heard.find("\"new\""), std::string::npos);
    EXPECT_EQ(scene.services[0]->heard.find("\"old\""), std::string::npos);
    EXPECT_TRUE(scene.state(0).up);
  });
}

// Keystone answers its root with 300 while its database is dead; a token it cannot issue.
TEST(HealthDriver, a_keystone_that_issues_no_token_in_time_goes_down) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.text.proxies[0].check.kind = CheckKind::kKeystone;
    scene.text.proxies[0].timeouts.check = 1s;
    const std::vector<std::string> answers = {"HTTP/1.1 201 CREATED\r\nX-Subject-Token: t\r\n\r\n",
                                              "HTTP/1.1 300 Multiple Choices\r\n\r\n", ""};
    for (int i = 0; i < 3; ++i) {
      scene.process_of(i).kill();
      scene.start(i, answers[static_cast<std::size_t>(i)]);
    }
    scene.reload();
    EXPECT_TRUE(world.run_until([&] { return !scene.state(1).up && !scene.state(2).up; }, 20s));
    EXPECT_TRUE(scene.state(0).up);
    EXPECT_EQ(scene.state(1).check_status.load(), CheckStatus::kLayer7Status);
    EXPECT_EQ(scene.state(1).check_code.load(), 300);
    EXPECT_EQ(scene.state(2).check_status.load(), CheckStatus::kLayer7Timeout);
  });
}

TEST(HealthDriver, the_end_leaves_no_connection) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Scene scene(world);
    scene.text.proxies[0].check.kind = CheckKind::kHttp;
    for (int i = 0; i < 3; ++i) scene.process_of(i).pause();
    scene.reload();
    world.run_for(2s);
    EXPECT_EQ(scene.driver().running(), 3u);
    scene.on_loop([&] { scene.driver().stop(); });
    EXPECT_EQ(scene.driver().running(), 0u);
    world.run_for(30s);
  });
}

}  // namespace
}  // namespace nines::proxy

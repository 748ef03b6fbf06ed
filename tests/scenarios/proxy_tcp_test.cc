// TCP through the proxy, as databases use it: who is first in line serves all, and sessions stay
// where they are.
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "proxy_world.h"

namespace nines::scenarios {
namespace {

// Greets with its name and repeats what it hears.
class EchoServer final : public io::AcceptHandler {
 public:
  EchoServer(io::Loop& loop, const SocketAddress& at, std::string name)
      : loop_(loop), name_(std::move(name)), acceptor_(loop.listen(at, {}, *this).value()) {}
  ~EchoServer() override { acceptor_->close(); }
  void set_reading(bool on) {
    for (auto& connection : connections_) connection->set_reading(on);
  }
  int open() const { return open_; }
  void on_accepted(io::Stream& stream) override {
    connections_.push_back(std::make_unique<Connection>(*this, stream));
    stream.send(name_ + "\n");
  }
  void on_accept_exhausted(const Error&) override {}

 private:
  struct Connection final : io::StreamHandler {
    Connection(EchoServer& of, io::Stream& on) : server(of), stream(&on) {
      on.set_handler(this);
      ++server.open_;
    }
    ~Connection() override { end(); }
    void set_reading(bool on) {
      if (stream != nullptr) on ? stream->resume() : stream->pause();
    }
    void end() {
      if (stream == nullptr) return;
      stream->close();
      stream = nullptr;
      --server.open_;
    }
    void on_data(io::Stream&, io::LentBytes bytes) override {
      if (stream->send(bytes.view()) == io::Sent::kQueued) stream->pause();
    }
    void on_drained(io::Stream&) override {
      if (ending) {
        end();
      } else {
        stream->resume();
      }
    }
    void on_end(io::Stream&) override {
      if (stream->queued() > 0) {
        ending = true;
        stream->finish();
      } else {
        end();
      }
    }
    void on_failed(io::Stream&, const Error&) override { end(); }
    EchoServer& server;
    io::Stream* stream;
    bool ending = false;
  };

  io::Loop& loop_;
  std::string name_;
  io::Acceptor* acceptor_;
  int open_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
};

// Sends so many bytes, wants them back behind the greeting, and ends.
class EchoClient final : public io::StreamHandler, private Timer {
 public:
  EchoClient(io::Loop& loop, const SocketAddress& to, std::size_t size, Duration read_pause = {})
      : loop_(loop), size_(size), read_pause_(read_pause), stream_(&loop.connect(to, {}, *this)) {}
  ~EchoClient() override { end(); }
  void end() {
    if (stream_ == nullptr) return;
    cancel();
    stream_->close();
    stream_ = nullptr;
  }
  void send(std::size_t size) {  // more, from outside of the loop
    size_ += size;
    loop_.arm(*this, loop_.now());
  }
  void finish() {
    finishing_ = true;
    loop_.arm(*this, loop_.now());
  }
  const std::string& server() const { return server_; }
  std::size_t received() const { return received_; }
  bool whole() const { return received_ == size_; }
  bool ended() const { return ended_; }    // by a FIN
  bool broken() const { return broken_; }  // by a reset

  void on_connected(io::Stream&) override { go_on(); }
  void on_data(io::Stream&, io::LentBytes bytes) override {
    std::string_view text = bytes.view();
    while (!greeted_ && !text.empty()) {
      greeted_ = text.front() == '\n';
      if (!greeted_) server_ += text.front();
      text.remove_prefix(1);
    }
    for (const char byte : text) {
      EXPECT_EQ(byte, body_byte(1, received_));
      ++received_;
    }
    if (read_pause_ > Duration{}) {
      stream_->pause();
      resting_ = true;
      loop_.arm(*this, read_pause_);
    }
  }
  void on_drained(io::Stream&) override {
    waiting_ = false;
    go_on();
  }
  void on_end(io::Stream&) override {
    ended_ = true;
    end();
  }
  void on_failed(io::Stream&, const Error&) override {
    broken_ = true;
    end();
  }

 private:
  void on_timer(Instant) override {
    if (resting_) stream_->resume();
    resting_ = false;
    go_on();
  }
  void go_on() {
    if (stream_ == nullptr) return;
    while (!waiting_ && sent_ < size_) {
      const std::size_t piece = std::min<std::size_t>(size_ - sent_, 30000);
      waiting_ = stream_->send(body_bytes(1, sent_, piece)) == io::Sent::kQueued;
      sent_ += piece;
    }
    if (finishing_ && sent_ == size_) stream_->finish();
  }

  io::Loop& loop_;
  std::size_t size_, sent_ = 0, received_ = 0;
  Duration read_pause_;
  io::Stream* stream_;
  std::string server_;
  bool greeted_ = false, waiting_ = false, resting_ = false, finishing_ = false;
  bool ended_ = false, broken_ = false;
};

constexpr const char* kDatabase = R"(
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 1s
  retries 3
  option redispatch
listen db
  bind %front:3306
  server s1 %s1 check inter 2000 rise 2 fall 5
  server s2 %s2 check inter 2000 rise 2 fall 5 backup
  server s3 %s3 check inter 2000 rise 2 fall 5 backup
)";

struct Database {
  explicit Database(sim::World& world, const char* text = kDatabase)
      : proxy(world, {.servers = 3, .start_servers = false}) {
    for (int i = 1; i <= 3; ++i) start(i);
    proxy.load(text);
    world.run_for(3s);
  }
  void start(int number) {
    sim::Host& host = proxy.server_host(number);
    sim::Process& process = host.start("db");
    processes[number] = &process;
    servers[number] = &process.make<EchoServer>(process.loop(),
                                                host.address(ProxyWorld::kServerPort), host.name());
  }
  EchoClient& connect(std::size_t size = 10, Duration read_pause = {}) {
    clients.push_back(&proxy.clients().make<EchoClient>(proxy.clients().loop(), proxy.address(3306),
                                                        size, read_pause));
    return *clients.back();
  }
  ProxyWorld proxy;
  sim::Process* processes[4] = {};
  EchoServer* servers[4] = {};
  std::vector<EchoClient*> clients;
};

TEST(ProxyTcp, the_first_backup_takes_over_and_the_active_server_takes_back) {
  sim::for_each_seed(20, [](std::uint64_t seed, sim::World& world) {
    Database database(world);
    EchoClient& before = database.connect();
    ASSERT_TRUE(world.run_until([&] { return before.whole(); }, 1s));
    EXPECT_EQ(before.server(), "s1");
    database.processes[1]->kill(seed % 2 == 0 ? sim::Ending::kReset : sim::Ending::kLikeLinux);
    EXPECT_TRUE(world.run_until([&] { return before.broken() || before.ended(); }, 100ms));
    EchoClient& during = database.connect();
    ASSERT_TRUE(world.run_until([&] { return during.whole(); }, 1s));
    EXPECT_EQ(during.server(), "s2");
    EchoClient& also = database.connect();
    ASSERT_TRUE(world.run_until([&] { return also.whole(); }, 100ms));
    EXPECT_EQ(also.server(), "s2");
    database.start(1);
    ASSERT_TRUE(world.run_until([&] { return database.proxy.state("db", "s1").up.load(); }, 10s));
    EchoClient& after = database.connect();
    ASSERT_TRUE(world.run_until([&] { return after.whole(); }, 1s));
    EXPECT_EQ(after.server(), "s1");
    during.send(100000);
    ASSERT_TRUE(world.run_until([&] { return during.whole(); }, 1s));
    EXPECT_FALSE(during.ended() || during.broken());
    for (EchoClient* client : database.clients) client->end();
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, bytes_stay_whole_between_slow_ends_and_memory_bounded) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    Database database(world);
    for (sim::Host* host : {&database.proxy.front(), &database.proxy.clients_host()}) {
      host->set_buffers(16 << 10, 16 << 10);
    }
    world.set_default_link({.latency_min = 50us, .latency_max = 1ms, .loss = 0.01});
    database.proxy.watch_queues();
    for (int i = 0; i < 4; ++i) database.connect(700000, i % 2 == 0 ? 2ms : 0ms);
    for (EchoClient* client : database.clients) client->finish();
    EXPECT_TRUE(world.run_until(
        [&] {
          for (const EchoClient* client : database.clients) {
            if (!client->ended()) return false;
          }
          return true;
        },
        120s));
    for (const EchoClient* client : database.clients) {
      EXPECT_TRUE(client->whole()) << client->received();
    }
    EXPECT_LE(database.proxy.queued_most(), 4u * 2u * (256u << 10));
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, a_slow_reader_is_not_an_idle_one) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    const std::string text = [] {
      std::string all = kDatabase;
      for (const char* name : {"timeout client 60s", "timeout server 60s"}) {
        const std::size_t at = all.find(name);
        all.replace(at + std::string_view("timeout client ").size(), 3, "2s");
      }
      return all;
    }();
    Database database(world, text.c_str());
    database.proxy.clients_host().set_buffers(256 << 10, 8 << 10);
    database.proxy.front().set_buffers(8 << 10, 256 << 10);
    EchoClient& client = database.connect(300000, 300ms);
    client.finish();
    EXPECT_TRUE(world.run_until([&] { return client.ended() || client.broken(); }, 120s));
    EXPECT_TRUE(client.whole()) << client.received();
    EXPECT_TRUE(client.ended());
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, a_server_that_is_cut_off_costs_the_first_session_its_patience) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    // A plain connect's silence: the checks confirm it in their own time, so an active one stands
    // beside.
    std::string text = kDatabase;
    text.erase(text.find(" backup"), 7);
    Database database(world, text.c_str());
    world.isolate(database.proxy.server_host(2));
    std::vector<Instant> asked;
    int late = 0;
    for (int i = 0; i < 12; ++i) {
      const Instant begun = world.now();
      EchoClient& client = database.connect();
      ASSERT_TRUE(world.run_until([&] { return client.whole(); }, 2s));
      EXPECT_EQ(client.server(), "s1");
      const Duration took = world.now() - begun;
      EXPECT_LE(took, 250ms + 10ms);
      late += took > 20ms ? 1 : 0;
    }
    EXPECT_LE(late, 1);
    for (EchoClient* client : database.clients) client->end();
    world.heal_all();
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, a_backup_takes_who_waits_for_an_active_server_whose_host_is_dead) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    Database database(world);
    world.run_for(std::chrono::milliseconds(world.rng().below(2000)));
    world.isolate(database.proxy.server_host(1));
    // The first is the evidence; all that came meanwhile go on together with it.
    const Instant begun = world.now();
    for (int i = 0; i < 5; ++i) {
      database.connect();
      world.run_for(200ms);
    }
    const auto all_served = [&] {
      return std::all_of(database.clients.begin(), database.clients.end(),
                         [](const EchoClient* client) { return client->whole(); });
    };
    EXPECT_TRUE(world.run_until(all_served, 5s));
    EXPECT_LE(world.now() - begun, 2200ms);
    for (EchoClient* client : database.clients) {
      EXPECT_EQ(client->server(), "s2");
      client->end();
    }
    world.heal_all();
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, an_active_server_far_away_is_waited_for) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    Database database(world);
    world.set_link(database.proxy.front(), database.proxy.server_host(1),
                   {.latency_min = 280ms, .latency_max = 320ms});
    world.run_for(5s);
    for (int i = 0; i < 5; ++i) {
      EchoClient& client = database.connect();
      ASSERT_TRUE(world.run_until([&] { return client.whole(); }, 3s));
      EXPECT_EQ(client.server(), "s1");
      client.end();
    }
    EXPECT_TRUE(database.proxy.state("db", "s1").up);
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, sessions_on_a_server_marked_down_end_when_that_is_asked_for) {
  sim::for_each_seed(10, [](std::uint64_t, sim::World& world) {
    std::string text = kDatabase;
    const std::string_view all = "server s1 %s1 check inter 2000 rise 2 fall 5";
    text.insert(text.find(all) + all.size(), " on-marked-down shutdown-sessions");
    Database database(world, text.c_str());
    EchoClient& client = database.connect();
    ASSERT_TRUE(world.run_until([&] { return client.whole(); }, 1s));
    world.isolate(database.proxy.server_host(1));
    EXPECT_TRUE(world.run_until([&] { return client.ended() || client.broken(); }, 60s));
    EXPECT_FALSE(database.proxy.state("db", "s1").up);
    EchoClient& next = database.connect();
    ASSERT_TRUE(world.run_until([&] { return next.whole(); }, 100ms));
    EXPECT_EQ(next.server(), "s2");
    next.end();
    world.heal_all();
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, a_session_that_asks_a_vanished_host_ends_when_checks_have_found_it_down) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    Database database(world);
    EchoClient& client = database.connect();
    ASSERT_TRUE(world.run_until([&] { return client.whole(); }, 1s));
    world.run_for(std::chrono::milliseconds(world.rng().below(5000)));
    world.isolate(database.proxy.server_host(1));
    world.run_for(std::chrono::milliseconds(world.rng().below(1000)));
    client.send(5);
    const Instant asked = world.now();
    // Nobody else connects there: its own unanswered bytes hurry the checks.
    EXPECT_TRUE(world.run_until([&] { return client.ended() || client.broken(); }, 3s));
    EXPECT_TRUE(client.broken());
    EXPECT_LE(world.now() - asked, 2600ms);
    EXPECT_FALSE(database.proxy.state("db", "s1").up);
    world.heal_all();
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, sessions_that_rest_on_a_vanished_host_end_too) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    Database database(world);
    EchoClient& resting = database.connect();
    EchoClient& asking = database.connect();
    ASSERT_TRUE(world.run_until([&] { return resting.whole() && asking.whole(); }, 1s));
    world.isolate(database.proxy.server_host(1));
    asking.send(5);
    EXPECT_TRUE(world.run_until([&] { return asking.broken() && resting.broken(); }, 5s));
    world.heal_all();
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, a_stopped_process_keeps_the_sessions_that_its_host_answers_for) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    Database database(world);
    EchoClient& client = database.connect();
    ASSERT_TRUE(world.run_until([&] { return client.whole(); }, 1s));
    // Its connections are taken and never answered: long questions look like that, too.
    database.processes[1]->pause();
    client.send(5);
    world.run_for(10s);
    EXPECT_FALSE(client.ended() || client.broken());
    EXPECT_TRUE(database.proxy.state("db", "s1").up);
    database.processes[1]->resume();
    EXPECT_TRUE(world.run_until([&] { return client.whole(); }, 1s));
    client.end();
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, a_network_that_loses_packets_ends_no_session) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    Database database(world);
    EchoClient& client = database.connect();
    ASSERT_TRUE(world.run_until([&] { return client.whole(); }, 1s));
    world.set_default_link({.latency_min = 50us, .latency_max = 500us, .loss = 0.1});
    for (int i = 0; i < 30; ++i) {
      client.send(5);
      ASSERT_TRUE(world.run_until([&] { return client.whole(); }, 30s)) << i;
    }
    EXPECT_FALSE(client.broken());
    client.end();
    database.proxy.expect_quiet();
  });
}

TEST(ProxyTcp, sessions_on_backups_end_when_the_active_server_is_up_and_asks_for_that) {
  sim::for_each_seed(10, [](std::uint64_t seed, sim::World& world) {
    std::string text = kDatabase;
    const bool asked = seed % 2 == 0;
    const std::string_view all = "server s1 %s1 check inter 2000 rise 2 fall 5";
    if (asked) text.insert(text.find(all) + all.size(), " on-marked-up shutdown-backup-sessions");
    Database database(world, text.c_str());
    database.processes[1]->kill();
    ASSERT_TRUE(world.run_until([&] { return !database.proxy.state("db", "s1").up; }, 20s));
    EchoClient& client = database.connect();
    ASSERT_TRUE(world.run_until([&] { return client.whole(); }, 2s));
    EXPECT_EQ(client.server(), "s2");
    database.start(1);
    ASSERT_TRUE(world.run_until([&] { return database.proxy.state("db", "s1").up.load(); }, 20s));
    world.run_for(100ms);
    EXPECT_EQ(client.ended() || client.broken(), asked);
    EchoClient& next = database.connect();
    ASSERT_TRUE(world.run_until([&] { return next.whole(); }, 100ms));
    EXPECT_EQ(next.server(), "s1");
    next.end();
    client.end();
    database.proxy.expect_quiet();
  });
}

}  // namespace
}  // namespace nines::scenarios

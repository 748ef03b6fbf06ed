// The driver over the simulated network: a stopped server is found silent, a slow one is not.
#include "proxy/silence_driver.h"

#include <vector>

#include <gtest/gtest.h>

#include "sim/for_each_seed.h"
#include "sim/world.h"

namespace nines::proxy {
namespace {

using namespace std::chrono_literals;

// Answers every request after a while.
class Service : public io::AcceptHandler, public io::StreamHandler, private Timer {
 public:
  Service(io::Loop& loop, const SocketAddress& at, Duration delay)
      : loop_(loop), delay_(delay), acceptor_(loop.listen(at, {}, *this).value()) {}
  void on_accepted(io::Stream& stream) override {
    ++accepted;
    stream.set_handler(this);
  }
  void on_accept_exhausted(const Error&) override {}
  void on_data(io::Stream& stream, io::LentBytes) override {
    waiting_ = &stream;
    loop_.arm(*this, delay_);
  }
  void on_end(io::Stream& stream) override { end(stream); }
  void on_failed(io::Stream& stream, const Error&) override { end(stream); }
  int accepted = 0;

 private:
  void on_timer(Instant) override {
    if (waiting_ != nullptr) waiting_->send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
  }
  void end(io::Stream& stream) {
    if (waiting_ == &stream) waiting_ = nullptr;
    stream.close();
  }

  io::Loop& loop_;
  Duration delay_;
  io::Stream* waiting_ = nullptr;
  io::Acceptor* acceptor_;
};

class Scene {
 public:
  Scene(sim::World& world, Duration delay)
      : front_(world.add_host("front", {"10.0.0.1"})),
        back_(world.add_host("back", {"10.0.0.2"})),
        process_(front_.start("proxy")),
        server(back_.start("service")),
        service(server.make<Service>(server.loop(), back_.address(80), delay)),
        driver_(process_.make<SilenceDriver>(
            process_.loop(),
            [this](const Proxy&, const Server&, bool silent) { changes.push_back(silent); })),
        world_(world) {
    Config config;
    ProxyConfig proxy;
    proxy.name = "api";
    proxy.backend = true;
    ServerConfig one;
    one.name = "s1";
    one.address = back_.address(80);
    proxy.servers.push_back(one);
    config.proxies.push_back(proxy);
    generation = Generation::create(std::move(config), 1, process_.loop().now(), nullptr);
  }
  void evidence() {
    process_.loop().post([this] { driver_.on_evidence(generation, 0, 0); });
    world_.run_for(1ms);
  }
  bool silent() const { return generation->proxies[0].servers[0].state->silent; }
  std::size_t watched() const { return driver_.watched(); }

 private:
  sim::Host& front_;
  sim::Host& back_;
  sim::Process& process_;

 public:
  sim::Process& server;
  Service& service;
  std::shared_ptr<const Generation> generation;
  std::vector<bool> changes;

 private:
  SilenceDriver& driver_;
  sim::World& world_;
};

TEST(SilenceDriver, a_stopped_server_is_silent_until_it_goes_on) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    Scene scene(world, 0ms);
    scene.server.pause();
    scene.evidence();
    EXPECT_TRUE(world.run_until([&] { return scene.silent(); }, 1100ms));
    world.run_for(5s);
    EXPECT_EQ(scene.changes, std::vector<bool>{true});
    scene.server.resume();
    EXPECT_TRUE(world.run_until([&] { return !scene.silent(); }, 2200ms));
    EXPECT_EQ(scene.changes, (std::vector<bool>{true, false}));
    // And is forgotten, with the generation that the watch held.
    EXPECT_TRUE(world.run_until([&] { return scene.watched() == 0; }, 1100ms));
  });
}

TEST(SilenceDriver, a_slow_server_is_probed_once_and_left_in_peace) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    Scene scene(world, 700ms);
    for (int i = 0; i < 10; ++i) scene.evidence();
    world.run_for(900ms);
    EXPECT_FALSE(scene.silent());
    EXPECT_TRUE(scene.changes.empty());
    EXPECT_EQ(scene.service.accepted, 1);
  });
}

TEST(SilenceDriver, a_server_whose_hands_are_full_is_not_silent_while_it_answers_others) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    Scene scene(world, 0ms);
    scene.server.pause();  // as far as the probe can tell
    auto& answered = scene.generation->proxies[0].servers[0].state->counters[0].requests;
    answered.add();
    scene.evidence();
    world.run_for(900ms);
    answered.add();
    world.run_for(200ms);
    EXPECT_FALSE(scene.silent());
    EXPECT_TRUE(scene.changes.empty());
    // What it answered before does not count.
    EXPECT_TRUE(world.run_until([&] { return scene.watched() == 0; }, 1100ms));
    scene.evidence();
    EXPECT_TRUE(world.run_until([&] { return scene.silent(); }, 1100ms));
    scene.server.resume();
    EXPECT_TRUE(world.run_until([&] { return !scene.silent(); }, 2200ms));
  });
}

TEST(SilenceDriver, a_server_that_dies_is_left_to_the_checks) {
  sim::for_each_seed(20, [](std::uint64_t, sim::World& world) {
    Scene scene(world, 0ms);
    scene.server.pause();
    scene.evidence();
    EXPECT_TRUE(world.run_until([&] { return scene.silent(); }, 1100ms));
    scene.server.kill();
    EXPECT_TRUE(world.run_until([&] { return !scene.silent(); }, 2200ms));
  });
}

}  // namespace
}  // namespace nines::proxy

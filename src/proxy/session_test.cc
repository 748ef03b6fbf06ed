// Sessions of a real worker over the simulated network: clients that read late, queues over a
// reload. What can be compared with HAProxy live is in tests/compat/traffic_test.py.
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "proxy/config_load.h"
#include "proxy/worker.h"
#include "sim/for_each_seed.h"
#include "sim/world.h"

namespace nines::proxy {
namespace {

// Answers each request's head, some time later, with a body of one size.
class Service final : public io::AcceptHandler, public io::StreamHandler {
 public:
  Service(sim::World& world, io::Loop& loop, const SocketAddress& at, std::size_t size,
          Duration works)
      : world_(world), size_(size), works_(works) {
    EXPECT_TRUE(loop.listen(at, {}, *this));
  }
  void on_accepted(io::Stream& stream) override { stream.set_handler(this); }
  void on_accept_exhausted(const Error&) override {}
  void on_data(io::Stream& stream, io::LentBytes bytes) override {
    for (auto at = bytes.view().find("\r\n\r\n"); at != std::string_view::npos;
         at = bytes.view().find("\r\n\r\n", at + 4)) {
      ++requests;
      world_.after(works_, [this, &stream] {
        for (int i = 0; i < interim_answers; ++i) stream.send("HTTP/1.1 103 Early Hints\r\n\r\n");
        stream.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size_) + "\r\n\r\n" +
                    std::string(size_, 'x'));
      });
    }
  }
  void on_end(io::Stream& stream) override { stream.close(); }
  void on_failed(io::Stream& stream, const Error&) override { stream.close(); }
  int requests = 0;
  int interim_answers = 0;  // before each answer

 private:
  sim::World& world_;
  std::size_t size_;
  Duration works_;
};

class Client final : public io::StreamHandler {
 public:
  Client(io::Loop& loop, const SocketAddress& to) : stream(&loop.connect(to, {}, *this)) {}
  ~Client() override {
    if (stream != nullptr) stream->close();
  }
  void on_data(io::Stream&, io::LentBytes bytes) override { received += bytes.view(); }
  void on_end(io::Stream&) override { ended = true; }
  void on_failed(io::Stream&, const Error&) override {
    failed = true;
    stream->close();
    stream = nullptr;
  }
  int answers() const {
    int count = 0;
    for (auto at = received.find("200 OK"); at != std::string::npos;
         at = received.find("200 OK", at + 1)) {
      ++count;
    }
    return count;
  }
  io::Stream* stream;
  std::string received;
  bool ended = false, failed = false;
};

class Balancer final : private Hub, private ListenerSource {
 public:
  Balancer(sim::Process& process, const std::string& config) : loop_(process.loop()) {
    worker_.emplace(process.loop(), static_cast<Hub&>(*this), static_cast<ListenerSource&>(*this),
                    Worker::Options{});
    adopt(config);
  }
  void adopt(const std::string& config) {
    const std::vector<text::SourceFile> files{text::SourceFile("haproxy.cfg", config)};
    auto loaded = load_config(files, {});
    ASSERT_TRUE(loaded.ok());
    generation_ = Generation::create(std::move(loaded.config), 1, loop_.now(), generation_.get());
    EXPECT_TRUE(worker_->adopt(generation_).empty());
  }
  Worker& worker() { return *worker_; }

 private:
  ProcessState& process() override { return state_; }
  void on_traffic_failure(const std::shared_ptr<const Generation>&, int, int) override {}
  void on_captured_error(CapturedError) override {}
  void on_slot_freed(const ProxyState&, int) override {}
  ProcessInfo process_info() const override { return {}; }
  Result<io::Acceptor*> open(io::Loop& loop, const BindConfig& bind, bool,
                             io::AcceptHandler& handler) override {
    return loop.listen(bind.address, {}, handler);
  }

  io::Loop& loop_;
  ProcessState state_{1};
  std::shared_ptr<const Generation> generation_;
  std::optional<Worker> worker_;
};

struct Scene {
  Scene(sim::World& of, const std::string& timeouts, const std::string& server, std::size_t size,
        Duration works = 1ms)
      : world(of),
        outside(world.add_host("outside", {"10.0.0.99"})),
        middle(world.add_host("middle", {"10.0.0.10"})),
        inside(world.add_host("inside", {"10.0.0.1"})),
        config("listen web\n  mode http\n  timeout connect 60s\n  timeout server 60s\n" + timeouts +
               "  bind 10.0.0.10:80\n  server a 10.0.0.1:80 " + server + "\n"),
        users(outside.start("users")) {
    // Small buffers, so that who does not read is felt soon.
    for (sim::Host* host : {&outside, &middle, &inside}) host->set_buffers(4096, 4096);
    sim::Process& web = inside.start("web");
    service = &web.make<Service>(world, web.loop(), inside.address(80), size, works);
    sim::Process& proxy = middle.start("proxy");
    balancer = &proxy.make<Balancer>(proxy, config);
  }
  Client& connect() { return users.make<Client>(users.loop(), middle.address(80)); }

  sim::World& world;
  sim::Host& outside;
  sim::Host& middle;
  sim::Host& inside;
  std::string config;
  sim::Process& users;
  Service* service = nullptr;
  Balancer* balancer = nullptr;
};

std::string requests(int count, const std::string& fields = {}) {
  std::string text;
  for (int i = 0; i < count; ++i) text += "GET / HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
  return text;
}

TEST(Session, ClientThatAsksAndNeverReadsIsNotServedOn) {
  sim::World world(1);
  Scene scene(world, "  timeout client 60s\n", "", 10'000);
  Client& client = scene.connect();
  client.stream->pause();
  client.stream->send(requests(500));
  world.run_for(20s);
  EXPECT_LT(scene.service->requests, 20) << "answers pile up in memory";
  client.stream->resume();
  EXPECT_TRUE(world.run_until([&] { return client.answers() == 500; }, 50s));
  EXPECT_EQ(scene.service->requests, 500);
}

TEST(Session, LateReaderGetsItsLastAnswerWhole) {
  sim::World world(1);
  Scene scene(world, "  timeout client 60s\n", "", 20'000);
  Client& client = scene.connect();
  client.stream->pause();
  client.stream->send(requests(1, "Connection: close\r\n"));
  world.run_for(10s);
  client.stream->resume();
  EXPECT_TRUE(world.run_until([&] { return client.ended; }, 20s));
  EXPECT_GT(client.received.size(), 20'000u);
  EXPECT_FALSE(client.failed);
}

TEST(Session, KeepAliveTimeoutDoesNotCutAnAnswerThatIsStillRead) {
  sim::World world(1);
  Scene scene(world, "  timeout client 60s\n  timeout http-keep-alive 1s\n", "", 20'000);
  Client& client = scene.connect();
  client.stream->pause();
  client.stream->send(requests(1));
  world.run_for(10s);
  client.stream->resume();
  EXPECT_TRUE(world.run_until([&] { return client.ended; }, 20s));
  EXPECT_GT(client.received.size(), 20'000u);
}

TEST(Session, ClientThatNeverReadsItsAnswerIsCutOffVisibly) {
  sim::World world(1);
  Scene scene(world, "  timeout client 5s\n", "", 20'000);
  Client& client = scene.connect();
  client.stream->pause();
  client.stream->send(requests(1));
  EXPECT_TRUE(world.run_until([&] { return scene.service->requests == 1; }, 1s));
  EXPECT_TRUE(world.run_until([&] { return scene.balancer->worker().idle(); }, 20s));
  client.stream->resume();
  EXPECT_TRUE(world.run_until([&] { return client.failed; }, 1s)) << "a part looks like the whole";
}

TEST(Session, InterimAnswersThatAreReadLateDoNotStopTheAnswer) {
  sim::World world(1);
  Scene scene(world, "  timeout client 60s\n", "", 10);
  scene.service->interim_answers = 2000;
  Client& client = scene.connect();
  client.stream->pause();
  client.stream->send(requests(1));
  world.run_for(5s);
  client.stream->resume();
  EXPECT_TRUE(world.run_until([&] { return client.answers() == 1; }, 5s));
}

TEST(Session, RefusedRequestWaitsForABusyServerRatherThanBeRefusedAgain) {
  sim::World world(1);
  Scene scene(world, "  timeout client 60s\n  timeout queue 50s\n  option redispatch\n",
              "maxconn 1\n  server refusing 10.0.0.1:81", 10, 2s);
  Client& first = scene.connect();
  first.stream->send(requests(1));
  EXPECT_TRUE(world.run_until([&] { return scene.service->requests == 1; }, 1s));
  Client& second = scene.connect();
  second.stream->send(requests(1));
  EXPECT_TRUE(world.run_until([&] { return second.answers() == 1; }, 10s)) << second.received;
}

TEST(Session, WhoWaitsForASlotWhileTheConfigurationIsReloadedIsServed) {
  sim::World world(1);
  Scene scene(world, "  timeout client 60s\n  timeout queue 50s\n", "maxconn 1", 10, 2s);
  Client& first = scene.connect();
  first.stream->send(requests(1));
  world.run_for(500ms);
  Client& second = scene.connect();
  second.stream->send(requests(1));
  world.run_for(500ms);
  EXPECT_EQ(scene.service->requests, 1);
  scene.balancer->adopt(scene.config);
  EXPECT_TRUE(world.run_until([&] { return second.answers() == 1; }, 10s));
  EXPECT_EQ(first.answers(), 1);
}

}  // namespace
}  // namespace nines::proxy

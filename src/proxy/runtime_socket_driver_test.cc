// The runtime socket over a real Unix socket: the ways in which socat and scripts use it.
#include "proxy/runtime_socket_driver.h"

#include <functional>
#include <string>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/linux/epoll_loop.h"
#include "proxy/runtime_socket_fixture_test.h"

namespace nines::proxy {
namespace {

constexpr auto kPatience = std::chrono::seconds(10);

struct Client : io::StreamHandler {
  void on_data(io::Stream& stream, io::LentBytes bytes) override {
    received += bytes.view();
    if (lazy) stream.pause();
  }
  void on_end(io::Stream&) override { ended = true; }
  void on_failed(io::Stream&, const Error& error) override { failure = error.message(); }
  std::string received;
  std::string failure;
  bool lazy = false;
  bool ended = false;
};

class RuntimeSocketDriverTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/runtime_socket_XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    directory = name;
    config.bind.address = SocketAddress::unix_path(directory + "/admin.sock");
    config.level = SocketLevel::kAdmin;
    loop = std::move(*io::EpollLoop::create());
    start(10s);
  }
  void TearDown() override {
    driver.reset();
    loop.reset();
    ::unlink(config.bind.address.path().c_str());
    ::rmdir(directory.c_str());
  }
  void start(Duration timeout) {
    driver.reset();
    driver = std::make_unique<RuntimeSocketDriver>(
        *loop, control, timeout, [](WallTime) { return std::chrono::seconds(0); });
    ASSERT_TRUE(driver->listen(config).has_value());
  }
  io::Stream& connect(Client& client) { return loop->connect(config.bind.address, {}, client); }
  bool until(const std::function<bool()>& condition) {
    const Instant deadline = loop->now() + kPatience;
    while (!condition() && loop->now() < deadline) loop->run_once(10ms);
    return condition();
  }

  std::string directory;
  StatsSocketConfig config;
  FakeControl control;
  std::unique_ptr<io::EpollLoop> loop;
  std::unique_ptr<RuntimeSocketDriver> driver;
};

TEST_F(RuntimeSocketDriverTest, AnswersAndClosesWhenTheClientHalfClosesAtOnce) {
  Client client;
  io::Stream& stream = connect(client);
  stream.send("show info\n");
  stream.finish();
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_TRUE(client.received.starts_with("Name: Nines\n"));
  EXPECT_TRUE(client.received.ends_with("Tainted: 0\n\n"));
  EXPECT_EQ(client.failure, "");
  EXPECT_EQ(driver->connections(), 0u);
  stream.close();
}

TEST_F(RuntimeSocketDriverTest, PathIsForItsOwnerAloneUnlessToldOtherwise) {
  struct stat status {};
  ASSERT_EQ(::stat(config.bind.address.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
}

TEST_F(RuntimeSocketDriverTest, PromptStaysUntilQuit) {
  Client client;
  io::Stream& stream = connect(client);
  stream.send("prompt\n");
  ASSERT_TRUE(until([&] { return client.received == "\n> "; }));
  stream.send("show version\n");
  ASSERT_TRUE(until([&] { return client.received == "\n> 0.1.0\n\n> "; }));
  EXPECT_FALSE(client.ended);
  stream.send("quit\n");
  ASSERT_TRUE(until([&] { return client.ended; }));
  stream.close();
}

TEST_F(RuntimeSocketDriverTest, SessionsThatComeLaterAreAnsweredInOrder) {
  Client client;
  io::Stream& stream = connect(client);
  stream.send("show cli level;show sess;show version\n");
  stream.finish();
  ASSERT_TRUE(until([&] { return !control.waiting.empty(); }));
  EXPECT_FALSE(client.ended);
  loop->post([this] { control.waiting[0](FakeControl::sessions()); });
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_TRUE(client.received.starts_with("admin\n\n0x2a: "));
  EXPECT_TRUE(client.received.ends_with("\n\n0.1.0\n\n"));
  stream.close();
}

TEST_F(RuntimeSocketDriverTest, SessionsThatComeAfterTheClientOrTheDriverIsGone) {
  Client client;
  io::Stream& stream = connect(client);
  stream.send("show sess\n");
  ASSERT_TRUE(until([&] { return !control.waiting.empty(); }));
  stream.close();
  for (int i = 0; i < 3; ++i) loop->run_once(1ms);
  control.waiting[0](FakeControl::sessions());
  ASSERT_TRUE(until([&] { return driver->connections() == 0; }));

  io::Stream& second = connect(client);
  second.send("show sess\n");
  ASSERT_TRUE(until([&] { return control.waiting.size() == 2; }));
  driver.reset();
  control.waiting[1](FakeControl::sessions());
  second.close();
}

TEST_F(RuntimeSocketDriverTest, SlowReaderHoldsBackItsOwnAnswerOnly) {
  Client slow;
  slow.lazy = true;
  io::Stream& stream = connect(slow);
  std::string many;
  for (int i = 0; i < 400; ++i) many += "show stat json;";
  stream.send(many + "show version\n");
  Client other;
  io::Stream& quick = connect(other);
  quick.send("show version\n");
  ASSERT_TRUE(until([&] { return other.ended; }));
  EXPECT_EQ(other.received, "0.1.0\n\n");
  for (int i = 0; i < 5; ++i) loop->run_once(1ms);
  EXPECT_EQ(driver->connections(), 1u);
  EXPECT_LT(slow.received.size(), 2u << 20);

  slow.lazy = false;
  stream.resume();
  ASSERT_TRUE(until([&] { return slow.ended; }));
  EXPECT_GT(slow.received.size(), 20u << 20);
  EXPECT_TRUE(slow.received.ends_with("\n\n0.1.0\n\n"));
  stream.close();
  quick.close();
}

TEST_F(RuntimeSocketDriverTest, SilentClientIsDroppedAfterTheTimeout) {
  driver->stop_listening();
  start(20ms);
  Client client;
  io::Stream& stream = connect(client);
  stream.send("prompt\n");
  ASSERT_TRUE(until([&] { return client.ended; }));
  EXPECT_EQ(client.received, "\n> ");
  stream.close();
}

TEST_F(RuntimeSocketDriverTest, TooManyConnectionsAreToldSo) {
  Client holder;
  std::vector<io::Stream*> streams;
  for (std::size_t i = 0; i < RuntimeSocketDriver::kConnectionsMax; ++i) {
    streams.push_back(&connect(holder));
  }
  ASSERT_TRUE(until([&] { return driver->connections() == RuntimeSocketDriver::kConnectionsMax; }));
  Client late;
  io::Stream& stream = connect(late);
  ASSERT_TRUE(until([&] { return late.ended; }));
  EXPECT_EQ(late.received, "Too many connections to this socket.\n");
  stream.close();
  for (io::Stream* each : streams) each->close();
  ASSERT_TRUE(until([&] { return driver->connections() == 0; }));
}

TEST_F(RuntimeSocketDriverTest, ManyConnectionsAfterEachOtherLeaveNothingBehind) {
  for (int i = 0; i < 200; ++i) {
    Client client;
    io::Stream& stream = connect(client);
    stream.send("show version\n");
    ASSERT_TRUE(until([&] { return client.ended; }));
    EXPECT_EQ(client.received, "0.1.0\n\n");
    stream.close();
    loop->run_once(0ms);
  }
  EXPECT_EQ(driver->connections(), 0u);
}

}  // namespace
}  // namespace nines::proxy

// The rules of io/loop.h, once for every loop: real sockets on loopback and the simulation must
// pass the same scenarios, so that what holds in one holds in the other.
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/linux/epoll_loop.h"
#include "sim/world.h"

namespace nines::sim {
namespace {

using io::Acceptor;
using io::Datagram;
using io::LentBytes;
using io::Loop;
using io::Sent;
using io::Stream;

// A loop, and how to make time pass for it.
class Bench {
 public:
  virtual ~Bench() = default;
  virtual Loop& loop() = 0;
  virtual void turn() = 0;    // a little more happens
  virtual void linger() = 0;  // long enough for what was sent to arrive
  virtual SocketAddress unix_path() = 0;
  bool until(const std::function<bool()>& condition) {
    for (int turns = 0; turns < 20'000 && !condition(); ++turns) turn();
    return condition();
  }
};

class EpollBench final : public Bench {
 public:
  EpollBench() : loop_(std::move(*io::EpollLoop::create())) {
    char name[] = "/tmp/nines-loop-XXXXXX";
    if (mkdtemp(name) != nullptr) folder_ = name;
  }
  ~EpollBench() override {
    ::unlink((folder_ + "/socket").c_str());
    ::rmdir(folder_.c_str());
  }
  Loop& loop() override { return *loop_; }
  void turn() override { loop_->run_once(1ms); }
  void linger() override {
    for (int turns = 0; turns < 5; ++turns) loop_->run_once(2ms);
  }
  SocketAddress unix_path() override { return SocketAddress::unix_path(folder_ + "/socket"); }

 private:
  std::unique_ptr<io::EpollLoop> loop_;
  std::string folder_;
};

class SimBench final : public Bench {
 public:
  SimBench() : world_(1), process_(world_.add_host("here", {"10.0.0.1"}).start("test")) {}
  Loop& loop() override { return process_.loop(); }
  void turn() override {
    if (!world_.step()) world_.run_for(1ms);
  }
  void linger() override { world_.run_for(5ms); }
  SocketAddress unix_path() override { return SocketAddress::unix_path("/run/socket"); }

 private:
  World world_;
  Process& process_;
};

// Notes everything and does as told.
struct Peer : io::StreamHandler {
  void on_connected(Stream& stream) override {
    connected = true;
    if (when_connected) when_connected(stream);
  }
  void on_data(Stream& stream, LentBytes bytes) override {
    received += bytes.view();
    room_was_there &=
        bytes.headroom() >= LentBytes::kHeadroom && bytes.tailroom() >= LentBytes::kTailroom;
    if (echo && stream.send(bytes.view()) == Sent::kQueued) {
      ++queued_answers;
      stream.pause();
    }
    if (when_data) when_data(stream);
  }
  void on_drained(Stream& stream) override {
    ++drained;
    if (echo) stream.resume();
  }
  void on_end(Stream& stream) override {
    ++ends;
    if (echo) stream.finish();
    if (when_ended) when_ended(stream);
  }
  void on_failed(Stream&, const Error& error) override {
    ++failures;
    failure = error.code();
  }

  bool echo = false;
  bool connected = false;
  bool room_was_there = true;
  int ends = 0;
  int failures = 0;
  int queued_answers = 0;
  int drained = 0;
  std::optional<ErrorCode> failure;
  std::string received;
  std::function<void(Stream&)> when_connected, when_data, when_ended;
};

struct Server : io::AcceptHandler {
  void on_accepted(Stream& stream) override {
    streams.push_back(&stream);
    stream.set_handler(&peer);
    if (when_accepted) when_accepted(stream);
  }
  void on_accept_exhausted(const Error&) override { FAIL(); }
  Stream& stream() { return *streams.front(); }
  Peer peer;
  std::vector<Stream*> streams;
  std::function<void(Stream&)> when_accepted;
};

struct Alarm : Timer {
  explicit Alarm(std::function<void()> what = {}) : action(std::move(what)) {}
  void on_timer(Instant now) override {
    fired = now;
    if (action) action();
  }
  Instant fired{};
  std::function<void()> action;
};

struct Hook : io::EndOfPass {
  explicit Hook(std::function<void()> what = {}) : action(std::move(what)) {}
  void on_end_of_pass() override {
    ++runs;
    if (action) action();
  }
  int runs = 0;
  std::function<void()> action;
};

std::string numbers(std::size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += std::to_string(i) + ",";
  return text;
}

template <typename BenchType>
class LoopConformance : public testing::Test {
 protected:
  BenchType bench;
  Server server;
  Peer client;

  Loop& loop() { return bench.loop(); }
  Acceptor& listen(const char* at = "127.0.0.1:0", const io::ListenOptions& options = {}) {
    return **loop().listen(*SocketAddress::parse(at), options, server);
  }
  Stream& connect(const SocketAddress& to) { return loop().connect(to, {}, client); }
  bool until(const std::function<bool()>& condition) { return bench.until(condition); }
  bool until_accepted() {
    return until([&] { return !server.streams.empty() && client.connected; });
  }
};

using Benches = testing::Types<EpollBench, SimBench>;
struct BenchNames {
  template <typename T>
  static std::string GetName(int) {
    return std::is_same_v<T, EpollBench> ? "Epoll" : "Sim";
  }
};
TYPED_TEST_SUITE(LoopConformance, Benches, BenchNames);

TYPED_TEST(LoopConformance, EchoesAndEndsGracefully) {
  this->server.peer.echo = true;
  Stream& stream = this->connect(this->listen().local());
  EXPECT_EQ(stream.send("hello"), Sent::kQueued);  // until connected
  EXPECT_EQ(stream.queued(), 5u);
  stream.finish();
  ASSERT_TRUE(this->until([&] { return this->client.ends > 0; }));
  EXPECT_TRUE(this->client.connected);
  EXPECT_FALSE(this->server.peer.connected);
  EXPECT_EQ(this->client.received, "hello");
  EXPECT_EQ(this->client.drained, 1);
  EXPECT_EQ(this->client.failures, 0);
  EXPECT_EQ(this->server.peer.ends, 1);
  EXPECT_TRUE(this->client.room_was_there);
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, BothEndsKnowTheirAddresses) {
  Acceptor& acceptor = this->listen();
  Stream& stream = this->connect(acceptor.local());
  ASSERT_TRUE(this->until_accepted());
  EXPECT_NE(acceptor.local().port(), 0);
  EXPECT_EQ(stream.peer(), acceptor.local());
  EXPECT_EQ(this->server.stream().local(), acceptor.local());
  EXPECT_EQ(this->server.stream().peer(), stream.local());
  EXPECT_EQ(stream.peer_credentials().has_value(), false);
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, ManyMegabytesPassWithBackpressureAndInOrder) {
  this->server.peer.echo = true;
  const std::string sent = numbers(6u << 20);
  Stream& stream = this->connect(this->listen().local());
  stream.pause();  // let the echo run into full buffers first
  stream.send(sent);
  stream.finish();
  ASSERT_TRUE(this->until([&] { return this->server.peer.queued_answers > 0; }));
  stream.resume();
  ASSERT_TRUE(this->until([&] { return this->client.ends > 0; }));
  EXPECT_TRUE(this->client.received == sent);
  EXPECT_GT(this->server.peer.drained, 0);
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, DrainedComesOnlyAfterAQueuedSend) {
  Stream& stream = this->connect(this->listen().local());
  ASSERT_TRUE(this->until_accepted());
  EXPECT_EQ(stream.send("short"), Sent::kDone);
  ASSERT_TRUE(this->until([&] { return this->server.peer.received == "short"; }));
  EXPECT_EQ(this->client.drained, 0);
  this->server.stream().pause();
  EXPECT_EQ(stream.send(std::string(32u << 20, 'x')), Sent::kQueued);
  this->bench.linger();
  EXPECT_EQ(this->client.drained, 0);
  EXPECT_GT(stream.queued(), 0u);
  this->server.stream().resume();
  ASSERT_TRUE(this->until([&] { return this->client.drained > 0; }));
  EXPECT_EQ(stream.queued(), 0u);
  EXPECT_EQ(this->client.drained, 1);
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, ARefusedConnectionFailsWithItsReason) {
  Acceptor& acceptor = this->listen();
  const SocketAddress gone = acceptor.local();
  acceptor.close();
  Stream& stream = this->connect(gone);
  EXPECT_EQ(this->client.failures, 0);  // not before connect() has returned
  ASSERT_TRUE(this->until([&] { return this->client.failures > 0; }));
  EXPECT_EQ(this->client.failure, ErrorCode::kRefused);
  EXPECT_FALSE(this->client.connected);
  stream.close();
  this->bench.linger();
  EXPECT_EQ(this->client.failures, 1);
}

TYPED_TEST(LoopConformance, WhatCannotEvenBeginFailsInALaterPass) {
  Stream& stream = this->connect(SocketAddress::unix_path("/nonexistent/socket"));
  stream.send("dropped");
  stream.finish();
  EXPECT_EQ(this->client.failures, 0);
  ASSERT_TRUE(this->until([&] { return this->client.failures > 0; }));
  EXPECT_EQ(this->client.failure, ErrorCode::kNotFound);
  stream.close();
}

TYPED_TEST(LoopConformance, AForeignSourceAddressFailsInALaterPass) {
  io::ConnectOptions options;
  options.source = *SocketAddress::parse("192.0.2.77:0");
  Stream& stream = this->loop().connect(this->listen().local(), options, this->client);
  EXPECT_EQ(this->client.failures, 0);
  ASSERT_TRUE(this->until([&] { return this->client.failures > 0; }));
  EXPECT_EQ(this->client.failure, ErrorCode::kExhausted);
  stream.close();
}

TYPED_TEST(LoopConformance, AConnectionClosedBeforeItsFailureIsToldHearsNothing) {
  Stream& stream = this->connect(SocketAddress::unix_path("/nonexistent/socket"));
  stream.close();
  this->bench.linger();
  EXPECT_EQ(this->client.failures, 0);
}

TYPED_TEST(LoopConformance, AConnectionClosedWhileConnectingHearsNothing) {
  Acceptor& acceptor = this->listen();
  this->connect(acceptor.local()).close();
  this->bench.linger();
  EXPECT_FALSE(this->client.connected);
  EXPECT_EQ(this->client.failures + this->client.ends, 0);
  for (Stream* const stream : this->server.streams) stream->close();
}

TYPED_TEST(LoopConformance, APausedStreamKeepsItsBytesForLater) {
  this->server.when_accepted = [](Stream& stream) { stream.pause(); };
  Stream& stream = this->connect(this->listen().local());
  stream.send("later");
  stream.finish();
  ASSERT_TRUE(this->until_accepted());
  this->bench.linger();
  EXPECT_EQ(this->server.peer.received, "");
  EXPECT_EQ(this->server.peer.ends, 0);
  this->server.stream().resume();
  ASSERT_TRUE(this->until([&] { return this->server.peer.ends == 1; }));
  EXPECT_EQ(this->server.peer.received, "later");
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, PauseWithinACallbackHoldsWhatFollows) {
  this->server.peer.when_data = [](Stream& stream) { stream.pause(); };
  const std::string sent = numbers(1u << 20);
  Stream& stream = this->connect(this->listen().local());
  stream.send(sent);
  ASSERT_TRUE(this->until([&] { return !this->server.peer.received.empty(); }));
  const std::size_t first = this->server.peer.received.size();
  this->bench.linger();
  EXPECT_EQ(this->server.peer.received.size(), first);
  this->server.peer.when_data = {};
  this->server.stream().resume();
  ASSERT_TRUE(this->until([&] { return this->server.peer.received.size() == sent.size(); }));
  EXPECT_TRUE(this->server.peer.received == sent);
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, AResetIsSeenOnAPausedStreamThatIsWatched) {
  this->server.when_accepted = [](Stream& stream) {
    stream.pause();
    stream.watch();
  };
  Stream& stream = this->connect(this->listen().local());
  ASSERT_TRUE(this->until_accepted());
  stream.abort();
  ASSERT_TRUE(this->until([&] { return this->server.peer.failures > 0; }));
  EXPECT_EQ(this->server.peer.failure, ErrorCode::kReset);
  EXPECT_TRUE(this->server.stream().peer_gone());
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, ThePeersFinIsKnownButNotToldWhilePaused) {
  this->server.when_accepted = [](Stream& stream) {
    stream.pause();
    stream.watch();
  };
  Stream& stream = this->connect(this->listen().local());
  ASSERT_TRUE(this->until_accepted());
  EXPECT_FALSE(this->server.stream().peer_gone());
  stream.close();
  ASSERT_TRUE(this->until([&] { return this->server.stream().peer_gone(); }));
  EXPECT_EQ(this->server.peer.ends, 0);
  this->server.stream().resume();
  ASSERT_TRUE(this->until([&] { return this->server.peer.ends == 1; }));
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, TheLastWordsBeforeAResetAreHeard) {
  // The server answers and closes with bytes unread: the kernel sends the answer, then a reset.
  this->server.when_accepted = [](Stream& stream) {
    stream.pause();
    stream.send("too large");
  };
  Stream& stream = this->connect(this->listen().local());
  stream.pause();
  stream.send("a long request body");
  ASSERT_TRUE(this->until_accepted());
  this->bench.linger();
  stream.resume();
  this->server.stream().close();
  ASSERT_TRUE(this->until([&] { return this->client.failures + this->client.ends > 0; }));
  EXPECT_EQ(this->client.received, "too large");
  stream.close();
}

TYPED_TEST(LoopConformance, TheLastWordsAreHeardAlsoWhileOurOwnQueueIsFull) {
  // A body too large, refused half-way: the client still has bytes to send when the reset comes.
  this->server.when_accepted = [](Stream& stream) { stream.pause(); };
  Stream& stream = this->connect(this->listen().local());
  ASSERT_TRUE(this->until_accepted());
  EXPECT_EQ(stream.send(std::string(32u << 20, 'x')), Sent::kQueued);
  this->bench.linger();
  this->server.stream().send("too large");
  this->server.stream().close();
  ASSERT_TRUE(this->until([&] { return this->client.failures + this->client.ends > 0; }));
  EXPECT_EQ(this->client.received, "too large");
  EXPECT_EQ(this->client.failure, ErrorCode::kReset);  // and no graceful end is made up
  stream.close();
}

TYPED_TEST(LoopConformance, AResetThatASendRanIntoIsToldAlsoWhilePaused) {
  this->server.when_accepted = [](Stream& stream) {
    stream.pause();
    stream.watch();
  };
  Stream& stream = this->connect(this->listen().local());
  ASSERT_TRUE(this->until_accepted());
  this->bench.linger();
  this->loop().post([&] {
    stream.abort();
    this->server.stream().send("into the void");
  });
  ASSERT_TRUE(this->until([&] { return this->server.peer.failures > 0; }));
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, AResetAfterThePeersEndIsTold) {
  Stream& stream = this->connect(this->listen().local());
  stream.finish();
  ASSERT_TRUE(this->until([&] { return this->server.peer.ends == 1; }));
  stream.abort();
  ASSERT_TRUE(this->until([&] { return this->server.peer.failures == 1; }));
  EXPECT_EQ(this->server.peer.failure, ErrorCode::kReset);
  EXPECT_EQ(this->server.peer.ends, 1);
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, AResetAfterThePeersEndIsToldToWhoWaitsForRoom) {
  // The client has said all and takes no answer; then it goes.
  Stream& stream = this->connect(this->listen().local());
  stream.pause();
  stream.finish();
  ASSERT_TRUE(this->until([&] { return this->server.peer.ends == 1; }));
  EXPECT_EQ(this->server.stream().send(std::string(32u << 20, 'x')), Sent::kQueued);
  this->bench.linger();
  this->loop().post([&] {
    stream.abort();
    this->server.stream().send("into the void");
  });
  ASSERT_TRUE(this->until([&] { return this->server.peer.failures == 1; }));
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, AResetThatASendRanIntoAfterThePeersEndIsTold) {
  Stream& stream = this->connect(this->listen().local());
  stream.finish();
  ASSERT_TRUE(this->until([&] { return this->server.peer.ends == 1; }));
  this->loop().post([&] {
    stream.abort();
    this->server.stream().send("into the void");
  });
  ASSERT_TRUE(this->until([&] { return this->server.peer.failures == 1; }));
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, AfterItsEndAStreamStillSends) {
  this->server.peer.when_ended = [](Stream& stream) {
    stream.send("answer after your end");
    stream.finish();
  };
  Stream& stream = this->connect(this->listen().local());
  stream.send("request");
  stream.finish();
  ASSERT_TRUE(this->until([&] { return this->client.ends == 1; }));
  EXPECT_EQ(this->client.received, "answer after your end");
  EXPECT_EQ(stream.send("too late"), Sent::kDone);  // dropped: after finish()
  EXPECT_EQ(this->client.failures, 0);
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, BytesThatAnnounceMoreArriveWithWhatFollows) {
  Stream& stream = this->connect(this->listen().local());
  ASSERT_TRUE(this->until_accepted());
  std::vector<std::string> pieces;
  this->server.peer.when_data = [&](Stream&) { pieces.push_back(this->server.peer.received); };
  EXPECT_EQ(stream.send_more("head "), Sent::kDone);
  EXPECT_EQ(stream.send("body"), Sent::kDone);
  ASSERT_TRUE(this->until([&] { return this->server.peer.received == "head body"; }));
  EXPECT_EQ(pieces, std::vector<std::string>{"head body"});
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, ClosingInsideACallbackIsSafeAndFinal) {
  this->server.peer.when_data = [](Stream& stream) { stream.close(); };
  Stream& stream = this->connect(this->listen().local());
  stream.send("x");
  ASSERT_TRUE(this->until([&] { return this->client.ends + this->client.failures > 0; }));
  EXPECT_EQ(this->server.peer.received, "x");
  EXPECT_EQ(this->server.peer.ends, 0);
  EXPECT_EQ(this->server.stream().send("dead"), Sent::kDone);  // maybe recycled; never a crash
  stream.close();
}

TYPED_TEST(LoopConformance, AClosedStreamStaysValidUntilTheEndOfItsPass) {
  Hook hook([&] {
    Stream& closed = this->server.stream();
    closed.close();
    closed.resume();
    closed.watch();
    closed.finish();
    closed.abort();
    EXPECT_EQ(closed.send("nothing"), Sent::kDone);
  });
  this->server.peer.when_data = [&](Stream& stream) {
    stream.close();
    this->loop().at_end_of_pass(hook);
  };
  Stream& stream = this->connect(this->listen().local());
  stream.send("x");
  ASSERT_TRUE(this->until([&] { return hook.runs > 0; }));
  this->bench.linger();
  stream.close();
}

TYPED_TEST(LoopConformance, ClosingInOnConnectedIsSafe) {
  this->client.when_connected = [](Stream& stream) { stream.close(); };
  Stream& stream = this->connect(this->listen().local());
  stream.send("never flushed");
  ASSERT_TRUE(this->until([&] { return this->server.peer.ends + this->server.peer.failures > 0; }));
  EXPECT_EQ(this->client.drained, 0);
  EXPECT_EQ(this->server.peer.received, "");
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, StreamObjectsAreRecycledWithoutMemoryOfTheirFormerLife) {
  this->server.peer.echo = true;
  const SocketAddress at = this->listen().local();
  for (int i = 0; i < 50; ++i) {
    Peer fresh;
    Stream& stream = this->loop().connect(at, {}, fresh);
    stream.send("ping");
    ASSERT_TRUE(this->until([&] { return fresh.received == "ping"; }));
    stream.close();
    this->server.streams.back()->close();
    this->bench.linger();
  }
  EXPECT_EQ(this->server.streams.size(), 50u);
}

TYPED_TEST(LoopConformance, APausedAcceptorLeavesConnectionsInTheQueue) {
  Acceptor& acceptor = this->listen();
  acceptor.pause();
  Stream& stream = this->connect(acceptor.local());
  stream.send("hello");
  ASSERT_TRUE(this->until([&] { return this->client.connected; }));
  this->bench.linger();
  EXPECT_TRUE(this->server.streams.empty());
  acceptor.resume();
  ASSERT_TRUE(this->until([&] { return this->server.peer.received == "hello"; }));
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, AClosedAcceptorResetsWhatWaitedInItsQueue) {
  Acceptor& acceptor = this->listen();
  acceptor.pause();
  Stream& stream = this->connect(acceptor.local());
  ASSERT_TRUE(this->until([&] { return this->client.connected; }));
  this->bench.linger();
  acceptor.close();
  ASSERT_TRUE(this->until([&] { return this->client.failures > 0; }));
  EXPECT_EQ(this->client.failure, ErrorCode::kReset);
  stream.close();
}

TYPED_TEST(LoopConformance, ADeferredConnectionIsAcceptedWithItsBytes) {
  io::ListenOptions options;
  options.defer_accept = true;
  Stream& stream = this->connect(this->listen("127.0.0.1:0", options).local());
  ASSERT_TRUE(this->until([&] { return this->client.connected; }));
  this->bench.linger();
  EXPECT_TRUE(this->server.streams.empty());
  stream.send("first words");
  ASSERT_TRUE(this->until([&] { return this->server.peer.received == "first words"; }));
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, APeerThatIsAskedAndThereOwesNothing) {
  this->server.peer.echo = true;
  Stream& stream = this->connect(this->listen().local());
  EXPECT_FALSE(stream.acknowledgement_overdue());
  stream.send("hello");
  ASSERT_TRUE(this->until([&] { return this->client.received == "hello"; }));
  stream.probe_peer();
  this->server.stream().probe_peer();
  this->bench.linger();
  EXPECT_FALSE(stream.acknowledgement_overdue());
  // Whoever is asked goes on as before.
  stream.send(", again");
  ASSERT_TRUE(this->until([&] { return this->client.received == "hello, again"; }));
  EXPECT_FALSE(stream.acknowledgement_overdue());
  EXPECT_EQ(this->client.failures, 0);
  stream.close();
  this->server.stream().close();
}

TYPED_TEST(LoopConformance, AnAddressThatIsNotHereIsBoundAllTheSame) {
  const auto elsewhere = *SocketAddress::parse("192.0.2.1:45987");
  io::ListenOptions options;
  const auto bound = this->loop().listen(elsewhere, options, this->server);
  ASSERT_TRUE(bound.has_value());
  options.free_bind = false;
  const auto refused = this->loop().listen(elsewhere.with_port(45988), options, this->server);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), ErrorCode::kExhausted);
}

TYPED_TEST(LoopConformance, UnixSocketsKnowWhoIsThere) {
  const SocketAddress path = this->bench.unix_path();
  Acceptor& acceptor = **this->loop().listen(path, {}, this->server);
  this->server.peer.echo = true;
  Stream& stream = this->connect(path);
  stream.send("hello");
  ASSERT_TRUE(this->until([&] { return this->client.received == "hello"; }));
  EXPECT_EQ(stream.peer(), path);
  EXPECT_EQ(this->server.stream().peer(), path);
  ASSERT_TRUE(this->server.stream().peer_credentials().has_value());
  ASSERT_TRUE(stream.peer_credentials().has_value());
  EXPECT_EQ(this->server.stream().peer_credentials()->pid, stream.peer_credentials()->pid);
  const auto second = this->loop().listen(path, {}, this->server);
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), ErrorCode::kExists);
  acceptor.close();
  this->bench.linger();
  Peer late;
  Stream& refused = this->loop().connect(path, {}, late);  // the path is still there
  ASSERT_TRUE(this->until([&] { return late.failures > 0; }));
  EXPECT_EQ(late.failure, ErrorCode::kRefused);
  refused.close();
  stream.close();
  for (Stream* const accepted : this->server.streams) accepted->close();
}

struct Receiver : io::DatagramHandler {
  void on_datagram(const SocketAddress& sender, std::string_view bytes) override {
    from = sender;
    texts.emplace_back(bytes);
    if (when_received) when_received();
  }
  SocketAddress from;
  std::vector<std::string> texts;
  std::function<void()> when_received;
};

TYPED_TEST(LoopConformance, DatagramsArriveWholeAndWithTheirSender) {
  const auto any = *SocketAddress::parse("127.0.0.1:0");
  Receiver receiver, sender;
  Datagram* const in = *this->loop().open_datagram(any, receiver);
  Datagram* const out = *this->loop().open_datagram(any, sender);
  EXPECT_TRUE(out->send_to(in->local(), "one"));
  EXPECT_TRUE(out->send_to(in->local(), ""));
  EXPECT_TRUE(out->send_to(in->local(), "three"));
  EXPECT_FALSE(out->send_to(in->local(), std::string(70'000, 'x')));
  ASSERT_TRUE(this->until([&] { return receiver.texts.size() == 3; }));
  EXPECT_EQ(receiver.texts, (std::vector<std::string>{"one", "", "three"}));
  EXPECT_EQ(receiver.from, out->local());
  in->close();
  EXPECT_TRUE(out->send_to(*SocketAddress::parse("127.0.0.1:1"), "nobody hears"));
  out->close();
  EXPECT_FALSE(out->send_to(any.with_port(1), "closed"));
}

TYPED_TEST(LoopConformance, UnixDatagramsArriveAlsoFromWhoHasNoName) {
  const SocketAddress path = this->bench.unix_path();
  Receiver receiver, sender;
  const auto out = this->loop().open_datagram(SocketAddress::unix_path(""), sender);
  ASSERT_TRUE(out.has_value());
  EXPECT_FALSE((*out)->send_to(path, "nobody is there yet"));
  const auto in = this->loop().open_datagram(path, receiver);
  ASSERT_TRUE(in.has_value());
  EXPECT_TRUE((*out)->send_to(path, "a line"));
  ASSERT_TRUE(this->until([&] { return !receiver.texts.empty(); }));
  EXPECT_EQ(receiver.texts.front(), "a line");
  EXPECT_EQ(receiver.from, SocketAddress::unix_path(""));
  (*in)->close();
  (*out)->close();
}

TYPED_TEST(LoopConformance, ADatagramSocketClosedInItsCallbackHearsNoMore) {
  const auto any = *SocketAddress::parse("127.0.0.1:0");
  Receiver receiver, sender;
  Datagram* const in = *this->loop().open_datagram(any, receiver);
  Datagram* const out = *this->loop().open_datagram(any, sender);
  receiver.when_received = [&] { in->close(); };
  out->send_to(in->local(), "one");
  out->send_to(in->local(), "two");
  ASSERT_TRUE(this->until([&] { return !receiver.texts.empty(); }));
  this->bench.linger();
  EXPECT_EQ(receiver.texts.size(), 1u);
  out->close();
}

TYPED_TEST(LoopConformance, TimersFireNotBeforeTheirDeadlineAndOnce) {
  const Instant begin = this->loop().now();
  int fired = 0;
  Alarm late([&] { ++fired; }), soon([&] { ++fired; }), cancelled([&] { ++fired; });
  this->loop().arm(late, 20ms);
  this->loop().arm(soon, 5ms);
  this->loop().arm(cancelled, 10ms);
  cancelled.cancel();
  ASSERT_TRUE(this->until([&] { return late.fired != Instant{}; }));
  EXPECT_GE(soon.fired - begin, 5ms);
  EXPECT_GE(late.fired - begin, 20ms);
  EXPECT_LT(soon.fired, late.fired);
  EXPECT_EQ(fired, 2);
}

TYPED_TEST(LoopConformance, ATimerArmsItselfAgain) {
  int ticks = 0;
  Alarm alarm;
  alarm.action = [&] {
    if (++ticks < 5) this->loop().arm(alarm, 2ms);
  };
  this->loop().arm(alarm, 2ms);
  EXPECT_TRUE(this->until([&] { return ticks == 5; }));
}

TYPED_TEST(LoopConformance, PostedTasksRunInOrderAndTheirOwnPostsInALaterPass) {
  std::string order;
  Hook hook([&] { order += '|'; });
  this->loop().post([&] {
    order += 'a';
    this->loop().at_end_of_pass(hook);
    this->loop().post([&] { order += 'c'; });
  });
  this->loop().post([&] { order += 'b'; });
  ASSERT_TRUE(this->until([&] { return order.size() == 4; }));
  EXPECT_EQ(order, "ab|c");
}

TYPED_TEST(LoopConformance, TheEndOfPassHookRunsOnceForEachRequest) {
  Hook hook;
  this->loop().at_end_of_pass(hook);
  this->bench.linger();
  EXPECT_EQ(hook.runs, 1);
  this->loop().at_end_of_pass(hook);
  this->loop().at_end_of_pass(hook);
  this->bench.linger();
  EXPECT_EQ(hook.runs, 3);
}

TYPED_TEST(LoopConformance, TimeStandsStillWithinAPass) {
  std::vector<Instant> seen;
  Hook hook([&] { seen.push_back(this->loop().now()); });
  this->loop().post([&] {
    seen.push_back(this->loop().now());
    this->loop().at_end_of_pass(hook);
  });
  ASSERT_TRUE(this->until([&] { return seen.size() == 2; }));
  EXPECT_EQ(seen[0], seen[1]);
}

}  // namespace
}  // namespace nines::sim

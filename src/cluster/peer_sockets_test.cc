// Controllers that speak: over the kernel's sockets, and over simulated networks that lose, repeat
// and reorder, with nodes that restart.
#include "cluster/peer_sockets.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cluster/seal_model.h"
#include "io/linux/epoll_loop.h"
#include "sim/for_each_seed.h"
#include "sim/world.h"

namespace nines::cluster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::uint16_t kPort = 7402;

class Lines final : public io::Log {
 public:
  void write(io::Severity, std::string_view message, const std::vector<io::LogField>&) override {
    lines.emplace_back(message);
  }
  std::vector<std::string> lines;
};

struct Heard {
  NodeId from;
  std::size_t network;
  std::string text;
  friend bool operator==(const Heard&, const Heard&) = default;
};

class Inbox final : public PeerHandler {
 public:
  void on_message(NodeId from, std::size_t network, std::string_view bytes) override {
    heard.push_back({from, network, std::string(bytes)});
  }
  void on_new_life(NodeId from) override { lives.push_back(from); }
  std::vector<Heard> heard;
  std::vector<NodeId> lives;
};

// -- the kernel's sockets -------------------------------------------------------------------------

// An address block of this process alone, so that tests may run side by side.
SocketAddress loopback(NodeId node, std::size_t network) {
  const int pid = ::getpid();
  return SocketAddress::ipv4(
      {127, static_cast<std::uint8_t>(pid >> 8 & 0xff), static_cast<std::uint8_t>(pid & 0xff),
       static_cast<std::uint8_t>(10 * (network + 1) + node)},
      kPort);
}

std::map<NodeId, std::vector<SocketAddress>> loopback_nodes(NodeId count, std::size_t networks) {
  std::map<NodeId, std::vector<SocketAddress>> nodes;
  for (NodeId node = 1; node <= count; ++node) {
    for (std::size_t i = 0; i < networks; ++i) nodes[node].push_back(loopback(node, i));
  }
  return nodes;
}

class PeerSocketsTest : public testing::Test {
 protected:
  static constexpr Duration kPatience = 20s;  // of a test on a busy machine

  PeerSocketsTest() : loop_(*io::EpollLoop::create()) {}

  std::unique_ptr<PeerSockets> node(NodeId self, Inbox& inbox, int life = 1,
                                    ClusterKeys keys = keys_of({1}), std::size_t networks = 2) {
    PeerSocketsOptions options{.self = self,
                               .nodes = loopback_nodes(3, networks),
                               .keys = std::move(keys),
                               .incarnation = incarnation_of(self, life)};
    auto made = PeerSockets::create(std::move(options), *loop_, inbox, log_);
    EXPECT_TRUE(made.has_value());
    (*made)->start();
    return *std::move(made);
  }
  template <typename Condition>
  bool wait_for(Condition&& condition) {
    const Instant until = loop_->now() + kPatience;
    while (!condition()) {
      if (loop_->now() > until) return false;
      loop_->run_once(10ms);
    }
    return true;
  }

  std::unique_ptr<io::EpollLoop> loop_;
  Lines log_;
};

// Old alone, old and new, new and old, new alone: each node in its turn, and the other one goes on
// sending to a life that is no more.
TEST_F(PeerSocketsTest, KeysAreReplacedWithoutANewProcess) {
  Inbox inbox1, inbox2;
  const auto one = node(1, inbox1), two = node(2, inbox2);
  ASSERT_TRUE(wait_for([&] { return one->ready(2) && two->ready(1); }));
  int life = 1;
  const auto both_hear = [&] {
    const std::size_t heard1 = inbox1.heard.size(), heard2 = inbox2.heard.size();
    return wait_for([&] {
      one->send(2, "still there?");
      two->send(1, "still there?");
      return inbox1.heard.size() > heard1 && inbox2.heard.size() > heard2;
    });
  };
  for (const ClusterKeys& keys : {keys_of({1, 2}), keys_of({2, 1}), keys_of({2})}) {
    ASSERT_TRUE(one->set_keys(keys, incarnation_of(1, ++life)).has_value());
    ASSERT_TRUE(both_hear()) << "one has keys that two has not, life " << life;
    ASSERT_TRUE(two->set_keys(keys, incarnation_of(2, life)).has_value());
    ASSERT_TRUE(both_hear()) << "both have them, life " << life;
  }
  EXPECT_FALSE(one->set_keys({}, incarnation_of(1, ++life)).has_value());
  EXPECT_TRUE(both_hear()) << "a bad change changes nothing";
}

TEST_F(PeerSocketsTest, AMessageIsHeardOnceThoughItComesByTwoNetworks) {
  Inbox inbox1, inbox2;
  const auto one = node(1, inbox1), two = node(2, inbox2);
  EXPECT_FALSE(one->send(2, "too early"));
  ASSERT_TRUE(wait_for([&] { return one->ready(2) && two->ready(1); }));
  EXPECT_THAT(inbox2.lives, ElementsAre(1));
  ASSERT_TRUE(one->send(2, "first"));
  ASSERT_TRUE(one->send(2, ""));
  ASSERT_TRUE(one->send(2, std::string(kMessageMax, 'x')));
  const auto copies = [&] {
    const PeerStatistics of = two->statistics(1);
    return of.links[0].copies + of.links[1].copies;
  };
  ASSERT_TRUE(wait_for([&] { return copies() == 3; }));
  ASSERT_EQ(inbox2.heard.size(), 3u);
  EXPECT_EQ(inbox2.heard[0].text, "first");
  EXPECT_EQ(inbox2.heard[1].text, "");
  EXPECT_EQ(inbox2.heard[2].text.size(), kMessageMax);
  EXPECT_EQ(one->statistics(2).links[0].sent, 3u);
  EXPECT_EQ(two->statistics(1).links[1].heard, 3u);
  EXPECT_NE(two->statistics(1).links[1].last_heard, Instant{});
  EXPECT_FALSE(one->ready(3));
  EXPECT_FALSE(one->send(9, "to nobody"));
}

TEST_F(PeerSocketsTest, WhatRidesAlongIsHeardByEachNetworkAndTheMessageOnce) {
  Inbox inbox1, inbox2;
  const auto one = node(1, inbox1), two = node(2, inbox2);
  ASSERT_TRUE(wait_for([&] { return one->ready(2) && two->ready(1); }));
  ASSERT_TRUE(one->send(2, "message", {"first rider", "second rider"}));
  ASSERT_TRUE(one->send(2, std::string(kMessageMax - kRiderMax, 'x'),
                        {std::string(kRiderMax, 'r'), std::string()}));
  const auto copies = [&] {
    const PeerStatistics of = two->statistics(1);
    return of.links[0].copies + of.links[1].copies;
  };
  ASSERT_TRUE(wait_for([&] { return copies() == 2; }));
  EXPECT_THAT(inbox2.heard,
              testing::IsSupersetOf({Heard{1, 0, "first rider"}, Heard{1, 1, "second rider"},
                                     Heard{1, 0, std::string(kRiderMax, 'r')}}));
  ASSERT_EQ(inbox2.heard.size(), 5u);
  const auto message = std::count_if(inbox2.heard.begin(), inbox2.heard.end(),
                                     [](const Heard& each) { return each.text == "message"; });
  EXPECT_EQ(message, 1);
  // Sealed by a peer, and shorter than it says.
  Sealer third = sealer_of(3, 1);
  struct Relay final : io::DatagramHandler {
    void on_datagram(const SocketAddress&, std::string_view bytes) override { got = bytes; }
    std::string got;
  } relay;
  auto socket = loop_->open_datagram(loopback(3, 0), relay);
  ASSERT_TRUE(socket.has_value());
  (*socket)->send_to(loopback(1, 0), third.hello(1));
  ASSERT_TRUE(wait_for([&] { return !relay.got.empty(); }));
  (void)third.open(relay.got);
  const std::string framed = std::string("\0\1\0\0\0\0\0\0\0\5", 10) + "four";
  (*socket)->send_to(loopback(1, 0), *third.seal(1, framed));
  ASSERT_TRUE(wait_for([&] { return one->network_statistics(0).malformed == 1; }));
  EXPECT_TRUE(inbox1.heard.empty());
  (*socket)->close();
}

TEST_F(PeerSocketsTest, ALinkIsTriedAlone) {
  Inbox inbox1, inbox2;
  const auto one = node(1, inbox1), two = node(2, inbox2);
  ASSERT_TRUE(wait_for([&] { return one->ready(2) && two->ready(1); }));
  ASSERT_TRUE(one->send_on(1, 2, "probe"));
  ASSERT_TRUE(wait_for([&] { return !inbox2.heard.empty(); }));
  EXPECT_THAT(inbox2.heard, ElementsAre(Heard{1, 1, "probe"}));
  EXPECT_EQ(two->statistics(1).links[0].heard, 0u);
}

TEST_F(PeerSocketsTest, ANodeThatStartsAgainIsKnownAtOnce) {
  Inbox inbox1, inbox2, inbox2_again;
  const auto one = node(1, inbox1);
  auto two = node(2, inbox2);
  ASSERT_TRUE(wait_for([&] { return one->ready(2) && two->ready(1); }));
  two.reset();
  two = node(2, inbox2_again, 2);
  ASSERT_TRUE(wait_for([&] { return inbox1.lives.size() == 2 && two->ready(1); }));
  ASSERT_TRUE(one->send(2, "welcome"));
  ASSERT_TRUE(wait_for([&] { return !inbox2_again.heard.empty(); }));
  EXPECT_EQ(one->statistics(2).lives, 2u);
}

TEST_F(PeerSocketsTest, ACopyMovedToAnotherNetworkDoesNotMakeThatOneLookAlive) {
  Inbox inbox1, inbox2;
  const auto one = node(1, inbox1), two = node(2, inbox2);
  ASSERT_TRUE(wait_for([&] { return one->ready(2) && two->ready(1); }));
  // Node 3 is the attacker's place: it hears nothing sealed, so the copy is made where it is sent.
  Sealer third = sealer_of(3, 1);
  struct Relay final : io::DatagramHandler {
    void on_datagram(const SocketAddress&, std::string_view bytes) override { got = bytes; }
    std::string got;
  } relay;
  auto socket = loop_->open_datagram(loopback(3, 0), relay);
  ASSERT_TRUE(socket.has_value());
  (*socket)->send_to(loopback(1, 0), third.hello(1));
  ASSERT_TRUE(wait_for([&] { return !relay.got.empty(); }));
  (void)third.open(relay.got);
  ASSERT_TRUE(third.ready(1));
  const std::string framed = std::string("\0\1\0\0\0\0\0\0\0\0", 10) + "for network 0";
  (*socket)->send_to(loopback(1, 1), *third.seal(1, framed));
  ASSERT_TRUE(wait_for([&] { return one->statistics(3).links[1].crossed == 1; }));
  EXPECT_EQ(one->statistics(3).links[1].heard, 0u);
  (*socket)->send_to(loopback(1, 0), *third.seal(1, "short"));
  ASSERT_TRUE(wait_for([&] { return one->network_statistics(0).malformed == 1; }));
  EXPECT_TRUE(inbox1.heard.empty());
  (*socket)->close();
}

TEST_F(PeerSocketsTest, AnotherKeyIsToldInTheLogOnceAndCounted) {
  Inbox inbox1, inbox2;
  const auto one = node(1, inbox1), two = node(2, inbox2, 1, keys_of({2}));
  const auto refused = [&] {
    return one->network_statistics(0).refused[static_cast<std::size_t>(SealFault::kUnknownKey)];
  };
  ASSERT_TRUE(wait_for([&] { return refused() >= 3; }));
  EXPECT_FALSE(one->ready(2) || two->ready(1));
  int lines = 0;
  for (const std::string& line : log_.lines) {
    lines += line.find("on cluster network 1: unknown key") != line.npos;
  }
  EXPECT_EQ(lines, 2);  // one of each node
}

TEST_F(PeerSocketsTest, ReplayedHellosAreAnsweredWithMeasure) {
  Inbox inbox1;
  const auto one = node(1, inbox1, 1, keys_of({1}), 1);
  struct Nothing final : io::DatagramHandler {
    void on_datagram(const SocketAddress&, std::string_view) override {}
  } nothing;
  auto socket = loop_->open_datagram(loopback(2, 0), nothing);
  ASSERT_TRUE(socket.has_value());
  const std::string hello = sealer_of(2, 9).hello(1);
  const auto unproven = [&] {
    return one->network_statistics(0).refused[static_cast<std::size_t>(SealFault::kUnproven)];
  };
  for (std::uint64_t i = 1; i <= 200; ++i) {
    (*socket)->send_to(loopback(1, 0), hello);
    if (i % 20 != 0) continue;
    ASSERT_TRUE(wait_for([&] { return unproven() >= i; }));
  }
  const PeerStatistics of = one->statistics(2);
  EXPECT_EQ(of.answers + of.answers_withheld, 200u);
  EXPECT_GE(of.answers, static_cast<std::uint64_t>(PeerSockets::kAnswersBurst));
  (*socket)->close();
}

TEST_F(PeerSocketsTest, AddressesThatCannotBeAreRefused) {
  Inbox inbox;
  const auto complaint = [&](std::map<NodeId, std::vector<SocketAddress>> nodes) {
    const auto made = PeerSockets::create({.self = 1,
                                           .nodes = std::move(nodes),
                                           .keys = keys_of({1}),
                                           .incarnation = incarnation_of(1, 1)},
                                          *loop_, inbox, log_);
    return made.has_value() ? "" : made.error().message();
  };
  const SocketAddress a = loopback(1, 0), b = loopback(2, 0);
  EXPECT_EQ(complaint({{1, {a}}, {2, {b}}}), "");
  EXPECT_THAT(complaint({{2, {b}}}), HasSubstr("node 1: is itself not among"));
  EXPECT_THAT(complaint({{1, {}}}), HasSubstr("one to 4 networks"));
  EXPECT_THAT(complaint({{1, {a}}, {2, {b, loopback(2, 1)}}}),
              HasSubstr("node 2: has not as many"));
  EXPECT_THAT(complaint({{1, {a}}, {2, {a}}}), HasSubstr("is named twice"));
  EXPECT_THAT(complaint({{1, {a}}, {2, {b.with_port(0)}}}), HasSubstr("with a port"));
  EXPECT_THAT(complaint({{1, {a}}, {64, {b}}}), HasSubstr("no such node"));
}

TEST(FreshIncarnationTest, NoTwoAreAlike) {
  const auto one = fresh_incarnation(), two = fresh_incarnation();
  ASSERT_TRUE(one.has_value() && two.has_value());
  EXPECT_NE(*one, *two);
}

// -- simulated networks ---------------------------------------------------------------------------

constexpr NodeId kNodes = 3;

std::string sim_address(NodeId node, std::size_t network) {
  return "10.0." + std::to_string(network + 1) + "." + std::to_string(node);
}

// A controller of the simulation: tells each peer a number each 20 ms, and checks what it is told.
class Speaker final : public PeerHandler, private Timer {
 public:
  Speaker(sim::Process& process, NodeId self, int life)
      : self_(self), loop_(process.loop()), prefix_(std::to_string(life) + " ") {
    PeerSocketsOptions options{
        .self = self, .nodes = {}, .keys = keys_of({1}), .incarnation = incarnation_of(self, life)};
    for (NodeId node = 1; node <= kNodes; ++node) {
      for (std::size_t i = 0; i < 2; ++i) {
        options.nodes[node].push_back(*SocketAddress::parse_ip(sim_address(node, i), kPort));
      }
    }
    sockets_ = *PeerSockets::create(std::move(options), loop_, *this, process.log());
    sockets_->start();
    loop_.arm(*this, 20ms);
  }
  void on_message(NodeId from, std::size_t, std::string_view bytes) override {
    const std::string text(bytes);
    EXPECT_TRUE(heard_[from].insert(text).second) << "heard twice: " << text;
    const int life = std::stoi(text);
    EXPECT_GE(life, life_[from]) << "from an earlier life: " << text;
    life_[from] = life;
  }
  // From the newest life of each peer something was heard.
  bool hears_everybody(const std::array<int, kNodes + 1>& lives) const {
    for (NodeId node = 1; node <= kNodes; ++node) {
      if (node == self_) continue;
      const auto found = life_.find(node);
      if (found == life_.end() || found->second != lives[node]) return false;
    }
    return true;
  }
  std::size_t messages() const {
    std::size_t sum = 0;
    for (const auto& [node, texts] : heard_) sum += texts.size();
    return sum;
  }
  std::uint64_t copies() const {
    std::uint64_t sum = 0;
    sockets_->peers().for_each([&](NodeId node) {
      for (const PeerLinkStatistics& link : sockets_->statistics(node).links) sum += link.copies;
    });
    return sum;
  }

 private:
  void on_timer(Instant) override {
    ++number_;
    sockets_->peers().for_each(
        [&](NodeId node) { sockets_->send(node, prefix_ + std::to_string(number_)); });
    loop_.arm(*this, 20ms);
  }

  NodeId self_;
  io::Loop& loop_;
  std::unique_ptr<PeerSockets> sockets_;
  std::string prefix_;
  int number_ = 0;
  std::map<NodeId, std::set<std::string>> heard_;
  std::map<NodeId, int> life_;
};

TEST(PeerSocketsSimulationTest, NothingTwiceNothingOldAndSoonInTouchAgain) {
  sim::for_each_seed(60, [](std::uint64_t, sim::World& world) {
    std::vector<sim::Host*> hosts;
    std::vector<Speaker*> speakers(kNodes + 1);
    std::array<int, kNodes + 1> lives{};
    for (NodeId node = 1; node <= kNodes; ++node) {
      hosts.push_back(&world.add_host("node" + std::to_string(node),
                                      {sim_address(node, 0), sim_address(node, 1)}));
    }
    const auto start = [&](NodeId node) {
      sim::Process& process = hosts[node - 1u]->start("nines");
      speakers[node] = &process.make<Speaker>(process, node, ++lives[node]);
    };
    for (NodeId node = 1; node <= kNodes; ++node) start(node);

    world.set_default_link({.latency_min = 50us,
                            .latency_max = Duration(std::chrono::milliseconds(
                                1 + static_cast<std::int64_t>(world.rng().below(60)))),
                            .loss = 0.1 * static_cast<double>(world.rng().below(6)),
                            .duplication = 0.2});
    for (int fault = 0; fault < 12; ++fault) {
      world.run_for(Duration(std::chrono::milliseconds(world.rng().below(400))));
      const auto node = static_cast<NodeId>(1 + world.rng().below(kNodes));
      sim::Host& host = *hosts[node - 1u];
      sim::Host& other = *hosts[node % kNodes];
      switch (world.rng().below(4)) {
        case 0:
          host.living().front()->kill();
          start(node);
          break;
        case 1:
          world.cut(host, other);
          break;
        case 2:
          world.heal(host, other);
          break;
        case 3:
          host.pause();
          world.run_for(Duration(std::chrono::milliseconds(world.rng().below(300))));
          host.resume();
          break;
      }
    }

    world.heal_all();
    world.set_default_link({});
    std::size_t copies = 0;
    EXPECT_TRUE(world.run_until(
        [&] {
          for (NodeId node = 1; node <= kNodes; ++node) {
            if (!speakers[node]->hears_everybody(lives)) return false;
          }
          return true;
        },
        PeerSockets::kHelloLast + 200ms));
    world.run_for(200ms);
    for (NodeId node = 1; node <= kNodes; ++node) {
      EXPECT_GT(speakers[node]->messages(), 0u);
      copies += speakers[node]->copies();
    }
    EXPECT_GT(copies, 0u);
  });
}

TEST(PeerSocketsSimulationTest, AFirstContactTakesOneAndAHalfRoundTrips) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    world.set_default_link({.latency_min = 10ms, .latency_max = 10ms});
    std::vector<sim::Host*> hosts;
    for (NodeId node = 1; node <= kNodes; ++node) {
      hosts.push_back(&world.add_host("node" + std::to_string(node),
                                      {sim_address(node, 0), sim_address(node, 1)}));
    }
    std::vector<Speaker*> speakers;
    for (NodeId node = 1; node <= kNodes; ++node) {
      sim::Process& process = hosts[node - 1u]->start("nines");
      speakers.push_back(&process.make<Speaker>(process, node, 1));
    }
    // Ready after 30 ms; then what is said each 20 ms takes 10 ms more.
    EXPECT_TRUE(world.run_until(
        [&] {
          for (const Speaker* const each : speakers) {
            if (!each->hears_everybody({0, 1, 1, 1})) return false;
          }
          return true;
        },
        65ms));
  });
}

}  // namespace
}  // namespace nines::cluster

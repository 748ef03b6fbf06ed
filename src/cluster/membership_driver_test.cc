// Controllers with two networks each, over sealed datagrams in the simulated world: what one
// concludes of another reaches whoever listens, with its evidence.
#include "cluster/membership_driver.h"

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "cluster/membership_wire.h"
#include "cluster/peer_sockets.h"
#include "cluster/seal_model.h"
#include "sim/for_each_seed.h"
#include "sim/world.h"

namespace nines::cluster {
namespace {

constexpr NodeId kNodes = 3;
constexpr std::size_t kNetworks = 2;

std::string sim_address(NodeId node, std::size_t network) {
  return "10.0." + std::to_string(network + 1) + "." + std::to_string(node);
}

class Controller final : public PeerHandler, public HeartbeatSender {
 public:
  Controller(sim::Process& process, NodeId self, int life) {
    PeerSocketsOptions options{
        .self = self, .nodes = {}, .keys = keys_of({1}), .incarnation = incarnation_of(self, life)};
    MembershipOptions membership;
    membership.self = self;
    membership.networks = static_cast<int>(kNetworks);
    for (NodeId node = 1; node <= kNodes; ++node) {
      membership.peers.add(node);
      for (std::size_t i = 0; i < kNetworks; ++i) {
        options.nodes[node].push_back(*SocketAddress::parse_ip(sim_address(node, i), 7402));
      }
    }
    io::Loop& loop = process.loop();
    sockets_ = *PeerSockets::create(std::move(options), loop, *this, process.log());
    driver_ = std::make_unique<MembershipDriver>(
        *Membership::create(membership), loop, [&loop] { return loop.now(); }, *this);
    driver_->on_verdict([this](const NodeVerdict& verdict) {
      EXPECT_TRUE(changes == 0 || verdicts.empty() || verdict.at >= verdicts.back().at);
      verdicts.push_back(verdict);
    });
    driver_->on_change([this] { ++changes; });
    driver_->start(static_cast<std::uint64_t>(100 * self + life));
    sockets_->start();
  }

  void on_message(NodeId from, std::size_t network, std::string_view bytes) override {
    Heartbeat heartbeat;
    if (bytes.starts_with("a renewal")) {
      ++said;
      return;
    }
    ASSERT_EQ(parse_heartbeat(bytes, heartbeat), WireFault::kNone);
    driver_->heard(from, network, heartbeat);
  }
  void send(std::size_t network, NodeId to, const Heartbeat& heartbeat) override {
    sockets_->send_on(network, to, encode_heartbeat(heartbeat));
  }

  void say(NodeId to, std::string_view text) {
    std::vector<std::string> riders;
    for (const Heartbeat& heartbeat : driver_->riding_to(to)) {
      riders.push_back(encode_heartbeat(heartbeat));
    }
    EXPECT_TRUE(sockets_->send(to, text, riders));
  }
  std::uint64_t datagrams_to(NodeId node) const { return sockets_->statistics(node).links[0].sent; }

  Presence presence(NodeId node) const { return driver_->machine().presence(node); }
  MembershipDriver& driver() { return *driver_; }
  std::vector<NodeVerdict> verdicts;
  int changes = 0;
  int said = 0;

 private:
  std::unique_ptr<PeerSockets> sockets_;
  std::unique_ptr<MembershipDriver> driver_;
};

class Controllers {
 public:
  explicit Controllers(sim::World& world) : world_(world) {
    for (NodeId node = 1; node <= kNodes; ++node) {
      hosts_.push_back(&world.add_host("node" + std::to_string(node),
                                       {sim_address(node, 0), sim_address(node, 1)}));
      nodes_.push_back(nullptr);
      start(node, 1);
    }
  }
  void start(NodeId node, int life) {
    sim::Process& process = hosts_[node - 1u]->start("nines");
    nodes_[node - 1u] = &process.make<Controller>(process, node, life);
  }
  void kill(NodeId node) { host(node).living().front()->kill(); }
  sim::Host& host(NodeId node) { return *hosts_[node - 1u]; }
  Controller& at(NodeId node) { return *nodes_[node - 1u]; }
  bool all_are_members() {
    for (NodeId node = 1; node <= kNodes; ++node) {
      if (at(node).driver().machine().members().size() != kNodes) return false;
    }
    return true;
  }

 private:
  sim::World& world_;
  std::vector<sim::Host*> hosts_;
  std::vector<Controller*> nodes_;
};

TEST(MembershipDriver, ADeathIsConcludedWithItsEvidenceAndAReturnIsTold) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    world.set_default_link({.latency_min = 50us, .latency_max = 400us});
    Controllers controllers(world);
    ASSERT_TRUE(world.run_until([&] { return controllers.all_are_members(); }, 3s));
    world.run_for(4s);  // what overtook each other in the beginning is no loss any more
    controllers.at(1).verdicts.clear();
    controllers.kill(3);
    const auto is_gone = [&] { return controllers.at(1).presence(3) == Presence::kGone; };
    ASSERT_TRUE(world.run_until(is_gone, 160ms));
    const auto& verdicts = controllers.at(1).verdicts;
    ASSERT_EQ(verdicts.size(), 2u);
    EXPECT_EQ(verdicts[0].finding, Finding::kSuspect);
    EXPECT_TRUE(verdicts[0].suspected_by.contains(1));
    EXPECT_EQ(verdicts[1].finding, Finding::kGone);
    EXPECT_EQ(verdicts[1].node, 3);
    EXPECT_EQ(verdicts[1].suspected_by, (NodeSet{1, 2}));
    EXPECT_EQ(verdicts[1].observers, (NodeSet{1, 2}));
    EXPECT_EQ(verdicts[1].incarnation, 301u);
    EXPECT_FALSE(verdicts[1].leaves);
    EXPECT_GE(verdicts[1].silence, 90ms);
    ASSERT_EQ(verdicts[1].networks, 2);
    for (const LinkEvidence& link : {verdicts[1].links[0], verdicts[1].links[1]}) {
      EXPECT_TRUE(link.ever_heard);
      EXPECT_FALSE(link.hears && link.is_heard);
      EXPECT_GE(link.silence, 90ms);
      EXPECT_GE(link.silence_allowed, 90ms);
    }
    controllers.start(3, 2);
    ASSERT_TRUE(world.run_until([&] { return controllers.all_are_members(); }, 3s));
    ASSERT_EQ(verdicts.size(), 3u);
    EXPECT_EQ(verdicts[2].finding, Finding::kBack);
    EXPECT_EQ(verdicts[2].incarnation, 302u);
  });
}

TEST(MembershipDriver, LinksThatAreCutOneWayMakeASuspectAndNoVerdict) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    Controllers controllers(world);
    ASSERT_TRUE(world.run_until([&] { return controllers.all_are_members(); }, 3s));
    controllers.at(1).verdicts.clear();
    world.cut(controllers.host(1), controllers.host(2));
    ASSERT_TRUE(world.run_until([&] { return controllers.at(1).presence(2) == Presence::kSuspect; },
                                500ms));
    world.run_for(300ms);
    const PeerStatus seen = controllers.at(1).driver().status()[0];
    EXPECT_EQ(seen.presence, Presence::kSuspect) << "the third hears it: there is no verdict";
    EXPECT_TRUE(seen.links[0].hears);
    EXPECT_FALSE(seen.links[0].is_heard);
    ASSERT_EQ(controllers.at(1).verdicts.size(), 1u);
    EXPECT_TRUE(controllers.at(1).verdicts[0].links[1].hears);
    EXPECT_FALSE(controllers.at(1).verdicts[0].links[1].is_heard);
    EXPECT_EQ(text_of(controllers.at(1).verdicts[0]),
              "network 1: one way: it is heard, and does not hear us; network 2: one way: it is "
              "heard, and does not hear us");
    world.heal_all();
    ASSERT_TRUE(
        world.run_until([&] { return controllers.at(1).presence(2) == Presence::kMember; }, 1s));
    EXPECT_EQ(controllers.at(1).verdicts.back().finding, Finding::kBack);
  });
}

TEST(MembershipDriver, HeartbeatsRideOnWhatIsSentAnyway) {
  sim::for_each_seed(5, [](std::uint64_t, sim::World& world) {
    world.set_default_link({.latency_min = 50us, .latency_max = 400us});
    Controllers controllers(world);
    ASSERT_TRUE(world.run_until([&] { return controllers.all_are_members(); }, 3s));
    world.run_for(1s);
    const std::uint64_t before = controllers.at(1).datagrams_to(2);
    const std::uint64_t to_third = controllers.at(1).datagrams_to(3);
    for (int i = 0; i < 40; ++i) {
      controllers.at(1).say(2, "a renewal, perhaps");
      world.run_for(25ms);
    }
    EXPECT_NEAR(static_cast<double>(controllers.at(1).datagrams_to(2) - before), 40, 2)
        << "no heartbeat went by itself";
    EXPECT_NEAR(static_cast<double>(controllers.at(1).datagrams_to(3) - to_third), 29, 2)
        << "and to the other one each in its time";
    EXPECT_EQ(controllers.at(2).said, 40);
    const LinkStatus link = controllers.at(2).driver().status()[0].links[1];
    EXPECT_TRUE(link.hears && link.is_heard);
    EXPECT_LT(link.loss, 0.001) << "none was missed";
  });
}

// A listener may do something about it at once.
TEST(MembershipDriver, AListenerMayTakeAStanding) {
  sim::for_each_seed(1, [](std::uint64_t, sim::World& world) {
    Controllers controllers(world);
    controllers.at(1).driver().on_change([&] {
      if (controllers.at(1).driver().machine().standing() == Standing::kServing) {
        controllers.at(1).driver().stand(Standing::kMaintenance);
      }
    });
    ASSERT_TRUE(world.run_until([&] { return controllers.all_are_members(); }, 3s));
    world.run_for(100ms);
    EXPECT_EQ(controllers.at(2).driver().status()[0].standing, Standing::kMaintenance);
  });
}

}  // namespace
}  // namespace nines::cluster

// The driver with a real kernel: a client on this host, another host that dies and returns (network
// namespaces joined by one cable), and what membership would say told by hand.
#include "cluster/dead_peers_driver.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <optional>
#include <string>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/linux/netlink.h"
#include "io/linux/socket.h"
#include "io/log.h"

namespace nines::cluster {
namespace {

using io::Descriptor;
using testing::HasSubstr;
using Verdict = DeadPeerStatus::Verdict;

constexpr std::uint16_t kDatabase = 3306, kQueue = 5672;
constexpr Duration kPatience = std::chrono::seconds(10);  // only a test that fails waits as long

Instant now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return Instant{time.tv_sec * 1'000'000'000LL + time.tv_nsec};
}

SocketAddress ip(const char* text, std::uint16_t port = 0) {
  return *SocketAddress::parse_ip(text, port);
}

class DeadPeersDriverTest : public testing::Test, private Timer {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "network namespaces need root";
    home_ = current_namespace();
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no network namespaces here";
    host_ = current_namespace();
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    client_ = current_namespace();
    ASSERT_TRUE(io::Netlink::open()->add_veth("c0", "h0", host_.get()).has_value());
    bring_up("c0", "10.9.0.1");
    enter(host_);
    bring_up("h0", "10.9.0.3");
    listener_ = *io::open_listener(ip("10.9.0.3", kDatabase), {});
    enter(client_);
    loop_ = *io::EpollLoop::create();
    log_.emplace([this] { return loop_->wall_time(); });
  }
  void TearDown() override {
    driver_.reset();
    loop_.reset();
    if (!home_) return;
    ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
  }

  static Descriptor current_namespace() {
    return Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  }
  static void enter(const Descriptor& where) { ASSERT_EQ(::setns(where.get(), CLONE_NEWNET), 0); }
  static void bring_up(const std::string& name, const char* address) {
    auto netlink = io::Netlink::open();
    for (const std::string& each : {std::string("lo"), name}) {
      const int link = netlink->find_link(each)->index;
      ASSERT_TRUE(netlink->set_link_state(link, io::LinkState::kUp).has_value());
    }
    io::InterfaceAddress added{.link = netlink->find_link(name)->index, .address = ip(address)};
    added.prefix_length = 24;
    ASSERT_TRUE(netlink->add_address(added).has_value());
  }
  // Its cable: without a carrier neither echoes nor anything else comes.
  void set_power(bool on) {
    enter(host_);
    auto netlink = io::Netlink::open();
    const int link = netlink->find_link("h0")->index;
    ASSERT_TRUE(
        netlink->set_link_state(link, on ? io::LinkState::kUp : io::LinkState::kDown).has_value());
    enter(client_);
  }

  // This is node 1; node 3 is the other host, node 2 agrees with us.
  void begin() {
    DeadPeersDriver::Options options;
    options.machine.self = 1;
    options.machine.nodes = {1, 2, 3};
    options.machine.silence = DeadPeers::kSilenceLeast;
    options.begin_after = 0ns;
    options.ports = {.refused = {kDatabase, kQueue}, .stand_in = {kQueue}};
    options.own_services = {ip("10.9.0.1")};
    options.hosts[2] = {.name = "node02", .services = {ip("10.9.0.2")}, .networks = {}};
    options.hosts[3] = {
        .name = "node03", .services = {ip("10.9.0.3")}, .networks = {ip("10.9.0.3")}};
    auto driver = DeadPeersDriver::create(
        std::move(options), *loop_, now,
        [this](Instant) {
          dead_peer_event::Look look;
          look.peers = {{.node = 2, .heard = true, .was_known = true, .unheard_by = {}},
                        {.node = 3, .heard = heard_, .was_known = true, .unheard_by = {}}};
          if (!heard_) look.peers[1].unheard_by = {1, 2};
          return look;
        },
        [this](const DeadPeersHost& host, Share share) {
          shares_.push_back({host.name, share});
        },
        *log_);
    ASSERT_TRUE(driver.has_value()) << driver.error().message();
    driver_ = *std::move(driver);
    driver_->start();
    EXPECT_EQ(driver_->report().missing, "");
    EXPECT_EQ(driver_->report().no_echo, "");
  }
  void hear(bool heard) {
    heard_ = heard;
    driver_->changed();
  }
  DeadPeersReport::Node node() const { return driver_->report().nodes.at(1); }

  // Runs the loop until it holds.
  template <typename Condition>
  bool run_until(Condition condition) {
    const Instant begun = now();
    while (!condition()) {
      if (now() - begun > kPatience) return false;
      loop_->arm(*this, std::chrono::milliseconds(5));
      loop_->run();
    }
    return true;
  }
  void on_timer(Instant) override { loop_->stop(); }

  static std::optional<int> told(const Descriptor& socket, int timeout) {
    pollfd poll{.fd = socket.get(), .events = POLLIN | POLLOUT, .revents = 0};
    if (::poll(&poll, 1, timeout) != 1) return std::nullopt;
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
  }
  static Descriptor connecting(std::uint16_t port = kDatabase) {
    Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto to = io::to_kernel(ip("10.9.0.3", port));
    static_cast<void>(!::connect(socket.get(), to->get(), to->size));
    return socket;
  }

  Descriptor home_, host_, client_, listener_;
  std::unique_ptr<io::EpollLoop> loop_;
  std::optional<io::Logger> log_;
  std::unique_ptr<DeadPeersDriver> driver_;
  bool heard_ = true;
  std::vector<std::pair<std::string, Share>> shares_;
};

TEST_F(DeadPeersDriverTest, AHostDiesAndReturns) {
  begin();
  ASSERT_TRUE(run_until([&] { return node().status.evidence.answered.has_value(); }))
      << "asked once while it is well";
  const Descriptor held = connecting();
  EXPECT_EQ(told(held, 1000), 0);
  set_power(false);
  hear(false);
  EXPECT_EQ(shares_, (std::vector<std::pair<std::string, Share>>{{"node03", Share::kNone}}));
  EXPECT_EQ(told(held, 0), 0) << "a doubt ends nothing";
  ASSERT_TRUE(run_until([&] { return node().sockets_destroyed > 0; }));
  EXPECT_EQ(told(held, 1000), ECONNABORTED);
  EXPECT_EQ(node().status.verdict, Verdict::kDead);
  EXPECT_TRUE(node().status.blocked);
  EXPECT_EQ(shares_.back(), (std::pair<std::string, Share>{"node03", Share::kGone}));
  EXPECT_EQ(node().error, "");
  EXPECT_EQ(told(connecting(), 1000), ECONNREFUSED);
  // Renewed for as long as the reason holds.
  const Instant begun = now();
  ASSERT_TRUE(run_until([&] { return now() - begun > 2 * DeadPeers::kRuleLife; }));
  EXPECT_EQ(told(connecting(), 1000), ECONNREFUSED);

  set_power(true);
  hear(true);
  EXPECT_EQ(node().status.verdict, Verdict::kBack);
  EXPECT_EQ(shares_.back().second, Share::kNone) << "the rule goes first";
  ASSERT_TRUE(run_until([&] {
    const Descriptor socket = connecting();
    return told(socket, 200) == 0;
  }));
  ASSERT_TRUE(run_until([&] { return shares_.size() == 4; }));
  EXPECT_EQ(shares_[3], (std::pair<std::string, Share>{"node03", Share::kSlowly}));
}

// The other host has no queue, and this one has: whoever reaches one there was sent here.
TEST_F(DeadPeersDriverTest, WhoLivesStandsInForADeadHostAndNotForOneThatIsBack) {
  const Descriptor queue = *io::open_listener(ip("10.9.0.1", kQueue), {});
  begin();
  if (const std::string why = driver_->report().no_stand_in; !why.empty()) GTEST_SKIP() << why;
  EXPECT_THAT(driver_->report().stand_in, testing::ElementsAre(kQueue));
  ASSERT_TRUE(run_until([&] { return node().status.evidence.answered.has_value(); }))
      << "the cable carries";
  EXPECT_EQ(told(connecting(kQueue), 1000), ECONNREFUSED);
  set_power(false);
  hear(false);
  ASSERT_TRUE(run_until([&] { return node().sockets_destroyed > 0 || node().status.blocked; }));
  // Node 2 is nowhere here: chance sends every other one to it.
  ASSERT_TRUE(run_until([&] {
    const Descriptor socket = connecting(kQueue);
    return told(socket, 100) == 0;
  }));
  EXPECT_EQ(told(connecting(), 1000), ECONNREFUSED) << "another port";

  set_power(true);
  hear(true);
  ASSERT_TRUE(run_until([&] { return node().healed.size() == 1; }));
  EXPECT_EQ(node().healed[0].port, kDatabase);
  EXPECT_EQ(told(connecting(kQueue), 1000), ECONNREFUSED);
  const Instant back = now();
  ASSERT_TRUE(run_until([&] { return now() - back > 3 * HealingWatch::kAskEvery; }));
  EXPECT_EQ(node().healed.size(), 1u) << "nobody was taken for it";
}

TEST_F(DeadPeersDriverTest, AHostWhoseKernelAnswersIsLeftAlone) {
  begin();
  hear(false);  // its nines was killed
  const Instant begun = now();
  ASSERT_TRUE(run_until([&] { return now() - begun > 3 * DeadPeers::kSilenceLeast; }));
  EXPECT_EQ(node().status.verdicts, 0);
  EXPECT_FALSE(node().status.shunned);
  EXPECT_TRUE(node().status.evidence.answered.has_value());
}

TEST_F(DeadPeersDriverTest, TurnedOffAllIsAsIfItHadNeverBeen) {
  begin();
  set_power(false);
  hear(false);
  ASSERT_TRUE(run_until([&] { return node().status.blocked; }));
  driver_->configure(false, DeadPeers::kSilenceLeast, std::chrono::minutes(1),
                     {.refused = {kDatabase}, .stand_in = {}});
  EXPECT_FALSE(driver_->report().on);
  EXPECT_EQ(shares_.back().second, Share::kSlowly);
  ASSERT_TRUE(run_until([&] { return told(connecting(), 0) == std::nullopt; }))
      << "waits for the host as before";
}

TEST_F(DeadPeersDriverTest, TheLoopThatStandsStillLosesItsRules) {
  begin();
  set_power(false);
  hear(false);
  ASSERT_TRUE(run_until([&] { return node().status.blocked; }));
  set_power(true);
  // Nobody runs the loop: the elements end by themselves.
  const Instant begun = now();
  std::optional<int> heard;
  while (now() - begun < kPatience && heard != 0) heard = told(connecting(), 100);
  EXPECT_EQ(heard, 0);
  EXPECT_LT(now() - begun, DeadPeers::kRuleLife + std::chrono::milliseconds(500));
}

TEST_F(DeadPeersDriverTest, WhatCannotBeRefusedIsAnError) {
  DeadPeersDriver::Options options;
  options.machine.self = 1;
  options.machine.nodes = {1, 2, 3};
  options.ports.refused = {22};
  const auto make = [&] {
    const auto driver = DeadPeersDriver::create(
        options, *loop_, now, [](Instant) { return dead_peer_event::Look{}; },
        [](const DeadPeersHost&, Share) {}, *log_);
    return driver.has_value() ? std::string() : driver.error().message();
  };
  EXPECT_THAT(make(), HasSubstr("port 22 is never refused"));
  options.ports.refused = {kDatabase};
  options.hosts[2] = {.name = "node02", .services = {ip("127.0.0.1")}, .networks = {}};
  EXPECT_THAT(make(), HasSubstr("127.0.0.1 is no host's address"));
}

}  // namespace
}  // namespace nines::cluster

// Two nodes' drivers in one network, with the kernel's own table and packets between them and only
// the wire in memory: one tells of a session, its server dies, the other takes the address.
#include "cluster/session_driver.h"

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address/interface_addresses.h"
#include "cluster/address_holder.h"
#include "cluster/session_wire.h"
#include "io/linux/descriptor.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/netlink.h"
#include "io/linux/socket.h"

namespace nines::cluster {
namespace {

using io::Descriptor;

struct Lines : io::Log {
  void write(io::Severity severity, std::string_view message,
             const std::vector<io::LogField>&) override {
    (severity <= io::Severity::kError ? complaints : notices) += std::string(message) + "\n";
  }
  std::string complaints, notices;
};

// Whose gate is always open.
struct Holder : LeaseHolder {
  void hold(Name name, Epoch, Instant, bool) override { names.insert(name); }
  void let_go(Name name) override { names.erase(name); }
  std::set<Name> names;
};

struct Node : SessionPeers {
  Node(io::EpollLoop& loop, NodeId id, SessionDriver::Watch watch) : self(id) {
    std::map<Name, SessionDriver::Group> groups;
    groups[name_from("web")] = {.text = "web",
                                .addresses = {*SocketAddress::parse_ip("10.9.0.100", 0)}};
    auto made = SessionDriver::create(
        std::move(groups), true, holder, [this](Name name) { return holder.names.contains(name); },
        *this, loop, [&loop] { return loop.now(); }, lines, watch);
    EXPECT_TRUE(made.has_value());
    driver = std::move(*made);
  }
  void tell(const SessionMessage& message) override {
    ++told;
    for (const SessionTuple& each : message.standing) stands.insert(each.peer_port);
    for (const SessionTuple& each : message.ended) stands.erase(each.peer_port);
    SessionMessage heard;
    ASSERT_EQ(parse_session_message(encode_session_message(message), heard), WireFault::kNone);
    if (other != nullptr) other->driver->heard(self, heard);
  }
  // As a renewal does.
  void hold(Epoch epoch) { driver->hold(name_from("web"), epoch, Instant::max(), true); }

  NodeId self;
  Holder holder;
  Lines lines;
  Node* other = nullptr;
  int told = 0;
  std::set<std::uint16_t> stands;  // by their clients' ports, as was told
  std::unique_ptr<SessionDriver> driver;
};

// With what the kernel notes itself, and by walks alone.
class SessionDriverTest : public testing::TestWithParam<SessionDriver::Watch> {
 protected:
  void SetUp() override {
    home_ = Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no right to make a network namespace";
    auto netlink = io::Netlink::open();
    ASSERT_TRUE(netlink.has_value());
    const int link = netlink->find_link("lo")->index;
    ASSERT_TRUE(netlink->set_link_state(link, io::LinkState::kUp).has_value());
    auto addresses = address::InterfaceAddresses::open();
    ASSERT_TRUE(addresses.has_value());
    for (const char* ip : {"10.9.0.100", "10.9.0.200"}) {
      address::OwnedAddress owned;
      owned.address = *SocketAddress::parse_ip(ip, 0);
      owned.device = "lo";
      owned.prefix_length = 32;
      ASSERT_TRUE(addresses->take(owned, std::chrono::seconds(600)).has_value());
    }
    loop_ = *io::EpollLoop::create();
    listener_ = *io::open_listener(*SocketAddress::parse_ip("10.9.0.100", 0), {});
    service_ = *io::local_address(listener_.get());
  }
  void TearDown() override {
    one_.reset();
    two_.reset();
    if (home_) {
      ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
    }
  }

  void start() {
    one_ = std::make_unique<Node>(*loop_, 1, GetParam());
    two_ = std::make_unique<Node>(*loop_, 2, GetParam());
    one_->other = two_.get();
    two_->other = one_.get();
  }

  // A client of another address, by way of `port` unless 0.
  Descriptor connect(std::uint16_t port = 0) {
    Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    EXPECT_EQ(::setsockopt(client.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    const auto own = *io::to_kernel(*SocketAddress::parse_ip("10.9.0.200", port));
    EXPECT_EQ(::bind(client.get(), own.get(), own.size), 0);
    const auto to = *io::to_kernel(service_);
    EXPECT_EQ(::connect(client.get(), to.get(), to.size), 0);
    return client;
  }
  Descriptor accepted() {
    return Descriptor(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  // Without a word to the other end, as a host that dies.
  static void die(Descriptor& socket) {
    const int on = 1;
    ASSERT_EQ(::setsockopt(socket.get(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof on), 0);
    socket = Descriptor();
  }
  static int error_of(const Descriptor& socket) {
    char byte = 0;
    if (::recv(socket.get(), &byte, 1, MSG_DONTWAIT) >= 0) return 0;
    return errno;
  }

  static std::uint16_t port_of(const Descriptor& client) {
    return io::local_address(client.get())->port();
  }

  // Passes of the loop, with a renewal in each, until `done`.
  template <typename Done>
  bool run_until(Done done, Duration patience = 5s) {
    for (const Instant end = loop_->now() + patience; loop_->now() < end;) {
      if (one_->holder.names.contains(name_from("web"))) one_->hold(epoch_);
      if (two_->holder.names.contains(name_from("web"))) two_->hold(epoch_ + 1);
      if (done()) return true;
      loop_->run_once(5ms);
    }
    return done();
  }
  std::size_t known_to_two() {
    const auto known = two_->driver->report().known;
    return known.empty() ? 0 : known.front().sessions;
  }

  Epoch epoch_ = 5;
  Descriptor home_, listener_;
  SocketAddress service_;
  std::unique_ptr<io::EpollLoop> loop_;
  std::unique_ptr<Node> one_, two_;
};

TEST_P(SessionDriverTest, AClientThatWaitsHearsOfItsHoldersDeathFromTheNextOne) {
  start();
  one_->hold(epoch_);
  const Descriptor client = connect();
  Descriptor server = accepted();
  ASSERT_TRUE(run_until([&] { return known_to_two() == 1; }));
  EXPECT_EQ(one_->driver->report().told, 1u);
  die(server);
  one_->driver->let_go(name_from("web"));
  EXPECT_EQ(error_of(client), EAGAIN) << "nobody has told it";
  two_->hold(epoch_ + 1);
  int heard = EAGAIN;
  ASSERT_TRUE(run_until([&] { return (heard = error_of(client)) != EAGAIN; }));
  EXPECT_EQ(heard, ECONNRESET);
  const auto report = two_->driver->report();
  ASSERT_TRUE(report.takeover.has_value());
  EXPECT_EQ(report.takeover->sessions, 1u);
  EXPECT_NE(two_->lines.notices.find("(web) 1 session(s)"), std::string::npos)
      << two_->lines.notices;
  EXPECT_EQ(one_->lines.complaints + two_->lines.complaints, "");
}

TEST_P(SessionDriverTest, ASessionThatStandsIsLeftAlone) {
  start();
  one_->hold(epoch_);
  const Descriptor client = connect();
  const Descriptor server = accepted();
  ASSERT_TRUE(run_until([&] { return known_to_two() == 1; }));
  one_->driver->let_go(name_from("web"));
  two_->hold(epoch_ + 1);
  ASSERT_TRUE(run_until([&] { return two_->driver->report().living == 2; }));
  EXPECT_EQ(two_->driver->report().nudges, 0u);
  ASSERT_EQ(::send(server.get(), "!", 1, MSG_NOSIGNAL), 1);
  char byte = 0;
  EXPECT_EQ(::recv(client.get(), &byte, 1, 0), 1);
}

TEST_P(SessionDriverTest, WithNoSessionNothingIsSaid) {
  start();
  one_->hold(epoch_);
  run_until([] { return false; }, 300ms);
  EXPECT_EQ(one_->told, 0);
  const Descriptor client = connect();
  const Descriptor server = accepted();
  ASSERT_TRUE(run_until([&] { return known_to_two() == 1; }));
  EXPECT_EQ(one_->told, 1) << "and once of one";
}

TEST_P(SessionDriverTest, TurnedOffItNeitherTellsNorKeepsNorNudges) {
  start();
  one_->hold(epoch_);
  const Descriptor client = connect();
  Descriptor server = accepted();
  ASSERT_TRUE(run_until([&] { return known_to_two() == 1; }));
  two_->driver->configure(false);
  EXPECT_EQ(known_to_two(), 0u);
  one_->driver->configure(false);
  die(server);
  one_->driver->let_go(name_from("web"));
  two_->hold(epoch_ + 1);
  EXPECT_FALSE(run_until([&] { return error_of(client) != EAGAIN; }, 300ms));
  EXPECT_FALSE(two_->driver->report().on);
}

// Whoever comes and goes meanwhile tells nothing of who comes next.
TEST_P(SessionDriverTest, OneThatJustCameIsKnownAfterManyThatCameAndWent) {
  start();
  one_->hold(epoch_);
  for (int i = 0; i < 40; ++i) {
    Descriptor client = connect();
    Descriptor server = accepted();
    client = Descriptor();
    run_until([] { return false; }, 10ms);
  }
  const Descriptor client = connect();
  const Descriptor server = accepted();
  const Instant begun = loop_->now();
  ASSERT_TRUE(run_until([&] { return one_->stands.contains(port_of(client)); }));
  const bool watched =
      GetParam() == SessionDriver::Watch::kIfPossible && one_->driver->report().no_watch.empty();
  std::printf("known after %.1f ms\n",
              std::chrono::duration<double, std::milli>(loop_->now() - begun).count());
  if (watched) {
    // Two looks, one of which may be a walk; a debug build beside others on two processors.
    EXPECT_LT(loop_->now() - begun, 250ms);
  }
  EXPECT_LT(loop_->now() - begun, SessionDriver::kLookPauseMax + 500ms);
}

TEST_P(SessionDriverTest, SessionsOfBeforeAndThoseThatEndAreTrue) {
  const Descriptor early_client = connect();
  const Descriptor early = accepted();
  start();
  one_->hold(epoch_);
  ASSERT_TRUE(run_until([&] { return known_to_two() == 1; })) << "older than the driver";
  const Descriptor second_client = connect();
  Descriptor second = accepted();
  ASSERT_TRUE(run_until([&] { return known_to_two() == 2; }));
  die(second);
  const Descriptor third_client = connect();
  const Descriptor third = accepted();
  ASSERT_TRUE(run_until([&] {
    return one_->stands.contains(port_of(third_client)) &&
           !one_->stands.contains(port_of(second_client));
  }));
  EXPECT_EQ(known_to_two(), 2u);
  one_->driver->configure(false);
  one_->driver->configure(true);
  ASSERT_TRUE(run_until([&] { return one_->driver->report().told == 2; })) << "found again";
}

INSTANTIATE_TEST_SUITE_P(Both, SessionDriverTest,
                         testing::Values(SessionDriver::Watch::kIfPossible,
                                         SessionDriver::Watch::kNever),
                         [](const auto& each) {
                           return each.param == SessionDriver::Watch::kNever ? "Walks" : "Watch";
                         });

}  // namespace
}  // namespace nines::cluster

// The real kernel, in a network namespace of the test's own: skipped where that is not allowed.
#include "io/linux/netlink.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <sched.h>
#include <unistd.h>

namespace nines::io {
namespace {

SocketAddress ip(std::string_view text) { return *SocketAddress::parse_ip(text, 0); }

// Each test moves its thread into a fresh namespace and back, so that tests share nothing.
class NetlinkTest : public testing::Test {
 protected:
  void SetUp() override {
    home_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(home_, 0);
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no right to make a network namespace";
  }
  void TearDown() override {
    ASSERT_EQ(::setns(home_, CLONE_NEWNET), 0);
    ::close(home_);
  }
  int home_ = -1;
};

TEST_F(NetlinkTest, FreshNamespaceHasOnlyALoopbackThatIsDown) {
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink.has_value());
  auto lo = netlink->find_link("lo");
  ASSERT_TRUE(lo.has_value());
  EXPECT_FALSE(lo->up);
  ASSERT_TRUE(netlink->set_link_state(lo->index, LinkState::kUp).has_value());
  EXPECT_TRUE(netlink->find_link("lo")->up);
  EXPECT_EQ(netlink->find_link("eth7").error().code(), ErrorCode::kNotFound);
}

TEST_F(NetlinkTest, BridgePortLosesCarrierWhenItsOtherEndGoesDown) {
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink.has_value());
  const int here = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  ASSERT_TRUE(netlink->add_bridge("br0").has_value());
  EXPECT_EQ(netlink->add_bridge("br0").error().code(), ErrorCode::kExists);
  ASSERT_TRUE(netlink->add_veth("port", "far", here).has_value());
  ::close(here);
  const int bridge = netlink->find_link("br0")->index;
  const int port = netlink->find_link("port")->index;
  const int far = netlink->find_link("far")->index;
  ASSERT_TRUE(netlink->set_link_master(port, bridge).has_value());
  for (const int link : {bridge, port, far}) {
    ASSERT_TRUE(netlink->set_link_state(link, LinkState::kUp).has_value());
  }
  EXPECT_EQ(netlink->find_link("port")->master, bridge);
  EXPECT_TRUE(netlink->find_link("far")->up);
  ASSERT_TRUE(netlink->set_link_state(port, LinkState::kDown).has_value());
  // The kernel's link watch tells the other end a moment later.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (netlink->find_link("far")->running && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(netlink->find_link("far")->running);
  ASSERT_TRUE(netlink->delete_link(port).has_value());
  EXPECT_EQ(netlink->find_link("far").error().code(), ErrorCode::kNotFound);
}

TEST_F(NetlinkTest, AddressIsAddedRenewedListedAndDeleted) {
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink.has_value());
  const int lo = netlink->find_link("lo")->index;
  InterfaceAddress address{.link = lo, .address = ip("100.2.30.40"), .prefix_length = 32};
  address.valid_lifetime = address.preferred_lifetime = 100;
  ASSERT_TRUE(netlink->add_address(address).has_value());
  EXPECT_EQ(netlink->add_address(address).error().code(), ErrorCode::kExists);
  address.valid_lifetime = address.preferred_lifetime = 500;
  ASSERT_TRUE(netlink->replace_address(address).has_value());
  auto listed = netlink->addresses();
  ASSERT_TRUE(listed.has_value());
  const auto found = std::find_if(listed->begin(), listed->end(), [&](const auto& each) {
    return each.address == address.address;
  });
  ASSERT_NE(found, listed->end());
  EXPECT_GT(found->valid_lifetime, 100u);
  EXPECT_LE(found->valid_lifetime, 500u);
  EXPECT_EQ(found->flags & IFA_F_PERMANENT, 0u);
  ASSERT_TRUE(netlink->delete_address(address).has_value());
  EXPECT_EQ(netlink->delete_address(address).error().code(), ErrorCode::kNotFound);
}

TEST_F(NetlinkTest, Ipv6AddressWithoutDuplicateDetection) {
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink.has_value());
  const int lo = netlink->find_link("lo")->index;
  ASSERT_TRUE(netlink->set_link_state(lo, LinkState::kUp).has_value());
  const InterfaceAddress address{
      .link = lo, .address = ip("fd00::40"), .prefix_length = 128, .flags = IFA_F_NODAD};
  ASSERT_TRUE(netlink->add_address(address).has_value());
  ASSERT_TRUE(netlink->delete_address(address).has_value());
}

TEST_F(NetlinkTest, ImpossiblePrefixAndNamesAreRefusedBeforeTheKernelIsAsked) {
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink.has_value());
  EXPECT_EQ(netlink->add_address({.link = 1, .address = ip("1.2.3.4"), .prefix_length = 33})
                .error()
                .code(),
            ErrorCode::kInvalid);
  EXPECT_EQ(netlink->add_bridge("a-name-of-sixteen").error().code(), ErrorCode::kInvalid);
  EXPECT_EQ(netlink->add_bridge("").error().code(), ErrorCode::kInvalid);
}

TEST_F(NetlinkTest, MonitorHearsOfAddressesAndLinks) {
  auto monitor = NetworkMonitor::open();
  ASSERT_TRUE(monitor.has_value());
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink.has_value());
  const int lo = netlink->find_link("lo")->index;
  const InterfaceAddress address{.link = lo, .address = ip("100.2.30.40")};
  ASSERT_TRUE(netlink->add_address(address).has_value());
  ASSERT_TRUE(netlink->delete_address(address).has_value());
  ASSERT_TRUE(netlink->set_link_state(lo, LinkState::kUp).has_value());
  std::vector<NetworkEvent> events;
  ASSERT_TRUE(monitor->read(events).has_value());
  const auto index_of = [&](NetworkEvent::Kind kind) {
    return std::find_if(events.begin(), events.end(),
                        [&](const auto& event) { return event.kind == kind; }) -
           events.begin();
  };
  const auto end = static_cast<std::ptrdiff_t>(events.size());
  EXPECT_LT(index_of(NetworkEvent::Kind::kAddressAdded),
            index_of(NetworkEvent::Kind::kAddressRemoved));
  EXPECT_LT(index_of(NetworkEvent::Kind::kAddressRemoved), end);
  const auto link = index_of(NetworkEvent::Kind::kLinkChanged);
  ASSERT_LT(link, end);
  EXPECT_EQ(events[static_cast<std::size_t>(link)].link.name, "lo");
  EXPECT_TRUE(events[static_cast<std::size_t>(link)].link.up);
}

// A bridge that is up, with an address of either family.
int add_network(Netlink& netlink) {
  EXPECT_TRUE(netlink.add_bridge("br0").has_value());
  const int link = netlink.find_link("br0")->index;
  EXPECT_TRUE(netlink.set_link_state(link, LinkState::kUp).has_value());
  EXPECT_TRUE(netlink.add_address({.link = link, .address = ip("10.0.0.1"), .prefix_length = 24})
                  .has_value());
  EXPECT_TRUE(
      netlink
          .add_address(
              {.link = link, .address = ip("fd00::1"), .prefix_length = 64, .flags = IFA_F_NODAD})
          .has_value());
  return link;
}

TEST_F(NetlinkTest, RouteIsAddedOnceHeardOfAndDeletedExactly) {
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink.has_value());
  const int link = add_network(*netlink);
  auto monitor = NetworkMonitor::open();
  ASSERT_TRUE(monitor.has_value());
  ASSERT_TRUE(monitor->hear_routing().has_value());
  const Route wide{
      .destination = ip("0.0.0.0"), .gateway = ip("10.0.0.254"), .link = link, .protocol = 18};
  Route other = wide;
  other.gateway = ip("10.0.0.253");
  Route far{.destination = ip("fd00:1::"),
            .prefix_length = 64,
            .gateway = ip("fd00::9"),
            .table = 1000,
            .metric = 7,
            .protocol = 18,
            .mtu = 1400};
  for (const Route& route : {wide, other, far}) {
    ASSERT_TRUE(netlink->add_route(route).has_value());
    EXPECT_EQ(netlink->add_route(route).error().code(), ErrorCode::kExists);
  }
  ASSERT_TRUE(netlink->delete_route(wide).has_value());
  EXPECT_EQ(netlink->delete_route(wide).error().code(), ErrorCode::kNotFound);
  ASSERT_TRUE(netlink->delete_route(other).has_value());
  ASSERT_TRUE(netlink->delete_route(far).has_value());
  std::vector<NetworkEvent> events;
  ASSERT_TRUE(monitor->read(events).has_value());
  std::vector<Route> removed;
  for (const NetworkEvent& event : events) {
    if (event.kind == NetworkEvent::Kind::kRouteRemoved) removed.push_back(event.route);
  }
  ASSERT_EQ(removed.size(), 3u);
  EXPECT_EQ(removed[0].destination, ip("0.0.0.0"));
  EXPECT_EQ(removed[0].table, Route::kTableMain);
  EXPECT_EQ(removed[2].destination, ip("fd00:1::"));
  EXPECT_EQ(removed[2].prefix_length, 64);
  EXPECT_EQ(removed[2].table, 1000u);
  EXPECT_EQ(removed[2].metric, 7u);
}

TEST_F(NetlinkTest, RouteThatDoesNotFitTogetherIsRefused) {
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink.has_value());
  EXPECT_EQ(netlink->add_route({.destination = ip("10.0.0.0"), .prefix_length = 33}).error().code(),
            ErrorCode::kInvalid);
  EXPECT_EQ(
      netlink->add_route({.destination = ip("10.0.0.0"), .gateway = ip("fd00::1")}).error().code(),
      ErrorCode::kInvalid);
  EXPECT_EQ(netlink->add_rule({.from = ip("fd00::1"), .from_length = 128}).error().code(),
            ErrorCode::kInvalid);
}

TEST_F(NetlinkTest, RuleIsAddedOnceHeardOfAndDeleted) {
  auto netlink = Netlink::open();
  ASSERT_TRUE(netlink.has_value());
  auto monitor = NetworkMonitor::open();
  ASSERT_TRUE(monitor.has_value());
  ASSERT_TRUE(monitor->hear_routing().has_value());
  const RoutingRule four{.from = ip("10.0.0.1"),
                         .from_length = 32,
                         .mark = 5,
                         .table = 1000,
                         .priority = 100,
                         .protocol = 18};
  const RoutingRule six{.family = SocketAddress::Family::kIpv6,
                        .to = ip("fd00::"),
                        .to_length = 64,
                        .to_interface = "eth7",
                        .table = 100,
                        .priority = 100};
  for (const RoutingRule& rule : {four, six}) {
    ASSERT_TRUE(netlink->add_rule(rule).has_value());
    EXPECT_EQ(netlink->add_rule(rule).error().code(), ErrorCode::kExists);
    ASSERT_TRUE(netlink->delete_rule(rule).has_value());
    EXPECT_EQ(netlink->delete_rule(rule).error().code(), ErrorCode::kNotFound);
  }
  std::vector<NetworkEvent> events;
  ASSERT_TRUE(monitor->read(events).has_value());
  EXPECT_EQ(std::count_if(
                events.begin(), events.end(),
                [](const auto& event) { return event.kind == NetworkEvent::Kind::kRuleRemoved; }),
            2);
}

}  // namespace
}  // namespace nines::io

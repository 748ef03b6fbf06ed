// The real kernel, in a network namespace of the test's own: skipped where that is not allowed.
#include "address/routing.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

namespace nines::address {
namespace {

SocketAddress ip(std::string_view text) { return *SocketAddress::parse_ip(text, 0); }

class RoutingTest : public testing::Test {
 protected:
  void SetUp() override {
    home_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    ASSERT_GE(home_, 0);
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no right to make a network namespace";
    auto netlink = io::Netlink::open();
    ASSERT_TRUE(netlink.has_value());
    ASSERT_TRUE(netlink->add_bridge("br0").has_value());
    link_ = netlink->find_link("br0")->index;
    ASSERT_TRUE(netlink->set_link_state(link_, io::LinkState::kUp).has_value());
    ASSERT_TRUE(
        netlink->add_address({.link = link_, .address = ip("10.0.0.1"), .prefix_length = 24})
            .has_value());
    netlink_ = std::make_unique<io::Netlink>(*std::move(netlink));
  }
  void TearDown() override {
    ASSERT_EQ(::setns(home_, CLONE_NEWNET), 0);
    ::close(home_);
  }

  // Whether the kernel had it: it does not have it afterwards.
  bool was_there(io::Route route) {
    route.link = link_;
    return netlink_->delete_route(route).has_value();
  }

  int home_ = -1;
  int link_ = 0;
  std::unique_ptr<io::Netlink> netlink_;
};

OwnedRoute a_route() {
  OwnedRoute route;
  route.route.destination = ip("192.168.1.0");
  route.route.prefix_length = 24;
  route.route.gateway = ip("10.0.0.254");
  route.route.protocol = 18;
  route.device = "br0";
  return route;
}

TEST_F(RoutingTest, TakenTwiceARouteIsThereOnceAndDroppedTwiceItIsGone) {
  auto routing = Routing::open();
  ASSERT_TRUE(routing.has_value());
  const OwnedRoute route = a_route();
  ASSERT_TRUE(routing->take(route).has_value());
  ASSERT_TRUE(routing->take(route).has_value());
  EXPECT_TRUE(was_there(route.route));
  EXPECT_FALSE(was_there(route.route));
  ASSERT_TRUE(routing->take(route).has_value());
  ASSERT_TRUE(routing->drop(route).has_value());
  ASSERT_TRUE(routing->drop(route).has_value());
  EXPECT_FALSE(was_there(route.route));
}

TEST_F(RoutingTest, TheHostsOwnRouteToTheSamePlaceStays) {
  auto routing = Routing::open();
  ASSERT_TRUE(routing.has_value());
  OwnedRoute owned = a_route();
  io::Route host = owned.route;
  host.link = link_;
  host.gateway = ip("10.0.0.7");
  host.protocol = 4;
  ASSERT_TRUE(netlink_->add_route(host).has_value());
  ASSERT_TRUE(routing->take(owned).has_value());
  ASSERT_TRUE(routing->drop(owned).has_value());
  EXPECT_TRUE(was_there(host));
}

TEST_F(RoutingTest, WithoutItsInterfaceARouteCannotBeTakenAndIsDroppedAlready) {
  auto routing = Routing::open();
  ASSERT_TRUE(routing.has_value());
  OwnedRoute route = a_route();
  route.device = "eth7";
  EXPECT_EQ(routing->take(route).error().code(), ErrorCode::kNotFound);
  EXPECT_TRUE(routing->drop(route).has_value());
}

TEST_F(RoutingTest, ARuleIsTakenAndDroppedAlike) {
  auto routing = Routing::open();
  ASSERT_TRUE(routing.has_value());
  const OwnedRule rule{.rule = {.from = ip("10.0.0.9"),
                                .from_length = 32,
                                .table = 100,
                                .priority = 100,
                                .protocol = 18}};
  ASSERT_TRUE(routing->take(rule).has_value());
  ASSERT_TRUE(routing->take(rule).has_value());
  ASSERT_TRUE(routing->drop(rule).has_value());
  ASSERT_TRUE(routing->drop(rule).has_value());
  EXPECT_EQ(netlink_->delete_rule(rule.rule).error().code(), ErrorCode::kNotFound);
}

TEST(RoutingMatch, ARemovedRouteIsKnownByItsPlaceAndByAMetricOfItsOwn) {
  OwnedRoute route = a_route();
  io::Route removed;
  removed.destination = ip("192.168.1.0");
  removed.prefix_length = 24;
  removed.metric = 1024;  // of the kernel's choice
  EXPECT_TRUE(may_be(route, removed));
  route.route.metric = 7;
  EXPECT_FALSE(may_be(route, removed));
  removed.metric = 7;
  EXPECT_TRUE(may_be(route, removed));
  removed.table = 100;
  EXPECT_FALSE(may_be(route, removed));
}

}  // namespace
}  // namespace nines::address

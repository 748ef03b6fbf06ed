// What a holder says of its address to the segment, heard at the other end of a cable. The kernel
// and the loop are real, the clock by which a lease ends is not. Skipped where namespaces are not
// allowed.
#include "cluster/address_holder.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/linux/descriptor.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/netlink.h"

namespace nines::cluster {
namespace {

using io::Descriptor;

Descriptor current_namespace() {
  return Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

struct NoGate : AddressGate {
  Result<void> open_until(std::size_t, Instant) override { return {}; }
  Result<void> close(std::size_t) override { return {}; }
};

struct Lines : io::Log {
  void write(io::Severity severity, std::string_view message,
             const std::vector<io::LogField>&) override {
    if (severity <= io::Severity::kError) complaints += std::string(message) + "\n";
  }
  std::string complaints;
};

class AddressHolderTest : public testing::Test {
 protected:
  void SetUp() override {
    home_ = current_namespace();
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no right to make a network namespace";
    auto netlink = io::Netlink::open();
    ASSERT_TRUE(netlink.has_value());
    ASSERT_TRUE(netlink->add_veth("here0", "there0", current_namespace().get()).has_value());
    for (const char* const name : {"here0", "there0"}) {
      const int link = netlink->find_link(name)->index;
      ASSERT_TRUE(netlink->set_link_state(link, io::LinkState::kUp).has_value());
    }
    ear_ = Descriptor(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ASSERT_TRUE(static_cast<bool>(ear_));
    sockaddr_ll at{};
    at.sll_family = AF_PACKET;
    at.sll_protocol = htons(ETH_P_ARP);
    at.sll_ifindex = netlink->find_link("there0")->index;
    ASSERT_EQ(::bind(ear_.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
    loop_ = *io::EpollLoop::create();
    addresses_ =
        std::make_unique<address::InterfaceAddresses>(*address::InterfaceAddresses::open());
    address::OwnedAddress owned;
    owned.address = *SocketAddress::parse_ip("10.9.0.1", 0);
    owned.device = "here0";
    // A cable that was plugged in a moment ago swallows frames.
    const auto until = std::chrono::steady_clock::now() + 10s;
    std::array<char, 128> frame;
    while (::recv(ear_.get(), frame.data(), frame.size(), 0) < 0 &&
           std::chrono::steady_clock::now() < until) {
      ASSERT_TRUE(addresses_->announce(owned, 1).has_value());
      std::this_thread::sleep_for(1ms);
    }
    owned.address = *SocketAddress::parse_ip("10.9.0.100", 0);
    owned.device = "here0";
    holder_ = std::make_unique<AddressHolder>(
        std::vector<AddressGroup>{{"web", {owned}}}, *address::InterfaceAddresses::open(),
        *address::InterfaceAddresses::open(), gate_, *loop_, [this] { return now_; }, lines_,
        [](const AddressGroup&, bool, Epoch) {});
  }
  void TearDown() override {
    holder_.reset();
    if (home_) {
      ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
    }
  }

  // Announcements since the last call, for so long.
  int heard_for(Duration time) {
    int heard = 0;
    for (const Instant until = loop_->now() + time; loop_->now() < until;) {
      loop_->run_once(1ms);
      std::array<char, 128> frame;
      while (true) {
        const ssize_t size = ::recv(ear_.get(), frame.data(), frame.size(), 0);
        if (size < 42) break;
        heard += std::string_view(frame.data() + 28, 4) == std::string_view("\x0a\x09\0\x64", 4);
      }
    }
    return heard;
  }

  Descriptor home_, ear_;
  Instant now_{};
  NoGate gate_;
  Lines lines_;
  std::unique_ptr<io::EpollLoop> loop_;
  std::unique_ptr<address::InterfaceAddresses> addresses_;
  std::unique_ptr<AddressHolder> holder_;
};

TEST_F(AddressHolderTest, ATakenAddressIsSaidAgainAndAgainAtGrowingIntervals) {
  now_ = loop_->now();
  holder_->hold(name_from("web"), 1, now_ + 1h, false);
  // Five at once, then after 10, 30, 100 and 300 ms; the next one after a second.
  EXPECT_GE(heard_for(600ms), 9);
  EXPECT_EQ(lines_.complaints, "");
}

TEST_F(AddressHolderTest, AHolderThatFindsItsLeaseOverSaysNothingMore) {
  now_ = loop_->now();
  holder_->hold(name_from("web"), 1, now_ + 88ms, false);
  now_ = now_ + 200ms;  // it was stopped, and its timers come before it hears of the loss
  EXPECT_EQ(heard_for(500ms), 5);
  holder_->announce_all(3);
  EXPECT_EQ(heard_for(20ms), 0);
  holder_->hold(name_from("web"), 2, now_ + 1h, true);
  holder_->announce_all(3);
  EXPECT_GE(heard_for(20ms), 3);
}

// Of the address, as the kernel tells of it.
int times(const std::vector<io::NetworkEvent>& events, io::NetworkEvent::Kind kind) {
  return static_cast<int>(std::count_if(events.begin(), events.end(), [&](const auto& event) {
    return event.kind == kind && event.address.address.ip_text() == "10.9.0.100";
  }));
}

TEST_F(AddressHolderTest, AnAddressIsRenewedWhileItIsHeldAndNotAfter) {
  using Kind = io::NetworkEvent::Kind;
  auto monitor = io::NetworkMonitor::open();
  ASSERT_TRUE(monitor.has_value());
  now_ = loop_->now();
  holder_->hold(name_from("web"), 1, now_ + 1h, false);
  std::vector<io::NetworkEvent> events;
  ASSERT_TRUE(monitor->read(events).has_value());
  EXPECT_EQ(times(events, Kind::kAddressAdded), 1);
  events.clear();
  const auto patience = std::chrono::steady_clock::now() + 10s;
  while (times(events, Kind::kAddressAdded) == 0 && std::chrono::steady_clock::now() < patience) {
    loop_->run_once(10ms);
    ASSERT_TRUE(monitor->read(events).has_value());
  }
  EXPECT_GE(times(events, Kind::kAddressAdded), 1);
  EXPECT_EQ(times(events, Kind::kAddressRemoved), 0);
  // One renewal more may be under way: nothing of it comes after the address was let go.
  holder_->let_go(name_from("web"));
  ASSERT_TRUE(monitor->read(events).has_value());
  EXPECT_EQ(times(events, Kind::kAddressRemoved), 1);
  events.clear();
  loop_->run_once(10ms);
  ASSERT_TRUE(monitor->read(events).has_value());
  EXPECT_EQ(times(events, Kind::kAddressAdded), 0);
  EXPECT_EQ(lines_.complaints, "");
}

TEST_F(AddressHolderTest, ARenewalThatFailsIsComplainedOf) {
  now_ = loop_->now();
  holder_->hold(name_from("web"), 1, now_ + 1ms, false);
  now_ = now_ + 1s;  // so that it announces nothing, which would fail as well
  auto netlink = io::Netlink::open();
  ASSERT_TRUE(netlink->delete_link(netlink->find_link("here0")->index).has_value());
  const auto patience = std::chrono::steady_clock::now() + 10s;
  while (lines_.complaints.find("interface here0") == std::string::npos &&
         std::chrono::steady_clock::now() < patience) {
    loop_->run_once(10ms);
  }
  EXPECT_NE(lines_.complaints.find("interface here0"), std::string::npos) << lines_.complaints;
}

}  // namespace
}  // namespace nines::cluster

// Two namespaces and a cable. The kernel's own second question is a minute away, so that an answer
// is the answer to ours. Skipped where namespaces are not allowed.
#include "address/neighbors.h"

#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address/interface_addresses.h"
#include "io/linux/descriptor.h"
#include "io/linux/netlink.h"

namespace nines::address {
namespace {

using io::Descriptor;

SocketAddress ip(std::string_view text) { return *SocketAddress::parse_ip(text, 0); }

Descriptor current_namespace() {
  return Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

void add_address(io::Netlink& netlink, int link, const char* address) {
  const SocketAddress parsed = ip(address);
  ASSERT_TRUE(netlink
                  .add_address({.link = link,
                                .address = parsed,
                                .prefix_length = parsed.ip_bytes().size() == 4 ? std::uint8_t{24}
                                                                               : std::uint8_t{64},
                                .flags = IFA_F_NODAD})
                  .has_value());
}

// One datagram, for which the kernel has to find the neighbour.
void speak_to(const char* address) {
  const SocketAddress to = ip(address);
  if (to.family() == SocketAddress::Family::kIpv4) {
    const Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_in kernel{};
    kernel.sin_family = AF_INET;
    kernel.sin_port = htons(9);
    std::memcpy(&kernel.sin_addr, to.ip_bytes().data(), 4);
    ASSERT_EQ(
        ::sendto(socket.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel), 1);
    return;
  }
  const Descriptor socket(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 kernel{};
  kernel.sin6_family = AF_INET6;
  kernel.sin6_port = htons(9);
  std::memcpy(&kernel.sin6_addr, to.ip_bytes().data(), 16);
  ASSERT_EQ(::sendto(socket.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel),
            1);
}

class NeighborsTest : public testing::Test {
 protected:
  void SetUp() override {
    home_ = current_namespace();
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no right to make a network namespace";
    far_ = current_namespace();
    auto far = io::Netlink::open();
    ASSERT_TRUE(far.has_value());
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    auto here = io::Netlink::open();
    ASSERT_TRUE(here.has_value());
    ASSERT_TRUE(here->add_veth("here0", "far0", far_.get()).has_value());
    link_ = here->find_link("here0")->index;
    far_link_ = far->find_link("far0")->index;
    ASSERT_TRUE(here->set_link_state(link_, io::LinkState::kUp).has_value());
    ASSERT_TRUE(far->set_link_state(far_link_, io::LinkState::kUp).has_value());
    for (const char* const family : {"ipv4", "ipv6"}) {
      const std::string path =
          std::string("/proc/sys/net/") + family + "/neigh/here0/retrans_time_ms";
      std::ofstream(path) << 60000;
    }
    here_netlink_ = std::make_unique<io::Netlink>(*std::move(here));
    far_netlink_ = std::make_unique<io::Netlink>(*std::move(far));
  }
  void TearDown() override {
    if (home_) {
      ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
    }
  }

  // Somebody who could not be asked in time is found by being asked again.
  void expect_found(const char* own, const char* neighbor) {
    add_address(*here_netlink_, link_, own);
    const SocketAddress::Family family = ip(own).family();
    const auto unheard = [&] { return *unheard_neighbors(link_, family, 8); };
    EXPECT_TRUE(unheard().empty());
    speak_to(neighbor);
    ASSERT_EQ(unheard().size(), 1u);
    EXPECT_EQ(unheard().front(), ip(neighbor));
    EXPECT_TRUE(unheard_neighbors(link_, family, 0)->empty());
    EXPECT_TRUE(unheard_neighbors(link_ + 1000, family, 8)->empty());

    add_address(*far_netlink_, far_link_, neighbor);
    auto addresses = InterfaceAddresses::open();
    ASSERT_TRUE(addresses.has_value());
    OwnedAddress owned;
    owned.address = ip(own);
    owned.device = "here0";
    const auto asked = addresses->ask_unheard(owned);
    ASSERT_TRUE(asked.has_value()) << asked.error().message();
    EXPECT_EQ(*asked, 1u);
    // A cable that was plugged in a moment ago may swallow the first.
    const auto until = std::chrono::steady_clock::now() + 10s;
    while (*addresses->ask_unheard(owned) != 0 && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(1ms);
    }
    EXPECT_TRUE(unheard().empty());
  }

  Descriptor home_, far_;
  int link_ = 0, far_link_ = 0;
  std::unique_ptr<io::Netlink> here_netlink_, far_netlink_;
};

TEST_F(NeighborsTest, OneOfIpv4IsFoundWithoutTheKernelsSecondQuestion) {
  expect_found("10.9.0.100", "10.9.0.2");
}

TEST_F(NeighborsTest, OneOfIpv6IsFoundWithoutTheKernelsSecondQuestion) {
  expect_found("2001:db8::100", "2001:db8::2");
}

}  // namespace
}  // namespace nines::address

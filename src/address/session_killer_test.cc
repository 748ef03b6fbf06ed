// Sessions on one loopback address end, those on another do not.
#include "address/session_killer.h"

#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/linux/descriptor.h"
#include "io/linux/socket.h"

namespace nines::address {
namespace {

struct Pair {
  io::Descriptor listener, client, server;
};

Pair connected(const char* ip) {
  Pair pair;
  pair.listener = *io::open_listener(*SocketAddress::parse_ip(ip, 0), {});
  const auto at = io::to_kernel(*io::local_address(pair.listener.get()));
  pair.client = io::Descriptor(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(pair.client.get(), at->get(), at->size), 0);
  // The listener does not block, but a connection made is a connection to accept.
  pair.server = io::Descriptor(::accept4(pair.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  EXPECT_TRUE(static_cast<bool>(pair.server));
  return pair;
}

void set_loopback(bool up) {
  const io::Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = up ? IFF_UP : 0;
  ASSERT_EQ(::ioctl(socket.get(), SIOCSIFFLAGS, &request), 0);
}

bool is_broken(const io::Descriptor& socket) {
  char byte = 0;
  const ssize_t count = ::recv(socket.get(), &byte, 1, MSG_DONTWAIT);
  return count == 0 || (count < 0 && errno != EAGAIN);
}

TEST(SessionKiller, EndsSessionsOfOneAddressOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "destroying sockets needs CAP_NET_ADMIN";
  const Pair lost = connected("127.31.7.9");
  const Pair kept = connected("127.31.7.10");
  const auto destroyed = destroy_sessions(*SocketAddress::parse_ip("127.31.7.9", 0));
  ASSERT_TRUE(destroyed.has_value()) << destroyed.error().message();
  ASSERT_GE(destroyed->size(), 1u);
  EXPECT_EQ(destroyed->front().local.ip_text(), "127.31.7.9");
  EXPECT_EQ(destroyed->front().peer.ip_text(), "127.0.0.1");
  EXPECT_TRUE(is_broken(lost.server));
  EXPECT_TRUE(is_broken(lost.client));
  EXPECT_FALSE(is_broken(kept.server));
  EXPECT_FALSE(is_broken(kept.client));
  // The listener lives on.
  EXPECT_EQ(::accept(lost.listener.get(), nullptr, nullptr), -1);
  EXPECT_EQ(errno, EAGAIN);
}

int unanswered(const io::Descriptor& socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  EXPECT_EQ(::getsockopt(socket.get(), IPPROTO_TCP, TCP_INFO, &info, &size), 0);
  return info.tcpi_retransmits;
}

// In a network of its own, whose only link goes down.
TEST(SessionKiller, EndsWhatIsStrandedAndNothingElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "a network namespace needs CAP_SYS_ADMIN";
  const io::Descriptor home(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  set_loopback(true);
  const Pair asking = connected("127.31.7.9"), resting = connected("127.31.7.9");
  const Pair other = connected("127.31.7.10");
  const std::vector<SocketAddress> moved = {*SocketAddress::parse_ip("127.31.7.9", 0)};
  EXPECT_EQ(destroy_stranded(moved).value(), 0u);
  set_loopback(false);
  for (const Pair* each : {&asking, &other}) {
    ASSERT_EQ(::send(each->client.get(), "?", 1, MSG_NOSIGNAL), 1);
    while (unanswered(each->client) == 0) std::this_thread::yield();
  }
  EXPECT_EQ(destroy_stranded(moved).value(), 1u);
  EXPECT_TRUE(is_broken(asking.client));
  EXPECT_FALSE(is_broken(resting.client));
  EXPECT_FALSE(is_broken(other.client));
  ASSERT_EQ(::setns(home.get(), CLONE_NEWNET), 0);
}

}  // namespace
}  // namespace nines::address

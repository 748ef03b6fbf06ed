// For tests: sessions over the loopback of a network of its own, both ends in hand.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address/session.h"
#include "io/linux/descriptor.h"
#include "io/linux/socket.h"

namespace nines::address {

struct Pair {
  io::Descriptor listener, client, server;
  Session session;  // as the server has it
};

class SessionPairs : public testing::Test {
 protected:
  void SetUp() override {
    home_ = io::Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no right to make a network namespace";
    bring_up_loopback();
  }
  void TearDown() override {
    if (home_) {
      ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
    }
  }

  static void bring_up_loopback() {
    const io::Descriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_flags = IFF_UP;
    ASSERT_EQ(::ioctl(socket.get(), SIOCSIFFLAGS, &request), 0);
  }

  // Whose IPv4 sessions the kernel keeps among those of IPv6.
  static io::Descriptor listener_of_both() {
    io::Descriptor listener(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int off = 0;
    EXPECT_EQ(::setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    return listener;
  }

  // To `ip`; the listener on any address of both families when `both`.
  static Pair connected(const char* ip, bool both = false) {
    Pair pair;
    const SocketAddress at = *SocketAddress::parse_ip(ip, 0);
    pair.listener = both ? listener_of_both() : *io::open_listener(at, {});
    const std::uint16_t port = io::local_address(pair.listener.get())->port();
    const auto to = *io::to_kernel(at.with_port(port));
    const int family = at.family() == SocketAddress::Family::kIpv4 ? AF_INET : AF_INET6;
    pair.client = io::Descriptor(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(pair.client.get(), to.get(), to.size), 0);
    pair.server = io::Descriptor(::accept4(pair.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(static_cast<bool>(pair.server));
    pair.session = {at.with_port(port), *io::local_address(pair.client.get())};
    return pair;
  }

  // Its host died: no segment says so.
  static void die(Pair& pair) {
    const int on = 1;
    ASSERT_EQ(::setsockopt(pair.server.get(), IPPROTO_TCP, TCP_REPAIR, &on, sizeof on), 0);
    pair.server = io::Descriptor();
  }

  // What the client's next read ends with: 0 for silence.
  static int heard_by(const Pair& pair, std::chrono::milliseconds patience) {
    const timeval wait{.tv_sec = 0, .tv_usec = static_cast<long>(patience.count()) * 1000};
    EXPECT_EQ(::setsockopt(pair.client.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait), 0);
    char byte = 0;
    if (::recv(pair.client.get(), &byte, 1, 0) >= 0) return -1;
    return errno == EAGAIN ? 0 : errno;
  }

  static bool talks(const Pair& pair) {
    char byte = 0;
    return ::send(pair.server.get(), "!", 1, MSG_NOSIGNAL) == 1 &&
           ::recv(pair.client.get(), &byte, 1, 0) == 1 && byte == '!';
  }

  io::Descriptor home_;
};

}  // namespace nines::address

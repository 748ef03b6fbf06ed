// Sessions on one loopback address end, those on another do not.
#include "address/session_killer.h"

#include <cerrno>

#include <gtest/gtest.h>
#include <netinet/in.h>
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

}  // namespace
}  // namespace nines::address

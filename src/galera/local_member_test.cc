// What a process itself says of whether clients may come.
#include "galera/local_member.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/linux/descriptor.h"

namespace nines::galera {
namespace {

TEST(LocalMemberTest, AProcessTakesClientsWhenItListensForThemOnAUnixSocket) {
  EXPECT_FALSE(takes_clients(::getpid()).value());
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const io::Descriptor one(ends[0]), other(ends[1]);
  EXPECT_FALSE(takes_clients(::getpid()).value()) << "a connection is no listener";

  const io::Descriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un any{};  // of no name: the kernel chooses an abstract one
  any.sun_family = AF_UNIX;
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any.sun_family),
            0);
  EXPECT_FALSE(takes_clients(::getpid()).value()) << "bound only";
  ASSERT_EQ(::listen(listener.get(), 1), 0);
  EXPECT_TRUE(takes_clients(::getpid()).value());
}

TEST(LocalMemberTest, OfAProcessThatIsGoneNothingIsSaid) {
  EXPECT_FALSE(takes_clients(0x7ffffff).has_value());
}

}  // namespace
}  // namespace nines::galera

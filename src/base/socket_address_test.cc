// Text to address and back.
#include "base/socket_address.h"

#include <gtest/gtest.h>

namespace nines::base {
namespace {

TEST(SocketAddress, ReadsAndPrintsEachFamily) {
  for (const char* text : {"100.2.30.40:5000", "[fd00::1]:80", "/run/nines.sock"}) {
    const auto address = SocketAddress::parse(text);
    ASSERT_TRUE(address.has_value()) << text;
    EXPECT_EQ(address->text(), text);
  }
}

TEST(SocketAddress, RefusesWhatIsNotAnAddress) {
  for (const char* text : {"", "100.2.30.40", "100.2.30.40:", "100.2.30.40:70000", "host:80",
                           "1.2.3:80", "1.2.3.4:8x", "1.2.3.4:-1"}) {
    EXPECT_FALSE(SocketAddress::parse(text).has_value()) << text;
  }
}

TEST(SocketAddress, KnowsTheWildcard) {
  EXPECT_TRUE(SocketAddress::parse("0.0.0.0:80")->is_wildcard());
  EXPECT_TRUE(SocketAddress::parse("[::]:80")->is_wildcard());
  EXPECT_FALSE(SocketAddress::parse("127.0.0.1:80")->is_wildcard());
}

}  // namespace
}  // namespace nines::base

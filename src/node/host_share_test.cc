// There and back, and what is no share.
#include "node/host_share.h"

#include <gtest/gtest.h>

namespace nines::node {
namespace {

TEST(HostShare, IsTheSameAfterItsWay) {
  for (const auto kind : {HostShare::Kind::kAll, HostShare::Kind::kNone, HostShare::Kind::kGone,
                          HostShare::Kind::kSlowly}) {
    const HostShare share{.kind = kind,
                          .addresses = {*SocketAddress::parse_ip("192.0.2.43", 0),
                                        *SocketAddress::parse_ip("2001:db8::43", 0)}};
    const auto parsed = parse_host_share(encode(share));
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
    EXPECT_EQ(*parsed, share);
  }
  EXPECT_EQ(encode({.kind = HostShare::Kind::kGone,
                    .addresses = {*SocketAddress::parse_ip("192.0.2.43", 0)}}),
            "gone 192.0.2.43");
}

TEST(HostShare, AnythingElseIsRefused) {
  for (const char* const text : {"", "half 192.0.2.43", "gone x", "gone 192.0.2.43  192.0.2.44"}) {
    EXPECT_FALSE(parse_host_share(text).has_value()) << text;
  }
  std::string many = "gone";
  for (std::size_t i = 0; i <= kShareAddressesMax; ++i) many += " 192.0.2." + std::to_string(i + 1);
  EXPECT_FALSE(parse_host_share(many).has_value());
}

}  // namespace
}  // namespace nines::node

// What may be refused at all, and how much of it fits. What the rules do is refusals_test.cc's.
#include "address/refusal_rules.h"

#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::address {
namespace {

using testing::HasSubstr;

std::string why_not(const char* address) {
  const auto checked = check_refusable({*SocketAddress::parse_ip(address, 0)});
  return checked.has_value() ? std::string() : checked.error().message();
}

std::string why_not_port(std::uint16_t port) {
  const auto checked = check_refusable_ports({3306, port});
  return checked.has_value() ? std::string() : checked.error().message();
}

TEST(RefusalRules, AddressesThatAreNoHostsAreNotTaken) {
  EXPECT_EQ(why_not("192.0.2.41"), "");
  EXPECT_EQ(why_not("2001:db8::41"), "");
  EXPECT_THAT(why_not("0.0.0.0"), HasSubstr("every host has it"));
  EXPECT_THAT(why_not("127.0.0.1"), HasSubstr("belongs to each host"));
  EXPECT_THAT(why_not("::1"), HasSubstr("belongs to each host"));
  EXPECT_THAT(why_not("224.0.0.18"), HasSubstr("belongs to nobody"));
  EXPECT_THAT(why_not("ff02::1"), HasSubstr("belongs to nobody"));
  EXPECT_THAT(why_not("fe80::1"), HasSubstr("on another link"));
  EXPECT_THAT(why_not("::ffff:192.0.2.41"), HasSubstr("write it as IPv4"));
}

TEST(RefusalRules, TheWayInAndNinesItselfAreNeverRefused) {
  EXPECT_EQ(why_not_port(5672), "");
  EXPECT_THAT(why_not_port(22), HasSubstr("whoever mends the host"));
  EXPECT_THAT(why_not_port(7402), HasSubstr("nines' own"));
  EXPECT_THAT(why_not_port(0), HasSubstr("no port"));
}

TEST(RefusalRules, TooMuchIsSaid) {
  std::vector<SocketAddress> addresses;
  for (std::size_t i = 0; i <= kRefusedAddressesMax; ++i) {
    addresses.push_back(SocketAddress::ipv4({192, 0, 2, static_cast<std::uint8_t>(i + 1)}, 0));
  }
  EXPECT_EQ(check_refusable(addresses).error().code(), ErrorCode::kExhausted);
  std::vector<std::uint16_t> ports;
  for (std::size_t i = 0; i <= kRefusedPortsMax; ++i) {
    ports.push_back(static_cast<std::uint16_t>(10000 + i));
  }
  EXPECT_EQ(check_refusable_ports(ports).error().code(), ErrorCode::kExhausted);
}

}  // namespace
}  // namespace nines::address

// Each way in which a well-formed advert does not count, one change at a time.
#include "vrrp/vrrp_filter.h"

#include <gtest/gtest.h>

namespace nines::vrrp {
namespace {

SocketAddress ip(std::string_view text) { return *SocketAddress::parse_ip(text, 0); }

VrrpInstance instance() {
  VrrpInstance made;
  made.virtual_router_id = 51;
  made.authentication = {AuthType::kPass, "s3cretlo"};
  for (const char* text : {"10.9.0.100", "10.9.0.101"}) {
    VirtualAddress address;
    address.address = ip(text);
    made.addresses.push_back(address);
  }
  return made;
}

Packet packet() { return {ip("10.9.0.1"), ip("224.0.0.18"), advert_of(instance(), 100)}; }

Rejection of(const Packet& heard) { return examine(instance(), ip("10.9.0.2"), heard); }

TEST(VrrpFilter, OneOfOurRouterCounts) { EXPECT_EQ(of(packet()), Rejection::kNone); }

TEST(VrrpFilter, TheOrderOfAddressesDoesNotMatter) {
  Packet heard = packet();
  std::swap(heard.advert.addresses[0], heard.advert.addresses[1]);
  EXPECT_EQ(of(heard), Rejection::kNone);
}

TEST(VrrpFilter, EachDifferenceHasItsName) {
  const auto with = [](auto change) {
    Packet heard = packet();
    change(heard);
    return of(heard);
  };
  EXPECT_EQ(with([](Packet& p) { p.advert.router_id = 52; }), Rejection::kOtherRouter);
  EXPECT_EQ(with([](Packet& p) { p.source = ip("10.9.0.2"); }), Rejection::kOwn);
  EXPECT_EQ(with([](Packet& p) { p.advert.version = 3; }), Rejection::kVersion);
  EXPECT_EQ(with([](Packet& p) { p.advert.authentication_type = 0; }), Rejection::kAuthentication);
  EXPECT_EQ(with([](Packet& p) { p.advert.authentication_data[7] = 'x'; }), Rejection::kPassword);
  EXPECT_EQ(with([](Packet& p) { p.advert.interval = 2s; }), Rejection::kInterval);
  EXPECT_EQ(with([](Packet& p) { p.advert.addresses.pop_back(); }), Rejection::kAddresses);
}

TEST(VrrpFilter, ShortPasswordsAreFilledWithZeros) {
  VrrpInstance made = instance();
  made.authentication.password = "abc";
  const Advert advert = advert_of(made, 1);
  EXPECT_EQ(std::string(advert.authentication_data.data(), 8), std::string("abc\0\0\0\0\0", 8));
}

TEST(VrrpFilter, Version3TakesTheMastersInterval) {
  VrrpInstance made = instance();
  made.version = 3;
  Packet heard = packet();
  heard.advert = advert_of(made, 100);
  heard.advert.interval = 2s;
  EXPECT_EQ(examine(made, ip("10.9.0.2"), heard), Rejection::kNone);
}

TEST(VrrpFilter, WithUnicastOnlyPeersCountWhenAsked) {
  VrrpInstance made = instance();
  made.unicast_peers = {ip("10.9.0.3")};
  EXPECT_EQ(examine(made, ip("10.9.0.2"), packet()), Rejection::kNone);
  made.check_unicast_src = true;
  EXPECT_EQ(examine(made, ip("10.9.0.2"), packet()), Rejection::kNotAPeer);
}

}  // namespace
}  // namespace nines::vrrp

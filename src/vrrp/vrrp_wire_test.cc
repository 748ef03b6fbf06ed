// Packets as keepalived 2.2.7 put them on a wire, read and written to the byte, and every way in
// which a packet can be wrong.
#include "vrrp/vrrp_wire.h"

#include <gtest/gtest.h>

namespace nines::vrrp {
namespace {

// Captured between two hosts: priority 100, virtual router 51, 10.9.0.100 and 10.9.0.101.
constexpr std::string_view kPlain =
    "45c0002c00010000ff70d0840a090001e0000012"
    "21336402000165ee0a0900640a0900650000000000000000";
constexpr std::string_view kPassword =  // auth_pass s3cretlongpass
    "45c0002c00010000ff70d0840a090001e0000012"
    "213364020101bc640a0900640a0900657333637265746c6f";
constexpr std::string_view kStopping =
    "45c0002c00030000ff70d0820a090001e0000012"
    "213300020001c9ee0a0900640a0900650000000000000000";
constexpr std::string_view kVersion3 =  // advert_int 0.1
    "45c0002400010000ff70d08c0a090001e0000012"
    "31336402000a6b480a0900640a090065";
constexpr std::string_view kVersion3Stopping =
    "45c00024000c0000ff70d0810a090001e0000012"
    "31330002000acf480a0900640a090065";

// Version 3 over IPv6, advert_int 0.1, owner of fe80::100 and fd00:9::100; its end.
constexpr std::string_view kIpv6 =
    "6c04c5ff002870fffe80000000000000000000fffe000001ff020000000000000000000000000012"
    "3133ff02000ad505fe800000000000000000000000000100fd000009000000000000000000000100";
constexpr std::string_view kIpv6Stopping =
    "6c04c5ff002870fffe80000000000000000000fffe000001ff020000000000000000000000000012"
    "31330002000ad406fe800000000000000000000000000100fd000009000000000000000000000100";

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

SocketAddress ip(std::string_view text) { return *SocketAddress::parse_ip(text, 0); }

Packet parsed(std::string_view hex) {
  Packet packet;
  EXPECT_EQ(parse_packet(from_hex(hex), packet), WireFault::kNone);
  return packet;
}

WireFault fault_of(const std::string& bytes) {
  Packet packet;
  return parse_packet(bytes, packet);
}

TEST(VrrpWire, ReadsAnAdvertOfKeepalived) {
  const Packet packet = parsed(kPlain);
  EXPECT_EQ(packet.source, ip("10.9.0.1"));
  EXPECT_EQ(packet.destination, ip("224.0.0.18"));
  EXPECT_EQ(packet.advert.version, 2);
  EXPECT_EQ(packet.advert.router_id, 51);
  EXPECT_EQ(packet.advert.priority, 100);
  EXPECT_EQ(packet.advert.interval, 1s);
  EXPECT_EQ(packet.advert.authentication_type, 0);
  EXPECT_EQ(packet.advert.addresses, (std::vector{ip("10.9.0.100"), ip("10.9.0.101")}));
}

TEST(VrrpWire, ReadsThePasswordsFirstEightBytes) {
  const Packet packet = parsed(kPassword);
  EXPECT_EQ(packet.advert.authentication_type, 1);
  EXPECT_EQ(std::string(packet.advert.authentication_data.data(), 8), "s3cretlo");
}

TEST(VrrpWire, ReadsHundredthsInVersion3) {
  const Packet packet = parsed(kVersion3);
  EXPECT_EQ(packet.advert.version, 3);
  EXPECT_EQ(packet.advert.interval, 100ms);
  EXPECT_EQ(parsed(kVersion3Stopping).advert.priority, kPriorityStop);
  EXPECT_EQ(parsed(kStopping).advert.priority, kPriorityStop);
}

TEST(VrrpWire, ReadsAnAdvertOverIpv6) {
  const Packet packet = parsed(kIpv6);
  EXPECT_EQ(packet.source, ip("fe80::ff:fe00:1"));
  EXPECT_EQ(packet.destination, ip("ff02::12"));
  EXPECT_EQ(packet.advert.version, 3);
  EXPECT_EQ(packet.advert.router_id, 51);
  EXPECT_EQ(packet.advert.priority, 255);
  EXPECT_EQ(packet.advert.interval, 100ms);
  EXPECT_EQ(packet.advert.addresses, (std::vector{ip("fe80::100"), ip("fd00:9::100")}));
  EXPECT_EQ(parsed(kIpv6Stopping).advert.priority, kPriorityStop);
}

TEST(VrrpWire, WritesOverIpv6WhatKeepalivedWrites) {
  for (const std::string_view hex : {kIpv6, kIpv6Stopping}) {
    const Packet packet = parsed(hex);
    const std::string message = encode_message(packet.advert, packet.source, packet.destination);
    EXPECT_EQ(message, from_hex(hex).substr(kIpv6HeaderSize));
    const auto header =
        ipv6_header(packet.source, packet.destination, kVrrpTimeToLive, message.size());
    std::string expected = from_hex(hex).substr(0, kIpv6HeaderSize);
    expected.replace(0, 4, std::string("\x60\0\0\0", 4));  // class and flow label aside
    EXPECT_EQ(std::string(header.data(), header.size()), expected);
  }
}

TEST(VrrpWire, WritesWhatKeepalivedWrites) {
  for (const std::string_view hex : {kPlain, kPassword, kStopping, kVersion3, kVersion3Stopping}) {
    const Packet packet = parsed(hex);
    EXPECT_EQ(encode_message(packet.advert, packet.source, packet.destination),
              from_hex(hex).substr(20));
  }
}

TEST(VrrpWire, IntervalsOutOfRangeAreSentAsTheNearest) {
  Packet packet = parsed(kVersion3);
  packet.advert.interval = 3ms;
  std::string message = encode_message(packet.advert, packet.source, packet.destination);
  EXPECT_EQ(message[5], 1);
  packet.advert.version = 2;
  packet.advert.interval = 1000s;
  message = encode_message(packet.advert, packet.source, packet.destination);
  EXPECT_EQ(message[5], '\xff');
}

TEST(VrrpWire, PaddingBehindThePacketIsIgnored) {
  Packet packet;
  EXPECT_EQ(parse_packet(from_hex(kVersion3) + std::string(10, '\0'), packet), WireFault::kNone);
  EXPECT_EQ(packet.advert.addresses.size(), 2u);
}

TEST(VrrpWire, EveryCutIsTooShort) {
  const std::string whole = from_hex(kPassword);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(fault_of(whole.substr(0, size)), WireFault::kTooShort) << size;
  }
}

TEST(VrrpWire, ABrokenPacketStillSaysWhomItIsFor) {
  std::string bytes = from_hex(kPassword);
  const std::uint8_t router = parsed(kPassword).advert.router_id;
  bytes[8] = 1;  // the time to live
  EXPECT_EQ(router_id_of(bytes), router);
  EXPECT_EQ(router_id_of(bytes.substr(0, 22)), router);
  EXPECT_EQ(router_id_of(bytes.substr(0, 21)), std::nullopt);
  EXPECT_EQ(router_id_of(""), std::nullopt);
  bytes[0] = 0x4f;  // a header longer than the packet
  EXPECT_EQ(router_id_of(bytes), std::nullopt);
  bytes[0] = 0x55;
  EXPECT_EQ(router_id_of(bytes), std::nullopt);
  EXPECT_EQ(router_id_of(from_hex(kIpv6)), 51);
  EXPECT_EQ(router_id_of(from_hex(kIpv6).substr(0, 41)), std::nullopt);
}

TEST(VrrpWire, EveryFlippedBitOfTheMessageIsAFault) {
  const std::string whole = from_hex(kPassword);
  for (std::size_t bit = 20 * 8; bit < whole.size() * 8; ++bit) {
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(fault_of(bytes), WireFault::kNone) << bit;
  }
}

struct Damage {
  std::size_t offset;
  char value;
  WireFault fault;
};

TEST(VrrpWire, FaultsHaveTheirNames) {
  const Damage damages[] = {
      {0, 0x55, WireFault::kHeader}, {0, 0x44, WireFault::kHeader},
      {3, 10, WireFault::kHeader},   {6, 0x20, WireFault::kFragment},
      {7, 1, WireFault::kFragment},  {8, '\xfe', WireFault::kTimeToLive},
      {9, 17, WireFault::kProtocol}, {20, 0x41, WireFault::kVersion},
      {20, 0x22, WireFault::kType},  {21, 0, WireFault::kRouterId},
      {23, 0, WireFault::kCount},    {23, 1, WireFault::kLength},
      {23, 3, WireFault::kTooShort}, {22, 99, WireFault::kChecksum},
      {43, 0, WireFault::kChecksum}, {15, 7, WireFault::kNone},
  };
  for (const Damage& damage : damages) {
    std::string bytes = from_hex(kPassword);
    bytes[damage.offset] = damage.value;
    EXPECT_EQ(name_of(fault_of(bytes)), name_of(damage.fault)) << damage.offset;
  }
  // Version 3 sums both addresses, so that a rewritten source is seen.
  std::string bytes = from_hex(kVersion3);
  bytes[15] = 7;
  EXPECT_EQ(fault_of(bytes), WireFault::kChecksum);
}

TEST(VrrpWire, FaultsOverIpv6HaveTheirNames) {
  const Damage damages[] = {
      {5, 0x29, WireFault::kTooShort},     {5, 0x27, WireFault::kTooShort},
      {6, 58, WireFault::kProtocol},       {6, 44, WireFault::kProtocol},
      {7, '\xfe', WireFault::kTimeToLive}, {15, 7, WireFault::kChecksum},
      {39, 0x13, WireFault::kChecksum},    {40, 0x21, WireFault::kVersion},
      {40, 0x41, WireFault::kVersion},     {41, 0, WireFault::kRouterId},
      {43, 1, WireFault::kLength},         {43, 3, WireFault::kTooShort},
      {79, 1, WireFault::kChecksum},       {2, 0, WireFault::kNone},
  };
  for (const Damage& damage : damages) {
    std::string bytes = from_hex(kIpv6);
    bytes[damage.offset] = damage.value;
    EXPECT_EQ(name_of(fault_of(bytes)), name_of(damage.fault)) << damage.offset;
  }
  EXPECT_EQ(fault_of(from_hex(kIpv6).substr(0, 39)), WireFault::kTooShort);
  EXPECT_EQ(fault_of(""), WireFault::kTooShort);
}

TEST(VrrpWire, AnIntervalOfNothingIsAFault) {
  // Priority 100 and interval 1 give way to 101 and 0, which sums to the same with the checksum
  // one less in the same halves.
  std::string bytes = from_hex(kPlain);
  bytes[25] = 0;
  bytes[27] = '\xef';
  EXPECT_EQ(fault_of(bytes), WireFault::kInterval);
}

}  // namespace
}  // namespace nines::vrrp

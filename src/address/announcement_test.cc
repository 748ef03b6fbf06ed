// Frames to the byte: keepalived's own for ARP, one worked out by hand for IPv6.
#include "address/announcement.h"

#include <gtest/gtest.h>

namespace nines::address {
namespace {

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(c));
    text += two;
  }
  return text;
}

// Of an ICMPv6 message in its frame: a right one makes the whole sum to nothing.
std::uint32_t checksum_of(const std::string& frame) {
  std::uint32_t sum = 58 + 32;
  for (std::size_t i = 22; i + 1 < frame.size(); i += 2) {
    sum += static_cast<std::uint32_t>(static_cast<std::uint8_t>(frame[i]) << 8 |
                                      static_cast<std::uint8_t>(frame[i + 1]));
  }
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

constexpr HardwareAddress kHardware{0xfe, 0x13, 0xef, 0x45, 0xae, 0x33};

TEST(Announcement, IsTheArpThatKeepalivedSends) {
  EXPECT_EQ(hex(announcement_frame(*SocketAddress::parse_ip("10.9.0.100", 0), kHardware)),
            "fffffffffffffe13ef45ae330806"
            "0001080006040001fe13ef45ae330a090064ffffffffffff0a090064");
}

TEST(Announcement, OfARouterIsTheAdvertisementThatKeepalivedSends) {
  constexpr HardwareAddress kRouter{0x02, 0, 0, 0, 0, 0x01};
  EXPECT_EQ(
      hex(announcement_frame(*SocketAddress::parse_ip("fd00:9::100", 0), kRouter, Sender::kRouter)),
      "33330000000102000000000186dd6000000000203aff"
      "fd000009000000000000000000000100ff020000000000000000000000000001"
      "8800d88aa0000000fd0000090000000000000000000001000201020000000001");
}

TEST(Announcement, OfIpv6IsAnAdvertisementThatOverrides) {
  const std::string frame =
      announcement_frame(*SocketAddress::parse_ip("2001:db8::5", 0), kHardware);
  ASSERT_EQ(frame.size(), 14u + 40u + 32u);
  EXPECT_EQ(hex(frame.substr(0, 14)), "333300000001fe13ef45ae3386dd");
  EXPECT_EQ(hex(frame.substr(14, 8)), "6000000000203aff");
  EXPECT_EQ(hex(frame.substr(54, 2)), "8800");
  EXPECT_EQ(hex(frame.substr(58, 4)), "20000000");
  EXPECT_EQ(hex(frame.substr(frame.size() - 8)), "0201fe13ef45ae33");
  EXPECT_EQ(checksum_of(frame), 0xffffu);
}

TEST(Announcement, QuestionOfIpv4IsAnArpRequestInTheAddressesName) {
  EXPECT_EQ(hex(question_frame(*SocketAddress::parse_ip("10.9.0.100", 0), kHardware,
                               *SocketAddress::parse_ip("10.9.0.2", 0))),
            "fffffffffffffe13ef45ae330806"
            "0001080006040001fe13ef45ae330a0900640000000000000a090002");
}

TEST(Announcement, QuestionOfIpv6IsASolicitationToTheNeighboursOwnGroup) {
  const std::string frame = question_frame(*SocketAddress::parse_ip("2001:db8::5", 0), kHardware,
                                           *SocketAddress::parse_ip("2001:db8::12:3456", 0));
  ASSERT_EQ(frame.size(), 14u + 40u + 32u);
  EXPECT_EQ(hex(frame.substr(0, 14)), "3333ff123456fe13ef45ae3386dd");
  EXPECT_EQ(hex(frame.substr(14, 8)), "6000000000203aff");
  EXPECT_EQ(hex(frame.substr(38, 16)), "ff0200000000000000000001ff123456");
  EXPECT_EQ(hex(frame.substr(54, 2)), "8700");
  EXPECT_EQ(hex(frame.substr(58, 20)), "0000000020010db8000000000000000000123456");
  EXPECT_EQ(hex(frame.substr(frame.size() - 8)), "0101fe13ef45ae33");
  EXPECT_EQ(checksum_of(frame), 0xffffu);
}

}  // namespace
}  // namespace nines::address

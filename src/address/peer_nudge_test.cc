// The packet's form, by a checker of its own.
#include "address/peer_nudge.h"

#include <gtest/gtest.h>

namespace nines::address {
namespace {

std::uint32_t at(const std::string& bytes, std::size_t offset, int size) {
  std::uint32_t value = 0;
  for (int i = 0; i < size; ++i) {
    value = value << 8 | static_cast<std::uint8_t>(bytes[offset + static_cast<std::size_t>(i)]);
  }
  return value;
}

// The ones' complement sum of a text with a right checksum in it is all ones.
std::uint32_t sum_of(const std::string& bytes) {
  std::uint32_t sum = 0;
  const std::string even = bytes + std::string(bytes.size() % 2, '\0');
  for (std::size_t i = 0; i < even.size(); i += 2) sum += at(even, i, 2);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

TEST(PeerNudge, IsAWholeSegmentFromTheLostAddress) {
  const Session session{*SocketAddress::parse_ip("10.9.0.100", 8080),
                        *SocketAddress::parse_ip("192.0.2.7", 51234)};
  for (const Nudge nudge : {Nudge::kInsistent, Nudge::kGentle}) {
    for (const std::uint32_t seed : {0u, 1u, 0xffffffffu, 0x12345678u}) {
      const std::string packet = nudge_packet(session, seed, nudge);
      ASSERT_EQ(packet.size(), nudge == Nudge::kInsistent ? 41u : 40u);
      EXPECT_EQ(at(packet, 2, 2), packet.size());
      EXPECT_EQ(at(packet, 9, 1), 6u);
      EXPECT_EQ(at(packet, 12, 4), 0x0a090064u);
      EXPECT_EQ(at(packet, 16, 4), 0xc0000207u);
      EXPECT_EQ(sum_of(packet.substr(0, 20)), 0xffffu);
      EXPECT_EQ(at(packet, 20, 2), 8080u);
      EXPECT_EQ(at(packet, 22, 2), 51234u);
      EXPECT_EQ(at(packet, 24, 4), seed);
      EXPECT_EQ(at(packet, 33, 1), 0x10u);  // ACK alone
      const std::string segment = packet.substr(20);
      std::string pseudo = packet.substr(12, 8) + std::string("\0\6\0", 3);
      pseudo += static_cast<char>(segment.size());
      EXPECT_EQ(sum_of(pseudo + segment), 0xffffu);
    }
  }
}

TEST(PeerNudge, IsOneOfIpv6AsWell) {
  const Session session{*SocketAddress::parse_ip("2001:db8::100", 8080),
                        *SocketAddress::parse_ip("2001:db8::7", 51234)};
  const std::string packet = nudge_packet(session, 77, Nudge::kGentle);
  ASSERT_EQ(packet.size(), 60u);
  EXPECT_EQ(at(packet, 0, 1), 0x60u);
  EXPECT_EQ(at(packet, 4, 2), 20u);
  EXPECT_EQ(at(packet, 6, 1), 6u);
  EXPECT_EQ(packet.substr(8, 16), session.local.ip_bytes());
  EXPECT_EQ(packet.substr(24, 16), session.peer.ip_bytes());
  EXPECT_EQ(at(packet, 40, 2), 8080u);
  EXPECT_EQ(at(packet, 44, 4), 77u);
  const std::string pseudo = packet.substr(8, 32) + std::string("\0\0\0\24\0\0\0\6", 8);
  EXPECT_EQ(sum_of(pseudo + packet.substr(40)), 0xffffu);
}

}  // namespace
}  // namespace nines::address

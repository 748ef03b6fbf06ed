// Messages about sessions to bytes and back, and bytes that are none.
#include "cluster/session_wire.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "cluster/lease_wire.h"
#include "cluster/membership_wire.h"

namespace nines::cluster {
namespace {

SessionTuple tuple(const char* local, int local_port, const char* peer, int peer_port) {
  return SessionTuple::of(*SocketAddress::parse_ip(local, static_cast<std::uint16_t>(local_port)),
                          *SocketAddress::parse_ip(peer, static_cast<std::uint16_t>(peer_port)));
}

SessionMessage some_message() {
  SessionMessage message;
  message.name = 0x1122334455667788;
  message.epoch = 0x99aa;
  message.round = 7;
  message.standing = {tuple("10.9.0.100", 5000, "10.9.0.200", 40000),
                      tuple("2001:db8::100", 5000, "2001:db8::7", 40001)};
  message.ended = {tuple("10.9.0.100", 3306, "192.0.2.1", 65535)};
  return message;
}

TEST(SessionWire, AMessageComesBackAsItWas) {
  const std::string bytes = encode_session_message(some_message());
  EXPECT_EQ(bytes.size(), kSessionHeadSize + 13 + 37 + 13);
  SessionMessage back;
  ASSERT_EQ(parse_session_message(bytes, back), WireFault::kNone);
  EXPECT_EQ(back, some_message());
  EXPECT_EQ(back.standing[0].local_address().text(), "10.9.0.100:5000");
  EXPECT_EQ(back.standing[1].peer_address().text(), "[2001:db8::7]:40001");
  SessionMessage empty = some_message();
  empty.standing.clear();
  empty.ended.clear();
  ASSERT_EQ(parse_session_message(encode_session_message(empty), back), WireFault::kNone);
  EXPECT_EQ(back, empty);
}

TEST(SessionWire, WhatIsNoMessageIsRefused) {
  const std::string bytes = encode_session_message(some_message());
  SessionMessage back;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(parse_session_message(std::string_view(bytes).substr(0, size), back),
              WireFault::kTooShort);
  }
  EXPECT_EQ(parse_session_message(bytes + 'x', back), WireFault::kTooLong);
  const auto spoilt = [&](std::size_t at, int value) {
    std::string other = bytes;
    other[at] = static_cast<char>(value);
    return parse_session_message(other, back);
  };
  EXPECT_EQ(spoilt(0, 2), WireFault::kVersion);
  EXPECT_EQ(spoilt(1, 64), WireFault::kKind);
  EXPECT_EQ(spoilt(10, 0xff), WireFault::kRange) << "an epoch that cannot be";
  EXPECT_EQ(spoilt(21, 0), WireFault::kRange) << "round 0";
  EXPECT_EQ(spoilt(22, 200), WireFault::kTooShort) << "more sessions than there are";
  EXPECT_EQ(spoilt(24, 5), WireFault::kRange) << "no family";
  EXPECT_EQ(spoilt(25, 127), WireFault::kRange) << "the host's own";
  EXPECT_EQ(spoilt(31, 239), WireFault::kRange) << "multicast";
  EXPECT_EQ(spoilt(31, 0), WireFault::kRange) << "nobody";
}

TEST(SessionWire, WhoCannotWaitElsewhereIsNotTold) {
  EXPECT_TRUE(is_tellable(tuple("10.9.0.100", 80, "10.9.0.200", 1)));
  EXPECT_TRUE(is_tellable(tuple("2001:db8::1", 80, "fd00::1", 1)));
  EXPECT_FALSE(is_tellable(tuple("10.9.0.100", 80, "10.9.0.200", 0)));
  EXPECT_FALSE(is_tellable(tuple("10.9.0.100", 80, "10.9.0.100", 99))) << "by the address itself";
  EXPECT_FALSE(is_tellable(tuple("10.9.0.100", 80, "127.0.0.1", 99)));
  EXPECT_FALSE(is_tellable(tuple("10.9.0.100", 80, "255.255.255.255", 99)));
  EXPECT_FALSE(is_tellable(tuple("2001:db8::1", 80, "fe80::1", 99))) << "on which link?";
  EXPECT_FALSE(is_tellable(tuple("2001:db8::1", 80, "::1", 99)));
  EXPECT_FALSE(is_tellable(tuple("2001:db8::1", 80, "::", 99)));
  EXPECT_FALSE(is_tellable(tuple("2001:db8::1", 80, "::ffff:10.9.0.1", 99)));
  EXPECT_FALSE(is_tellable(tuple("2001:db8::1", 80, "ff02::1", 99)));
}

TEST(SessionWire, NoKindIsMistakenForAnother) {
  Heartbeat heartbeat;
  Message lease;
  SessionMessage back;
  const std::string bytes = encode_session_message(some_message());
  EXPECT_EQ(parse_heartbeat(bytes, heartbeat), WireFault::kKind);
  EXPECT_EQ(parse_lease_message(bytes, lease), WireFault::kKind);
  EXPECT_EQ(parse_session_message(encode_lease_message(message::LearnAsk{1}), back),
            WireFault::kKind);
  EXPECT_EQ(parse_session_message(encode_heartbeat(Heartbeat{}), back), WireFault::kKind);
}

TEST(SessionWire, SpoiltBytesAreRefusedOrMeanSomethingElseInOneWayOnly) {
  base::Rng rng(5);
  int taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = encode_session_message(some_message());
    bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    SessionMessage back;
    if (parse_session_message(bytes, back) != WireFault::kNone) continue;
    ASSERT_EQ(encode_session_message(back), bytes);
    ++taken;
  }
  EXPECT_GT(taken, 1000);
}

}  // namespace
}  // namespace nines::cluster

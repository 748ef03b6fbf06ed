// Heartbeats to bytes and back, and bytes that are none.
#include "cluster/membership_wire.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "cluster/lease_wire.h"

namespace nines::cluster {
namespace {

Heartbeat some_heartbeat() {
  Heartbeat heartbeat;
  heartbeat.incarnation = 0x1122334455667788;
  heartbeat.sequence = 400'000'000'000;
  heartbeat.sent_at = Instant{123'456'789'012};
  heartbeat.echo_sequence = 7;
  heartbeat.echo_incarnation = 99;
  heartbeat.echo_sent_at = Instant{99'000'000'001};
  heartbeat.echo_held = 12'345us;
  heartbeat.standing = Standing::kMaintenance;
  heartbeat.strain = 3;
  heartbeat.hears = {1, 63};
  heartbeat.suspects = {2};
  return heartbeat;
}

TEST(MembershipWire, AHeartbeatComesBackAsItWas) {
  const std::string bytes = encode_heartbeat(some_heartbeat());
  EXPECT_EQ(bytes.size(), kHeartbeatSize);
  Heartbeat back;
  ASSERT_EQ(parse_heartbeat(bytes, back), WireFault::kNone);
  EXPECT_EQ(back, some_heartbeat());
}

TEST(MembershipWire, WhatIsNoHeartbeatIsRefused) {
  const std::string bytes = encode_heartbeat(some_heartbeat());
  Heartbeat back;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(parse_heartbeat(std::string_view(bytes).substr(0, size), back), WireFault::kTooShort);
  }
  EXPECT_EQ(parse_heartbeat(bytes + 'x', back), WireFault::kTooLong);
  const auto spoilt = [&](std::size_t at, int value) {
    std::string other = bytes;
    other[at] = static_cast<char>(value);
    return parse_heartbeat(other, back);
  };
  EXPECT_EQ(spoilt(0, 2), WireFault::kVersion);
  EXPECT_EQ(spoilt(18, 0x80), WireFault::kRange) << "an instant before the boot";
  EXPECT_EQ(spoilt(54, 3), WireFault::kRange) << "standing";
  EXPECT_EQ(spoilt(55, 8), WireFault::kRange) << "strain";
  EXPECT_EQ(spoilt(63, 1), WireFault::kRange) << "node 0 is heard";
}

TEST(MembershipWire, HeartbeatsAndLeaseMessagesAreNotMistakenForEachOther) {
  Heartbeat heartbeat;
  Message message;
  EXPECT_EQ(parse_lease_message(encode_heartbeat(some_heartbeat()), message), WireFault::kKind);
  EXPECT_EQ(parse_heartbeat(encode_lease_message(message::LearnAsk{1}), heartbeat),
            WireFault::kKind);
}

TEST(MembershipWire, SpoiltBytesAreRefusedOrMeanSomethingElseInOneWayOnly) {
  base::Rng rng(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = encode_heartbeat(some_heartbeat());
    bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    Heartbeat back;
    if (parse_heartbeat(bytes, back) != WireFault::kNone) continue;
    ASSERT_EQ(encode_heartbeat(back), bytes);
  }
}

}  // namespace
}  // namespace nines::cluster

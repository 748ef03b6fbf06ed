// A member's states, from what servers say and from what they do not.
#include "galera/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::galera {
namespace {

using testing::HasSubstr;

constexpr Instant kBegin{1'000'000'000};

Look answered(std::string_view cluster_status, std::string_view state,
              std::string_view addresses = "10.0.0.1:3306,10.0.0.2:3306,10.0.0.3:3306") {
  WsrepStatus status;
  const auto row = [&status](std::string_view name, std::string_view value) {
    read_wsrep_row({name, value}, status);
  };
  row("wsrep_on", "ON");
  row("wsrep_ready", cluster_status == "Primary" ? "ON" : "OFF");
  row("WSREP_CONNECTED", "ON");
  row("wsrep_cluster_status", cluster_status);
  row("wsrep_local_state", state);
  row("wsrep_cluster_size", "3");
  row("wsrep_incoming_addresses", addresses);
  Look look;
  look.contact = Look::Contact::kAnswered;
  look.status = status;
  return look;
}

Look absent(Look::Contact contact, std::optional<bool> has_process = std::nullopt) {
  Look look;
  look.contact = contact;
  look.said = "nothing came";
  look.has_process = has_process;
  return look;
}

Health after(const Look& look) {
  MemberHealth health;
  EXPECT_TRUE(health.look(look, kBegin));
  return health.now()->health;
}

TEST(HealthTest, WhatAServerSaysIsOneOfTheStates) {
  EXPECT_EQ(after(answered("Primary", "4")), Health::kSynced);
  EXPECT_EQ(after(answered("Primary", "3")), Health::kJoining);
  EXPECT_EQ(after(answered("Primary", "2")), Health::kDonor);
  EXPECT_EQ(after(answered("Primary", "1")), Health::kJoining);
  EXPECT_EQ(after(answered("Primary", "0")), Health::kInitialising);
  EXPECT_EQ(after(answered("non-Primary", "0")), Health::kNonPrimary);
  Look desynced = answered("Primary", "2");
  read_wsrep_row({"wsrep_desync", "ON"}, *desynced.status);
  EXPECT_EQ(after(desynced), Health::kDesynced);
  Look off = answered("Primary", "4");
  read_wsrep_row({"wsrep_provider", "none"}, *off.status);
  EXPECT_EQ(after(off), Health::kLost);
  Look alone = answered("Disconnected", "0");
  read_wsrep_row({"wsrep_connected", "OFF"}, *alone.status);
  EXPECT_EQ(after(alone), Health::kInitialising);
}

TEST(HealthTest, AnArbitratorIsCountedAndHoldsNoData) {
  MemberHealth health;
  health.look(answered("Primary", "4", "10.0.0.1:3306,,10.0.0.2:3306"), kBegin);
  EXPECT_EQ(health.status()->data_members.size(), 2u);
  EXPECT_EQ(health.status()->without_data, 1);
  EXPECT_THAT(health.now()->reason, HasSubstr("2 with data, 1 arbitrator"));
}

TEST(HealthTest, OneLateAnswerIsNoLossAndTwoAre) {
  MemberHealth health;
  health.look(answered("Primary", "4"), kBegin);
  EXPECT_FALSE(health.look(absent(Look::Contact::kSilent), kBegin + 1s));
  EXPECT_EQ(health.now()->health, Health::kSynced);
  EXPECT_TRUE(health.look(absent(Look::Contact::kSilent), kBegin + 2s));
  EXPECT_EQ(health.now()->health, Health::kLost);
  EXPECT_EQ(health.now()->since, kBegin + 2s);
  EXPECT_TRUE(health.look(answered("Primary", "4"), kBegin + 3s));
  ASSERT_EQ(health.history().size(), 2u);
  EXPECT_EQ(health.history()[1].health, Health::kLost);
}

TEST(HealthTest, ARefusedConnectionIsALossAtOnceUnlessAProcessHasTheData) {
  EXPECT_EQ(after(absent(Look::Contact::kRefused)), Health::kLost);
  EXPECT_EQ(after(absent(Look::Contact::kRefused, false)), Health::kLost);
  EXPECT_EQ(after(absent(Look::Contact::kRefused, true)), Health::kInitialising);
  EXPECT_EQ(after(absent(Look::Contact::kSilent, true)), Health::kLost);
  EXPECT_EQ(after(absent(Look::Contact::kDenied, true)), Health::kLost);
}

TEST(HealthTest, AMemberInARecoveryIsSaidToBeUntilItIsSynced) {
  Look look = absent(Look::Contact::kRefused, false);
  look.recovery = "node02-1";
  EXPECT_EQ(after(look), Health::kRecovering);
  Look synced = answered("Primary", "4");
  synced.recovery = look.recovery;
  EXPECT_EQ(after(synced), Health::kSynced);
}

TEST(HealthTest, TheHistoryHasABound) {
  MemberHealth health;
  Instant now = kBegin;
  for (int i = 0; i < 100; ++i) {
    health.look(answered("Primary", i % 2 == 0 ? "4" : "2"), now = now + 1s);
  }
  EXPECT_EQ(health.history().size(), MemberHealth::kHistoryMax);
}

TEST(WsrepStatusTest, HostileValuesAreKeptOutOrCutShort) {
  WsrepStatus status;
  read_wsrep_row({"wsrep_local_state", "99"}, status);
  EXPECT_EQ(status.local_state, LocalState::kUndefined);
  read_wsrep_row({"wsrep_cluster_size", "-5"}, status);
  EXPECT_EQ(status.cluster_size, 0);
  read_wsrep_row({"wsrep_flow_control_paused", "nan"}, status);
  EXPECT_EQ(status.flow_control_paused, 0);
  read_wsrep_row({"wsrep_incoming_addresses", std::string(5000, ',')}, status);
  EXPECT_LE(status.without_data, 64);
  read_wsrep_row({"wsrep_node_name", std::string(500, '\x1b')}, status);
  EXPECT_EQ(status.node_name, std::string(64, '?'));
  read_wsrep_row({"wsrep_last_committed", "9223372036854775808"}, status);
  EXPECT_EQ(status.position.seqno, kSeqnoUndefined);
  read_wsrep_row({"wsrep_cluster_state_uuid", "x"}, status);
  EXPECT_EQ(status.position.uuid, kUuidUndefined);
}

}  // namespace
}  // namespace nines::galera

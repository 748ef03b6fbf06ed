// Sessions over the loopback of a network of its own: which are found, which stand, and what a
// nudge does to one that stands and to one whose other end is gone.
#include "address/session_table.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "address/peer_nudge.h"
#include "address/session_pairs.h"
#include "io/linux/descriptor.h"
#include "io/linux/socket.h"

namespace nines::address {
namespace {

using io::Descriptor;

TEST(AcceptedIn, TheCountIsFoundByItsName) {
  const std::string text =
      "Ip: Forwarding DefaultTTL\nIp: 2 64\n"
      "Tcp: RtoAlgorithm MaxConn ActiveOpens PassiveOpens\nTcp: 1 -1 77 4096\nUdp: X\nUdp: 1\n";
  EXPECT_EQ(accepted_in(text), 4096u);
  EXPECT_EQ(accepted_in("Tcp: PassiveOpens"), std::nullopt);
  EXPECT_EQ(accepted_in("Tcp: PassiveOpens\nTcp: many\n"), std::nullopt);
  EXPECT_EQ(accepted_in("Tcp: A B\nTcp: 1 2\n"), std::nullopt);
  EXPECT_EQ(accepted_in(""), std::nullopt);
}

using SessionTableTest = SessionPairs;

TEST_F(SessionTableTest, FindsTheSessionsOfSomeAddressesOnly) {
  const Pair one = connected("127.31.7.9"), two = connected("127.31.7.10", true);
  const Pair other = connected("127.31.7.11"), six = connected("::1");
  const auto table = SessionTable::open();
  ASSERT_TRUE(table.has_value());
  const auto found_on = [&](std::vector<const char*> ips) {
    std::vector<SocketAddress> addresses;
    for (const char* ip : ips) addresses.push_back(*SocketAddress::parse_ip(ip, 0));
    const auto found = table->find(addresses, 100);
    EXPECT_TRUE(found.has_value());
    return found->sessions;
  };
  const auto has = [](const std::vector<Session>& sessions, const Pair& pair) {
    return std::count(sessions.begin(), sessions.end(), pair.session) == 1;
  };
  EXPECT_TRUE(found_on({}).empty());
  EXPECT_TRUE(found_on({"127.31.7.12", "::2"}).empty());
  auto found = found_on({"127.31.7.9"});
  EXPECT_EQ(found.size(), 1u);
  EXPECT_TRUE(has(found, one));
  found = found_on({"::2", "127.31.7.10", "127.31.7.9", "127.31.7.12"});
  EXPECT_EQ(found.size(), 2u);
  EXPECT_TRUE(has(found, one) && has(found, two) && !has(found, other));
  // Over ::1 both ends have that address.
  found = found_on({"127.31.7.8", "::1"});
  EXPECT_EQ(found.size(), 2u);
  EXPECT_TRUE(has(found, six));
}

TEST_F(SessionTableTest, FindsNoMoreThanItMayAndSaysHowManyAreLeftOut) {
  const Pair one = connected("127.31.7.9"), two = connected("127.31.7.9", true);
  const auto table = SessionTable::open();
  const std::vector<SocketAddress> addresses = {*SocketAddress::parse_ip("127.31.7.9", 0)};
  const auto found = table->find(addresses, 1);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->sessions.size(), 1u);
  EXPECT_EQ(found->left_out, 1u);
}

TEST_F(SessionTableTest, ManyAddressesMakeOneFilter) {
  const Pair one = connected("127.31.7.9");
  std::vector<SocketAddress> addresses;
  for (int i = 0; i < 999; ++i) {
    addresses.push_back(SocketAddress::ipv4(
        {10, 1, static_cast<std::uint8_t>(i / 256), static_cast<std::uint8_t>(i % 256)}, 0));
  }
  addresses.push_back(one.session.local);
  const auto found = SessionTable::open()->find(addresses, 100);
  ASSERT_TRUE(found.has_value()) << found.error().message();
  EXPECT_EQ(found->sessions.size(), 1u);
}

TEST_F(SessionTableTest, HasWhatStandsAndNotWhatOnlyCouldBeAccepted) {
  const auto table = SessionTable::open();
  Pair four = connected("127.31.7.9"), six = connected("::1"), both = connected("127.31.7.9", true);
  for (Pair* pair : {&four, &six, &both}) {
    EXPECT_TRUE(*table->has(pair->session));
    Session stranger = pair->session;
    stranger.peer = stranger.peer.with_port(1);
    EXPECT_FALSE(*table->has(stranger)) << "a listener is no session";
    die(*pair);
    EXPECT_FALSE(*table->has(pair->session));
  }
  Session mixed = four.session;
  mixed.peer = six.session.peer;
  EXPECT_FALSE(*table->has(mixed));
}

TEST_F(SessionTableTest, WhatIsAcceptedIsCounted) {
  const auto counter = AcceptedCounter::open();
  ASSERT_TRUE(counter.has_value());
  const auto before = counter->read();
  ASSERT_TRUE(before.has_value());
  EXPECT_EQ(counter->read(), before);
  const Pair one = connected("127.31.7.9");
  EXPECT_EQ(counter->read(), *before + 1);
}

TEST_F(SessionTableTest, ANudgeEndsTheWaitForADeadHostAndHarmsNoLivingSession) {
  for (const char* ip : {"127.31.7.9", "::1"}) {
    for (const Nudge nudge : {Nudge::kGentle, Nudge::kInsistent}) {
      Pair dead = connected(ip);
      const Pair living = connected(ip);
      die(dead);
      EXPECT_EQ(heard_by(dead, 20ms), 0) << "nobody has told it";
      const std::vector<Session> sessions = {dead.session, living.session};
      const auto nudged = nudge_peers(sessions, nudge);
      if (!nudged.has_value()) GTEST_SKIP() << nudged.error().message();
      EXPECT_EQ(heard_by(dead, 900ms), ECONNRESET) << ip;
      if (nudge == Nudge::kInsistent) continue;  // for sessions that its sender has ended
      for (int i = 0; i < 200; ++i) ASSERT_TRUE(nudge_peers(sessions, nudge).has_value());
      EXPECT_TRUE(talks(living)) << ip;
    }
  }
}

}  // namespace
}  // namespace nines::address

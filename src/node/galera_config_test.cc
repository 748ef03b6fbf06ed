// The section of a Galera cluster, good and bad.
#include "node/galera_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/run_config.h"

namespace nines::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kHost = "node02.example.org";

LoadedRunConfig load(std::string_view text) {
  return load_run_config(text::SourceFile("/etc/nines/nines.yaml", std::string(text)), kHost);
}

std::string complaints(std::string_view text) {
  const text::SourceFile file("/etc/nines/nines.yaml", std::string(text));
  const LoadedRunConfig loaded = load_run_config(file, kHost);
  EXPECT_FALSE(loaded.ok()) << text;
  return text::render_text(loaded.diagnostics, std::span(&file, 1));
}

TEST(GaleraConfigTest, MembersAndCredentialsAreEnough) {
  const auto loaded = load(
      "galera:\n"
      "  members: {node01: 192.0.2.41, node02: 192.0.2.42, node03: '[2001:db8::3]:3307'}\n"
      "  credentials: galera.credentials\n");
  ASSERT_TRUE(loaded.ok());
  ASSERT_TRUE(loaded.config.galera.has_value());
  const GaleraConfig& config = *loaded.config.galera;
  ASSERT_EQ(config.members.size(), 3u);
  EXPECT_EQ(config.members[0].address.text(), "192.0.2.41:3306");
  EXPECT_EQ(config.members[2].address.text(), "[2001:db8::3]:3307");
  EXPECT_EQ(config.self, "node02");
  EXPECT_EQ(config.credentials, "/etc/nines/galera.credentials");
  EXPECT_EQ(config.socket, "/run/mysqld/mysqld.sock");
  EXPECT_EQ(config.data, "/var/lib/mysql");
  EXPECT_THAT(config.recover, ElementsAre("mariadbd", "--user=mysql"));
}

TEST(GaleraConfigTest, PoolsOfClients) {
  const std::string head =
      "galera:\n"
      "  members: {db1: 192.0.2.41}\n"
      "  credentials: c\n";
  const auto loaded = load(head +
                           "  pools:\n"
                           "    keystone: {processes: 24}\n"
                           "    nova-api: {processes: 8, size: 10, overflow: 0}\n");
  ASSERT_TRUE(loaded.ok());
  const auto& pools = loaded.config.galera->pools;
  ASSERT_EQ(pools.size(), 2u);
  EXPECT_EQ(pools[0].name, "keystone");
  EXPECT_EQ(pools[0].connections(), 24 * 55);
  EXPECT_EQ(pools[1].connections(), 80);
  EXPECT_THAT(complaints(head + "  pools: {keystone: {size: 5}}\n"),
              HasSubstr("how many processes"));
  EXPECT_THAT(complaints(head + "  pools: {keystone: {processes: 0}}\n"),
              HasSubstr("1 to 1000000"));
  EXPECT_THAT(complaints(head + "  pools: {keystone: {proceses: 3, processes: 3}}\n"),
              HasSubstr("processes"));
  EXPECT_THAT(complaints(head + "  pools: [keystone]\n"), HasSubstr("mapping of services"));
}

TEST(GaleraConfigTest, EverythingThatCanBeSaid) {
  const auto loaded = load(
      "galera:\n"
      "  members: {db1: 192.0.2.41}\n"
      "  arbitrators: [192.0.2.50]\n"
      "  self: db1\n"
      "  socket: /run/db.sock\n"
      "  credentials: /etc/c\n"
      "  data: /srv/db\n"
      "  server: {recover: [/opt/mariadbd, --defaults-file=/etc/db.cnf]}\n"
      "  reach: [ssh, 'root@{member}', nines]\n");
  ASSERT_TRUE(loaded.ok());
  const GaleraConfig& config = *loaded.config.galera;
  EXPECT_EQ(config.self, "db1");
  EXPECT_EQ(config.arbitrators.size(), 1u);
  EXPECT_EQ(config.data, "/srv/db");
  EXPECT_THAT(config.recover, ElementsAre("/opt/mariadbd", "--defaults-file=/etc/db.cnf"));
  EXPECT_THAT(config.reach, ElementsAre("ssh", "root@{member}", "nines"));
}

TEST(GaleraConfigTest, AHostThatHoldsNoMemberMayAsk) {
  const auto loaded = load("galera: {members: {db1: 192.0.2.41}, credentials: c}\n");
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.config.galera->self, "");
}

TEST(GaleraConfigTest, AProcessIsAlsoWhatTellsThePosition) {
  const auto loaded = load(
      "galera: {members: {a: 192.0.2.1}, credentials: c, server: {process: [mariadbd, -x]}}\n");
  ASSERT_TRUE(loaded.ok());
  EXPECT_THAT(loaded.config.galera->server.process, ElementsAre("mariadbd", "-x"));
  EXPECT_THAT(loaded.config.galera->recover, ElementsAre("mariadbd", "-x"));
  EXPECT_TRUE(loaded.config.galera->server.is_said());
}

TEST(GaleraConfigTest, ARecoveryByItselfIsAskedForAndHasWhatItNeeds) {
  const auto with = [](std::string_view more) {
    return "galera: {members: {a: 192.0.2.1, b: 192.0.2.2}, credentials: c" + std::string(more) +
           "}\n";
  };
  const std::string_view able = ", server: {unit: mariadb}, reach: [ssh, '{member}', nines]";
  EXPECT_FALSE(load(with("")).config.galera->recovers_by_itself);
  const auto automatic = load(with(std::string(able) + ", recovery: automatic"));
  ASSERT_TRUE(automatic.ok());
  EXPECT_TRUE(automatic.config.galera->recovers_by_itself);
  const auto by_hand = load(with(", recovery: by-hand"));
  ASSERT_TRUE(by_hand.ok());
  EXPECT_FALSE(by_hand.config.galera->recovers_by_itself);
  EXPECT_THAT(complaints(with(", recovery: yes")), HasSubstr("no way of a recovery"));
  EXPECT_THAT(complaints(with(", recovery: automatic, server: {unit: mariadb}")),
              HasSubstr("nobody says how the other members' hosts are reached"));
  EXPECT_THAT(complaints(with(", recovery: automatic, reach: [ssh, '{member}', nines]")),
              HasSubstr("nobody says how servers are started"));
}

TEST(GaleraConfigTest, MistakesAreToldAtTheirPlaces) {
  EXPECT_THAT(complaints("galera: {credentials: c}\n"), HasSubstr("has no members"));
  EXPECT_THAT(complaints("galera: {members: {a: 192.0.2.1}}\n"), HasSubstr("nobody is named"));
  EXPECT_THAT(complaints("galera:\n  credentials: c\n  members:\n    a: nowhere\n"),
              HasSubstr(":4:8: error: no address of a member"));
  EXPECT_THAT(complaints("galera: {credentials: c, members: {'-oProxy': 192.0.2.1}}\n"),
              HasSubstr("no name for a member"));
  EXPECT_THAT(complaints("galera: {credentials: c, members: {a: 192.0.2.1, b: 192.0.2.1}}\n"),
              HasSubstr("'a' has this address already"));
  EXPECT_THAT(complaints("galera: {credentials: c, members: {db1: 192.0.2.1}, self: db2}\n"),
              HasSubstr("did you mean 'db1'?"));
  EXPECT_THAT(complaints("galera: {credentials: c, membres: {}}\n"),
              HasSubstr("did you mean 'members'?"));
  const auto server = [](std::string_view text) {
    return "galera: {credentials: c, members: {a: 192.0.2.1}, server: {" + std::string(text) +
           "}}\n";
  };
  EXPECT_THAT(complaints(server("unit: a, process: [b]")), HasSubstr("more than one way"));
  EXPECT_THAT(complaints(server("unit: -x")), HasSubstr("no unit of systemd"));
  EXPECT_THAT(complaints(server("command: {start: [a], stop: [b]}")), HasSubstr("all three"));
  EXPECT_THAT(
      complaints("galera: {credentials: c, members: {a: 192.0.2.1}, reach: [ssh, a, nines]}\n"),
      HasSubstr("no word of 'reach' says which member"));
  EXPECT_THAT(
      complaints("galera: {credentials: c, members: {a: 192.0.2.1}, server: {recover: []}}\n"),
      HasSubstr("an empty command"));
}

}  // namespace
}  // namespace nines::node

// The client and the server of the lab against each other, cut anywhere, and HAProxy's check.
#include "lab/mysql_wire.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

using namespace std::string_literals;

TEST(MysqlWire, WholeSessionTellsWhoAnswersHoweverTheBytesAreCut) {
  for (std::size_t cut = 1; cut < 64; ++cut) {
    MysqlServer server("node02", 7);
    MysqlClient client("lab");
    std::string to_client = server.greeting();
    std::string to_server;
    bool open = true;
    auto progress = MysqlClient::Progress::kMore;
    while (progress == MysqlClient::Progress::kMore) {
      ASSERT_FALSE(to_client.empty());
      const std::string part = to_client.substr(0, cut);
      to_client.erase(0, cut);
      progress = client.feed(part, to_server);
      while (!to_server.empty() && open) {
        const std::string bytes = to_server.substr(0, cut);
        to_server.erase(0, cut);
        open = server.feed(bytes, to_client);
      }
    }
    EXPECT_EQ(progress, MysqlClient::Progress::kDone) << client.reason();
    EXPECT_EQ(client.node(), "node02");
    EXPECT_FALSE(open);  // COM_QUIT
  }
}

TEST(MysqlWire, OneWhoStaysAsksAgainInTheSameSession) {
  MysqlServer server("node02", 7);
  MysqlClient client("lab", MysqlClient::Afterwards::kStay);
  std::string to_client = server.greeting();
  for (int question = 0; question < 3; ++question) {
    auto progress = MysqlClient::Progress::kMore;
    std::string to_server;
    if (question > 0) client.ask_again(to_server);
    while (progress == MysqlClient::Progress::kMore) {
      if (!to_server.empty()) {
        ASSERT_TRUE(server.feed(std::exchange(to_server, {}), to_client));
      }
      progress = client.feed(std::exchange(to_client, {}), to_server);
    }
    ASSERT_EQ(progress, MysqlClient::Progress::kDone) << client.reason();
    EXPECT_EQ(client.node(), "node02");
    EXPECT_EQ(to_server, "");  // no COM_QUIT
  }
}

TEST(MysqlWire, ClientRunsATransactionAfterAnother) {
  MysqlServer server("node02", 9);
  MysqlClient client("lab", MysqlClient::Afterwards::kStay);
  std::string to_client = server.greeting();
  std::string to_server;
  for (const auto* statement :
       {"", "START TRANSACTION", "INSERT INTO t VALUES (1)", "COMMIT", "START TRANSACTION"}) {
    auto progress = MysqlClient::Progress::kMore;
    if (*statement != '\0') client.run(statement, to_server);
    while (progress == MysqlClient::Progress::kMore) {
      if (!to_server.empty()) {
        ASSERT_TRUE(server.feed(std::exchange(to_server, {}), to_client));
      }
      progress = client.feed(std::exchange(to_client, {}), to_server);
    }
    ASSERT_EQ(progress, MysqlClient::Progress::kDone) << client.reason();
    EXPECT_EQ(to_server, "");
  }
  std::string out;
  client.run("COMMIT", out);
  EXPECT_EQ(client.feed(mysql_packet(1, "\xff\x17\x04#08S01not prepared"s), out),
            MysqlClient::Progress::kFailed);
  EXPECT_EQ(client.error_code(), 1047);
}

TEST(MysqlWire, HaproxysCheckLogsInAndQuitsInOneWrite) {
  MysqlServer server("node01", 1);
  // "post-41": capabilities, packet size, charset, user, an empty password; then COM_QUIT.
  const std::string login =
      "\x00\x82\x00\x00\x01\x80\x00\x21"s + std::string(23 - 19, '\0') + "haproxy\0\0"s;
  std::string out;
  EXPECT_FALSE(server.feed(mysql_packet(1, login) + mysql_packet(0, "\x01"), out));
  ASSERT_GE(out.size(), 5u);
  EXPECT_EQ(out[3], 2);     // the sequence goes on
  EXPECT_EQ(out[4], '\0');  // OK
}

TEST(MysqlWire, PingIsAnsweredAndAnUnknownCommandRefused) {
  MysqlServer server("node01", 1);
  std::string out;
  ASSERT_TRUE(server.feed(mysql_packet(1, "login"), out));
  out.clear();
  ASSERT_TRUE(server.feed(mysql_packet(0, "\x0e"), out));
  EXPECT_EQ(out[4], '\0');
  out.clear();
  ASSERT_TRUE(server.feed(mysql_packet(0, "\x17..."), out));
  EXPECT_EQ(out[4], '\xff');
}

TEST(MysqlWire, PacketBeyondTheLimitEndsTheSession) {
  MysqlServer server("node01", 1);
  std::string out;
  EXPECT_FALSE(server.feed("\xff\xff\xff\x01"s, out));
  EXPECT_FALSE(server.feed(mysql_packet(0, "\x0e"), out));
}

TEST(MysqlWire, ClientFailsOnAnErrorAndOnNonsense) {
  std::string out;
  MysqlClient refused("lab");
  EXPECT_EQ(refused.feed(mysql_packet(0, "\xff\x10\x04Too many connections"s), out),
            MysqlClient::Progress::kFailed);
  MysqlClient confused("lab");
  EXPECT_EQ(confused.feed(mysql_packet(0, ""), out), MysqlClient::Progress::kFailed);
}

}  // namespace
}  // namespace nines::lab

// The commands for each way to run a server.
#include "galera/server_commands.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::galera {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Position kPosition{"1b0ce6c6-c6b1-11f0-9b0e-9e2fd2c5a3f1", 42};

TEST(ServerCommandsTest, AUnitIsBootstrappedThroughItsManagersEnvironment) {
  const ServerWay way{
      .unit = "mariadb.service", .process = {}, .start = {}, .bootstrap = {}, .stop = {}};
  const ServerCommands begin = server_commands(way, ServerVerb::kBootstrap, kPosition);
  EXPECT_THAT(begin.first, ElementsAre(ElementsAre("systemctl", "set-environment",
                                                   "_WSREP_NEW_CLUSTER=--wsrep-new-cluster"),
                                       ElementsAre("systemctl", "start", "mariadb.service")));
  EXPECT_THAT(begin.last,
              ElementsAre(ElementsAre("systemctl", "unset-environment", "_WSREP_NEW_CLUSTER")));
  const ServerCommands start = server_commands(way, ServerVerb::kStart, kPosition);
  EXPECT_THAT(start.first.back(),
              ElementsAre("systemctl", "start", "--no-block", "mariadb.service"));
  EXPECT_THAT(start.last, IsEmpty());
  EXPECT_THAT(server_commands(way, ServerVerb::kStop, {}).first,
              ElementsAre(ElementsAre("systemctl", "stop", "mariadb.service")));
}

TEST(ServerCommandsTest, AProcessIsToldWhereItBegins) {
  const ServerWay way{
      .unit = "", .process = {"mariadbd", "-x"}, .start = {}, .bootstrap = {}, .stop = {}};
  EXPECT_THAT(server_commands(way, ServerVerb::kBootstrap, kPosition).daemon,
              ElementsAre("setsid", "mariadbd", "-x", "--wsrep-new-cluster",
                          "--wsrep_start_position=1b0ce6c6-c6b1-11f0-9b0e-9e2fd2c5a3f1:42"));
  EXPECT_THAT(server_commands(way, ServerVerb::kStart, {}).daemon,
              ElementsAre("setsid", "mariadbd", "-x"));
  EXPECT_TRUE(server_commands(way, ServerVerb::kStop, {}).has_signal);
}

TEST(ServerCommandsTest, CommandsAreRunAsTheyAre) {
  const ServerWay way{.unit = "", .process = {}, .start = {"a"}, .bootstrap = {"b"}, .stop = {"c"}};
  EXPECT_THAT(server_commands(way, ServerVerb::kStart, kPosition).first,
              ElementsAre(ElementsAre("a")));
  EXPECT_THAT(server_commands(way, ServerVerb::kBootstrap, kPosition).first,
              ElementsAre(ElementsAre("b")));
  EXPECT_THAT(server_commands(way, ServerVerb::kStop, kPosition).first,
              ElementsAre(ElementsAre("c")));
}

}  // namespace
}  // namespace nines::galera

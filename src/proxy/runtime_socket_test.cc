// The runtime socket's language: commands, levels, refusals, and the shape of a connection.
#include "proxy/runtime_socket.h"

#include <string>

#include "proxy/runtime_socket_fixture_test.h"

namespace nines::proxy {
namespace {

constexpr std::size_t kAll = std::size_t{1} << 30;

class RuntimeSocketTest : public testing::Test {
 protected:
  // All that a connection answers to `input`; sessions are delivered as they are asked for.
  std::string talk(std::string_view input, SocketLevel level = SocketLevel::kAdmin,
                   std::size_t portion = kAll) {
    RuntimeClient client;
    client.level = level;
    RuntimeSocket socket(control, client);
    socket.receive(input);
    socket.end();
    std::string out;
    int rounds = 100'000;
    do {
      std::string piece;
      socket.produce(piece, portion);
      longest = std::max(longest, piece.size());
      out += piece;
      if (socket.wants_sessions()) {
        socket.sessions_asked();
        socket.sessions_came(FakeControl::sessions());
      }
    } while (!socket.finished() && --rounds > 0);
    EXPECT_TRUE(socket.finished());
    return out;
  }
  FakeControl control;
  std::size_t longest = 0;
};

TEST_F(RuntimeSocketTest, AnswersEndWithAnEmptyLine) {
  EXPECT_EQ(talk("show version\n"), "0.1.0\n\n");
  EXPECT_EQ(talk("show version\r\n"), "0.1.0\n\n");
  EXPECT_EQ(talk("  show \t version  \n"), "0.1.0\n\n");
  EXPECT_EQ(talk("disable server api/node1\n"), "\n");
  EXPECT_EQ(control.calls, "state api/node1 maint;");
}

TEST_F(RuntimeSocketTest, SemicolonsJoinAndBackslashesProtect) {
  EXPECT_EQ(talk("show version;show cli level\n"), "0.1.0\n\nadmin\n\n");
  EXPECT_EQ(talk("show version \\; show cli level\n"), "0.1.0\n\n");
  EXPECT_EQ(split_runtime_commands("a;b\\;c;"), (std::vector<std::string_view>{"a", "b\\;c", ""}));
  EXPECT_EQ(split_runtime_words(" a\\ b  \\\\c d\\"),
            (std::vector<std::string>{"a b", "\\c", "d\\"}));
}

TEST_F(RuntimeSocketTest, LineCutOffByTheEndIsNotRun) {
  EXPECT_EQ(talk("disable server api/node1"), "");
  EXPECT_EQ(control.calls, "");
}

TEST_F(RuntimeSocketTest, PromptKeepsTheConnection) {
  EXPECT_EQ(talk("prompt\nshow version\nprompt\n"), "\n> 0.1.0\n\n> \n");
  EXPECT_EQ(talk("prompt;show version\n"), "\n> 0.1.0\n\n> ");
  EXPECT_EQ(talk("prompt\nquit\nshow version\n"), "\n> ");
  RuntimeSocket socket(control, RuntimeClient{});
  std::string out;
  socket.receive("prompt\n");
  socket.produce(out, kAll);
  EXPECT_FALSE(socket.finished());
  EXPECT_TRUE(socket.wants_input());
}

TEST_F(RuntimeSocketTest, WithoutPromptTheFirstAnswerIsTheLast) {
  RuntimeSocket socket(control, RuntimeClient{});
  EXPECT_FALSE(socket.finished());
  socket.receive("show ver");
  std::string out;
  socket.produce(out, kAll);
  EXPECT_EQ(out, "");
  EXPECT_FALSE(socket.finished());
  socket.receive("sion\n");
  EXPECT_FALSE(socket.wants_input());
  socket.produce(out, kAll);
  EXPECT_EQ(out, "0.1.0\n\n");
  EXPECT_TRUE(socket.finished());
}

TEST_F(RuntimeSocketTest, LineThatIsTooLongEndsTheConnection) {
  const std::string longest_line(RuntimeSocket::kLineMax, 'x');
  EXPECT_TRUE(talk(longest_line + "\n").starts_with("Unknown command."));
  EXPECT_EQ(talk(longest_line + "x\nshow version\n"), "A line has 16384 bytes at most.\n\n");
  EXPECT_EQ(talk(longest_line + "xx"), "A line has 16384 bytes at most.\n\n");
}

TEST_F(RuntimeSocketTest, PayloadIsRefusedAndNotRun) {
  EXPECT_EQ(talk("add map x <<\ndisable server api/node1\n\n"),
            "No command here takes a payload ('<<').\n\n");
  EXPECT_EQ(control.calls, "");
}

TEST_F(RuntimeSocketTest, MasterPrefixIsExplained) {
  EXPECT_EQ(talk("@1 show info\n"),
            "'@1' chooses a process of a master socket: this is none, leave it out.\n\n");
}

TEST_F(RuntimeSocketTest, LevelsRefuseAsHaproxyDoes) {
  const struct {
    const char* command;
    SocketLevel least;
  } kCases[] = {
      {"show info", SocketLevel::kUser},
      {"show stat", SocketLevel::kUser},
      {"show servers state", SocketLevel::kUser},
      {"show backend", SocketLevel::kUser},
      {"show table", SocketLevel::kUser},
      {"get weight api/node1", SocketLevel::kUser},
      {"show sess", SocketLevel::kOperator},
      {"show errors", SocketLevel::kOperator},
      {"clear counters", SocketLevel::kOperator},
      {"clear counters all", SocketLevel::kAdmin},
      {"disable server api/node1", SocketLevel::kAdmin},
      {"enable health api/node1", SocketLevel::kAdmin},
      {"set server api/node1 state ready", SocketLevel::kAdmin},
      {"set server", SocketLevel::kAdmin},
      {"set weight api/node1 1", SocketLevel::kAdmin},
      {"set maxconn frontend api 10", SocketLevel::kAdmin},
      {"disable frontend api", SocketLevel::kAdmin},
      {"shutdown session 0x2a", SocketLevel::kAdmin},
      {"shutdown sessions server api/node1", SocketLevel::kAdmin},
      {"shutdown frontend api", SocketLevel::kAdmin},
  };
  for (const auto& each : kCases) {
    for (const auto level : {SocketLevel::kUser, SocketLevel::kOperator, SocketLevel::kAdmin}) {
      control.calls.clear();
      const std::string answer = talk(std::string(each.command) + "\n", level);
      EXPECT_EQ(answer == "Permission denied\n\n", level < each.least)
          << each.command << " at " << static_cast<int>(level) << ": " << answer;
      if (level < each.least) {
        EXPECT_EQ(control.calls, "") << each.command;
      }
    }
  }
}

TEST_F(RuntimeSocketTest, LevelIsLoweredAndNeverRaised) {
  EXPECT_EQ(talk("user;show cli level;disable server api/node1\n"),
            "\nuser\n\nPermission denied\n\n");
  EXPECT_EQ(talk("user;operator;show cli level\n"), "\nPermission denied\n\nuser\n\n");
  EXPECT_EQ(talk("operator;show cli level\n"), "\noperator\n\n");
}

TEST_F(RuntimeSocketTest, ServersThatDoNotExist) {
  for (const char* command : {"disable server", "enable server", "set server", "get weight",
                              "set weight", "enable health", "shutdown sessions server"}) {
    const std::string text(command);
    const std::string more = text == "set server" ? " state ready" : " 1";
    EXPECT_EQ(talk(text + "\n"), "Require 'backend/server'.\n\n") << text;
    EXPECT_EQ(talk(text + " api\n"), "Require 'backend/server'.\n\n") << text;
    EXPECT_EQ(talk(text + " none/node1" + more + "\n"), "No such backend.\n\n") << text;
    EXPECT_EQ(talk(text + " api/none" + more + "\n"), "No such server.\n\n") << text;
  }
  EXPECT_EQ(control.calls, "");
}

TEST_F(RuntimeSocketTest, SetServerState) {
  EXPECT_EQ(talk("set server api/node1 state maint;set server api/node1 state drain;"
                 "set server api/node1 state ready\n"),
            "\n\n\n");
  EXPECT_EQ(control.calls, "state api/node1 maint;state api/node1 drain;state api/node1 ready;");
  EXPECT_EQ(talk("set server api/node1 state foo\n"),
            "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n");
  EXPECT_EQ(talk("set server api/node1 addr 10.0.0.9\n"),
            "'set server <srv> addr' is not supported: change the configuration and reload.\n\n");
  EXPECT_TRUE(talk("set server api/node1 what\n").starts_with("usage: set server "));
}

TEST_F(RuntimeSocketTest, Weights) {
  EXPECT_EQ(talk("get weight api/node1\n"), "1 (initial 1)\n\n");
  control.generation()->proxies[1].servers[0].state->initial_weight = 40;
  EXPECT_EQ(talk("set weight api/node1 7;set server api/node1 weight 50%;"
                 "set server api/node1 weight 0;set server api/node1 weight 100000%\n"),
            "\n\n\n\n");
  EXPECT_EQ(control.calls,
            "weight api/node1 7;weight api/node1 20;weight api/node1 0;weight api/node1 256;");
  control.calls.clear();
  EXPECT_EQ(talk("set weight api/node1\n"), "Require <weight> or <weight%>.\n\n");
  const std::string range = "Absolute weight can only be between 0 and 256 inclusive.\n\n";
  EXPECT_EQ(talk("set weight api/node1 257\n"), range);
  EXPECT_EQ(talk("set weight api/node1 -1\n"), range);
  EXPECT_EQ(talk("set weight api/node1 -1%\n"), "Relative weight must be positive.\n\n");
  EXPECT_EQ(talk("set weight api/node1 1x\n"), "Trailing garbage in weight string\n\n");
  EXPECT_EQ(talk("set weight api/node1 %\n"),
            "Empty weight string empty or preceded by garbage\n\n");
  EXPECT_EQ(control.calls, "");
}

TEST_F(RuntimeSocketTest, HealthAndChecks) {
  EXPECT_EQ(talk("set server api/node1 health up;set server api/node1 health down;"
                 "disable health api/node1;enable health api/node1;disable health api/node6\n"),
            "\n\n\n\n\n");
  EXPECT_EQ(control.calls,
            "health api/node1 up;health api/node1 down;checks api/node1 off;checks api/node1 on;");
  EXPECT_EQ(talk("enable health api/node6\n"),
            "Health check was not configured on this server, cannot enable.\n\n");
  EXPECT_EQ(talk("set server api/node1 health foo\n"),
            "'set server <srv> health' expects 'up', 'stopping', or 'down'.\n\n");
  EXPECT_EQ(talk("set server api/node1 health stopping\n"),
            "'health stopping' is not supported here: use 'set server api/node1 state drain'.\n\n");
}

TEST_F(RuntimeSocketTest, Frontends) {
  EXPECT_EQ(talk("disable frontend api;set maxconn frontend api 100\n"), "\n\n");
  EXPECT_EQ(control.calls, "frontend api off;maxconn api 100;");
  EXPECT_EQ(talk("enable frontend api\n"), "All sockets are already enabled.\n\n");
  EXPECT_EQ(talk("enable frontend\n"), "A frontend name is expected.\n\n");
  EXPECT_EQ(talk("enable frontend database\n"), "No such frontend.\n\n");
  EXPECT_EQ(talk("set maxconn frontend api\n"), "Integer value expected.\n\n");
  EXPECT_EQ(talk("set maxconn frontend api -1\n"), "Value out of range.\n\n");
  EXPECT_EQ(talk("shutdown frontend none\n"), "No such frontend.\n\n");
  EXPECT_NE(talk("shutdown frontend api\n").find("not supported"), std::string::npos);
}

TEST_F(RuntimeSocketTest, ShowStatFilters) {
  const std::string one = talk("show stat 3 4 2\n");
  EXPECT_NE(one.find("\napi,node2,"), std::string::npos);
  EXPECT_EQ(one.find("node1"), std::string::npos);
  EXPECT_TRUE(one.ends_with("\n\n"));
  EXPECT_TRUE(talk("show stat database 2 -1\n").find("\ndatabase,BACKEND,") != std::string::npos);
  EXPECT_EQ(talk("show stat none 4 -1\n"), "No such proxy.\n\n");
  EXPECT_EQ(talk("show stat -1 8 -1 json\n"), "[]\n\n");
  EXPECT_EQ(talk("show stat -1 8 -1 typed\n"), "\n");
  EXPECT_NE(talk("show stat up\n").find("UP (4/6)"), std::string::npos);
  EXPECT_NE(talk("show stat typed desc up\n").find(".pxname.1:KNS:str:api:\"proxy\"\n"),
            std::string::npos);
  // Two numbers are no filter.
  EXPECT_EQ(talk("show stat 3 4\n"), talk("show stat\n"));
}

TEST_F(RuntimeSocketTest, AddressesAreForOperators) {
  EXPECT_EQ(talk("show stat\n", SocketLevel::kUser).find("10.0.0.1"), std::string::npos);
  EXPECT_NE(talk("show stat\n", SocketLevel::kOperator).find("10.0.0.1"), std::string::npos);
}

TEST_F(RuntimeSocketTest, ShowInfoForms) {
  EXPECT_TRUE(talk("show info\n").starts_with("Name: Nines\nVersion: 0.1.0\n"));
  EXPECT_TRUE(talk("show info typed\n").starts_with("0.Name.1:POS:str:Nines\n"));
  EXPECT_TRUE(talk("show info json\n").ends_with("}]\n\n"));
  EXPECT_TRUE(talk("show info desc\n").starts_with("Name: Nines:\"product\"\n"));
}

TEST_F(RuntimeSocketTest, ServerStatesBackendsAndTables) {
  expect_golden("servers_state.txt", talk("show servers state\n"));
  EXPECT_EQ(talk("show servers state none\n"), "Can't find backend.\n\n");
  EXPECT_EQ(talk("show servers conn database\n"),
            "# bkname/svname bkid/svid addr port - used_cur used_max idle_cur\n"
            "database/active 4/1 10.0.0.1 3306 - 0 0 0\n"
            "database/spare 4/2 fd00::2 3306 - 0 0 0\n\n");
  EXPECT_EQ(talk("show backend\n"), "# name\nstats\napi\ndatabase\n\n");
  EXPECT_EQ(talk("show table\n"), "\n");
  EXPECT_EQ(talk("show table api\n"), "No such table\n\n");
}

TEST_F(RuntimeSocketTest, ServerThatTheConfigurationDisablesIsMarkedSoEvenWhenEnabled) {
  const auto generation = control.generation();
  ServerState& state = *generation->proxies[1].servers[0].state;
  state.configured_disabled = true;
  EXPECT_NE(talk("show servers state api\n").find("\n3 api 1 node1 10.0.0.1 2 4 "),
            std::string::npos);
  state.maintenance = true;
  EXPECT_NE(talk("show servers state api\n").find("\n3 api 1 node1 10.0.0.1 0 5 "),
            std::string::npos);
}

TEST_F(RuntimeSocketTest, SessionsAreListedInTheirPlaceInTheOrder) {
  EXPECT_EQ(talk("show cli level;show sess;show version\n"),
            "admin\n\n"
            "0x2a: proto=tcpv4 src=192.0.2.7:50000 fe=api be=api srv=node1 age=1m5s idle=2s "
            "calls=3 in=0 out=0 thread=2 state=\"sent, waiting for the answer\"\n"
            "0x2b: proto=tcpv4 src=192.0.2.7:50000 fe=api be=<NONE> srv=<none> age=1m5s idle=2s "
            "calls=3 in=0 out=0 thread=2 state=\"waiting for a request\"\n\n"
            "0.1.0\n\n");
  EXPECT_TRUE(talk("show sess 0x2b\n").starts_with("0x2b: proto=tcpv4 source=192.0.2.7:50000\n"));
  EXPECT_EQ(talk("show sess 0x99\n"), "Session not found.\n\n");
}

TEST_F(RuntimeSocketTest, NothingIsProducedWhileSessionsAreWaitedFor) {
  RuntimeClient client;
  client.level = SocketLevel::kAdmin;
  RuntimeSocket socket(control, client);
  socket.receive("show sess;show version\n");
  std::string out;
  socket.produce(out, kAll);
  EXPECT_TRUE(socket.wants_sessions());
  socket.sessions_asked();
  EXPECT_FALSE(socket.wants_sessions());
  socket.produce(out, kAll);
  EXPECT_EQ(out, "");
  EXPECT_FALSE(socket.finished());
  socket.sessions_came({});
  socket.produce(out, kAll);
  EXPECT_EQ(out, "\n0.1.0\n\n");
  EXPECT_TRUE(socket.finished());
}

TEST_F(RuntimeSocketTest, ShutdownSessions) {
  EXPECT_EQ(talk("shutdown session 0x2a;shutdown sessions server api/node1\n"), "\n\n");
  EXPECT_EQ(control.calls, "shutdown session;shutdown api/node1;");
  EXPECT_EQ(talk("shutdown session 0x1\n"), "No such session (use 'show sess').\n\n");
  EXPECT_EQ(talk("shutdown session abc\n"), "Session pointer expected (use 'show sess').\n\n");
  EXPECT_EQ(talk("shutdown session 0x\n"), "Session pointer expected (use 'show sess').\n\n");
}

TEST_F(RuntimeSocketTest, CapturedErrors) {
  EXPECT_EQ(talk("show errors\n"), "Total events captured on [02/Jan/2026:03:04:05.678] : 0\n\n");
  CapturedError error;
  error.proxy = "api";
  error.source = "192.0.2.7:50000";
  error.at = kFixtureWall;
  error.event = 4;
  error.position = 5;
  error.reason = "a control character";
  error.bytes = "GET /\x01 HTTP/1.1\r\nHost: \"x\\y\"\r\n" + std::string(70, 'a');
  control.errors.push_back(error);
  error.response = true;
  error.server = "node1";
  error.other_proxy = "api";
  control.errors.push_back(error);
  expect_golden("errors.txt", talk("show errors\n"));
  EXPECT_EQ(talk("show errors api response\n").find("invalid request"), std::string::npos);
  EXPECT_EQ(talk("show errors api request\n").find("invalid response"), std::string::npos);
  EXPECT_EQ(talk("show errors database\n").find("invalid"), std::string::npos);
  EXPECT_NE(talk("show errors 3\n").find("invalid"), std::string::npos);
  EXPECT_NE(talk("show errors -1\n").find("invalid"), std::string::npos);
  EXPECT_EQ(talk("show errors none\n"), "No such proxy.\n\n");
}

TEST_F(RuntimeSocketTest, UnknownCommandsShowWhatComesClosest) {
  EXPECT_EQ(talk("show servers\n"),
            "Unknown command, but maybe one of the following ones is a better match:\n"
            "  show servers conn [<backend>]           : connections to the servers\n"
            "  show servers state [<backend>]          : the servers' states, for tools\n"
            "  help [<command>]                        : this list, or a part of it\n"
            "  prompt                                  : stay connected and prompt, or no longer\n"
            "  quit                                    : disconnect\n\n");
  const std::string all = "Unknown command. Please enter one of the following commands only:\n";
  for (const char* line : {"foo\n", "\n", "admin\n", "SHOW INFO\n"}) {
    EXPECT_TRUE(talk(line).starts_with(all)) << line;
  }
  // Nothing that the level does not allow is offered.
  EXPECT_EQ(talk("\n", SocketLevel::kUser).find("disable server"), std::string::npos);
}

TEST_F(RuntimeSocketTest, Help) {
  expect_golden("help.txt", talk("help\n"));
  EXPECT_EQ(talk("help show version\n"),
            "The following commands are valid at this level:\n"
            "  show version                            : the version that runs\n"
            "  help [<command>]                        : this list, or a part of it\n"
            "  prompt                                  : stay connected and prompt, or no longer\n"
            "  quit                                    : disconnect\n\n");
}

TEST_F(RuntimeSocketTest, TimeoutOfTheConnection) {
  RuntimeSocket socket(control, RuntimeClient{});
  std::string out;
  socket.receive("set timeout cli 90\n");
  socket.produce(out, kAll);
  EXPECT_EQ(out, "\n");
  EXPECT_EQ(socket.client().timeout, Duration(90s));
  EXPECT_EQ(talk("set timeout cli\n"), "Expects an integer value.\n\n");
  EXPECT_EQ(talk("set timeout cli 0\n"), "Expects a timeout of 1 to 86400 seconds.\n\n");
  EXPECT_EQ(talk("set timeout\n"), "'set timeout' only supports 'cli'.\n\n");
}

TEST_F(RuntimeSocketTest, PortionsBoundWhatIsProducedAtOnce) {
  const std::string whole = talk("show stat;help;show sess;show servers state\n");
  longest = 0;
  constexpr std::size_t kPortion = 512;
  constexpr std::size_t kOnePiece = 4096;
  EXPECT_EQ(talk("show stat;help;show sess;show servers state\n", SocketLevel::kAdmin, kPortion),
            whole);
  EXPECT_LE(longest, kPortion + kOnePiece);
}

TEST_F(RuntimeSocketTest, ManyLinesAtOnceAreAnsweredAll) {
  std::string input, expected;
  for (int i = 0; i < 20'000; ++i)
    input += "get weight api/node1\n", expected += "1 (initial 1)\n\n";
  EXPECT_EQ(talk(input, SocketLevel::kUser, 4096), expected);
}

}  // namespace
}  // namespace nines::proxy

// A server's fate as the runtime socket and the log tell it.
#include "lab/balancer_watch.h"

#include <string>

#include <gtest/gtest.h>

namespace nines::lab {
namespace {

Instant at(int milliseconds) { return Instant{} + std::chrono::milliseconds(milliseconds); }

BalancerView view(std::string status, std::uint64_t chosen, std::uint64_t troubles = 0,
                  std::uint64_t process = 7) {
  BalancerView result;
  result.process = process;
  result.servers["p/node02"] = {.status = std::move(status),
                                .check_status = "",
                                .checks_failed = 0,
                                .troubles = troubles,
                                .chosen = chosen};
  return result;
}

TEST(BalancerWatch, RepliesAreReadByTheirHeader) {
  const auto parsed = parse_balancer_view(
      "Name: HAProxy\nPid: 42\nMaxconn: 4000\n\n"
      "# pxname,svname,econ,eresp,wretr,wredis,status,chkfail,lbtot,check_status,\n"
      "p,FRONTEND,,,,,OPEN,,,,\np,node02,1,2,3,4,UP 4/5,9,100,L4CON,\np,BACKEND,,,,,UP,,5,,\n\n");
  EXPECT_EQ(parsed.process, 42u);
  ASSERT_EQ(parsed.servers.size(), 1u);
  const auto& server = parsed.servers.at("p/node02");
  EXPECT_EQ(server.troubles, 10u);
  EXPECT_EQ(server.checks_failed, 9u);
  EXPECT_EQ(server.chosen, 100u);
  EXPECT_EQ(server.status, "UP 4/5");
  EXPECT_TRUE(parse_balancer_view("Unknown command\n").servers.empty());
}

TEST(BalancerWatch, DeathIsDetectedDecidedAndActedUpon) {
  BalancerWatch watch;
  watch.begin("p", "node02", ServerChange::kDown, at(0));
  watch.on_view(view("UP", 10), at(1));
  EXPECT_EQ(watch.detected(), std::nullopt);
  watch.on_view(view("UP", 11, 1), at(20));  // a retry
  EXPECT_EQ(watch.detected(), at(20));
  watch.on_log_line("<129>haproxy[7]: Server p/node02 is DOWN, reason: ...", at(35));
  watch.on_view(view("DOWN", 12, 1), at(40));
  EXPECT_EQ(watch.decided(), at(35));
  EXPECT_EQ(watch.acted(), at(40));  // chosen once more after the decision
  watch.on_view(view("DOWN", 12, 1), at(60));
  EXPECT_EQ(watch.acted(), at(40));
}

TEST(BalancerWatch, ReturnIsActedUponWhenFirstChosenAgain) {
  BalancerWatch watch;
  watch.begin("p", "node02", ServerChange::kUp, at(0));
  watch.on_view(view("DOWN", 12), at(1));
  watch.on_view(view("DOWN 1/2", 12), at(20));
  EXPECT_EQ(watch.detected(), at(20));
  EXPECT_EQ(watch.acted(), std::nullopt);
  watch.on_view(view("UP", 12), at(40));
  EXPECT_EQ(watch.decided(), at(40));
  EXPECT_EQ(watch.acted(), std::nullopt);
  watch.on_view(view("UP", 13), at(60));
  EXPECT_EQ(watch.acted(), at(60));
}

TEST(BalancerWatch, LogOfAnotherServerOrAnotherChangeIsNoSign) {
  BalancerWatch watch;
  watch.begin("p", "node02", ServerChange::kDown, at(10));
  watch.on_log_line("Server p/node03 is DOWN", at(20));
  watch.on_log_line("Server p/node02 is UP", at(20));
  watch.on_log_line("Server p/node02 is DOWN", at(5));  // of the drill before
  EXPECT_EQ(watch.decided(), std::nullopt);
}

TEST(BalancerWatch, AnotherProcessIsNoticed) {
  BalancerWatch watch;
  watch.begin("p", "node02", ServerChange::kNone, at(0));
  watch.on_view(view("UP", 1, 0, 7), at(1));
  EXPECT_TRUE(watch.same_process());
  watch.on_view(view("UP", 0, 0, 8), at(2));
  EXPECT_FALSE(watch.same_process());
}

}  // namespace
}  // namespace nines::lab

// Engines as plans: who plays which part, which processes are theirs, and what they read.
#include "lab/engine_plan.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lab/default_configuration.h"
#include "lab/lab_plan.h"

namespace nines::lab {
namespace {

TEST(EnginePlan, PartsOfTheIncumbentsAreFoundByTheirParents) {
  const auto plan = plan_engine(EngineKind::kIncumbent, "/opt/nines", "");
  const std::vector<HostProcess> processes = {
      {.id = 20, .parent = 1, .name = "keepalived"}, {.id = 21, .parent = 20, .name = "keepalived"},
      {.id = 22, .parent = 21, .name = "sh"},        {.id = 30, .parent = 1, .name = "haproxy"},
      {.id = 31, .parent = 30, .state = 'Z'},        {.id = 32, .parent = 30, .name = "haproxy"},
  };
  const std::vector<int> programs = {20, 30};
  EXPECT_EQ(find_role(plan, kSupervisorRole, programs, processes)->id, 20);
  EXPECT_EQ(find_role(plan, kOwnerRole, programs, processes)->id, 21);
  EXPECT_EQ(find_role(plan, kProxyRole, programs, processes)->id, 32);
  EXPECT_EQ(find_role(plan, kProxyRole, std::vector<int>{20, 0}, processes), nullptr);
  EXPECT_EQ(find_role(plan, "king", programs, processes), nullptr);
}

TEST(EnginePlan, OwnProcessesAreAllButTheLabsServicesAndWhatCameFromOutside) {
  const std::vector<HostProcess> processes = {
      {.id = 10, .parent = 1},                 // a stand-in
      {.id = 20, .parent = 1},                 // a program
      {.id = 21, .parent = 20},                // its child
      {.id = 22, .parent = 999},               // an orphan whose parent is gone
      {.id = 23, .parent = 20, .state = 'Z'},  // dead
      {.id = 40, .parent = 0},                 // begun from outside
      {.id = 41, .parent = 40},                // and its child
      {.id = 11, .parent = 10},                // a stand-in's
  };
  EXPECT_EQ(processes_of_engine(processes, {10}), (std::vector<int>{20, 21, 22}));
}

TEST(EnginePlan, PrioritiesAreOneForEachControllerAndAllDifferent) {
  EXPECT_EQ(default_priorities(3), (std::vector<int>{3, 2, 1}));
  EXPECT_EQ(*parse_priorities("254,253,1", 3), (std::vector<int>{254, 253, 1}));
  for (const char* bad : {"", "1,2", "1,2,3,4", "1,2,2", "0,1,2", "255,1,2", "1,,2", "1,2,x",
                          "1 ,2,3", "1,2,3,", "-1,2,3", "99999999999,1,2"}) {
    const auto result = parse_priorities(bad, 3);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_NE(result.error().message().find("1 to 254"), std::string::npos) << bad;
  }
}

TEST(EnginePlan, EnginesThatDrillInTurnsAreNamedOnce) {
  EXPECT_EQ(*parse_moving_engines("lease"), std::vector{EngineKind::kLease});
  EXPECT_EQ(*parse_moving_engines("passive"), std::vector{EngineKind::kPassive});
  EXPECT_EQ(*parse_moving_engines("incumbent,nines"),
            (std::vector{EngineKind::kIncumbent, EngineKind::kNines}));
  for (const char* bad : {"", "nines,", ",nines", "nines,nines", "balancer", "nines lease", "x"}) {
    const auto result = parse_moving_engines(bad);
    ASSERT_FALSE(result.has_value()) << bad;
    EXPECT_NE(result.error().message().find("nines, lease, passive and incumbent"),
              std::string::npos);
  }
}

TEST(EnginePlan, AddressFileIsTheReferencesWithTheLabsOwnNames) {
  const std::string text = keepalived_configuration(254, "/check.sh");
  for (const char* line :
       {"state BACKUP", "nopreempt", "interface eth0", "virtual_router_id 121", "priority 254",
        "advert_int 1\n", "100.2.30.40 dev eth0", "}     track_script {", "script \"/check.sh\"",
        "interval 2 ", "fall 2 ", "rise 10"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
  EXPECT_EQ(keepalived_configuration(1, "").find("script"), std::string::npos);
}

TEST(EnginePlan, RuntimeSocketIsTheFirstWithAPath) {
  EXPECT_EQ(runtime_socket_path(default_configuration()), "/var/lib/kolla/haproxy/haproxy.sock");
  EXPECT_EQ(runtime_socket_path("global\n #stats socket /a\n stats timeout 1s\n"
                                " stats socket ipv4@1.2.3.4:1\n stats  socket\t/b mode 600\n"),
            "/b");
  EXPECT_EQ(runtime_socket_path(""), "");
}

}  // namespace
}  // namespace nines::lab

// The table of drills. The bounds on gaps say what the reference's own figures allow (checks each
// 2 s, five bad ones, 10 s to connect); an engine that does better shows it in the measured
// columns.
#include "lab/drill_plan.h"

namespace nines::lab {
namespace {

constexpr std::string_view kIdentity = "keystone_internal";
constexpr std::string_view kDatabase = "mariadb";

// Other servers are there: a client's next request finds one.
constexpr Duration kGapWithOthers = 500ms;
// The one database is gone: five checks of 2 s and three tries of a second to connect.
constexpr Duration kGapOfDatabase = 15s;

std::vector<Scenario> make_scenarios() {
  const Expectation none_fails{
      .failed_max = 0, .failed_in_flight_max = 0, .gap_max = kGapWithOthers};
  Expectation none_fails_and_decided = none_fails;
  none_fails_and_decided.decided = true;
  Expectation nothing_changes = none_fails;
  nothing_changes.same_process = true;
  // What was under way on a host that vanishes may be lost; what comes later may not.
  Expectation only_in_flight{.failed_max = 0, .gap_max = kGapWithOthers};
  only_in_flight.decided = true;

  return {
      {.name = "service-killed",
       .what = "keystone on node02 dies (SIGKILL) and is started again",
       .phases = {{.name = "service-killed",
                   .act = Act::kKill,
                   .host = "node02",
                   .service = "keystone",
                   .proxy = kIdentity,
                   .server = "node02",
                   .change = ServerChange::kDown,
                   .watch_max = 20s,
                   .expected = none_fails_and_decided},
                  {.name = "service-returns",
                   .act = Act::kStart,
                   .host = "node02",
                   .service = "keystone",
                   .proxy = kIdentity,
                   .server = "node02",
                   .change = ServerChange::kUp,
                   .watch_max = 20s,
                   .expected = none_fails_and_decided}}},
      {.name = "service-stopped",
       .what = "keystone on node02 stands still (SIGSTOP) and goes on: its kernel still accepts",
       .phases = {{.name = "service-stopped",
                   .act = Act::kPause,
                   .host = "node02",
                   .service = "keystone",
                   .proxy = kIdentity,
                   .server = "node02",
                   .change = ServerChange::kDown,
                   .watch_max = 6s,
                   .expected = none_fails},
                  {.name = "service-resumes",
                   .act = Act::kResume,
                   .host = "node02",
                   .service = "keystone",
                   .proxy = kIdentity,
                   .server = "node02",
                   .change = ServerChange::kNone,
                   .watch_max = 2s,
                   .expected = none_fails}}},
      {.name = "host-cut",
       .what = "node03's network is gone, with all its services, and comes back",
       .phases = {{.name = "host-cut",
                   .act = Act::kCut,
                   .host = "node03",
                   .service = "",
                   .proxy = kIdentity,
                   .server = "node03",
                   .change = ServerChange::kDown,
                   .watch_max = 30s,
                   .expected = only_in_flight},
                  {.name = "host-returns",
                   .act = Act::kHeal,
                   .host = "node03",
                   .service = "",
                   .proxy = kIdentity,
                   .server = "node03",
                   .change = ServerChange::kUp,
                   .watch_max = 30s,
                   .expected = only_in_flight}}},
      {.name = "database-killed",
       .what = "the active database on node01 dies: node02, a backup, takes over until it returns",
       .phases =
           {{.name = "database-killed",
             .act = Act::kKill,
             .host = "node01",
             .service = "mariadb",
             .proxy = kDatabase,
             .server = "node01",
             .change = ServerChange::kDown,
             .watch_max = 25s,
             // Sessions refused meanwhile are measured only: the configuration
             // allows three tries at the one active server, and no more.
             .expected = {.gap_max = kGapOfDatabase, .decided = true, .answered_by = "node02"}},
            {.name = "database-returns",
             .act = Act::kStart,
             .host = "node01",
             .service = "mariadb",
             .proxy = kDatabase,
             .server = "node01",
             .change = ServerChange::kUp,
             .watch_max = 20s,
             .expected = {.failed_max = 0,
                          .failed_in_flight_max = 0,
                          .gap_max = kGapWithOthers,
                          .decided = true,
                          .answered_by = "node01"}}}},
      {.name = "reload",
       .what = "the balancer reads its configuration again under load",
       .phases = {{.name = "reload",
                   .act = Act::kReload,
                   .host = "",
                   .service = "",
                   .proxy = kIdentity,
                   .server = "",
                   .change = ServerChange::kNone,
                   .watch_max = 3s,
                   .expected = none_fails}}},
      {.name = "bad-reload",
       .what =
           "it is told to read a broken configuration, which must change nothing; then a good one",
       .phases = {{.name = "bad-reload",
                   .act = Act::kBreakConfiguration,
                   .host = "",
                   .service = "",
                   .proxy = kIdentity,
                   .server = "",
                   .change = ServerChange::kNone,
                   .watch_max = 3s,
                   .expected = nothing_changes},
                  {.name = "good-reload",
                   .act = Act::kRestoreConfiguration,
                   .host = "",
                   .service = "",
                   .proxy = kIdentity,
                   .server = "",
                   .change = ServerChange::kNone,
                   .watch_max = 3s,
                   .expected = none_fails}}},
  };
}

}  // namespace

Duration interval_of(std::string_view proxy) {
  return proxy == kIdentity || proxy == kDatabase ? kFastInterval : kSlowInterval;
}

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> kScenarios = make_scenarios();
  return kScenarios;
}

const Scenario* find_scenario(std::string_view name) {
  for (const auto& scenario : scenarios()) {
    if (scenario.name == name) return &scenario;
  }
  return nullptr;
}

}  // namespace nines::lab

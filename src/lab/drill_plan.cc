// The table of drills. The bounds on gaps say what the reference's own figures allow (checks each
// 2 s, five bad ones, 10 s to connect); an engine that does better shows it in the measured
// columns.
#include "lab/drill_plan.h"

#include <algorithm>

#include "lab/engine_plan.h"

namespace nines::lab {
namespace {

constexpr std::string_view kIdentity = "keystone_internal";
constexpr std::string_view kDatabase = "mariadb";

// Other servers are there: a client's next request finds one.
constexpr Duration kGapWithOthers = 500ms;
// The one database is gone: five checks of 2 s and three tries of a second to connect.
constexpr Duration kGapOfDatabase = 15s;

// Three adverts and a skew (RFC 3768, section 6.1) are 4 s at the reference's priorities.
constexpr Duration kOutageOfElection = 6s;
// Nobody reaches two holders for longer than the switch and their kernels need to hear of it.
constexpr Duration kOverlapAllowed = 50ms;
constexpr int kPaceOfOutages = 4;
constexpr Duration kFlap = 300ms;  // a link is gone, or there, for so long
constexpr Duration kStorm =
    700ms;  // from one death to the next: a plane is started again within it

// Sessions that were lost find their way back within a retry of their connection.
constexpr Duration kTailOfMove = 2s;

// Real services load their code and join their clusters.
constexpr Duration kStartOfRealServices = 60s;
// So long after a majority is gone what was acknowledged before may still come in.
constexpr Duration kRefusalDelay = 1s;
constexpr Duration kTailOfRefusal = 8s;

// Phases of the engine's drills watch the identity service.
Phase engine_phase(std::string_view name, Act act, std::string_view host, std::string_view part,
                   Duration watch, Expectation expected = {}) {
  return {.name = name,
          .act = act,
          .host = host,
          .service = part,
          .proxy = kIdentity,
          .server = "",
          .change = ServerChange::kNone,
          .watch_max = watch,
          .expected = expected};
}

Phase moving_phase(std::string_view name, Act act, std::string_view host, std::string_view part,
                   Expectation expected) {
  expected.address_moves = true;
  Phase phase = engine_phase(name, act, host, part, 10s, expected);
  phase.until_moved = true;
  phase.tail = kTailOfMove;
  return phase;
}

// All of a host's servers are found up within an interval of their checks.
constexpr Duration kTailOfReturn = 3s;

// A host dies with the address, and with the active database if it has that.
Phase dying_phase(std::string_view name, std::string_view host, Expectation expected) {
  Phase phase = moving_phase(name, Act::kCrash, host, "", expected);
  phase.until_sessions = true;
  phase.watch_max = 30s;
  return phase;
}

// A host is there again: the address stays, and its servers are given work again.
Phase returning_phase(std::string_view name, std::string_view host, std::string_view server,
                      int answering) {
  Phase phase = engine_phase(name, Act::kBoot, host, "", 20s,
                             {.failed_max = 0,
                              .gap_max = kGapWithOthers,
                              .decided = true,
                              .outage_max = kGapWithOthers,
                              .address_moves = false,
                              .answering_min = answering});
  phase.server = server;
  phase.tail = kTailOfReturn;
  phase.change = ServerChange::kUp;
  return phase;
}

// The last database is told by the operator that it is the majority now. Nothing else brings it
// back, nor lets the others join.
Phase bootstrap_phase(std::string_view name) {
  Phase phase = engine_phase(name, Act::kBootstrap, kHolder, "", 8s);
  phase.only_real = true;
  return phase;
}

// One of the holder's processes is broken, watched, and mended.
Scenario part_broken(std::string_view name, std::string_view what, Act act, std::string_view part,
                     Expectation expected, std::string_view mended, Act mending) {
  return {.name = name,
          .what = what,
          .phases = {engine_phase(name, act, kHolder, part, 7s, expected),
                     engine_phase(mended, mending, kVictim,
                                  mending == Act::kResume ? part : kWholeEngine, 4s)},
          .needs_engine = true,
          .pace = kPaceOfOutages};
}

// All planes of node01, which has the address at first, and the owners of the others, again and
// again and faster than anybody could look.
Scenario storm_of_restarts() {
  Scenario storm{
      .name = "restart-storm",
      .what = "planes of all controllers die (SIGKILL) one after the other, twelve times",
      .phases = {},
      .needs_engine = true,
      .by_name = true,
      .holder_at_start = "node01",
      .pace = kPaceOfOutages};
  struct Death {
    std::string_view phase, host, part;
    Duration watch = kStorm;
  };
  constexpr Duration kAfterStorm = 10s;
  for (const Death& each :
       {Death{"storm-1", "node01", kOwnerRole}, Death{"storm-2", "node01", kProxyRole},
        Death{"storm-3", "node02", kOwnerRole}, Death{"storm-4", "node01", kOwnerRole},
        Death{"storm-5", "node03", kOwnerRole}, Death{"storm-6", "node01", kProxyRole},
        Death{"storm-7", "node02", kOwnerRole}, Death{"storm-8", "node02", kProxyRole},
        Death{"storm-9", "node01", kOwnerRole}, Death{"storm-10", "node03", kOwnerRole},
        Death{"storm-11", "node03", kProxyRole},
        Death{"storm-ends", "node02", kOwnerRole, kAfterStorm}}) {
    storm.phases.push_back(engine_phase(each.phase, Act::kKill, each.host, each.part, each.watch,
                                        {.overlap_max = kOverlapAllowed}));
    storm.phases.back().mends_itself = true;
  }
  return storm;
}

// What a restarted firewall does to whoever keeps rules of its own.
Scenario flushed_filter() {
  Scenario flushes{.name = "filter-flushed",
                   .what = "somebody flushes the packet filters by hand, eight times",
                   .phases = {},
                   .needs_engine = true,
                   .by_name = true,
                   .holder_at_start = "node01",
                   .pace = kPaceOfOutages};
  constexpr Duration kAfterFlushes = 5s;
  struct Flush {
    std::string_view phase, host;
    Duration watch = kFlap;
  };
  for (const Flush& each :
       {Flush{"flush-1", "node01"}, Flush{"flush-2", "node02"}, Flush{"flush-3", "node01"},
        Flush{"flush-4", "node03"}, Flush{"flush-5", "node01"}, Flush{"flush-6", "node02"},
        Flush{"flush-7", "node01"}, Flush{"flush-ends", "node01", kAfterFlushes}}) {
    flushes.phases.push_back(engine_phase(
        each.phase, Act::kFlush, each.host, "", each.watch,
        {.outage_max = kGapWithOthers, .address_moves = false, .overlap_max = Duration(0)}));
  }
  return flushes;
}

// A link that works in one direction only, one that comes and goes, and none at all of these.
void add_scenarios_of_half_links(std::vector<Scenario>& all) {
  const auto healed = [](std::string_view name) {
    return engine_phase(name, Act::kHeal, kVictim, "", 15s, {.outage_max = 1500ms});
  };
  Phase mute = moving_phase("holder-mute", Act::kMute, kHolder, "",
                            {.outage_max = kOutageOfElection, .overlap_max = kOverlapAllowed});
  all.push_back({.name = "holder-mute",
                 .what = "nobody hears who has the address, which hears all; then it is heard",
                 .phases = {mute, healed("holder-is-heard")},
                 .needs_engine = true,
                 .pace = kPaceOfOutages});
  // An election trusts whoever it hears, whether that one hears anybody or not: measured only.
  Phase deaf =
      engine_phase("holder-deaf", Act::kDeafen, kHolder, "", 10s, {.overlap_max = kOverlapAllowed});
  deaf.until_moved = true;
  deaf.tail = kTailOfMove;
  all.push_back({.name = "holder-deaf",
                 .what = "who has the address hears nobody, but all hear it; then it hears",
                 .phases = {deaf, healed("holder-hears")},
                 .needs_engine = true,
                 .by_name = true,  // an election never ends it: the others hear its adverts
                 .pace = kPaceOfOutages});
  Scenario flaps{.name = "holder-flaps",
                 .what = "the link of node01, which has the address, goes and comes, four times",
                 .phases = {},
                 .needs_engine = true,
                 .by_name = true,
                 .holder_at_start = "node01",
                 .pace = kPaceOfOutages};
  struct Flap {
    std::string_view gone, back;
    Duration watch;
  };
  for (const auto& each :
       {Flap{"link-goes-1", "link-comes-1", kFlap}, Flap{"link-goes-2", "link-comes-2", kFlap},
        Flap{"link-goes-3", "link-comes-3", kFlap}, Flap{"link-goes-4", "link-stays", 10s}}) {
    const Expectation one_holder{.overlap_max = kOverlapAllowed};
    flaps.phases.push_back(engine_phase(each.gone, Act::kCut, "node01", "", kFlap, one_holder));
    flaps.phases.push_back(
        engine_phase(each.back, Act::kHeal, "node01", "", each.watch, one_holder));
  }
  all.push_back(std::move(flaps));
  all.push_back(storm_of_restarts());
  all.push_back(flushed_filter());
  all.push_back({.name = "nothing",
                 .what = "nothing is broken for a minute, and nothing must change",
                 .phases = {engine_phase("nothing", Act::kNothing, "", "", 60s,
                                         {.address_moves = false, .overlap_max = Duration(0)})},
                 .needs_engine = true,
                 .by_name = true,
                 .pace = kPaceOfOutages});
}

// A verdict takes a second of silence (docs/user/dead-peers.md), and a quarter more for each degree
// by which a busy host distrusts its own clock.
constexpr Duration kRulesWithin = 3s;
// A wrong verdict is healed within as much, as far as rules go.
constexpr Duration kRuleGoneWithin = 1s;
constexpr Duration kPeersWatched = 15s;  // where no rule comes: keepalived has none

// The rules are watched until they are as they should be.
Phase peer_phase(std::string_view name, Act act, std::string_view host, std::string_view part,
                 Duration watch, Expectation expected) {
  Phase phase = engine_phase(name, act, host, part, watch, expected);
  phase.until_rules = true;
  return phase;
}

// What becomes of programs on the controllers when another controller dies.
void add_peer_scenarios(std::vector<Scenario>& all) {
  const Expectation falls{.rules_after_max = kRulesWithin};
  const Expectation heals{.no_rule_begins = true, .rule_gone_max = kRuleGoneWithin};
  const auto scenario = [&](std::string_view name, std::string_view what,
                            std::vector<Phase> phases) {
    all.push_back({.name = name,
                   .what = what,
                   .phases = std::move(phases),
                   .needs_engine = true,
                   .by_name = true,
                   .holder_at_start = "node01",
                   .watches_peers = true,
                   .pace = kPaceOfOutages});
  };
  scenario("peer-dies",
           "node03 dies with all its services, and returns: what programs on the others notice",
           {peer_phase("peer-dies", Act::kCrash, "node03", "", kPeersWatched, falls),
            peer_phase("peer-returns", Act::kBoot, "node03", "", 30s, heals)});
  scenario("peer-frozen", "node03 stands still for 3 s and goes on: a verdict that was wrong",
           {engine_phase("peer-frozen", Act::kFreeze, "node03", "", 3s, falls),
            peer_phase("peer-thawed", Act::kThaw, "node03", "", 10s, heals)});
  Scenario flaps{.name = "peer-flaps",
                 .what = "node03 is gone for 2.2 s, five times: it is cut off ever more seldom",
                 .phases = {},
                 .needs_engine = true,
                 .by_name = true,
                 .holder_at_start = "node01",
                 .watches_peers = true,
                 .pace = kPaceOfOutages};
  struct Flap {
    std::string_view gone, back;
  };
  // The silence that is asked for doubles with each return: the third is too short already.
  constexpr int kVerdictsOfFlaps = 2;
  for (const auto& each : {Flap{"peer-goes-1", "peer-comes-1"}, Flap{"peer-goes-2", "peer-comes-2"},
                           Flap{"peer-goes-3", "peer-comes-3"}, Flap{"peer-goes-4", "peer-comes-4"},
                           Flap{"peer-goes-5", "peer-stays"}}) {
    flaps.phases.push_back(engine_phase(each.gone, Act::kCut, "node03", "", 2200ms,
                                        {.verdicts_max = kVerdictsOfFlaps}));
    flaps.phases.push_back(
        engine_phase(each.back, Act::kHeal, "node03", "", 1500ms,
                     {.rule_gone_max = kRuleGoneWithin, .verdicts_max = kVerdictsOfFlaps}));
  }
  all.push_back(std::move(flaps));
  scenario("rule-owner-killed",
           "node03 is dead, and nines on node02 is killed while its rule stands, and started again",
           {peer_phase("ruled-peer-dies", Act::kCrash, "node03", "", kPeersWatched, falls),
            peer_phase("rule-owner-killed", Act::kKill, "node02", kWholeEngine, 3s,
                       {.no_rule_begins = true, .rule_gone_max = kRuleGoneWithin}),
            peer_phase("rule-owner-is-back", Act::kStart, "node02", kWholeEngine, 20s, {}),
            peer_phase("ruled-peer-returns", Act::kBoot, "node03", "", 30s, heals)});
  Phase two = peer_phase("two-of-five-die", Act::kCrash, "node04", "", kPeersWatched, falls);
  two.and_host = "node05";
  Phase two_return = peer_phase("two-of-five-return", Act::kBoot, "node04", "", 40s, {});
  two_return.and_host = "node05";
  scenario("majority-dies",
           "two of five controllers die, then a third: those left are a minority and refuse nobody",
           {two,
            peer_phase("third-of-five-dies", Act::kCrash, "node03", "", 5s,
                       {.no_rule_begins = true, .rule_gone_max = kRuleGoneWithin}),
            two_return, peer_phase("third-of-five-returns", Act::kBoot, "node03", "", 30s, heals)});
  all.back().controllers_min = 5;
}

void add_engine_scenarios(std::vector<Scenario>& all) {
  const Expectation election{.outage_max = kOutageOfElection, .overlap_max = kOverlapAllowed};
  Phase second = dying_phase("second-dies", kHolder, election);
  second.loses_majority = true;
  all.push_back(
      {.name = "nodes-die",
       .what = "node01 dies with the address, then who has it next; both return one by one",
       .phases = {dying_phase("node01-dies", "node01", election), second,
                  bootstrap_phase("survivor-told"),
                  returning_phase("node01-returns", "node01", "node01", 2),
                  returning_phase("second-returns", kVictim, kVictim, 3)},
       .needs_engine = true,
       .holder_at_start = "node01",
       .pace = kPaceOfOutages});
  all.push_back({.name = "holder-dies",
                 .what = "who has the address dies with it, and returns",
                 .phases = {dying_phase("holder-dies", kHolder, election),
                            returning_phase("holder-returns", kVictim, kVictim, 3)},
                 .needs_engine = true,
                 .pace = kPaceOfOutages});
  Phase both = dying_phase("both-die", "node01", election);
  both.and_host = "node02";
  both.loses_majority = true;
  Phase both_return = returning_phase("both-return", "node01", "node01", 2);
  both_return.and_host = "node02";
  all.push_back({.name = "both-die",
                 .what = "node01, which has the address, and node02 die at once, and return",
                 .phases = {both, bootstrap_phase("last-one-told"), both_return},
                 .needs_engine = true,
                 .holder_at_start = "node01",
                 .pace = kPaceOfOutages});

  all.push_back(part_broken(
      "proxy-killed", "the balancer of who has the address dies (SIGKILL)", Act::kKill, kProxyRole,
      {.failed_max = 0, .refused_max = 0, .outage_max = kGapWithOthers, .address_moves = false},
      "proxy-is-back", Act::kStart));
  all.push_back(part_broken("proxy-stopped",
                            "it stands still (SIGSTOP): its kernel accepts, nobody answers",
                            Act::kPause, kProxyRole, {}, "proxy-resumes", Act::kResume));
  all.push_back(part_broken(
      "owner-killed", "the process that holds the address dies (SIGKILL) and is started again",
      Act::kKill, kOwnerRole, {.failed_max = 0, .outage_max = 100ms}, "owner-is-back",
      Act::kStart));
  all.push_back(part_broken("owner-stopped", "it stands still (SIGSTOP) and goes on", Act::kPause,
                            kOwnerRole, {}, "owner-resumes", Act::kResume));
  all.push_back(part_broken("supervisor-killed", "the parent of both dies (SIGKILL)", Act::kKill,
                            kSupervisorRole, {.overlap_max = kOverlapAllowed}, "supervisor-is-back",
                            Act::kStart));
  all.push_back(part_broken(
      "daemon-killed", "all processes of the engine die at once (SIGKILL): nobody says goodbye",
      Act::kKill, kWholeEngine, {.outage_max = kOutageOfElection, .overlap_max = kOverlapAllowed},
      "daemon-is-back", Act::kStart));
  all.push_back({.name = "address-deleted",
                 .what = "somebody deletes the address by hand from the host that has it",
                 .phases = {engine_phase("address-deleted", Act::kDropAddress, kHolder, "", 7s,
                                         {.outage_max = kOutageOfElection})},
                 .needs_engine = true,
                 .pace = kPaceOfOutages});

  const Expectation planned{.outage_max = 1500ms, .overlap_max = kOverlapAllowed};
  all.push_back({.name = "switchover",
                 .what = "the holder's engine is stopped as planned (SIGTERM), then the next one's",
                 .phases = {moving_phase("switchover", Act::kStop, kHolder, kWholeEngine, planned),
                            engine_phase("started-again", Act::kStart, kVictim, kWholeEngine, 5s,
                                         {.failed_max = 0, .address_moves = false}),
                            moving_phase("switch-back", Act::kStop, kHolder, kWholeEngine, planned),
                            engine_phase("all-started", Act::kStart, kVictim, kWholeEngine, 2s,
                                         {.failed_max = 0, .address_moves = false})},
                 .needs_engine = true,
                 .pace = kPaceOfOutages});
  all.push_back({.name = "holder-cut",
                 .what = "the network of who has the address is gone, and comes back",
                 .phases = {moving_phase("holder-cut", Act::kCut, kHolder, "", election),
                            engine_phase("holder-healed", Act::kHeal, kVictim, "", 10s,
                                         {.outage_max = 1500ms})},
                 .needs_engine = true,
                 .pace = kPaceOfOutages});
  all.push_back(
      {.name = "holder-alone",
       .what = "who has the address hears nobody and does not know (its link is up), and then does",
       .phases = {moving_phase("holder-alone", Act::kIsolate, kHolder, "",
                               {.outage_max = kOutageOfElection}),
                  engine_phase("holder-rejoined", Act::kHeal, kVictim, "", 15s,
                               {.outage_max = 1500ms})},
       .needs_engine = true,
       .pace = kPaceOfOutages});
  add_scenarios_of_half_links(all);
  add_peer_scenarios(all);
}

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

  std::vector<Scenario> all = {
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
      {.name = "service-black-holed",
       .what = "what is sent to keystone on node02 vanishes on the way, and is delivered again",
       .phases = {{.name = "service-black-holed",
                   .act = Act::kSwallow,
                   .host = "node02",
                   .service = "keystone",
                   .proxy = kIdentity,
                   .server = "node02",
                   .change = ServerChange::kDown,
                   .watch_max = 30s,
                   .expected = none_fails_and_decided},
                  {.name = "service-reached",
                   .act = Act::kDeliver,
                   .host = "node02",
                   .service = "keystone",
                   .proxy = kIdentity,
                   .server = "node02",
                   .change = ServerChange::kUp,
                   .watch_max = 20s,
                   .expected = none_fails_and_decided}}},
      {.name = "service-hung",
       .what = "keystone on node02 stands still for longer than any client's patience",
       .phases = {{.name = "service-hung",
                   .act = Act::kPause,
                   .host = "node02",
                   .service = "keystone",
                   .proxy = kIdentity,
                   .server = "node02",
                   .change = ServerChange::kNone,
                   .watch_max = 65s,
                   .expected = none_fails},
                  {.name = "service-goes-on",
                   .act = Act::kResume,
                   .host = "node02",
                   .service = "keystone",
                   .proxy = kIdentity,
                   .server = "node02",
                   .change = ServerChange::kNone,
                   .watch_max = 3s,
                   .expected = none_fails}},
       .by_name = true,
       .pace = kPaceOfOutages},
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
                   .expected = only_in_flight}},
       .holder_at_start = "node01"},
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
  add_engine_scenarios(all);
  return all;
}

}  // namespace

Scenario scenario_for(const Scenario& scenario, ServiceSource services) {
  Scenario result = scenario;
  if (!has_real_services(services)) {
    std::erase_if(result.phases, [](const Phase& phase) { return phase.only_real; });
    return result;
  }
  bool lost = false;
  for (auto& phase : result.phases) {
    if (phase.change == ServerChange::kUp) {
      phase.watch_max = std::max(phase.watch_max, kStartOfRealServices);
    }
    // A real keystone is up for a check by connect before its code is loaded.
    if (phase.act == Act::kBoot) phase.expected.answering_min.reset();
    // A database that is told, and a queue that waits for its majority, fail requests meanwhile.
    if (lost) {
      phase.expected.failed_max.reset();
      phase.expected.gap_max.reset();
    }
    lost = lost || phase.loses_majority;
    if (!phase.loses_majority) continue;
    phase.until_sessions = false;  // none is answered
    phase.tail = kTailOfRefusal;
    phase.expected.writes_refused_after = kRefusalDelay;
  }
  return result;
}

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

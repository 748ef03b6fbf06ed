// The drills as values: what is broken, in which order, how long it is watched, and what clients
// are entitled to meanwhile. Pure; drill_run does what is planned here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "lab/real_services.h"

namespace nines::lab {

// A request that took longer was slow: what a person at a dashboard notices.
inline constexpr Duration kSlowRequest = 500ms;
// Clients begin a whole new session to a service this often.
inline constexpr Duration kFastInterval = 5ms;   // keystone_internal and mariadb
inline constexpr Duration kSlowInterval = 50ms;  // all others
Duration interval_of(std::string_view proxy);

enum class Act : std::uint8_t {
  kNothing,
  kKill,
  kStart,
  kPause,
  kResume,
  kStop,   // gracefully; of the engine alone
  kCrash,  // a whole host, like a power cut
  kBoot,
  kCut,      // the host notices: its link is down
  kIsolate,  // it does not
  kMute,     // nobody hears it, and it hears all
  kDeafen,   // it hears nobody, and all hear it
  kHeal,
  kFreeze,  // a whole host stands still, as a virtual machine that is being copied
  kThaw,
  kDropAddress,  // by hand, from the host that has it
  kSwallow,      // packets to a service vanish, those of connections that stand too
  kDeliver,      // and are delivered again
  kFlush,        // the host's packet filter, by hand: all tables of all families
  kBootstrap,    // a real database without a majority is told to be one, as operators do
  kReload,
  kBreakConfiguration,    // and reload
  kRestoreConfiguration,  // and reload
};

// Hosts by what they are when the phase begins.
inline constexpr std::string_view kHolder = "the holder";  // who has the address
inline constexpr std::string_view kVictim = "the victim";  // broken last and not mended yet

enum class ServerChange : std::uint8_t { kNone, kDown, kUp };

// What must hold, or the drill has failed. Absent: measured and reported only.
struct Expectation {
  // Requests begun after the fault that got an error or none.
  std::optional<int> failed_max{};
  // Those that were under way when it came.
  std::optional<int> failed_in_flight_max{};
  // Time without a success at the proxy that is watched.
  std::optional<Duration> gap_max{};
  // The balancer says so, by its log or its runtime socket, before the watch ends.
  bool decided = false;
  // All that is answered at the watched proxy at the end comes from this server.
  std::string_view answered_by{};
  // The process that serves is the one that served before.
  bool same_process = false;
  // Connections that were refused, of all requests.
  std::optional<int> refused_max{};
  // Time without an answer at the address itself.
  std::optional<Duration> outage_max{};
  // The address is answered for by another host at the end, or by the same.
  std::optional<bool> address_moves{};
  // Time in which two hosts that clients reach have the address.
  std::optional<Duration> overlap_max{};
  // So many controllers answer at the watched proxy at the end.
  std::optional<int> answering_min{};
  // Of rules against dead hosts, where the engine makes any. Every survivor's stands, so long after
  // the fault at the latest.
  std::optional<Duration> rules_after_max{};
  // None begins.
  bool no_rule_begins = false;
  // The last one is gone so long after its reason has ended.
  std::optional<Duration> rule_gone_max{};
  // Of one host against one other, since the drill began.
  std::optional<int> verdicts_max{};
  // Of real services. Tokens asked for after the fault that failed, and the slowest of all.
  std::optional<int> tokens_failed_max{};
  std::optional<Duration> token_slowest_max{};
  // The databases have no majority: so long after the fault nothing is committed any more.
  std::optional<Duration> writes_refused_after{};
};

// What came of a change is watched for as long.
inline constexpr Duration kTail = 1s;

// One fault, or its end, and the watch that follows.
struct Phase {
  std::string_view name;
  Act act = Act::kReload;
  std::string_view host;     // of kKill to kFlush; also kHolder, kVictim
  std::string_view service;  // of kKill to kStop: a service, or a part of the engine
  // The server whose fate is followed (or kVictim), and what is to become of it. The watch ends
  // `tail` after the balancer has decided and acted and the address has moved, at the latest after
  // watch_max.
  std::string_view proxy;
  std::string_view server;
  ServerChange change = ServerChange::kNone;
  Duration watch_max{};
  Expectation expected;
  std::string_view and_host = {};  // broken at the same time
  bool until_moved = false;        // until another host answers at the address
  bool until_sessions = false;     // until lasting database sessions are answered again
  // Until the rules are those that have a reason, and whoever has returned serves all it has.
  bool until_rules = false;
  Duration tail = kTail;
  bool mends_itself = false;  // what was killed is started again by its supervisor
  bool only_real = false;     // makes no sense with stand-ins
  // Two of three databases are gone: real ones refuse whatever writes, and stand-ins serve on.
  bool loses_majority = false;
};

struct Scenario {
  std::string_view name;
  std::string_view what;  // a line for people
  std::vector<Phase> phases;
  // Breaks the engine: makes sense only where it moves the address.
  bool needs_engine = false;
  // Run only when it is named, not with all.
  bool by_name = false;
  // Who is to have the address at the start, where that may be chosen; empty: whoever has it.
  std::string_view holder_at_start = {};
  // Is about what the programs on the controllers notice of each other: they connect to each other
  // meanwhile, and rules against dead hosts are watched.
  bool watches_peers = false;
  int controllers_min = 1;
  // Clients begin sessions so many times less often: while nobody answers, they pile up.
  int pace = 1;
};

// The same drill as it is for that kind of services: what real ones cannot do is not asked of them,
// and what only they do is.
Scenario scenario_for(const Scenario& scenario, ServiceSource services);

// In the order in which they are run.
const std::vector<Scenario>& scenarios();
const Scenario* find_scenario(std::string_view name);

}  // namespace nines::lab

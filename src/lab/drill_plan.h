// The drills as values: what is broken, in which order, how long it is watched, and what clients
// are entitled to meanwhile. Pure; drill_run does what is planned here.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace nines::lab {

// A request that took longer was slow: what a person at a dashboard notices.
inline constexpr Duration kSlowRequest = 500ms;
// Clients begin a whole new session to a service this often.
inline constexpr Duration kFastInterval = 5ms;   // keystone_internal and mariadb
inline constexpr Duration kSlowInterval = 50ms;  // all others
Duration interval_of(std::string_view proxy);

enum class Act : std::uint8_t {
  kKill,
  kStart,
  kPause,
  kResume,
  kCut,
  kHeal,
  kReload,
  kBreakConfiguration,    // and reload
  kRestoreConfiguration,  // and reload
};

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
};

// One fault, or its end, and the watch that follows.
struct Phase {
  std::string_view name;
  Act act = Act::kReload;
  std::string_view host;     // of kKill to kHeal
  std::string_view service;  // of kKill to kResume
  // The server whose fate is followed, and what is to become of it. The watch ends kTail after the
  // balancer has decided and acted, at the latest after watch_max.
  std::string_view proxy;
  std::string_view server;
  ServerChange change = ServerChange::kNone;
  Duration watch_max{};
  Expectation expected;
};
inline constexpr Duration kTail = 1s;

struct Scenario {
  std::string_view name;
  std::string_view what;  // a line for people
  std::vector<Phase> phases;
};

// In the order in which they are run.
const std::vector<Scenario>& scenarios();
const Scenario* find_scenario(std::string_view name);

}  // namespace nines::lab

// What programs on the controllers themselves notice of another controller's death: each connects
// to the others again and again, and holds a connection to each. Records to figures. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "base/time.h"

namespace nines::lab {

// One try to connect, from a controller to another's service.
struct PeerAttempt {
  enum class Outcome : std::uint8_t {
    kUnderWay,
    kConnected,
    kRefused,  // ECONNREFUSED
    kAborted,  // ECONNABORTED: somebody on the client's own host ended it
    kSilent,   // given up: nobody answered for as long as a client waits
    kFailed,   // in any other way
  };
  std::string_view host;     // where the client is; borrowed
  std::string_view against;  // whom it connects to; borrowed
  Instant begun;
  Instant ended;  // but of kUnderWay
  Outcome outcome = Outcome::kUnderWay;
};

// A connection that stood and ended although neither side wished it.
struct PeerBreak {
  std::string_view host;     // borrowed
  std::string_view against;  // borrowed
  Instant at;
};

// Of clients on hosts that are there, towards those that the phase is about. Times count from the
// window's begin; the worst host counts, and one where it never came leaves the figure out.
struct PeerWatchReport {
  std::optional<Duration> told;     // the connection that stood ended
  std::optional<Duration> refused;  // a connection was refused for the first time
  // What a connection took that was refused, begun a moment after that: the median.
  std::optional<Duration> refusal_took;
  std::optional<Duration> waited;     // the longest that one waited, those included that wait on
  std::optional<Duration> connected;  // one begun within came through for the first time
  int refused_there = 0;              // by hosts that have been there all the time
};

// `away`: not there at the window's end; no clients of theirs count. `about`: whom the phase is
// about. `broken`: who was away at some time of the drill.
struct PeerWatchScope {
  Instant begin, end;
  std::set<std::string> about, away, broken;
};
PeerWatchReport report_peer_watch(std::span<const PeerAttempt> attempts,
                                  std::span<const PeerBreak> breaks,
                                  std::span<const std::string> hosts, const PeerWatchScope& scope);

}  // namespace nines::lab

// "slowstart" of a server's line (section 5.2): one that was down and comes up gets little of its
// weight first and all of it when that time has passed. Never at the start of the program: only a
// server that was seen to be down is slow.
#pragma once

#include <map>
#include <optional>

#include "base/time.h"
#include "proxy/runtime.h"

namespace nines::proxy {

// Servers are told apart by their state, which reloads keep. Control thread only.
class SlowStart {
 public:
  // The weight grows in so many steps, but never more often than each kStepLeast, as HAProxy's
  // does.
  static constexpr int kSteps = 20;
  static constexpr Duration kStepLeast = std::chrono::seconds(1);

  // A pass over all servers: percent() once for each, between begin() and end(), which forgets
  // servers that are no longer there.
  void begin();
  // Of its weight, 1 to 100. "first" and "source" know no weights that move: 100.
  int percent(const Server& server, BalanceAlgorithm algorithm, Instant now);
  void end();

  // When the next pass is due: also whenever a server has gone down or come up.
  std::optional<Instant> deadline() const { return deadline_; }

 private:
  struct Seen {
    bool down = false;
    std::optional<Instant> up_since{};  // while it is slow
    bool in_this_pass = true;
  };

  std::map<const ServerState*, Seen> servers_;  // never followed: a key alone
  std::optional<Instant> deadline_;
};

}  // namespace nines::proxy

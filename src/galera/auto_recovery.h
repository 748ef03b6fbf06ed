// When a host's nines brings the database back by itself: after a total outage that lasted, each
// member's host in its turn, and again what was interrupted. Whether that is safe is the recovery's
// to judge, and that one alone acts is what its claims are for.
//
//                outage                its turn              good
//   kWatching ───────────▶ kWaiting ───────────▶ kConducting ────▶ kWatching
//       ▲                   ▲   │ claimed by          │ refused
//       │ it is over        │   ▼ another             ▼
//       └─── (any) ◀────────┴─ kHeld ◀────────── kPausing
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "galera/health.h"

namespace nines::galera {

enum class AutoStep : std::uint8_t { kWatching, kWaiting, kHeld, kConducting, kPausing };
std::string_view name_of(AutoStep step);

// What this host sees at one moment.
struct OutageView {
  // All members have been looked at, the last look at each is sure, and none is in a primary
  // component, as far as one sees from here.
  bool is_outage = false;
  // This host began a recovery by itself that has not ended.
  bool is_interrupted = false;
  std::string claimed_by;  // the recovery that has this host's member; empty: none
};

// Whether a member in that state shows that a primary component may be alive.
bool may_be_primary(Health health);

// Pure; lives wherever its driver does, which begins `nines galera recover` when look() says so and
// tells its end.
class AutoRecovery {
 public:
  // A cluster that only lost its majority for a moment comes back by itself.
  static constexpr Duration kOutageFor = std::chrono::seconds(20);
  // Later members' hosts wait so much longer each, so that usually one begins and is not disturbed.
  static constexpr Duration kTurn = std::chrono::seconds(20);
  static constexpr Duration kResumeAfter = std::chrono::seconds(3);
  // After a refusal; doubled with each.
  static constexpr Duration kPauseMin = std::chrono::seconds(30);
  static constexpr Duration kPauseMax = std::chrono::minutes(10);
  static constexpr std::size_t kWordsMax = 2000;  // bytes that are kept of what a recovery said

  // `turn`: of this host's member among all, from 0.
  explicit AutoRecovery(std::size_t turn) : turn_(static_cast<std::int64_t>(turn)) {}

  // True: begin a recovery now, and tell ended().
  bool look(const OutageView& view, Instant now);
  // `words`: why it refused, with the commands that override.
  void ended(bool is_good, std::string_view words, Instant now);

  AutoStep step() const { return step_; }
  const std::string& words() const { return words_; }  // of the last that refused; empty: none did
  // In a sentence; empty while there is nothing to say.
  std::string text(Instant now) const;

 private:
  const std::int64_t turn_;
  AutoStep step_ = AutoStep::kWatching;
  std::optional<Instant> since_;  // when what is waited for began
  Duration wait_{};
  Instant pause_until_{};
  int refusals_ = 0;  // in a row
  std::string holder_, words_;
};

}  // namespace nines::galera

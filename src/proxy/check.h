// When to check one server, and what the results make of it: rise, fall and the three intervals of
// section 5.2, and the shortcut that traffic's own failures give (decision 0021). A machine: events
// and the time in, effects out; no socket, no clock.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/rng.h"
#include "base/time.h"
#include "proxy/proxy_config.h"
#include "proxy/runtime.h"

namespace nines::proxy {

// What one attempt found.
struct CheckOutcome {
  CheckStatus status = CheckStatus::kUnknown;
  int code = 0;           // HTTP status or MySQL error number; 0: none
  int error_number = 0;   // errno; 0: none
  std::string info;       // what the server or the system said, for people; unescaped
  Duration duration{-1};  // negative: none was measured

  bool passed() const {
    return status == CheckStatus::kLayer4Ok || status == CheckStatus::kLayer7Ok ||
           status == CheckStatus::kLayer7OkConditional;
  }
  friend bool operator==(const CheckOutcome&, const CheckOutcome&) = default;
};

struct CheckTiming {
  Duration inter = std::chrono::seconds(2);
  std::optional<Duration> fastinter, downinter;
  int rise = 2;
  int fall = 3;
  std::optional<Duration> connect_timeout, check_timeout;
  int spread_percent = 0;  // "spread-checks": intervals vary by up to so much, both ways

  static CheckTiming of(const GlobalConfig& global, const ProxyConfig& proxy,
                        const ServerConfig& server);
  friend bool operator==(const CheckTiming&, const CheckTiming&) = default;
};

struct CheckEvent {
  enum class Kind : std::uint8_t {
    kStart,             // once, first; `delay` until the first attempt
    kTick,              // the deadline came
    kConnected,         // the attempt's connection stands
    kOutcome,           // the attempt is over; `outcome` says how (its duration is filled in here)
    kTrafficFailure,    // a session's connect was refused, reset or overdue
    kHasten,            // somebody else has seen that it is not well: the next attempt is due
    kEnterMaintenance,  // the operator's, in pairs
    kLeaveMaintenance,
    kDisableChecks,
    kEnableChecks,
    kForceUp,  // "set server ... health"
    kForceDown,
    kRestart,  // what is checked has changed: an attempt under way says nothing any more
  };
  Kind kind = Kind::kTick;
  Duration delay{};
  CheckOutcome outcome = {};
};

// What the driver must do, in this order.
struct CheckEffects {
  enum class Change : std::uint8_t { kNone, kWentDown, kCameUp };
  bool abort = false;             // close the attempt's connection; no event of it may follow
  bool start = false;             // begin an attempt
  bool outcome = false;           // an attempt ended: status().last is new
  bool report = false;            // ... and "option log-health-checks" has something to say
  Change change = Change::kNone;  // by a check's result (the operator's changes are not told here)
  bool clear_suspect = false;     // what made the server a suspect is settled
};

struct CheckState {
  bool up = true;
  int health = 0;  // 0 to rise + fall - 1; at or above rise: up
  bool running = false;
  std::uint64_t failures = 0;
  CheckOutcome last;
  // First sign of what the last change was about: a session's failure or a check's result.
  Instant detected;
};

// Duties of the driver: hand in events in the order they happen; after each, perform the effects,
// publish status() and be back with kTick at deadline().
class CheckMachine {
 public:
  // A failed check is repeated after this while traffic's evidence stands, instead of after the
  // configured interval. Also the least distance between two attempts that evidence or a hint
  // causes.
  static constexpr Duration kEvidenceInterval = std::chrono::milliseconds(50);
  // While evidence stands, a connect may take so long, or four times what the last good one took,
  // if the configured limit is not shorter anyway.
  static constexpr Duration kEvidenceConnectMax = std::chrono::milliseconds(300);
  static constexpr int kEvidenceConnectFactor = 4;
  // Evidence that a check refuted doubles the distance to the next check by evidence, up to
  // `inter`; forgotten after this long without evidence.
  static constexpr Duration kFalseAlarmMemory = std::chrono::seconds(10);
  static constexpr int kFalseAlarmsMax = 16;
  // A suspect that nothing checks is tried again by traffic after this.
  static constexpr Duration kUncheckedSuspicion = std::chrono::seconds(1);

  // `checked`: the server has "check". `maintenance`: it begins in it.
  CheckMachine(CheckTiming timing, bool checked, bool maintenance, base::Rng rng);

  // `out` is cleared first.
  void handle(const CheckEvent& event, Instant now, CheckEffects& out);
  // New rise, fall or intervals: health is kept as far as it fits. Effects follow with kTick.
  void set_timing(CheckTiming timing, Instant now);

  std::optional<Instant> deadline() const { return wake_; }
  const CheckState& status() const { return status_; }
  const CheckTiming& timing() const { return timing_; }
  bool evidence() const { return evidence_; }

 private:
  //          start, enable                tick             connected
  //  kPaused ─────────────▶ kWaiting ─────────▶ kConnecting ─────────▶ kTalking
  //     ▲                      ▲  ▲                  │                    │
  //     │ disable, maintenance │  └────── outcome ───┴──── or timeout ────┘
  //     └──── from any state ──┘
  enum class State : std::uint8_t { kPaused, kWaiting, kConnecting, kTalking };

  bool allowed() const { return checked_ && !maintenance_; }
  bool attempting() const { return state_ == State::kConnecting || state_ == State::kTalking; }
  int health_max() const { return timing_.rise + timing_.fall - 1; }
  Duration interval() const;
  Duration spread(Duration interval);
  Instant connect_deadline() const;
  Instant evidence_earliest() const;

  void begin(Instant now);
  void stop();
  void pause_or_go_on(Instant now);
  void on_tick(Instant now);
  void on_connected(Instant now);
  void finish(CheckOutcome outcome, Instant now);
  void take_result(Instant now);
  void on_traffic_failure(Instant now);
  void hasten(Instant now);
  void end_evidence();

  CheckTiming timing_;
  bool checked_;
  bool maintenance_;
  base::Rng rng_;
  State state_ = State::kPaused;
  bool started_once_ = false;  // kStart was seen
  std::optional<Instant> wake_;
  Instant started_;          // of the current or the last attempt
  Duration connect_time_{};  // of the last attempt that connected
  bool evidence_ = false;
  Instant evidence_at_;
  bool answers_evidence_ = false;  // the attempt began while evidence stood
  int false_alarms_ = 0;
  CheckState status_;
  CheckEffects* out_ = nullptr;  // during handle()
};

}  // namespace nines::proxy

// Whether a server that accepts connections and does not answer is slow or gone. A stopped process,
// a hung one, a host whose kernel lives on: connects succeed, so checks by connect see nothing, and
// each request waits for "timeout server". Pure.
//
// A session that has waited for kAnswerPatience is evidence, no more: many requests take long. It
// has the server probed with a request of our own; whatever byte comes back, there or to anybody
// else, means that somebody is there. A server whose probe stays unanswered is *silent*: it gets no
// new work while another can take it, and idempotent requests that wait on it go elsewhere. It is
// probed until it answers.
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"

namespace nines::proxy {

inline constexpr Duration kAnswerPatience = std::chrono::milliseconds(500);
// How often a session that waits looks whether its server was found silent.
inline constexpr Duration kSilenceLook = std::chrono::milliseconds(250);

struct SilenceEffects {
  bool start_probe = false;     // open a connection, send a request, report what comes
  bool drop_probe = false;      // end that connection, if there is one
  std::optional<bool> doubted;  // publish: a probe is out, or the last one was not answered
  std::optional<bool> silent;   // publish
};

// Duties of the driver: carry out drop_probe before start_probe; publish what is set at once; call
// on_timer() at deadline().
class SilenceMachine {
 public:
  static constexpr Duration kProbePatience = std::chrono::seconds(1);
  static constexpr Duration kProbePause =
      std::chrono::seconds(1);  // between probes of a silent one
  // An answered probe stands for this long: slow requests do not make a storm of probes.
  static constexpr Duration kTrust = std::chrono::seconds(1);

  void on_evidence(Instant now, SilenceEffects& out);
  // Any byte of an answer to the probe.
  void on_answered(Instant now, SilenceEffects& out);
  // The probe was refused or reset, or the server is taken out by other means: the checks'
  // business.
  void on_failed(Instant now, SilenceEffects& out);
  void on_timer(Instant now, SilenceEffects& out);

  std::optional<Instant> deadline() const { return deadline_; }
  bool silent() const { return silent_; }
  bool probing() const { return state_ == State::kProbing; }

 private:
  //           evidence            no answer              pause over
  //   kQuiet ─────────> kProbing ───────────> kResting ────────────> kProbing
  //      ^                 │ answered, failed    (silent)               │
  //      └─────────────────┴────────────────────────────────────────────┘
  enum class State : std::uint8_t { kQuiet, kProbing, kResting };

  void probe(Instant now, SilenceEffects& out);
  void settle(SilenceEffects& out);

  State state_ = State::kQuiet;
  bool silent_ = false;
  Instant trusted_until_{};
  std::optional<Instant> deadline_;
};

}  // namespace nines::proxy

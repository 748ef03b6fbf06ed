// The order is that of what forbids: nothing is wrong, it runs already, it was refused just now,
// another has it, it is not this host's turn.
#include "galera/auto_recovery.h"

#include <algorithm>

namespace nines::galera {

std::string_view name_of(AutoStep step) {
  switch (step) {
    case AutoStep::kWatching:
      return "watching";
    case AutoStep::kWaiting:
      return "waiting";
    case AutoStep::kHeld:
      return "held";
    case AutoStep::kConducting:
      return "conducting";
    case AutoStep::kPausing:
      return "pausing";
  }
  return "";
}

bool may_be_primary(Health health) {
  switch (health) {
    case Health::kJoining:
    case Health::kDonor:
    case Health::kDesynced:
    case Health::kSynced:
      return true;
    case Health::kInitialising:
    case Health::kNonPrimary:
    case Health::kLost:
    case Health::kRecovering:
      break;
  }
  return false;
}

bool AutoRecovery::look(const OutageView& view, Instant now) {
  if (step_ == AutoStep::kConducting) return false;
  if (!view.is_outage && !view.is_interrupted) {
    step_ = AutoStep::kWatching;
    since_.reset();
    pause_until_ = {};
    refusals_ = 0;
    words_.clear();
    return false;
  }
  if (now < pause_until_) {
    step_ = AutoStep::kPausing;
    return false;
  }
  if (!view.is_interrupted && !view.claimed_by.empty()) {
    step_ = AutoStep::kHeld;
    holder_ = view.claimed_by;
    since_.reset();  // its turn begins anew once that has ended
    return false;
  }
  if (!since_) since_ = now;
  wait_ = view.is_interrupted ? kResumeAfter : kOutageFor + turn_ * kTurn;
  if (now - *since_ < wait_) {
    step_ = AutoStep::kWaiting;
    return false;
  }
  step_ = AutoStep::kConducting;
  return true;
}

void AutoRecovery::ended(bool is_good, std::string_view words, Instant now) {
  if (step_ != AutoStep::kConducting) return;
  since_.reset();
  if (is_good) {
    step_ = AutoStep::kWatching;
    refusals_ = 0;
    words_.clear();
    return;
  }
  step_ = AutoStep::kPausing;
  words_ = words.substr(0, kWordsMax);
  // Two that refused each other's claims must not meet again.
  Duration pause = kPauseMin;
  for (int i = 0; i < refusals_ && pause < kPauseMax; ++i) pause *= 2;
  ++refusals_;
  pause_until_ = now + std::min(pause, kPauseMax) + turn_ * kTurn;
}

std::string AutoRecovery::text(Instant now) const {
  const auto seconds = [](Duration left) {
    return std::to_string(std::max<std::int64_t>(milliseconds_of(left), 0) / 1000) + " s";
  };
  switch (step_) {
    case AutoStep::kWatching:
      return "";
    case AutoStep::kWaiting:
      return "an outage: a recovery begins here in " + seconds(wait_ - (now - *since_)) +
             " unless another host begins one";
    case AutoStep::kHeld:
      return "the recovery " + holder_ +
             " has this host's member in its hands; where that began, 'nines galera recover' goes "
             "on with it";
    case AutoStep::kConducting:
      return "a recovery is under way from here";
    case AutoStep::kPausing:
      return "refused; tried again in " + seconds(pause_until_ - now);
  }
  return "";
}

}  // namespace nines::galera

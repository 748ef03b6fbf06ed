// keepalived.conf(5), "VRRP TRACKING": weights above 0 are added while good, below while failed.
#include "vrrp/script_tracker.h"

namespace nines::vrrp {

bool ScriptTracker::ended(bool good) {
  const ScriptState result = good ? ScriptState::kGood : ScriptState::kFailed;
  if (state_ == result) {
    in_a_row_ = 0;
    return false;
  }
  ++in_a_row_;
  if (state_ != ScriptState::kUnknown && in_a_row_ < (good ? rise_ : fall_)) return false;
  state_ = result;
  in_a_row_ = 0;
  return true;
}

void TrackSum::add(ScriptState state, int by, bool reverse) {
  if (state == ScriptState::kUnknown) {
    // One with a weight is not waited for: it has added nothing yet.
    if (by == 0) known = false;
    return;
  }
  const bool good = (state == ScriptState::kGood) != reverse;
  if (by == 0) {
    if (!good) ++faults;
  } else if ((by > 0) == good) {
    weight += by;
  }
}

}  // namespace nines::vrrp

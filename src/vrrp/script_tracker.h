// What a check script's results say: good or failed by rise and fall, and what that makes of a
// priority. Pure.
#pragma once

#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

enum class ScriptState : unsigned char { kUnknown, kGood, kFailed };

// keepalived's rules: the first result counts at once, whatever rise and fall say; later ones only
// in a row. One whose state is known at the start (init_fail, or a dead process of this host knew
// it) counts from there.
class ScriptTracker {
 public:
  ScriptTracker(int rise, int fall, ScriptState state) : state_(state), rise_(rise), fall_(fall) {}

  // Returns true when the state changed.
  bool ended(bool good);
  ScriptState state() const { return state_; }

 private:
  ScriptState state_;
  int rise_, fall_;
  int in_a_row_ = 0;  // results against the state
};

// What the tracked things of an instance sum up to; for Conditions of vrrp.h.
struct TrackSum {
  bool known = true;
  int faults = 0;
  int weight = 0;
  void add(ScriptState state, int weight, bool reverse);
};

}  // namespace nines::vrrp

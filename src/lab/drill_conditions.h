// What a drill is held under besides its fault: lines that lose and delay, a machine that is busy.
// Values; HeldConditions makes them so.
#pragma once

#include <string>

#include "base/time.h"

namespace nines::lab {

struct DrillConditions {
  int loss = 0;      // of each controller's frames, percent, in each direction
  Duration delay{};  // of each of them, in each direction
  bool load = false;
  bool is_usual() const { return loss == 0 && delay == Duration(0) && !load; }
};
std::string text_of(const DrillConditions& conditions);  // "5 % loss, 50 ms delay, load"

}  // namespace nines::lab

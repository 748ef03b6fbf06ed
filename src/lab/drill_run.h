// Runs drills in a lab that is up: load from the client host, faults through the keeper, the
// balancer watched through its runtime socket and its log, all on one loop in one thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "lab/drill_conditions.h"
#include "lab/drill_plan.h"
#include "lab/drill_report.h"
#include "lab/drill_story.h"

namespace nines::lab {

struct DrillWishes {
  std::string lab;
  std::vector<const Scenario*> scenarios;
  std::function<void(std::string_view)> progress;  // a line for people
  std::function<void(const PhaseReport&)> phase_finished;
  std::function<void(DrillStory)> story_told = {};  // of each scenario; none: not told
  // Each fault comes so much later, 0 to kShiftMax, and all is watched meanwhile: a series meets
  // what happens at intervals (adverts, checks) at another place between two each time.
  Duration shift{};
  DrillConditions conditions{};
};
// The longest interval that matters: of adverts.
inline constexpr Duration kShiftMax = std::chrono::seconds(1);

// Whether the engine of that lab moves the address; of a lab that is not up: false.
bool has_moving_address(std::string_view lab);

// Moves the calling process's network into the lab's client host for good. kNotFound: no such lab;
// kUnavailable: the lab is not healthy enough to begin; kInvalid: a scenario makes no sense there;
// kRefused: interrupted by SIGINT or SIGTERM. However it ends, what was broken has been mended.
Result<std::vector<PhaseReport>> run_drills(const DrillWishes& wishes);

}  // namespace nines::lab

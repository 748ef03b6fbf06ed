// A drill on an OpenStack that is up: its client at work, a whole controller lost, and afterwards a
// count of what was left behind. All on one loop in one thread.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "lab/cloud_report.h"
#include "lab/drill_story.h"

namespace nines::lab {

struct CloudScenario {
  std::string_view name;
  std::string_view what;
  std::string_view host;  // whose power fails; node01 has the address and the active database
};
std::span<const CloudScenario> cloud_scenarios();
const CloudScenario* find_cloud_scenario(std::string_view name);  // null: there is none

struct CloudWishes {
  std::string lab;
  std::string engine;  // as the row is to call it
  const CloudScenario* scenario = nullptr;
  int run = 1;
  Duration shift{};  // the fault comes so much later, as DrillWishes::shift
  bool mend = true;  // boot the host at the end; a lab that goes down anyway needs none
  std::function<void(std::string_view)> progress;
};

struct CloudResult {
  CloudRow row;
  DrillStory story;
};

// Moves the calling process's network into the lab's client host for good. kNotFound: no such lab;
// kInvalid: it has no OpenStack, or an engine that moves no address; kUnavailable: it is not well
// enough to begin; kRefused: interrupted by SIGINT or SIGTERM. However it ends, what was broken has
// been mended if that is wished.
Result<CloudResult> run_cloud_drill(const CloudWishes& wishes);

}  // namespace nines::lab

// Drills run again and again, by one engine or by several in turns, each run in a process of its
// own: who drills moves into the lab's client for good.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "lab/drill_conditions.h"
#include "lab/drill_plan.h"
#include "lab/drill_series.h"
#include "lab/drill_story.h"
#include "lab/lab_plan.h"

namespace nines::lab {

struct Contender {
  std::string engine;           // as its rows are called
  std::string lab;              // its name
  std::optional<LabPlan> plan;  // up before each run and down after it; none: the lab is up
};

struct RoundsWishes {
  std::vector<Contender> contenders;
  int runs = 1;
  std::vector<const Scenario*> scenarios;
  DrillConditions conditions{};
  bool stories = false;  // of each contender's first run
  // All rows so far, after each round: who interrupts a long series keeps them.
  std::function<void(const DrillSeries&)> round_finished;
  std::function<void(std::string_view)> progress;  // a line for people
};

struct RoundsResult {
  DrillSeries series;
  std::vector<DrillStory> stories;  // scenario by scenario, each with the contenders in their order
};

// Runs that fail in a row, of any contender, before the rest is given up.
inline constexpr int kFailedRunsMax = 3;

// How much later the faults of a run, from 1, come (DrillWishes::shift). Fractions of multiples of
// the golden ratio: however many runs there are, they lie about evenly.
Duration shift_of_run(int run);

// `runs` rounds; in each every contender runs all scenarios once, in the other order the next time.
// A run that fails is in the series' `failed` and has the rows of the phases that it finished.
// kRefused: interrupted by SIGINT or SIGTERM; what was broken has been mended, and labs that were
// brought up are down. kUnavailable: given up. Must be called while the process has one thread;
// blocks.
Result<RoundsResult> run_rounds(const RoundsWishes& wishes);

}  // namespace nines::lab

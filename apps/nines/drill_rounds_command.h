// `nines drill --runs N` and `--incumbent`: many runs, engines in turns, one table; and the table
// again from the rows that were kept.
#pragma once

#include <string>
#include <vector>

#include "lab/drill_plan.h"

namespace nines {

struct DrillRoundsWords {
  std::string lab;  // is up; with `incumbent` the stem of the names of labs to be made
  std::vector<const lab::Scenario*> scenarios;
  int runs = 1;
  bool incumbent = false;  // nines, and keepalived with HAProxy, each in labs of its own
  std::string priorities;  // of those labs' controllers
  std::string rows;        // a file to keep the rows in; empty: none
  bool json = false;       // the rows instead of the table
  bool markdown = false;
};

// The exit status: 0 when all held (with `incumbent`: all of ours), as nines drill has it
// otherwise.
int run_drill_rounds(const DrillRoundsWords& words);

// The table of rows that were kept, no drill.
int show_drill_rounds(const std::string& path, bool markdown);

}  // namespace nines

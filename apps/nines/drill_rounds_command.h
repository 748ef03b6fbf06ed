// `nines drill --runs N`, `--engines` and `--incumbent`: many runs, engines in turns, one table;
// and the table again from the rows that were kept.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "lab/drill_conditions.h"
#include "lab/drill_plan.h"
#include "lab/drill_rounds.h"
#include "lab/drill_story.h"
#include "lab/engine_plan.h"

namespace nines {

struct DrillRoundsWords {
  std::string lab;  // is up; with `engines` the stem of the names of labs to be made
  std::vector<const lab::Scenario*> scenarios;
  lab::DrillConditions conditions;
  int runs = 1;
  // Each in labs of its own, in turns; none: the one of the lab that is up.
  std::vector<lab::EngineKind> engines;
  std::string services;            // of those labs, by name; empty: stand-ins
  std::string configuration_path;  // their haproxy.cfg; empty: the example
  std::string priorities;          // of those labs' controllers
  Duration term{};                 // of their leases; 0: as they come
  // Of an OpenStack's programs, milliseconds; below 0: as it comes.
  int reconnect_delay_ms = -1;
  std::string rows;     // a file to keep the rows in, from each round on; empty: none
  std::string picture;  // a file for the first run of each, drawn; empty: none
  std::string stories;  // and one for what is drawn, to be kept
  bool resume = false;  // goes on with what is in `rows`; of an OpenStack
  bool json = false;    // the rows instead of the table
  bool markdown = false;
};

// Who takes part: an engine in labs of its own, or the lab that is up.
Result<std::vector<lab::Contender>> contenders_of(const DrillRoundsWords& words);
// What a reader of the rows has to know of the machine.
std::map<std::string, std::string> facts_of_machine(const DrillRoundsWords& words);
// False when it cannot be written; said.
bool keep_file(const std::string& path, const std::string& text);

// Writes what `picture` and `stories` ask for; 0, or the exit status.
int keep_stories(const std::vector<lab::DrillStory>& stories, const std::string& picture,
                 const std::string& kept);
// A picture of stories that were kept, no drill.
int draw_kept_stories(const std::string& from, const std::string& picture);

// The exit status: 0 when all held (with `engines`: all of ours), as nines drill has it
// otherwise.
int run_drill_rounds(const DrillRoundsWords& words);

// The table of rows that were kept, no drill.
int show_drill_rounds(const std::string& path, bool markdown);

}  // namespace nines

// `nines drill --services openstack`: a controller of a whole OpenStack is lost, in a lab that is
// up or, with `--engines`, in labs made for each run.
#pragma once

#include <string>
#include <vector>

#include "drill_rounds_command.h"

namespace nines {

// `words` as for run_drill_rounds(), but for its scenarios: `names` are those, none: all. The exit
// status: 0 when every run was made, 1 otherwise, 2 for a name that is none, 3 when no lab is up.
int run_cloud_drills(const DrillRoundsWords& words, const std::vector<std::string>& names);

// The table of rows that were kept, no drill.
int show_cloud_rows(const std::string& path, bool markdown);

// A line for each scenario.
void list_cloud_drills();

}  // namespace nines

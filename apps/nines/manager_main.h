// The manager plane's process: watches the Galera cluster once a second, keeps each member's
// history, writes metrics, answers what operators ask.
#pragma once

#include "galera_setup.h"

namespace nines {

// Its channel is node::kPlaneChannel. The exit status.
int run_manager_main(const GaleraSetup& setup);

}  // namespace nines

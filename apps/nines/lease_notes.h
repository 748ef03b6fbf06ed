// What is said of a keepalived.conf whose addresses are held by lease, where the parser speaks of
// elections that will not be held.
#pragma once

#include "text/diagnostics.h"

namespace nines {

// Words that hold only for elections are replaced by those that hold for leases; places, severities
// and all other findings stay.
void say_for_leases(text::Diagnostics& diagnostics);

}  // namespace nines

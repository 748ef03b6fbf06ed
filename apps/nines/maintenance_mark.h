// That a node is in maintenance, kept where it outlives the daemon and a boot: an empty file among
// the cluster's state. The supervisor writes it, for the owner waits for no disk; the owner looks
// once, when it begins.
#pragma once

#include <string>

#include "base/result.h"

namespace nines {

// `state`: the cluster's folder in nines.yaml.
Result<bool> is_in_maintenance(const std::string& state);
Result<void> set_in_maintenance(const std::string& state, bool on);

}  // namespace nines

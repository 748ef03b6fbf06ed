// keepalived.json of version 2.2.7, which monitoring reads: the same keys in the same order, the
// same types and units. Pure.
#pragma once

#include <span>
#include <string>

#include "vrrp/vrrp_stats.h"

namespace nines::vrrp {

// An array with an object for each instance, in one line. Carries the passwords, as keepalived's
// does: the file is its owner's alone.
std::string json_text(std::span<const InstanceReport> reports);

}  // namespace nines::vrrp

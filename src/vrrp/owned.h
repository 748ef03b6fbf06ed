// The addresses of an instance as the kernel wants them.
#pragma once

#include <vector>

#include "address/interface_addresses.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

// virtual_ipaddress first, then virtual_ipaddress_excluded, each in the configuration's order.
std::vector<address::OwnedAddress> owned_by(const VrrpInstance& instance);

}  // namespace nines::vrrp

// The addresses, routes and rules of an instance as the kernel wants them.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "address/interface_addresses.h"
#include "address/routing.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

// virtual_ipaddress first, then virtual_ipaddress_excluded, each in the configuration's order.
std::vector<address::OwnedAddress> owned_by(const VrrpInstance& instance);

// In the configuration's order: routes may need the addresses, rules the routes' tables.
struct OwnedRouting {
  std::vector<address::OwnedRoute> routes;
  std::vector<address::OwnedRule> rules;
  friend bool operator==(const OwnedRouting&, const OwnedRouting&) = default;
};
OwnedRouting routing_of(const VrrpInstance& instance);

// All of it, the rest also when something cannot be had; `complain` is called with what failed.
using Complain = std::function<void(const std::string&)>;
enum class Take : std::uint8_t { kAll, kTracked };
void take_routing(address::Routing& routing, const OwnedRouting& owned, Take which,
                  const Complain& complain);
void drop_routing(address::Routing& routing, const OwnedRouting& owned, const Complain& complain);

}  // namespace nines::vrrp

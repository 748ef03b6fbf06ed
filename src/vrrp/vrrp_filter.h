// Which of the well-formed advertisements heard on an interface concern one instance, and what is
// wrong with those of its virtual router that do not count: keepalived's checks, in its order.
#pragma once

#include <cstdint>
#include <string_view>

#include "vrrp/vrrp_config.h"
#include "vrrp/vrrp_wire.h"

namespace nines::vrrp {

enum class Rejection : std::uint8_t {
  kNone,
  kOtherRouter,  // another virtual router's: none of our business and nobody's fault
  kOwn,          // from our own address: a reflection, or a second host with it
  kVersion,
  kAuthentication,  // the type
  kPassword,
  kInterval,   // version 2: both ends must agree (RFC 3768, section 7.1)
  kAddresses,  // not our list
  kNotAPeer,   // unicast only
};
inline constexpr int kRejections = 9;
std::string_view name_of(Rejection rejection);

// `primary`: the address that our own adverts leave from.
Rejection examine(const VrrpInstance& instance, const SocketAddress& primary, const Packet& packet);

// What `instance` sends with that priority.
Advert advert_of(const VrrpInstance& instance, int priority);

}  // namespace nines::vrrp

// What keepalived.conf leaves open is filled in as keepalived does.
#include "vrrp/owned.h"

#include <linux/if_addr.h>

namespace nines::vrrp {

namespace {

address::OwnedAddress owned_of(const VirtualAddress& address) {
  address::OwnedAddress owned;
  owned.address = address.address;
  owned.prefix_length = address.prefix_length;
  owned.device = address.device;
  owned.label = address.label;
  owned.scope = static_cast<std::uint8_t>(address.scope);
  owned.broadcast = broadcast_of(address);
  const bool ipv4 = address.address.family() == SocketAddress::Family::kIpv4;
  if (!ipv4) owned.flags |= IFA_F_NODAD;  // the election has detected duplicates already
  if (address.home) owned.flags |= IFA_F_HOMEADDRESS;
  if (address.noprefixroute) owned.flags |= IFA_F_NOPREFIXROUTE;
  return owned;
}

}  // namespace

std::vector<address::OwnedAddress> owned_by(const VrrpInstance& instance) {
  std::vector<address::OwnedAddress> owned;
  for (const auto* list : {&instance.addresses, &instance.excluded_addresses}) {
    for (const VirtualAddress& address : *list) owned.push_back(owned_of(address));
  }
  return owned;
}

}  // namespace nines::vrrp

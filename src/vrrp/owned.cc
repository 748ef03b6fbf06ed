// What keepalived.conf leaves open is filled in as keepalived does.
#include "vrrp/owned.h"

#include <algorithm>
#include <array>
#include <string_view>

#include <linux/if_addr.h>

namespace nines::vrrp {

namespace {

SocketAddress computed_broadcast(const VirtualAddress& address) {
  const std::string_view bytes = address.address.ip_bytes();
  std::array<std::uint8_t, 4> all{};
  for (int i = 0; i < 4; ++i) {
    const int host_bits = std::clamp((i + 1) * 8 - address.prefix_length, 0, 8);
    all[i] =
        static_cast<std::uint8_t>(static_cast<std::uint8_t>(bytes[i]) | ((1 << host_bits) - 1));
  }
  return SocketAddress::ipv4(all, 0);
}

address::OwnedAddress owned_of(const VirtualAddress& address) {
  address::OwnedAddress owned;
  owned.address = address.address;
  owned.prefix_length = address.prefix_length;
  owned.device = address.device;
  owned.label = address.label;
  owned.scope = static_cast<std::uint8_t>(address.scope);
  owned.broadcast = address.broadcast;
  const bool ipv4 = address.address.family() == SocketAddress::Family::kIpv4;
  if (address.broadcast_computed && ipv4) owned.broadcast = computed_broadcast(address);
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

// The order matters for what is told only: the first rule that is broken names the packet.
#include "vrrp/vrrp_filter.h"

#include <algorithm>

#include "base/check.h"

namespace nines::vrrp {

namespace {

bool same_addresses(const VrrpInstance& instance, const Advert& advert) {
  std::vector<SocketAddress> ours;
  for (const VirtualAddress& address : instance.addresses) ours.push_back(address.address);
  std::vector<SocketAddress> theirs = advert.addresses;
  std::sort(ours.begin(), ours.end());
  std::sort(theirs.begin(), theirs.end());
  return ours == theirs;
}

}  // namespace

std::string_view name_of(Rejection rejection) {
  switch (rejection) {
    case Rejection::kNone:
      return "none";
    case Rejection::kOtherRouter:
      return "another virtual router's";
    case Rejection::kOwn:
      return "from our own address";
    case Rejection::kVersion:
      return "another version";
    case Rejection::kAuthentication:
      return "another authentication type";
    case Rejection::kPassword:
      return "wrong password";
    case Rejection::kInterval:
      return "another advert_int";
    case Rejection::kAddresses:
      return "other addresses than ours";
    case Rejection::kNotAPeer:
      return "not from a unicast_peer";
  }
  CHECK(false);
}

Rejection examine(const VrrpInstance& instance, const SocketAddress& primary,
                  const Packet& packet) {
  const Advert& advert = packet.advert;
  if (advert.router_id != instance.virtual_router_id) return Rejection::kOtherRouter;
  if (packet.source == primary) return Rejection::kOwn;
  if (advert.version != instance.version) return Rejection::kVersion;
  if (advert.version == 2) {
    const Advert ours = advert_of(instance, instance.priority);
    if (advert.authentication_type != ours.authentication_type) return Rejection::kAuthentication;
    if (instance.authentication.type == AuthType::kPass &&
        advert.authentication_data != ours.authentication_data) {
      return Rejection::kPassword;
    }
    if (advert.interval != ours.interval) return Rejection::kInterval;
  }
  if (instance.check_unicast_src && !instance.unicast_peers.empty() &&
      std::find(instance.unicast_peers.begin(), instance.unicast_peers.end(), packet.source) ==
          instance.unicast_peers.end()) {
    return Rejection::kNotAPeer;
  }
  if (!same_addresses(instance, advert)) return Rejection::kAddresses;
  return Rejection::kNone;
}

Advert advert_of(const VrrpInstance& instance, int priority) {
  Advert advert;
  advert.version = instance.version;
  advert.router_id = static_cast<std::uint8_t>(instance.virtual_router_id);
  advert.priority = static_cast<std::uint8_t>(priority);
  advert.interval = instance.advert_int;
  if (instance.version == 2 && instance.authentication.type == AuthType::kPass) {
    advert.authentication_type = static_cast<std::uint8_t>(AuthenticationType::kSimpleText);
    const std::string& password = instance.authentication.password;
    std::copy_n(password.begin(), std::min(password.size(), kAuthDataSize),
                advert.authentication_data.begin());
  }
  for (const VirtualAddress& address : instance.addresses) {
    advert.addresses.push_back(address.address);
  }
  return advert;
}

}  // namespace nines::vrrp

// The configuration's words for its own values.
#include "vrrp/vrrp_config.h"

#include <algorithm>
#include <array>

namespace nines::vrrp {

bool runs_scripts(const Config& config) {
  const auto notifies = [](const auto& each) {
    const Notifications& n = each.notifications;
    for (const Command* const command : {&n.master, &n.backup, &n.fault, &n.stop, &n.deleted,
                                         &n.master_rx_lower_priority, &n.any}) {
      if (!command->empty()) return true;
    }
    return false;
  };
  return !config.scripts.empty() ||
         std::any_of(config.instances.begin(), config.instances.end(), notifies) ||
         std::any_of(config.sync_groups.begin(), config.sync_groups.end(), notifies);
}

std::optional<SocketAddress> broadcast_of(const VirtualAddress& address) {
  const bool ipv4 = address.address.family() == SocketAddress::Family::kIpv4;
  if (!address.broadcast_computed || !ipv4) return address.broadcast;
  const std::string_view bytes = address.address.ip_bytes();
  std::array<std::uint8_t, 4> all{};
  for (int i = 0; i < 4; ++i) {
    const int host_bits = std::clamp((i + 1) * 8 - address.prefix_length, 0, 8);
    all[i] =
        static_cast<std::uint8_t>(static_cast<std::uint8_t>(bytes[i]) | ((1 << host_bits) - 1));
  }
  return SocketAddress::ipv4(all, 0);
}

std::string_view name_of(InitialState state) {
  return state == InitialState::kMaster ? "MASTER" : "BACKUP";
}

std::string_view name_of(AuthType type) { return type == AuthType::kPass ? "PASS" : "none"; }

std::string_view name_of(AddressScope scope) {
  switch (scope) {
    case AddressScope::kGlobal:
      return "global";
    case AddressScope::kSite:
      return "site";
    case AddressScope::kLink:
      return "link";
    case AddressScope::kHost:
      return "host";
  }
  return "";
}

}  // namespace nines::vrrp

// The configuration's words for its own values.
#include "vrrp/vrrp_config.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace nines::vrrp {

namespace {

std::string prefix_text(const SocketAddress& address, int length) {
  const bool whole = length == static_cast<int>(address.ip_bytes().size() * 8);
  return address.ip_text() + (whole ? "" : "/" + std::to_string(length));
}

std::string hexadecimal(std::uint32_t value) {
  std::array<char, 16> digits{};
  std::snprintf(digits.data(), digits.size(), "0x%x", value);
  return digits.data();
}

}  // namespace

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

std::string text_of(const VirtualRoute& route) {
  std::string text = "prepend";
  if (route.type != RouteType::kUnicast) text = "add " + std::string(name_of(route.type));
  text += " " + prefix_text(route.destination, route.prefix_length);
  const auto number = [&text](const char* name, const auto& value) {
    if (value) text += std::string(" ") + name + " " + std::to_string(*value);
  };
  const bool ipv6 = route.destination.family() == SocketAddress::Family::kIpv6;
  if (route.source) text += " src " + route.source->ip_text();
  number("tos", route.type_of_service);
  if (route.gateway) text += (ipv6 ? " via inet6 " : " via inet ") + route.gateway->ip_text();
  if (!route.device.empty()) text += " dev " + route.device;
  if (route.table != kTableMain) text += " table " + std::to_string(route.table);
  std::optional<std::uint8_t> protocol = route.protocol;
  if (!protocol && !route.no_track) protocol = kRoutingProtocol;
  number("proto", protocol);
  number("scope", route.scope);
  number("metric", route.metric);
  if (route.onlink) text += " onlink";
  number("mtu", route.mtu);
  number("advmss", route.advertised_mss);
  number("hoplimit", route.hop_limit);
  // keepalived tracks none that has no interface.
  if (route.no_track || route.device.empty()) text += " no_track";
  return text;
}

std::string text_of(const VirtualRule& rule) {
  std::string text = rule.inverted ? "not from " : "from ";
  text += rule.from ? prefix_text(rule.from->address, rule.from->length) : "all";
  if (rule.to) text += " to " + prefix_text(rule.to->address, rule.to->length);
  text += " priority " + std::to_string(rule.priority);
  text += " tos " + hexadecimal(rule.type_of_service);
  if (rule.mark) {
    text += " fwmark " + hexadecimal(*rule.mark);
    if (rule.mark_mask) text += "/" + hexadecimal(*rule.mark_mask);
  }
  if (!rule.from_interface.empty()) text += " iif " + rule.from_interface;
  if (!rule.to_interface.empty()) text += " oif " + rule.to_interface;
  if (!rule.no_track) text += " protocol " + std::to_string(kRoutingProtocol);
  if (rule.action == RuleAction::kTable) {
    text += " lookup " + std::to_string(rule.table);
  } else {
    text += " type " + std::string(name_of(rule.action));
  }
  if (rule.no_track) text += " no_track";
  return text;
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

std::string_view name_of(RouteType type) {
  switch (type) {
    case RouteType::kUnicast:
      return "unicast";
    case RouteType::kBlackhole:
      return "blackhole";
    case RouteType::kUnreachable:
      return "unreachable";
    case RouteType::kProhibit:
      return "prohibit";
    case RouteType::kThrow:
      return "throw";
  }
  return "";
}

std::string_view name_of(RuleAction action) {
  switch (action) {
    case RuleAction::kTable:
      return "table";
    case RuleAction::kBlackhole:
      return "blackhole";
    case RuleAction::kUnreachable:
      return "unreachable";
    case RuleAction::kProhibit:
      return "prohibit";
  }
  return "";
}

}  // namespace nines::vrrp

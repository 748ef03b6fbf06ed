// What keepalived.conf leaves open is filled in as keepalived does.
#include "vrrp/owned.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

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
  owned.deprecated = address.deprecated;
  if (address.home) owned.flags |= IFA_F_HOMEADDRESS;
  if (address.noprefixroute) owned.flags |= IFA_F_NOPREFIXROUTE;
  return owned;
}

address::OwnedRoute owned_of(const VirtualRoute& route) {
  address::OwnedRoute owned;
  io::Route& kernel = owned.route;
  kernel.type = static_cast<std::uint8_t>(route.type);
  kernel.destination = route.destination;
  kernel.prefix_length = static_cast<std::uint8_t>(route.prefix_length);
  kernel.gateway = route.gateway;
  kernel.source = route.source;
  kernel.table = route.table;
  kernel.metric = route.metric.value_or(0);
  // As "ip route" has it: what needs no gateway is a neighbour.
  const bool neighbour = route.type == RouteType::kUnicast && !route.gateway;
  kernel.scope = route.scope.value_or(neighbour ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE);
  kernel.protocol = route.protocol.value_or(kRoutingProtocol);
  kernel.type_of_service = route.type_of_service.value_or(0);
  kernel.onlink = route.onlink;
  kernel.mtu = route.mtu.value_or(0);
  kernel.advertised_mss = route.advertised_mss.value_or(0);
  kernel.hop_limit = route.hop_limit.value_or(0);
  owned.device = route.device;
  owned.tracked = !route.no_track;
  return owned;
}

address::OwnedRule owned_of(const VirtualRule& rule) {
  address::OwnedRule owned;
  io::RoutingRule& kernel = owned.rule;
  kernel.action = static_cast<std::uint8_t>(rule.action);
  kernel.family = rule.family;
  if (rule.from && rule.from->length > 0) {
    kernel.from = rule.from->address;
    kernel.from_length = static_cast<std::uint8_t>(rule.from->length);
  }
  if (rule.to && rule.to->length > 0) {
    kernel.to = rule.to->address;
    kernel.to_length = static_cast<std::uint8_t>(rule.to->length);
  }
  kernel.from_interface = rule.from_interface;
  kernel.to_interface = rule.to_interface;
  kernel.mark = rule.mark;
  kernel.mark_mask = rule.mark_mask;
  kernel.type_of_service = rule.type_of_service;
  kernel.inverted = rule.inverted;
  kernel.table = rule.table;
  kernel.priority = rule.priority;
  if (!rule.no_track) kernel.protocol = kRoutingProtocol;  // as keepalived
  owned.tracked = !rule.no_track;
  return owned;
}

// What people know it by.
std::string name_of(const address::OwnedRoute& route) {
  return "route to " + route.route.destination.ip_text() + "/" +
         std::to_string(route.route.prefix_length);
}

std::string name_of(const address::OwnedRule& rule) {
  return "rule of priority " + std::to_string(rule.rule.priority);
}

}  // namespace

OwnedRouting routing_of(const VrrpInstance& instance) {
  OwnedRouting owned;
  for (const VirtualRoute& route : instance.routes) owned.routes.push_back(owned_of(route));
  for (const VirtualRule& rule : instance.rules) owned.rules.push_back(owned_of(rule));
  return owned;
}

void take_routing(address::Routing& routing, const OwnedRouting& owned, Take which,
                  const Complain& complain) {
  const auto take = [&](const auto& each) {
    if (which == Take::kTracked && !each.tracked) return;
    const auto taken = routing.take(each);
    if (!taken.has_value()) {
      complain("cannot set the " + name_of(each) + ": " + taken.error().message());
    }
  };
  for (const address::OwnedRoute& route : owned.routes) take(route);
  for (const address::OwnedRule& rule : owned.rules) take(rule);
}

void drop_routing(address::Routing& routing, const OwnedRouting& owned, const Complain& complain) {
  const auto drop = [&](const auto& each) {
    const auto dropped = routing.drop(each);
    if (!dropped.has_value()) {
      complain("cannot remove the " + name_of(each) + ": " + dropped.error().message());
    }
  };
  for (const address::OwnedRule& rule : owned.rules) drop(rule);
  for (const address::OwnedRoute& route : owned.routes) drop(route);
}

std::vector<address::OwnedAddress> owned_by(const VrrpInstance& instance) {
  std::vector<address::OwnedAddress> owned;
  for (const auto* list : {&instance.addresses, &instance.excluded_addresses}) {
    for (const VirtualAddress& address : *list) owned.push_back(owned_of(address));
  }
  return owned;
}

}  // namespace nines::vrrp

// Interfaces are looked up by name each time: they may have been deleted and made again.
#include "address/routing.h"

#include <cerrno>
#include <utility>

#include <net/if.h>

namespace nines::address {

namespace {

Result<io::Route> as_kernel_wants(const OwnedRoute& owned) {
  io::Route route = owned.route;
  if (owned.device.empty()) return route;
  const unsigned index = ::if_nametoindex(owned.device.c_str());
  if (index == 0) return Error(ErrorCode::kNotFound, "there is no interface " + owned.device);
  route.link = static_cast<int>(index);
  return route;
}

// What was wanted is so already.
Result<void> unless(ErrorCode code, Result<void> result) {
  if (!result.has_value() && result.error().code() == code) return {};
  return result;
}

}  // namespace

Result<Routing> Routing::open() { return Routing(TRY(io::Netlink::open())); }

Result<void> Routing::take(const OwnedRoute& route) {
  return unless(ErrorCode::kExists, netlink_.add_route(TRY(as_kernel_wants(route))));
}

Result<void> Routing::take(const OwnedRule& rule) {
  return unless(ErrorCode::kExists, netlink_.add_rule(rule.rule));
}

Result<void> Routing::drop(const OwnedRoute& route) {
  const auto kernel = as_kernel_wants(route);
  if (!kernel.has_value()) return {};  // the kernel removed it with its interface
  return unless(ErrorCode::kNotFound, netlink_.delete_route(*kernel));
}

Result<void> Routing::drop(const OwnedRule& rule) {
  return unless(ErrorCode::kNotFound, netlink_.delete_rule(rule.rule));
}

bool may_be(const OwnedRoute& route, const io::Route& removed) {
  const io::Route& ours = route.route;
  return ours.destination.with_port(0) == removed.destination &&
         ours.prefix_length == removed.prefix_length && ours.table == removed.table &&
         ours.type == removed.type && (ours.metric == 0 || ours.metric == removed.metric);
}

}  // namespace nines::address

// Routes and rules that go with addresses: put into this host's tables by whoever holds the
// addresses, taken out when they are lost. Nobody else on the network sees them.
#pragma once

#include <string>

#include "base/result.h"
#include "io/linux/netlink.h"

namespace nines::address {

struct OwnedRoute {
  io::Route route;      // without its link
  std::string device;   // empty: the kernel finds it by the gateway
  bool tracked = true;  // taken away by others, it is put back

  friend bool operator==(const OwnedRoute&, const OwnedRoute&) = default;
};

struct OwnedRule {
  io::RoutingRule rule;
  bool tracked = true;

  friend bool operator==(const OwnedRule&, const OwnedRule&) = default;
};

// Belongs to the network namespace of the thread that opened it; one system call after another, as
// InterfaceAddresses. Not thread-safe.
class Routing {
 public:
  static Result<Routing> open();

  // One that is there already is taken.
  Result<void> take(const OwnedRoute& route);
  Result<void> take(const OwnedRule& rule);
  // One that is not there, or whose interface is not, is dropped already.
  Result<void> drop(const OwnedRoute& route);
  Result<void> drop(const OwnedRule& rule);

 private:
  explicit Routing(io::Netlink netlink) : netlink_(std::move(netlink)) {}
  io::Netlink netlink_;
};

// Whether what was removed may have been this route. The kernel gives IPv6 routes a metric of its
// own choice, so that the metric counts only when the route has one.
bool may_be(const OwnedRoute& route, const io::Route& removed);

}  // namespace nines::address

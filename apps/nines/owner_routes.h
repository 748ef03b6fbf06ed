// The routes and rules of instances that are held by lease: with the addresses, and back when
// others take them away.
#pragma once

#include <map>
#include <string>

#include "address/routing.h"
#include "base/time.h"
#include "io/linux/netlink.h"
#include "io/loop.h"
#include "io/ports.h"
#include "vrrp/owned.h"
#include "vrrp/vrrp_config.h"

namespace nines {

// Loop and log outlive it. Destroyed, it leaves the tables as they are: who held lets go first.
class OwnerRoutes {
 public:
  OwnerRoutes(address::Routing routing, io::Loop& loop, io::Log& log)
      : routing_(std::move(routing)), loop_(loop), log_(log) {}

  // What an earlier process left is removed. `monitor` hears of routing from now on if it has to.
  Result<void> prepare(const vrrp::Config& config, io::NetworkMonitor& monitor);
  // The addresses of the instance are there; or gone.
  void set_held(const vrrp::VrrpInstance& instance, bool held);
  // Whether routes that are held may have gone with that, or can be had now.
  bool disturbed_by(const io::NetworkEvent& event) const;
  void restore();

 private:
  void complain(const std::string& about);

  address::Routing routing_;
  io::Loop& loop_;
  io::Log& log_;
  std::map<std::string, vrrp::OwnedRouting> held_;  // by the instance's name
  Instant complained_at_{};
};

}  // namespace nines

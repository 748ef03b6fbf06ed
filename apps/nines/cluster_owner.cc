// What keepalived.conf may say when its addresses are held by lease.
#include "cluster_owner.h"

#include <string>
#include <utility>

#include "lease_owner.h"
#include "vrrp/vrrp_service.h"

namespace nines {

Result<void> check_for_leases(const vrrp::Config& config) {
  TRY(vrrp::check_against_host(config));
  const auto refuse = [](const vrrp::Place& place, const std::string& what) {
    return Error(ErrorCode::kUnsupported,
                 place.file + ":" + std::to_string(place.line) + ": " + what);
  };
  if (!config.sync_groups.empty()) {
    return refuse(
        config.sync_groups.front().place,
        "vrrp_sync_group: each instance has a lease of its own; put addresses that belong "
        "together into one instance");
  }
  for (const vrrp::VrrpInstance& instance : config.instances) {
    if (!instance.unicast_peers.empty()) {
      return refuse(instance.place,
                    "unicast_peer: a cluster knows its nodes from nines.yaml; leave it out");
    }
    for (const vrrp::Track& track : instance.track_scripts) {
      if (track.weight != 0) {
        return refuse(track.place,
                      "a weight has no meaning where no priorities compete: use weight 0");
      }
    }
    for (const vrrp::Track& track : instance.track_interfaces) {
      if (track.weight != 0) {
        return refuse(track.place,
                      "a weight has no meaning where no priorities compete: use weight 0");
      }
    }
  }
  return {};
}

vrrp::MakeOwner make_lease_owner(std::function<node::ClusterConfig()> current,
                                 std::function<Result<node::ClusterConfig>()> load) {
  return [current = std::move(current), load = std::move(load)](const vrrp::Config& config,
                                                                io::EpollLoop& loop, io::Log& log) {
    return LeaseOwner::create(current(), load, config, loop, log);
  };
}

}  // namespace nines

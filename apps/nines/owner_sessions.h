// Sessions in the owner plane: which names this node may hold, to the driver; what it reports, to
// operators.
#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cluster/address_holder.h"
#include "cluster/cluster_view.h"
#include "cluster/session_driver.h"
#include "node/run_config.h"
#include "vrrp/vrrp_config.h"

namespace nines {

// All references outlive it.
Result<std::unique_ptr<cluster::SessionDriver>> make_session_driver(
    const node::ClusterConfig& cluster, const vrrp::Config& config, cluster::AddressHolder& holder,
    cluster::SessionPeers& peers, io::Loop& loop, cluster::SessionDriver::Clock clock,
    io::Log& log);

// For "cluster status".
nlohmann::json sessions_json(const cluster::SessionDriver& driver,
                             const std::vector<cluster::ClusterViewNode>& nodes, Instant now);
// Lines for people of that, indented by two blanks; each ends with a line feed.
std::string render_sessions(const nlohmann::json& report);

}  // namespace nines

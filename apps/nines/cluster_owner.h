// Owning by lease: the owner plane of a host whose nines.yaml names a cluster. In place of an
// election a majority grants the addresses of keepalived.conf, and the kernel enforces it.
#pragma once

#include <functional>

#include "node/run_config.h"
#include "vrrp/owner_service.h"

namespace nines {

// kUnsupported for what only an election has a meaning for.
Result<void> check_for_leases(const vrrp::Config& config);
// `current` gives the cluster's section as it is at work, for each owner that is made; `load` reads
// it again, in the owner's process.
vrrp::MakeOwner make_lease_owner(std::function<node::ClusterConfig()> current,
                                 std::function<Result<node::ClusterConfig>()> load);

}  // namespace nines

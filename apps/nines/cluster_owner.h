// Owning by lease: the owner plane of a host whose nines.yaml names a cluster. In place of an
// election a majority grants the addresses of keepalived.conf, and the kernel enforces it.
#pragma once

#include "node/run_config.h"
#include "vrrp/owner_service.h"

namespace nines {

// kUnsupported for what only an election has a meaning for.
Result<void> check_for_leases(const vrrp::Config& config);
// `cluster` is copied into what is made.
vrrp::MakeOwner make_lease_owner(node::ClusterConfig cluster);

}  // namespace nines

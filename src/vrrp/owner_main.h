// The owner plane's process: the addresses and the right to them, with the rights that these need
// and no others. Hears whether the proxy serves from its supervisor; tells what it is and holds.
#pragma once

#include <functional>

#include "base/result.h"
#include "vrrp/owner_service.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

struct OwnerMainOptions {
  Config config;
  MakeOwner make;  // how the right to own is come by
  // Reads the configuration again; an error changes nothing.
  std::function<Result<Config>()> reload;
  bool proxy_fit = true;
  Predecessor predecessor;  // this supervisor's owner before
};

// In the plane, over node::kPlaneChannel; returns the exit status. It ends when it is told to
// release, or its supervisor is gone: addresses handed over either way.
int run_owner_main(const OwnerMainOptions& options);

}  // namespace nines::vrrp

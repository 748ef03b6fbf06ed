// A service whose packets vanish on their way in, those of connections that stand too: what a
// firewall's mistake, a full connection table or a host that is nearly dead looks like to others.
#pragma once

#include <string_view>

#include "base/result.h"
#include "lab/lab_control.h"

namespace nines::lab {

// In the host's own packet filter, by Debian's `nft`; the port is that of the stand-in with that
// name. `address`: the host's own, IPv4; what comes for the balancer behind the virtual address,
// which listens on the same ports, is not touched. kInvalid: no such service. Blocks until it is
// so.
Result<void> swallow_packets(const LabControl& lab, const NamespaceNumbers& host,
                             std::string_view address, std::string_view service, bool on);
// Whatever is swallowed there is delivered again.
Result<void> deliver_all_packets(const LabControl& lab, const NamespaceNumbers& host);

}  // namespace nines::lab

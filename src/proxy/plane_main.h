// The main thread of the proxy plane's process: takes listening sockets and configurations from its
// supervisor, gives up its rights before it looks at the first byte of the network.
#pragma once

#include <memory>

#include "io/linux/epoll_loop.h"
#include "io/log.h"
#include "proxy/master_options.h"

namespace nines::proxy {

// In the plane, over node::kPlaneChannel; returns the exit status when it was told to end, or its
// supervisor is gone. `daemon`: the standard streams are let go of once it serves.
int run_plane_main(const MasterOptions& options, bool daemon);

// To stderr, or the journal when stderr is one. The loop outlives it.
std::unique_ptr<io::Logger> make_log(io::EpollLoop& loop, bool quiet);

}  // namespace nines::proxy

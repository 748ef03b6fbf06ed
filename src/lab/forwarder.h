// The lab's front door on the machine: loopback ports whose listening sockets belong to the machine
// and whose other side is opened inside the lab, from the client host.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "io/linux/descriptor.h"
#include "lab/lab_child.h"

namespace nines::lab {

struct Forward {
  std::string name;  // "statistics", or a proxy of the configuration
  SocketAddress local;
  SocketAddress target;
  io::Descriptor listener;
};

// Listens on loopback in the calling process's network namespace, on 20000 + the target's port
// (65535 at most) or, where that is taken, on any free port.
Result<Forward> open_forward(std::string name, const SocketAddress& target);

// Relays for ever, connecting from the network namespace the calling process is in.
int run_forwarder(const std::vector<Forward>& forwards, ReadySignal ready);

}  // namespace nines::lab

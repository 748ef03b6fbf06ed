// The process table of a lab's hosts, read from /proc: who belongs to a host is told by the network
// namespace it is in.
#pragma once

#include <vector>

#include <sys/types.h>

#include "base/socket_address.h"
#include "base/time.h"
#include "io/linux/descriptor.h"
#include "lab/engine_plan.h"

namespace nines::lab {

// A look at all processes that /proc shows. The dead that wait for their parent belong to no host.
class ProcessTable {
 public:
  static ProcessTable read();
  // Those in that network namespace.
  std::vector<HostProcess> of(const io::Descriptor& network) const;

 private:
  struct Entry {
    HostProcess process;
    ino_t network = 0;
  };
  std::vector<Entry> entries_;
};

// Waits until a process that was sent SIGKILL is dead, its sockets with it, for `patience` at most.
// That is the kernel's work of milliseconds.
void await_death(int process, Duration patience);

// Whether TCP sockets listen at all of these addresses in the network namespace of that process.
bool listens_at(int process, const std::vector<SocketAddress>& addresses);

}  // namespace nines::lab

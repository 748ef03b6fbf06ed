// Waits until a balancer answers: every address accepts, and those that speak first or serve a page
// say something. Run in a process of its own in the client host, so that what is proven is the way
// that clients go.
#pragma once

#include <vector>

#include "base/socket_address.h"
#include "lab/lab_child.h"

namespace nines::lab {

struct ProbeTarget {
  SocketAddress address;
  bool expects_bytes = false;    // of HTTP after a request, of MySQL at once
  std::string request = {};      // empty: the root page
  std::string_view answer = {};  // what the answer begins with; empty: anything
};

// Speaks up once all have answered; answers 1 after `its deadline` otherwise.
int run_balancer_probe(const std::vector<ProbeTarget>& targets, ReadySignal ready);

}  // namespace nines::lab

// What the processes that we take over from leave us.
#pragma once

#include <vector>

#include "proxy/plane.h"

namespace nines::proxy {

// The listening TCP sockets of the processes that we take over from ("-sf"), by listener_key(), as
// far as the kernel lets us have them (ptrace(2), access mode checks). With the very sockets no
// connection is lost: a socket of our own beside theirs (SO_REUSEPORT) would leave those in their
// queue to be reset when they close it. Only from a program like ours: another may have registered
// its sockets where they would go on waking it.
ListenerSockets listeners_of(const std::vector<int>& pids);

}  // namespace nines::proxy

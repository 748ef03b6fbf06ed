// What every controller answers at the virtual address itself, whatever its balancer does: a
// datagram comes back with the host's name behind it. So a client can tell who has the address, and
// how long nobody had it.
#pragma once

#include <string>

#include "base/socket_address.h"
#include "lab/lab_child.h"

namespace nines::lab {

inline constexpr std::size_t kEchoBytesMax = 64;  // of a question; longer ones are not answered

// Answers for ever at `at`, which the host need not have yet.
int run_echo(const SocketAddress& at, const std::string& node, ReadySignal ready);

}  // namespace nines::lab

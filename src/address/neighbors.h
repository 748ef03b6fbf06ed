// Those whom the kernel asks where they are and has not heard yet. It asks again after a second: a
// host that has just taken an address and knows none of its clients is silent for as long to each
// whose first answer was lost.
#pragma once

#include <vector>

#include "base/result.h"
#include "base/socket_address.h"

namespace nines::address {

// On the interface of that index, of that family; at most `most`. Of the network namespace of the
// calling thread. One dump of the kernel's table; nothing waits.
Result<std::vector<SocketAddress>> unheard_neighbors(int link, SocketAddress::Family family,
                                                     std::size_t most);

}  // namespace nines::address

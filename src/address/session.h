// One TCP session as both ends name it.
#pragma once

#include "base/socket_address.h"

namespace nines::address {

struct Session {
  SocketAddress local, peer;  // with ports
  friend bool operator==(const Session&, const Session&) = default;
  friend auto operator<=>(const Session&, const Session&) = default;
};

}  // namespace nines::address

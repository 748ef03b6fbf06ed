// What the servers of a controller get of the balancer's work, as one plane tells the other by way
// of the supervisor: a line of text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"

namespace nines::node {

struct HostShare {
  enum class Kind : std::uint8_t {
    kAll,     // as configured
    kNone,    // the host is not heard: nothing new while another server of their class can take it
    kGone,    // the host is dead: nothing while any other server can take it, backups too
    kSlowly,  // it is back: more from second to second
  };
  Kind kind = Kind::kAll;
  std::vector<SocketAddress> addresses;  // of the host; without ports
  friend bool operator==(const HostShare&, const HostShare&) = default;
};

inline constexpr std::size_t kShareAddressesMax = 16;

std::string_view name_of(HostShare::Kind kind);  // "all", "none", "gone", "slowly"
// "gone 192.0.2.43 2001:db8::43"
std::string encode(const HostShare& share);
Result<HostShare> parse_host_share(std::string_view text);

}  // namespace nines::node

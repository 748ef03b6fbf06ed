// What tells a network segment where an address lives now: a gratuitous ARP (RFC 5227, section 3;
// RFC 826) or an unsolicited neighbour advertisement (RFC 4861, section 7.2.6), as whole Ethernet
// frames. Pure: bytes only.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/socket_address.h"

namespace nines::address {

using HardwareAddress = std::array<std::uint8_t, 6>;

// `address`: IPv4 or IPv6; `hardware`: the interface's own. To everybody on the segment.
std::string announcement_frame(const SocketAddress& address, const HardwareAddress& hardware);

}  // namespace nines::address

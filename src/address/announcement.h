// What tells a network segment where an address lives now: a gratuitous ARP (RFC 5227, section 3;
// RFC 826) or an unsolicited neighbour advertisement (RFC 4861, section 7.2.6), as whole Ethernet
// frames; and what asks a segment where a neighbour is. Pure: bytes only.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/socket_address.h"

namespace nines::address {

using HardwareAddress = std::array<std::uint8_t, 6>;

// Whether the host forwards packets of others. One that is a router and does not say so in a
// neighbour advertisement loses the default routes that lead to it (RFC 4861, section 7.2.5).
enum class Sender : std::uint8_t { kHost, kRouter };

// `address`: IPv4 or IPv6; `hardware`: the interface's own. To everybody on the segment.
std::string announcement_frame(const SocketAddress& address, const HardwareAddress& hardware,
                               Sender sender = Sender::kHost);

// Asks everybody where `neighbor` is, in the name of `address` (RFC 826; RFC 4861, section 7.2.2):
// the question that the kernel asks, and for IPv4 an announcement of `address` as well. Both of one
// family.
std::string question_frame(const SocketAddress& address, const HardwareAddress& hardware,
                           const SocketAddress& neighbor);

}  // namespace nines::address

// IP addresses as programs in the kernel have them, four words. Pure.
#pragma once

#include <array>
#include <cstdint>

#include "base/socket_address.h"

namespace nines::address::bpf {

// In network order; IPv4 as IPv6's ::ffff:192.0.2.1, which is how a socket of both families has it.
using Address = std::array<std::uint32_t, 4>;
inline constexpr std::uint32_t kMappedWord = 0xffff;  // of ::ffff:0:0/96, the third, to be turned
Address words_of(const SocketAddress& address);
// IPv4 again where it is one.
SocketAddress address_of(const Address& words, std::uint16_t port);

}  // namespace nines::address::bpf

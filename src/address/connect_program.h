// What the kernel runs when a program on this host connects by TCP, as BPF instructions: a
// destination that stands in a map, and whose time is not over, is replaced by one of those which
// the map gives for it. Pure; stand_ins.h loads and attaches it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <linux/bpf.h>

#include "address/bpf_address.h"

namespace nines::address {

// Of one destination, to choose among by chance.
inline constexpr std::size_t kStandInChoices = 8;

// As they lie in the map.
struct ConnectDestination {
  bpf::Address address{};
  std::uint32_t port = 0;  // the low 16 bits are the port in network order
  friend auto operator<=>(const ConnectDestination&, const ConnectDestination&) = default;
};
struct ConnectChoices {
  std::uint64_t until = 0;  // ns of CLOCK_BOOTTIME
  std::uint32_t count = 0;  // 1 to kStandInChoices
  std::uint32_t unused = 0;
  std::array<bpf::Address, kStandInChoices> addresses{};
};
static_assert(sizeof(ConnectDestination) == 20 && sizeof(ConnectChoices) == 144);

// For BPF_CGROUP_INET4_CONNECT, or INET6. `network`: the cookie of the only network namespace whose
// sockets are looked at (SO_NETNS_COOKIE). `map`: its descriptor.
std::vector<bpf_insn> connect_program(bool ipv6, std::uint64_t network, int map);

}  // namespace nines::address

// What the kernel runs when a TCP session is accepted or changes its state, as BPF instructions: it
// keeps a map of those on watched addresses whose peer may still wait for something from here.
// Pure; session_watch.h loads and attaches it.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include <linux/bpf.h>

#include "address/bpf_address.h"

namespace nines::address {

// As it lies in the map.
struct WatchedSession {
  bpf::Address local{}, peer{};
  std::uint32_t local_port = 0;
  std::uint32_t peer_port = 0;  // in network order, of 32 bits
  friend auto operator<=>(const WatchedSession&, const WatchedSession&) = default;
};
static_assert(sizeof(WatchedSession) == 40);

struct SessionMaps {   // their descriptors
  int addresses = -1;  // bpf::Address -> one byte of no meaning: those watched
  int sessions = -1;   // WatchedSession -> one byte of no meaning
  int accepted = -1;   // 0 -> 64 bits: how many were accepted on them
};

// For BPF_CGROUP_SOCK_OPS. `network`: the cookie of the only network namespace that is looked at.
std::vector<bpf_insn> session_program(std::uint64_t network, const SessionMaps& maps);

}  // namespace nines::address

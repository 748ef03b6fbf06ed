// Heartbeats to bytes and back, beside the lease messages: the same version in front, and a kind
// that none of them has. They travel sealed, and are read as hostile all the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cluster/membership.h"
#include "cluster/wire_walk.h"

namespace nines::cluster {

inline constexpr std::uint8_t kHeartbeatKind = 64;  // lease messages have kinds below
inline constexpr std::size_t kHeartbeatSize = 72;   // bytes, always

std::string encode_heartbeat(const Heartbeat& heartbeat);

// With kNone `heartbeat` is set, otherwise unspecified. kKind: it may be a lease message.
WireFault parse_heartbeat(std::string_view bytes, Heartbeat& heartbeat);

}  // namespace nines::cluster

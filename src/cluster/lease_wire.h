// Lease messages to bytes and back: big-endian, a version, a kind, and for each message exactly one
// way to write it. They travel sealed, and are read as hostile all the same.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cluster/lease_message.h"
#include "cluster/wire_walk.h"

namespace nines::cluster {

inline constexpr std::size_t kLeaseMessageMax = 1160;  // bytes, with kNamesMax names all outbid

// Times are carried in microseconds, rounded up. Appends nothing else; at most kLeaseMessageMax.
std::string encode_lease_message(const Message& message);

// With kNone `message` is set, otherwise unspecified.
WireFault parse_lease_message(std::string_view bytes, Message& message);

}  // namespace nines::cluster

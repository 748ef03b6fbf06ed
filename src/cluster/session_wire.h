// Messages about sessions to bytes and back, beside heartbeats and lease messages: the same version
// in front, and a kind that none of them has. They travel sealed, and are read as hostile all the
// same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cluster/session_message.h"
#include "cluster/wire_walk.h"

namespace nines::cluster {

inline constexpr std::uint8_t kSessionKind = 65;
inline constexpr std::size_t kSessionMessageMax = 1160;  // bytes
inline constexpr std::size_t kSessionHeadSize = 24;
inline constexpr std::size_t kSessionsInMessageMax = 255;  // of each sort

// Bytes that one takes.
constexpr std::size_t wire_size(const SessionTuple& session) { return session.ipv6 ? 37 : 13; }

// All tellable, and with the head at most kSessionMessageMax.
std::string encode_session_message(const SessionMessage& message);

// With kNone `message` is set, otherwise unspecified. kKind: it may be another's.
WireFault parse_session_message(std::string_view bytes, SessionMessage& message);

}  // namespace nines::cluster

// Tells the peers of sessions that ended after their address had gone. No reset can be sent from an
// address that a host no longer has, so a client that waits for an answer would wait for its own
// timeout. A segment that fits nowhere makes the client acknowledge what it has (RFC 9293, section
// 3.10.7.4), and that goes to whoever has the address now, who knows of no such session and resets
// it.
#pragma once

#include <span>
#include <string>

#include "address/session_killer.h"
#include "base/result.h"

namespace nines::address {

// The IPv4 packet: one byte of data with sequence numbers of `seed`'s, which lie in a session's
// window by a chance of about one in a thousand, and are then out of order and never delivered.
std::string nudge_packet(const EndedSession& session, std::uint32_t seed);

// Sends one to each peer of IPv4; what cannot be sent is dropped. kRefused without CAP_NET_RAW.
Result<void> nudge_peers(std::span<const EndedSession> sessions);

}  // namespace nines::address

// Tells the peers of sessions that ended where no reset could be sent: their address had gone from
// this host, or was another's, who died. A client that waits for an answer would wait for its own
// timeout. A segment that fits nowhere makes the client acknowledge what it has (RFC 9293, section
// 3.10.7.4), and that goes to whoever has the address now, who knows of no such session and resets
// it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "address/session.h"
#include "base/result.h"

namespace nines::address {

enum class Nudge : std::uint8_t {
  // A byte of data: each is answered, also many in a row. For sessions that this host itself has
  // ended: where the numbers fit by chance (one in a thousand) the byte waits for what comes before
  // it, which never comes.
  kInsistent,
  // Without data: nothing in it can enter a stream, so that a session which lives after all takes
  // no harm (docs/decisions/0206). Of several within half a second Linux answers the first.
  kGentle,
};

// The whole packet, IPv4 or IPv6, with sequence numbers of `seed`'s.
std::string nudge_packet(const Session& session, std::uint32_t seed, Nudge nudge);

// Sends one to each peer; what cannot be sent is dropped. kRefused without CAP_NET_RAW.
Result<void> nudge_peers(std::span<const Session> sessions, Nudge nudge);

}  // namespace nines::address

// What the holder of an address tells its peers of the sessions on it, as plain values.
// session_wire.h makes them bytes.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <vector>

#include "base/socket_address.h"
#include "cluster/lease_message.h"

namespace nines::cluster {

// A TCP session as its holder names it; small, since thousands are kept.
struct SessionTuple {
  std::array<std::uint8_t, 16> local{}, peer{};  // an IPv4 address: its 4 bytes, then zeros
  std::uint16_t local_port = 0, peer_port = 0;
  bool ipv6 = false;  // both of them

  // Both of one family of IP.
  static SessionTuple of(const SocketAddress& local, const SocketAddress& peer);
  bool is_on_address_of(const SessionTuple& other) const {
    return local == other.local && ipv6 == other.ipv6;
  }
  SocketAddress local_address() const;
  SocketAddress peer_address() const;
  friend auto operator<=>(const SessionTuple&, const SessionTuple&) = default;
};

// Whether a peer may be told of it: somewhere else than on the holder's own host there can be
// somebody who waits, and an answer finds the way to him.
bool is_tellable(const SessionTuple& session);

// On one name's addresses, by its holder. Rounds count from 1 within an epoch; in each round every
// session that stands is told once, besides what changes meanwhile.
struct SessionMessage {
  Name name = 0;
  Epoch epoch = 0;
  std::uint32_t round = 0;
  std::vector<SessionTuple> standing, ended;
  friend bool operator==(const SessionMessage&, const SessionMessage&) = default;
};

}  // namespace nines::cluster

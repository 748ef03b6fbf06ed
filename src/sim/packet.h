// What travels in the simulated network: endpoints small enough to hash, and packets that are
// pooled by the world, so that a busy run allocates nothing for each of them.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>

#include "base/socket_address.h"

namespace nines::sim {

class Host;

// An IP address and port, or one end of a Unix socket (the path's number on its host).
struct Endpoint {
  std::array<std::uint8_t, 16> ip{};
  std::uint16_t port = 0;
  SocketAddress::Family family = SocketAddress::Family::kNone;

  static Endpoint of(const SocketAddress& address);  // IP only
  SocketAddress address() const;                     // IP only
  Endpoint with_port(std::uint16_t other) const;
  bool is_wildcard() const;
  bool is_loopback() const;
  bool is_multicast() const;  // or IPv4's limited broadcast
  Endpoint wildcard() const;  // same family and port, any address
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

struct EndpointPair {
  Endpoint local, remote;
  friend bool operator==(const EndpointPair&, const EndpointPair&) = default;
};

// Only ever for look-ups: nothing in the simulation goes through a hash table in its order.
struct EndpointHash {
  std::size_t operator()(const Endpoint& endpoint) const;
  std::size_t operator()(const EndpointPair& pair) const;
};

enum class PacketKind : std::uint8_t { kSyn, kSynAck, kSegment, kReset, kDatagram };

struct Packet {
  Host* sender = nullptr;
  Host* receiver = nullptr;
  Endpoint from, to;
  PacketKind kind = PacketKind::kSegment;
  bool fin = false;
  bool probe = false;              // asks for an answer without carrying anything
  int process_id = 0;              // who sent it: credentials of Unix sockets
  std::uint32_t window = 0;        // bytes that the sender of this packet would take
  std::uint64_t connection = 0;    // tells incarnations of the same two endpoints apart
  std::uint64_t sequence = 0;      // of payload[0]; a direction's first byte is 0
  std::uint64_t acknowledged = 0;  // the next byte that is expected
  std::string payload;
};

}  // namespace nines::sim

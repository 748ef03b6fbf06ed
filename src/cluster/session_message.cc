// Which addresses can be those of a client that waits elsewhere.
#include "cluster/session_message.h"

#include <algorithm>
#include <string_view>

#include "base/check.h"

namespace nines::cluster {

namespace {

using Address = std::array<std::uint8_t, 16>;

bool starts_with(const Address& address, std::string_view bytes) {
  return std::equal(bytes.begin(), bytes.end(), address.begin(),
                    [](char a, std::uint8_t b) { return static_cast<std::uint8_t>(a) == b; });
}

// An address of one host that others can reach.
bool is_one_hosts(const Address& address, bool ipv6) {
  if (!ipv6) return address[0] != 0 && address[0] != 127 && address[0] < 224;
  constexpr std::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  constexpr std::string_view kZeros("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15);
  const bool link_local = address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
  return address[0] != 0xff && !link_local && !starts_with(address, kMapped) &&
         !(starts_with(address, kZeros) && address[15] <= 1);
}

SocketAddress socket_address(const Address& bytes, std::uint16_t port, bool ipv6) {
  if (ipv6) return SocketAddress::ipv6(bytes, port);
  return SocketAddress::ipv4({bytes[0], bytes[1], bytes[2], bytes[3]}, port);
}

}  // namespace

SessionTuple SessionTuple::of(const SocketAddress& local, const SocketAddress& peer) {
  CHECK(local.is_ip() && local.family() == peer.family());
  SessionTuple session;
  session.ipv6 = local.family() == SocketAddress::Family::kIpv6;
  session.local_port = local.port();
  session.peer_port = peer.port();
  std::copy(local.ip_bytes().begin(), local.ip_bytes().end(), session.local.begin());
  std::copy(peer.ip_bytes().begin(), peer.ip_bytes().end(), session.peer.begin());
  return session;
}

SocketAddress SessionTuple::local_address() const {
  return socket_address(local, local_port, ipv6);
}
SocketAddress SessionTuple::peer_address() const { return socket_address(peer, peer_port, ipv6); }

bool is_tellable(const SessionTuple& session) {
  return session.local_port != 0 && session.peer_port != 0 && session.local != session.peer &&
         is_one_hosts(session.local, session.ipv6) && is_one_hosts(session.peer, session.ipv6);
}

}  // namespace nines::cluster

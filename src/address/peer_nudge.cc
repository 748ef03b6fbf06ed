// A raw socket with a header of our own may send from an address that is not here.
#include "address/peer_nudge.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "base/check.h"
#include "io/linux/descriptor.h"
#include "io/linux/socket.h"

namespace nines::address {

namespace {

constexpr std::size_t kIpv4Size = 20, kIpv6Size = 40;
constexpr std::size_t kTcpSize = 20;
constexpr std::uint8_t kTimeToLive = 64;

// RFC 1071.
std::uint16_t checksum(std::string_view bytes, std::uint32_t sum) {
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const auto high = static_cast<std::uint8_t>(bytes[i]);
    const auto low = i + 1 < bytes.size() ? static_cast<std::uint8_t>(bytes[i + 1]) : 0;
    sum += static_cast<std::uint32_t>(high << 8 | low);
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void put16(std::string& out, std::size_t at, std::uint16_t value) {
  out[at] = static_cast<char>(value >> 8);
  out[at + 1] = static_cast<char>(value & 0xff);
}

void put32(std::string& out, std::size_t at, std::uint32_t value) {
  put16(out, at, static_cast<std::uint16_t>(value >> 16));
  put16(out, at + 2, static_cast<std::uint16_t>(value & 0xffff));
}

// What the checksum covers besides the segment (RFC 9293, section 3.1), summed up.
std::uint32_t pseudo_header(std::string_view local, std::string_view peer, std::size_t size) {
  std::uint32_t sum = IPPROTO_TCP + static_cast<std::uint32_t>(size);
  for (const std::string_view address : {local, peer}) {
    for (std::size_t i = 0; i < address.size(); i += 2) {
      sum += static_cast<std::uint32_t>(static_cast<std::uint8_t>(address[i]) << 8 |
                                        static_cast<std::uint8_t>(address[i + 1]));
    }
  }
  return sum;
}

// RFC 791, section 3.1.
std::string ipv4_header(std::string_view local, std::string_view peer, std::size_t rest) {
  std::string header(kIpv4Size, '\0');
  header[0] = 0x45;
  put16(header, 2, static_cast<std::uint16_t>(kIpv4Size + rest));
  header[8] = static_cast<char>(kTimeToLive);
  header[9] = IPPROTO_TCP;
  header.replace(12, 4, local);
  header.replace(16, 4, peer);
  put16(header, 10, checksum(header, 0));
  return header;
}

// RFC 8200, section 3.
std::string ipv6_header(std::string_view local, std::string_view peer, std::size_t rest) {
  std::string header(kIpv6Size, '\0');
  header[0] = 0x60;
  put16(header, 4, static_cast<std::uint16_t>(rest));
  header[6] = IPPROTO_TCP;
  header[7] = static_cast<char>(kTimeToLive);
  header.replace(8, 16, local);
  header.replace(24, 16, peer);
  return header;
}

bool is_of(const Session& session, SocketAddress::Family family) {
  return session.local.family() == family && session.peer.family() == family;
}

// The header is ours, and so is its sender's address.
Result<io::Descriptor> open_raw(int family) {
  io::Descriptor raw(::socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
  if (!raw) return Error::from_errno(errno, "a raw socket");
  return raw;
}

Result<void> nudge_family(std::span<const Session> sessions, Nudge nudge,
                          SocketAddress::Family family, int kernel_family) {
  const auto wanted = [&](const Session& session) { return is_of(session, family); };
  if (std::none_of(sessions.begin(), sessions.end(), wanted)) return {};
  const io::Descriptor raw = TRY(open_raw(kernel_family));
  for (const Session& session : sessions) {
    if (!wanted(session)) continue;
    std::uint32_t seed = 0;
    static_cast<void>(::getrandom(&seed, sizeof seed, 0) == sizeof seed);
    const std::string packet = nudge_packet(session, seed, nudge);
    // A raw socket of IPv6 takes no port.
    const auto to = TRY(io::to_kernel(session.peer.with_port(0)));
    static_cast<void>(::sendto(raw.get(), packet.data(), packet.size(), 0, to.get(), to.size));
  }
  return {};
}

}  // namespace

std::string nudge_packet(const Session& session, std::uint32_t seed, Nudge nudge) {
  const std::string_view local = session.local.ip_bytes(), peer = session.peer.ip_bytes();
  CHECK(!local.empty() && local.size() == peer.size());
  // RFC 9293, section 3.1.
  std::string segment(kTcpSize + (nudge == Nudge::kInsistent ? 1 : 0), '\0');
  put16(segment, 0, session.local.port());
  put16(segment, 2, session.peer.port());
  put32(segment, 4, seed);
  put32(segment, 8, ~seed);
  segment[12] = static_cast<char>(kTcpSize / 4 << 4);
  segment[13] = TH_ACK;
  put16(segment, 16, checksum(segment, pseudo_header(local, peer, segment.size())));
  return (local.size() == 4 ? ipv4_header(local, peer, segment.size())
                            : ipv6_header(local, peer, segment.size())) +
         segment;
}

Result<void> nudge_peers(std::span<const Session> sessions, Nudge nudge) {
  TRY(nudge_family(sessions, nudge, SocketAddress::Family::kIpv4, AF_INET));
  return nudge_family(sessions, nudge, SocketAddress::Family::kIpv6, AF_INET6);
}

}  // namespace nines::address

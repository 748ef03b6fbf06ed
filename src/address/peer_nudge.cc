// A raw socket with a header of our own may send from an address that is not here.
#include "address/peer_nudge.h"

#include <cerrno>
#include <cstdint>
#include <cstring>

#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "io/linux/descriptor.h"

namespace nines::address {

namespace {

constexpr std::size_t kIpSize = 20;
constexpr std::size_t kTcpSize = 20;
constexpr std::size_t kDataSize = 1;  // with data, the answer is not rate-limited
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

bool is_ipv4(const EndedSession& session) {
  return session.local.family() == SocketAddress::Family::kIpv4 &&
         session.peer.family() == SocketAddress::Family::kIpv4;
}

}  // namespace

std::string nudge_packet(const EndedSession& session, std::uint32_t seed) {
  std::string packet(kIpSize + kTcpSize + kDataSize, '\0');
  // RFC 791, section 3.1.
  packet[0] = 0x45;
  put16(packet, 2, static_cast<std::uint16_t>(packet.size()));
  packet[8] = static_cast<char>(kTimeToLive);
  packet[9] = IPPROTO_TCP;
  packet.replace(12, 4, session.local.ip_bytes());
  packet.replace(16, 4, session.peer.ip_bytes());
  put16(packet, 10, checksum(std::string_view(packet).substr(0, kIpSize), 0));
  // RFC 9293, section 3.1.
  put16(packet, kIpSize, session.local.port());
  put16(packet, kIpSize + 2, session.peer.port());
  put32(packet, kIpSize + 4, seed);
  put32(packet, kIpSize + 8, ~seed);
  packet[kIpSize + 12] = static_cast<char>(kTcpSize / 4 << 4);
  packet[kIpSize + 13] = TH_ACK;
  const std::string_view segment = std::string_view(packet).substr(kIpSize);
  std::uint32_t pseudo = IPPROTO_TCP + static_cast<std::uint32_t>(segment.size());
  for (std::size_t i = 12; i < kIpSize; i += 2) {
    pseudo += static_cast<std::uint32_t>(static_cast<std::uint8_t>(packet[i]) << 8 |
                                         static_cast<std::uint8_t>(packet[i + 1]));
  }
  put16(packet, kIpSize + 16, checksum(segment, pseudo));
  return packet;
}

Result<void> nudge_peers(std::span<const EndedSession> sessions) {
  const io::Descriptor raw(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW));
  if (!raw) return Error::from_errno(errno, "a raw socket");
  for (const EndedSession& session : sessions) {
    if (!is_ipv4(session)) continue;
    std::uint32_t seed = 0;
    static_cast<void>(::getrandom(&seed, sizeof seed, 0) == sizeof seed);
    const std::string packet = nudge_packet(session, seed);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    std::memcpy(&to.sin_addr, session.peer.ip_bytes().data(), sizeof to.sin_addr);
    static_cast<void>(::sendto(raw.get(), packet.data(), packet.size(), 0,
                               reinterpret_cast<const sockaddr*>(&to), sizeof to));
  }
  return {};
}

}  // namespace nines::address

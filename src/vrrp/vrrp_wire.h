// VRRP advertisements in IP packets, to bytes and back: version 2 (RFC 3768, section 5) as
// keepalived speaks it, simple text authentication included, and version 3 (RFC 5798, section 5),
// which alone goes over IPv6.
// Bytes from the network are hostile: what is not exactly an advertisement gives a typed fault.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"

namespace nines::vrrp {

inline constexpr std::uint8_t kVrrpProtocol = 112;    // IANA's number of VRRP
inline constexpr std::uint8_t kVrrpTimeToLive = 255;  // anything less has crossed a router
inline constexpr std::uint8_t kPriorityStop = 0;      // "I leave": RFC 3768, section 5.3.4
inline constexpr std::uint8_t kTypeOfService =
    192;  // internetwork control (RFC 791), the usual one
inline constexpr std::size_t kPacketSizeMax = 5120;  // bytes, header and all; see kAddressesMax
inline constexpr std::size_t kAddressesMax = 255;

enum class AuthenticationType : std::uint8_t { kNone = 0, kSimpleText = 1 };

struct Advert {
  int version = 2;  // 2 or 3
  std::uint8_t router_id = 0;
  std::uint8_t priority = 0;
  // Sent in whole seconds to 255 s (version 2) or hundredths to 40.95 s (version 3); rounded down,
  // and never to 0.
  Duration interval{};
  std::uint8_t authentication_type = 0;  // version 2 only; others than the two are kept as seen
  std::array<char, 8> authentication_data{};  // version 2 only
  std::vector<SocketAddress> addresses;       // of the packet's family; at most kAddressesMax

  friend bool operator==(const Advert&, const Advert&) = default;
};

enum class WireFault : std::uint8_t {
  kNone,
  kTooShort,    // ends before its headers or before what it announces
  kHeader,      // the packet's own: version, length
  kFragment,    // nobody fragments 32 bytes
  kProtocol,    // not VRRP
  kTimeToLive,  // or hop limit: not 255, so it was routed
  kVersion,
  kType,
  kRouterId,  // 0
  kCount,     // no address
  kLength,    // more or less than the count of addresses says
  kChecksum,
  kInterval,  // 0
};
inline constexpr int kWireFaults = 13;
std::string_view name_of(WireFault fault);

// The virtual router that a packet is for, however wrong the rest of it is; nothing when it ends
// before it says so.
std::optional<std::uint8_t> router_id_of(std::string_view bytes);

struct Packet {
  SocketAddress source;
  SocketAddress destination;
  Advert advert;
};

// `bytes`: a whole packet, IPv4 as a raw socket gives it, IPv6 with the header of ipv6_header().
// Bytes behind the length that the header tells are padding. `out` is complete only with kNone.
WireFault parse_packet(std::string_view bytes, Packet& out);

// A raw socket of IPv6 gives a message without its header, and what was in it apart.
inline constexpr std::size_t kIpv6HeaderSize = 40;
std::array<char, kIpv6HeaderSize> ipv6_header(const SocketAddress& source,
                                              const SocketAddress& destination,
                                              std::uint8_t hop_limit, std::size_t message_size);

// The message that follows the IP header; version 3's checksum covers both ends (RFC 5798,
// section 5.2.8), so `source` must be the address that the packet really leaves from.
std::string encode_message(const Advert& advert, const SocketAddress& source,
                           const SocketAddress& destination);

}  // namespace nines::vrrp

// One pass over the bytes, each field checked where it stands; lengths before anything they guard.
#include "vrrp/vrrp_wire.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace nines::vrrp {

namespace {

constexpr std::size_t kIpv4HeaderMin = 20;
constexpr std::size_t kHeaderSize = 8;
constexpr std::size_t kAuthenticationSize = 8;
constexpr std::uint8_t kTypeAdvertisement = 1;
constexpr std::size_t kChecksumOffset = 6;

std::uint8_t byte_at(std::string_view bytes, std::size_t offset) {
  return static_cast<std::uint8_t>(bytes[offset]);
}
std::uint16_t word_at(std::string_view bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(byte_at(bytes, offset) << 8 | byte_at(bytes, offset + 1));
}
SocketAddress ipv4_at(std::string_view bytes, std::size_t offset) {
  return SocketAddress::ipv4({byte_at(bytes, offset), byte_at(bytes, offset + 1),
                              byte_at(bytes, offset + 2), byte_at(bytes, offset + 3)},
                             0);
}

SocketAddress ipv6_at(std::string_view bytes, std::size_t offset) {
  std::array<std::uint8_t, 16> address{};
  std::memcpy(address.data(), bytes.data() + offset, address.size());
  return SocketAddress::ipv6(address, 0);
}

// RFC 1071, not yet complemented.
std::uint32_t sum_of(std::string_view bytes, std::uint32_t sum = 0) {
  std::size_t offset = 0;
  for (; offset + 1 < bytes.size(); offset += 2) sum += word_at(bytes, offset);
  if (offset < bytes.size()) sum += static_cast<std::uint32_t>(byte_at(bytes, offset) << 8);
  return sum;
}
std::uint16_t folded(std::uint32_t sum) {
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

// Version 2 sums its message, authentication included; version 3 a pseudo header as well.
std::uint32_t sum_of_message(int version, std::string_view message, const SocketAddress& source,
                             const SocketAddress& destination) {
  std::uint32_t sum = 0;
  if (version == 3) {
    sum = sum_of(source.ip_bytes());
    sum = sum_of(destination.ip_bytes(), sum);
    sum += kVrrpProtocol + static_cast<std::uint32_t>(message.size());
  }
  return sum_of(message, sum);
}

void append_word(std::string& out, std::uint32_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xff);
}

WireFault parse_message(std::string_view message, Packet& out) {
  if (message.size() < kHeaderSize) return WireFault::kTooShort;
  Advert& advert = out.advert;
  advert = Advert();
  advert.version = byte_at(message, 0) >> 4;
  const bool ipv6 = out.source.family() == SocketAddress::Family::kIpv6;
  if (advert.version != 3 && (advert.version != 2 || ipv6)) return WireFault::kVersion;
  if ((byte_at(message, 0) & 0x0f) != kTypeAdvertisement) return WireFault::kType;
  advert.router_id = byte_at(message, 1);
  advert.priority = byte_at(message, 2);
  if (advert.router_id == 0) return WireFault::kRouterId;
  const std::size_t count = byte_at(message, 3);
  if (count == 0) return WireFault::kCount;
  const bool authenticated = advert.version == 2;
  const std::size_t address_size = out.source.ip_bytes().size();
  const std::size_t expected =
      kHeaderSize + count * address_size + (authenticated ? kAuthenticationSize : 0);
  if (message.size() < expected) return WireFault::kTooShort;
  if (message.size() > expected) return WireFault::kLength;
  if (folded(sum_of_message(advert.version, message, out.source, out.destination)) != 0xffff) {
    return WireFault::kChecksum;
  }
  if (authenticated) {
    advert.authentication_type = byte_at(message, 4);
    advert.interval = std::chrono::seconds(byte_at(message, 5));
    std::memcpy(advert.authentication_data.data(),
                message.data() + message.size() - kAuthenticationSize, kAuthenticationSize);
  } else {
    advert.interval = std::chrono::milliseconds(10 * (word_at(message, 4) & 0x0fff));
  }
  if (advert.interval == Duration{}) return WireFault::kInterval;
  advert.addresses.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = kHeaderSize + i * address_size;
    advert.addresses.push_back(ipv6 ? ipv6_at(message, at) : ipv4_at(message, at));
  }
  return WireFault::kNone;
}

WireFault parse_ipv4(std::string_view bytes, Packet& out) {
  if (bytes.size() < kIpv4HeaderMin) return WireFault::kTooShort;
  if (byte_at(bytes, 0) >> 4 != 4) return WireFault::kHeader;
  const std::size_t header_size = std::size_t{4} * (byte_at(bytes, 0) & 0x0f);
  const std::size_t total_size = word_at(bytes, 2);
  if (header_size < kIpv4HeaderMin || total_size < header_size) return WireFault::kHeader;
  if (total_size > bytes.size()) return WireFault::kTooShort;
  if ((word_at(bytes, 6) & 0x3fff) != 0) return WireFault::kFragment;  // more follow, or an offset
  if (byte_at(bytes, 9) != kVrrpProtocol) return WireFault::kProtocol;
  if (byte_at(bytes, 8) != kVrrpTimeToLive) return WireFault::kTimeToLive;
  out.source = ipv4_at(bytes, 12);
  out.destination = ipv4_at(bytes, 16);
  return parse_message(bytes.substr(header_size, total_size - header_size), out);
}

// RFC 8200, section 3. A fragment would have another next header.
WireFault parse_ipv6(std::string_view bytes, Packet& out) {
  if (bytes.size() < kIpv6HeaderSize) return WireFault::kTooShort;
  const std::size_t message_size = word_at(bytes, 4);
  if (kIpv6HeaderSize + message_size > bytes.size()) return WireFault::kTooShort;
  if (byte_at(bytes, 6) != kVrrpProtocol) return WireFault::kProtocol;
  if (byte_at(bytes, 7) != kVrrpTimeToLive) return WireFault::kTimeToLive;
  out.source = ipv6_at(bytes, 8);
  out.destination = ipv6_at(bytes, 24);
  return parse_message(bytes.substr(kIpv6HeaderSize, message_size), out);
}

}  // namespace

std::string_view name_of(WireFault fault) {
  switch (fault) {
    case WireFault::kNone:
      return "none";
    case WireFault::kTooShort:
      return "too short";
    case WireFault::kHeader:
      return "a wrong IP header";
    case WireFault::kFragment:
      return "a fragment";
    case WireFault::kProtocol:
      return "not VRRP";
    case WireFault::kTimeToLive:
      return "TTL is not 255";
    case WireFault::kVersion:
      return "unknown version";
    case WireFault::kType:
      return "no advertisement";
    case WireFault::kRouterId:
      return "virtual router 0";
    case WireFault::kCount:
      return "no address";
    case WireFault::kLength:
      return "longer than its count of addresses";
    case WireFault::kChecksum:
      return "wrong checksum";
    case WireFault::kInterval:
      return "interval 0";
  }
  CHECK(false);
}

WireFault parse_packet(std::string_view bytes, Packet& out) {
  if (bytes.empty()) return WireFault::kTooShort;
  return byte_at(bytes, 0) >> 4 == 6 ? parse_ipv6(bytes, out) : parse_ipv4(bytes, out);
}

std::array<char, kIpv6HeaderSize> ipv6_header(const SocketAddress& source,
                                              const SocketAddress& destination,
                                              std::uint8_t hop_limit, std::size_t message_size) {
  CHECK(source.family() == SocketAddress::Family::kIpv6);
  CHECK(destination.family() == SocketAddress::Family::kIpv6);
  CHECK(message_size <= UINT16_MAX);
  std::array<char, kIpv6HeaderSize> header{};
  header[0] = 0x60;
  header[4] = static_cast<char>(message_size >> 8);
  header[5] = static_cast<char>(message_size & 0xff);
  header[6] = kVrrpProtocol;
  header[7] = static_cast<char>(hop_limit);
  std::memcpy(header.data() + 8, source.ip_bytes().data(), 16);
  std::memcpy(header.data() + 24, destination.ip_bytes().data(), 16);
  return header;
}

std::optional<std::uint8_t> router_id_of(std::string_view bytes) {
  constexpr std::size_t kRouterIdOffset = 1;
  if (bytes.empty()) return std::nullopt;
  std::size_t header_size = kIpv6HeaderSize;
  if (byte_at(bytes, 0) >> 4 != 6) {
    header_size = std::size_t{4} * (byte_at(bytes, 0) & 0x0f);
    if (byte_at(bytes, 0) >> 4 != 4 || header_size < kIpv4HeaderMin) return std::nullopt;
  }
  const std::size_t at = header_size + kRouterIdOffset;
  if (at >= bytes.size()) return std::nullopt;
  return byte_at(bytes, at);
}

std::string encode_message(const Advert& advert, const SocketAddress& source,
                           const SocketAddress& destination) {
  CHECK(advert.version == 2 || advert.version == 3);
  CHECK(advert.version == 3 || source.family() == SocketAddress::Family::kIpv4);
  CHECK(!advert.addresses.empty() && advert.addresses.size() <= kAddressesMax);
  std::string message;
  message += static_cast<char>(advert.version << 4 | kTypeAdvertisement);
  message += static_cast<char>(advert.router_id);
  message += static_cast<char>(advert.priority);
  message += static_cast<char>(advert.addresses.size());
  if (advert.version == 2) {
    message += static_cast<char>(advert.authentication_type);
    message += static_cast<char>(
        std::clamp<std::int64_t>(advert.interval / std::chrono::seconds(1), 1, 255));
  } else {
    append_word(message, static_cast<std::uint32_t>(std::clamp<std::int64_t>(
                             advert.interval / std::chrono::milliseconds(10), 1, 4095)));
  }
  append_word(message, 0);  // the checksum, below
  for (const SocketAddress& address : advert.addresses) {
    CHECK(address.family() == source.family());
    message += address.ip_bytes();
  }
  if (advert.version == 2) {
    message.append(advert.authentication_data.data(), advert.authentication_data.size());
  }
  const auto checksum = static_cast<std::uint16_t>(
      ~folded(sum_of_message(advert.version, message, source, destination)));
  message[kChecksumOffset] = static_cast<char>(checksum >> 8);
  message[kChecksumOffset + 1] = static_cast<char>(checksum & 0xff);
  return message;
}

}  // namespace nines::vrrp

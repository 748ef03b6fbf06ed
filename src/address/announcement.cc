// The frames, field by field. An announcing ARP is a request, as keepalived sends by default: some
// hosts and switches learn from requests only.
#include "address/announcement.h"

#include <string_view>
#include <utility>

#include "base/check.h"

namespace nines::address {

namespace {

using namespace std::string_view_literals;

std::string_view bytes_of(const HardwareAddress& hardware) {
  return {reinterpret_cast<const char*>(hardware.data()), hardware.size()};
}

constexpr std::string_view kEverybody = "\xff\xff\xff\xff\xff\xff"sv;
constexpr std::string_view kUnknown = "\0\0\0\0\0\0"sv;
constexpr std::string_view kAllNodes = "\xff\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\x01"sv;
// RFC 4291, section 2.7.1; the address's last three bytes follow.
constexpr std::string_view kSolicitedNodePrefix = "\xff\x02\0\0\0\0\0\0\0\0\0\x01\xff"sv;

std::string arp(const SocketAddress& address, const HardwareAddress& hardware,
                std::string_view target_hardware, const SocketAddress& target) {
  std::string frame(kEverybody);
  frame += bytes_of(hardware);
  frame += "\x08\x06"sv;                          // ARP
  frame += "\x00\x01\x08\x00\x06\x04\x00\x01"sv;  // Ethernet, IPv4, their sizes, a request
  frame += bytes_of(hardware);
  frame += address.ip_bytes();
  frame += target_hardware;
  frame += target.ip_bytes();
  return frame;
}

// RFC 4443, section 2.3, over the pseudo header of RFC 8200, section 8.1.
std::uint16_t icmp_checksum(std::string_view source, std::string_view destination,
                            std::string_view message) {
  std::uint32_t sum = 58 + static_cast<std::uint32_t>(message.size());
  for (const std::string_view part : {source, destination, message}) {
    for (std::size_t i = 0; i + 1 < part.size(); i += 2) {
      sum += static_cast<std::uint32_t>(static_cast<std::uint8_t>(part[i]) << 8 |
                                        static_cast<std::uint8_t>(part[i + 1]));
    }
  }
  while ((sum >> 16) != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

// `message`: ICMPv6 with its checksum left out; to a multicast group.
std::string neighbour_discovery(const SocketAddress& source, const HardwareAddress& hardware,
                                std::string_view group, std::string message) {
  const std::uint16_t checksum = icmp_checksum(source.ip_bytes(), group, message);
  message[2] = static_cast<char>(checksum >> 8);
  message[3] = static_cast<char>(checksum & 0xff);

  std::string frame("\x33\x33"sv);  // RFC 2464, section 7
  frame += group.substr(12);
  frame += bytes_of(hardware);
  frame += "\x86\xdd"sv;          // IPv6
  frame += "\x60\x00\x00\x00"sv;  // version
  frame += static_cast<char>(message.size() >> 8);
  frame += static_cast<char>(message.size() & 0xff);
  frame += "\x3a\xff"sv;  // ICMPv6, hop limit 255
  frame += source.ip_bytes();
  frame += group;
  frame += message;
  return frame;
}

std::string neighbour_advertisement(const SocketAddress& address, const HardwareAddress& hardware,
                                    Sender sender) {
  std::string message("\x88\x00\x00\x00\x20\x00\x00\x00"sv);  // type 136; override
  constexpr std::size_t kFlags = 4;
  if (sender == Sender::kRouter) message[kFlags] = static_cast<char>(0xa0);
  message += address.ip_bytes();
  message += "\x02\x01"sv;  // option: target's link-layer address, in units of 8 bytes
  message += bytes_of(hardware);
  return neighbour_discovery(address, hardware, kAllNodes, std::move(message));
}

std::string neighbour_solicitation(const SocketAddress& address, const HardwareAddress& hardware,
                                   const SocketAddress& neighbor) {
  std::string group(kSolicitedNodePrefix);
  group += neighbor.ip_bytes().substr(13);
  std::string message("\x87\x00\x00\x00\x00\x00\x00\x00"sv);  // type 135
  message += neighbor.ip_bytes();
  message += "\x01\x01"sv;  // option: source's link-layer address
  message += bytes_of(hardware);
  return neighbour_discovery(address, hardware, group, std::move(message));
}

}  // namespace

std::string announcement_frame(const SocketAddress& address, const HardwareAddress& hardware,
                               Sender sender) {
  CHECK(address.is_ip());
  return address.family() == SocketAddress::Family::kIpv4
             ? arp(address, hardware, kEverybody, address)
             : neighbour_advertisement(address, hardware, sender);
}

std::string question_frame(const SocketAddress& address, const HardwareAddress& hardware,
                           const SocketAddress& neighbor) {
  CHECK(address.is_ip() && address.family() == neighbor.family());
  return address.family() == SocketAddress::Family::kIpv4
             ? arp(address, hardware, kUnknown, neighbor)
             : neighbour_solicitation(address, hardware, neighbor);
}

}  // namespace nines::address

// Text forms of socket addresses, by inet_pton and inet_ntop (RFC 4291, RFC 5952 for IPv6).
#include "base/socket_address.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>

namespace nines::base {

SocketAddress SocketAddress::ipv4(std::array<std::uint8_t, 4> bytes, std::uint16_t port) {
  SocketAddress address;
  address.family_ = Family::kIpv4;
  address.port_ = port;
  std::copy(bytes.begin(), bytes.end(), address.ip_.begin());
  return address;
}

SocketAddress SocketAddress::ipv6(std::array<std::uint8_t, 16> bytes, std::uint16_t port) {
  SocketAddress address;
  address.family_ = Family::kIpv6;
  address.port_ = port;
  address.ip_ = bytes;
  return address;
}

SocketAddress SocketAddress::unix_path(std::string path) {
  SocketAddress address;
  address.family_ = Family::kUnix;
  address.path_ = std::move(path);
  return address;
}

Result<SocketAddress> SocketAddress::parse_ip(std::string_view text, std::uint16_t port) {
  std::string plain(text);
  if (plain.size() >= 2 && plain.front() == '[' && plain.back() == ']') {
    plain = plain.substr(1, plain.size() - 2);
  }
  in_addr v4{};
  if (inet_pton(AF_INET, plain.c_str(), &v4) == 1) {
    std::array<std::uint8_t, 4> bytes;
    std::memcpy(bytes.data(), &v4, 4);
    return ipv4(bytes, port);
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, plain.c_str(), &v6) == 1) {
    std::array<std::uint8_t, 16> bytes;
    std::memcpy(bytes.data(), &v6, 16);
    return ipv6(bytes, port);
  }
  return Error(ErrorCode::kInvalid, "'" + std::string(text) + "' is not an IPv4 or IPv6 address");
}

Result<SocketAddress> SocketAddress::parse(std::string_view text) {
  if (!text.empty() && text.front() == '/') return unix_path(std::string(text));
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    return Error(ErrorCode::kInvalid, "'" + std::string(text) + "' has no port");
  }
  unsigned port = 0;
  const auto digits = text.substr(colon + 1);
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (status != std::errc() || end != digits.data() + digits.size() || port > 65535) {
    return Error(ErrorCode::kInvalid, "'" + std::string(digits) + "' is not a port (0 to 65535)");
  }
  return parse_ip(text.substr(0, colon), static_cast<std::uint16_t>(port));
}

SocketAddress SocketAddress::with_port(std::uint16_t port) const {
  SocketAddress address = *this;
  address.port_ = port;
  return address;
}

std::string_view SocketAddress::ip_bytes() const {
  const std::size_t size = family_ == Family::kIpv4 ? 4 : family_ == Family::kIpv6 ? 16 : 0;
  return {reinterpret_cast<const char*>(ip_.data()), size};
}

bool SocketAddress::is_wildcard() const {
  return is_ip() && std::all_of(ip_.begin(), ip_.end(), [](auto byte) { return byte == 0; });
}

std::string SocketAddress::ip_text() const {
  char text[INET6_ADDRSTRLEN] = "";
  switch (family_) {
    case Family::kNone:
      return "";
    case Family::kUnix:
      return path_;
    case Family::kIpv4:
      inet_ntop(AF_INET, ip_.data(), text, sizeof text);
      break;
    case Family::kIpv6:
      inet_ntop(AF_INET6, ip_.data(), text, sizeof text);
      break;
  }
  return text;
}

std::string SocketAddress::text() const {
  if (!is_ip()) return ip_text();
  const std::string ip = family_ == Family::kIpv6 ? "[" + ip_text() + "]" : ip_text();
  return ip + ":" + std::to_string(port_);
}

}  // namespace nines::base

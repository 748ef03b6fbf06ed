// Where to listen or connect: IPv4, IPv6 or a Unix path, as a value. Parsing and printing only;
// no name is resolved here.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace nines::base {

class SocketAddress {
 public:
  enum class Family : std::uint8_t { kNone, kIpv4, kIpv6, kUnix };

  SocketAddress() = default;
  // `bytes`: 4 or 16 in network order.
  static SocketAddress ipv4(std::array<std::uint8_t, 4> bytes, std::uint16_t port);
  static SocketAddress ipv6(std::array<std::uint8_t, 16> bytes, std::uint16_t port);
  static SocketAddress unix_path(std::string path);

  // "1.2.3.4", "::1" or "[::1]"; the port is given apart. kInvalid for anything else.
  static Result<SocketAddress> parse_ip(std::string_view text, std::uint16_t port);
  // "1.2.3.4:80", "[::1]:80", "/a/path". kInvalid for anything else.
  static Result<SocketAddress> parse(std::string_view text);

  Family family() const { return family_; }
  bool is_ip() const { return family_ == Family::kIpv4 || family_ == Family::kIpv6; }
  std::uint16_t port() const { return port_; }
  SocketAddress with_port(std::uint16_t port) const;
  // 4, 16 or no bytes, in network order.
  std::string_view ip_bytes() const;
  const std::string& path() const { return path_; }
  bool is_wildcard() const;

  std::string ip_text() const;  // "1.2.3.4", "::1", or the path
  std::string text() const;     // "1.2.3.4:80", "[::1]:80", or the path

  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;
  friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;

 private:
  Family family_ = Family::kNone;
  std::uint16_t port_ = 0;
  std::array<std::uint8_t, 16> ip_{};
  std::string path_;
};

}  // namespace nines::base

namespace nines {
using base::SocketAddress;
}

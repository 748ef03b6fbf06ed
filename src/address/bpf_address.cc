// An IPv4 address keeps its place at the end.
#include "address/bpf_address.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace nines::address::bpf {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Address words_of(const SocketAddress& address) {
  std::array<std::uint8_t, 16> bytes{};
  const std::string_view own = address.ip_bytes();
  if (own.size() == 4) std::copy(kMapped.begin(), kMapped.end(), bytes.begin());
  std::copy(own.begin(), own.end(), bytes.end() - static_cast<std::ptrdiff_t>(own.size()));
  Address words{};
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

SocketAddress address_of(const Address& words, std::uint16_t port) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), words.data(), bytes.size());
  if (std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) {
    return SocketAddress::ipv4({bytes[12], bytes[13], bytes[14], bytes[15]}, port);
  }
  return SocketAddress::ipv6(bytes, port);
}

}  // namespace nines::address::bpf

// Endpoints: conversion, kinds of addresses (RFC 1122, RFC 4291), hashing.
#include "sim/packet.h"

#include <algorithm>

namespace nines::sim {

using Family = SocketAddress::Family;

Endpoint Endpoint::of(const SocketAddress& address) {
  Endpoint endpoint;
  endpoint.family = address.family();
  endpoint.port = address.port();
  const auto bytes = address.ip_bytes();
  std::copy(bytes.begin(), bytes.end(), endpoint.ip.begin());
  return endpoint;
}

SocketAddress Endpoint::address() const {
  if (family == Family::kIpv4) {
    return SocketAddress::ipv4({ip[0], ip[1], ip[2], ip[3]}, port);
  }
  if (family == Family::kIpv6) return SocketAddress::ipv6(ip, port);
  return {};
}

Endpoint Endpoint::with_port(std::uint16_t other) const {
  Endpoint result = *this;
  result.port = other;
  return result;
}

bool Endpoint::is_wildcard() const {
  return family != Family::kUnix &&
         std::all_of(ip.begin(), ip.end(), [](auto byte) { return byte == 0; });
}

bool Endpoint::is_loopback() const {
  if (family == Family::kIpv4) return ip[0] == 127;
  if (family != Family::kIpv6) return family == Family::kUnix;
  return ip[15] == 1 && std::all_of(ip.begin(), ip.end() - 1, [](auto byte) { return byte == 0; });
}

bool Endpoint::is_multicast() const {
  if (family == Family::kIpv4) {
    return (ip[0] >= 224 && ip[0] <= 239) ||
           std::all_of(ip.begin(), ip.begin() + 4, [](auto byte) { return byte == 255; });
  }
  return family == Family::kIpv6 && ip[0] == 0xff;
}

Endpoint Endpoint::wildcard() const {
  Endpoint result;
  result.family = family;
  result.port = port;
  return result;
}

std::size_t EndpointHash::operator()(const Endpoint& endpoint) const {
  std::uint64_t high = 0, low = 0;
  std::memcpy(&high, endpoint.ip.data(), 8);
  std::memcpy(&low, endpoint.ip.data() + 8, 8);
  std::uint64_t mixed = high * 0x9e3779b97f4a7c15ull + low + endpoint.port;
  mixed = (mixed ^ (mixed >> 29)) * 0xbf58476d1ce4e5b9ull;
  return static_cast<std::size_t>(mixed ^ (mixed >> 32));
}

std::size_t EndpointHash::operator()(const EndpointPair& pair) const {
  return (*this)(pair.local) * 31 + (*this)(pair.remote);
}

}  // namespace nines::sim

// Fixed places in sealed datagrams: little-endian integers, and lives. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cluster/seal.h"

namespace nines::cluster::sealed {

// The lowest `size` bytes of `value`; 1 to 8.
inline void append(std::string& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(value >> 8 * i & 0xff);
}

inline std::string_view view_of(const Incarnation& life) {
  return {reinterpret_cast<const char*>(life.data()), life.size()};
}
inline void append(std::string& out, const Incarnation& life) { out += view_of(life); }

// `bytes` reaches to `at + size`: whoever asks has looked at its length.
inline std::uint64_t integer_at(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) {
    value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  }
  return value;
}
inline Incarnation incarnation_at(std::string_view bytes, std::size_t at) {
  Incarnation life;
  for (std::size_t i = 0; i < life.size(); ++i) {
    life[i] = static_cast<std::uint8_t>(bytes[at + i]);
  }
  return life;
}

}  // namespace nines::cluster::sealed

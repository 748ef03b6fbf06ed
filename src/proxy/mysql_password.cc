// SHA-1 over a padded copy: what is hashed here is shorter than a page.
#include "proxy/mysql_password.h"

#include <bit>

#include "base/check.h"

namespace nines::proxy::mysql {
namespace {

std::string_view as_text(const Sha1& hash) {
  return {reinterpret_cast<const char*>(hash.data()), hash.size()};
}

std::uint32_t big_endian(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  }
  return value;
}

void add_block(std::array<std::uint32_t, 5>& state, std::string_view block) {
  std::array<std::uint32_t, 80> schedule;
  for (std::size_t i = 0; i < 16; ++i) schedule[i] = big_endian(block, 4 * i);
  for (std::size_t i = 16; i < 80; ++i) {
    schedule[i] =
        std::rotl(schedule[i - 3] ^ schedule[i - 8] ^ schedule[i - 14] ^ schedule[i - 16], 1);
  }
  auto [a, b, c, d, e] = state;
  for (std::size_t i = 0; i < 80; ++i) {
    std::uint32_t mixed, constant;
    if (i < 20) {
      mixed = (b & c) | (~b & d);
      constant = 0x5a827999;
    } else if (i < 40) {
      mixed = b ^ c ^ d;
      constant = 0x6ed9eba1;
    } else if (i < 60) {
      mixed = (b & c) | (b & d) | (c & d);
      constant = 0x8f1bbcdc;
    } else {
      mixed = b ^ c ^ d;
      constant = 0xca62c1d6;
    }
    const std::uint32_t next = std::rotl(a, 5) + mixed + e + constant + schedule[i];
    e = d;
    d = c;
    c = std::rotl(b, 30);
    b = a;
    a = next;
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d, state[4] + e};
}

}  // namespace

Sha1 sha1(std::string_view bytes) {
  constexpr std::size_t kBlock = 64;
  std::string padded(bytes);
  padded += '\x80';
  while (padded.size() % kBlock != kBlock - 8) padded += '\0';
  const std::uint64_t bits = std::uint64_t{bytes.size()} * 8;
  for (int shift = 56; shift >= 0; shift -= 8) padded += static_cast<char>(bits >> shift & 0xff);
  std::array<std::uint32_t, 5> state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
  for (std::size_t at = 0; at < padded.size(); at += kBlock) {
    add_block(state, std::string_view(padded).substr(at, kBlock));
  }
  Sha1 hash;
  for (std::size_t i = 0; i < hash.size(); ++i) {
    hash[i] = static_cast<std::uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)) & 0xff);
  }
  return hash;
}

std::string native_password_answer(std::string_view password, std::string_view challenge) {
  CHECK(challenge.size() == kChallengeSize);
  const Sha1 once = sha1(password);
  const Sha1 twice = sha1(as_text(once));
  const Sha1 mask = sha1(std::string(challenge) + std::string(as_text(twice)));
  std::string answer;
  for (std::size_t i = 0; i < once.size(); ++i) answer += static_cast<char>(once[i] ^ mask[i]);
  return answer;
}

}  // namespace nines::proxy::mysql

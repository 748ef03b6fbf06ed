// Decoded into a buffer of our own and compared without leaving early.
#include "http/auth.h"

#include <array>
#include <cstdint>

#include "http/syntax.h"

namespace nines::http {
namespace {

constexpr std::array<std::int8_t, 256> digit_table() {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  std::int8_t value = 0;
  for (char c :
       std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")) {
    table[static_cast<unsigned char>(c)] = value++;
  }
  return table;
}
constexpr std::array<std::int8_t, 256> kDigits = digit_table();

bool equal_in_constant_time(std::string_view given, std::string_view expected) {
  // Walks what was given, whatever is expected: the expected length shows no more than the rest.
  std::size_t differ = given.size() ^ expected.size();
  for (std::size_t i = 0; i < given.size(); ++i) {
    const char other = i < expected.size() ? expected[i] : '\0';
    differ |= static_cast<unsigned char>(given[i] ^ other);
  }
  return differ == 0;
}

}  // namespace

std::optional<std::size_t> decode_base64(std::string_view text, std::span<char> out) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && text.ends_with('=')) {
    text.remove_suffix(1);
    ++padding;
  }
  if (text.size() * 6 / 8 > out.size()) return std::nullopt;
  std::size_t size = 0;
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const int digit = kDigits[static_cast<unsigned char>(c)];
    if (digit < 0) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(digit);
    held += 6;
    if (held >= 8) {
      held -= 8;
      out[size++] = static_cast<char>(bits >> held & 0xff);
    }
  }
  if ((bits & ((1u << held) - 1)) != 0) return std::nullopt;
  return size;
}

bool basic_credentials_match(std::string_view authorization_value,
                             std::span<const std::string> expected) {
  constexpr std::string_view kScheme = "basic ";
  if (!equal_ignoring_case(authorization_value.substr(0, kScheme.size()), kScheme)) return false;
  std::array<char, kCredentialsMax> buffer;
  const std::optional<std::size_t> size =
      decode_base64(trim(authorization_value.substr(kScheme.size())), buffer);
  if (!size) return false;
  bool match = false;
  for (const std::string& each : expected) {
    match |= equal_in_constant_time({buffer.data(), *size}, each);
  }
  return match;
}

}  // namespace nines::http

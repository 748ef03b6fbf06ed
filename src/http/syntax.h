// The alphabet of RFC 9110 5.6 and 9112: which byte may stand where, comparison without regard to
// case, and scans that look at sixteen bytes at a time where the machine can.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace nines::http {

namespace detail {
constexpr std::array<bool, 256> token_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[c] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[c] = true;
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}
inline constexpr std::array<bool, 256> kToken = token_table();

constexpr std::array<bool, 256> host_table() {
  std::array<bool, 256> table{};
  for (int c = 0x21; c < 0x7f; ++c) table[c] = true;
  for (char c : std::string_view("/?#@\\,\"<>^`{|}")) table[static_cast<unsigned char>(c)] = false;
  return table;
}
inline constexpr std::array<bool, 256> kHost = host_table();
}  // namespace detail

constexpr bool is_token(char c) { return detail::kToken[static_cast<unsigned char>(c)]; }
constexpr bool is_space(char c) { return c == ' ' || c == '\t'; }  // OWS, RFC 9110 5.6.3
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
// VCHAR, SP, HTAB and obs-text: what a field's value, a reason or a chunk extension is made of.
constexpr bool is_text(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}
// What HAProxy lets through: VCHAR without the fragment's mark, which is never sent (RFC 9112 3.2).
constexpr bool is_target(char c) { return c > 0x20 && c < 0x7f && c != '#'; }
// Without what begins another part of a URI, and without what is in none.
constexpr bool is_host(char c) { return detail::kHost[static_cast<unsigned char>(c)]; }
constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

constexpr bool equal_ignoring_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

constexpr std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// Calls visit(element) for each element of a comma list that is not empty (RFC 9110 5.6.1), until
// it answers false. For lists of tokens: a comma within quotes is not looked for.
template <typename Visit>
void for_each_element(std::string_view list, Visit&& visit) {
  while (true) {
    const std::size_t comma = list.find(',');
    const std::string_view element = trim(list.substr(0, comma));
    if (!element.empty() && !visit(element)) return;
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// The first byte in [p, end) that is not text (see is_text), or end.
inline const char* find_non_text(const char* p, const char* end) {
#ifdef __SSE2__
  const __m128i last_control = _mm_set1_epi8(0x1f);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; end - p >= 16; p += 16) {
    const __m128i chunk = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i control = _mm_cmpeq_epi8(_mm_max_epu8(chunk, last_control), last_control);
    const __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(chunk, tab), control),
                                     _mm_cmpeq_epi8(chunk, del));
    const int mask = _mm_movemask_epi8(bad);
    if (mask != 0) return p + __builtin_ctz(static_cast<unsigned>(mask));
  }
#endif
  while (p != end && is_text(*p)) ++p;
  return p;
}

// The first byte in [p, end) that no request target has (see is_target), or end.
inline const char* find_non_target(const char* p, const char* end) {
#ifdef __SSE2__
  const __m128i space = _mm_set1_epi8(' ');
  const __m128i hash = _mm_set1_epi8('#');
  const __m128i del = _mm_set1_epi8(0x7f);
  for (; end - p >= 16; p += 16) {
    const __m128i chunk = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    // Signed: bytes from 0x80 are negative, so that they fail too.
    const __m128i never = _mm_or_si128(_mm_cmpeq_epi8(chunk, del), _mm_cmpeq_epi8(chunk, hash));
    const __m128i good = _mm_andnot_si128(never, _mm_cmpgt_epi8(chunk, space));
    const unsigned mask = static_cast<unsigned>(_mm_movemask_epi8(good)) ^ 0xffffu;
    if (mask != 0) return p + __builtin_ctz(mask);
  }
#endif
  while (p != end && is_target(*p)) ++p;
  return p;
}

// The first byte in [p, end) that is not of a token, or end.
inline const char* find_non_token(const char* p, const char* end) {
#ifdef __SSE2__
  // Letters, digits and dashes, which names are made of, are told apart sixteen at a time; the loop
  // below decides about the rest. Signed: bytes from 0x80 are negative and in no range.
  const __m128i fold = _mm_set1_epi8(0x20);
  const __m128i dash = _mm_set1_epi8('-');
  const auto between = [](__m128i chunk, char first, char last) {
    return _mm_and_si128(_mm_cmpgt_epi8(chunk, _mm_set1_epi8(static_cast<char>(first - 1))),
                         _mm_cmplt_epi8(chunk, _mm_set1_epi8(static_cast<char>(last + 1))));
  };
  for (; end - p >= 16; p += 16) {
    const __m128i chunk = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i letter = between(_mm_or_si128(chunk, fold), 'a', 'z');
    const __m128i good =
        _mm_or_si128(_mm_or_si128(letter, between(chunk, '0', '9')), _mm_cmpeq_epi8(chunk, dash));
    const unsigned mask = static_cast<unsigned>(_mm_movemask_epi8(good)) ^ 0xffffu;
    if (mask != 0) {
      p += __builtin_ctz(mask);
      break;
    }
  }
#endif
  while (p != end && is_token(*p)) ++p;
  return p;
}

}  // namespace nines::http

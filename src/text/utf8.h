// UTF-8 as people see it: code points, the columns they fill on a terminal, and text made safe to
// show. Bytes that are not UTF-8 count as one character each.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nines::text {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

struct DecodedCharacter {
  char32_t code = kReplacementCharacter;  // the replacement character for a byte out of place
  std::size_t size = 1;                   // bytes used, 1 to 4
  bool valid = false;
};

// The character at text[position]; `position` must be within the text.
DecodedCharacter decode_utf8(std::string_view text, std::size_t position);

std::size_t count_characters(std::string_view text);

// Terminal columns: 0 for combining marks, 2 for East Asian wide characters and emoji, else 1.
int display_width(char32_t code);

// Same text with control characters, terminal escapes and broken UTF-8 spelled as \xNN, so that
// hostile input cannot steer the reader's terminal.
std::string printable(std::string_view text);

}  // namespace nines::text

// Decoding by RFC 3629, widths, and text made safe for a terminal.
#include "text/utf8.h"

#include <gtest/gtest.h>

namespace nines::text {
namespace {

TEST(Utf8, CharactersAreCountedNotBytes) {
  EXPECT_EQ(count_characters("abc"), 3u);
  EXPECT_EQ(count_characters("最大连接数"), 5u);
  EXPECT_EQ(count_characters("é😀"), 2u);
}

TEST(Utf8, ABrokenByteIsOneCharacter) {
  EXPECT_EQ(count_characters("a\xFF\x80z"), 4u);
  EXPECT_FALSE(decode_utf8("\xC0\xAF", 0).valid);      // overlong
  EXPECT_FALSE(decode_utf8("\xED\xA0\x80", 0).valid);  // surrogate
  EXPECT_FALSE(decode_utf8("\xE6\x9C", 0).valid);      // cut short
}

TEST(Utf8, ChineseIsTwoColumnsWideAndCombiningMarksNone) {
  EXPECT_EQ(display_width(U'最'), 2);
  EXPECT_EQ(display_width(U'a'), 1);
  EXPECT_EQ(display_width(0x0301), 0);
}

TEST(Utf8, TerminalEscapesAreSpelledOut) {
  EXPECT_EQ(printable("a\x1b[31mb"), "a\\x1b[31mb");
  EXPECT_EQ(printable("最\xFF"), "最\\xff");
}

}  // namespace
}  // namespace nines::text

// Lines and columns of a text.
#include "text/source.h"

#include <gtest/gtest.h>

namespace nines::text {
namespace {

TEST(SourceFile, LinesAreFoundWithAndWithoutALastLineFeed) {
  const SourceFile with("a", "one\n\nthree\n");
  EXPECT_EQ(with.line_count(), 3);
  EXPECT_EQ(with.line(1), "one");
  EXPECT_EQ(with.line(2), "");
  EXPECT_EQ(with.line(3), "three");
  EXPECT_EQ(with.line(4), "");
  const SourceFile without("a", "one\ntwo");
  EXPECT_EQ(without.line_count(), 2);
  EXPECT_EQ(without.line(2), "two");
  EXPECT_FALSE(without.ends_with_line_feed());
  EXPECT_EQ(SourceFile("a", "").line_count(), 0);
}

TEST(SourceFile, ColumnsCountCharactersNotBytes) {
  const SourceFile file("a", "#最大 x\n");
  const Span span = file.span(0, 1, 8, 9);
  EXPECT_EQ(span.column, 5);
  EXPECT_EQ(span.length, 1);
}

TEST(SourceFile, ASpanBeyondTheLineIsHeldToItsEnd) {
  const SourceFile file("a", "ab\n");
  EXPECT_EQ(file.span(0, 1, 7, 9), (Span{0, 1, 3, 0}));
}

TEST(SourceFile, HiddenTailsKeepEveryPlace) {
  const SourceFile file("a", "one two \nkey gr\xC3\xBCn x\nlast");
  const SourceFile hidden = with_tails_hidden(file, {{2, 5}, {3, 9}});
  EXPECT_EQ(hidden.content(), "one two \nkey **** *\nlast");
  EXPECT_EQ(hidden.name(), "a");
  EXPECT_EQ(with_tails_hidden(SourceFile("a", "x y \r\n"), {{1, 3}}).content(), "x * \r\n");
}

}  // namespace
}  // namespace nines::text

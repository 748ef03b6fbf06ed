// Cutting lines into words: sections 2.2 and 2.3 of the manual.
#include "proxy/config_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Cut {
  LineWords line;
  text::Diagnostics diagnostics;
  std::vector<std::string> texts() const {
    std::vector<std::string> out;
    for (const Word& word : line.words) out.push_back(word.text);
    return out;
  }
};

Cut cut(std::string content) {
  const text::SourceFile source("a.cfg", std::move(content));
  const Environment environment{{"A", "x y"}, {"EMPTY", ""}, {"Z", "z"}};
  Cut out;
  out.line = cut_words(source, 0, 1, environment, "listen", out.diagnostics);
  return out;
}

TEST(ConfigWords, SpacesSeparateAndAHashEndsTheLineEvenWithinAWord) {
  EXPECT_THAT(cut(" a\tb  c#d e").texts(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(cut("# only a comment").texts(), IsEmpty());
  EXPECT_THAT(cut("a b\r").texts(), ElementsAre("a", "b"));
}

TEST(ConfigWords, TheManualsFiveSpellingsAreOneText) {
  const std::string expected = "%{+Q}o %t %s %{-Q}r";
  for (const char* spelling :
       {R"(log-format %{+Q}o\ %t\ %s\ %{-Q}r)", R"(log-format "%{+Q}o %t %s %{-Q}r")",
        R"(log-format '%{+Q}o %t %s %{-Q}r')", R"(log-format "%{+Q}o %t"' %s %{-Q}r')",
        R"(log-format "%{+Q}o %t"' %s'\ %{-Q}r)"}) {
    EXPECT_THAT(cut(spelling).texts(), ElementsAre("log-format", expected)) << spelling;
  }
}

TEST(ConfigWords, EscapesAreTheManuals) {
  EXPECT_THAT(cut(R"(\# \\ \' \" \n\r\t \x41 \q a\ b)").texts(),
              ElementsAre("#", "\\", "'", "\"", "\n\r\t", "A", "\\q", "a b"));
  EXPECT_THAT(cut(R"('\n' "\$Z" \$Z)").texts(), ElementsAre("\\n", "$Z", "\\$Z"));
}

TEST(ConfigWords, VariablesAreExpandedBetweenDoubleQuotesOnly) {
  EXPECT_THAT(cut(R"($Z '$Z' "$Z" "${Z}a" "${NONE-b c}" "${EMPTY-d}" "${NONE}")").texts(),
              ElementsAre("$Z", "$Z", "z", "za", "b c", "", ""));
  EXPECT_THAT(cut(R"("$A" "${A[*]}" "<${A[*]}>")").texts(),
              ElementsAre("x y", "x", "y", "<x", "y>"));
  EXPECT_THAT(cut(R"("${.LINE} ${.SECTION} ${.FILE}")").texts(), ElementsAre("1 listen a.cfg"));
}

TEST(ConfigWords, AnEmptyQuotedWordIsAWord) {
  EXPECT_THAT(cut("a \"\" b").texts(), ElementsAre("a", "", "b"));
}

TEST(ConfigWords, SpansCountCharactersAndKeepTheirQuotes) {
  const Cut out = cut("最大 \"b c\" d");
  EXPECT_EQ(out.line.words[1].span, (text::Span{0, 1, 4, 5}));
  EXPECT_EQ(out.line.words[2].span, (text::Span{0, 1, 10, 1}));
  EXPECT_EQ(out.line.words[2].part(0, 1), (text::Span{0, 1, 10, 1}));
  // A part of a quoted word has no place of its own.
  EXPECT_EQ(out.line.words[1].part(1, 2), out.line.words[1].span);
}

TEST(ConfigWords, MistakesPointAtTheirCharacter) {
  const auto column_of = [](std::string content) {
    const Cut out = cut(std::move(content));
    EXPECT_FALSE(out.line.ok);
    return out.diagnostics.all().empty() ? 0 : out.diagnostics.all()[0].span.column;
  };
  EXPECT_EQ(column_of("mode \"abc"), 6);
  EXPECT_EQ(column_of("mode a\\xzz"), 7);
  EXPECT_EQ(column_of("mode \"${Z\""), 7);
  EXPECT_EQ(column_of("mode \"$1\""), 7);
  EXPECT_EQ(column_of(std::string("mode a\0b", 8)), 7);
}

TEST(ConfigWords, LimitsAreErrorsNotTruncations) {
  std::string many;
  for (std::size_t i = 0; i < kWordsPerLineMax; ++i) many += "w ";
  EXPECT_TRUE(cut(many).line.ok);
  EXPECT_FALSE(cut(many + "w").line.ok);
  EXPECT_FALSE(cut(std::string(kLineBytesMax + 1, 'a')).line.ok);
}

}  // namespace
}  // namespace nines::proxy

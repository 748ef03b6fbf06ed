// What people and tools are shown.
#include "text/diagnostics.h"

#include <vector>

#include <gtest/gtest.h>

namespace nines::text {
namespace {

std::string render(std::string content, Span span, std::string_view message) {
  const std::vector<SourceFile> files{SourceFile("a.cfg", std::move(content))};
  Diagnostics diagnostics;
  diagnostics.error(span, message);
  return render_text(diagnostics, files);
}

TEST(Diagnostics, TheCaretStandsUnderTheSpan) {
  EXPECT_EQ(render("log 1.2.3.4 5140\n", Span{0, 1, 13, 4}, "stray"),
            "a.cfg:1:13: error: stray\n"
            "  log 1.2.3.4 5140\n"
            "              ^~~~\n");
}

TEST(Diagnostics, TheCaretIsRightBehindWideCharacters) {
  EXPECT_EQ(render("最大 x\n", Span{0, 1, 4, 1}, "m"),
            "a.cfg:1:4: error: m\n"
            "  最大 x\n"
            "       ^\n");
}

TEST(Diagnostics, APointAtTheEndOfTheLineIsShownBehindIt) {
  EXPECT_EQ(render("mode\n", Span{0, 1, 5, 0}, "m"),
            "a.cfg:1:5: error: m\n"
            "  mode\n"
            "      ^\n");
}

TEST(Diagnostics, ALongLineIsShownAroundTheSpan) {
  const std::string text = render(std::string(5000, 'x') + "\n", Span{0, 1, 3000, 2}, "m");
  EXPECT_LT(text.size(), 500u);
  EXPECT_NE(text.find("^~"), std::string::npos);
}

TEST(Diagnostics, ColourOnlyWhenAsked) {
  const std::vector<SourceFile> files{SourceFile("a.cfg", "x\n")};
  Diagnostics diagnostics;
  diagnostics.warning(Span{0, 1, 1, 1}, "m");
  EXPECT_EQ(render_text(diagnostics, files).find('\033'), std::string::npos);
  EXPECT_NE(render_text(diagnostics, files, {.color = true}).find('\033'), std::string::npos);
}

TEST(Diagnostics, TheUsersTextCannotSteerTheTerminal) {
  const std::string text = render("\x1b[2J\n", Span{0, 1, 1, 1}, "found '\x1b[2J'");
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(Diagnostics, BeyondTheLimitTheyAreCountedOnly) {
  const std::vector<SourceFile> files{SourceFile("a.cfg", "x\n")};
  Diagnostics diagnostics;
  for (std::size_t i = 0; i < Diagnostics::kKeptMax + 5; ++i) {
    diagnostics.error(Span{0, 1, 1, 1}, "m").with_help("h");
  }
  EXPECT_EQ(diagnostics.all().size(), Diagnostics::kKeptMax);
  EXPECT_EQ(diagnostics.errors(), Diagnostics::kKeptMax + 5);
  EXPECT_EQ(diagnostics.dropped(), 5u);
  EXPECT_NE(render_text(diagnostics, files).find("and 5 more"), std::string::npos);
}

TEST(Diagnostics, JsonIsValidWhateverTheTextHolds) {
  const std::vector<SourceFile> files{SourceFile("a\"b\\c", "x\n")};
  Diagnostics diagnostics;
  diagnostics.error(Span{0, 1, 2, 3}, "m\n\x01\xFF").with_found("f").with_help("h");
  EXPECT_EQ(render_json(diagnostics, files),
            "{\"errors\":1,\"warnings\":0,\"dropped\":0,\"diagnostics\":[{\"severity\":\"error\","
            "\"file\":\"a\\\"b\\\\c\",\"line\":1,\"column\":2,\"length\":3,"
            "\"message\":\"m\\n\\u0001\xEF\xBF\xBD\",\"found\":\"f\",\"help\":\"h\"}]}\n");
}

TEST(Diagnostics, SortingIsByPlaceAndKeepsTheOrderWithin) {
  Diagnostics diagnostics;
  diagnostics.error(Span{0, 2, 1, 1}, "c");
  diagnostics.error(Span{0, 1, 5, 1}, "a");
  diagnostics.error(Span{0, 1, 5, 1}, "b");
  diagnostics.sort();
  EXPECT_EQ(diagnostics.all()[0].message, "a");
  EXPECT_EQ(diagnostics.all()[1].message, "b");
  EXPECT_EQ(diagnostics.all()[2].message, "c");
}

}  // namespace
}  // namespace nines::text

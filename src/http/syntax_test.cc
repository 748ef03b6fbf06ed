// The wide scans against the byte-wise predicates they stand for.
#include "http/syntax.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nines::http {
namespace {

TEST(Syntax, EveryByteIsFoundAtEveryPlaceByTheWideScans) {
  for (std::size_t size = 1; size <= 40; ++size) {
    for (std::size_t place = 0; place < size; ++place) {
      for (int byte = 0; byte < 256; ++byte) {
        std::vector<char> text(size, 'a');  // no terminator: ASan sees a read beyond the end
        text[place] = static_cast<char>(byte);
        const char* const begin = text.data();
        const char* const end = begin + size;
        ASSERT_EQ(find_non_text(begin, end) - begin,
                  static_cast<std::ptrdiff_t>(is_text(text[place]) ? size : place));
        ASSERT_EQ(find_non_token(begin, end) - begin,
                  static_cast<std::ptrdiff_t>(is_token(text[place]) ? size : place));
        ASSERT_EQ(find_non_target(begin, end) - begin,
                  static_cast<std::ptrdiff_t>(is_target(text[place]) ? size : place));
      }
    }
  }
}

TEST(Syntax, TokensAreThoseOfTheStandard) {
  std::string tokens;
  for (int byte = 0; byte < 256; ++byte) {
    if (is_token(static_cast<char>(byte))) tokens.push_back(static_cast<char>(byte));
  }
  EXPECT_EQ(tokens,
            "!#$%&'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ^_`abcdefghijklmnopqrstuvwxyz|~");
}

TEST(Syntax, ListsSkipEmptyElementsAndStopWhenAsked) {
  std::vector<std::string> seen;
  for_each_element(", a ,,\tb,c", [&](std::string_view element) {
    seen.emplace_back(element);
    return element != "b";
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace nines::http

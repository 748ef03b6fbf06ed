// "Did you mean" finds typing mistakes and nothing else.
#include "text/suggest.h"

#include <array>

#include <gtest/gtest.h>

namespace nines::text {
namespace {

constexpr std::array<std::string_view, 5> kWords = {"maxconn", "retries", "balance", "bind",
                                                    "mode"};

TEST(Suggest, ATypingMistakeFindsItsWord) {
  EXPECT_EQ(suggest("maxcon", kWords), "maxconn");
  EXPECT_EQ(suggest("retires", kWords), "retries");
  EXPECT_EQ(suggest("Balence", kWords), "balance");
  EXPECT_EQ(suggest("bnid", kWords), "bind");
}

TEST(Suggest, NothingNearGivesNothing) {
  EXPECT_EQ(suggest("(NOTE):", kWords), std::nullopt);
  EXPECT_EQ(suggest("", kWords), std::nullopt);
  EXPECT_EQ(suggest(std::string(1000, 'x'), kWords), std::nullopt);
}

TEST(Suggest, ASwapIsOneEdit) {
  EXPECT_EQ(edit_distance("abcd", "abdc"), 1);
  EXPECT_EQ(edit_distance("abc", ""), 3);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
}

}  // namespace
}  // namespace nines::text

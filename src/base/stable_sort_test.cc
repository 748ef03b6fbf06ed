// Equal values keep their order, whatever the order was; values need only be movable.
#include "base/stable_sort.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace nines {
namespace {

TEST(SortStably, EqualValuesKeepTheirOrder) {
  std::vector<std::pair<int, std::string>> values = {{2, "a"}, {1, "b"}, {2, "c"},
                                                     {0, "d"}, {1, "e"}, {2, "f"}};
  sort_stably(values, [](const auto& left, const auto& right) { return left.first < right.first; });
  EXPECT_EQ(values, (std::vector<std::pair<int, std::string>>{
                        {0, "d"}, {1, "b"}, {1, "e"}, {2, "a"}, {2, "c"}, {2, "f"}}));
}

// Long enough for std::sort to leave insertion sort, which would be stable by itself.
TEST(SortStably, ManyEqualValuesKeepTheirOrder) {
  constexpr int kCount = 1000, kKinds = 3;
  std::vector<std::pair<int, int>> values;
  for (int i = 0; i < kCount; ++i) values.emplace_back(i * 7 % kKinds, i);
  sort_stably(values, [](const auto& left, const auto& right) { return left.first < right.first; });
  ASSERT_EQ(values.size(), static_cast<std::size_t>(kCount));
  for (std::size_t i = 1; i < values.size(); ++i) {
    ASSERT_LT(values[i - 1], values[i]) << "at " << i;
  }
}

TEST(SortStably, ValuesNeedOnlyBeMovable) {
  std::vector<std::unique_ptr<int>> values;
  for (const int value : {3, 1, 2}) values.push_back(std::make_unique<int>(value));
  sort_stably(values, [](const auto& left, const auto& right) { return *left < *right; });
  EXPECT_EQ(*values[0], 1);
  EXPECT_EQ(*values[1], 2);
  EXPECT_EQ(*values[2], 3);
}

TEST(SortStably, NothingIsSortedToo) {
  std::vector<int> values;
  sort_stably(values, [](int left, int right) { return left < right; });
  EXPECT_TRUE(values.empty());
}

}  // namespace
}  // namespace nines

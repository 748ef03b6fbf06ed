// A stable sort without std::stable_sort, whose std::get_temporary_buffer is deprecated: with
// libstdc++ 12 clang warns of it, and a warning ends our build.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

namespace nines {

// What compares equal by `is_before`, a strict weak ordering, keeps its order. Values are moved
// once each; O(n log n) comparisons, an index for each value as room beside. For lists that
// people read, not for a packet's path.
template <typename Value, typename IsBefore>
void sort_stably(std::vector<Value>& values, IsBefore is_before) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t left, std::size_t right) {
    if (is_before(values[left], values[right])) return true;
    return !is_before(values[right], values[left]) && left < right;
  });
  std::vector<Value> sorted;
  sorted.reserve(values.size());
  for (const std::size_t index : order) sorted.push_back(std::move(values[index]));
  values = std::move(sorted);
}

}  // namespace nines

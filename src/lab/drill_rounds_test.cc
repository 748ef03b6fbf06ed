// The turns themselves are tried with real labs; here, how runs are spread.
#include "lab/drill_rounds.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "lab/drill_run.h"

namespace nines::lab {
namespace {

TEST(DrillRounds, FaultsOfASeriesLieEvenlyInAnInterval) {
  for (const int runs : {5, 11, 20, 100}) {
    std::vector<Duration> shifts;
    for (int run = 1; run <= runs; ++run) shifts.push_back(shift_of_run(run));
    std::sort(shifts.begin(), shifts.end());
    ASSERT_GE(shifts.front(), Duration(0));
    ASSERT_LT(shifts.back(), kShiftMax);
    // The end of the interval is the begin of the next.
    Duration widest = shifts.front() + kShiftMax - shifts.back();
    for (std::size_t i = 1; i < shifts.size(); ++i) {
      widest = std::max(widest, shifts[i] - shifts[i - 1]);
    }
    EXPECT_LT(widest, 2 * kShiftMax / runs) << runs;
  }
}

}  // namespace
}  // namespace nines::lab

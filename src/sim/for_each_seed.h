// For scenarios: the same test over many seeds. A failure names its seed, shows the end of the
// trace and gives the command that replays it. Tests only: needs GoogleTest.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "sim/world.h"

namespace nines::sim {

inline constexpr std::size_t kTraceLinesShown = 60;

// Calls scenario(seed, world) with seeds 1 to `count`, each with a fresh world, until one fails.
// NINES_SIM_SEED=n runs that one alone; NINES_SIM_SEEDS=n runs n of them instead of `count`.
template <typename Scenario>
void for_each_seed(std::uint64_t count, Scenario&& scenario) {
  std::uint64_t first = 1;
  if (const char* const one = std::getenv("NINES_SIM_SEED")) {
    first = std::strtoull(one, nullptr, 10);
    count = 1;
  } else if (const char* const many = std::getenv("NINES_SIM_SEEDS")) {
    count = std::strtoull(many, nullptr, 10);
  }
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    World world(seed);
    scenario(seed, world);
    if (!testing::Test::HasFailure()) continue;
    const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
    std::string program = "TEST_PROGRAM";
    if (const auto& arguments = testing::internal::GetArgvs(); !arguments.empty()) {
      program = arguments.front();
    }
    std::fprintf(stderr,
                 "\nseed %llu failed after %.6f s; the trace ends:\n%s"
                 "replay: NINES_SIM_SEED=%llu %s --gtest_filter='%s.%s'\n\n",
                 static_cast<unsigned long long>(seed),
                 static_cast<double>(world.elapsed().count()) / 1e9,
                 world.trace_text(kTraceLinesShown).c_str(), static_cast<unsigned long long>(seed),
                 program.c_str(), test->test_suite_name(), test->name());
    return;
  }
}

}  // namespace nines::sim

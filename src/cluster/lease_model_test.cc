// All states of the small model, and the planted bugs that it must find.
#include "cluster/lease_model.h"

#include <array>
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

namespace nines::cluster {
namespace {

std::string text_of(const std::vector<std::string>& story) {
  std::string text;
  for (const std::string& line : story) text += "  " + line + "\n";
  return text;
}

std::string text_of(const ModelBounds& bounds) {
  return std::to_string(bounds.ballots) + " ballots, " + std::to_string(bounds.rounds) +
         " rounds, " + std::to_string(bounds.restarts) + " restarts, " +
         std::to_string(bounds.deviations) + " deviations of each clock";
}

// Time is not bounded: clocks run until nothing runs out any more.
TEST(LeaseModel, NoOrderOfStepsOpensTwoGuards) {
  std::vector<ModelBounds> all = {{2, 1, 0, 1}, {2, 1, 1, 0}, {2, 2, 0, 0}};
  if (const char* const full = std::getenv("NINES_FULL"); full != nullptr && *full == '1') {
    all.push_back({2, 2, 1, 0});
  }
  // Others, as "ballots,rounds,restarts,deviations"; ten million states want a build without
  // sanitizers and a gigabyte.
  if (const char* const wanted = std::getenv("NINES_MODEL")) {
    ModelBounds bounds;
    ASSERT_EQ(std::sscanf(wanted, "%d,%d,%d,%d", &bounds.ballots, &bounds.rounds, &bounds.restarts,
                          &bounds.deviations),
              4)
        << "NINES_MODEL is '" << wanted << "', not ballots,rounds,restarts,deviations";
    all = {bounds};
  }
  for (const ModelBounds& bounds : all) {
    const ModelResult result = explore_leases(ModelPlant::kNone, bounds);
    std::printf("%s: %llu states, %llu steps%s\n", text_of(bounds).c_str(),
                static_cast<unsigned long long>(result.states),
                static_cast<unsigned long long>(result.steps), result.complete ? ", complete" : "");
    std::fflush(stdout);
    EXPECT_TRUE(result.complete);
    EXPECT_EQ(result.violation, "") << text_of(result.story);
  }
}

TEST(LeaseModel, EveryPlantedBugIsFound) {
  struct Case {
    ModelPlant plant;
    const char* name;
    ModelBounds bounds;
  };
  constexpr std::array kCases = {
      Case{
          ModelPlant::kLatePromiseRestartsTimer, "a late promise restarts the timer", {2, 1, 0, 1}},
      Case{ModelPlant::kTimerFromAnswer, "the term is counted from the answer", {2, 1, 0, 1}},
      Case{ModelPlant::kAnswerCountedTwice, "an answer is counted twice", {2, 1, 0, 0}},
      Case{ModelPlant::kForgetsWithoutWaiting, "a voter forgets and does not wait", {3, 1, 1, 0}},
      Case{ModelPlant::kMarkOnlyInMemory, "the mark is kept only in memory", {2, 1, 1, 0}},
      Case{ModelPlant::kDriftIgnored, "drift is ignored", {2, 1, 0, 1}},
      Case{ModelPlant::kBusyIgnored, "a running lease is ignored", {2, 1, 0, 0}},
  };
  for (const Case& each : kCases) {
    const ModelResult result = explore_leases(each.plant, each.bounds);
    std::printf("%s: %s after %llu states (%s)\n%s", each.name, result.violation.c_str(),
                static_cast<unsigned long long>(result.states), text_of(each.bounds).c_str(),
                text_of(result.story).c_str());
    std::fflush(stdout);
    EXPECT_NE(result.violation, "") << each.name << " was not found";
  }
}

}  // namespace
}  // namespace nines::cluster

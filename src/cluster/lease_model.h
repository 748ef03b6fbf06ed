// The algorithm of leases once more, as a small model that can be tried completely: three voters,
// two of them claimants, one name, time in ticks. Every order of every step within the bounds is
// visited. Messages are a set that only grows, so that each may come late, come again, or never.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nines::cluster {

// Bugs that the enumeration must find.
enum class ModelPlant : std::uint8_t {
  kNone,
  kLatePromiseRestartsTimer,  // the published algorithm's gap: phases are not tracked
  kTimerFromAnswer,           // the holder counts from the answer instead of the question
  kAnswerCountedTwice,        // one voter's answer, come twice, makes a majority of three
  kForgetsWithoutWaiting,     // after a reboot a voter votes at once
  kMarkOnlyInMemory,          // after a reboot ballots begin anew
  kDriftIgnored,              // holders rely on the whole term
  kBusyIgnored,               // the higher ballot wins whoever's lease runs
};

struct ModelBounds {
  int ballots = 2;     // 2 to 4, by turns of the two claimants
  int rounds = 2;      // 1 or 2: to acquire, and a renewal
  int restarts = 1;    // of all nodes together, with or without loss of memory
  int deviations = 1;  // ticks that each node's clock stands still or counts double
  std::size_t states_max = 50'000'000;
};

struct ModelResult {
  std::uint64_t states = 0;
  std::uint64_t steps = 0;
  bool complete = false;           // every state within the bounds was visited
  std::string violation;           // empty: none
  std::vector<std::string> story;  // the shortest way to it
};

ModelResult explore_leases(ModelPlant plant, const ModelBounds& bounds);

}  // namespace nines::cluster

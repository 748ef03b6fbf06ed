// The conditions of a drill, made and undone again.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "lab/drill_conditions.h"
#include "lab/drill_lab.h"

namespace nines::lab {

// Holds from when it is made until it is destroyed, however a drill ends.
class HeldConditions {
 public:
  // Processes that do nothing but compute, for each processor, at the usual priority.
  static constexpr int kBusyForEach = 2;

  // `lab` must outlive it. kUnavailable: a line or a process could not be had.
  static Result<HeldConditions> create(const DrillConditions& conditions, const DrillLab& lab);
  HeldConditions(HeldConditions&&) noexcept = default;
  HeldConditions& operator=(HeldConditions&&) = delete;
  ~HeldConditions();

 private:
  explicit HeldConditions(const DrillLab& lab) : lab_(lab) {}

  const DrillLab& lab_;
  std::vector<std::string> rough_;  // hosts
  std::vector<int> busy_;           // processes
};

}  // namespace nines::lab

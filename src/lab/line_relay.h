// Carries a host's frames to the switch and back by hand, over a rough line. A process of the lab;
// what the line is like can be changed while it runs, from one frame to the next.
#pragma once

#include <memory>

#include "base/result.h"
#include "lab/lab_child.h"
#include "lab/rough_line.h"

namespace nines::lab {

// A page that the keeper writes and the relay's process reads. Outlives a fork; gone with the last
// process that has it.
class LineSettings {
 public:
  static Result<LineSettings> create();
  void set(const Roughness& roughness) const;
  Roughness get() const;

 private:
  struct Shared;
  struct Unmap {
    void operator()(Shared* shared) const;
  };
  explicit LineSettings(Shared* shared) : shared_(shared) {}
  std::unique_ptr<Shared, Unmap> shared_;
};

struct LineRelayPlan {
  int network = -1;     // the switch's namespace; borrowed
  int host_side = 0;    // index of the link that leads to the host
  int switch_side = 0;  // and of the one that leads to the switch
  const LineSettings* settings = nullptr;
};

// Runs for ever in the process that calls it, which must have one thread and the right to enter the
// namespace; it is left in it. Is ready when every frame is carried.
int run_line_relay(const LineRelayPlan& plan, ReadySignal ready);

}  // namespace nines::lab

// io::Processes without programs: what each path does when it is spawned is told by the scenario,
// and its end is seen on the spawning process's first loop.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/time.h"
#include "io/ports.h"

namespace nines::sim {

class Core;
class Process;

// One run of a program.
struct ChildScript {
  Duration takes{};           // until it ends by itself
  io::ProcessExit exit;       // and how
  bool heeds_signals = true;  // false: only SIGKILL ends it early
};
using Program = std::function<ChildScript(const io::SpawnOptions&)>;

class SimProcesses final : public io::Processes {
 public:
  SimProcesses(Core& core, Process& parent) : core_(core), parent_(parent) {}

  // kNotFound when the host has no such program (Host::install); told by its exit where nobody
  // waits for that.
  Result<int> spawn(const io::SpawnOptions& options, Exited exited) override;
  // kUnsupported for SIGSTOP: a child is a script, and has nothing to hold.
  Result<void> signal(int pid, int number) override;
  std::size_t running() const { return children_.size(); }
  void parent_died();

 private:
  struct Child {
    Exited exited;
    std::string path;
    bool heeds_signals = true;
  };
  void end(int pid, io::ProcessExit exit);

  Core& core_;
  Process& parent_;
  std::map<int, Child> children_;
};

}  // namespace nines::sim

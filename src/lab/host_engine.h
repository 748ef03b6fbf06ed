// The engine of one controller while the lab is up: its programs are started, asked to end, and
// any of its processes signalled by the part it plays. Belongs to the keeper and its thread.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "lab/engine_plan.h"
#include "lab/host_processes.h"
#include "lab/lab_child.h"

namespace nines::lab {

class HostEngine {
 public:
  struct Program {
    //  kEnded --start--> kWaiting --its turn--> kStarting --ready--> kRunning <--> kPaused
    //  all --dies--> kEnded
    enum class State : std::uint8_t { kEnded, kWaiting, kStarting, kRunning, kPaused };
    const ProgramPlan* plan = nullptr;
    State state = State::kEnded;
    int pid = 0;
    std::string detail = {};  // of kEnded: how
    bool asked_to_stop = false;
    Instant stop_deadline = {};
  };

  // `plan` and `host` must outlive it. `directory` is the host's, as the keeper sees it.
  HostEngine(const EnginePlan& plan, const LabHost& host, std::string directory);

  // What does not run is to be started, by missing(): from the last program to the first, each when
  // the one before is ready. So the check script finds its balancer there.
  void start();
  // A child of the keeper's has ended, stopped or gone on; false when it is none of the engine's.
  bool on_child(int pid, int status);
  // Goes on with the start. Says what is not there yet of its processes and listening sockets, for
  // people; empty: all is ready. An error when a program has died.
  Result<std::string> missing(const ProcessTable& table, const std::vector<SocketAddress>& listens);
  bool runs() const;
  bool stops() const;  // was asked to, and has not ended

  // One program after the other is asked to end. Call again until it says true: none is left.
  bool stop_further(Instant now);

  // `name`: a part, a program, or kWholeEngine. `others` are the host's processes that are not the
  // engine's. kNotFound when there is no such part or program. Returns whom it has signalled.
  Result<std::vector<int>> signal(std::string_view name, int number, const ProcessTable& table,
                                  const std::set<int>& others);
  Result<void> reload();

  const std::vector<Program>& programs() const { return programs_; }
  const HostProcess* find(std::string_view role, const std::vector<HostProcess>& processes) const;
  // What signal() knows.
  bool knows(std::string_view name) const;
  std::string names() const;  // each behind a space

 private:
  Result<void> start_program(Program& program);
  std::vector<int> ids() const;

  const EnginePlan& plan_;
  const LabHost& host_;
  std::string directory_;
  std::vector<Program> programs_;
};

std::string_view name_of(HostEngine::Program::State state);

}  // namespace nines::lab

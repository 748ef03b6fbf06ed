// Runs nines on the members' hosts, this one included, by the command that the operator gave, and
// brings back what it printed: the way that evidence and steps of a recovery travel.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "galera/child.h"
#include "galera/evidence.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/processes.h"

namespace nines::galera {

struct PeerCommand {
  std::string member;
  std::vector<std::string> words;  // runs nines there; its arguments are added
};

// Lives on its loop, which outlives it. Any number of calls at once.
class Peers {
 public:
  Peers(io::EpollLoop& loop, io::LinuxProcesses& processes, std::vector<PeerCommand> commands)
      : loop_(loop), processes_(processes), commands_(std::move(commands)) {}

  // What `nines ARGUMENTS` printed there; an error is what it said instead. `done` runs once,
  // later, within `patience`. The arguments are plain words: a shell may stand between here and
  // there.
  using Done = std::function<void(Result<std::string>)>;
  void run(const std::string& member, std::vector<std::string> arguments, Duration patience,
           Done done);

 private:
  io::EpollLoop& loop_;
  io::LinuxProcesses& processes_;
  const std::vector<PeerCommand> commands_;
  std::map<std::uint64_t, std::unique_ptr<Child>> children_;
  std::uint64_t last_ = 0;
};

}  // namespace nines::galera

// One step of a recovery, on the member's own host, with what the member itself refuses: whoever
// orders it may have been wrong, late or dead.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "galera/child.h"
#include "galera/local_member.h"
#include "galera/recovery.h"
#include "galera/server_commands.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/processes.h"

namespace nines::galera {

struct MemberOrder {
  MemberAction action = MemberAction::kClaim;
  std::string run;
  std::vector<std::string> earlier_runs;  // of kClaim
  Position expected;                      // of kBootstrap; of the others known or not
};

// Runs its loop until the step is done: for a process of its own.
class MemberStep {
 public:
  static constexpr Duration kProcessWithin =
      std::chrono::minutes(1);                                       // until a server has the data
  static constexpr Duration kStartWithin = std::chrono::minutes(5);  // of a unit's bootstrap
  static constexpr Duration kStopWithin = std::chrono::minutes(4);
  // A server that waits for others does not hear SIGTERM; it has committed nothing since its start,
  // so that it may be killed.
  static constexpr Duration kWaitingStopWithin = std::chrono::seconds(5);

  MemberStep(io::EpollLoop& loop, io::LinuxProcesses& processes, LocalMemberOptions member,
             ServerWay way)
      : loop_(loop), processes_(processes), member_(std::move(member)), way_(std::move(way)) {}

  Result<void> perform(const MemberOrder& order);

 private:
  class Impatience;

  Result<void> start(const Position& position);
  Result<void> join(const Position& position);
  Result<void> bootstrap(const Position& expected);
  Result<void> promote();
  Result<void> stop();
  Result<void> leave();
  Result<void> refuse_running();
  Result<void> run_commands(ServerVerb verb, const Position& position);
  Result<void> run_child(const std::vector<std::string>& words, Duration patience);
  Result<void> start_daemon(const std::vector<std::string>& words);
  Result<void> await_process(bool is_there, Duration within);
  Result<void> mark_safe(const Position& expected);
  Result<void> keep_history(const Evidence& before);
  Result<void> write_grastate(const Grastate& grastate);
  Result<Evidence> look(bool is_full);

  io::EpollLoop& loop_;
  io::LinuxProcesses& processes_;
  const LocalMemberOptions member_;
  const ServerWay way_;
  bool has_daemon_ended_ = false;
  int daemon_code_ = 0;
};

}  // namespace nines::galera

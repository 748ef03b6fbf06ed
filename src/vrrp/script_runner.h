// Runs check scripts at their intervals and notify scripts when told, as other users if need be.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/timer_wheel.h"
#include "io/linux/processes.h"
#include "io/ports.h"
#include "vrrp/script_tracker.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

// A command's words with its program found in the path; as they are when it is nowhere.
std::vector<std::string> located_words(const Command& command);

// The same, run through setpriv(1) where another user
// is wanted. kNotFound, kRefused for what is not there, not executable or, with
// `security`, could be changed by anybody but root.
Result<std::vector<std::string>> resolve_command(const Command& command, const GlobalDefs& global);

struct Notification {
  const Command& command;                // an empty one is none
  const std::vector<std::string>& more;  // words behind its own
  std::string who;                       // begins what is logged
};
// Starts a notify script and goes on at once, whatever the scheduler does with it. It may outlive
// us: it may tell of a stop. One that cannot be started is logged, now or when the kernel says so;
// `log` outlives `processes`.
void start_notification(const Notification& notification, const GlobalDefs& global,
                        io::Processes& processes, io::Log& log);

// One check script. Lives on the loop; cancels its timers when it goes, and ends what still runs.
class ScriptRunner {
 public:
  using Changed = std::function<void()>;
  // `state`: what is taken for it until it has ended often enough.
  ScriptRunner(const VrrpScript& script, ScriptState state, std::vector<std::string> arguments,
               io::EpollLoop& loop, io::LinuxProcesses& processes, io::Log& log, Changed changed);
  ~ScriptRunner();

  void start();
  ScriptState state() const { return tracker_.state(); }
  const std::string& name() const { return script_.name; }

 private:
  class Tick final : public Timer {
   public:
    Tick(ScriptRunner& runner, void (ScriptRunner::*call)()) : runner_(runner), call_(call) {}
    void on_timer(Instant) override { (runner_.*call_)(); }

   private:
    ScriptRunner& runner_;
    void (ScriptRunner::*call_)();
  };
  void run();
  void run_out_of_time();
  void ended(io::ProcessExit end);
  void judge(bool good, const std::string& how);

  VrrpScript script_;
  std::vector<std::string> arguments_;
  io::EpollLoop& loop_;
  io::LinuxProcesses& processes_;
  io::Log& log_;
  Changed changed_;
  ScriptTracker tracker_;
  int pid_ = 0;
  bool timed_out_ = false;
  // Whether this runner still lives, for callbacks of processes that outlive it; shared with them
  // alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Tick next_{*this, &ScriptRunner::run};
  Tick limit_{*this, &ScriptRunner::run_out_of_time};
};

}  // namespace nines::vrrp

// A child is an entry and the task that ends it.
#include "sim/sim_processes.h"

#include <cerrno>
#include <csignal>

#include "sim/core.h"
#include "sim/host.h"

namespace nines::sim {

Result<int> SimProcesses::spawn(const io::SpawnOptions& options, Exited exited) {
  if (options.arguments.empty()) return Error(ErrorCode::kInvalid, "no program to spawn");
  const std::string& path = options.arguments.front();
  const Program* const program = parent_.host().find_program(path);
  if (program == nullptr && options.await_program) {
    return Error::from_errno(ENOENT, "cannot run " + path);
  }
  constexpr int kNoProgram = 127;  // as a shell has it
  const ChildScript script =
      program != nullptr
          ? (*program)(options)
          : ChildScript{.takes = {}, .exit = {.code = kNoProgram, .signal = 0, .error = ENOENT}};
  const int pid = core_.process_ids++;
  children_.emplace(pid, Child{std::move(exited), path, script.heeds_signals});
  core_.trace(parent_.where(), "spawned " + path + " as " + std::to_string(pid));
  core_.schedule_task(core_.now + script.takes,
                      [this, pid, exit = script.exit] { end(pid, exit); });
  return pid;
}

Result<void> SimProcesses::signal(int pid, int number) {
  const auto child = children_.find(pid);
  if (child == children_.end()) {
    return Error::from_errno(ESRCH, "process " + std::to_string(pid));
  }
  switch (number) {
    case 0:
    case SIGCHLD:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH:
      return {};
    case SIGSTOP:
    case SIGTSTP:
      return Error(ErrorCode::kUnsupported, "a simulated child cannot be stopped");
    default:
      if (child->second.heeds_signals || number == SIGKILL) end(pid, {.code = 0, .signal = number});
      return {};
  }
}

void SimProcesses::end(int pid, io::ProcessExit exit) {
  auto child = children_.extract(pid);
  if (child.empty()) return;  // a signal was earlier
  core_.trace(parent_.where(), child.mapped().path + " " + std::to_string(pid) +
                                   (exit.signal != 0 ? " ended by signal " : " exited with ") +
                                   std::to_string(exit.signal != 0 ? exit.signal : exit.code));
  parent_.loop().post(
      [exited = std::move(child.mapped().exited), pid, exit] { exited(pid, exit); });
}

void SimProcesses::parent_died() { children_.clear(); }

}  // namespace nines::sim

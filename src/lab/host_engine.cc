// Programs as children of the keeper; their own children are found in the process table.
#include "lab/host_engine.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

namespace nines::lab {
namespace {

constexpr int kExitNotRun = 127;  // as a shell has it when a program cannot be run

int number_of(EngineSignal signal) {
  switch (signal) {
    case EngineSignal::kNone:
      return 0;
    case EngineSignal::kHangUp:
      return SIGHUP;
    case EngineSignal::kTerminate:
      return SIGTERM;
    case EngineSignal::kUser1:
      return SIGUSR1;
    case EngineSignal::kUser2:
      return SIGUSR2;
  }
  return 0;
}

// Returns only when it cannot be run.
int become(std::vector<std::string> words) {
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  std::perror(arguments[0]);
  return kExitNotRun;
}

}  // namespace

std::string_view name_of(HostEngine::Program::State state) {
  switch (state) {
    case HostEngine::Program::State::kEnded:
      return "ended";
    case HostEngine::Program::State::kWaiting:
    case HostEngine::Program::State::kStarting:
      return "starting";
    case HostEngine::Program::State::kRunning:
      return "running";
    case HostEngine::Program::State::kPaused:
      return "paused";
  }
  return "";
}

HostEngine::HostEngine(const EnginePlan& plan, const LabHost& host, std::string directory)
    : plan_(plan), host_(host), directory_(std::move(directory)) {
  for (const auto& each : plan_.programs) programs_.push_back({.plan = &each});
}

void HostEngine::start() {
  for (auto& program : programs_) {
    if (program.state == Program::State::kEnded) program.state = Program::State::kWaiting;
  }
}

Result<void> HostEngine::start_program(Program& program) {
  ChildPlan child;
  child.title = program.plan->name;
  child.where = &host_.namespaces;
  child.output = directory_ + '/' + program.plan->output;
  child.body = [prepare = program.plan->prepare, words = program.plan->command](ReadySignal) {
    if (!prepare.empty()) {
      const pid_t preparing = ::fork();
      if (preparing == 0) ::_exit(become(prepare));
      // How it ends is the program's to notice: that it was prepared before is no fault.
      if (preparing > 0) ::waitpid(preparing, nullptr, 0);
    }
    return become(words);
  };
  const auto started = TRY(start_child(child));
  program = {.plan = program.plan, .state = Program::State::kStarting, .pid = started.pid};
  return {};
}

bool HostEngine::on_child(int pid, int status) {
  for (auto& program : programs_) {
    if (program.pid != pid) continue;
    if (WIFSTOPPED(status)) {
      program.state = Program::State::kPaused;
    } else if (WIFCONTINUED(status)) {
      program.state = Program::State::kRunning;
    } else {
      program.detail = program.state == Program::State::kStarting ? "died as it started, " : "";
      program.detail += WIFSIGNALED(status) ? "killed by signal " + std::to_string(WTERMSIG(status))
                                            : "exit status " + std::to_string(WEXITSTATUS(status));
      program.pid = 0;
      program.state = Program::State::kEnded;
    }
    return true;
  }
  return false;
}

Result<std::string> HostEngine::missing(const ProcessTable& table,
                                        const std::vector<SocketAddress>& listens) {
  const auto said = [&](std::string_view what) {
    return host_.plan.name + ' ' + std::string(what);
  };
  const auto processes = table.of(host_.namespaces.network);
  for (std::size_t i = programs_.size(); i > 0; --i) {
    auto& program = programs_[i - 1];
    if (program.state == Program::State::kEnded) {
      return Error(ErrorCode::kUnavailable,
                   said(program.plan->name + ": " + program.detail + "; see " + directory_ + '/' +
                        program.plan->output));
    }
    if (program.state == Program::State::kWaiting) TRY(start_program(program));
    for (const auto& role : plan_.roles) {
      if (role.program == i - 1 && find(role.role, processes) == nullptr) return said(role.role);
    }
    if (i == programs_.size() && !listens_at(program.pid, listens)) {
      return said("listening sockets");
    }
    if (program.state == Program::State::kStarting) program.state = Program::State::kRunning;
  }
  return std::string();
}

bool HostEngine::runs() const {
  return std::any_of(programs_.begin(), programs_.end(),
                     [](const auto& program) { return program.pid != 0; });
}

bool HostEngine::stops() const {
  return std::any_of(programs_.begin(), programs_.end(),
                     [](const auto& program) { return program.pid != 0 && program.asked_to_stop; });
}

bool HostEngine::stop_further(Instant now) {
  for (auto& program : programs_) {
    if (program.state == Program::State::kWaiting) program.state = Program::State::kEnded;
    if (program.state == Program::State::kEnded) continue;
    if (!program.asked_to_stop) {
      program.asked_to_stop = true;
      program.stop_deadline = now + program.plan->stop_patience;
      ::kill(program.pid, number_of(program.plan->stop));
    } else if (now > program.stop_deadline) {
      ::kill(-program.pid, SIGKILL);
    }
    return false;
  }
  return true;
}

Result<std::vector<int>> HostEngine::signal(std::string_view name, int number,
                                            const ProcessTable& table,
                                            const std::set<int>& others) {
  const auto processes = table.of(host_.namespaces.network);
  std::vector<int> signalled;
  if (name == kWholeEngine) {
    // They die at the same moment only if none can act on another's death: all stand still first.
    std::vector<int> numbers = {number};
    if (number == SIGKILL) numbers.insert(numbers.begin(), SIGSTOP);
    for (const int each : numbers) {
      signalled.clear();
      for (const int id : processes_of_engine(processes, others)) {
        if (::kill(id, each) == 0) signalled.push_back(id);
      }
    }
    if (signalled.empty()) {
      return Error(ErrorCode::kUnavailable, "the engine of " + host_.plan.name + " does not run");
    }
    return signalled;
  }
  for (const auto& program : programs_) {
    if (program.plan->name != name) continue;
    // The whole group: a balancer may have workers. The leader is our child and not yet reaped, so
    // that the number cannot have become somebody else's.
    if (program.pid == 0 || ::kill(-program.pid, number) != 0) {
      return Error(ErrorCode::kUnavailable,
                   std::string(name) + " on " + host_.plan.name + " does not run");
    }
    return std::vector<int>{program.pid};
  }
  if (!knows(name)) return Error(ErrorCode::kNotFound, std::string(name));
  const HostProcess* const process = find(name, processes);
  if (process == nullptr || ::kill(process->id, number) != 0) {
    return Error(ErrorCode::kUnavailable,
                 "the " + std::string(name) + " of " + host_.plan.name + " does not run");
  }
  return std::vector<int>{process->id};
}

Result<void> HostEngine::reload() {
  for (const auto& program : programs_) {
    const int number = number_of(program.plan->reload);
    if (number == 0) continue;
    if (program.state != Program::State::kRunning || ::kill(program.pid, number) != 0) {
      return Error(ErrorCode::kUnavailable,
                   program.plan->name + " on " + host_.plan.name + " does not run");
    }
  }
  return {};
}

const HostProcess* HostEngine::find(std::string_view role,
                                    const std::vector<HostProcess>& processes) const {
  return find_role(plan_, role, ids(), processes);
}

bool HostEngine::knows(std::string_view name) const {
  return name == kWholeEngine ||
         std::any_of(programs_.begin(), programs_.end(),
                     [&](const auto& program) { return program.plan->name == name; }) ||
         std::any_of(plan_.roles.begin(), plan_.roles.end(),
                     [&](const auto& role) { return role.role == name; });
}

std::string HostEngine::names() const {
  std::string text;
  for (const auto& program : programs_) text += ' ' + program.plan->name;
  for (const auto& role : plan_.roles) text += ' ' + std::string(role.role);
  return text + ' ' + std::string(kWholeEngine);
}

std::vector<int> HostEngine::ids() const {
  std::vector<int> ids;
  for (const auto& program : programs_) ids.push_back(program.pid);
  return ids;
}

}  // namespace nines::lab

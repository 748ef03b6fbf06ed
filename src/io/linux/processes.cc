// fork and exec by hand, since posix_spawn can neither close what it is not told of nor tie a child
// to its parent. Everything that allocates is done before fork(): between fork() and exec() other
// threads' locks may be held for ever, so only system calls are made there.
#include "io/linux/processes.h"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

namespace nines::io {

namespace {

constexpr int kStandardStreams = 3;
constexpr int kSignalMax = 64;  // the kernel's _NSIG

// glibc 2.36 declares both in <sys/pidfd.h>, but with C++ linkage, so that nothing links.
int open_pidfd(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }
int send_pidfd_signal(int pidfd, int number) {
  return static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0));
}

// What the child needs, laid out so that it has nothing left to compute.
struct Plan {
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::vector<std::pair<int, int>> descriptors;  // ours -> the child's
  std::vector<int> moved;                        // room for descriptors out of harm's way
  int free_from = kStandardStreams;              // above every number that the child is given
  int report = -1;                               // where to write the errno of a failure
  int report_reader = -1;                        // the parent's end of that
  bool end_with_parent = true;
};

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const std::string& text : texts) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// Everything beyond here until exec_child()'s end runs in the child: system calls only.

[[noreturn]] void give_up(int report, int error) {
  static_cast<void>(!::write(report, &error, sizeof error));
  ::_exit(127);
}

void restore_signals() {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number <= kSignalMax; ++number) {
    static_cast<void>(::sigaction(number, &action, nullptr));  // SIGKILL, SIGSTOP refuse: fine
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

// Puts each descriptor at its number. The sources are first copied above all targets, since one's
// target may be another's source. Whatever else is open closes itself at exec.
void place_descriptors(Plan& plan) {
  const int report = ::fcntl(plan.report, F_DUPFD_CLOEXEC, plan.free_from);
  if (report < 0) give_up(plan.report, errno);
  plan.report = report;
  for (std::size_t i = 0; i < plan.descriptors.size(); ++i) {
    plan.moved[i] = ::fcntl(plan.descriptors[i].first, F_DUPFD_CLOEXEC, plan.free_from);
    if (plan.moved[i] < 0) give_up(plan.report, errno);
  }
  if (::close_range(0, UINT_MAX, CLOSE_RANGE_CLOEXEC) != 0) give_up(plan.report, errno);
  const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int nothing_moved = ::fcntl(nothing, F_DUPFD_CLOEXEC, plan.free_from);
  if (nothing_moved < 0) give_up(plan.report, errno);
  for (int number = 0; number < kStandardStreams; ++number) {
    if (::dup2(nothing_moved, number) < 0) give_up(plan.report, errno);
  }
  for (std::size_t i = 0; i < plan.descriptors.size(); ++i) {
    if (::dup2(plan.moved[i], plan.descriptors[i].second) < 0) give_up(plan.report, errno);
  }
}

[[noreturn]] void exec_child(Plan& plan) {
  if (plan.end_with_parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    // It may have died before we asked. getppid() would tell, but not across process namespaces;
    // a pipe that nobody reads any more does.
    ::close(plan.report_reader);
    pollfd report{.fd = plan.report, .events = 0, .revents = 0};
    if (::poll(&report, 1, 0) == 1) ::_exit(127);
  }
  restore_signals();
  place_descriptors(plan);
  ::execve(plan.arguments[0], plan.arguments.data(), plan.environment.data());
  give_up(plan.report, errno);
}

// In the parent again.

// 0 once the child has become the program: its end of the pipe closes itself then. Does not wait
// for a child that has ended.
int read_report(int descriptor) {
  int error = 0;
  ssize_t count = 0;
  do {
    count = ::read(descriptor, &error, sizeof error);
  } while (count < 0 && errno == EINTR);
  return count == sizeof error ? error : 0;
}

void reap(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

LinuxProcesses::~LinuxProcesses() {
  for (auto& [pid, child] : children_) loop_.unwatch_descriptor(child.watch);
}

Result<int> LinuxProcesses::spawn(const SpawnOptions& options, Exited exited) {
  CHECK(!options.arguments.empty());
  const std::string& program = options.arguments[0];

  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno(errno, "start " + program);
  Descriptor report_reader(ends[0]);
  Descriptor report_writer(ends[1]);

  Plan plan;
  plan.arguments = pointers_to(options.arguments);
  plan.environment = pointers_to(options.environment);
  if (options.environment.empty()) {
    plan.environment.clear();
    for (char** variable = environ; *variable != nullptr; ++variable) {
      plan.environment.push_back(*variable);
    }
    plan.environment.push_back(nullptr);
  }
  plan.descriptors = options.descriptors;
  plan.moved.resize(plan.descriptors.size());
  for (const auto& [ours, theirs] : plan.descriptors) {
    CHECK(theirs >= 0);
    plan.free_from = std::max(plan.free_from, theirs + 1);
  }
  plan.report = report_writer.get();
  plan.report_reader = report_reader.get();
  plan.end_with_parent = options.end_with_parent;

  // No handler of ours may run in the child before it has put them back to their defaults.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  const int fork_error = errno;
  if (pid == 0) exec_child(plan);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return Error::from_errno(fork_error, "start " + program);

  report_writer.reset();
  if (options.await_program) {
    if (const int error = read_report(report_reader.get()); error != 0) {
      reap(pid);
      return Error::from_errno(error, "start " + program);
    }
    report_reader.reset();
  }
  // Nobody else waits for our children, so the id is still this one's even if it has ended.
  Descriptor pidfd(open_pidfd(pid));
  if (!pidfd) {
    const int error = errno;
    ::kill(pid, SIGKILL);
    reap(pid);
    return Error::from_errno(error, "watch " + program);
  }
  const EpollLoop::WatchId watch =
      loop_.watch_descriptor(pidfd.get(), EPOLLIN, [this, pid](std::uint32_t) { on_ended(pid); });
  children_.emplace(pid,
                    Child{std::move(pidfd), watch, std::move(exited), std::move(report_reader)});
  return pid;
}

Result<void> LinuxProcesses::signal(int pid, int number) {
  const auto found = children_.find(pid);
  if (found == children_.end()) {
    return Error(ErrorCode::kNotFound, "process " + std::to_string(pid) + " is no child of ours");
  }
  if (send_pidfd_signal(found->second.pidfd.get(), number) != 0) {
    return Error::from_errno(errno, "signal to process " + std::to_string(pid));
  }
  return {};
}

void LinuxProcesses::on_ended(int pid) {
  const auto found = children_.find(pid);
  CHECK(found != children_.end());
  siginfo_t info{};
  const auto descriptor = static_cast<id_t>(found->second.pidfd.get());
  if (::waitid(P_PIDFD, descriptor, &info, WEXITED | WNOHANG) != 0) {
    CHECK(errno == EINTR);  // any other error would be a child that somebody else reaped
    return;                 // the watch is level-triggered
  }
  if (info.si_pid == 0) return;
  ProcessExit end;
  if (info.si_code == CLD_EXITED) {
    end.code = info.si_status;
  } else {
    end.signal = info.si_status;
  }
  // Taken out first: the callback may spawn again.
  loop_.unwatch_descriptor(found->second.watch);
  if (found->second.report) end.error = read_report(found->second.report.get());
  const Exited exited = std::move(found->second.exited);
  children_.erase(found);
  if (exited) exited(pid, end);
}

}  // namespace nines::io

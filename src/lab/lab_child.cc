// fork, then in order: output, namespaces, descriptors, signals, body.
#include "lab/lab_child.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string>
#include <utility>

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

namespace nines::lab {
namespace {

constexpr int kExitNotStarted = 125;  // as env(1) and its kin say "could not even run it"

void close_all_but(std::vector<int> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned first = STDERR_FILENO + 1;
  for (const int each : keep) {
    const auto number = static_cast<unsigned>(each);
    if (number < first) continue;
    if (number > first) ::close_range(first, number - 1, 0);
    first = number + 1;
  }
  ::close_range(first, ~0u, 0);
}

void default_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

Result<void> redirect(const std::string& output) {
  const io::Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const io::Descriptor out(::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!nothing || !out) return Error::from_errno(errno, output);
  if (::dup2(nothing.get(), STDIN_FILENO) < 0 || ::dup2(out.get(), STDOUT_FILENO) < 0 ||
      ::dup2(out.get(), STDERR_FILENO) < 0) {
    return Error::from_errno(errno, "dup2");
  }
  return {};
}

[[noreturn]] void run_child(const ChildPlan& plan, io::Descriptor ready) {
  ::setsid();
  ::prctl(PR_SET_NAME, plan.title.c_str());
  auto prepared = redirect(plan.output);
  if (prepared.has_value() && plan.where != nullptr) prepared = plan.where->enter();
  if (!prepared.has_value()) {
    std::fprintf(stderr, "%s: %s\n", plan.title.c_str(), prepared.error().message().c_str());
    ::_exit(kExitNotStarted);
  }
  std::vector<int> keep = plan.keep;
  keep.push_back(ready.get());
  close_all_but(std::move(keep));
  default_signals();
  const int status = plan.body(ReadySignal(std::move(ready)));
  std::fflush(nullptr);
  // Not exit(): the keeper's own objects, copied into this process, must not be torn down here.
  ::_exit(status);
}

}  // namespace

void ReadySignal::ready(std::string_view words) {
  if (!pipe_) return;
  std::string line(words);
  line += '\n';
  // A pipe takes this much at once (PIPE_BUF and more); a keeper that is gone needs no telling.
  static_cast<void>(!::write(pipe_.get(), line.data(), line.size()));
  pipe_.reset();
}

Result<Child> start_child(const ChildPlan& plan) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno(errno, "pipe");
  io::Descriptor reading(ends[0]);
  io::Descriptor writing(ends[1]);
  if (::fcntl(reading.get(), F_SETFL, O_NONBLOCK) != 0) return Error::from_errno(errno, "fcntl");
  std::fflush(nullptr);
  const int pid = ::fork();
  if (pid < 0) return Error::from_errno(errno, "fork");
  if (pid == 0) run_child(plan, std::move(writing));
  return Child{.pid = pid, .ready = std::move(reading)};
}

}  // namespace nines::lab

// The process port on Linux: children seen through pidfds, so that an end is heard at once, no
// SIGCHLD is needed and no signal ever hits a recycled id.
#pragma once

#include <map>

#include "io/linux/descriptor.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"

namespace nines::io {

// Lives on its loop's thread; the loop must outlive it. Children that still run when it is
// destroyed are left alone and no longer heard of.
//
// A child starts with every signal unblocked and at its default, whatever this program blocks or
// ignores. Of its standard streams those that are not given are /dev/null, for a program whose
// descriptor 1 is closed writes into whatever it opens next.
class LinuxProcesses final : public Processes {
 public:
  explicit LinuxProcesses(EpollLoop& loop) : loop_(loop) {}
  ~LinuxProcesses() override;
  LinuxProcesses(const LinuxProcesses&) = delete;
  LinuxProcesses& operator=(const LinuxProcesses&) = delete;

  // Waits until the child has become the program, which is when a missing one is told: kNotFound,
  // kRefused (no permission) and so on, and `exited` is never called. Without await_program it
  // returns as soon as there is a child, and ProcessExit::error says why it became no program.
  Result<int> spawn(const SpawnOptions& options, Exited exited) override;
  // kNotFound for any process that is not a living child of ours.
  Result<void> signal(int pid, int number) override;

 private:
  struct Child {
    Descriptor pidfd;
    EpollLoop::WatchId watch;
    Exited exited;
    Descriptor report;  // of a child that was not waited for
  };
  void on_ended(int pid);

  EpollLoop& loop_;
  std::map<int, Child> children_;  // by process id
};

}  // namespace nines::io

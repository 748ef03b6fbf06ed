// A child process with a bound: its output kept up to a limit, its life up to a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "base/timer_wheel.h"
#include "io/linux/descriptor.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/processes.h"

namespace nines::galera {

struct ChildEnd {
  io::ProcessExit exit;
  bool is_out_of_time = false;  // and was killed
  std::string output;           // of its standard output
  std::string errors;           // the end of its standard error
  bool is_good() const { return !is_out_of_time && exit.signal == 0 && exit.code == 0; }
  // "ended with 3: LAST LINE OF ERRORS", for people.
  std::string text() const;
};

// Lives on its loop until `done` ran, which is once and never within the constructor. When the
// child ends its pipes are read to what is there: a grandchild that keeps them is not waited for.
class Child final : private base::Timer {
 public:
  static constexpr std::size_t kOutputMax = 64u << 10;    // bytes; the rest is dropped
  static constexpr std::size_t kErrorsKept = 256u << 10;  // bytes, of the end
  using Done = std::function<void(ChildEnd)>;

  // words[0] is a path, or is looked for where PATH says.
  static Result<std::unique_ptr<Child>> start(io::EpollLoop& loop, io::LinuxProcesses& processes,
                                              std::vector<std::string> words, Duration patience,
                                              Done done);
  ~Child() override;
  // Its standard output as it comes, besides.
  void set_heard(std::function<void(std::string_view)> heard) { heard_ = std::move(heard); }

 private:
  struct Pipe {
    io::Descriptor end;
    io::EpollLoop::WatchId watch = 0;
  };

  Child(io::EpollLoop& loop, io::LinuxProcesses& processes, Done done)
      : loop_(loop), processes_(processes), done_(std::move(done)) {}
  void on_timer(Instant now) override;
  void read(Pipe& pipe, bool is_output);
  void ended(io::ProcessExit exit);

  io::EpollLoop& loop_;
  io::LinuxProcesses& processes_;
  Done done_;
  std::function<void(std::string_view)> heard_;
  int pid_ = 0;
  Pipe output_, errors_;
  ChildEnd end_;
  // Whether this object still lives, for the callback of a process that outlives it; shared with
  // that alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace nines::galera

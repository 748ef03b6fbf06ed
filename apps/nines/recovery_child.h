// `nines galera recover --automatic` as a child of the daemon: a manager that finds an outage has
// not the rights to start servers, and a recovery is no work for the process that holds the planes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "galera/child.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/processes.h"
#include "io/ports.h"

namespace nines {

// Lives on the loop of a process with one thread; loop and log outlive it. Destroyed, it kills the
// child, and the recovery's record says how far it came.
class RecoveryChild {
 public:
  // A state transfer of all data to each member is in it.
  static constexpr Duration kLifeMax = std::chrono::hours(24);
  static constexpr std::size_t kLineMax = 500;    // bytes, to the log
  static constexpr std::size_t kWordsMax = 2000;  // bytes of a refusal

  RecoveryChild(io::EpollLoop& loop, io::Log& log) : loop_(loop), log_(log), processes_(loop) {}

  // `ended` runs once, later: the exit code and why it refused. Nothing while one runs already.
  using Ended = std::function<void(int code, const std::string& words)>;
  void begin(const std::string& config_path, const std::string& why, Ended ended);
  bool runs() const { return child_ != nullptr; }

 private:
  void heard(std::string_view bytes);
  void say(const std::string& line);

  io::EpollLoop& loop_;
  io::Log& log_;
  io::LinuxProcesses processes_;
  std::unique_ptr<galera::Child> child_;
  std::string line_;   // not whole yet
  std::string words_;  // from "REFUSED" on
};

}  // namespace nines

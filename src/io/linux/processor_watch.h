// A thread that watches another one's waking. A processor may stand still with a thread on it that
// was due: it is kept by the kernel (a section that cannot be interrupted, for 0.1 s while a
// network namespace goes) or by a hypervisor. The scheduler leaves the thread there, however free
// the other processors are and whatever its class.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include <sched.h>
#include <sys/types.h>

#include "base/result.h"
#include "base/time.h"

namespace nines::io {

// All but its construction is called by the watched thread. While off it costs nothing.
class ProcessorWatch {
 public:
  // A thread that is due for longer is moved. Its timers are some 0.1 ms late on a busy machine.
  static constexpr Duration kLateMax = std::chrono::milliseconds(10);

  struct Moved {
    int from = 0;     // the processor that stood still
    Duration late{};  // from when it was due until it was at work again
  };

  // Watches the calling thread, by one of the same scheduling class as far as the rights allow.
  // `wake`: makes the thread wake up, thread-safe (EpollLoop::post()). `moved`: after each time, by
  // the watched thread. kUnsupported: it may use one processor only.
  static Result<std::unique_ptr<ProcessorWatch>> create(std::function<void()> wake,
                                                        std::function<void(Moved)> moved);
  ~ProcessorWatch();
  ProcessorWatch(const ProcessorWatch&) = delete;
  ProcessorWatch& operator=(const ProcessorWatch&) = delete;

  void set_on(bool on);

  // It goes to sleep, and wants to be at work again by then (CLOCK_BOOTTIME).
  void sleeps_until(Instant due) { due_.store(due.nanoseconds, std::memory_order_release); }
  // At once when it is at work again: where it may run is then as it was before it was moved.
  void is_awake();

 private:
  static constexpr std::int64_t kAwake = 0;

  ProcessorWatch(std::function<void()> wake, std::function<void(Moved)> moved, cpu_set_t all);

  void run();
  void move_if_late();
  void keep_off(int processor);

  const std::function<void()> wake_;
  const std::function<void(Moved)> moved_;
  const cpu_set_t all_;  // where both threads might run at first
  const pid_t watched_;
  std::atomic<std::int64_t> due_{kAwake};  // nanoseconds
  std::atomic<int> processor_;             // that it was at work on last
  // Not kAwake: it was moved, and has not been at work since. Whoever may change it has before_ as
  // well: the watching thread while it is kAwake, else the watched one.
  std::atomic<std::int64_t> moved_at_due_{kAwake};
  cpu_set_t before_{};  // where the watched thread might run before it was moved
  int own_ = -1;        // the watching thread's processor, which it keeps to
  std::mutex mutex_;
  std::condition_variable news_;
  bool on_ = false;      // guarded by mutex_
  bool ending_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace nines::io

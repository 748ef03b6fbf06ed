// Moving a thread that waits on another processor's queue is the caller's work alone: the processor
// that stands still has no part in it (Linux, affine_move_task()). One that sleeps is woken, and
// goes to where it may.
#include "io/linux/processor_watch.h"

#include <cerrno>
#include <ctime>
#include <utility>

#include <pthread.h>
#include <unistd.h>

namespace nines::io {
namespace {

Instant boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec};
}

cpu_set_t only(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return set;
}

}  // namespace

Result<std::unique_ptr<ProcessorWatch>> ProcessorWatch::create(std::function<void()> wake,
                                                               std::function<void(Moved)> moved) {
  cpu_set_t all;
  CPU_ZERO(&all);
  if (::sched_getaffinity(0, sizeof all, &all) != 0) {
    return Error::from_errno(errno, "the processors of a thread");
  }
  if (CPU_COUNT(&all) < 2) {
    return Error(ErrorCode::kUnsupported, "there is one processor, and none to go to from it");
  }
  return std::unique_ptr<ProcessorWatch>(
      new ProcessorWatch(std::move(wake), std::move(moved), all));
}

ProcessorWatch::ProcessorWatch(std::function<void()> wake, std::function<void(Moved)> moved,
                               cpu_set_t all)
    : wake_(std::move(wake)),
      moved_(std::move(moved)),
      all_(all),
      watched_(::gettid()),
      processor_(::sched_getcpu()) {
  thread_ = std::thread([this] { run(); });
  sched_param parameters{};
  const int policy = ::sched_getscheduler(0);
  if (policy < 0 || ::sched_getparam(0, &parameters) != 0) return;
  // It is not handed down to threads (sched(7), SCHED_RESET_ON_FORK).
  ::pthread_setschedparam(thread_.native_handle(), policy & ~SCHED_RESET_ON_FORK, &parameters);
}

ProcessorWatch::~ProcessorWatch() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_one();
  thread_.join();
  is_awake();
}

void ProcessorWatch::set_on(bool on) {
  {
    const std::lock_guard lock(mutex_);
    on_ = on;
  }
  news_.notify_one();
}

void ProcessorWatch::is_awake() {
  due_.store(kAwake, std::memory_order_release);
  const int from = processor_.exchange(::sched_getcpu(), std::memory_order_relaxed);
  if (moved_at_due_.load(std::memory_order_relaxed) == kAwake) return;
  const std::int64_t due = moved_at_due_.load(std::memory_order_acquire);
  ::sched_setaffinity(0, sizeof before_, &before_);
  moved_at_due_.store(kAwake, std::memory_order_release);
  moved_({.from = from, .late = boot_time() - Instant{due}});
}

void ProcessorWatch::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (!on_) {
      news_.wait(lock);
      continue;
    }
    keep_off(processor_.load(std::memory_order_relaxed));
    const std::int64_t due = due_.load(std::memory_order_acquire);
    const Instant now = boot_time();
    // At work: it may be asleep again by then.
    const Instant look_at = (due == kAwake ? now : Instant{due}) + kLateMax;
    if (look_at > now) {
      news_.wait_for(lock, look_at - now);
      continue;
    }
    lock.unlock();
    move_if_late();
    lock.lock();
    if (!ending_) news_.wait_for(lock, kLateMax);
  }
}

void ProcessorWatch::move_if_late() {
  // On the same one: then it does not stand still.
  if (own_ == processor_.load(std::memory_order_relaxed)) return;
  const std::int64_t due = due_.load(std::memory_order_acquire);
  if (due == kAwake || boot_time() < Instant{due} + kLateMax) return;
  // As somebody may have set it meanwhile; but not as it was set here.
  if (moved_at_due_.load(std::memory_order_acquire) != kAwake) return wake_();
  if (::sched_getaffinity(watched_, sizeof before_, &before_) != 0) return;
  const cpu_set_t here = only(own_);
  if (::sched_setaffinity(watched_, sizeof here, &here) != 0) return;
  // After that: whichever waking comes next puts it right.
  moved_at_due_.store(due, std::memory_order_release);
  wake_();
}

void ProcessorWatch::keep_off(int processor) {
  if (own_ >= 0 && own_ != processor) return;
  // The first ones have most of the devices' interrupts.
  for (int each = CPU_SETSIZE - 1; each >= 0; --each) {
    if (each == processor || !CPU_ISSET(each, &all_)) continue;
    const cpu_set_t set = only(each);
    if (::sched_setaffinity(0, sizeof set, &set) == 0) own_ = each;
    return;
  }
}

}  // namespace nines::io

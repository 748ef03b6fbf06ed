// Keys take turns: after one, the next higher one that has a task.
#include "io/linux/keyed_worker.h"

#include <utility>

#include <sys/resource.h>

namespace nines::io {
namespace {

// Ahead of most, but never of a loop of the real-time class: who waits for a lock of the kernel's
// may do so by spinning there (Linux, mutex_optimistic_spin()).
constexpr int kNice = -10;

}  // namespace

KeyedWorker::~KeyedWorker() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_one();
  thread_.join();
}

void KeyedWorker::post(std::size_t key, std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_[key] = std::move(task);
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  news_.notify_one();
}

void KeyedWorker::settle() {
  std::unique_lock lock(mutex_);
  tasks_.clear();
  idle_.wait(lock, [this] { return !at_work_; });
}

void KeyedWorker::settle(std::size_t key) {
  std::unique_lock lock(mutex_);
  tasks_.erase(key);
  idle_.wait(lock, [this] { return !at_work_; });
}

void KeyedWorker::run() {
  ::setpriority(PRIO_PROCESS, 0, kNice);  // of this thread; refused: later than it might
  std::unique_lock lock(mutex_);
  std::size_t next = 0;
  while (true) {
    news_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
    if (ending_) return;
    auto found = tasks_.lower_bound(next);
    if (found == tasks_.end()) found = tasks_.begin();
    next = found->first + 1;
    const std::function<void()> task = std::move(found->second);
    tasks_.erase(found);
    at_work_ = true;
    lock.unlock();
    task();
    lock.lock();
    at_work_ = false;
    idle_.notify_all();
  }
}

}  // namespace nines::io

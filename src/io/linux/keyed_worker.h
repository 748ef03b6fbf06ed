// Calls that may wait for one of the kernel's locks, on a thread of their own: the loop that asks
// for them does not wait.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace nines::io {

// One thread asks. The other begins with the first task, and so with no more rights than the asking
// one has kept (capabilities(7): they are each thread's own), in the same network namespace.
class KeyedWorker {
 public:
  KeyedWorker() = default;
  ~KeyedWorker();  // waits for the task that is at work; what is not begun is not done
  KeyedWorker(const KeyedWorker&) = delete;
  KeyedWorker& operator=(const KeyedWorker&) = delete;

  // Takes the place of a task of the same key that has not begun. Does not wait.
  void post(std::size_t key, std::function<void()> task);
  // What is not begun, of all keys or one, is not done. Then waits for the task that is at work,
  // whichever it is: whatever it uses is the caller's until the next post().
  void settle();
  void settle(std::size_t key);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable news_, idle_;
  std::map<std::size_t, std::function<void()>> tasks_;  // guarded by mutex_, as the next two
  bool at_work_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace nines::io

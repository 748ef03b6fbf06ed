// What the kernel is asked and told about sessions, on a thread of its own: a look through its
// table and a packet for each of hundreds of clients take their time, and the loop that renews
// leases waits for neither.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "address/session_table.h"
#include "address/session_watch.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "cluster/session_message.h"

namespace nines::cluster {

// Belongs to the network namespace of the thread that makes it.
class SessionWorker {
 public:
  struct Look {
    bool walked = false;                 // the kernel's table, however many sockets it has
    std::vector<SessionTuple> sessions;  // sorted, each once, all tellable
    std::size_t left_out = 0;            // more than `most`
    Duration cost{};                     // of the processor's time
    std::string error;                   // nothing was found because of it; empty: none
  };
  struct Nudged {
    std::size_t nudged = 0;
    std::size_t living = 0;  // left alone: this host has such a session
    std::string error;
  };
  struct Told {  // called on the thread
    std::function<void(Look)> look;
    std::function<void(Nudged)> nudged;
  };

  // `watch`: none, each look is a walk.
  SessionWorker(address::SessionTable table, std::optional<address::SessionWatch> watch,
                std::size_t most, Told told);
  ~SessionWorker();  // ends the thread
  SessionWorker(const SessionWorker&) = delete;
  SessionWorker& operator=(const SessionWorker&) = delete;

  // None of these waits. A look replaces one that was not begun. `walk`: what the watch has not
  // seen begin or end is looked for as well.
  void look(std::vector<SocketAddress> addresses, bool walk);
  // Those that this host's kernel does not have, each looked up right before.
  void nudge(const std::vector<SessionTuple>& sessions);
  void forget_nudges();

  bool watches() const { return watch_.has_value(); }
  // Of those addresses that are watched; only if it watches().
  std::uint64_t accepted() const { return watch_->accepted(); }

 private:
  struct Wish {
    std::vector<SocketAddress> addresses;
    bool walk = true;
  };

  void run();
  Look find(const Wish& wish);
  Result<std::vector<SessionTuple>> walk(const std::vector<SocketAddress>& addresses, Look& look);
  Result<std::vector<SessionTuple>> watched() const;
  Nudged send(const std::vector<SessionTuple>& sessions) const;

  address::SessionTable table_;                 // the thread's
  std::optional<address::SessionWatch> watch_;  // the thread's, but for its count
  std::vector<SessionTuple> begun_before_;      // the thread's: by the last walk, not by the watch
  const std::size_t most_;
  Told told_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::optional<Wish> look_;  // guarded by mutex_
  // Guarded by mutex_; whoever wants them measures their pace (SessionKeeper).
  std::vector<SessionTuple> nudges_;
  bool ending_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace nines::cluster

// Nudges come first: somebody waits for them.
#include "cluster/session_worker.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <time.h>

#include "address/peer_nudge.h"

namespace nines::cluster {

namespace {

Duration processor_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// Sorted, each once.
std::vector<SessionTuple> tuples_of(const std::vector<address::Session>& sessions) {
  std::vector<SessionTuple> tuples;
  tuples.reserve(sessions.size());
  for (const address::Session& session : sessions) {
    const SessionTuple tuple = SessionTuple::of(session.local, session.peer);
    if (is_tellable(tuple)) tuples.push_back(tuple);
  }
  std::sort(tuples.begin(), tuples.end());
  // The kernel's table may change while it is walked.
  tuples.erase(std::unique(tuples.begin(), tuples.end()), tuples.end());
  return tuples;
}

std::vector<SessionTuple> with(const std::vector<SessionTuple>& some,
                               const std::vector<SessionTuple>& others) {
  std::vector<SessionTuple> all;
  std::set_union(some.begin(), some.end(), others.begin(), others.end(), std::back_inserter(all));
  return all;
}
std::vector<SessionTuple> without(const std::vector<SessionTuple>& some,
                                  const std::vector<SessionTuple>& others) {
  std::vector<SessionTuple> rest;
  std::set_difference(some.begin(), some.end(), others.begin(), others.end(),
                      std::back_inserter(rest));
  return rest;
}

}  // namespace

SessionWorker::SessionWorker(address::SessionTable table,
                             std::optional<address::SessionWatch> watch, std::size_t most,
                             Told told)
    : table_(std::move(table)), watch_(std::move(watch)), most_(most), told_(std::move(told)) {
  thread_ = std::thread([this] { run(); });
}

SessionWorker::~SessionWorker() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_one();
  thread_.join();
}

void SessionWorker::look(std::vector<SocketAddress> addresses, bool walk) {
  {
    const std::lock_guard lock(mutex_);
    look_ = Wish{.addresses = std::move(addresses), .walk = walk || (look_ && look_->walk)};
  }
  news_.notify_one();
}

void SessionWorker::nudge(const std::vector<SessionTuple>& sessions) {
  {
    const std::lock_guard lock(mutex_);
    nudges_.insert(nudges_.end(), sessions.begin(), sessions.end());
  }
  news_.notify_one();
}

void SessionWorker::forget_nudges() {
  const std::lock_guard lock(mutex_);
  nudges_.clear();
}

void SessionWorker::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    news_.wait(lock, [this] { return ending_ || look_ || !nudges_.empty(); });
    if (ending_) return;
    if (!nudges_.empty()) {
      const auto nudges = std::exchange(nudges_, {});
      lock.unlock();
      told_.nudged(send(nudges));
    } else {
      const Wish wish = *std::exchange(look_, std::nullopt);
      lock.unlock();
      told_.look(find(wish));
    }
    lock.lock();
  }
}

SessionWorker::Look SessionWorker::find(const Wish& wish) {
  Look look{.walked = wish.walk || !watch_, .sessions = {}, .error = {}};
  const Duration begun = processor_time();
  auto found = look.walked ? walk(wish.addresses, look) : watched();
  if (!found.has_value()) {
    look.error = found.error().message();
  } else if (look.walked) {
    look.sessions = *std::move(found);
  } else {
    look.sessions = with(*found, begun_before_);
  }
  look.cost = processor_time() - begun;
  return look;
}

Result<std::vector<SessionTuple>> SessionWorker::walk(const std::vector<SocketAddress>& addresses,
                                                      Look& look) {
  const std::vector<SessionTuple> before = TRY(watched());
  const auto found = TRY(table_.find(addresses, most_));
  look.left_out = found.left_out;
  const std::vector<SessionTuple> walked = tuples_of(found.sessions);
  if (!watch_) return walked;
  // What stood noted all the while and is not there has ended unseen; what began meanwhile the walk
  // may have missed.
  const std::vector<SessionTuple> over = without(before, walked);
  if (look.left_out == 0) {
    for (const SessionTuple& each : over) {
      TRY(watch_->forget({each.local_address(), each.peer_address()}));
    }
  }
  const std::vector<SessionTuple> after = TRY(watched());
  begun_before_ = without(without(walked, before), after);
  return with(walked, after);
}

Result<std::vector<SessionTuple>> SessionWorker::watched() const {
  if (!watch_) return std::vector<SessionTuple>();
  return tuples_of(TRY(watch_->find()));
}

SessionWorker::Nudged SessionWorker::send(const std::vector<SessionTuple>& sessions) const {
  Nudged nudged;
  std::vector<address::Session> gone;
  for (const SessionTuple& tuple : sessions) {
    address::Session session{tuple.local_address(), tuple.peer_address()};
    const auto has = table_.has(session);
    if (!has.has_value()) {
      nudged.error = has.error().message();
    } else if (*has) {
      ++nudged.living;
    } else {
      gone.push_back(std::move(session));
    }
  }
  const auto sent = address::nudge_peers(gone, address::Nudge::kGentle);
  if (sent.has_value()) {
    nudged.nudged = gone.size();
  } else {
    nudged.error = sent.error().message();
  }
  return nudged;
}

}  // namespace nines::cluster

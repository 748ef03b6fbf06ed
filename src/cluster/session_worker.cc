// Nudges come first: somebody waits for them.
#include "cluster/session_worker.h"

#include <algorithm>
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

}  // namespace

SessionWorker::SessionWorker(address::SessionTable table, std::size_t most, Told told)
    : table_(std::move(table)), most_(most), told_(std::move(told)) {
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

void SessionWorker::look(std::vector<SocketAddress> addresses) {
  {
    const std::lock_guard lock(mutex_);
    look_ = std::move(addresses);
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
      const auto addresses = *std::exchange(look_, std::nullopt);
      lock.unlock();
      told_.look(find(addresses));
    }
    lock.lock();
  }
}

SessionWorker::Look SessionWorker::find(const std::vector<SocketAddress>& addresses) const {
  Look look;
  const Duration begun = processor_time();
  const auto found = table_.find(addresses, most_);
  if (found.has_value()) {
    look.left_out = found->left_out;
    look.sessions.reserve(found->sessions.size());
    for (const address::Session& session : found->sessions) {
      const SessionTuple tuple = SessionTuple::of(session.local, session.peer);
      if (is_tellable(tuple)) look.sessions.push_back(tuple);
    }
    std::sort(look.sessions.begin(), look.sessions.end());
    // The kernel's table may change while it is walked.
    look.sessions.erase(std::unique(look.sessions.begin(), look.sessions.end()),
                        look.sessions.end());
  } else {
    look.error = found.error().message();
  }
  look.cost = processor_time() - begun;
  return look;
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

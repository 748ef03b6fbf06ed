// The last wish for each lease is written, however many came before it.
#include "address/opening_thread.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <sys/resource.h>

#include "base/check.h"

namespace nines::address {
namespace {

// Ahead of most, but never of the loop: a thread that waits for nftables' lock may do so by
// spinning in the kernel (Linux, mutex_optimistic_spin()).
constexpr int kNice = -10;

}  // namespace

OpeningThread::~OpeningThread() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_one();
  thread_.join();
}

void OpeningThread::start_anew(const std::vector<GuardFamilies>& leases) {
  std::unique_lock lock(mutex_);
  leases_.clear();
  wait_until_idle(lock);
  for (const GuardFamilies& families : leases) leases_.push_back({.guarded = families.ipv4});
  writer_.start_anew(leases);
  failure_.reset();
}

void OpeningThread::settle(std::size_t lease, Instant end) {
  std::unique_lock lock(mutex_);
  CHECK(lease < leases_.size());
  leases_[lease] = {.guarded = leases_[lease].guarded, .end = end};
  wait_until_idle(lock);
}

Result<void> OpeningThread::open_until(std::size_t lease, Instant end) {
  {
    const std::lock_guard lock(mutex_);
    CHECK(lease < leases_.size());
    if (failure_) return *std::exchange(failure_, std::nullopt);
    Lease& of = leases_[lease];
    if (!of.guarded) return {};
    const auto left = left_until(end), left_before = left_until(of.end);
    if (left && left_before && of.end <= end && *left_before >= *left / 2) return {};
    of.end = end;
    of.wanted = end;
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  news_.notify_one();
  return {};
}

void OpeningThread::run() {
  ::setpriority(PRIO_PROCESS, 0, kNice);  // refused: later than it might
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const auto lease = next_wanted();
    if (!lease) {
      news_.wait(lock);
      continue;
    }
    const Instant end = *std::exchange(leases_[*lease].wanted, std::nullopt);
    writing_ = true;
    lock.unlock();
    auto written = writer_.write(netlink_, *lease, opening_until(end));
    lock.lock();
    writing_ = false;
    if (!written.has_value()) {
      failure_ = std::move(written).error();
      for (Lease& each : leases_) each.end = Instant{};
    }
    idle_.notify_all();
  }
}

std::optional<std::size_t> OpeningThread::next_wanted() const {
  const auto found =
      std::find_if(leases_.begin(), leases_.end(), [](const Lease& of) { return !!of.wanted; });
  if (found == leases_.end()) return std::nullopt;
  return static_cast<std::size_t>(std::distance(leases_.begin(), found));
}

void OpeningThread::wait_until_idle(std::unique_lock<std::mutex>& lock) {
  idle_.wait(lock, [this] { return !writing_; });
}

}  // namespace nines::address

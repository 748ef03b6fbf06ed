// The last wish for each lease is written, however many came before it.
#include "address/opening_thread.h"

#include "base/check.h"

namespace nines::address {

void OpeningThread::start_anew(const std::vector<GuardFamilies>& leases) {
  worker_.settle();
  leases_.clear();
  for (const GuardFamilies& families : leases) leases_.push_back({.guarded = families.ipv4});
  writer_.start_anew(leases);
  take_failure();
}

void OpeningThread::settle(std::size_t lease, Instant end) {
  CHECK(lease < leases_.size());
  worker_.settle(lease);
  leases_[lease].end = end;
}

Result<void> OpeningThread::open_until(std::size_t lease, Instant end) {
  CHECK(lease < leases_.size());
  if (auto failure = take_failure()) {
    for (Lease& each : leases_) each.end = Instant{};
    return *std::move(failure);
  }
  Lease& of = leases_[lease];
  if (!of.guarded) return {};
  const auto left = left_until(end), left_before = left_until(of.end);
  if (left && left_before && of.end <= end && *left_before >= *left / 2) return {};
  of.end = end;
  worker_.post(lease, [this, lease, end] { write(lease, end); });
  return {};
}

void OpeningThread::write(std::size_t lease, Instant end) {
  auto written = writer_.write(netlink_, lease, opening_until(end));
  if (written.has_value()) return;
  const std::lock_guard lock(mutex_);
  failure_ = std::move(written).error();
}

std::optional<Error> OpeningThread::take_failure() {
  const std::lock_guard lock(mutex_);
  return std::exchange(failure_, std::nullopt);
}

}  // namespace nines::address

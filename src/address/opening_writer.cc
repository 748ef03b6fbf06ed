// The clocks of an opening, and its transaction, written once and renumbered after that.
#include "address/opening_writer.h"

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <utility>

#include "base/check.h"

namespace nines::address {
namespace {

std::int64_t nanoseconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

}  // namespace

std::optional<Duration> left_until(Instant end) {
  const Instant now{nanoseconds(CLOCK_BOOTTIME)};
  const Duration left = std::min<Duration>(end - now, kOpeningMax);
  return left < kOpeningMin ? std::nullopt : std::optional(left);
}

// The wall clock is read first.
std::optional<Opening> opening_until(Instant end) {
  const std::int64_t wall = nanoseconds(CLOCK_REALTIME);
  const auto left = left_until(end);
  if (!left) return std::nullopt;
  return Opening{.left = *left, .wall_end = WallTime{wall + left->count()}};
}

void OpeningWriter::start_anew(const std::vector<GuardFamilies>& leases) {
  leases_.clear();
  for (const GuardFamilies& families : leases) leases_.push_back({.families = families});
}

Result<void> OpeningWriter::write(NftSocket& netlink, std::size_t lease,
                                  const std::optional<Opening>& opening) {
  CHECK(lease < leases_.size());
  Lease& of = leases_[lease];
  if (tables_ == OpeningTables::kArp && !of.families.ipv4) return {};
  if (opening && of.renewal) {
    replace_opening(of.renewal->batch, of.renewal->places, *opening);
    return netlink.send_again(of.renewal->batch);
  }
  NftBatch batch = netlink.begin();
  OpeningPlaces places = write_opening(batch, tables_, lease, of.families, opening);
  auto sent = netlink.send(batch, NftBatch::Ending::kCommit);
  if (opening) of.renewal = Lease::Renewal{std::move(batch), std::move(places)};
  return sent;
}

}  // namespace nines::address

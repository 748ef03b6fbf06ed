// One array of one value, a word for each lease; one program for each, with its word's place in it.
#include "address/lease_ends.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include "address/bpf_code.h"
#include "address/guard_rules.h"
#include "base/check.h"

namespace nines::address {
namespace {

using namespace bpf;  // NOLINT: a program is read by its instructions

constexpr std::size_t kWord = sizeof(std::uint64_t);

std::vector<bpf_insn> end_program(int map, std::size_t lease) {
  Code w;
  const Code::Label is_over = w.label();
  w.call(BPF_FUNC_ktime_get_boot_ns);
  w.set_value(r1, map, static_cast<std::uint32_t>(lease * kWord));
  w.load_long(r1, r1, 0);
  w.jump_if_at_least(r0, r1, is_over);
  w.leave_with(0);
  w.place(is_over);
  return w.end_with(1);
}

}  // namespace

Result<LeaseEnds> LeaseEnds::create(std::size_t leases) {
  CHECK(leases <= kGuardedLeasesMax);
  LeaseEnds ends;
  ends.map_ = TRY(make_map(BPF_MAP_TYPE_ARRAY, sizeof(std::uint32_t), kGuardedLeasesMax * kWord, 1,
                           BPF_F_MMAPABLE));
  ends.ends_ = TRY(share(ends.map_, Sharing::kWrite));
  for (std::size_t lease = 0; lease < leases; ++lease) {
    ends.programs_.push_back(TRY(load(BPF_PROG_TYPE_SOCKET_FILTER, BPF_CGROUP_INET_INGRESS,
                                      end_program(ends.map_.get(), lease))));
  }
  return ends;
}

// In one order with whatever is sent next, also from another processor.
void LeaseEnds::set(std::size_t lease, Instant end) {
  CHECK(lease < programs_.size());
  const auto word = static_cast<std::uint64_t>(std::max<std::int64_t>(end.nanoseconds, 0));
  std::atomic_ref<std::uint64_t>(ends_[lease]).store(word, std::memory_order_seq_cst);
}

Instant LeaseEnds::of(std::size_t lease) const {
  CHECK(lease < programs_.size());
  return Instant{static_cast<std::int64_t>(ends_[lease])};
}

}  // namespace nines::address

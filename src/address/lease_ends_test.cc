// The memory that the kernel reads, asked by the kernel's own test run of a program.
#include "address/lease_ends.h"

#include <array>
#include <cerrno>
#include <ctime>
#include <optional>

#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "address/guard_rules.h"

namespace nines::address {
namespace {

using namespace std::chrono_literals;

Instant now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return Instant{time.tv_sec * 1'000'000'000LL + time.tv_nsec};
}

// What the program answers for a packet of an Ethernet header's length and more.
std::uint32_t answer_of(int program) {
  std::array<char, 64> packet{};
  bpf_attr attributes{};
  attributes.test.prog_fd = static_cast<std::uint32_t>(program);
  attributes.test.data_in = reinterpret_cast<std::uintptr_t>(packet.data());
  attributes.test.data_size_in = packet.size();
  EXPECT_EQ(::syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attributes, sizeof attributes), 0) << errno;
  return attributes.test.retval;
}

class LeaseEndsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto ends = LeaseEnds::create(kGuardedLeasesMax);
    if (!ends.has_value()) GTEST_SKIP() << ends.error().message();
    ends_ = *std::move(ends);
  }
  bool is_over(std::size_t lease) { return answer_of(ends_->program(lease)) == 1; }

  std::optional<LeaseEnds> ends_;
};

TEST_F(LeaseEndsTest, EachLeaseIsOverUntilItsOwnWordSaysOtherwise) {
  for (std::size_t lease = 0; lease < kGuardedLeasesMax; ++lease) EXPECT_TRUE(is_over(lease));
  for (const std::size_t lease : {std::size_t{0}, std::size_t{7}, kGuardedLeasesMax - 1}) {
    ends_->set(lease, now() + 1h);
    for (std::size_t other = 0; other < kGuardedLeasesMax; ++other) {
      EXPECT_EQ(is_over(other), other != lease) << other << " while " << lease << " is held";
    }
    ends_->set(lease, Instant{});
    EXPECT_TRUE(is_over(lease));
  }
}

TEST_F(LeaseEndsTest, TheEndIsByTheClockThatGoesOnInSleep) {
  const Instant begun = now();
  ends_->set(0, begun + 50ms);
  while (now() < begun + 40ms) {
    const bool over = is_over(0);
    ASSERT_TRUE(!over || now() >= begun + 50ms);
  }
  while (now() < begun + 50ms) continue;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(is_over(0));
}

TEST_F(LeaseEndsTest, EndsThatNoClockReachesAreTakenAsTheyAre) {
  ends_->set(0, Instant::max());
  EXPECT_FALSE(is_over(0));
  ends_->set(0, Instant{1});
  EXPECT_TRUE(is_over(0));
  ends_->set(0, Instant{-1});
  EXPECT_TRUE(is_over(0));
}

}  // namespace
}  // namespace nines::address

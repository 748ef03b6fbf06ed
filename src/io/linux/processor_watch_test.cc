// A thread that does not come to work in time is moved and woken, and may run where it might before
// as soon as it does. What a processor that stands still is like cannot be asked for here: a
// sleeper that oversleeps stands for it.
#include "io/linux/processor_watch.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "io/linux/epoll_loop.h"

namespace nines::io {
namespace {

cpu_set_t processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  EXPECT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  return set;
}

Instant boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec};
}

class ProcessorWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    all_ = processors();
    auto watch = ProcessorWatch::create(
        [this] {
          const std::lock_guard lock(mutex_);
          ++woken_;
          news_.notify_all();
        },
        [this](ProcessorWatch::Moved moved) { moved_.push_back(moved); });
    if (CPU_COUNT(&all_) < 2) {
      ASSERT_FALSE(watch.has_value());
      EXPECT_EQ(watch.error().code(), ErrorCode::kUnsupported);
      GTEST_SKIP() << "one processor";
    }
    ASSERT_TRUE(watch.has_value()) << watch.error().message();
    watch_ = *std::move(watch);
  }
  void TearDown() override {
    watch_.reset();
    const cpu_set_t now = processors();
    EXPECT_TRUE(CPU_EQUAL(&now, &all_));
  }

  // Whether it was woken within `time`.
  bool sleep_for(Duration time) {
    std::unique_lock lock(mutex_);
    const int before = woken_;
    return news_.wait_for(lock, time, [&] { return woken_ > before; });
  }

  cpu_set_t all_{};
  std::mutex mutex_;
  std::condition_variable news_;
  int woken_ = 0;
  std::vector<ProcessorWatch::Moved> moved_;  // this thread's
  std::unique_ptr<ProcessorWatch> watch_;
};

TEST_F(ProcessorWatchTest, WhoOversleepsIsMovedAndMayGoEverywhereAgain) {
  watch_->set_on(true);
  const Instant due = boot_time();
  watch_->sleeps_until(due);
  ASSERT_TRUE(sleep_for(10s));
  const cpu_set_t while_moved = processors();
  EXPECT_EQ(CPU_COUNT(&while_moved), 1);
  EXPECT_GE(boot_time() - due, ProcessorWatch::kLateMax);
  watch_->is_awake();
  const cpu_set_t after = processors();
  EXPECT_TRUE(CPU_EQUAL(&after, &all_));
  ASSERT_EQ(moved_.size(), 1u);
  EXPECT_TRUE(CPU_ISSET(moved_[0].from, &all_));
  EXPECT_FALSE(CPU_ISSET(moved_[0].from, &while_moved)) << "it was there already";
  EXPECT_GE(moved_[0].late, ProcessorWatch::kLateMax);
}

TEST_F(ProcessorWatchTest, WhereItMightRunMeanwhileIsWhereItMayRunAgain) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(::sched_getcpu(), &one);
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
  watch_->is_awake();
  watch_->set_on(true);
  watch_->sleeps_until(boot_time());
  ASSERT_TRUE(sleep_for(10s));
  watch_->is_awake();
  const cpu_set_t after = processors();
  EXPECT_TRUE(CPU_EQUAL(&after, &one));
  EXPECT_EQ(moved_.size(), 1u);
  ASSERT_EQ(::sched_setaffinity(0, sizeof all_, &all_), 0);
}

TEST_F(ProcessorWatchTest, ItIsMovedAgainIfItOversleepsAgain) {
  watch_->set_on(true);
  for (std::size_t i = 1; i <= 3; ++i) {
    watch_->sleeps_until(boot_time());
    ASSERT_TRUE(sleep_for(10s));
    watch_->is_awake();
    EXPECT_EQ(moved_.size(), i);
  }
}

TEST_F(ProcessorWatchTest, WhoSleepsInTimeOrIsAtWorkOrIsNotWatchedIsLetBe) {
  watch_->sleeps_until(boot_time());
  EXPECT_FALSE(sleep_for(5 * ProcessorWatch::kLateMax)) << "it is off";
  watch_->is_awake();
  watch_->set_on(true);
  EXPECT_FALSE(sleep_for(5 * ProcessorWatch::kLateMax)) << "it is at work";
  watch_->sleeps_until(boot_time() + 1h);
  EXPECT_FALSE(sleep_for(5 * ProcessorWatch::kLateMax)) << "it is not due";
  watch_->set_on(false);
  watch_->sleeps_until(boot_time());
  EXPECT_FALSE(sleep_for(5 * ProcessorWatch::kLateMax)) << "it was turned off";
  watch_->is_awake();
  EXPECT_TRUE(moved_.empty());
}

// What was overslept when the watch ended is put right by its end.
TEST_F(ProcessorWatchTest, ItsEndLetsTheThreadGoEverywhere) {
  watch_->set_on(true);
  watch_->sleeps_until(boot_time());
  ASSERT_TRUE(sleep_for(10s));
  watch_.reset();
  const cpu_set_t after = processors();
  EXPECT_TRUE(CPU_EQUAL(&after, &all_));
}

// A loop says for itself when it sleeps and when it is awake.
TEST(ProcessorWatch, ALoopIsWatchedWhileItSleeps) {
  const cpu_set_t all = processors();
  if (CPU_COUNT(&all) < 2) GTEST_SKIP() << "one processor";
  auto loop = *EpollLoop::create();
  std::vector<ProcessorWatch::Moved> moved;
  auto watch = *ProcessorWatch::create([&] { loop->post([] {}); },
                                       [&](ProcessorWatch::Moved each) { moved.push_back(each); });
  watch->set_on(true);
  loop->set_watch(watch.get());
  loop->run_once(3 * ProcessorWatch::kLateMax);
  loop->post([until = boot_time() + 3 * ProcessorWatch::kLateMax] {
    while (boot_time() < until) continue;
  });
  loop->run_once(1h);
  // Only a processor that really stood still would have moved it.
  for (const auto& each : moved) EXPECT_GE(each.late, ProcessorWatch::kLateMax);
  EXPECT_LE(moved.size(), 1u);
  loop->set_watch(nullptr);
  watch->sleeps_until(boot_time() + 1h);
  watch->set_on(false);
}

}  // namespace
}  // namespace nines::io

// What is asked for while the thread is busy: the newest of each key is done, in turns, and nothing
// after it was settled.
#include "io/linux/keyed_worker.h"

#include <future>
#include <string>

#include <gtest/gtest.h>

namespace nines::io {
namespace {

// A task that is at work until it is told to end.
struct Busy {
  std::promise<void> began, may_end;
  void keep(KeyedWorker& worker, std::size_t key) {
    worker.post(key, [this, end = may_end.get_future().share()] {
      began.set_value();
      end.wait();
    });
    began.get_future().wait();
  }
};

// By tasks that run one after another, and read when they have.
class KeyedWorkerTest : public testing::Test {
 protected:
  void post(std::size_t key, const std::string& word) {
    worker_.post(key, [this, word] { done_ += word; });
  }
  // For those whose turn comes before that key's.
  void wait_for_turn_of(std::size_t key) {
    std::promise<void> reached;
    worker_.post(key, [&] { reached.set_value(); });
    reached.get_future().wait();
  }

  std::string done_;
  KeyedWorker worker_;
};

TEST_F(KeyedWorkerTest, TheNewestTaskOfEachKeyIsDoneInTurns) {
  Busy busy;
  busy.keep(worker_, 2);
  post(3, "old ");
  post(3, "three ");
  post(1, "one ");
  post(4, "four ");
  busy.may_end.set_value();
  wait_for_turn_of(2);
  EXPECT_EQ(done_, "three four one ");
}

TEST_F(KeyedWorkerTest, NothingThatWasSettledIsDoneLater) {
  Busy busy;
  busy.keep(worker_, 0);
  post(1, "one ");
  post(2, "two ");
  auto ending = std::async(std::launch::async, [&] { busy.may_end.set_value(); });
  worker_.settle(1);
  // Whether it had begun before it was settled is chance.
  const std::string expected = done_.starts_with("one ") ? "one two " : "two ";
  wait_for_turn_of(9);
  EXPECT_EQ(done_, expected);
}

TEST_F(KeyedWorkerTest, SettlingWaitsForTheTaskAtWorkWhicheverItIs) {
  Busy busy;
  busy.keep(worker_, 7);
  bool ended = false;
  auto ending = std::async(std::launch::async, [&] {
    ended = true;
    busy.may_end.set_value();
  });
  worker_.settle(1);
  EXPECT_TRUE(ended);
}

TEST(KeyedWorker, ItsEndWaitsForTheTaskAtWork) {
  bool ended = false;
  std::future<void> ending;
  Busy busy;
  {
    KeyedWorker worker;
    busy.keep(worker, 0);
    ending = std::async(std::launch::async, [&] {
      ended = true;
      busy.may_end.set_value();
    });
  }
  EXPECT_TRUE(ended);
}

TEST(KeyedWorker, WithoutATaskThereIsNothingToWaitFor) {
  KeyedWorker worker;
  worker.settle();
  worker.settle(3);
}

}  // namespace
}  // namespace nines::io

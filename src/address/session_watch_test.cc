// Against the kernel: which sessions are noted, what takes them out again, and whose they are.
#include "address/session_watch.h"

#include <algorithm>
#include <optional>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "address/session_pairs.h"
#include "address/session_table.h"

namespace nines::address {
namespace {

using testing::IsEmpty;
using testing::UnorderedElementsAre;

class SessionWatchTest : public SessionPairs {
 protected:
  void watch(std::vector<const char*> ips, std::size_t most = 100) {
    std::vector<SocketAddress> addresses;
    for (const char* ip : ips) addresses.push_back(*SocketAddress::parse_ip(ip, 0));
    auto made = SessionWatch::create(addresses, most);
    // A container may have neither the right nor the root of control groups.
    if (!made.has_value() && (made.error().code() == ErrorCode::kUnsupported ||
                              made.error().code() == ErrorCode::kRefused)) {
      GTEST_SKIP() << made.error().message();
    }
    ASSERT_TRUE(made.has_value()) << made.error().message();
    watch_.emplace(*std::move(made));
  }
  std::vector<Session> found() const {
    const auto found = watch_->find();
    EXPECT_TRUE(found.has_value()) << found.error().message();
    return found.has_value() ? *found : std::vector<Session>();
  }

  // The client's kernel may take its time to acknowledge an end.
  std::size_t settled(std::size_t wanted) const {
    constexpr int kLooks = 500;
    std::size_t size = found().size();
    for (int look = 0; look < kLooks && size != wanted; ++look) {
      ::poll(nullptr, 0, 1);
      size = found().size();
    }
    return size;
  }

  std::optional<SessionWatch> watch_;
};

TEST_F(SessionWatchTest, NotesWhatIsAcceptedOnSomeAddresses) {
  watch({"127.31.7.9", "127.31.7.10", "::1"});
  if (!watch_) return;
  EXPECT_EQ(watch_->accepted(), 0u);
  EXPECT_THAT(found(), IsEmpty());
  const Pair one = connected("127.31.7.9"), two = connected("127.31.7.10", true);
  const Pair other = connected("127.31.7.11"), six = connected("::1");
  EXPECT_EQ(watch_->accepted(), 3u);
  EXPECT_THAT(found(), UnorderedElementsAre(one.session, two.session, six.session));
  // The same as a walk finds, but for the clients' ends, which were not accepted.
  const auto table = SessionTable::open();
  const auto walked = table->find(std::vector{*SocketAddress::parse_ip("127.31.7.10", 0)}, 100);
  EXPECT_THAT(walked->sessions, UnorderedElementsAre(two.session));
}

TEST_F(SessionWatchTest, WhoNoLongerWaitsIsTakenOut) {
  watch({"127.31.7.9", "::1"});
  if (!watch_) return;
  for (const char* ip : {"127.31.7.9", "::1"}) {
    Pair ended = connected(ip), half = connected(ip), reset = connected(ip), killed = connected(ip);
    ASSERT_EQ(found().size(), 4u);
    ended.server = io::Descriptor();
    EXPECT_EQ(settled(3), 3u) << "all was said, and heard";
    ::shutdown(half.client.get(), SHUT_WR);  // it still waits for an answer
    EXPECT_TRUE(talks(half));
    EXPECT_EQ(found().size(), 3u);
    half.server = io::Descriptor();
    EXPECT_EQ(settled(2), 2u);
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ASSERT_EQ(::setsockopt(reset.client.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    reset.client = io::Descriptor();
    EXPECT_THAT(found(), UnorderedElementsAre(killed.session));
    die(killed);
    EXPECT_THAT(found(), IsEmpty()) << ip;
  }
  EXPECT_EQ(watch_->accepted(), 8u) << "ends do not count";
}

TEST_F(SessionWatchTest, OtherNetworksAreNotSeen) {
  watch({"127.31.7.9"});
  if (!watch_) return;
  const Pair here = connected("127.31.7.9");
  const io::Descriptor first(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
  bring_up_loopback();
  const Pair there = connected("127.31.7.9");
  EXPECT_EQ(watch_->accepted(), 1u);
  EXPECT_THAT(found(), UnorderedElementsAre(here.session));
  ASSERT_EQ(::setns(first.get(), CLONE_NEWNET), 0);
}

TEST_F(SessionWatchTest, HasItsBoundsAndForgets) {
  watch({"127.31.7.9"}, 2);
  if (!watch_) return;
  Pair one = connected("127.31.7.9"), two = connected("127.31.7.9");
  const Pair three = connected("127.31.7.9");
  EXPECT_THAT(found(), UnorderedElementsAre(one.session, two.session));
  ASSERT_TRUE(watch_->forget(one.session).has_value());
  ASSERT_TRUE(watch_->forget(one.session).has_value()) << "there is nothing to forget";
  EXPECT_THAT(found(), UnorderedElementsAre(two.session));
  two.server = io::Descriptor();
  EXPECT_EQ(settled(0), 0u);
  const Pair four = connected("127.31.7.9");
  EXPECT_THAT(found(), UnorderedElementsAre(four.session));
  watch_.reset();
  const Pair five = connected("127.31.7.9");
  EXPECT_TRUE(talks(five)) << "and nobody is bothered by one that is gone";
}

TEST_F(SessionWatchTest, ManyAreReadInPieces) {
  watch({"127.31.7.9"}, 4000);
  if (!watch_) return;
  constexpr std::size_t kMany = 1500;  // more than are read at once
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < kMany; ++i) {
    Pair pair = connected("127.31.7.9");
    pair.listener = io::Descriptor();
    pairs.push_back(std::move(pair));
  }
  std::vector<Session> all = found();
  EXPECT_EQ(all.size(), kMany);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end()) << "each once";
}

}  // namespace
}  // namespace nines::address

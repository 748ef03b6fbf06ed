// The recorder beside a real kernel: a host as a namespace, the engine's rules and rules by hand.
// Its lines come through a pipe, so that the test waits for what it has seen and for nothing else.
#include "lab/peer_rules_recorder.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address/refusals.h"
#include "lab/log_sink.h"

namespace nines::lab {
namespace {

using Kind = RuleEvent::Kind;

const SocketAddress kDead = *SocketAddress::parse_ip("10.9.0.10", 0);
const SocketAddress kOther = *SocketAddress::parse_ip("10.9.0.11", 0);
constexpr int kAnswerDeadline = 20'000;  // milliseconds

Instant boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{now.tv_sec * 1'000'000'000ll + now.tv_nsec};
}

io::Descriptor own_network() {
  return io::Descriptor(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

class PeerRulesRecorderTest : public testing::Test {
 protected:
  void SetUp() override {
    home_ = own_network();
    ASSERT_TRUE(home_);
    if (::unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no right to make a network namespace";
    network_ = own_network();
    const auto refusals = address::Refusals::create();
    if (!refusals.has_value()) GTEST_SKIP() << refusals.error().message();
    std::string folder = testing::TempDir() + "rules-XXXXXX";
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    ASSERT_EQ(::mkfifo((folder_ + "/lines").c_str(), 0600), 0);
    // Both ends, so that neither side waits for the other.
    lines_ = io::Descriptor(::open((folder_ + "/lines").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
    ASSERT_TRUE(lines_);
    start_recorder();
  }
  void TearDown() override {
    if (recorder_ > 0) {
      ::kill(recorder_, SIGKILL);
      ::waitpid(recorder_, nullptr, 0);
    }
    if (!folder_.empty()) {
      ::unlink((folder_ + "/lines").c_str());
      ::rmdir(folder_.c_str());
    }
    ASSERT_EQ(::setns(home_.get(), CLONE_NEWNET), 0);
  }

  void start_recorder() {
    const PeerRulesRecorderPlan plan{.switch_network = home_.get(),
                                     .hosts = {{"node01", network_.get()}},
                                     .path = folder_ + "/lines"};
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    io::Descriptor reading(ends[0]);
    io::Descriptor writing(ends[1]);
    recorder_ = ::fork();
    ASSERT_GE(recorder_, 0);
    if (recorder_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      reading.reset();
      ::_exit(run_peer_rules_recorder(plan, ReadySignal(std::move(writing))));
    }
    writing.reset();
    char word = 0;
    ASSERT_EQ(::read(reading.get(), &word, 1), 1) << "the recorder did not become ready";
  }

  RuleEvent next() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kAnswerDeadline);
    while (true) {
      if (const auto line = text_.find('\n'); line != std::string::npos) {
        const auto stamped = parse_log_line(std::string_view(text_).substr(0, line));
        const auto event = stamped ? parse_rule_words(stamped->at, stamped->text) : std::nullopt;
        EXPECT_TRUE(event) << text_;
        text_.erase(0, line + 1);
        return event.value_or(RuleEvent{});
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      pollfd waiting{lines_.get(), POLLIN, 0};
      if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) {
        ADD_FAILURE() << "not recorded in time";
        return {};
      }
      std::array<char, 65536> bytes;
      const ssize_t size = ::read(lines_.get(), bytes.data(), bytes.size());
      if (size > 0) text_.append(bytes.data(), static_cast<std::size_t>(size));
    }
  }
  static std::vector<address::RefusedHost> refused(std::vector<SocketAddress> addresses,
                                                   Duration left) {
    return {{.addresses = std::move(addresses), .until = boot_time() + left}};
  }

  io::Descriptor home_, network_, lines_;
  std::string folder_, text_;
  int recorder_ = 0;
};

TEST_F(PeerRulesRecorderTest, ARuleIsSeenToStandAndToBeTakenAway) {
  EXPECT_EQ(next().kind, Kind::kBegan);
  auto refusals = address::Refusals::create();
  ASSERT_TRUE(refusals.has_value());
  const Instant before = boot_time();
  ASSERT_TRUE(refusals->set(refused({kDead}, 30s), {3306, 5672}).has_value());
  const auto stands = next();
  EXPECT_EQ(stands, (RuleEvent{Kind::kStands, stands.at, "node01", kDead}));
  EXPECT_GT(stands.at, before);
  ASSERT_TRUE(refusals->set(refused({kDead, kOther}, 30s), {3306}).has_value());
  const auto second = next();
  EXPECT_EQ(second, (RuleEvent{Kind::kStands, second.at, "node01", kOther}));
  ASSERT_TRUE(refusals->set({}, {3306}).has_value());
  EXPECT_EQ(next().kind, Kind::kGone);
  EXPECT_EQ(next().kind, Kind::kGone);
}

TEST_F(PeerRulesRecorderTest, OneThatRunsOutIsGoneWithoutAWordOfTheKernel) {
  EXPECT_EQ(next().kind, Kind::kBegan);
  auto refusals = address::Refusals::create();
  ASSERT_TRUE(refusals.has_value());
  ASSERT_TRUE(refusals->set(refused({kDead}, 300ms), {3306}).has_value());
  const auto stands = next();
  EXPECT_EQ(stands.kind, Kind::kStands);
  const auto gone = next();
  EXPECT_EQ(gone, (RuleEvent{Kind::kGone, gone.at, "node01", kDead}));
  EXPECT_GE(gone.at - stands.at, 200ms);
}

TEST_F(PeerRulesRecorderTest, OneGoesWithItsProcess) {
  EXPECT_EQ(next().kind, Kind::kBegan);
  {
    auto refusals = address::Refusals::create();
    ASSERT_TRUE(refusals.has_value());
    ASSERT_TRUE(refusals->set(refused({kDead}, 30s), {3306}).has_value());
    EXPECT_EQ(next().kind, Kind::kStands);
  }
  EXPECT_EQ(next().kind, Kind::kGone);
}

TEST_F(PeerRulesRecorderTest, RenewalsAreNoChanges) {
  EXPECT_EQ(next().kind, Kind::kBegan);
  auto refusals = address::Refusals::create();
  ASSERT_TRUE(refusals.has_value());
  ASSERT_TRUE(refusals->set(refused({kDead}, 30s), {3306}).has_value());
  EXPECT_EQ(next().kind, Kind::kStands);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(refusals->set(refused({kDead}, 30s), {3306}).has_value());
  }
  ASSERT_TRUE(refusals->set({}, {3306}).has_value());
  EXPECT_EQ(next().kind, Kind::kGone);
}

}  // namespace
}  // namespace nines::lab

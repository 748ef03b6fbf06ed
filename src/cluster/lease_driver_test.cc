// Three drivers on one loop, with real files and real time: one holds, its successor follows when
// it is gone, and promises outlive a process.
#include "cluster/lease_driver.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include <gtest/gtest.h>
#include <time.h>

#include "io/linux/epoll_loop.h"

namespace nines::cluster {
namespace {

constexpr Name kName = 77;
constexpr Duration kPatience = std::chrono::seconds(20);  // of a test on a busy machine

Instant now_exactly() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{now.tv_sec * 1'000'000'000ll + now.tv_nsec};
}

class Lines final : public io::Log {
 public:
  void write(io::Severity, std::string_view message, const std::vector<io::LogField>&) override {
    lines.emplace_back(message);
  }
  int count(std::string_view part) const {
    return static_cast<int>(std::count_if(lines.begin(), lines.end(), [&](const auto& line) {
      return line.find(part) != line.npos;
    }));
  }
  std::vector<std::string> lines;
};

class Node final : public LeasePeers, public LeaseHolder {
 public:
  using Post = std::function<void(NodeId from, NodeId to, Message)>;
  Node(NodeId id, const std::string& folder, io::Loop& loop, Post post)
      : id_(id), folder_(folder), loop_(loop), post_(std::move(post)) {}

  // The operator's word at the very first start.
  void found(NodeSet voters) {
    LeaseDisk disk;
    disk.generation = {.number = 1, .voters = voters, .previous = voters, .floor = 0};
    disk.longest_term = 120ms;
    ASSERT_TRUE(open()->write_disk(disk).has_value());
  }
  void start(NodeSet peers) {
    LeaseOptions options;
    options.self = id_;
    options.peers = peers;
    options.names = {{.name = kName, .term_class = 0, .wanted = true, .patience = id_ * 10ms}};
    auto machine = Lease::create(options, base::Rng(id_));
    ASSERT_TRUE(machine.has_value());
    auto store = open();
    ASSERT_TRUE(store.has_value());
    driver_ = std::make_unique<LeaseDriver>(*std::move(machine), *std::move(store), loop_,
                                            now_exactly, *this, *this, log_);
    driver_->start(++nonce_);
  }
  void die() {
    driver_.reset();
    holds = false;
  }
  void heard(NodeId from, const Message& message) {
    if (driver_) driver_->heard(from, message);
  }

  void send(NodeId to, const Message& message) override { post_(id_, to, message); }
  void hold(Name, Epoch held, Instant, bool) override {
    holds = true;
    epoch = held;
  }
  void let_go(Name) override { holds = false; }

  LeaseDriver& driver() { return *driver_; }
  std::string disk() const { return folder_ + "/" + std::to_string(id_) + "/state/lease.state"; }
  Lines log_;
  bool holds = false;
  Epoch epoch = 0;

 private:
  Result<LeaseStore> open() {
    const std::string own = folder_ + "/" + std::to_string(id_);
    std::filesystem::create_directories(own);
    return LeaseStore::open(own + "/state", own + "/memory");
  }

  NodeId id_;
  std::string folder_;
  io::Loop& loop_;
  Post post_;
  std::uint64_t nonce_ = 1;
  std::unique_ptr<LeaseDriver> driver_;
};

class LeaseDriverTest : public testing::Test, private Timer {
 protected:
  LeaseDriverTest() : loop_(*io::EpollLoop::create()) {
    char path[] = "/tmp/nines-lease-driver-XXXXXX";
    folder_ = ::mkdtemp(path);
    const auto post = [this](NodeId from, NodeId to, Message message) {
      loop_->post(
          [this, from, to, message = std::move(message)] { nodes_.at(to)->heard(from, message); });
    };
    for (NodeId id = 1; id <= 3; ++id) {
      nodes_[id] = std::make_unique<Node>(id, folder_, *loop_, post);
      nodes_[id]->found({1, 2, 3});
    }
    for (auto& [id, node] : nodes_) node->start({1, 2, 3});
  }
  ~LeaseDriverTest() override {
    for (auto& [id, node] : nodes_) node->die();
    std::filesystem::remove_all(folder_);
  }

  bool run_until(std::function<bool()> condition) {
    condition_ = std::move(condition);
    deadline_ = now_exactly() + kPatience;
    loop_->arm(*this, 1ms);
    loop_->run();
    cancel();
    return condition_();
  }
  void on_timer(Instant) override {
    int holders = 0;
    for (const auto& [id, node] : nodes_) holders += node->holds;
    EXPECT_LE(holders, 1);
    if (condition_() || now_exactly() > deadline_) return loop_->stop();
    loop_->arm(*this, 1ms);
  }
  NodeId holder() const {
    for (const auto& [id, node] : nodes_) {
      if (node->holds) return id;
    }
    return 0;
  }

  std::unique_ptr<io::EpollLoop> loop_;
  std::string folder_;
  std::map<NodeId, std::unique_ptr<Node>> nodes_;
  std::function<bool()> condition_;
  Instant deadline_;
};

TEST_F(LeaseDriverTest, OneHoldsAndIsFollowedWhenItIsGone) {
  ASSERT_TRUE(run_until([this] { return holder() != 0; }));
  const NodeId first = holder();
  const Epoch epoch = nodes_[first]->epoch;
  nodes_[first]->die();
  ASSERT_TRUE(run_until([this] { return holder() != 0; }));
  EXPECT_NE(holder(), first);
  EXPECT_GT(nodes_[holder()]->epoch, epoch);
}

TEST_F(LeaseDriverTest, AHolderWhoseProcessIsReplacedHoldsAgainUnderAHigherEpoch) {
  ASSERT_TRUE(run_until([this] { return holder() != 0; }));
  const NodeId first = holder();
  const Epoch epoch = nodes_[first]->epoch;
  nodes_[first]->die();
  nodes_[first]->start({1, 2, 3});
  ASSERT_TRUE(run_until([this] { return holder() != 0; }));
  EXPECT_GT(nodes_[holder()]->epoch, epoch);
}

TEST_F(LeaseDriverTest, APlannedHandoverGoesWhereItIsMeantTo) {
  ASSERT_TRUE(run_until([this] { return holder() != 0; }));
  const NodeId first = holder();
  const NodeId second = first == 3 ? 2 : 3;
  nodes_[first]->driver().hand_over(kName, second);
  ASSERT_TRUE(run_until([this] { return holder() != 0; }));
  EXPECT_EQ(holder(), second);
}

// A change of voters has to be written; until it is, nothing that depends on it is said.
TEST_F(LeaseDriverTest, AFailedWriteIsTriedAgainAndToldOfOnce) {
  ASSERT_TRUE(run_until([this] { return holder() != 0; }));
  Node& node = *nodes_[1];
  // A folder with something in it stands where the file is to be: no rename replaces it.
  std::filesystem::rename(node.disk(), node.disk() + ".kept");
  std::filesystem::create_directories(node.disk() + "/in-the-way");
  node.driver().handle(lease_event::ChangeVoters{{1, 2}});
  const auto failures = [&] { return node.log_.count("cannot be written"); };
  ASSERT_TRUE(run_until([&] { return failures() > 0; }));
  EXPECT_EQ(node.driver().status().generation.voters, (NodeSet{1, 2, 3}));
  const Instant told = now_exactly();
  ASSERT_TRUE(run_until([&] { return now_exactly() - told > 1s; }));
  EXPECT_EQ(failures(), 1) << "and not with each try";
  std::filesystem::remove_all(node.disk());
  ASSERT_TRUE(run_until([&] { return node.log_.count("on the disk again") == 1; }));
  EXPECT_TRUE(run_until([&] {
    return node.driver().status().generation.voters == NodeSet({1, 2});
  }));
}

TEST_F(LeaseDriverTest, WithoutAMajorityNobodyHolds) {
  ASSERT_TRUE(run_until([this] { return holder() != 0; }));
  const NodeId first = holder();
  for (auto& [id, node] : nodes_) {
    if (id != first) node->die();
  }
  ASSERT_TRUE(run_until([this] { return holder() == 0; }));
  for (auto& [id, node] : nodes_) {
    if (id != first) node->start({1, 2, 3});
  }
  EXPECT_TRUE(run_until([this] { return holder() != 0; }));
}

}  // namespace
}  // namespace nines::cluster

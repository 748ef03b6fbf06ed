// A cluster of three in a few lines: what each order does to it, and what is never ordered.
#include "galera/rolling_restart.h"

#include <map>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::galera {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::string_view kHistory = "aaaaaaaa-c6b1-11f0-9b0e-9e2fd2c5a3f1";

// Servers that stop at once and are synced `joins_for` looks after their start. After each order
// and at each look the promise is checked: a member leaves only while all others are synced.
class Cluster {
 public:
  explicit Cluster(std::vector<std::string> order)
      : machine_({names(), std::move(order), "run-1"}) {
    for (const std::string& name : names()) state_[name] = kSynced;
  }
  static std::vector<std::string> names() { return {"node01", "node02", "node03"}; }

  enum State { kSynced, kJoining, kDonor, kDown };

  void run(int events_max = 500) {
    feed(recovery_event::Start{});
    for (int i = 0; i < events_max && !finished_; ++i) {
      if (!queue_.empty()) {
        const RecoveryEvent event = queue_.front();
        queue_.erase(queue_.begin());
        feed(event);
      } else {
        ASSERT_TRUE(machine_.deadline().has_value());
        now_ = *machine_.deadline();
        feed(recovery_event::TimerFired{});
      }
    }
  }

  std::map<std::string, State> state_;
  std::map<std::string, int> looks_;  // left until it is synced
  int joins_for_ = 2;
  bool is_start_broken_ = false;
  bool is_leave_refused_ = false;
  bool is_answer_lost_ = false;  // of an order that was carried out
  bool is_claimed_by_others_ = false;
  int donor_for_ = 0;  // looks that node01 is a donor for after each return
  std::vector<std::string> left_, said_;
  std::optional<RecoveryRecord> kept_;
  bool is_forgotten_ = false;
  std::optional<bool> finished_;
  int released_ = 0;

 private:
  void feed(const RecoveryEvent& event) {
    RecoveryEffects effects;
    machine_.handle(event, now_, effects);
    for (const RecoveryEffect& each : effects) perform(each);
  }

  void perform(const RecoveryEffect& effect) {
    namespace kind = recovery_effect;
    if (const auto* const keep = std::get_if<kind::Keep>(&effect)) kept_ = keep->record;
    if (std::holds_alternative<kind::Forget>(effect)) is_forgotten_ = true;
    if (const auto* const say = std::get_if<kind::Say>(&effect)) said_.push_back(say->line);
    if (const auto* const end = std::get_if<kind::Finish>(&effect)) finished_ = end->is_good;
    if (std::holds_alternative<kind::Look>(effect)) look();
    if (const auto* const act = std::get_if<kind::Act>(&effect)) order(*act);
  }

  void look() {
    for (std::size_t i = 0; i < names().size(); ++i) {
      const std::string name = names()[i];
      if (state_[name] == kJoining && --looks_[name] <= 0) {
        state_[name] = kSynced;
        if (donor_for_ > 0) state_["node01"] = kDonor, looks_["node01"] = donor_for_;
      } else if (state_[name] == kDonor && --looks_[name] <= 0) {
        state_[name] = kSynced;
      }
      Evidence evidence;
      evidence.member = name;
      evidence.running = {Uuid(kHistory), 5};
      evidence.server =
          state_[name] == kDown ? Evidence::Server::kDown : Evidence::Server::kPrimary;
      evidence.local_state = state_[name] == kSynced    ? LocalState::kSynced
                             : state_[name] == kJoining ? LocalState::kJoining
                                                        : LocalState::kDonor;
      queue_.push_back(recovery_event::Told{i, evidence, ""});
    }
  }

  void order(const recovery_effect::Act& act) {
    const std::string name = names()[act.member];
    bool is_done = true;
    switch (act.action) {
      case MemberAction::kClaim:
        EXPECT_TRUE(kept_.has_value()) << "nobody could go on after a crash";
        is_done = !(is_claimed_by_others_ && name == "node02");
        break;
      case MemberAction::kRelease:
        ++released_;
        break;
      case MemberAction::kLeave:
        for (const auto& [other, state] : state_) {
          EXPECT_EQ(state, kSynced) << name << " leaves while " << other << " is not synced";
        }
        if (is_leave_refused_) {
          is_done = false;
        } else {
          left_.push_back(name);
          state_[name] = kDown;
          is_done = !is_answer_lost_;
        }
        break;
      case MemberAction::kJoin:
        EXPECT_EQ(state_[name], kDown);
        if (!is_start_broken_) state_[name] = kJoining, looks_[name] = joins_for_;
        is_done = !is_start_broken_ && !is_answer_lost_;
        break;
      default:
        ADD_FAILURE() << "never ordered by a restart: " << name_of(act.action);
    }
    queue_.push_back(recovery_event::Acted{act.member, act.action, is_done, "it says so"});
  }

  RollingRestart machine_;
  std::vector<RecoveryEvent> queue_;
  Instant now_{1'000'000'000};
};

TEST(RollingRestartTest, OneAfterAnotherEachOnceTheLastIsSynced) {
  Cluster cluster({"node02", "node03", "node01"});
  cluster.run();
  EXPECT_EQ(cluster.finished_, true);
  EXPECT_THAT(cluster.left_, ElementsAre("node02", "node03", "node01"));
  EXPECT_EQ(cluster.released_, 3);
  EXPECT_TRUE(cluster.is_forgotten_);
  EXPECT_EQ(cluster.said_.back(), "all members are synced");
}

TEST(RollingRestartTest, WaitsWhileOneIsADonor) {
  Cluster cluster({"node02", "node03"});
  cluster.donor_for_ = 20;
  cluster.run();
  EXPECT_EQ(cluster.finished_, true);
  EXPECT_THAT(cluster.left_, ElementsAre("node02", "node03"));
}

TEST(RollingRestartTest, AnswersThatAreLostDelayIt) {
  Cluster cluster({"node01", "node02"});
  cluster.is_answer_lost_ = true;
  cluster.run();
  EXPECT_EQ(cluster.finished_, true);
  EXPECT_THAT(cluster.left_, ElementsAre("node01", "node02"));
}

TEST(RollingRestartTest, BeginsOnlyWhenAllAreSynced) {
  Cluster cluster({"node01"});
  cluster.state_["node03"] = Cluster::kDown;
  cluster.run();
  EXPECT_EQ(cluster.finished_, false);
  EXPECT_THAT(cluster.left_, IsEmpty());
  EXPECT_THAT(cluster.said_.back(), HasSubstr("node03 is down: a restart begins when all"));
  EXPECT_FALSE(cluster.kept_.has_value());
}

TEST(RollingRestartTest, OneThatDoesNotComeBackIsTheLast) {
  Cluster cluster({"node02", "node03", "node01"});
  cluster.is_start_broken_ = true;
  cluster.run();
  EXPECT_EQ(cluster.finished_, false);
  EXPECT_THAT(cluster.left_, ElementsAre("node02"));
  EXPECT_THAT(cluster.said_.back(), HasSubstr("node02 does not stay up"));
  EXPECT_THAT(cluster.said_.back(), HasSubstr("nines galera recover starts it"));
  EXPECT_EQ(cluster.released_, 3);
}

TEST(RollingRestartTest, AMemberThatRefusesIsAskedTwice) {
  Cluster cluster({"node02"});
  cluster.is_leave_refused_ = true;
  cluster.run();
  EXPECT_EQ(cluster.finished_, false);
  EXPECT_THAT(cluster.said_.back(), HasSubstr("REFUSED: node02 did not leave: it says so"));
}

TEST(RollingRestartTest, ARecoveryThatHasAMemberIsLeftAlone) {
  Cluster cluster({"node01"});
  cluster.is_claimed_by_others_ = true;
  cluster.run();
  EXPECT_EQ(cluster.finished_, false);
  EXPECT_THAT(cluster.left_, IsEmpty());
  EXPECT_EQ(cluster.released_, 2) << "its own claims alone";
}

TEST(RollingRestartTest, WhatIsKeptIsARecoveryThatRejoins) {
  Cluster cluster({"node01"});
  cluster.run();
  ASSERT_TRUE(cluster.kept_.has_value());
  EXPECT_EQ(cluster.kept_->step, RecoveryStep::kRejoining);
  EXPECT_EQ(cluster.kept_->run, "run-1");
  const auto parsed = parse_record(render_record(*cluster.kept_));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(*parsed, *cluster.kept_);
}

}  // namespace
}  // namespace nines::galera

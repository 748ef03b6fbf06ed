// The proposer of a generation, answer by answer: whose votes it needs, for how long they count,
// and whose proposal it finishes.
#include "cluster/voter_change.h"

#include <gtest/gtest.h>

namespace nines::cluster {
namespace {

using Step = VoterChange::Step;

constexpr Instant kT0{9'000'000'000};
constexpr Duration kLongest = std::chrono::milliseconds(100);

class Change : public testing::Test {
 protected:
  // Up to the step that asks for promises, by ballot 10 of node 1.
  void begin(const Generation& current, NodeSet wanted) {
    ASSERT_TRUE(change_.begin(current, wanted, kLongest, now_));
    ASSERT_TRUE(change_.advance({}, now_).has_value());
    current.voters.for_each([&](NodeId node) {
      change_.heard(node, message::GenerationAdopted{current.number, 40u + node}, now_);
    });
    ASSERT_EQ(change_.step(), Step::kWaiting);
    ASSERT_FALSE(change_.advance({}, now_ + kLongest - 1ms).has_value());
    ASSERT_EQ(change_.step(), Step::kWaiting) << "what was granted before may still run";
    now_ = now_ + kLongest;
    ASSERT_FALSE(change_.advance({}, now_).has_value());
    ASSERT_EQ(change_.step(), Step::kPreparing);
    ask(Ballot::make(10, 1));
  }
  void ask(Ballot ballot) {
    now_ = now_ + VoterChange::kAskAgainAfter * 70;
    const auto question = change_.advance(ballot, now_);
    ASSERT_TRUE(question.has_value());
    asked_ = std::get<message::ChangeProposal>(*question);
  }
  void answer(NodeId from, bool yes = true, ChangeRegister state = {}) {
    change_.heard(from, {asked_.phase, asked_.next.number, asked_.ballot, yes, state}, now_);
  }
  // The question that follows, without another ballot.
  void next_question() {
    const auto question = change_.advance({}, now_);
    ASSERT_TRUE(question.has_value());
    asked_ = std::get<message::ChangeProposal>(*question);
  }

  VoterChange change_;
  Instant now_ = kT0;
  message::ChangeProposal asked_;
};

TEST_F(Change, NeedsAMajorityOfTheOldVotersAndOfTheNew) {
  begin({5, {1, 2, 3, 4}, {1, 2, 3}, 0}, {1, 2, 3});
  for (const NodeId node : {1, 2, 3}) answer(node);
  ASSERT_EQ(change_.step(), Step::kAccepting);
  next_question();
  EXPECT_EQ(asked_.next.floor, 43u) << "the highest counter of those who were heard";
  answer(1);
  answer(2);
  answer(2);
  EXPECT_EQ(change_.step(), Step::kAccepting) << "two of four old ones, though two of three new";
  answer(4);
  EXPECT_EQ(change_.step(), Step::kIdle);
  const auto chosen = change_.take_chosen();
  ASSERT_TRUE(chosen.has_value());
  EXPECT_EQ(*chosen, (Generation{6, {1, 2, 3}, {1, 2, 3, 4}, 43}));
  EXPECT_FALSE(change_.take_chosen().has_value());
}

TEST_F(Change, FinishesWhatMayHaveBeenChosenAlready) {
  begin({5, {1, 2, 3}, {1, 2, 3, 4}, 0}, {1, 2, 3, 4});
  const Generation older{6, {1, 2, 3, 5}, {1, 2, 3}, 41}, newer{6, {1, 2}, {1, 2, 3}, 42};
  answer(1, true, {Ballot::make(10, 1), Ballot::make(7, 3), newer});
  answer(2, true, {Ballot::make(10, 1), Ballot::make(6, 2), older});
  ASSERT_EQ(change_.step(), Step::kAccepting);
  next_question();
  EXPECT_EQ(asked_.next, newer);
}

TEST_F(Change, AVoteCountsForATimeOnly) {
  begin({5, {1, 2, 3}, {1, 2, 3, 4}, 0}, {1, 2, 3, 4});
  answer(1);
  now_ = now_ + VoterChange::kVoteLifetime;
  answer(2);
  EXPECT_EQ(change_.step(), Step::kPreparing);
  ask(Ballot::make(11, 1));
  EXPECT_EQ(asked_.ballot, Ballot::make(11, 1));
  answer(2);
  EXPECT_EQ(change_.step(), Step::kPreparing) << "what was answered before is forgotten";
  answer(3);
  EXPECT_EQ(change_.step(), Step::kAccepting);
}

TEST_F(Change, WhoeverIsOutbidAsksAgainWithAHigherBallot) {
  begin({5, {1, 2, 3}, {1, 2, 3, 4}, 0}, {1, 2, 3, 4});
  answer(2, false, {Ballot::make(30, 2), {}, {}});
  EXPECT_EQ(change_.counter_hint(), 30u);
  EXPECT_TRUE(change_.needs_ballot());
  answer(1);
  answer(3);
  EXPECT_EQ(change_.step(), Step::kPreparing);
  ask(Ballot::make(31, 1));
  answer(1);
  answer(3);
  EXPECT_EQ(change_.step(), Step::kAccepting);
}

TEST_F(Change, GivesUpAfterAWhile) {
  begin({5, {1, 2, 3}, {1, 2, 3, 4}, 0}, {1, 2, 3, 4});
  now_ = kT0 + VoterChange::kGiveUpAfter;
  EXPECT_FALSE(change_.advance({}, now_).has_value());
  EXPECT_EQ(change_.step(), Step::kIdle);
}

}  // namespace
}  // namespace nines::cluster

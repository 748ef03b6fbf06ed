// Single steps of a voter, a claimant and a holder, as a reader would want to see them; the many
// steps together are lease_simulation_test.cc.
#include "cluster/lease.h"

#include <array>
#include <deque>
#include <set>
#include <utility>

#include <gtest/gtest.h>

namespace nines::cluster {
namespace {

using message::Verdict;

constexpr Instant kT0{5'000'000'000};
constexpr Name kName = 77;
constexpr std::uint64_t kWord = 1'800'000'000;

message::Proposal accept_of(Ballot ballot, std::uint64_t round, Duration term) {
  message::Proposal proposal;
  proposal.phase = Phase::kAccept;
  proposal.ballot = ballot;
  proposal.round = round;
  proposal.term = term;
  return proposal;
}

TEST(NodeSet, AMajorityIsMoreThanHalfAndNobodyCountsTwice) {
  NodeSet votes{1};
  votes.add(1);
  EXPECT_FALSE(is_majority(votes, {1, 2}));
  EXPECT_FALSE(is_majority(votes, {1, 2, 3}));
  votes.add(3);
  EXPECT_TRUE(is_majority(votes, {1, 2, 3}));
  EXPECT_FALSE(is_majority(votes, {2, 4, 5}));
  EXPECT_FALSE(is_majority(NodeSet{}, NodeSet{}));
  votes.add(0);
  votes.add(200);
  EXPECT_EQ(votes.size(), 2);
}

TEST(LeaseRegister, WhileOnesLeaseRunsNobodyElseIsHeard) {
  LeaseRegister voter;
  EXPECT_EQ(voter.accept(accept_of(Ballot::make(5, 1), 1, 100ms), kT0), Verdict::kYes);
  EXPECT_EQ(voter.prepare(Ballot::make(9, 2), kT0 + 99ms), Verdict::kBusy);
  EXPECT_EQ(voter.accept(accept_of(Ballot::make(9, 2), 1, 100ms), kT0 + 99ms), Verdict::kBusy);
  EXPECT_EQ(voter.prepare(Ballot::make(9, 2), kT0 + 100ms), Verdict::kYes);
  // What the former holder sends now comes too late.
  EXPECT_EQ(voter.accept(accept_of(Ballot::make(5, 1), 2, 100ms), kT0 + 101ms), Verdict::kOutbid);
}

TEST(LeaseRegister, ARepeatedMessageExtendsNothing) {
  LeaseRegister voter;
  const auto first = accept_of(Ballot::make(5, 1), 1, 100ms);
  EXPECT_EQ(voter.accept(first, kT0), Verdict::kYes);
  EXPECT_EQ(voter.accept(accept_of(Ballot::make(5, 1), 2, 100ms), kT0 + 50ms), Verdict::kYes);
  EXPECT_EQ(voter.expires, kT0 + 150ms);
  EXPECT_EQ(voter.accept(first, kT0 + 60ms), Verdict::kOutbid);
  EXPECT_EQ(voter.accept(accept_of(Ballot::make(5, 1), 2, 100ms), kT0 + 70ms), Verdict::kYes);
  EXPECT_EQ(voter.expires, kT0 + 150ms);
}

TEST(LeaseRegister, WhatWasGivenBackDoesNotComeBack) {
  LeaseRegister voter;
  const auto proposal = accept_of(Ballot::make(5, 1), 1, 100ms);
  EXPECT_EQ(voter.accept(proposal, kT0), Verdict::kYes);
  EXPECT_TRUE(voter.release(Ballot::make(5, 1)));
  EXPECT_FALSE(voter.runs(kT0 + 1ms));
  EXPECT_EQ(voter.accept(proposal, kT0 + 2ms), Verdict::kOutbid);
  EXPECT_FALSE(voter.release(Ballot::make(5, 1)));
}

TEST(LeaseRegister, ASuccessorMayOvertakeTheRelease) {
  LeaseRegister voter;
  EXPECT_EQ(voter.accept(accept_of(Ballot::make(5, 1), 1, 100ms), kT0), Verdict::kYes);
  auto successor = accept_of(Ballot::make(6, 2), 1, 100ms);
  successor.follows = Ballot::make(4, 1);  // an older holding of the same node
  EXPECT_EQ(voter.accept(successor, kT0 + 1ms), Verdict::kBusy);
  successor.follows = Ballot::make(5, 1);
  EXPECT_EQ(voter.accept(successor, kT0 + 1ms), Verdict::kYes);
  EXPECT_EQ(voter.owner(), 2);
  EXPECT_TRUE(voter.release(Ballot::make(5, 1)));
  EXPECT_EQ(voter.owner(), 2);
}

// Three machines and a network that delivers at once, but across a cut; time moves by hand.
class Three {
 public:
  enum class Memory { kKept, kLost };  // tmpfs

  Three() {
    for (NodeId id = 1; id <= 3; ++id) {
      disks_[id - 1u].generation = {1, {1, 2, 3}, {}, 0};
      disks_[id - 1u].longest_term = 120ms;
      machines_.push_back(machine(id));
    }
    for (NodeId id = 1; id <= 3; ++id) start(id);
  }

  // As another process, of this boot or of the next.
  void restart(NodeId id, Memory memory) {
    at(id) = machine(id);
    if (memory == Memory::kLost) promises_[id - 1u].reset();
    dead_.remove(id);
    start(id);
  }
  void tell(NodeId id, const LeaseEvent& event) {
    LeaseEffects effects;
    at(id).handle(event, now_, effects);
    for (const LeaseEffect& effect : effects) {
      if (const auto* const send = std::get_if<lease_effect::Send>(&effect)) {
        ++sent_;
        if (cuts_.contains({id, send->to})) continue;
        if (loss_ > 0 && rng_.chance(loss_)) continue;
        queue_.emplace_back(send->to, id, send->message);
      } else if (const auto* const write = std::get_if<lease_effect::WriteDisk>(&effect)) {
        disks_[id - 1u] = write->disk;
        tell(id, lease_event::DiskWritten{write->sequence});
      } else if (const auto* const all = std::get_if<lease_effect::KeepAll>(&effect)) {
        promises_[id - 1u] = all->promises;
      } else if (const auto* const kept = std::get_if<lease_effect::KeepRegister>(&effect)) {
        *promises_[id - 1u]->add(kept->name) = kept->state;
      } else if (std::holds_alternative<lease_effect::Acquired>(effect)) {
        acquired_at_ = now_;
      }
    }
  }
  void settle() {
    while (!queue_.empty()) {
      const auto [to, from, message] = queue_.front();
      queue_.pop_front();
      if (!dead_.contains(to)) tell(to, lease_event::Heard{from, message});
    }
  }
  void run_for(Duration time) {
    for (const Instant end = now_ + time; now_ < end; now_ = now_ + 1ms) {
      for (NodeId id = 1; id <= 3; ++id) {
        if (!dead_.contains(id)) tell(id, lease_event::TimerFired{});
      }
      settle();
    }
  }
  void kill(NodeId id) { dead_.add(id); }
  void revive(NodeId id) { dead_.remove(id); }  // it was out of reach, no more
  void cut(NodeId from, NodeId to) { cuts_.insert({from, to}); }
  void cut(NodeId id) {  // from the others, both ways
    for (NodeId other = 1; other <= 3; ++other) {
      if (other == id) continue;
      cut(id, other);
      cut(other, id);
    }
  }
  void heal() { cuts_.clear(); }
  void lose(double part, std::uint64_t seed) { loss_ = part, rng_ = base::Rng(seed); }
  Lease& at(NodeId id) { return machines_[id - 1u]; }
  LeaseStatus status(NodeId id) { return at(id).status(now_); }
  NodeSet holders() {
    NodeSet found;
    for (NodeId id = 1; id <= 3; ++id) {
      if (!dead_.contains(id) && at(id).held(kName, now_)) found.add(id);
    }
    return found;
  }
  NodeId owner() {
    NodeId found = 0;
    holders().for_each([&](NodeId id) { found = id; });
    return found;
  }
  Instant now() const { return now_; }
  Instant acquired_at() const { return acquired_at_; }
  int sent() const { return sent_; }

 private:
  static Lease machine(NodeId id) {
    LeaseOptions options;
    options.self = id;
    options.peers = options.voters = {1, 2, 3};
    options.names = {{kName, 0, id != 3, id * 5ms}};  // the third is a witness
    return *Lease::create(options, base::Rng(id));
  }
  void start(NodeId id) {
    lease_event::Start start;
    start.disk = disks_[id - 1u];
    start.promises = promises_[id - 1u];
    start.nonce = 1000u * id + ++lives_;
    tell(id, start);
  }

  std::vector<Lease> machines_;
  std::array<LeaseDisk, 3> disks_;
  std::array<std::optional<LeasePromises>, 3> promises_;
  std::deque<std::tuple<NodeId, NodeId, Message>> queue_;
  NodeSet dead_;
  std::set<std::pair<NodeId, NodeId>> cuts_;
  std::uint64_t lives_ = 0;
  double loss_ = 0;
  base::Rng rng_{1};
  Instant now_ = kT0;
  Instant acquired_at_{};
  int sent_ = 0;
};

TEST(Lease, ThePreferredNodeOwnsAndTheOtherTakesOverWhenItDies) {
  Three three;
  three.run_for(200ms);
  ASSERT_EQ(three.owner(), 1);
  const Epoch first = *three.at(1).held(kName, three.now());
  three.run_for(1s);
  EXPECT_EQ(*three.at(1).held(kName, three.now()), first) << "renewals keep the epoch";
  three.kill(1);
  const Instant death = three.now();
  three.run_for(200ms);
  ASSERT_EQ(three.owner(), 2);
  EXPECT_GT(*three.at(2).held(kName, three.now()), first);
  EXPECT_LE(three.acquired_at() - death, 140ms);
}

// A voter that heard a renewal more than the claimant did says busy, the dead holder says nothing:
// the claim waits for the one, and not until its own end.
TEST(Lease, AVoterThatIsBusyForAMomentYetIsAskedAgainWhenItIsNot) {
  Three three;
  three.run_for(200ms);
  ASSERT_EQ(three.owner(), 1);
  three.cut(1, 2);
  three.run_for(35ms);  // one renewal or two that only the third hears
  three.kill(1);
  const Instant death = three.now();
  three.run_for(300ms);
  ASSERT_EQ(three.owner(), 2);
  EXPECT_LE(three.acquired_at() - death, 123ms) << "a term, and a moment";
}

// The second hears nothing of the holder and asks in vain, for the third's lease still runs. None
// of its claims may be in the way when the holder dies.
TEST(Lease, AClaimThatCannotWinEndsAtOnce) {
  for (Duration lived = 100ms; lived < 300ms; lived += 7ms) {
    Three three;
    three.run_for(200ms);
    ASSERT_EQ(three.owner(), 1);
    three.cut(1, 2);
    three.run_for(lived);
    ASSERT_EQ(three.owner(), 1);
    three.kill(1);
    const Instant death = three.now();
    three.run_for(400ms);
    ASSERT_EQ(three.owner(), 2);
    EXPECT_LE(three.acquired_at() - death, 135ms)
        << "a term, its patience, and a moment; after " << milliseconds_of(lived) << " ms";
  }
}

// The first has the second's promise when the second claims as well. Had it not let the first pass,
// each would wait for the dead third: the first for its vote, the second for the first's term.
TEST(Lease, WhoPromisedARivalLetsItPass) {
  Three three;
  three.settle();  // each has heard from all that nothing was missed
  three.kill(3);
  three.run_for(121ms);
  ASSERT_EQ(three.owner(), 0);
  LeaseEffects effects;
  const Instant soon = kT0 + 120ms + 5ms;  // when the first may vote, and its patience is over
  three.at(1).handle(lease_event::TimerFired{}, soon, effects);
  message::Proposal claim;
  for (const LeaseEffect& effect : effects) {
    const auto* const send = std::get_if<lease_effect::Send>(&effect);
    if (send != nullptr && send->to == 2) claim = std::get<message::Proposal>(send->message);
  }
  ASSERT_EQ(claim.phase, Phase::kPrepare);
  ASSERT_EQ(claim.names, std::vector<Name>{kName});
  effects.clear();
  three.at(2).handle(lease_event::Heard{1, claim}, soon + 5ms, effects);
  effects.clear();
  three.at(2).handle(lease_event::TimerFired{}, soon + 6ms, effects);
  EXPECT_TRUE(effects.empty()) << "its own patience was over at " << 130 << " ms";
  EXPECT_GE(*three.at(2).deadline(), soon + 5ms + 15ms);
}

TEST(Lease, AClaimThatOnlyTheAbsentCouldDecideEndsAtOnce) {
  Three three;
  three.settle();  // each has heard from all that nothing was missed
  three.kill(3);
  three.run_for(200ms);
  ASSERT_EQ(three.owner(), 1);
  three.tell(2, lease_event::Absent{{1, 3}});
  three.kill(1);
  three.run_for(1s);
  EXPECT_EQ(three.owner(), 0) << "a hint makes no majority";
  // The hint was wrong, or is out of date: whoever is heard is not absent.
  three.restart(3, Three::Memory::kLost);
  three.run_for(500ms);
  EXPECT_EQ(three.owner(), 2);
}

TEST(Lease, APlannedSwitchoverTakesOneRoundTrip) {
  Three three;
  three.run_for(200ms);
  ASSERT_EQ(three.owner(), 1);
  three.tell(1, lease_event::HandOver{kName, 2});
  EXPECT_EQ(three.owner(), 0);
  three.settle();
  EXPECT_EQ(three.owner(), 2) << "no time has passed";
}

TEST(Lease, TheSurvivorOfThreeOwnsByTheOperatorsWordOnly) {
  Three three;
  three.run_for(200ms);
  three.kill(1);
  three.kill(3);
  three.run_for(5s);
  EXPECT_EQ(three.owner(), 0);
  three.tell(2, lease_event::Grant{{1, 3}, kWord});
  const LeaseStatus told = three.status(2);
  EXPECT_TRUE(told.word_pending);
  EXPECT_EQ(told.off, (NodeSet{1, 3}));
  three.run_for(110ms);
  EXPECT_EQ(three.owner(), 0) << "what the dead granted may still run";
  EXPECT_TRUE(three.status(2).word_pending);
  three.run_for(300ms);
  ASSERT_EQ(three.owner(), 2);
  EXPECT_FALSE(three.status(2).word_pending);
  EXPECT_EQ(three.status(2).generation.voters, NodeSet{2});
  EXPECT_GT(*three.at(2).held(kName, three.now()), Ballot::make(kWord << 20, 0).value)
      << "above all that the dead may have known";
}

TEST(Lease, AWordCountsOnlyWhenAllWhoAreNotOffHaveAdoptedIt) {
  Three three;
  three.run_for(200ms);
  three.kill(1);
  three.kill(3);
  three.run_for(1s);
  three.tell(2, lease_event::Grant{{1}, kWord});
  three.run_for(2s);
  EXPECT_EQ(three.owner(), 0);
  EXPECT_EQ(three.status(2).awaited, NodeSet{3}) << "node 3 may be alive elsewhere";
  three.revive(3);
  three.run_for(400ms);
  EXPECT_EQ(three.owner(), 2);
  EXPECT_EQ(three.status(3).generation, three.status(2).generation);
  EXPECT_FALSE(three.status(3).voting) << "one voter alone, until there are three again";
}

TEST(Lease, AWordOutlivesTheProcessAndTheHost) {
  Three three;
  three.run_for(200ms);
  three.kill(1);
  three.kill(3);
  three.tell(2, lease_event::Grant{{1, 3}, kWord});
  three.run_for(50ms);
  ASSERT_TRUE(three.status(2).word_pending);
  three.restart(2, Three::Memory::kKept);
  EXPECT_TRUE(three.status(2).word_pending) << "the disk knows what it waits for";
  three.run_for(400ms);
  ASSERT_EQ(three.owner(), 2);
  const Epoch first = *three.at(2).held(kName, three.now());
  three.restart(2, Three::Memory::kLost);
  three.run_for(Lease::kAskOffFor + 400ms);
  ASSERT_EQ(three.owner(), 2) << "those who are off by its own word need not be heard";
  EXPECT_GT(*three.at(2).held(kName, three.now()), first);
}

TEST(Lease, ASurvivorThatReturnsGoesOnAskingThoseWhoAreOffByItsOwnWord) {
  Three three;
  three.run_for(200ms);
  three.kill(1);
  three.kill(3);
  three.tell(2, lease_event::Grant{{1, 3}, kWord});
  three.run_for(400ms);
  ASSERT_EQ(three.owner(), 2);
  // It is switched off, and another one is told so.
  three.kill(2);
  three.restart(1, Three::Memory::kLost);
  three.tell(1, lease_event::Grant{{2, 3}, kWord + 1});
  three.run_for(400ms);
  ASSERT_EQ(three.owner(), 1);
  // What it asks when it comes back is lost for longer than it may not vote.
  three.cut(2);
  three.restart(2, Three::Memory::kLost);
  for (int i = 0; i < 50; ++i) {
    if (i == 30) three.heal();
    three.run_for(10ms);
    EXPECT_EQ(three.holders(), NodeSet{1}) << i;
  }
  EXPECT_EQ(three.status(2).generation, three.status(1).generation);
}

TEST(Lease, WhoReturnsWithOldPromisesWaitsForTheSurvivorAndThenVotesAgain) {
  Three three;
  three.run_for(200ms);
  three.kill(1);
  three.kill(3);
  three.tell(2, lease_event::Grant{{1, 3}, kWord});
  three.run_for(400ms);
  ASSERT_EQ(three.owner(), 2);
  // Both are back, on their side of a cut: a majority of what they remember.
  three.cut(2);
  three.restart(1, Three::Memory::kLost);
  three.restart(3, Three::Memory::kLost);
  three.run_for(3s);
  EXPECT_EQ(three.holders(), NodeSet{2});
  EXPECT_TRUE(three.status(1).cold);
  EXPECT_EQ(three.status(1).unheard, NodeSet{2});
  const Epoch before = *three.at(2).held(kName, three.now());
  three.heal();
  three.run_for(4s);
  EXPECT_EQ(three.holders(), NodeSet{2});
  EXPECT_EQ(*three.at(2).held(kName, three.now()), before) << "nothing was lost by it";
  for (NodeId id = 1; id <= 3; ++id) {
    EXPECT_EQ(three.status(id).generation.voters, (NodeSet{1, 2, 3})) << int{id};
    EXPECT_TRUE(three.status(id).off.empty());
  }
  three.kill(2);
  three.run_for(400ms);
  EXPECT_EQ(three.owner(), 1) << "and the survivor is not needed any more";
}

TEST(Lease, OneWhoReturnsAloneIsNoVoterYet) {
  Three three;
  three.run_for(200ms);
  three.kill(1);
  three.kill(3);
  three.tell(2, lease_event::Grant{{1, 3}, kWord});
  three.run_for(400ms);
  three.restart(1, Three::Memory::kLost);
  three.run_for(5s);
  EXPECT_EQ(three.status(1).generation.voters, NodeSet{2}) << "of two voters neither may fail";
  EXPECT_FALSE(three.status(1).cold);
  three.tell(2, lease_event::HandOver{kName, 1});
  three.run_for(100ms);
  EXPECT_EQ(three.owner(), 1) << "but it may hold";
}

TEST(Lease, AWrongWordEndsWithTheFirstContact) {
  Three three;
  three.run_for(200ms);
  ASSERT_EQ(three.owner(), 1);
  three.cut(2);
  three.run_for(200ms);
  three.tell(2, lease_event::Grant{{1, 3}, kWord});
  three.run_for(400ms);
  EXPECT_EQ(three.holders(), (NodeSet{1, 2})) << "the operator was wrong: they live";
  three.heal();
  three.run_for(50ms);
  EXPECT_EQ(three.holders(), NodeSet{2});
  three.run_for(5s);
  EXPECT_EQ(three.holders(), NodeSet{2});
  EXPECT_EQ(three.status(1).generation.voters, (NodeSet{1, 2, 3}));
}

TEST(Lease, ANodeThatWasNamedAndIsHeardHasToAdoptAsWell) {
  Three three;
  three.run_for(200ms);
  three.kill(1);
  three.kill(3);
  three.tell(2, lease_event::Grant{{1, 3}, kWord});
  three.tell(2, lease_event::Heard{3, message::LearnAsk{1}});
  three.run_for(2s);
  EXPECT_EQ(three.owner(), 0);
  EXPECT_EQ(three.status(2).awaited, NodeSet{3});
  EXPECT_EQ(three.status(2).off, NodeSet{1});
}

TEST(Lease, AnOlderWordIsPassedOver) {
  Three three;
  three.run_for(200ms);
  three.tell(2, lease_event::Grant{{1, 3}, kWord});
  const Generation later = three.status(2).generation;
  three.tell(2, lease_event::Grant{{1, 3}, kWord - 1});
  EXPECT_EQ(three.status(2).generation, later);
}

TEST(Lease, AfterTheWholeClusterWasOffNobodyVotesBeforeAllWereHeard) {
  Three three;
  three.run_for(200ms);
  ASSERT_EQ(three.owner(), 1);
  three.kill(3);
  three.restart(1, Three::Memory::kLost);
  three.restart(2, Three::Memory::kLost);
  three.run_for(3s);
  EXPECT_EQ(three.owner(), 0) << "node 3 may have gone on alone, by the operator's word";
  three.restart(3, Three::Memory::kLost);
  three.run_for(1s);
  EXPECT_NE(three.owner(), 0);
}

TEST(Lease, OneNodeThatWasNotOffIsEnoughForOneThatWas) {
  Three three;
  three.run_for(200ms);
  three.kill(3);
  three.restart(1, Three::Memory::kLost);
  three.run_for(400ms);
  EXPECT_FALSE(three.status(1).cold);
  EXPECT_NE(three.owner(), 0);
}

TEST(Lease, AfterARebootNobodyVotesForALongestTerm) {
  Three three;
  three.run_for(118ms);
  EXPECT_EQ(three.owner(), 0);
  EXPECT_FALSE(three.at(1).status(three.now()).voting);
  three.run_for(20ms);
  EXPECT_TRUE(three.at(1).status(three.now()).voting);
}

TEST(Lease, AGenerationIsProposedWhenTheOneBeforeCanGrantNothingAnyMore) {
  Three three;
  three.run_for(200ms);
  three.tell(1, lease_event::ChangeVoters{{1, 2}});
  three.run_for(100ms);
  EXPECT_EQ(three.at(1).status(three.now()).change, VoterChange::Step::kWaiting);
  three.run_for(200ms);
  for (NodeId id = 1; id <= 3; ++id) {
    const Generation& generation = three.at(id).status(three.now()).generation;
    EXPECT_EQ(generation.number, 2u);
    EXPECT_EQ(generation.voters, (NodeSet{1, 2}));
    EXPECT_GE(generation.floor, 1u) << "the highest counter that was in use";
  }
  EXPECT_EQ(three.owner(), 1) << "nobody lost anything by it";
  EXPECT_FALSE(three.at(3).status(three.now()).voting);
  // A majority of the new set is needed now, and a majority of the old one is not enough.
  three.kill(2);
  three.run_for(300ms);
  EXPECT_EQ(three.owner(), 0);
}

TEST(Lease, VotersChangeOneAtATime) {
  EXPECT_TRUE(is_single_change({1, 2, 3}, {1, 2, 3, 4}));
  EXPECT_TRUE(is_single_change({1, 2, 3}, {1, 3}));
  EXPECT_FALSE(is_single_change({1, 2, 3}, {1, 2, 4}));
  EXPECT_FALSE(is_single_change({1, 2, 3}, {1, 2, 3}));
  EXPECT_FALSE(is_single_change({1}, {}));
  Three three;
  three.run_for(200ms);
  three.tell(1, lease_event::ChangeVoters{{1}});
  EXPECT_EQ(three.at(1).status(three.now()).change, VoterChange::Step::kIdle);
}

TEST(Lease, AVoterOfAnotherGenerationIsTaughtAndNotCounted) {
  Three three;
  three.run_for(200ms);
  const Generation newer{2, {1, 2}, {1, 2, 3}, 4096};
  LeaseEffects effects;
  three.at(2).handle(lease_event::Heard{3, message::GenerationNews{newer}}, three.now(), effects);
  message::Proposal old = accept_of(Ballot::make(4100, 1), 1, 120ms);
  old.generation = 1;
  old.names = {kName};
  effects.clear();
  three.at(2).handle(lease_event::Heard{1, old}, three.now(), effects);
  ASSERT_EQ(effects.size(), 2u);
  const auto& news = std::get<lease_effect::Send>(effects[0]);
  EXPECT_EQ(std::get<message::GenerationNews>(news.message).generation, newer);
  const auto& votes = std::get<lease_effect::Send>(effects[1]);
  EXPECT_EQ(std::get<message::Votes>(votes.message).refusal, message::Refusal::kGeneration);
  // What lies below the generation's floor is outbid, whatever the registers say.
  message::Proposal low = old;
  low.generation = 2;
  low.ballot = Ballot::make(4096, 1);
  effects.clear();
  three.at(2).handle(lease_event::Heard{1, low}, three.now(), effects);
  ASSERT_EQ(effects.size(), 1u);
  const auto& outbid = std::get<message::Votes>(std::get<lease_effect::Send>(effects[0]).message);
  ASSERT_EQ(outbid.votes.size(), 1u);
  EXPECT_EQ(outbid.votes[0].verdict, Verdict::kOutbid);
}

// Without saying renewals again a minute of this costs two leases and more.
TEST(Lease, ATenthOfAllMessagesLostCostsNoLease) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Three three;
    three.run_for(200ms);
    ASSERT_EQ(three.owner(), 1);
    const Epoch first = *three.at(1).held(kName, three.now());
    three.lose(0.1, seed);
    three.run_for(60s);
    ASSERT_EQ(three.owner(), 1);
    EXPECT_EQ(*three.at(1).held(kName, three.now()), first);
    EXPECT_EQ(three.status(1).counters.expired, 0u);
  }
}

TEST(Lease, OfTwoNodesAndAWitnessTheOneThatTheWitnessHearsHolds) {
  Three three;  // the third wants nothing
  three.run_for(200ms);
  ASSERT_EQ(three.owner(), 1);
  three.cut(1, 2);
  three.cut(2, 1);
  const Epoch first = *three.at(1).held(kName, three.now());
  three.run_for(2s);
  ASSERT_EQ(three.holders(), NodeSet{1}) << "the two do not hear each other, the witness both";
  EXPECT_EQ(*three.at(1).held(kName, three.now()), first);
  three.cut(1);
  three.run_for(300ms);
  EXPECT_EQ(three.holders(), NodeSet{2}) << "by its own vote and the witness's";
}

TEST(Lease, AnIdleHolderCostsAFewMessages) {
  Three three;
  three.run_for(1s);
  const int before = three.sent();
  three.run_for(3s);
  // Two questions and two answers each 30 ms, and what each tells the others each 500 ms.
  EXPECT_LE(three.sent() - before, 101 * 4 + 3 * 7 * 2);
}

TEST(Lease, BadOptionsAreRefusedInWords) {
  LeaseOptions options;
  options.self = 0;
  EXPECT_NE(Lease::create(options, base::Rng(1)).error().message().find("1 to 63"),
            std::string::npos);
  options.self = 1;
  options.classes = {{40ms, 20ms}};
  EXPECT_EQ(Lease::create(options, base::Rng(1)).error().message(),
            "renewing each 20 ms is not 1 ms to half of 22 ms, what a holder may rely on of a "
            "term of 40 ms");
  options.classes = {{120ms, 30ms}};
  options.names = {{4, 0, true, 0ms}, {4, 0, true, 0ms}};
  EXPECT_EQ(Lease::create(options, base::Rng(1)).error().message(), "name 4 is there twice");
  options.names = {{4, 1, true, 0ms}};
  EXPECT_EQ(Lease::create(options, base::Rng(1)).error().message(),
            "term class 1 of a name is not one of 1");
}

}  // namespace
}  // namespace nines::cluster

// Verdicts look by look: what is asked of them, what takes them back, and what each is worth.
#include "cluster/dead_peers.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::cluster {
namespace {

using testing::HasSubstr;

using Verdict = DeadPeerStatus::Verdict;

// Node 1 of a cluster, told each 50 ms what it sees.
class Watcher {
 public:
  explicit Watcher(int nodes, DeadPeersOptions options = {}) : machine_(make(nodes, options)) {
    for (int i = 2; i <= nodes; ++i) {
      look_.peers.push_back({.node = static_cast<NodeId>(i),
                             .heard = true,
                             .was_known = true,
                             .has_left = false,
                             .unheard_by = {}});
    }
    look();
  }

  PeerSight& sight(NodeId node) { return look_.peers[node - 2u]; }
  void set_strain(int strain) { look_.strain = strain; }
  void isolate(bool isolated) { look_.isolated = isolated; }
  // Nobody of `by` hears it, nor do we.
  void silence(NodeId node, NodeSet by) {
    by.add(1);
    sight(node).heard = false;
    sight(node).unheard_by = by;
  }
  void hear(NodeId node) {
    sight(node).heard = true;
    sight(node).unheard_by = {};
  }
  void leave(NodeId node, NodeSet by) {
    silence(node, by);
    sight(node).has_left = true;
  }

  void look() { tell(look_); }
  void run_for(Duration time) {
    for (Duration passed{}; passed < time; passed += DeadPeers::kLookEvery) {
      now_ = now_ + DeadPeers::kLookEvery;
      look();
      if (answering_.empty() || (now_.nanoseconds / 1'000'000) % 200 != 0) continue;
      answering_.for_each([&](NodeId node) { tell(dead_peer_event::Answered{node}); });
    }
  }
  // The process, or the whole host, stands still.
  void stand_still(Duration time) {
    now_ = now_ + time;
    look();
  }
  // Nothing but time, until that verdict.
  Duration until_dead(NodeId node, Duration limit = std::chrono::minutes(1)) {
    const Instant begin = now_;
    while (status(node).verdict != Verdict::kDead && now_ - begin < limit) run_for(50ms);
    return now_ - begin;
  }
  void answer(NodeSet nodes) { answering_ = nodes; }

  void tell(const DeadPeerEvent& event) {
    DeadPeerEffects effects;
    machine_.handle(event, now_, effects);
    for (const DeadPeerEffect& effect : effects) {
      effects_.push_back(effect);
      const auto* const block = std::get_if<dead_peer_effect::Block>(&effect);
      if (block == nullptr || deaf_kernel_) continue;
      tell(dead_peer_event::Blocked{block->node});
    }
  }
  void set_deaf_kernel(bool deaf) { deaf_kernel_ = deaf; }

  template <typename Effect>
  std::vector<Effect> all() const {
    std::vector<Effect> found;
    for (const DeadPeerEffect& effect : effects_) {
      if (const auto* const each = std::get_if<Effect>(&effect)) found.push_back(*each);
    }
    return found;
  }
  template <typename Effect>
  int count() const {
    return static_cast<int>(all<Effect>().size());
  }
  void forget() { effects_.clear(); }
  DeadPeerStatus status(NodeId node) const { return machine_.status(now_)[node - 2u]; }
  DeadPeers& machine() { return machine_; }
  Instant now() const { return now_; }

 private:
  static DeadPeers make(int nodes, DeadPeersOptions options) {
    options.self = 1;
    for (int i = 1; i <= nodes; ++i) options.nodes.add(static_cast<NodeId>(i));
    return *DeadPeers::create(options);
  }

  DeadPeers machine_;
  dead_peer_event::Look look_;
  Instant now_{10'000'000'000};
  NodeSet answering_;
  bool deaf_kernel_ = false;
  DeadPeerEffects effects_;
};

TEST(DeadPeers, ASilentHostIsDoubtedAtOnceAndDeadAfterASecond) {
  Watcher watcher(3);
  watcher.silence(3, {2});
  watcher.look();
  EXPECT_EQ(watcher.count<dead_peer_effect::Shun>(), 1);
  EXPECT_EQ(watcher.status(3).verdict, Verdict::kDoubted);
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 0);
  EXPECT_EQ(watcher.until_dead(3), 1s);
  const auto blocks = watcher.all<dead_peer_effect::Block>();
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_EQ(blocks[0].node, 3);
  EXPECT_EQ(blocks[0].until, watcher.now() + DeadPeers::kRuleLife);
  // The rule first: what was destroyed connects anew at once.
  const auto destroys = watcher.all<dead_peer_effect::Destroy>();
  ASSERT_EQ(destroys.size(), 1u);
  EXPECT_FALSE(destroys[0].again);
  watcher.run_for(1s);
  ASSERT_EQ(watcher.count<dead_peer_effect::Destroy>(), 2);
  EXPECT_TRUE(watcher.all<dead_peer_effect::Destroy>()[1].again);
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 5) << "renewed each quarter of a second";
  EXPECT_TRUE(watcher.status(3).blocked);
  EXPECT_EQ(watcher.status(3).verdicts, 1);
}

TEST(DeadPeers, NothingIsDestroyedBeforeTheKernelHasTheRule) {
  Watcher watcher(3);
  watcher.set_deaf_kernel(true);
  watcher.silence(3, {2});
  watcher.run_for(3s);
  EXPECT_GE(watcher.count<dead_peer_effect::Block>(), 5) << "asked for again and again";
  EXPECT_EQ(watcher.count<dead_peer_effect::Destroy>(), 0);
  EXPECT_FALSE(watcher.status(3).blocked);
  watcher.set_deaf_kernel(false);
  watcher.run_for(DeadPeers::kRenewEvery);
  ASSERT_GE(watcher.count<dead_peer_effect::Destroy>(), 1);
  EXPECT_FALSE(watcher.all<dead_peer_effect::Destroy>()[0].again);
  // An acknowledgement of what is over changes nothing.
  watcher.hear(3);
  watcher.run_for(50ms);
  watcher.forget();
  watcher.tell(dead_peer_event::Blocked{3});
  watcher.tell(dead_peer_event::Blocked{9});
  EXPECT_EQ(watcher.count<dead_peer_effect::Destroy>(), 0);
}

TEST(DeadPeers, HeardAgainTheRuleGoesAtOnceAndTheWorkComesBackSlowly) {
  Watcher watcher(3);
  watcher.silence(3, {2});
  watcher.until_dead(3);
  watcher.forget();
  watcher.hear(3);
  watcher.look();
  EXPECT_EQ(watcher.count<dead_peer_effect::Unblock>(), 1);
  EXPECT_EQ(watcher.count<dead_peer_effect::Readmit>(), 0);
  EXPECT_EQ(watcher.status(3).verdict, Verdict::kBack);
  EXPECT_TRUE(watcher.status(3).shunned);
  watcher.run_for(DeadPeers::kSteady);
  const auto readmits = watcher.all<dead_peer_effect::Readmit>();
  ASSERT_EQ(readmits.size(), 1u);
  EXPECT_TRUE(readmits[0].slowly);
  EXPECT_EQ(watcher.status(3).verdict, Verdict::kWell);
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 0);
}

TEST(DeadPeers, WhoWasOnlyDoubtedGetsItsWorkBackAtOnce) {
  Watcher watcher(3);
  watcher.silence(3, {2});
  watcher.run_for(500ms);
  watcher.hear(3);
  watcher.look();
  const auto readmits = watcher.all<dead_peer_effect::Readmit>();
  ASSERT_EQ(readmits.size(), 1u);
  EXPECT_FALSE(readmits[0].slowly);
  EXPECT_EQ(watcher.count<dead_peer_effect::Unblock>(), 0) << "there was no rule";
}

TEST(DeadPeers, OneObserverOfThreeResetsNobody) {
  Watcher watcher(3);
  watcher.silence(3, {});  // node 2 hears it
  watcher.run_for(1min);
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 0);
  EXPECT_EQ(watcher.status(3).verdict, Verdict::kDoubted);
}

TEST(DeadPeers, AHostWhoseKernelAnswersIsNotDead) {
  Watcher watcher(3);
  watcher.answer({3});
  watcher.silence(3, {2});  // its nines was killed, its database lives
  watcher.run_for(1min);
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 0);
  EXPECT_EQ(watcher.status(3).verdict, Verdict::kWell);
  EXPECT_FALSE(watcher.status(3).shunned) << "its own checks judge its services";
  // Then the host dies as well: the silence begins with the last answer's end.
  watcher.answer({});
  const Duration took = watcher.until_dead(3);
  EXPECT_GE(took, 1s);
  EXPECT_LE(took, 1s + DeadPeers::kAnswerHolds + 100ms);
}

TEST(DeadPeers, AnAnswerLiftsARuleAtOnce) {
  Watcher watcher(3);
  watcher.silence(3, {2});
  watcher.until_dead(3);
  watcher.forget();
  watcher.tell(dead_peer_event::Answered{3});
  EXPECT_EQ(watcher.count<dead_peer_effect::Unblock>(), 1);
}

TEST(DeadPeers, AnAnswerFromBeforeTheSilenceSaysNothing) {
  Watcher watcher(3);
  watcher.answer({3});
  watcher.run_for(2s);
  watcher.answer({});
  watcher.silence(3, {2});
  watcher.look();
  EXPECT_EQ(watcher.until_dead(3), 1s);
}

TEST(DeadPeers, ProbesWhoIsSilentOftenAndWhoIsHeardSeldom) {
  Watcher watcher(3);
  watcher.run_for(1min);
  EXPECT_EQ(watcher.count<dead_peer_effect::Probe>(), 14);  // two peers, at once and 6 times
  watcher.forget();
  watcher.silence(3, {2});
  watcher.run_for(1s);
  int probes = 0;
  for (const auto& probe : watcher.all<dead_peer_effect::Probe>()) probes += probe.node == 3;
  EXPECT_EQ(probes, 5);
  EXPECT_EQ(watcher.status(3).verdict, Verdict::kDoubted);
}

TEST(DeadPeers, WhoTookItsLeaveIsDeadOnlyIfItsKernelUsedToAnswer) {
  Watcher watcher(3);
  watcher.leave(3, {2});
  watcher.run_for(1min);
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 0) << "its services may run on";
  EXPECT_EQ(watcher.count<dead_peer_effect::Shun>(), 0);
  watcher.hear(3);
  watcher.sight(3).has_left = false;
  watcher.answer({3});
  watcher.run_for(2s);
  watcher.leave(3, {2});
  watcher.run_for(1min);
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 0);
  watcher.answer({});
  EXPECT_LE(watcher.until_dead(3), 1600ms) << "the host was taken down after it";
}

TEST(DeadPeers, AHostThatStoodStillDistrustsItself) {
  for (const bool was_dead : {false, true}) {
    Watcher watcher(3);
    watcher.silence(3, {2});
    watcher.run_for(900ms);
    if (was_dead) watcher.until_dead(3);
    watcher.forget();
    watcher.stand_still(3s);
    EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 0);
    EXPECT_EQ(watcher.count<dead_peer_effect::Unblock>(), was_dead ? 1 : 0)
        << "the kernel's rule has run out meanwhile";
    EXPECT_EQ(watcher.until_dead(3), 1s) << "and a silence counts from now on, as long as ever";
  }
}

TEST(DeadPeers, StrainAsksForMoreSilence) {
  Watcher watcher(3);
  watcher.set_strain(4);
  watcher.silence(3, {2});
  watcher.look();
  EXPECT_EQ(watcher.until_dead(3), 2s);
}

TEST(DeadPeers, EachReturnDoublesTheSilenceUntilItIsForgotten) {
  Watcher watcher(3);
  Duration expected = 1s;
  for (int i = 0; i < 7; ++i) {
    watcher.silence(3, {2});
    watcher.look();
    EXPECT_EQ(watcher.until_dead(3), expected) << i;
    watcher.hear(3);
    watcher.run_for(1s);
    expected = std::min<Duration>(expected * 2, 16s);
  }
  EXPECT_EQ(watcher.status(3).evidence.returns, 4);
  watcher.run_for(61s);
  EXPECT_EQ(watcher.status(3).evidence.returns, 0);
  watcher.silence(3, {2});
  watcher.look();
  EXPECT_EQ(watcher.until_dead(3), 1s);
}

TEST(DeadPeers, NeverAgainstMoreThanAMinority) {
  Watcher watcher(5);
  watcher.silence(4, {2, 3});
  watcher.silence(5, {2, 3});
  watcher.run_for(2s);
  EXPECT_EQ(watcher.machine().blocked(), (NodeSet{4, 5}));
  // The third of five: two are left, and cannot tell who was cut off from whom.
  watcher.forget();
  watcher.silence(3, {2});
  watcher.sight(4).unheard_by = watcher.sight(5).unheard_by = NodeSet{1, 2};
  watcher.run_for(DeadPeers::kReasonGrace);
  EXPECT_EQ(watcher.machine().blocked(), (NodeSet{4, 5})) << "it may be a moment's doubt";
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 0) << "but nothing is renewed";
  watcher.run_for(100ms);
  EXPECT_EQ(watcher.machine().blocked(), NodeSet{});
  watcher.run_for(10s);
  EXPECT_EQ(watcher.machine().blocked(), NodeSet{});
  for (const NodeId node : {3, 4, 5}) EXPECT_FALSE(watcher.status(node).shunned) << int{node};
}

TEST(DeadPeers, EvenIfAllSaidSoOnlyAMinorityIsCutOff) {
  Watcher watcher(5);
  for (const NodeId node : {2, 3, 4, 5}) watcher.silence(node, {2, 3, 4, 5});
  watcher.run_for(10s);
  EXPECT_EQ(watcher.machine().blocked().size(), 2);
}

TEST(DeadPeers, WhoHearsNobodyDoubtsItself) {
  Watcher watcher(3);
  watcher.isolate(true);
  watcher.silence(3, {2});
  watcher.run_for(10s);
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 0);
  EXPECT_EQ(watcher.count<dead_peer_effect::Shun>(), 0);
}

TEST(DeadPeers, OfTwoNodesNeitherJudgesTheOther) {
  Watcher watcher(2);
  watcher.silence(2, {});
  watcher.run_for(1min);
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>(), 0);
}

TEST(DeadPeers, AHostThatWasNeverHeardIsDeadToo) {
  Watcher watcher(3);  // this process has just been started again, the host died before
  watcher.silence(3, {2});
  watcher.sight(3).was_known = false;
  watcher.look();
  EXPECT_EQ(watcher.count<dead_peer_effect::Shun>(), 0);
  EXPECT_EQ(watcher.until_dead(3), 1s);
  EXPECT_EQ(watcher.count<dead_peer_effect::Shun>(), 1);
}

TEST(DeadPeers, TurnedOffItLiftsEverythingAndDoesNothing) {
  Watcher watcher(3);
  watcher.silence(3, {2});
  watcher.until_dead(3);
  watcher.forget();
  watcher.tell(dead_peer_event::Configure{.on = false, .silence = 1s, .hold_down = 1min});
  EXPECT_EQ(watcher.count<dead_peer_effect::Unblock>(), 1);
  EXPECT_EQ(watcher.count<dead_peer_effect::Readmit>(), 1);
  watcher.forget();
  watcher.run_for(10s);
  EXPECT_EQ(watcher.count<dead_peer_effect::Block>() + watcher.count<dead_peer_effect::Shun>() +
                watcher.count<dead_peer_effect::Probe>(),
            0);
  watcher.tell(dead_peer_event::Configure{.on = true, .silence = 2s, .hold_down = 1min});
  EXPECT_LE(watcher.until_dead(3), 50ms) << "it has been silent for long";
}

TEST(DeadPeers, SaysWhy) {
  Watcher watcher(3);
  watcher.silence(3, {2});
  watcher.look();
  watcher.run_for(3s);
  const std::string text = text_of(watcher.status(3).evidence);
  EXPECT_EQ(text,
            "not heard by 2 of 3 controllers, silent on all networks for 3.0 s of 1.0 s asked, its "
            "kernel has never answered an echo request");
  watcher.hear(3);
  watcher.look();
  EXPECT_EQ(text_of(watcher.status(3).evidence), "heard");
}

TEST(DeadPeers, OptionsOutOfRangeAreRefused) {
  const auto refused = [](NodeId self, Duration silence, Duration hold_down) {
    DeadPeersOptions options;
    options.self = self;
    options.nodes = {1, 2, 3};
    options.silence = silence;
    options.hold_down = hold_down;
    const auto made = DeadPeers::create(options);
    return made.has_value() ? std::string() : made.error().message();
  };
  EXPECT_THAT(refused(1, 499ms, 1min), HasSubstr("500 ms to 60000 ms"));
  EXPECT_THAT(refused(1, 61s, 1min), HasSubstr("500 ms to 60000 ms"));
  EXPECT_THAT(refused(1, 1s, -1s), HasSubstr("0 ms to 3600000 ms"));
  EXPECT_THAT(refused(0, 1s, 1min), HasSubstr("1 to 63"));
  EXPECT_EQ(refused(1, 500ms, 0s), "");
}

}  // namespace
}  // namespace nines::cluster

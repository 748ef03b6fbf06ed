// Words between controllers and a listener: what is believed, and what it comes to.
#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/verdict_listener.h"
#include "cluster/verdict_teller.h"

namespace nines::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ClusterKey key_of(std::uint8_t number) {
  Secret::Bytes bytes{};
  bytes.fill(number);
  return *make_key(Secret(bytes));
}
Incarnation life_of(std::uint8_t number) {
  Incarnation life{};
  life.fill(number);
  return life;
}
SocketAddress address_of(std::uint16_t port) {
  return *SocketAddress::parse_ip("192.0.2.51", port);
}

VerdictListener listener_of(const ClusterKey& cluster, const std::string& name,
                            std::uint8_t life = 100) {
  return *VerdictListener::create({*listener_key(cluster, name)}, name, {1, 2, 3}, life_of(life));
}

class VerdictWords : public testing::Test {
 protected:
  // The word of `teller` for an ask of `listener` at this moment; empty: none.
  std::string word(VerdictTeller& teller, VerdictListener& listener, NodeId node = 1) {
    const auto told = teller.heard(address_of(40000), listener.ask(node, now_), now_);
    return told ? told->bytes : "";
  }
  void wait(Duration time) { now_ = now_ + time; }

  ClusterKey cluster_ = key_of(7);
  VerdictTeller teller_{{cluster_}, 1, life_of(1)};
  VerdictListener listener_ = listener_of(cluster_, "comp01");
  Instant now_{1'000'000'000'000};
};

TEST_F(VerdictWords, AnAskIsAnsweredWhereItCameFromAndBelievedOnce) {
  EXPECT_TRUE(teller_.set_view({2, 3}, {3}));
  EXPECT_FALSE(teller_.set_view({2, 3}, {3}));
  const std::string ask = listener_.ask(1, now_);
  EXPECT_EQ(ask.size(), kVerdictAskSize);
  const auto told = teller_.heard(address_of(40000), ask, now_);
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->to, address_of(40000));
  EXPECT_EQ(told->bytes.size(), kVerdictWordSize);
  EXPECT_TRUE(listener_.heard(told->bytes, now_));
  EXPECT_FALSE(listener_.heard(told->bytes, now_)) << "a replay";
  const auto sights = listener_.sights(now_);
  ASSERT_EQ(sights.size(), 3u);
  EXPECT_TRUE(sights[0].heard);
  EXPECT_EQ(sights[0].unheard, (NodeSet{2, 3}));
  EXPECT_EQ(sights[0].dead, NodeSet{3});
  EXPECT_FALSE(sights[1].heard);
}

TEST_F(VerdictWords, ARepeatedAskIsNotAnswered) {
  const std::string ask = listener_.ask(1, now_);
  EXPECT_TRUE(teller_.heard(address_of(40000), ask, now_));
  EXPECT_FALSE(teller_.heard(address_of(666), ask, now_));
  ASSERT_EQ(teller_.tell(now_).size(), 1u);
  EXPECT_EQ(teller_.tell(now_).front().to, address_of(40000)) << "nor does it move the listener";
}

TEST_F(VerdictWords, ANewerWordWithoutAnotherAskIsBelievedWhileTheAskIsRecent) {
  ASSERT_TRUE(listener_.heard(word(teller_, listener_), now_));
  teller_.set_view({2}, {});
  const std::string first = teller_.tell(now_).front().bytes;
  teller_.set_view({2}, {2});
  const std::string second = teller_.tell(now_).front().bytes;
  wait(VerdictListener::kEchoHolds);
  EXPECT_TRUE(listener_.heard(second, now_));
  EXPECT_FALSE(listener_.heard(first, now_)) << "it is older";
  teller_.set_view({}, {});
  const std::string third = teller_.tell(now_).front().bytes;
  wait(milliseconds(1));
  EXPECT_FALSE(listener_.heard(third, now_)) << "it may have been on its way for seconds";
}

TEST_F(VerdictWords, NothingIsBelievedThatWasTouched) {
  const std::string good = word(teller_, listener_);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(listener_.heard(bad, now_)) << i;
  }
  EXPECT_FALSE(listener_.heard(good.substr(0, good.size() - 1), now_));
  EXPECT_FALSE(listener_.heard(good + 'x', now_));
  EXPECT_FALSE(listener_.heard("", now_));
  EXPECT_TRUE(listener_.heard(good, now_));
  const std::string ask = listener_.ask(1, now_);
  for (std::size_t i = 0; i < ask.size(); ++i) {
    std::string bad = ask;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_FALSE(teller_.heard(address_of(666), bad, now_).has_value()) << i;
  }
}

TEST_F(VerdictWords, AListenerSpeaksForItselfAlone) {
  VerdictListener other = listener_of(cluster_, "comp02", 101);
  // A word that was meant for another.
  EXPECT_FALSE(listener_.heard(word(teller_, other), now_));
  // comp02's key with comp01's name.
  auto forger = *VerdictListener::create({*listener_key(cluster_, "comp02")}, "comp01", {1, 2, 3},
                                         life_of(102));
  EXPECT_EQ(word(teller_, forger), "");
  // The key of another cluster.
  VerdictListener stranger = listener_of(key_of(8), "comp01", 103);
  EXPECT_EQ(word(teller_, stranger), "");
  // What node 1 is asked is not answered by node 2.
  VerdictTeller second({cluster_}, 2, life_of(2));
  EXPECT_EQ(word(second, listener_, 1), "");
}

TEST_F(VerdictWords, EachLifeOfAListenerIsToldAnew) {
  ASSERT_NE(word(teller_, listener_), "");
  VerdictListener again = listener_of(cluster_, "comp01", 104);
  EXPECT_TRUE(again.heard(word(teller_, again), now_));
  EXPECT_EQ(teller_.listeners(now_), 1u);
}

TEST_F(VerdictWords, ALifeOfAControllerThatIsOverIsNotBelievedAgain) {
  ASSERT_TRUE(listener_.heard(word(teller_, listener_), now_));
  VerdictTeller later({cluster_}, 1, life_of(11));
  later.set_view({}, {2});
  const std::string ask = listener_.ask(1, now_);
  const auto old = teller_.heard(address_of(40000), ask, now_);
  const auto fresh = later.heard(address_of(40000), ask, now_);
  ASSERT_TRUE(old && fresh);
  EXPECT_TRUE(listener_.heard(fresh->bytes, now_));
  EXPECT_FALSE(listener_.heard(old->bytes, now_));
  EXPECT_EQ(listener_.sights(now_)[0].dead, NodeSet{2});
}

TEST_F(VerdictWords, NoNumberIsSealedTwiceHoweverOftenAListenerIsForgotten) {
  std::uint64_t last = 0;
  for (int i = 0; i < 5; ++i) {
    const auto head = parse_head(word(teller_, listener_));
    ASSERT_TRUE(head.has_value());
    EXPECT_GT(head->number, last);
    last = head->number;
    wait(VerdictTeller::kForgetAfter + seconds(1));
    EXPECT_TRUE(teller_.tell(now_).empty());
    VerdictListener other = listener_of(cluster_, "other" + std::to_string(i), 110);
    EXPECT_NE(word(teller_, other), "") << "who makes room for others";
    EXPECT_EQ(teller_.listeners(now_), 1u);
    last = std::max(last, parse_head(teller_.tell(now_).front().bytes)->number);
  }
}

TEST_F(VerdictWords, BothKeysOfAControllerAnswerWhileOneReplacesTheOther) {
  VerdictTeller both({key_of(9), cluster_}, 1, life_of(1));
  EXPECT_TRUE(listener_.heard(word(both, listener_), now_));
  VerdictListener changed = listener_of(key_of(9), "comp01", 105);
  EXPECT_TRUE(changed.heard(word(both, changed), now_));
}

TEST_F(VerdictWords, StrangersCostNoMoreThanTheirShare) {
  int answered = 0;
  for (int i = 0; i < VerdictTeller::kIntroductionsBurst + 50; ++i) {
    VerdictListener each = listener_of(cluster_, "comp" + std::to_string(i), 120);
    answered += word(teller_, each) != "" ? 1 : 0;
  }
  EXPECT_EQ(answered, VerdictTeller::kIntroductionsBurst);
  wait(VerdictTeller::kIntroductionEvery);
  VerdictListener one = listener_of(cluster_, "one-more", 121);
  EXPECT_NE(word(teller_, one), "");
}

TEST_F(VerdictWords, NamesAndNodesThatCannotBeAreRefused) {
  const ClusterKeys keys = {cluster_};
  EXPECT_FALSE(VerdictListener::create(keys, "", {1}, life_of(1)).has_value());
  EXPECT_FALSE(VerdictListener::create(keys, std::string(65, 'a'), {1}, life_of(1)).has_value());
  EXPECT_FALSE(VerdictListener::create(keys, "a", {}, life_of(1)).has_value());
  EXPECT_FALSE(VerdictListener::create({}, "a", {1}, life_of(1)).has_value());
  EXPECT_FALSE(VerdictListener::create(keys, "a", {1}, Incarnation{}).has_value());
  VerdictListener longest = *VerdictListener::create(
      {*listener_key(cluster_, std::string(64, 'a'))}, std::string(64, 'a'), {1}, life_of(1));
  EXPECT_NE(word(teller_, longest), "");
}

// ---- What words come to -----------------------------------------------------------------------

// Three controllers, a listener, and the machine that it feeds; time goes on in steps.
class Host {
 public:
  static constexpr Duration kStep = milliseconds(10);

  Host() {
    for (NodeId node = 1; node <= 3; ++node) {
      tellers_.emplace(node, VerdictTeller({cluster_}, node, life_of(node)));
    }
    run_for(seconds(2));
  }

  void kill(NodeId node) { away_.add(node); }
  void revive(NodeId node) { away_.remove(node); }
  void let_answer_echo(NodeId node, bool answers) {
    answers ? answering_.add(node) : answering_.remove(node);
  }
  void say(NodeId node, NodeSet unheard, NodeSet dead) {
    said_[node] = dead;
    if (tellers_.at(node).set_view(unheard, dead)) tell(node);
  }
  void run_for(Duration time) {
    for (const Instant end = now_ + time; now_ < end;) {
      now_ = now_ + kStep;
      step();
    }
  }
  void stand_still(Duration time) { now_ = now_ + time; }
  NodeSet blocked() const { return machine_.blocked(); }
  const std::vector<DeadPeerEffect>& effects() const { return effects_; }
  template <typename Effect>
  int count() const {
    return static_cast<int>(std::count_if(effects_.begin(), effects_.end(), [](const auto& each) {
      return std::holds_alternative<Effect>(each);
    }));
  }
  // Until it is blocked or not; how long that took.
  Duration until(NodeId node, bool blocked, Duration most) {
    const Instant begun = now_;
    while (this->blocked().contains(node) != blocked && now_ - begun < most) run_for(kStep);
    return now_ - begun;
  }
  int asks() const { return asks_; }
  Instant now() const { return now_; }
  // In the kernel, where it ends by itself.
  bool has_rule(NodeId node) const {
    const auto found = rules_.find(node);
    return found != rules_.end() && found->second > now_;
  }
  bool is_silent(NodeId node) const { return away_.contains(node) && !answering_.contains(node); }
  // How many controllers that can be asked call it dead.
  int called_dead_by(NodeId node) const {
    int count = 0;
    for (const auto& [other, dead] : said_) {
      count += other != node && !away_.contains(other) && dead.contains(node) ? 1 : 0;
    }
    return count;
  }

 private:
  void step() {
    for (const NodeId node : listener_.due(now_)) {
      ++asks_;
      const std::string ask = listener_.ask(node, now_);
      if (away_.contains(node)) continue;
      const auto told = tellers_.at(node).heard(address_of(40000), ask, now_);
      if (told) listener_.heard(told->bytes, now_);
    }
    const auto since = now_.nanoseconds / 1'000'000;
    for (auto& [node, teller] : tellers_) {
      if (teller.has_news() && since % 250 == 0) tell(node);
    }
    if (now_ >= machine_.deadline()) handle(listener_.look(now_));
  }
  void tell(NodeId node) {
    if (away_.contains(node)) return;
    for (const auto& each : tellers_.at(node).tell(now_)) listener_.heard(each.bytes, now_);
  }
  void handle(const DeadPeerEvent& event) {
    DeadPeerEffects out;
    machine_.handle(event, now_, out);
    for (const auto& effect : out) {
      effects_.push_back(effect);
      const auto* const block = std::get_if<dead_peer_effect::Block>(&effect);
      if (block != nullptr) rules_[block->node] = block->until;
      if (block != nullptr) handle(dead_peer_event::Blocked{block->node});
      const auto* const unblock = std::get_if<dead_peer_effect::Unblock>(&effect);
      if (unblock != nullptr) rules_.erase(unblock->node);
      const auto* const probe = std::get_if<dead_peer_effect::Probe>(&effect);
      if (probe != nullptr && answering_.contains(probe->node)) {
        handle(dead_peer_event::Answered{probe->node});
      }
    }
  }

  ClusterKey cluster_ = key_of(7);
  std::map<NodeId, VerdictTeller> tellers_;
  VerdictListener listener_ = listener_of(cluster_, "comp01");
  DeadPeers machine_ = *DeadPeers::create(
      {.self = 0, .nodes = {1, 2, 3}, .observes = true, .silence = DeadPeers::kSilenceLeast});
  std::vector<DeadPeerEffect> effects_;
  std::map<NodeId, Instant> rules_;
  std::map<NodeId, NodeSet> said_;
  NodeSet away_, answering_;
  Instant now_{1'000'000'000'000};
  int asks_ = 0;
};

TEST(Verdicts, WhoIsCalledDeadAtOnceIsCutOffAfterASilenceOfOnesOwn) {
  Host host;
  host.kill(1);
  host.say(2, {1}, {1});
  host.say(3, {1}, {1});
  const Duration took = host.until(1, true, seconds(3));
  EXPECT_GE(took, DeadPeers::kSilenceLeast);
  EXPECT_LE(took,
            DeadPeers::kSilenceLeast + VerdictListener::kDoubtedHeardHolds + milliseconds(100));
}

TEST(Verdicts, TwoOfThreeThatCallTheThirdDeadCutOffWhoHasBeenSilentLongEnough) {
  Host host;
  host.kill(1);
  host.run_for(milliseconds(100));
  host.say(2, {1}, {});
  host.say(3, {1}, {});
  host.run_for(milliseconds(1000));
  EXPECT_TRUE(host.blocked().empty()) << "silence alone is one reason of two";
  host.say(2, {1}, {1});
  host.say(3, {1}, {1});
  EXPECT_LE(host.until(1, true, seconds(3)), milliseconds(60));
  EXPECT_EQ(host.count<dead_peer_effect::Destroy>(), 1);
  host.run_for(milliseconds(300));
  EXPECT_EQ(host.count<dead_peer_effect::Destroy>(), 2) << "and once more";
  host.run_for(seconds(10));
  EXPECT_EQ(host.blocked(), NodeSet{1}) << "while it lasts";
  EXPECT_GE(host.count<dead_peer_effect::Block>(), 35) << "renewed four times a second";
  EXPECT_EQ(host.count<dead_peer_effect::Shun>(), 0) << "there is no balancer here";
}

TEST(Verdicts, OneControllerAloneCutsNobodyOff) {
  Host host;
  host.kill(1);
  host.say(2, {1}, {1});
  host.run_for(seconds(20));
  EXPECT_TRUE(host.blocked().empty());
  EXPECT_EQ(host.count<dead_peer_effect::Block>(), 0);
}

TEST(Verdicts, WhoAnswersTheListenerIsNotCutOffWhateverOthersSay) {
  Host host;
  host.say(2, {1}, {1});
  host.say(3, {1}, {1});
  host.run_for(seconds(20));
  EXPECT_EQ(host.count<dead_peer_effect::Block>(), 0);
}

TEST(Verdicts, AKernelThatAnswersIsNotCutOffThoughItsNinesIsGone) {
  Host host;
  host.let_answer_echo(1, true);
  host.kill(1);
  host.say(2, {1}, {1});
  host.say(3, {1}, {1});
  host.run_for(seconds(20));
  EXPECT_EQ(host.count<dead_peer_effect::Block>(), 0);
}

TEST(Verdicts, AControllerWithoutNinesIsNotCutOffAsLongAsNobodyCallsItDead) {
  Host host;
  host.kill(1);
  host.say(2, {1}, {});
  host.say(3, {1}, {});
  host.run_for(seconds(20));
  EXPECT_EQ(host.count<dead_peer_effect::Block>(), 0);
}

TEST(Verdicts, TheRuleGoesWhenTheHostAnswers) {
  Host host;
  host.kill(1);
  host.say(2, {1}, {1});
  host.say(3, {1}, {1});
  ASSERT_LT(host.until(1, true, seconds(10)), seconds(10));
  host.revive(1);
  EXPECT_LE(host.until(1, false, seconds(3)), VerdictListener::kAskDoubtedEvery + milliseconds(60));
}

TEST(Verdicts, TheRuleGoesAtOnceWhenAControllerTakesItsWordBack) {
  Host host;
  host.kill(1);
  host.say(2, {1}, {1});
  host.say(3, {1}, {1});
  ASSERT_LT(host.until(1, true, seconds(10)), seconds(10));
  host.say(3, {1}, {});
  EXPECT_LE(host.until(1, false, seconds(3)), DeadPeers::kReasonGrace + milliseconds(100));
}

TEST(Verdicts, TheRuleGoesWithTheMajorityThatWantedIt) {
  Host host;
  host.kill(1);
  host.say(2, {1}, {1});
  host.say(3, {1}, {1});
  ASSERT_LT(host.until(1, true, seconds(10)), seconds(10));
  host.kill(2);
  EXPECT_LE(host.until(1, false, seconds(5)),
            VerdictListener::kWordHolds + DeadPeers::kReasonGrace + milliseconds(100));
}

TEST(Verdicts, AHostThatStoodStillForgetsWhatItWasTold) {
  Host host;
  host.kill(1);
  host.say(2, {1}, {1});
  host.say(3, {1}, {1});
  ASSERT_LT(host.until(1, true, seconds(10)), seconds(10));
  host.stand_still(seconds(30));
  host.revive(1);
  const int before = host.count<dead_peer_effect::Block>();
  host.say(2, {}, {});
  host.say(3, {}, {});
  host.run_for(seconds(5));
  EXPECT_TRUE(host.blocked().empty());
  EXPECT_EQ(host.count<dead_peer_effect::Block>(), before);
}

TEST(Verdicts, OneControllerAtATime) {
  Host host;
  host.kill(1);
  host.kill(2);
  for (NodeId node = 1; node <= 3; ++node) host.say(node, {1, 2}, {1, 2});
  host.run_for(seconds(20));
  EXPECT_EQ(host.count<dead_peer_effect::Block>(), 0) << "one of three is no majority";
}

// One schedule of deaths, returns, words and pauses; how many rules there were.
int judge_schedule(unsigned seed) {
  // A word's life, what is waited for once it is gone, and an element's life.
  constexpr Duration kOutliveMost =
      VerdictListener::kWordHolds + DeadPeers::kReasonGrace + DeadPeers::kRuleLife;
  std::mt19937 random(seed);
  const auto below = [&](unsigned most) { return static_cast<unsigned>(random() % most); };
  Host host;
  std::map<NodeId, Instant> silent_at, dead_at;
  for (NodeId node = 1; node <= 3; ++node) silent_at[node] = dead_at[node] = Instant{};
  for (int fault = 0; fault < 60; ++fault) {
    const auto node = static_cast<NodeId>(1 + below(3));
    const auto other = static_cast<NodeId>(1 + below(3));
    switch (below(8)) {
      case 0:
      case 1:
        host.kill(node);
        break;
      case 2:
        host.revive(node);
        break;
      case 3:
        host.let_answer_echo(node, below(3) == 0);
        break;
      case 4:
        host.stand_still(milliseconds(below(1500)));
        break;
      case 5:
        host.say(node, {}, {});
        break;
      default:
        for (NodeId each = 1; each <= 3; ++each) {
          if (each != other && below(4) != 0) host.say(each, {other}, {other});
        }
    }
    for (unsigned left = below(250); left > 0; --left) {
      host.run_for(Host::kStep);
      for (NodeId each = 1; each <= 3; ++each) {
        if (host.is_silent(each)) silent_at[each] = host.now();
        if (host.called_dead_by(each) >= 2) dead_at[each] = host.now();
        if (!host.has_rule(each)) continue;
        EXPECT_LE(host.now() - silent_at[each], kOutliveMost) << "seed " << seed;
        EXPECT_LE(host.now() - dead_at[each], kOutliveMost) << "seed " << seed;
      }
    }
  }
  return host.count<dead_peer_effect::Destroy>();
}

TEST(Verdicts, NoRuleOutlivesEitherOfItsReasons) {
  const char* const wanted = std::getenv("NINES_SIM_SEEDS");
  const unsigned seeds = wanted != nullptr ? static_cast<unsigned>(std::atoi(wanted)) : 20;
  int rules = 0;
  for (unsigned seed = 1; seed <= seeds && !testing::Test::HasFailure(); ++seed) {
    rules += judge_schedule(seed);
  }
  EXPECT_GE(rules, static_cast<int>(seeds / 2)) << "there is something to judge";
}

TEST(Verdicts, AllIsWellAtOneAskASecond) {
  Host host;
  const int before = host.asks();
  host.run_for(seconds(10));
  EXPECT_NEAR(host.asks() - before, 30, 3);
}

}  // namespace
}  // namespace nines::cluster

// What is told, kept, forgotten and nudged; and schedules by seeds, in which words are lost,
// doubled and late, holders change, and whoever takes an address must know what stood on it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "cluster/session_keeper.h"
#include "cluster/session_teller.h"
#include "cluster/session_wire.h"

namespace nines::cluster {
namespace {

constexpr Name kWeb = 7, kOther = 8;
const SocketAddress kAddress = *SocketAddress::parse_ip("10.9.0.100", 0);
const SocketAddress kAddress6 = *SocketAddress::parse_ip("fd09::100", 0);

SessionTuple client(int number) {
  return SessionTuple::of(
      kAddress.with_port(8080),
      SocketAddress::ipv4({10, 9, static_cast<std::uint8_t>(1 + number / 60000), 200},
                          static_cast<std::uint16_t>(1 + number % 60000)));
}

std::vector<SessionTuple> clients(int first, int end) {
  std::vector<SessionTuple> sessions;
  for (int i = first; i < end; ++i) sessions.push_back(client(i));
  std::sort(sessions.begin(), sessions.end());
  return sessions;
}

std::map<Name, std::vector<SocketAddress>> ours() { return {{kWeb, {kAddress, kAddress6}}}; }

SessionMessage message(Epoch epoch, std::uint32_t round, std::vector<SessionTuple> standing,
                       std::vector<SessionTuple> ended = {}) {
  return {.name = kWeb,
          .epoch = epoch,
          .round = round,
          .standing = std::move(standing),
          .ended = std::move(ended)};
}

std::size_t known(const SessionKeeper& keeper) {
  std::size_t count = 0;
  for (const auto& each : keeper.known()) count += each.sessions;
  return count;
}

class TellerTest : public testing::Test {
 protected:
  // All that is due until then.
  std::vector<SessionMessage> told_until(Instant end) {
    std::vector<SessionMessage> all;
    while (const auto due = teller_.deadline()) {
      if (*due > end) break;
      now_ = std::max(now_, *due);
      const std::size_t before = all.size();
      teller_.tell(now_, all);
      EXPECT_LE(all.size() - before, SessionTeller::kMessagesPerStep);
    }
    now_ = end;
    for (const SessionMessage& each : all) {
      EXPECT_LE(encode_session_message(each).size(), kSessionMessageMax);
    }
    return all;
  }
  std::vector<SessionMessage> told_for(Duration time) { return told_until(now_ + time); }

  SessionTeller teller_;
  Instant now_{1'000'000'000};
};

TEST_F(TellerTest, NothingIsSaidWhileThereIsNothingToSay) {
  EXPECT_EQ(teller_.deadline(), std::nullopt);
  teller_.held(kWeb, 5, now_);
  EXPECT_EQ(teller_.deadline(), std::nullopt);
  teller_.seen(kWeb, {}, now_);
  EXPECT_EQ(teller_.deadline(), std::nullopt);
  teller_.seen(kOther, clients(0, 3), now_);
  EXPECT_EQ(teller_.deadline(), std::nullopt) << "not held";
}

TEST_F(TellerTest, WhatChangesIsToldAtOnceAndOnce) {
  teller_.held(kWeb, 5, now_);
  teller_.seen(kWeb, clients(0, 3), now_);
  EXPECT_EQ(told_for(0s), std::vector{message(5, 1, clients(0, 3))});
  teller_.seen(kWeb, clients(0, 3), now_);
  EXPECT_TRUE(told_for(1s).empty());
  teller_.seen(kWeb, clients(1, 4), now_);
  EXPECT_EQ(told_for(0s), std::vector{message(5, 1, clients(3, 4), clients(0, 1))});
  // What comes and goes between two steps is told as it is then.
  teller_.seen(kWeb, clients(1, 5), now_);
  teller_.seen(kWeb, clients(1, 4), now_);
  const auto told = told_for(1s);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_TRUE(told[0].standing.empty());
}

TEST_F(TellerTest, AllThatStandsIsToldAgainInEachRound) {
  teller_.held(kWeb, 5, now_);
  teller_.seen(kWeb, clients(0, 3), now_);
  told_for(1s);
  const auto told = told_for(SessionTeller::kRoundEvery * 2);
  EXPECT_EQ(told, (std::vector{message(5, 2, clients(0, 3)), message(5, 3, clients(0, 3))}));
}

TEST_F(TellerTest, TheEndOfTheLastOneIsRepeatedAndThenSilenceKept) {
  teller_.held(kWeb, 5, now_);
  teller_.seen(kWeb, clients(0, 1), now_);
  told_for(0s);
  teller_.seen(kWeb, {}, now_);
  std::vector<SessionMessage> wanted = {message(5, 1, {}, clients(0, 1))};
  for (std::uint32_t round = 2; round < 2 + SessionTeller::kEmptyRounds; ++round) {
    wanted.push_back(message(5, round, {}));
  }
  EXPECT_EQ(told_for(1h), wanted);
  EXPECT_EQ(teller_.deadline(), std::nullopt);
  // The first one after that is told once, and its round is a whole one away.
  teller_.seen(kWeb, clients(0, 1), now_);
  EXPECT_EQ(told_for(1s).size(), 1u);
}

TEST_F(TellerTest, ThousandsAreToldInBoundedStepsAndARoundGoesOnBesideChanges) {
  teller_.held(kWeb, 5, now_);
  const int most = static_cast<int>(SessionTeller::kSessionsMax);
  teller_.seen(kWeb, clients(0, most), now_);
  const Instant begun = now_;
  SessionKeeper keeper(ours());
  for (const auto& each : told_for(2s)) keeper.heard(2, each, now_);
  EXPECT_EQ(known(keeper), SessionTeller::kSessionsMax);
  // The next round, while all of them are others each time.
  std::set<SessionTuple> again;
  int shift = 0;
  while (now_ < begun + SessionTeller::kRoundEvery + 4s) {
    for (const auto& each : told_for(100ms)) {
      if (each.round == 2) again.insert(each.standing.begin(), each.standing.end());
    }
    teller_.seen(kWeb, clients(shift, most + shift), now_);
    shift += 100;
  }
  for (const SessionTuple& session : clients(shift, most)) EXPECT_TRUE(again.contains(session));
}

TEST_F(TellerTest, ARoundGoesOnHoweverMuchChanges) {
  teller_.held(kWeb, 5, now_);
  std::vector<SessionTuple> sessions = clients(0, 5000);
  const SessionTuple last = sessions.back();
  teller_.seen(kWeb, sessions, now_);
  told_for(2s);
  bool told = false;
  for (int turn = 0; !told && turn < 100; ++turn) {
    // More than a second's steps can tell.
    sessions = clients(turn % 2 == 0 ? 10'000 : 0, turn % 2 == 0 ? 15'000 : 5000);
    sessions.insert(std::upper_bound(sessions.begin(), sessions.end(), last), last);
    sessions.erase(std::unique(sessions.begin(), sessions.end()), sessions.end());
    teller_.seen(kWeb, sessions, now_);
    for (const auto& each : told_for(100ms)) {
      told = told || std::count(each.standing.begin(), each.standing.end(), last) > 0;
    }
  }
  EXPECT_TRUE(told);
}

TEST_F(TellerTest, AStepIsNotTakenTwiceAndEndsBeyondTheBoundAreLeftToTheRounds) {
  teller_.held(kWeb, 5, now_);
  const int most = static_cast<int>(SessionTeller::kSessionsMax);
  for (int i = 0; i < 7; ++i) teller_.seen(kWeb, clients(i * most, (i + 1) * most), now_);
  std::vector<SessionMessage> step;
  teller_.tell(now_, step);
  EXPECT_EQ(step.size(), SessionTeller::kMessagesPerStep);
  teller_.tell(now_, step);
  EXPECT_EQ(step.size(), SessionTeller::kMessagesPerStep);
  auto told = told_for(SessionTeller::kRoundEvery - 1ms);
  std::size_t ended = 0, standing = 0;
  for (auto* messages : {&step, &told}) {
    for (const auto& each : *messages) ended += each.ended.size(), standing += each.standing.size();
  }
  EXPECT_EQ(standing, SessionTeller::kSessionsMax);
  EXPECT_LE(ended, SessionTeller::kChangesMax);
}

TEST_F(TellerTest, AnotherEpochIsToldFromItsBeginningAndALostNameNotAtAll) {
  teller_.held(kWeb, 5, now_);
  teller_.seen(kWeb, clients(0, 3), now_);
  told_for(7s);
  teller_.held(kWeb, 5, now_);
  EXPECT_FALSE(teller_.seen(kWeb, clients(0, 3), now_));
  EXPECT_TRUE(told_for(0s).empty());
  teller_.held(kWeb, 9, now_);
  teller_.seen(kWeb, clients(0, 3), now_);
  EXPECT_EQ(told_for(0s), std::vector{message(9, 1, clients(0, 3))});
  teller_.let_go(kWeb);
  EXPECT_EQ(teller_.deadline(), std::nullopt);
  EXPECT_EQ(teller_.sessions(), 0u);
}

TEST_F(TellerTest, BothFamiliesFillAMessageToItsBound) {
  std::vector<SessionTuple> sessions = clients(0, 200);
  for (int i = 0; i < 200; ++i) {
    sessions.push_back(
        SessionTuple::of(kAddress6.with_port(8080),
                         SocketAddress::ipv6({0xfd, 9}, static_cast<std::uint16_t>(1000 + i))));
  }
  std::sort(sessions.begin(), sessions.end());
  teller_.held(kWeb, 5, now_);
  teller_.seen(kWeb, sessions, now_);
  SessionKeeper keeper(ours());
  const auto told = told_for(1s);
  EXPECT_EQ(told.size(), (200 * (13 + 37) + kSessionMessageMax - kSessionHeadSize - 1) /
                             (kSessionMessageMax - kSessionHeadSize));
  for (const auto& each : told) keeper.heard(2, each, now_);
  EXPECT_EQ(known(keeper), 400u);
}

class KeeperTest : public testing::Test {
 protected:
  // What is to be nudged, step by step, until then.
  std::vector<SessionTuple> nudged_for(Duration time) {
    std::vector<SessionTuple> all;
    const Instant end = now_ + time;
    while (const auto due = keeper_.deadline()) {
      if (*due > end) break;
      now_ = std::max(now_, *due);
      std::vector<SessionTuple> step;
      keeper_.pass(now_, step);
      EXPECT_LE(step.size(), SessionKeeper::kNudgesPerStep);
      all.insert(all.end(), step.begin(), step.end());
    }
    now_ = end;
    return all;
  }

  SessionKeeper keeper_{ours()};
  Instant now_{1'000'000'000};
};

TEST_F(KeeperTest, WhoTakesTheAddressNudgesItsSessionsTwice) {
  keeper_.heard(2, message(5, 1, clients(0, 3)), now_);
  EXPECT_TRUE(nudged_for(1s).empty()) << "not ours yet";
  keeper_.taken(kWeb, 6, now_);
  EXPECT_EQ(nudged_for(SessionKeeper::kNudgeAgainAfter - 1ns), clients(0, 3));
  EXPECT_EQ(nudged_for(1ns), clients(0, 3));
  EXPECT_TRUE(nudged_for(1h).empty());
  EXPECT_EQ(keeper_.deadline(), std::nullopt);
  const auto& last = keeper_.last_takeover();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->holder, 2);
  EXPECT_EQ(last->sessions, 3u);
  EXPECT_EQ(known(keeper_), 0u);
}

TEST_F(KeeperTest, WhoLosesItAgainStopsNudging) {
  keeper_.heard(2, message(5, 1, clients(0, 1000)), now_);
  keeper_.taken(kWeb, 6, now_);
  EXPECT_EQ(nudged_for(0s).size(), SessionKeeper::kNudgesPerStep);
  keeper_.lost(kWeb);
  EXPECT_TRUE(nudged_for(1h).empty());
}

TEST_F(KeeperTest, ThousandsAreNudgedAtAMeasuredPace) {
  for (int i = 0; i < 16'384; i += 64) {
    keeper_.heard(2, message(5, 1, clients(i, i + 64)), now_);
  }
  keeper_.taken(kWeb, 6, now_);
  const auto begun = now_;
  EXPECT_EQ(nudged_for(635ms).size(), 16'384u);
  EXPECT_EQ(nudged_for(1s).size(), 16'384u) << "and once more";
  EXPECT_EQ(keeper_.deadline(), std::nullopt);
  EXPECT_EQ(now_ - begun, 1635ms);
}

TEST_F(KeeperTest, OldNewsAreKnownByTheirEpochRoundAndHolder) {
  keeper_.heard(2, message(5, 3, clients(0, 3)), now_);
  keeper_.heard(2, message(5, 2, clients(3, 4)), now_);
  keeper_.heard(3, message(5, 3, clients(4, 5)), now_);
  keeper_.heard(3, message(4, 9, clients(5, 6)), now_);
  EXPECT_EQ(keeper_.counters().old, 3u);
  EXPECT_EQ(known(keeper_), 3u);
  // The next holder's epoch.
  keeper_.heard(3, message(6, 1, clients(7, 8)), now_);
  EXPECT_EQ(known(keeper_), 1u);
  EXPECT_EQ(keeper_.known().front().holder, 3);
  // Ours; and what comes late of the one before.
  keeper_.taken(kWeb, 7, now_);
  keeper_.heard(3, message(6, 2, clients(7, 9)), now_);
  EXPECT_EQ(known(keeper_), 0u);
  EXPECT_EQ(nudged_for(10ms), clients(7, 8));
}

TEST_F(KeeperTest, NothingOfAnEpochBeforeOursIsKeptWhoeverSaysIt) {
  keeper_.heard(2, message(5, 1, clients(0, 3)), now_);
  keeper_.taken(kWeb, 8, now_);
  nudged_for(1s);
  keeper_.heard(3, message(7, 1, clients(3, 6)), now_);
  EXPECT_EQ(known(keeper_), 0u);
}

TEST_F(KeeperTest, SeveralNamesShareOnePace) {
  const SocketAddress other = *SocketAddress::parse_ip("10.9.0.101", 0);
  keeper_ = SessionKeeper({{kWeb, {kAddress}}, {kOther, {other}}});
  for (const Name name : {kWeb, kOther}) {
    for (int i = 0; i < 300; i += 60) {
      SessionMessage told = message(5, 1, clients(i, i + 60));
      told.name = name;
      for (SessionTuple& session : told.standing) {
        if (name == kOther) session.local = SessionTuple::of(other, other).local;
      }
      keeper_.heard(2, told, now_);
    }
    keeper_.taken(name, 6, now_);
  }
  EXPECT_EQ(nudged_for(0s).size(), SessionKeeper::kNudgesPerStep);
  std::vector<SessionTuple> again;
  keeper_.pass(now_, again);
  EXPECT_TRUE(again.empty()) << "whoever asks twice";
  EXPECT_EQ(nudged_for(500ms).size(), 600 - SessionKeeper::kNudgesPerStep);
}

TEST_F(KeeperTest, WhoComesBackAsHolderNudgesNobodyOfItsOwn) {
  keeper_.taken(kWeb, 5, now_);
  keeper_.lost(kWeb);
  keeper_.taken(kWeb, 6, now_);
  EXPECT_EQ(keeper_.deadline(), std::nullopt);
  EXPECT_FALSE(keeper_.last_takeover().has_value());
}

TEST_F(KeeperTest, NothingIsKeptOfWhatWeMayNotHold) {
  auto foreign = message(5, 1, clients(0, 2));
  foreign.name = kOther;
  keeper_.heard(2, foreign, now_);
  const SessionTuple elsewhere = SessionTuple::of(*SocketAddress::parse_ip("192.0.2.1", 443),
                                                  *SocketAddress::parse_ip("10.9.0.200", 4000));
  keeper_.heard(2, message(5, 1, {elsewhere}), now_);
  EXPECT_EQ(keeper_.counters().refused, 3u);
  keeper_.taken(kWeb, 6, now_);
  keeper_.taken(kOther, 6, now_);
  EXPECT_TRUE(nudged_for(1h).empty());
}

TEST_F(KeeperTest, NewcomersAreLeftOutWhileThereAreTooMany) {
  const int most = static_cast<int>(SessionKeeper::kKeptMax);
  for (int i = 0; i < most; i += 64) keeper_.heard(2, message(5, 1, clients(i, i + 64)), now_);
  keeper_.heard(2, message(5, 1, clients(most, most + 2)), now_);
  EXPECT_EQ(known(keeper_), SessionKeeper::kKeptMax);
  EXPECT_EQ(keeper_.counters().left_out, 2u);
  keeper_.heard(2, message(5, 1, clients(most, most + 1), clients(0, 1)), now_);
  EXPECT_EQ(known(keeper_), SessionKeeper::kKeptMax) << "there was room again";
  EXPECT_EQ(keeper_.counters().left_out, 2u);
}

TEST_F(KeeperTest, WhatWasMissedInTwoRoundsHasEnded) {
  keeper_.heard(2, message(5, 1, clients(0, 4)), now_);
  keeper_.heard(2, message(5, 2, clients(1, 4)), now_);
  keeper_.heard(2, message(5, 3, clients(2, 4)), now_);
  EXPECT_EQ(known(keeper_), 4u);
  keeper_.heard(2, message(5, 4, clients(2, 4)), now_);
  EXPECT_EQ(known(keeper_), 3u);
  keeper_.heard(2, message(5, 5, {}), now_);
  EXPECT_EQ(known(keeper_), 2u);
  keeper_.heard(2, message(5, 7, {}), now_);
  EXPECT_EQ(known(keeper_), 0u);
}

TEST_F(KeeperTest, AHolderThatIsSilentForLongIsForgotten) {
  keeper_.heard(2, message(5, 1, clients(0, 4)), now_);
  nudged_for(SessionKeeper::kForgetAfter - 1ns);
  EXPECT_EQ(known(keeper_), 4u);
  nudged_for(1ns);
  EXPECT_EQ(known(keeper_), 0u);
  EXPECT_EQ(keeper_.deadline(), std::nullopt);
}

// -- schedules ----

// Three nodes, one name. Clients come and go at whoever holds; words are lost, doubled and late;
// the holder dies, or is followed while it lives. The judge knows which sessions stood, and for how
// long.
class SessionWorld {
 public:
  explicit SessionWorld(std::uint64_t seed) : rng_(seed) {
    for (int i = 0; i < kNodes; ++i) nodes_.emplace_back();
    loss_ = rng_.below(3) == 0 ? 0.0 : 0.05 * static_cast<double>(rng_.below(7));
    take(static_cast<int>(rng_.below(kNodes)));
  }

  // What was wrong; empty: nothing.
  std::string run() {
    for (int step = 0; step < 1500 && wrong_.empty(); ++step) {
      now_ = now_ + std::chrono::milliseconds(10 + rng_.below(40));
      deliver();
      if (rng_.below(4) == 0) churn();
      look();
      if (rng_.below(150) == 0) change_holder();
      if (rng_.below(200) == 0) cut_ = rng_.below(2) == 0;
      pass();
    }
    return wrong_;
  }

  int takeovers = 0, owed = 0, nudged = 0, needless = 0;

 private:
  static constexpr int kNodes = 3;
  struct Node {
    SessionTeller teller;
    SessionKeeper keeper{ours()};
  };
  struct Word {
    int to, from;
    SessionMessage message;
    Instant at;
  };

  void take(int node) {
    ++epoch_;
    Node& next = nodes_[static_cast<std::size_t>(node)];
    holder_ = node;
    next.teller.held(kWeb, epoch_, now_);
    next.keeper.taken(kWeb, epoch_, now_);
  }

  void churn() {
    const auto count = rng_.below(rng_.below(20) == 0 ? 300 : 4);
    for (std::uint64_t i = 0; i < count; ++i) {
      if (rng_.below(2) == 0 || standing_.empty()) {
        if (standing_.size() < 1500) standing_[client(next_client_++ % 70'000)] = now_;
      } else {
        const auto at = standing_.lower_bound(client(static_cast<int>(rng_.below(70'000))));
        const auto gone = at == standing_.end() ? standing_.begin() : at;
        ended_[gone->first] = now_;
        standing_.erase(gone);
      }
    }
  }

  void look() {
    std::vector<SessionTuple> sessions;
    for (const auto& [session, since] : standing_) sessions.push_back(session);
    nodes_[static_cast<std::size_t>(holder_)].teller.seen(kWeb, std::move(sessions), now_);
  }

  void change_holder() {
    const int former = holder_;
    int next = static_cast<int>(rng_.below(kNodes - 1));
    if (next >= former) ++next;
    Node& left = nodes_[static_cast<std::size_t>(former)];
    if (rng_.below(2) == 0) {
      left = Node();  // died, and came back knowing nothing
    } else {
      left.teller.let_go(kWeb);
      left.keeper.lost(kWeb);
    }
    owed_.clear();
    nudged_now_.clear();
    taken_at_ = now_;
    // What was told without loss must be known, and so must what a round without loss has healed.
    for (const auto& [session, since] : standing_) {
      const bool told = now_ - since > kTelling && last_loss_ < since;
      if (told || (now_ - since > kSettled && now_ - last_loss_ > kSettled)) owed_.insert(session);
    }
    owed += static_cast<int>(owed_.size());
    standing_.clear();
    take(next);
    ++takeovers;
  }
  // Steps and late words; and a whole round with them.
  static constexpr Duration kTelling = 1s;
  static constexpr Duration kSettled = SessionTeller::kRoundEvery * 2 + 2s;

  void pass() {
    for (int i = 0; i < kNodes; ++i) {
      Node& node = nodes_[static_cast<std::size_t>(i)];
      std::vector<SessionMessage> words;
      node.teller.tell(now_, words);
      for (const SessionMessage& word : words) {
        if (i != holder_) wrong_ = "one that holds nothing tells of sessions";
        for (int to = 0; to < kNodes; ++to) {
          if (to != i) send(i, to, word);
        }
      }
      std::vector<SessionTuple> nudges;
      node.keeper.pass(now_, nudges);
      for (const SessionTuple& session : nudges) {
        ++nudged;
        if (i != holder_) wrong_ = "one that does not hold nudges";
        // The kernel is asked before each nudge.
        if (standing_.contains(session)) continue;
        nudged_now_.insert(session);
        const auto ended = ended_.find(session);
        if (ended != ended_.end() &&
            taken_at_ - ended->second > SessionKeeper::kForgetAfter + kSettled) {
          wrong_ = "one that ended long ago is still known";
        }
        needless += ended != ended_.end();
      }
      if (i != holder_ && node.teller.deadline()) wrong_ = "a teller with nothing is not at rest";
    }
    const bool over = !owed_.empty() && now_ - taken_at_ > 2s;
    if (!over) return;
    for (const SessionTuple& session : owed_) {
      if (!nudged_now_.contains(session) && !standing_.contains(session)) {
        wrong_ = "a session that was told long enough is not nudged";
      }
    }
    owed_.clear();
  }

  void send(int from, int to, const SessionMessage& word) {
    const bool lost = cut_ || rng_.chance(loss_);
    if (lost) last_loss_ = now_;
    const int copies = lost ? 0 : rng_.below(10) == 0 ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      const auto late = rng_.below(20) == 0 ? rng_.below(500) : rng_.below(3);
      words_.push_back({to, from, word, now_ + std::chrono::milliseconds(late)});
    }
  }

  void deliver() {
    for (std::size_t i = 0; i < words_.size();) {
      if (words_[i].at > now_) {
        ++i;
        continue;
      }
      const Word word = words_[i];
      words_[i] = words_.back();
      words_.pop_back();
      SessionMessage heard;
      if (parse_session_message(encode_session_message(word.message), heard) != WireFault::kNone) {
        wrong_ = "a word that cannot be read";
      }
      nodes_[static_cast<std::size_t>(word.to)].keeper.heard(static_cast<NodeId>(word.from + 1),
                                                             heard, now_);
    }
  }

  base::Rng rng_;
  std::vector<Node> nodes_;
  std::vector<Word> words_;
  Instant now_{1'000'000'000}, taken_at_{}, last_loss_{};
  int holder_ = 0;
  Epoch epoch_ = 10;
  bool cut_ = false;
  double loss_ = 0;
  int next_client_ = 0;
  std::map<SessionTuple, Instant> standing_, ended_;
  std::set<SessionTuple> owed_, nudged_now_;
  std::string wrong_;
};

TEST(SessionSchedules, WhoTakesAnAddressNudgesWhatStoodOnItAndNothingThatLives) {
  const char* const one = std::getenv("NINES_SIM_SEED");
  const char* const many = std::getenv("NINES_SIM_SEEDS");
  const std::uint64_t first = one != nullptr ? std::strtoull(one, nullptr, 10) : 1;
  const std::uint64_t count = one != nullptr    ? 1
                              : many != nullptr ? std::strtoull(many, nullptr, 10)
                                                : 40;
  int takeovers = 0, owed = 0, nudged = 0, needless = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    SessionWorld world(seed);
    ASSERT_EQ(world.run(), "") << "seed " << seed;
    takeovers += world.takeovers;
    owed += world.owed;
    nudged += world.nudged;
    needless += world.needless;
  }
  std::printf(
      "%llu schedules, %d takeovers, %d sessions owed a nudge: %d nudges, %d of sessions that "
      "had ended\n",
      static_cast<unsigned long long>(count), takeovers, owed, nudged, needless);
  EXPECT_GT(owed, 0);
}

}  // namespace
}  // namespace nines::cluster

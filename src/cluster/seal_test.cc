// What is believed and what is not: each way a datagram may be wrong has its name.
#include "cluster/seal.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "cluster/seal_model.h"

namespace nines::cluster {
namespace {

// Delivers between the two until neither has anything to answer; how many datagrams that took.
int introduce(Sealer& a, Sealer& b) {
  std::string bytes = a.hello(b.self());
  int datagrams = 0;
  for (Sealer* to = &b; !bytes.empty(); to = to == &a ? &b : &a) {
    bytes = to->open(bytes).answer;
    ++datagrams;
  }
  return datagrams;
}

struct Pair {
  Sealer a = sealer_of(1, 1);
  Sealer b = sealer_of(2, 1);
  Pair() { introduce(a, b); }
  std::string from_a(std::string_view text) { return *a.seal(2, text); }
};

TEST(SealTest, AHelloAndItsAnswersMakeBothReady) {
  Sealer a = sealer_of(1, 1), b = sealer_of(2, 1);
  EXPECT_FALSE(a.ready(2));
  EXPECT_EQ(a.seal(2, "early").error().code(), ErrorCode::kUnavailable);

  const std::string hello = a.hello(2);
  EXPECT_EQ(hello.size(), kSealedMin);
  const Opened heard = b.open(hello);
  EXPECT_EQ(heard.fault, SealFault::kUnproven);
  EXPECT_EQ(heard.from, 1);
  EXPECT_FALSE(b.ready(1));  // the hello may be a replay

  const Opened asked = a.open(heard.answer);
  EXPECT_EQ(asked.fault, SealFault::kNone);
  EXPECT_TRUE(asked.new_life);
  EXPECT_FALSE(asked.has_content);
  EXPECT_TRUE(a.ready(2));

  const Opened answered = b.open(asked.answer);
  EXPECT_EQ(answered.fault, SealFault::kNone);
  EXPECT_TRUE(answered.new_life);
  EXPECT_TRUE(answered.answer.empty());
  EXPECT_TRUE(b.ready(1));
}

TEST(SealTest, ContentArrivesAsItWasAndCanBeReadByNobody) {
  Pair pair;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{64}, kPayloadMax}) {
    const std::string text(size, 'x');
    const std::string sealed = pair.from_a(text);
    EXPECT_EQ(sealed.size(), kSealedMin + size);
    EXPECT_EQ(sealed.find("xxxxxxxx"), std::string::npos);
    const Opened opened = pair.b.open(sealed);
    EXPECT_EQ(opened.fault, SealFault::kNone);
    EXPECT_EQ(opened.from, 1);
    EXPECT_TRUE(opened.has_content);
    EXPECT_EQ(opened.payload, text);
    EXPECT_TRUE(opened.answer.empty());
  }
  EXPECT_EQ(pair.a.seal(2, std::string(kPayloadMax + 1, 'x')).error().code(),
            ErrorCode::kExhausted);
  EXPECT_EQ(pair.a.seal(1, "to itself").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(pair.a.seal(9, "to a stranger").error().code(), ErrorCode::kNotFound);
}

TEST(SealTest, TheFirstContentProvesALifeAsWellAsAnAnswer) {
  Sealer a = sealer_of(1, 1), b = sealer_of(2, 1);
  ASSERT_EQ(a.open(b.open(a.hello(2)).answer).fault, SealFault::kNone);  // a's answer is lost
  const Opened opened = b.open(*a.seal(2, "already"));
  EXPECT_EQ(opened.fault, SealFault::kNone);
  EXPECT_TRUE(opened.new_life);
  EXPECT_EQ(opened.payload, "already");
  EXPECT_TRUE(b.ready(1));
}

TEST(SealTest, HellosThatCrossDoNotDisturbEachOther) {
  Sealer a = sealer_of(1, 1), b = sealer_of(2, 1);
  const std::string from_a = a.hello(2), from_b = b.hello(1);
  const std::string ask_of_b = b.open(from_a).answer, ask_of_a = a.open(from_b).answer;
  const std::string answer_of_a = a.open(ask_of_b).answer, answer_of_b = b.open(ask_of_a).answer;
  EXPECT_EQ(a.open(answer_of_b).fault, SealFault::kNone);
  EXPECT_EQ(b.open(answer_of_a).fault, SealFault::kNone);
  EXPECT_TRUE(a.ready(2) && b.ready(1));
}

TEST(SealTest, OnlyTheSameKeyOpens) {
  Sealer a = sealer_of(1, 1, keys_of({1})), b = sealer_of(2, 1, keys_of({2}));
  EXPECT_EQ(b.open(a.hello(2)).fault, SealFault::kUnknownKey);
  // The id is only a hint: with another key behind it the tag decides.
  ClusterKeys same_id = keys_of({2});
  same_id[0].id = keys_of({1})[0].id;
  Sealer c = sealer_of(2, 1, same_id);
  EXPECT_EQ(c.open(a.hello(2)).fault, SealFault::kForged);
}

TEST(SealTest, AKeyIsReplacedNodeByNodeWithoutSilence) {
  // Old alone; old and new; new and old; new alone: neighbours in that row understand each other.
  const std::vector<ClusterKeys> steps = {keys_of({1}), keys_of({1, 2}), keys_of({2, 1}),
                                          keys_of({2})};
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    Sealer a = sealer_of(1, 1, steps[i]), b = sealer_of(2, 1, steps[i + 1]);
    introduce(a, b);
    ASSERT_TRUE(a.ready(2) && b.ready(1)) << i;
    EXPECT_EQ(b.open(*a.seal(2, "old")).payload, "old");
    EXPECT_EQ(a.open(*b.seal(1, "new")).payload, "new");
  }
  Sealer first = sealer_of(1, 1, steps[0]), last = sealer_of(2, 1, steps[3]);
  introduce(first, last);
  EXPECT_FALSE(first.ready(2) || last.ready(1));
}

TEST(SealTest, NothingIsOpenedTwice) {
  Pair pair;
  const std::string first = pair.from_a("1");
  EXPECT_EQ(pair.b.open(first).fault, SealFault::kNone);
  EXPECT_EQ(pair.b.open(first).fault, SealFault::kReplayed);
  EXPECT_EQ(pair.b.open(first).from, 1);  // it is known whose it was

  const std::string late = pair.from_a("late");
  const std::string later = pair.from_a("later");
  EXPECT_EQ(pair.b.open(later).payload, "later");
  EXPECT_EQ(pair.b.open(late).payload, "late");  // reordered, within the window
  EXPECT_EQ(pair.b.open(late).fault, SealFault::kReplayed);

  const std::string held = pair.from_a("held back");
  for (std::uint64_t i = 0; i < kReplayWindow; ++i) (void)pair.from_a("lost");
  EXPECT_EQ(pair.b.open(pair.from_a("newest")).fault, SealFault::kNone);
  EXPECT_EQ(pair.b.open(held).fault, SealFault::kTooOld);
  EXPECT_EQ(pair.b.open(first).fault, SealFault::kTooOld);
}

TEST(SealTest, NoDatagramCutShortIsOpened) {
  Pair pair;
  for (const std::string& whole :
       {pair.from_a("content"), pair.a.hello(2), sealer_of(1, 2).hello(2)}) {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const Opened opened = pair.b.open(whole.substr(0, size));
      EXPECT_NE(opened.fault, SealFault::kNone) << size;
      EXPECT_TRUE(opened.from == 0 && opened.payload.empty() && opened.answer.empty()) << size;
    }
    EXPECT_EQ(pair.b.open(whole + "x").from, 0);
  }
  EXPECT_EQ(pair.b.open(std::string(kSealedMax + 1, '\1')).fault, SealFault::kTooLong);
}

TEST(SealTest, NoFlippedBitIsOverlooked) {
  Pair pair;
  for (const std::string& whole :
       {pair.from_a("content"), pair.a.hello(2), sealer_of(1, 2).hello(2)}) {
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        std::string altered = whole;
        altered[at] ^= static_cast<char>(1 << bit);
        const Opened opened = pair.b.open(altered);
        ASSERT_NE(opened.fault, SealFault::kNone) << at << ", bit " << bit;
        ASSERT_TRUE(opened.from == 0 && opened.payload.empty() && opened.answer.empty());
      }
    }
    EXPECT_NE(pair.b.open(whole).from, 0);  // and none of it has hurt
  }
}

TEST(SealTest, EachFaultThatNeedsNoKeyHasItsName) {
  Pair pair;
  const std::string good = pair.from_a("content");
  const auto with = [&](std::size_t at, char byte) {
    std::string altered = good;
    altered[at] = byte;
    return pair.b.open(altered).fault;
  };
  EXPECT_EQ(with(0, 2), SealFault::kVersion);
  EXPECT_EQ(with(1, 0), SealFault::kMalformed);
  EXPECT_EQ(with(1, 1), SealFault::kMalformed);  // an ask with content
  EXPECT_EQ(with(1, 9), SealFault::kMalformed);
  EXPECT_EQ(with(2, 2), SealFault::kReflected);
  EXPECT_EQ(with(3, 3), SealFault::kNotForUs);
  EXPECT_EQ(with(2, 9), SealFault::kUnknownSender);
  EXPECT_EQ(with(4, static_cast<char>(good[4] + 1)), SealFault::kUnknownKey);
  EXPECT_EQ(with(8, 0), SealFault::kMalformed);   // the number 0: its others are 0 already
  EXPECT_EQ(with(52, 0), SealFault::kMalformed);  // no ticket given
  EXPECT_EQ(with(60, static_cast<char>(good[60] + 1)), SealFault::kForged);
}

TEST(SealTest, WhatWeSaidIsNotTakenFromTheMirror) {
  Pair pair;
  EXPECT_EQ(pair.a.open(pair.from_a("content")).fault, SealFault::kReflected);
  EXPECT_EQ(pair.a.open(pair.a.hello(2)).fault, SealFault::kReflected);
  // With the two nodes exchanged in the header, the key is another.
  std::string turned = pair.from_a("content");
  std::swap(turned[2], turned[3]);
  EXPECT_EQ(pair.a.open(turned).fault, SealFault::kReflected);
  turned[16] = static_cast<char>(turned[16] + 1);
  EXPECT_EQ(pair.a.open(turned).fault, SealFault::kForged);
}

TEST(SealTest, WhatIsMeantForOnePeerIsNothingToAnother) {
  Pair pair;
  Sealer c = sealer_of(3, 1);
  introduce(pair.a, c);
  const std::string for_b = pair.from_a("for b");
  EXPECT_EQ(c.open(for_b).fault, SealFault::kNotForUs);
  std::string turned = for_b;
  turned[3] = 3;
  EXPECT_EQ(c.open(turned).fault, SealFault::kForged);
  turned = for_b;
  turned[2] = 3;  // as if it came from c
  EXPECT_EQ(pair.b.open(turned).fault, SealFault::kForged);
  EXPECT_EQ(pair.b.open(for_b).payload, "for b");
}

TEST(SealTest, NothingFromAnEarlierLifeOfTheSenderIsTaken) {
  Pair pair;
  const std::string heard = pair.from_a("heard"), held = pair.from_a("held back");
  ASSERT_EQ(pair.b.open(heard).fault, SealFault::kNone);
  Sealer again = sealer_of(1, 2);
  introduce(again, pair.b);
  ASSERT_EQ(pair.b.life_of(1), incarnation_of(1, 2));
  for (const std::string& old : {heard, held, pair.a.hello(2)}) {
    const Opened opened = pair.b.open(old);
    EXPECT_EQ(opened.fault, SealFault::kUnproven);
    EXPECT_EQ(opened.answer.size(), kSealedMin);  // to the node, whose present life drops it
    EXPECT_EQ(again.open(opened.answer).fault, SealFault::kUnproven);
  }
  EXPECT_EQ(pair.b.life_of(1), incarnation_of(1, 2));
  EXPECT_EQ(pair.b.open(*again.seal(2, "now")).payload, "now");
}

TEST(SealTest, NothingSaidToAnEarlierLifeOfTheReceiverIsTaken) {
  Pair pair;
  const std::string heard = pair.from_a("heard"), held = pair.from_a("held back");
  ASSERT_EQ(pair.b.open(heard).fault, SealFault::kNone);
  Sealer again = sealer_of(2, 2);
  EXPECT_EQ(again.open(heard).fault, SealFault::kUnproven);
  introduce(again, pair.a);
  EXPECT_EQ(again.open(heard).fault, SealFault::kUnproven);
  EXPECT_EQ(again.open(held).fault, SealFault::kUnproven);
  EXPECT_EQ(again.open(pair.from_a("now")).payload, "now");
}

TEST(SealTest, ALifeThatWasAskedButDiedBeforeItAnsweredIsNotBelievedLater) {
  Sealer receiver = sealer_of(2, 1);
  Sealer early = sealer_of(1, 1), late = sealer_of(1, 2);
  const std::string ask_early = receiver.open(early.hello(2)).answer;
  const std::string ask_late = receiver.open(late.hello(2)).answer;
  const std::string answer_early = early.open(ask_early).answer;  // held back on the way
  ASSERT_FALSE(answer_early.empty());
  const std::string content_early = *early.seal(2, "of the dead");
  ASSERT_EQ(receiver.open(late.open(ask_late).answer).fault, SealFault::kNone);
  EXPECT_EQ(receiver.open(answer_early).fault, SealFault::kUnproven);
  EXPECT_EQ(receiver.open(content_early).fault, SealFault::kUnproven);
  EXPECT_EQ(receiver.life_of(1), incarnation_of(1, 2));
}

TEST(SealTest, ALateDatagramOfTheLifeBeforeDoesNotLockTheNewOneOut) {
  Sealer receiver = sealer_of(2, 1);
  Sealer early = sealer_of(1, 1), late = sealer_of(1, 2);
  const std::string ask_early = receiver.open(early.hello(2)).answer;
  const std::string ask_late = receiver.open(late.hello(2)).answer;
  const std::string answer_early = early.open(ask_early).answer;
  ASSERT_EQ(late.open(ask_late).fault, SealFault::kNone);  // its answer is lost
  ASSERT_EQ(receiver.open(answer_early).fault, SealFault::kNone);
  // The ticket of the new life is spent: it is asked once more, and then believed.
  const Opened refused = receiver.open(*late.seal(2, "one"));
  EXPECT_EQ(refused.fault, SealFault::kUnproven);
  const Opened asked = late.open(refused.answer);
  EXPECT_EQ(asked.fault, SealFault::kNone);
  EXPECT_EQ(receiver.open(asked.answer).fault, SealFault::kNone);
  EXPECT_EQ(receiver.open(*late.seal(2, "two")).payload, "two");
}

TEST(SealTest, ALateDatagramTakesNoNewerTicketAway) {
  Sealer receiver = sealer_of(2, 1);
  Sealer early = sealer_of(1, 1), late = sealer_of(1, 2);
  const std::string ask_early = receiver.open(early.hello(2)).answer;
  const std::string ask_late = receiver.open(late.hello(2)).answer;
  const std::string held = receiver.open(late.hello(2)).answer;  // gives the same ticket
  ASSERT_EQ(late.open(ask_late).fault, SealFault::kNone);
  ASSERT_EQ(receiver.open(early.open(ask_early).answer).fault, SealFault::kNone);
  // That ticket is spent, and late gets another one; then comes what was held back.
  ASSERT_EQ(late.open(receiver.open(*late.seal(2, "one")).answer).fault, SealFault::kNone);
  ASSERT_EQ(late.open(held).fault, SealFault::kNone);
  EXPECT_EQ(receiver.open(*late.seal(2, "two")).payload, "two");
}

TEST(SealTest, ATicketThatWasGivenToAnotherLifeIsNotShown) {
  Pair pair;
  Sealer again = sealer_of(2, 2);
  const std::string answer = again.open(pair.from_a("for the life before")).answer;
  ASSERT_EQ(answer.size(), kSealedMin);
  EXPECT_EQ(answer.substr(48, 4), std::string(4, '\0'));
}

TEST(SealTest, ALifeIsOfOneKey) {
  const ClusterKeys before = keys_of({1, 2}), after = keys_of({2, 1});
  Sealer a = sealer_of(1, 1, before), b = sealer_of(2, 1, before);
  introduce(a, b);
  // The same life under the other key is one that was not heard yet, and no forgery.
  Sealer other = sealer_of(1, 1, after);
  const Opened opened = b.open(other.hello(2));
  EXPECT_EQ(opened.fault, SealFault::kUnproven);
  EXPECT_EQ(opened.from, 1);
  ASSERT_EQ(b.open(other.open(opened.answer).answer).fault, SealFault::kNone);
  EXPECT_EQ(b.open(*other.seal(2, "now")).payload, "now");
  EXPECT_EQ(b.open(*a.seal(2, "before")).fault, SealFault::kUnproven);
}

TEST(SealTest, APeerThatSpeaksToOurLifeBeforeIsToldOfThisOne) {
  Pair pair;
  Sealer again = sealer_of(2, 2);
  // Nothing but a's content travels towards b.
  const Opened stale = again.open(pair.from_a("for the life before"));
  EXPECT_EQ(stale.fault, SealFault::kUnproven);
  const Opened asked = pair.a.open(stale.answer);
  const Opened answered = again.open(asked.answer);
  EXPECT_EQ(answered.fault, SealFault::kNone);
  EXPECT_EQ(pair.a.open(answered.answer).fault, SealFault::kNone);
  EXPECT_EQ(again.open(pair.from_a("now")).payload, "now");
}

TEST(SealTest, APeerThatMissedOurProofGetsItWhenItSpeaksToOurLifeBefore) {
  Pair pair;
  Sealer again = sealer_of(2, 2);
  ASSERT_EQ(again.open(pair.a.open(again.hello(1)).answer).fault, SealFault::kNone);  // proof lost
  ASSERT_TRUE(again.ready(1));
  const Opened stale = again.open(pair.from_a("for the life before"));
  EXPECT_EQ(stale.fault, SealFault::kUnproven);
  EXPECT_TRUE(pair.a.open(stale.answer).new_life);
  EXPECT_EQ(again.open(pair.from_a("now")).payload, "now");
}

TEST(SealTest, WhoReplaysHellosGetsNoMoreThanHePutsIn) {
  Pair pair;
  Sealer before = sealer_of(1, 9);
  const std::string old_hello = before.hello(2);
  for (int i = 0; i < 100; ++i) {
    const Opened opened = pair.b.open(old_hello);
    EXPECT_EQ(opened.fault, SealFault::kUnproven);
    EXPECT_EQ(opened.answer.size(), old_hello.size());
    EXPECT_TRUE(pair.a.open(opened.answer).answer.empty());  // and there it ends
  }
  EXPECT_EQ(pair.b.life_of(1), incarnation_of(1, 1));
  EXPECT_EQ(pair.b.open(pair.from_a("still")).payload, "still");
}

TEST(SealTest, EverythingIsCounted) {
  Pair pair;
  const std::string text = pair.from_a("text");
  pair.b.open(text);
  pair.b.open(text);
  pair.b.open("x");
  const SealCounters& counters = pair.b.counters();
  EXPECT_EQ(counters.opened, 2u);  // an answer and the text
  EXPECT_EQ(counters.lives, 1u);
  EXPECT_EQ(counters.sealed, 1u);
  EXPECT_EQ(counters.refused[static_cast<std::size_t>(SealFault::kReplayed)], 1u);
  EXPECT_EQ(counters.refused[static_cast<std::size_t>(SealFault::kVersion)], 1u);
  EXPECT_EQ(counters.refused[static_cast<std::size_t>(SealFault::kUnproven)], 1u);
  EXPECT_EQ(name_of(SealFault::kUnproven), "unproven");
}

TEST(SealTest, ASealerWithoutKeysNodeOrIncarnationCannotBe) {
  EXPECT_FALSE(Sealer::create({}, 1, {1, 2}, incarnation_of(1, 1)).has_value());
  EXPECT_FALSE(Sealer::create(keys_of({1, 2, 3}), 1, {1, 2}, incarnation_of(1, 1)).has_value());
  EXPECT_FALSE(Sealer::create(keys_of({1}), 0, {1, 2}, incarnation_of(1, 1)).has_value());
  EXPECT_FALSE(Sealer::create(keys_of({1}), 1, {1, 2}, Incarnation{}).has_value());
}

// The bytes on the wire, so that nobody changes them by chance: nodes of two versions speak. Key id
// and tag agree with what the two RFCs, written down in Python, make of it.
TEST(SealTest, AHelloOnTheWire) {
  const std::string hello = sealer_of(1, 7).hello(2);
  std::string hex;
  for (const char c : hello) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    hex += kDigits[static_cast<std::uint8_t>(c) >> 4];
    hex += kDigits[static_cast<std::uint8_t>(c) & 15];
  }
  EXPECT_EQ(hex,
            "01010102"
            "1b29b947"
            "0100000000000000"
            "01070000000000000000000000000001"
            "00000000000000000000000000000000"
            "00000000"
            "01000000"
            "335e1eb771ca898f5b8ff77bc004a1e4");
}

TEST(SealTest, NoScheduleOfLossReplayTamperingAndRestartsBreaksAPromise) {
  std::uint64_t heard = 0, restarts = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    base::Rng rng(seed);
    std::string script;
    for (int i = 0; i < 1500; ++i) script += static_cast<char>(rng.next());
    SealModel model;
    model.run(script);
    heard += model.heard();
    restarts += model.restarts();
  }
  EXPECT_GT(heard, 400u * 10);
  EXPECT_GT(restarts, 400u);
}

}  // namespace
}  // namespace nines::cluster

// Every message to bytes and back, and every way in which bytes can be wrong.
#include "cluster/lease_wire.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace nines::cluster {
namespace {

using message::Refusal;
using message::Verdict;

Generation some_generation() { return {7, {1, 2, 3, 4}, {1, 2, 3}, 4096}; }
ChangeRegister some_change() {
  return {Ballot::make(90, 2), Ballot::make(80, 1), {8, {1, 2, 3}, {1, 2, 3, 4}, 4099}};
}

std::vector<Message> one_of_each() {
  message::Proposal proposal;
  proposal.phase = Phase::kAccept;
  proposal.generation = 7;
  proposal.ballot = Ballot::make(4100, 3);
  proposal.round = 0x1234567890abcdef;
  proposal.term = 120ms;
  proposal.follows = Ballot::make(4099, 1);
  proposal.names = {1, 0xffffffffffffffff};
  message::Votes votes;
  votes.phase = Phase::kAccept;
  votes.generation = 7;
  votes.ballot = proposal.ballot;
  votes.round = proposal.round;
  votes.votes = {{1, Verdict::kYes, 0, {}, {}},
                 {2, Verdict::kBusy, 63, {}, 88ms},
                 {3, Verdict::kOutbid, 0, Ballot::ceiling(4200), {}},
                 {4, Verdict::kFull, 0, {}, {}}};
  message::Votes refused = votes;
  refused.refusal = Refusal::kGeneration;
  refused.votes.clear();
  return {proposal,
          votes,
          refused,
          message::Release{Ballot::make(5, 1), 2, {9}},
          message::LearnAsk{77},
          message::LearnAnswer{77, 8192, some_generation(), some_change(), true},
          message::ChangeProposal{Phase::kPrepare, Ballot::make(91, 4), some_generation()},
          message::ChangeVote{Phase::kAccept, 8, Ballot::make(91, 4), true, some_change()},
          message::GenerationNews{some_generation()},
          message::GenerationAdopted{7, 8192}};
}

TEST(LeaseWire, EveryMessageComesBackAsItWas) {
  for (const Message& message : one_of_each()) {
    Message back;
    ASSERT_EQ(parse_lease_message(encode_lease_message(message), back), WireFault::kNone)
        << message.index();
    EXPECT_EQ(back, message) << message.index();
  }
}

TEST(LeaseWire, BytesAreAsDocumented) {
  const std::string bytes = encode_lease_message(message::Release{Ballot::make(5, 1), 2, {9}});
  EXPECT_EQ(bytes, std::string("\x01\x02"                          // version, kind
                               "\x00\x00\x00\x00\x00\x00\x05\x01"  // counter 5, node 1
                               "\x02\x01"                          // successor, one name
                               "\x00\x00\x00\x00\x00\x00\x00\x09",
                               20));
}

TEST(LeaseWire, WhatIsCutOffAnywhereIsTooShort) {
  for (const Message& message : one_of_each()) {
    const std::string bytes = encode_lease_message(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      Message back;
      EXPECT_EQ(parse_lease_message(std::string_view(bytes).substr(0, size), back),
                WireFault::kTooShort)
          << message.index() << " cut to " << size;
    }
    Message back;
    EXPECT_EQ(parse_lease_message(bytes + '\0', back), WireFault::kTooLong);
  }
}

TEST(LeaseWire, ValuesOutOfRangeAreRefused) {
  const auto spoilt = [](const Message& message, std::size_t at, int value) {
    std::string bytes = encode_lease_message(message);
    bytes[at] = static_cast<char>(value);
    Message back;
    return parse_lease_message(bytes, back);
  };
  const std::vector<Message> all = one_of_each();
  EXPECT_EQ(spoilt(all[0], 0, 2), WireFault::kVersion);
  EXPECT_EQ(spoilt(all[0], 1, 9), WireFault::kKind);
  EXPECT_EQ(spoilt(all[0], 2, 2), WireFault::kRange) << "phase";
  EXPECT_EQ(spoilt(all[0], 11, 0xff), WireFault::kRange) << "counter";
  EXPECT_EQ(spoilt(all[0], 27, 0xff), WireFault::kRange) << "term";
  EXPECT_EQ(spoilt(all[0], 39, 0), WireFault::kRange) << "no names";
  EXPECT_EQ(spoilt(all[0], 39, 65), WireFault::kRange) << "too many names";
  EXPECT_EQ(spoilt(all[1], 27, 1), WireFault::kRange) << "refused, with votes";
  EXPECT_EQ(spoilt(all[2], 27, 0), WireFault::kRange) << "not refused, without";
  EXPECT_EQ(spoilt(all[3], 10, 64), WireFault::kRange) << "successor";
  EXPECT_EQ(spoilt(all[7], 19, 2), WireFault::kRange) << "yes or no";
  EXPECT_EQ(spoilt(all[8], 17, 1), WireFault::kRange) << "node 0 among the voters";
}

TEST(LeaseWire, TheLargestMessageFitsInOneDatagram) {
  message::Votes votes;
  for (std::size_t i = 0; i < kNamesMax; ++i) {
    votes.votes.push_back({i, Verdict::kOutbid, 0, Ballot::ceiling(Ballot::kCounterMax), {}});
  }
  EXPECT_LE(encode_lease_message(votes).size(), kLeaseMessageMax);
}

TEST(LeaseWire, TimesAreRoundedUp) {
  message::Votes votes;
  votes.votes = {{1, Verdict::kBusy, 2, {}, Duration(1001)}};
  Message back;
  ASSERT_EQ(parse_lease_message(encode_lease_message(votes), back), WireFault::kNone);
  EXPECT_EQ(std::get<message::Votes>(back).votes[0].remaining, 2us);
}

TEST(LeaseWire, SpoiltBytesAreRefusedOrMeanSomethingElseInOneWayOnly) {
  base::Rng rng(5);
  const std::vector<Message> all = one_of_each();
  for (int i = 0; i < 50'000; ++i) {
    std::string bytes = encode_lease_message(all[rng.below(all.size())]);
    for (std::uint64_t n = 1 + rng.below(3); n > 0; --n) {
      bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
    }
    Message back;
    if (parse_lease_message(bytes, back) != WireFault::kNone) continue;
    ASSERT_EQ(encode_lease_message(back), bytes);
  }
}

}  // namespace
}  // namespace nines::cluster

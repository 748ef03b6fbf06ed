// What an operator is told at three in the morning, to the letter.
#include "owner_word.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr Instant kNow{100'000'000'000};
constexpr std::uint64_t kWallSeconds = 1'800'000'000;

node::ClusterConfig a_cluster() {
  node::ClusterConfig cluster;
  for (std::uint8_t id = 1; id <= 3; ++id) {
    cluster.nodes.push_back({.name = "node0" + std::to_string(id), .id = id, .addresses = {}});
  }
  cluster.self = 3;
  return cluster;
}

// Node 3 alone, for 12 s.
WordView alone() {
  WordView view;
  view.leases.voting = true;
  view.leases.generation = {1, {1, 2, 3}, {1, 2, 3}, 0};
  view.last_heard = {{1, kNow - 12s}, {2, Instant{}}};
  view.now = kNow;
  view.wall_seconds = kWallSeconds;
  view.instances = {"internal", "external"};
  return view;
}

class OwnerWordTest : public testing::Test {
 protected:
  std::string refusal(const WordView& view, std::string_view words) const {
    const auto request = parse_grant_request(words);
    if (!request) return request.error().message();
    const auto judged = word_.judge(*request, view);
    return judged ? "" : judged.error().message();
  }
  OwnerWord word_{a_cluster()};
};

constexpr std::string_view kBoth = "--i-have-powered-off node01 --i-have-powered-off node02";

TEST_F(OwnerWordTest, ARequestIsReadAsItWasWritten) {
  const auto request = parse_grant_request("internal --i-have-powered-off node01 external");
  ASSERT_TRUE(request.has_value());
  EXPECT_THAT(request->names, ElementsAre("internal", "external"));
  EXPECT_THAT(request->powered_off, ElementsAre("node01"));
  EXPECT_EQ(text_of(*request), "lease grant internal external --i-have-powered-off node01");
  EXPECT_THAT(refusal(alone(), "internal"), HasSubstr("are expected"));
  EXPECT_THAT(refusal(alone(), "--i-have-powered-off"), HasSubstr("are expected"));
  EXPECT_THAT(refusal(alone(), "--force"), HasSubstr("unknown option '--force'"));
}

TEST_F(OwnerWordTest, TheWordNamesAllWhoAreNotHeard) {
  const auto judged = word_.judge(*parse_grant_request(kBoth), alone());
  ASSERT_TRUE(judged.has_value());
  EXPECT_EQ(judged->switched_off, (cluster::NodeSet{1, 2}));
  EXPECT_EQ(judged->word, kWallSeconds);
  EXPECT_THAT(refusal(alone(), "--i-have-powered-off node01"),
              HasSubstr("node02 is not heard either"));
}

TEST_F(OwnerWordTest, WhoIsHeardIsNotOff) {
  WordView view = alone();
  view.last_heard[2] = kNow - 400ms;
  EXPECT_EQ(refusal(view, kBoth), "not granted, for it is not off: node02 was heard 0.4 s ago");
}

TEST_F(OwnerWordTest, WhatIsMisspeltIsToldWithWhatThereIs) {
  EXPECT_EQ(refusal(alone(), "--i-have-powered-off node1"),
            "no node 'node1'; the others are node01 and node02");
  EXPECT_EQ(refusal(alone(), "--i-have-powered-off node03"),
            "node03 is this node, and it is not off");
  EXPECT_EQ(refusal(alone(), "intern --i-have-powered-off node01"),
            "no instance 'intern'; there are internal and external");
}

TEST_F(OwnerWordTest, NothingIsGrantedThatNeedsNoWordOrThatCannotBeOrdered) {
  WordView majority = alone();
  majority.last_heard[2] = kNow - 1s;
  EXPECT_THAT(refusal(majority, "--i-have-powered-off node01"), HasSubstr("not needed"));
  WordView early = alone();
  early.wall_seconds = 60;
  EXPECT_THAT(refusal(early, kBoth), HasSubstr("clock is wrong"));
  WordView behind = alone();
  behind.leases.generation.number = cluster::Generation::number_by_word(kWallSeconds, 3);
  EXPECT_THAT(refusal(behind, kBoth), HasSubstr("clock is wrong"));
  WordView learning = alone();
  learning.leases.learning = true;
  EXPECT_THAT(refusal(learning, kBoth), HasSubstr("lost its disk"));
}

TEST_F(OwnerWordTest, ASurvivorIsToldWhatToType) {
  EXPECT_THAT(word_.advice(alone()),
              ElementsAre("no majority: nobody may own until node01 and node02 can be heard",
                          "node01 was heard 12.0 s ago and node02 was never heard",
                          "if powered off, and off until this is done: nines lease grant "
                          "--i-have-powered-off node01 --i-have-powered-off node02"));
  WordView majority = alone();
  majority.last_heard[2] = kNow - 1s;
  EXPECT_THAT(word_.advice(majority), IsEmpty());
}

TEST_F(OwnerWordTest, AfterAnOutageOfAllTheMissingOneIsNamed) {
  WordView view = alone();
  view.leases.voting = false;
  view.leases.cold = true;
  view.leases.unheard = {1};
  view.last_heard[2] = kNow - 20ms;
  EXPECT_THAT(word_.advice(view),
              ElementsAre("this host was off, and so were those it hears: node01 may have gone on "
                          "alone, and is waited for",
                          "node01 was heard 12.0 s ago",
                          "if powered off, and off until this is done: nines lease grant "
                          "--i-have-powered-off node01"));
  EXPECT_EQ(refusal(view, "--i-have-powered-off node01"), "");
}

TEST_F(OwnerWordTest, AWordThatDoesNotCountYetSaysWhomItWaitsFor) {
  WordView view = alone();
  view.leases.word_pending = true;
  view.leases.awaited = {2};
  view.last_heard[2] = kNow - 20ms;
  EXPECT_THAT(word_.advice(view),
              ElementsAre("the operator's word does not count yet: node02 must hear of it, or be "
                          "named as well"));
}

}  // namespace
}  // namespace nines

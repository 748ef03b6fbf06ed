// The retry policy, case by case.
#include "proxy/retry.h"

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

RetryFacts refused() {
  return {.failures = 1, .redispatch = true, .other_usable = true, .untouched = true};
}

TEST(Retry, TheFirstRefusedConnectionGoesToAnotherServerAtOnce) {
  EXPECT_EQ(decide_retry(refused()), Retry::kOtherServer);
}

TEST(Retry, WithoutRedispatchTheSameServerIsTriedAgainLater) {
  auto facts = refused();
  facts.redispatch = false;
  EXPECT_EQ(decide_retry(facts), Retry::kSameServerLater);
}

TEST(Retry, WithNobodyElseTheSameServerIsTriedAgainLater) {
  auto facts = refused();
  facts.other_usable = false;
  EXPECT_EQ(decide_retry(facts), Retry::kSameServerLater);
}

TEST(Retry, RetriesAreCounted) {
  auto facts = refused();
  facts.failures = 3;
  EXPECT_EQ(decide_retry(facts), Retry::kOtherServer);
  facts.failures = 4;
  EXPECT_EQ(decide_retry(facts), Retry::kGiveUp);
}

TEST(Retry, WhatWasSentAndIsNotIdempotentIsNeverSentTwice) {
  auto facts = refused();
  facts.untouched = false;
  facts.kept = true;
  EXPECT_EQ(decide_retry(facts), Retry::kGiveUp);
  facts.pooled = true;
  EXPECT_EQ(decide_retry(facts), Retry::kGiveUp);
}

TEST(Retry, AnIdempotentRequestSurvivesItsServerWhileItIsKept) {
  auto facts = refused();
  facts.untouched = false;
  facts.idempotent = true;
  EXPECT_EQ(decide_retry(facts), Retry::kGiveUp);
  facts.kept = true;
  EXPECT_EQ(decide_retry(facts), Retry::kOtherServer);
}

TEST(Retry, AnAnswerThatHasBegunIsNotBegunAgain) {
  auto facts = refused();
  facts.idempotent = facts.kept = facts.answered = true;
  EXPECT_EQ(decide_retry(facts), Retry::kGiveUp);
}

TEST(Retry, ADeadPooledConnectionSaysNothingAgainstItsServer) {
  auto facts = refused();
  facts.untouched = false;
  facts.idempotent = facts.kept = facts.pooled = true;
  facts.failures = 9;
  EXPECT_EQ(decide_retry(facts), Retry::kSameServerNow);
}

}  // namespace
}  // namespace nines::proxy

// Requests and replies cross, planes die, replies come that nobody asked for.
#include "node/plane_requests.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace nines::node {
namespace {

class PlaneRequestsTest : public testing::Test {
 protected:
  void ask(const std::string& request, std::optional<Instant> until = {}) {
    requests_.ask(
        request,
        [this, request](const Result<std::string>& reply) {
          heard_.push_back(request + ": " + (reply.has_value() ? *reply : reply.error().message()));
        },
        until);
  }
  static Instant at(int milliseconds) {
    return Instant{} + std::chrono::milliseconds(milliseconds);
  }
  // The plane's side: takes its next request and answers it.
  ChannelMessage answer(const ChannelMessage& message, const std::string& reply) {
    const auto request = parse_plane_request(message.text);
    EXPECT_TRUE(request.has_value()) << message.text;
    auto made = make_plane_reply(request->number, reply + " to " + std::string(request->text));
    EXPECT_TRUE(made.has_value());
    return *std::move(made);
  }

  std::vector<ChannelMessage> sent_;
  std::vector<std::string> heard_;
  Result<void> sending_ = {};
  PlaneRequests requests_{"owner", [this](const ChannelMessage& message) -> Result<void> {
                            if (!sending_.has_value()) return sending_;
                            sent_.push_back({message.kind, message.text, {}});
                            return {};
                          }};
};

TEST_F(PlaneRequestsTest, EachReplyFindsWhoAsked) {
  ask("galera status");
  ask("metrics");
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_EQ(sent_[0].kind, ChannelMessage::Kind::kRequest);
  ASSERT_TRUE(requests_.replied(answer(sent_[1], "second")).has_value());
  ASSERT_TRUE(requests_.replied(answer(sent_[0], "first")).has_value());
  EXPECT_EQ(heard_, (std::vector<std::string>{"metrics: second to metrics",
                                              "galera status: first to galera status"}));
}

TEST_F(PlaneRequestsTest, AReplyThatNobodyAskedForIsAnError) {
  ask("metrics");
  ASSERT_TRUE(requests_.replied(answer(sent_[0], "once")).has_value());
  const auto twice = requests_.replied(answer(sent_[0], "twice"));
  ASSERT_FALSE(twice.has_value());
  EXPECT_EQ(twice.error().message(), "the owner answers what nobody asked");
  for (const char* const number : {"", "x", "1x", " 1", "-1"}) {
    EXPECT_FALSE(requests_.replied({ChannelMessage::Kind::kReply, number, {}}).has_value())
        << number;
  }
  EXPECT_EQ(heard_.size(), 1u);
}

TEST_F(PlaneRequestsTest, AReplyWithoutItsTextIsTold) {
  ask("metrics");
  ASSERT_TRUE(requests_.replied({ChannelMessage::Kind::kReply, "1", {}}).has_value());
  ASSERT_EQ(heard_.size(), 1u);
  EXPECT_NE(heard_[0].find("Bad file descriptor"), std::string::npos) << heard_[0];
}

TEST_F(PlaneRequestsTest, WhoWaitsHearsOfThePlanesDeathOnce) {
  ask("a");
  ask("b");
  requests_.fail();
  requests_.fail();
  EXPECT_EQ(heard_, (std::vector<std::string>{"a: the owner died before it had answered",
                                              "b: the owner died before it had answered"}));
}

// Who hears of the death may ask again at once: that request is the next plane's.
TEST_F(PlaneRequestsTest, WhatIsAskedWhileOthersFailIsNotFailedWithThem) {
  requests_.ask("a", [this](const Result<std::string>&) { ask("again"); });
  requests_.fail();
  EXPECT_TRUE(heard_.empty());
  ASSERT_EQ(sent_.size(), 2u);
  ASSERT_TRUE(requests_.replied(answer(sent_[1], "here")).has_value());
  EXPECT_EQ(heard_, (std::vector<std::string>{"again: here to again"}));
}

TEST_F(PlaneRequestsTest, WhatCannotBeSentIsAnsweredAtOnce) {
  sending_ = Error(ErrorCode::kUnavailable, "the channel is full");
  ask("a");
  EXPECT_EQ(heard_, (std::vector<std::string>{"a: the channel is full"}));
}

TEST_F(PlaneRequestsTest, TooManyAreRefused) {
  for (std::size_t i = 0; i < PlaneRequests::kUnansweredMax; ++i) ask("a");
  EXPECT_TRUE(heard_.empty());
  ask("b");
  EXPECT_EQ(heard_, (std::vector<std::string>{"b: too many requests wait for the owner already"}));
  EXPECT_EQ(sent_.size(), PlaneRequests::kUnansweredMax);
}

TEST_F(PlaneRequestsTest, WhoWaitsTooLongHearsThatThePlaneDoesNotAnswer) {
  EXPECT_FALSE(requests_.deadline().has_value());
  ask("patient");
  EXPECT_FALSE(requests_.deadline().has_value());
  ask("a", at(700));
  ask("b", at(500));
  ASSERT_TRUE(requests_.deadline().has_value());
  EXPECT_EQ(*requests_.deadline(), at(500));
  requests_.expire(at(499));
  EXPECT_TRUE(heard_.empty());
  requests_.expire(at(500));
  EXPECT_EQ(heard_, (std::vector<std::string>{"b: the owner does not answer"}));
  EXPECT_EQ(*requests_.deadline(), at(700));
  requests_.expire(at(800));
  ASSERT_EQ(heard_.size(), 2u);
  EXPECT_EQ(heard_[1], "a: the owner does not answer");
  EXPECT_FALSE(requests_.deadline().has_value());
  ASSERT_TRUE(requests_.replied(answer(sent_[0], "at last")).has_value());
  EXPECT_EQ(heard_.back(), "patient: at last to patient");
}

TEST_F(PlaneRequestsTest, AReplyInTimeEndsTheWait) {
  ask("a", at(500));
  ASSERT_TRUE(requests_.replied(answer(sent_[0], "here")).has_value());
  EXPECT_FALSE(requests_.deadline().has_value());
  requests_.expire(at(600));
  EXPECT_EQ(heard_, (std::vector<std::string>{"a: here to a"}));
}

TEST_F(PlaneRequestsTest, AReplyThatComesTooLateIsDroppedOnceAndThenAnError) {
  ask("a", at(500));
  requests_.expire(at(500));
  ASSERT_EQ(heard_.size(), 1u);
  EXPECT_TRUE(requests_.replied(answer(sent_[0], "late")).has_value());
  EXPECT_FALSE(requests_.replied(answer(sent_[0], "later")).has_value());
  requests_.fail();
  EXPECT_EQ(heard_.size(), 1u);
}

// A plane that is stuck is asked no more than that, whoever has gone meanwhile.
TEST_F(PlaneRequestsTest, WhatIsOwedCountsUntilItComesOrThePlaneDies) {
  for (std::size_t i = 0; i < PlaneRequests::kUnansweredMax; ++i) ask("a", at(500));
  requests_.expire(at(500));
  heard_.clear();
  ask("b", at(900));
  EXPECT_EQ(heard_, (std::vector<std::string>{"b: too many requests wait for the owner already"}));
  EXPECT_TRUE(requests_.replied(answer(sent_[0], "late")).has_value());
  ask("c", at(900));
  ASSERT_EQ(sent_.size(), PlaneRequests::kUnansweredMax + 1);
  requests_.fail();
  EXPECT_EQ(heard_.back(), "c: the owner died before it had answered");
  EXPECT_EQ(heard_.size(), 2u);
  heard_.clear();
  ask("d", at(900));
  EXPECT_TRUE(heard_.empty());
}

TEST_F(PlaneRequestsTest, WhoIsToldThatItTookTooLongMayAskAgain) {
  requests_.ask(
      "a", [this](const Result<std::string>&) { ask("again", at(400)); }, at(500));
  requests_.expire(at(500));
  EXPECT_TRUE(heard_.empty());
  ASSERT_EQ(sent_.size(), 2u);
  ASSERT_TRUE(requests_.replied(answer(sent_[1], "here")).has_value());
  EXPECT_EQ(heard_, (std::vector<std::string>{"again: here to again"}));
}

TEST(PlaneRequest, NeedsANumberAndABlank) {
  for (const char* const text : {"", "x", " x"}) {
    EXPECT_FALSE(parse_plane_request(text).has_value()) << text;
  }
  const auto request = parse_plane_request("12 galera status");
  ASSERT_TRUE(request.has_value());
  EXPECT_EQ(request->number, "12");
  EXPECT_EQ(request->text, "galera status");
}

}  // namespace
}  // namespace nines::node

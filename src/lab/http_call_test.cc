// One request and whatever may come back: framings, nonsense, nothing, in one piece or byte by
// byte.
#include "lab/http_call.h"

#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "lab/fake_api_test.h"
#include "sim/world.h"

namespace nines::lab {
namespace {

class Calls : public testing::Test {
 protected:
  static constexpr Duration kPatience = 5s;

  Calls()
      : client_(world_.add_host("client", {"10.0.0.1"})),
        server_(world_.add_host("server", {"10.0.0.2"})),
        caller_(client_.start("caller")),
        api_process_(server_.start("api")),
        api_(api_process_.make<FakeApi>(api_process_.loop(), server_.address(80),
                                        [this](const std::string&) { return answer_; })) {}

  // The reply, and after how long; nothing: none came at all.
  std::optional<HttpReply> call() {
    reply_.reset();
    begin();
    const Instant begun = world_.now();
    world_.run_until([&] { return reply_.has_value(); }, 60s);
    took_ = world_.now() - begun;
    call_.reset();
    return reply_;
  }
  void begin() {
    caller_.loop().post([this] {
      call_ = std::make_unique<HttpCall>(caller_.loop(), server_.address(80),
                                         api_request("GET", "/v2.1/servers", "t0ken", ""),
                                         kPatience, [this](HttpReply reply) {
                                           ++replies_;
                                           reply_ = std::move(reply);
                                           if (destroys_) call_.reset();
                                         });
    });
  }
  std::optional<HttpReply> call_with(std::string answer, bool closes = false) {
    answer_ = std::move(answer);
    api_.closes = closes;
    return call();
  }

  sim::World world_{11};
  sim::Host& client_;
  sim::Host& server_;
  sim::Process& caller_;
  sim::Process& api_process_;
  FakeApi& api_;
  std::optional<std::string> answer_;
  std::unique_ptr<HttpCall> call_;
  std::optional<HttpReply> reply_;
  Duration took_{};
  int replies_ = 0;
  bool destroys_ = false;
};

TEST_F(Calls, ARequestSaysWhatAnApiWantsToKnow) {
  const auto reply = call_with("HTTP/1.1 204 No Content\r\n\r\n");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status, 204);
  EXPECT_EQ(api_.last.substr(0, 28), "GET /v2.1/servers HTTP/1.1\r\n");
  EXPECT_NE(api_.last.find("\r\nX-Auth-Token: t0ken\r\n"), std::string::npos);
  EXPECT_NE(api_.last.find("\r\nConnection: close\r\n"), std::string::npos);
  const std::string post = api_request("POST", "/", "", "{}");
  EXPECT_EQ(post.find("X-Auth-Token"), std::string::npos);
  EXPECT_TRUE(post.ends_with("Content-Length: 2\r\n\r\n{}"));
}

TEST_F(Calls, ABodyOfALengthIsWhole) {
  const auto reply =
      call_with("HTTP/1.1 201 Created\r\nX-Subject-Token: abc\r\nContent-Length: 5\r\n\r\nhello");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status, 201);
  EXPECT_EQ(reply->token, "abc");
  EXPECT_EQ(reply->body, "hello");
  EXPECT_EQ(reply->reason, "");
}

TEST_F(Calls, ChunksAreJoined) {
  const auto reply = call_with(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;name=value\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX-Checksum: x\r\n\r\n");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->body, "abc0123456789abcdef");
}

TEST_F(Calls, ABodyThatEndsWithTheConnection) {
  const auto reply = call_with("HTTP/1.0 200 OK\r\n\r\nall of it", true);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->body, "all of it");
}

TEST_F(Calls, InterimAnswersArePassedOver) {
  const auto reply =
      call_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->body, "ok");
}

TEST_F(Calls, WhatIsNoAnswerIsMalformed) {
  for (const std::string bad :
       {"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n"}) {
    const auto reply = call_with(bad);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->status, 0);
    EXPECT_EQ(reply->reason, "malformed") << bad;
    EXPECT_LT(took_, 1s);
  }
}

TEST_F(Calls, AnAnswerThatIsCutShortIsNone) {
  for (const std::string bad :
       {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "HTTP/1.1 2"}) {
    const auto reply = call_with(bad, true);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->status, 0);
    EXPECT_EQ(reply->reason, "closed early") << bad;
    EXPECT_EQ(reply->body, "");
  }
}

TEST_F(Calls, SilenceIsWaitedForSoLong) {
  answer_.reset();
  const auto reply = call();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->reason, "no answer");
  EXPECT_GE(took_, kPatience);
  EXPECT_LT(took_, kPatience + 100ms);
}

TEST_F(Calls, ARefusedConnectionSaysSoAtOnce) {
  api_process_.kill();
  const auto reply = call();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status, 0);
  EXPECT_EQ(reply->reason, "refused");
  EXPECT_LT(took_, 1s);
}

TEST_F(Calls, AnAnswerBeyondTheBoundIsRefused) {
  const auto reply =
      call_with("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(HttpCall::kAnswerMax + 1) +
                "\r\n\r\n" + std::string(HttpCall::kAnswerMax + 1, 'x'));
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->reason, "malformed");
}

TEST_F(Calls, ACallMayBeDestroyedFromItsReplyAndBeforeIt) {
  answer_ = "HTTP/1.1 204 No Content\r\n\r\n";
  destroys_ = true;
  ASSERT_TRUE(call().has_value());
  EXPECT_EQ(replies_, 1);
  answer_.reset();
  begin();
  world_.run_for(1s);
  caller_.loop().post([this] { call_.reset(); });
  world_.run_for(20s);
  EXPECT_EQ(replies_, 1) << "never called back after its end";
}

}  // namespace
}  // namespace nines::lab

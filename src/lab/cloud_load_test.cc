// The cloud's client against APIs that answer, fail, keep silent and forget servers.
#include "lab/cloud_load.h"

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include <gtest/gtest.h>

#include "lab/fake_api_test.h"
#include "lab/lab_plan.h"
#include "sim/world.h"

namespace nines::lab {
namespace {

using Json = nlohmann::json;

std::string answer(int status, const Json& body, const std::string& fields = "") {
  const std::string text = body.dump();
  return "HTTP/1.1 " + std::to_string(status) + " Said\r\n" + fields +
         "Content-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
}

// keystone and nova: as many servers as were asked for, each in a state that the test may set.
class Cloud : public testing::Test {
 protected:
  Cloud()
      : client_(world_.add_host("client", {"100.2.30.100"})),
        vip_(world_.add_host("vip", {std::string(kVirtualAddress)})),
        caller_(client_.start("caller")),
        apis_(vip_.start("apis")),
        load_(caller_.make<CloudLoad>(caller_.loop())) {
    apis_.make<FakeApi>(apis_.loop(), vip_.address(5000), [this](const std::string&) {
      return identity_hangs ? std::optional<std::string>()
                            : answer(identity_status, Json::object(),
                                     "X-Subject-Token: token" + std::to_string(++tokens) + "\r\n");
    });
    apis_.make<FakeApi>(apis_.loop(), vip_.address(8774),
                        [this](const std::string& request) { return compute(request); });
  }

  std::optional<std::string> compute(const std::string& request) {
    if (compute_hangs) return std::nullopt;
    if (request.find("X-Auth-Token: token") == std::string::npos)
      return answer(401, Json::object());
    if (request.starts_with("POST /v2.1/servers ")) {
      if (create_status != 202) return answer(create_status, Json::object());
      const std::string id = "server" + std::to_string(servers.size() + 1);
      servers[id] = "BUILD";
      return answer(202, {{"server", {{"id", id}}}});
    }
    if (request.starts_with("GET /v2.1/servers/detail ")) {
      Json list = Json::array();
      for (const auto& [id, status] : servers) list.push_back({{"id", id}, {"status", status}});
      return answer(list_status, {{"servers", list}});
    }
    const std::string id = request.substr(18, request.find(" HTTP") - 18);
    auto& status = servers.at(id);
    if (status == "BUILD" && !stuck) status = end_state;
    return answer(200, {{"server", {{"id", id}, {"status", status}}}});
  }

  void begin() {
    caller_.loop().post([this] { load_.start(); });
  }
  void on_loop(std::function<void()> task) {
    caller_.loop().post(std::move(task));
    world_.run_for(1ms);
  }
  static int failed(const std::vector<RequestRecord>& records) {
    return static_cast<int>(std::count_if(records.begin(), records.end(), [](const auto& each) {
      return each.outcome != Outcome::kSuccess;
    }));
  }

  sim::World world_{5};
  sim::Host& client_;
  sim::Host& vip_;
  sim::Process& caller_;
  sim::Process& apis_;
  CloudLoad& load_;
  std::map<std::string, std::string> servers;
  int identity_status = 201, create_status = 202, list_status = 200, tokens = 0;
  bool identity_hangs = false, compute_hangs = false, stuck = false;
  std::string end_state = "ACTIVE";
};

TEST_F(Cloud, EverythingIsAskedForAtItsPace) {
  begin();
  world_.run_for(20s);
  const auto& records = load_.records();
  EXPECT_NEAR(records.tokens.size(), 20, 1);
  EXPECT_NEAR(records.lists.size(), 20, 1);
  EXPECT_NEAR(records.servers.size(), 10, 1);
  EXPECT_EQ(failed(records.tokens) + failed(records.lists) + failed(records.servers), 0);
  for (const auto& each : records.servers) {
    EXPECT_GE(each.ended - each.begun, CloudLoad::kLookInterval) << "it is looked after";
  }
}

TEST_F(Cloud, NothingIsAskedForWithoutAToken) {
  identity_status = 503;
  begin();
  world_.run_for(10s);
  EXPECT_GT(load_.records().tokens.size(), 5u);
  EXPECT_EQ(failed(load_.records().tokens), static_cast<int>(load_.records().tokens.size()));
  EXPECT_EQ(load_.records().tokens.front().reason, "503");
  EXPECT_TRUE(load_.records().lists.empty());
  EXPECT_TRUE(servers.empty());
}

TEST_F(Cloud, AServerIsFollowedUntilItIsActiveAndNotBefore) {
  stuck = true;
  begin();
  world_.run_for(10s);
  EXPECT_TRUE(load_.records().servers.empty());
  EXPECT_GE(load_.servers_under_way(), 4);
  stuck = false;
  world_.run_for(1s);
  EXPECT_GE(load_.records().servers.size(), 4u);
  EXPECT_LE(load_.servers_under_way(), 1);
  EXPECT_EQ(failed(load_.records().servers), 0);
  Duration longest{};
  for (const auto& each : load_.records().servers) {
    longest = std::max(longest, each.ended - each.begun);
  }
  EXPECT_GT(longest, 8s) << "the first of them, though others may end before it";
}

TEST_F(Cloud, AServerInErrorHasFailed) {
  end_state = "ERROR";
  begin();
  world_.run_for(5s);
  ASSERT_FALSE(load_.records().servers.empty());
  EXPECT_EQ(load_.records().servers.front().outcome, Outcome::kFailed);
  EXPECT_EQ(load_.records().servers.front().reason, "ERROR");
}

TEST_F(Cloud, ARequestForAServerThatIsRefusedHasFailed) {
  create_status = 500;
  begin();
  world_.run_for(5s);
  ASSERT_FALSE(load_.records().servers.empty());
  EXPECT_EQ(load_.records().servers.front().reason, "500");
  EXPECT_EQ(load_.servers_under_way(), 0);
}

TEST_F(Cloud, ALookThatIsNotAnsweredIsNotTheServersEnd) {
  begin();
  stuck = true;
  world_.run_for(3s);
  compute_hangs = true;
  world_.run_for(10s);
  EXPECT_TRUE(load_.records().servers.empty());
  compute_hangs = stuck = false;
  world_.run_for(CloudLoad::kLookPatience + 1s);
  EXPECT_FALSE(load_.records().servers.empty());
}

TEST_F(Cloud, AnsweredLateIsAsLateAsItWas) {
  begin();
  world_.run_for(2s);
  identity_hangs = true;
  world_.run_for(CloudLoad::kPatience + 5s);
  const auto& tokens_seen = load_.records().tokens;
  const auto late = std::find_if(tokens_seen.begin(), tokens_seen.end(), [](const auto& each) {
    return each.outcome != Outcome::kSuccess;
  });
  ASSERT_NE(late, tokens_seen.end());
  EXPECT_EQ(late->reason, "no answer");
  EXPECT_GE(late->ended - late->begun, CloudLoad::kPatience);
}

TEST_F(Cloud, WhatIsAbandonedIsRecordedAsUnfinished) {
  stuck = true;
  begin();
  world_.run_for(6s);
  on_loop([this] {
    load_.stop();
    EXPECT_FALSE(load_.idle());
    load_.abandon();
  });
  EXPECT_TRUE(load_.idle());
  ASSERT_FALSE(load_.records().servers.empty());
  for (const auto& each : load_.records().servers) {
    EXPECT_EQ(each.outcome, Outcome::kUnfinished);
    EXPECT_EQ(each.reason, "still in BUILD");
  }
  const std::size_t made = servers.size();
  world_.run_for(10s);
  EXPECT_EQ(servers.size(), made) << "nothing more is begun";
}

TEST_F(Cloud, NoMoreServersAreBegunAndTheRestGoesOn) {
  begin();
  world_.run_for(5s);
  on_loop([this] { load_.stop_servers(); });
  const std::size_t made = servers.size();
  const std::size_t listed = load_.records().lists.size();
  world_.run_for(5s);
  EXPECT_EQ(servers.size(), made);
  EXPECT_GT(load_.records().lists.size(), listed + 3);
}

TEST_F(Cloud, TheAuditCountsServersByState) {
  servers = {{"a", "ACTIVE"}, {"b", "BUILD"}, {"c", "ACTIVE"}};
  std::optional<std::map<std::string, int>> left;
  on_loop([&] { load_.audit(10s, [&](auto counted) { left = std::move(counted); }); });
  world_.run_for(1s);
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(*left, (std::map<std::string, int>{{"ACTIVE", 2}, {"BUILD", 1}}));
}

TEST_F(Cloud, TheAuditGoesOnUntilItIsAnsweredOrItsPatienceIsOver) {
  identity_status = 500;
  list_status = 503;
  int told = 0;
  std::optional<std::map<std::string, int>> left;
  const auto ask = [&] {
    load_.audit(10s, [&](auto counted) {
      ++told;
      left = std::move(counted);
    });
  };
  on_loop(ask);
  world_.run_for(4s);
  identity_status = 201;
  world_.run_for(2s);
  EXPECT_EQ(told, 0);
  list_status = 200;
  world_.run_for(2s);
  EXPECT_EQ(told, 1);
  EXPECT_TRUE(left.has_value());
  list_status = 503;
  on_loop(ask);
  world_.run_for(12s);
  EXPECT_EQ(told, 2);
  EXPECT_FALSE(left.has_value());
  EXPECT_TRUE(load_.idle());
}

}  // namespace
}  // namespace nines::lab

// A host that comes back and its services one after the other, in the simulated network.
#include "cluster/healing.h"

#include <gtest/gtest.h>

#include "sim/world.h"

namespace nines::cluster {
namespace {

class Service final : public io::AcceptHandler {
 public:
  Service(io::Loop& loop, const SocketAddress& at) : acceptor_(*loop.listen(at, {}, *this)) {}
  void on_accepted(io::Stream& stream) override {
    ++accepted;
    stream.close();
  }
  void on_accept_exhausted(const Error&) override {}
  int accepted = 0;

 private:
  io::Acceptor* acceptor_;
};

class Healing : public testing::Test {
 protected:
  Healing()
      : watcher_(world_.add_host("node01", {"10.0.0.1"})),
        host_(world_.add_host("node02", {"10.0.0.2"})),
        process_(watcher_.start("owner")),
        services_(host_.start("services")),
        watch_(process_.make<HealingWatch>(process_.loop())) {}

  void begin() {
    process_.loop().post([this] { watch_.begin(2, {host_.address(0)}, {3306, 5672, 11211}); });
  }
  Service& serve(std::uint16_t port) {
    return services_.make<Service>(services_.loop(), host_.address(port));
  }

  sim::World world_{3};
  sim::Host& watcher_;
  sim::Host& host_;
  sim::Process& process_;
  sim::Process& services_;
  HealingWatch& watch_;
};

TEST_F(Healing, EachServiceIsToldWhenItAcceptsAndAskedNoMore) {
  begin();
  world_.run_for(4s);
  Service& database = serve(3306);
  world_.run_for(3s);
  serve(5672);
  world_.run_for(3s);
  const auto healed = watch_.healed(2);
  ASSERT_EQ(healed.size(), 2u);
  EXPECT_EQ(healed[0].port, 3306);
  EXPECT_GE(healed[0].after, 4s);
  EXPECT_LE(healed[0].after, 4s + HealingWatch::kAskEvery + 100ms);
  EXPECT_EQ(healed[1].port, 5672);
  EXPECT_GE(healed[1].after, 7s);
  EXPECT_EQ(database.accepted, 1);
  EXPECT_TRUE(watch_.watches(2));
}

TEST_F(Healing, WhatNeverAcceptsIsGivenUp) {
  begin();
  world_.run_for(HealingWatch::kWatchMost + 1s);
  EXPECT_FALSE(watch_.watches(2));
  Service& late = serve(3306);
  world_.run_for(5s);
  EXPECT_EQ(late.accepted, 0);
  EXPECT_TRUE(watch_.healed(2).empty());
}

TEST_F(Healing, AHostThatSwallowsPacketsIsAskedAgain) {
  world_.isolate(host_);
  begin();
  serve(3306);
  world_.run_for(10s);
  EXPECT_TRUE(watch_.healed(2).empty());
  world_.heal_all();
  world_.run_for(HealingWatch::kConnectMost + HealingWatch::kAskEvery + 100ms);
  ASSERT_EQ(watch_.healed(2).size(), 1u);
  EXPECT_GE(watch_.healed(2)[0].after, 10s);
}

TEST_F(Healing, ADeathBeginsAnew) {
  begin();
  serve(3306);
  world_.run_for(2s);
  ASSERT_EQ(watch_.healed(2).size(), 1u);
  process_.loop().post([this] { watch_.end(2); });
  world_.run_for(1s);
  EXPECT_TRUE(watch_.healed(2).empty());
  EXPECT_FALSE(watch_.watches(2));
  begin();
  world_.run_for(1s);
  ASSERT_EQ(watch_.healed(2).size(), 1u);
  EXPECT_LT(watch_.healed(2)[0].after, 1s);
}

}  // namespace
}  // namespace nines::cluster

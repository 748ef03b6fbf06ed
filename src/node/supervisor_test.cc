// Starts, faults and stops in their order.
#include "node/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::node {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Kind = SupervisorEffect::Kind;

constexpr Instant kOrigin{1'000'000'000'000};

class SupervisorTest : public testing::Test {
 protected:
  std::vector<Kind> at(Duration after, const SupervisorEvent& event) {
    effects_.clear();
    machine_.handle(event, kOrigin + after, effects_);
    std::vector<Kind> kinds;
    for (const SupervisorEffect& effect : effects_) kinds.push_back(effect.kind);
    return kinds;
  }
  void run() {
    at(0s, event::Start{});
    at(0s, event::ProxyStarted{});
    at(0s, event::OwnerStarted{});
    ASSERT_EQ(machine_.stage(), Supervisor::Stage::kRunning);
  }

  Supervisor machine_{SupervisorPlan{}};
  Supervisor::Effects effects_;
};

TEST_F(SupervisorTest, TheOwnerBeginsOnceTheProxyServes) {
  EXPECT_THAT(at(0s, event::Start{}), ElementsAre(Kind::kStartProxy));
  EXPECT_THAT(at(1s, event::ProxyStarted{}), ElementsAre(Kind::kStartOwner));
  EXPECT_THAT(at(1s, event::OwnerStarted{}), ElementsAre(Kind::kReady));
}

TEST_F(SupervisorTest, OnePlaneAloneRunsAsWell) {
  machine_ = Supervisor({.proxy = false});
  EXPECT_THAT(at(0s, event::Start{}), ElementsAre(Kind::kStartOwner));
  EXPECT_THAT(at(0s, event::OwnerStarted{}), ElementsAre(Kind::kReady));
  EXPECT_THAT(at(1s, event::StopAsked{}), ElementsAre(Kind::kStopping, Kind::kReleaseOwner));
  EXPECT_THAT(at(2s, event::OwnerEnded{true}), ElementsAre(Kind::kExit));

  machine_ = Supervisor({.owner = false});
  at(0s, event::Start{});
  EXPECT_THAT(at(0s, event::ProxyStarted{}), ElementsAre(Kind::kReady));
  EXPECT_THAT(at(1s, event::StopAsked{}), ElementsAre(Kind::kStopping, Kind::kStopProxySoftly));
  EXPECT_THAT(at(2s, event::ProxyEnded{true}), ElementsAre(Kind::kExit));
}

TEST_F(SupervisorTest, WithoutEitherPlaneThereIsNothingToWaitFor) {
  machine_ = Supervisor({.proxy = false, .owner = false});
  EXPECT_THAT(at(0s, event::Start{}), ElementsAre(Kind::kReady));
  EXPECT_THAT(at(1s, event::StopAsked{}), ElementsAre(Kind::kStopping, Kind::kExit));
  EXPECT_EQ(machine_.deadline(), std::nullopt);
}

TEST_F(SupervisorTest, TheOwnerIsToldOfTheProxy) {
  run();
  EXPECT_THAT(at(1s, event::ProxyFit{false}), ElementsAre(Kind::kTellOwner));
  EXPECT_FALSE(effects_[0].fit);
  EXPECT_THAT(at(2s, event::ProxyFit{true}), ElementsAre(Kind::kTellOwner));
  EXPECT_TRUE(effects_[0].fit);
}

TEST_F(SupervisorTest, AStopLetsAnswersEndBeforeTheAddressesGo) {
  run();
  EXPECT_THAT(at(1s, event::StopAsked{}), ElementsAre(Kind::kStopping, Kind::kDrainProxy));
  EXPECT_THAT(at(1s, event::ProxyDrained{}), ElementsAre(Kind::kReleaseOwner));
  EXPECT_THAT(at(2s, event::OwnerEnded{true}), ElementsAre(Kind::kStopProxySoftly));
  EXPECT_THAT(at(2s, event::ProxyFit{false}), IsEmpty());
  EXPECT_THAT(at(3s, event::ProxyEnded{true}), ElementsAre(Kind::kExit));
  EXPECT_EQ(effects_[0].code, kRunExitGood);
}

TEST_F(SupervisorTest, ADrainAndASoftStopHaveTheirBounds) {
  run();
  at(1s, event::StopAsked{});
  EXPECT_EQ(machine_.deadline(), kOrigin + 4s);
  EXPECT_THAT(at(4s, event::SupervisorTimer{}), ElementsAre(Kind::kEndDrain, Kind::kReleaseOwner));
  EXPECT_THAT(at(4s, event::ProxyDrained{}), IsEmpty());
  at(5s, event::OwnerEnded{true});
  EXPECT_EQ(machine_.deadline(), kOrigin + 10s);
  EXPECT_THAT(at(10s, event::SupervisorTimer{}), ElementsAre(Kind::kStopProxyHard));
  EXPECT_THAT(at(10s, event::ProxyEnded{true}), ElementsAre(Kind::kExit));
}

TEST_F(SupervisorTest, ASecondStopWaitsForNoAnswer) {
  run();
  at(1s, event::StopAsked{});
  EXPECT_THAT(at(1s, event::StopAsked{}), ElementsAre(Kind::kReleaseOwner));
  EXPECT_THAT(at(2s, event::OwnerEnded{true}), ElementsAre(Kind::kStopProxyHard));
  EXPECT_THAT(at(2s, event::ProxyEnded{true}), ElementsAre(Kind::kExit));
}

TEST_F(SupervisorTest, AtOnceStillHandsTheAddressesOverFirst) {
  run();
  EXPECT_THAT(at(1s, event::StopAsked{true}), ElementsAre(Kind::kStopping, Kind::kReleaseOwner));
  EXPECT_THAT(at(1s, event::OwnerEnded{true}), ElementsAre(Kind::kStopProxyHard));
}

TEST_F(SupervisorTest, AProxyThatDiesWhileItDrainsHoldsNobodyUp) {
  run();
  at(1s, event::StopAsked{});
  EXPECT_THAT(at(1s, event::ProxyFit{false}), IsEmpty());
  EXPECT_THAT(at(4s, event::SupervisorTimer{}), ElementsAre(Kind::kEndDrain, Kind::kReleaseOwner));
}

TEST_F(SupervisorTest, APlaneThatCannotBeginEndsAll) {
  at(0s, event::Start{});
  EXPECT_THAT(at(0s, event::ProxyEnded{false}), ElementsAre(Kind::kExit));
  EXPECT_EQ(effects_[0].code, kRunExitBad);

  machine_ = Supervisor(SupervisorPlan{});
  at(0s, event::Start{});
  at(0s, event::ProxyStarted{});
  EXPECT_THAT(at(0s, event::OwnerEnded{false}), ElementsAre(Kind::kStopProxyHard));
  EXPECT_THAT(at(0s, event::ProxyEnded{true}), ElementsAre(Kind::kExit));
  EXPECT_EQ(effects_[0].code, kRunExitBad);
}

}  // namespace
}  // namespace nines::node

// The machine that tells slow from gone.
#include "proxy/silence.h"

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

Instant at(std::int64_t ms) { return Instant{ms * 1'000'000}; }

class SilenceTest : public testing::Test {
 protected:
  SilenceEffects evidence(std::int64_t ms) {
    SilenceEffects out;
    machine.on_evidence(at(ms), out);
    return out;
  }
  SilenceEffects answered(std::int64_t ms) {
    SilenceEffects out;
    machine.on_answered(at(ms), out);
    return out;
  }
  SilenceEffects timer(std::int64_t ms) {
    SilenceEffects out;
    machine.on_timer(at(ms), out);
    return out;
  }
  SilenceMachine machine;
};

TEST_F(SilenceTest, ASlowServerThatAnswersTheProbeIsLeftInPeace) {
  EXPECT_EQ(evidence(1000).doubted, true);
  const auto out = answered(1010);
  EXPECT_TRUE(out.drop_probe);
  EXPECT_EQ(out.doubted, false);
  EXPECT_EQ(out.silent, std::nullopt);
  EXPECT_FALSE(machine.deadline().has_value());
}

TEST_F(SilenceTest, EvidenceIsNoStormOfProbes) {
  EXPECT_TRUE(evidence(1000).start_probe);
  EXPECT_FALSE(evidence(1001).start_probe);
  answered(1010);
  EXPECT_FALSE(evidence(1500).start_probe);  // trusted
  EXPECT_TRUE(evidence(2010).start_probe);
}

TEST_F(SilenceTest, AProbeWithoutAnAnswerMakesTheServerSilentOnce) {
  evidence(1000);
  EXPECT_FALSE(timer(1999).drop_probe);
  const auto out = timer(2000);
  EXPECT_TRUE(out.drop_probe);
  EXPECT_EQ(out.silent, true);
  EXPECT_TRUE(timer(3000).start_probe);         // after a pause
  EXPECT_EQ(timer(4000).silent, std::nullopt);  // said already
}

TEST_F(SilenceTest, TheFirstAnswerEndsIt) {
  evidence(1000);
  timer(2000);
  timer(3000);
  EXPECT_EQ(answered(3100).silent, false);
  EXPECT_FALSE(machine.silent());
}

TEST_F(SilenceTest, ARefusedProbeIsTheChecksBusiness) {
  evidence(1000);
  timer(2000);
  SilenceEffects out;
  machine.on_failed(at(2500), out);
  EXPECT_EQ(out.silent, false);
  EXPECT_FALSE(machine.deadline().has_value());
}

TEST_F(SilenceTest, AnAnswerThatComesAfterTheProbeWasDroppedIsNone) {
  evidence(1000);
  timer(2000);
  EXPECT_EQ(answered(2100).silent, std::nullopt);
  EXPECT_TRUE(machine.silent());
}

}  // namespace
}  // namespace nines::proxy

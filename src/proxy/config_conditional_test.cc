// Expressions of ".if": section 2.4 of the manual.
#include "proxy/config_conditional.h"

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

const Environment kEnvironment{{"SET", ""}};

bool value_of(std::string_view expression) {
  const ConditionalVerdict verdict = evaluate_conditional(expression, kEnvironment);
  EXPECT_TRUE(verdict.ok) << expression << ": " << verdict.message;
  return verdict.value;
}

TEST(ConfigConditional, PredicatesOfTheManual) {
  EXPECT_FALSE(value_of(""));
  EXPECT_FALSE(value_of("0"));
  EXPECT_TRUE(value_of("-3"));
  EXPECT_TRUE(value_of("defined(SET)"));
  EXPECT_FALSE(value_of("defined(UNSET)"));
  EXPECT_TRUE(value_of("streq(a,a)"));
  EXPECT_TRUE(value_of("strneq(a,'b,c')"));
  EXPECT_TRUE(value_of("streq(\\),\")\")"));
  EXPECT_TRUE(value_of("feature(THREAD)"));
  EXPECT_FALSE(value_of("feature(OPENSSL)"));
}

TEST(ConfigConditional, VersionsAreComparedByNumber) {
  EXPECT_TRUE(value_of("version_atleast(2.4-dev19)"));
  EXPECT_TRUE(value_of("version_atleast(2.6)"));
  EXPECT_FALSE(value_of("version_atleast(2.10)"));
  EXPECT_TRUE(value_of("version_before(2.7-dev1)"));
  EXPECT_FALSE(value_of("version_before(2.6.1)"));
}

TEST(ConfigConditional, AndBindsMoreThanOr) {
  EXPECT_TRUE(value_of("1 || 0 && 0"));
  EXPECT_FALSE(value_of("(1 || 0) && 0"));
  EXPECT_TRUE(value_of("!0 && !(0 || 0)"));
  EXPECT_TRUE(value_of("!!1"));
}

TEST(ConfigConditional, MistakesPointAtTheirPosition) {
  const auto position_of = [](std::string_view expression) {
    const ConditionalVerdict verdict = evaluate_conditional(expression, kEnvironment);
    EXPECT_FALSE(verdict.ok) << expression;
    return verdict.position;
  };
  EXPECT_EQ(position_of("foo"), 0u);
  EXPECT_EQ(position_of("1 && foo"), 5u);
  EXPECT_EQ(position_of("defined(A"), 9u);
  EXPECT_EQ(position_of("streq(a,b) xx"), 11u);
  EXPECT_EQ(position_of("(1"), 2u);
  EXPECT_EQ(position_of("streq(a)"), 0u);
}

TEST(ConfigConditional, DepthIsBounded) {
  EXPECT_FALSE(evaluate_conditional(std::string(100000, '('), kEnvironment).ok);
  EXPECT_FALSE(evaluate_conditional(std::string(100000, '!') + "1", kEnvironment).ok);
}

}  // namespace
}  // namespace nines::proxy

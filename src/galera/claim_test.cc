// A member in the hands of one recovery at a time.
#include "galera/claim.h"

#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::galera {
namespace {

class ClaimTest : public testing::Test {
 protected:
  ClaimTest() {
    char pattern[] = "/tmp/nines-claim-XXXXXX";
    folder_ = ::mkdtemp(pattern);
  }
  ~ClaimTest() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(ClaimTest, OneHasItUntilItLetsGo) {
  const std::string deeper = folder_ + "/state";
  EXPECT_EQ(claim_holder(deeper).value(), "");
  ASSERT_TRUE(take_claim(deeper, "one", {}).has_value());
  ASSERT_TRUE(take_claim(deeper, "one", {}).has_value());
  const auto other = take_claim(deeper, "two", {});
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code(), ErrorCode::kRefused);
  EXPECT_THAT(other.error().message(), testing::HasSubstr("the recovery one has it"));
  ASSERT_TRUE(release_claim(deeper, "two", {}).has_value());
  EXPECT_EQ(claim_holder(deeper).value(), "one");
  ASSERT_TRUE(release_claim(deeper, "one", {}).has_value());
  ASSERT_TRUE(release_claim(deeper, "one", {}).has_value());
  EXPECT_TRUE(take_claim(deeper, "two", {}).has_value());
}

TEST_F(ClaimTest, WhoeverGoesOnWithADeadOneTakesItOver) {
  ASSERT_TRUE(take_claim(folder_, "first", {}).has_value());
  const std::vector<std::string> earlier = {"before", "first"};
  EXPECT_TRUE(take_claim(folder_, "second", earlier).has_value());
  EXPECT_EQ(claim_holder(folder_).value(), "second");
  // It may also only give it back.
  const std::vector<std::string> dead = {"second"};
  ASSERT_TRUE(release_claim(folder_, "third", {}).has_value());
  EXPECT_EQ(claim_holder(folder_).value(), "second");
  ASSERT_TRUE(release_claim(folder_, "third", dead).has_value());
  EXPECT_EQ(claim_holder(folder_).value(), "");
}

TEST(ClaimNameTest, ANameIsAPlainWord) {
  EXPECT_TRUE(is_run_name("node01-1763712000-77"));
  for (const std::string name : {"", "a b", "a;b", "a\nb", "a/b"}) EXPECT_FALSE(is_run_name(name));
  EXPECT_FALSE(is_run_name(std::string(kRunMax + 1, 'a')));
}

}  // namespace
}  // namespace nines::galera

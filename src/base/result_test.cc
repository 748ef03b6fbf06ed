// Result and TRY: a failure travels up with its code and gathers context.
#include "base/result.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace nines::base {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return Error(ErrorCode::kInvalid, "odd");
  return number / 2;
}

Result<int> quarter(int number) {
  const int once = TRY(half(number));
  return TRY(half(once));
}

TEST(Result, TryYieldsTheValueOrReturnsTheError) {
  EXPECT_EQ(*quarter(8), 2);
  const auto failed = quarter(6);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), ErrorCode::kInvalid);
}

TEST(Result, ContextIsAddedOnTheWayUp) {
  EXPECT_EQ(Error(ErrorCode::kInvalid, "odd").with_context("half").message(), "half: odd");
  const auto refused = Error::from_errno(ECONNREFUSED, "connect");
  EXPECT_EQ(refused.code(), ErrorCode::kRefused);
  EXPECT_EQ(refused.error_number(), ECONNREFUSED);
}

}  // namespace
}  // namespace nines::base

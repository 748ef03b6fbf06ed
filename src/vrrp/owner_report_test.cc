// A report survives its way over the channel, and nothing else passes for one.
#include "vrrp/owner_report.h"

#include <gtest/gtest.h>

namespace nines::vrrp {
namespace {

TEST(OwnerReportTest, WhatIsSaidIsHeard) {
  OwnerReport report{.instance = "a name with blanks",
                     .state = State::kMaster,
                     .priority = 254,
                     .master = *SocketAddress::parse_ip("10.0.0.1", 0),
                     .master_priority = 254,
                     .epoch = 0xffffffffffffffff};
  EXPECT_EQ(*parse_owner_report(encode(report)), report);
  report.state = State::kFault;
  report.master = SocketAddress();
  report.master_priority = 0;
  EXPECT_EQ(*parse_owner_report(encode(report)), report);
}

TEST(OwnerReportTest, AnythingElseIsRefused) {
  for (const std::string_view text :
       {"", "MASTER", "KING 1 1 0 - a", "MASTER 256 1 0 - a", "MASTER x 1 0 - a",
        "MASTER 1 -1 0 - a", "MASTER 1 1 x - a", "MASTER 1 1 0 nowhere a", "MASTER 1 1 0 - ",
        "MASTER 1 1 0 -"}) {
    EXPECT_FALSE(parse_owner_report(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace nines::vrrp

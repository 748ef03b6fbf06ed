// The parser's own words, and what becomes of them.
#include "lease_notes.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vrrp/config_load.h"

namespace nines {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string said_of(const std::string& lines) {
  vrrp::Environment environment;
  environment.include = [](std::string_view, std::string_view) {
    return Result<std::vector<text::SourceFile>>(std::vector<text::SourceFile>());
  };
  auto loaded = vrrp::load_config(
      text::SourceFile("keepalived.conf",
                       "vrrp_instance internal {\n  interface eth0\n"
                       "  virtual_router_id 51\n" +
                           lines + "  virtual_ipaddress {\n    192.0.2.100\n  }\n}\n"),
      environment);
  const std::string before = text::render_text(loaded.diagnostics, loaded.files);
  EXPECT_FALSE(before.empty()) << "the parser has nothing to say of it";
  const std::size_t warnings = loaded.diagnostics.warnings();
  say_for_leases(loaded.diagnostics);
  EXPECT_EQ(loaded.diagnostics.warnings(), warnings);
  return text::render_text(loaded.diagnostics, loaded.files);
}

TEST(LeaseNotes, APriorityIsOnlyWhoAsksFirst) {
  const std::string said = said_of("  priority 3\n");
  EXPECT_THAT(said, HasSubstr("who asks first for a free address"));
  EXPECT_THAT(said, Not(HasSubstr("missed advertisements")));
  EXPECT_THAT(said, Not(HasSubstr("254")));
}

TEST(LeaseNotes, APasswordIsNotUsed) {
  const std::string said = said_of(
      "  priority 250\n  authentication {\n    auth_type PASS\n    auth_pass secret\n  }\n");
  EXPECT_THAT(said, HasSubstr("no adverts are sent: this password is not used"));
  EXPECT_THAT(said, HasSubstr("sealed with the cluster's key"));
  EXPECT_THAT(said, Not(HasSubstr("in clear")));
  EXPECT_THAT(said_of("  priority 250\n  version 3\n  authentication {\n    auth_type PASS\n    "
                      "auth_pass secret\n  }\n"),
              HasSubstr("this password is not used"));
}

TEST(LeaseNotes, NothingPreemptsAndNoIntervalCounts) {
  EXPECT_THAT(said_of("  priority 255\n  nopreempt\n"), HasSubstr("nopreempt holds for every"));
  EXPECT_THAT(said_of("  priority 250\n  advert_int 0.3\n"), HasSubstr("interval is not used"));
}

TEST(LeaseNotes, OtherFindingsStay) {
  EXPECT_THAT(said_of("  priority 250\n  smtp_alert\n"), HasSubstr("'smtp_alert' is not used"));
}

}  // namespace
}  // namespace nines

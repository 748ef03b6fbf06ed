// HAProxy's command line, as kolla, Octavia and systemd units write it.
#include "proxy/command_line.h"

#include <vector>

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

Result<CommandLine> parse(std::vector<std::string_view> arguments) {
  return parse_command_line(arguments);
}

TEST(CommandLine, KollasMasterWorkerInTheForeground) {
  const auto line = parse({"-W", "-db", "-p", "/run/h.pid", "-f", "/etc/h.cfg", "-f", "/etc/h.d/"});
  ASSERT_TRUE(line.has_value());
  EXPECT_TRUE(line->options.master_worker);
  EXPECT_TRUE(line->options.foreground);
  EXPECT_EQ(line->options.pid_file, "/run/h.pid");
  EXPECT_EQ(line->options.config_paths, (std::vector<std::string>{"/etc/h.cfg", "/etc/h.d/"}));
}

TEST(CommandLine, PredecessorsAreAllTheNumbersThatFollow) {
  const auto line = parse({"-f", "a", "-sf", "12", "345", "-D"});
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(line->options.finish_pids, (std::vector<int>{12, 345}));
  EXPECT_TRUE(line->options.daemon);
}

TEST(CommandLine, NoPredecessorIsFine) { EXPECT_TRUE(parse({"-f", "a", "-sf"}).has_value()); }

TEST(CommandLine, FilesMayFollowADoubleDash) {
  const auto line = parse({"-c", "--", "a.cfg", "b.cfg"});
  ASSERT_TRUE(line.has_value());
  EXPECT_TRUE(line->options.check_only);
  EXPECT_EQ(line->options.config_paths.size(), 2u);
}

TEST(CommandLine, MistakesAreNamed) {
  EXPECT_NE(parse({"-f"}).error().message().find("'-f' needs a value"), std::string::npos);
  EXPECT_NE(parse({"-f", "a", "-z"}).error().message().find("'-z'"), std::string::npos);
  EXPECT_NE(parse({"-f", "a", "-n", "x"}).error().message().find("'x'"), std::string::npos);
  EXPECT_NE(parse({}).error().message().find("-f"), std::string::npos);
}

TEST(CommandLine, StayingInTheForegroundWinsOverGoingAway) {
  EXPECT_FALSE(parse({"-D", "-db", "-f", "a"})->options.daemon);
}

TEST(CommandLine, VersionsAndConditionsNeedNoConfiguration) {
  EXPECT_EQ(parse({"-v"})->action, CommandLine::Action::kVersion);
  EXPECT_TRUE(parse({"-vv"})->verbose_version);
  EXPECT_EQ(parse({"-cc", "defined(X)"})->condition, "defined(X)");
}

}  // namespace
}  // namespace nines::proxy

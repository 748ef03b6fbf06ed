// keepalived's command line as unit files, images and agents write it.
#include "vrrp/command_line.h"

#include <gtest/gtest.h>

namespace nines::vrrp {
namespace {

Result<CommandLine> parse(std::vector<std::string_view> arguments) {
  return parse_command_line(arguments);
}

TEST(VrrpCommandLine, AContainersLineOfShortFlagsRunTogether) {
  const auto line = parse({"-nldD", "-p", "/run/k.pid", "-f/etc/k.conf"});
  ASSERT_TRUE(line) << line.error().message();
  EXPECT_EQ(line->action, CommandLine::Action::kRun);
  EXPECT_TRUE(line->foreground && line->log_console && line->dump && line->log_detail);
  EXPECT_EQ(line->pid_path, "/run/k.pid");
  EXPECT_EQ(line->config_path, "/etc/k.conf");
  EXPECT_EQ(line->vrrp_pid_path, "");
}

TEST(VrrpCommandLine, AnAgentsLineWithPidFiles) {
  const auto line = parse({"-P", "-f", "/var/lib/ha/keepalived.conf", "-p", "a", "-r", "b", "-D"});
  ASSERT_TRUE(line) << line.error().message();
  EXPECT_EQ(line->config_path, "/var/lib/ha/keepalived.conf");
  EXPECT_EQ(line->pid_path, "a");
  EXPECT_EQ(line->vrrp_pid_path, "b");
}

TEST(VrrpCommandLine, TheTestTakesALogOnlyWhenItIsAttached) {
  EXPECT_EQ(parse({"-t", "-f", "x"})->test_log, "");
  EXPECT_EQ(parse({"-t", "-f", "x"})->action, CommandLine::Action::kTest);
  EXPECT_EQ(parse({"--config-test=log", "--use-file=x"})->test_log, "log");
  EXPECT_EQ(parse({"--use-file", "x"})->config_path, "x");
  EXPECT_EQ(parse({"-tlog"})->test_log, "log");
}

TEST(VrrpCommandLine, WhatIsUnknownIncompleteOrNotOfferedIsRefused) {
  EXPECT_EQ(parse({"--bogus"}).error().message(), "unknown option '--bogus'");
  EXPECT_EQ(parse({"-nQ"}).error().message(), "unknown option '-Q'");
  EXPECT_EQ(parse({"-f"}).error().message(), "'-f' wants a value");
  EXPECT_EQ(parse({"--pid"}).error().message(), "'--pid' wants a value");
  EXPECT_EQ(parse({"-u", "9"}).error().message(), "'9' is no umask");
  EXPECT_EQ(parse({"-C"}).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(parse({"-V"}).error().code(), ErrorCode::kUnsupported);
  EXPECT_EQ(parse({"-s", "x"}).error().code(), ErrorCode::kUnsupported);
  EXPECT_FALSE(parse({"file"}));
  EXPECT_FALSE(parse({"-n=1"}));
}

TEST(VrrpCommandLine, WhatChangesNothingIsKeptToBeToldOnce) {
  const auto line = parse({"-x", "-c", "pid", "--snmp"});
  ASSERT_TRUE(line);
  EXPECT_EQ(line->ignored, (std::vector<std::string>{"-x", "-c", "--snmp"}));
}

TEST(VrrpCommandLine, SignalsHaveKeepalivedsNumbers) {
  EXPECT_EQ(signal_number("STOP"), 15);
  EXPECT_EQ(signal_number("RELOAD"), 1);
  EXPECT_EQ(signal_number("STATS_CLEAR"), 63);
  EXPECT_EQ(signal_number("JSON"), 36);
  EXPECT_EQ(signal_number("BOGUS"), 0);
}

}  // namespace
}  // namespace nines::vrrp

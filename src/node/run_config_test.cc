// nines.yaml, good and bad: what is meant, and what is said about what is not.
#include "node/run_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

LoadedRunConfig load(std::string_view text) {
  return load_run_config(text::SourceFile("/etc/nines/nines.yaml", std::string(text)));
}

std::string complaints(std::string_view text) {
  const text::SourceFile file("/etc/nines/nines.yaml", std::string(text));
  const LoadedRunConfig loaded = load_run_config(file);
  EXPECT_FALSE(loaded.ok());
  return text::render_text(loaded.diagnostics, std::span(&file, 1));
}

TEST(RunConfigTest, ItMayJustNameTheTwoFiles) {
  const auto loaded = load("haproxy: /etc/haproxy/haproxy.cfg\nkeepalived: keepalived.conf\n");
  ASSERT_TRUE(loaded.ok());
  EXPECT_THAT(loaded.config.haproxy, ElementsAre("/etc/haproxy/haproxy.cfg"));
  EXPECT_EQ(loaded.config.keepalived, "/etc/nines/keepalived.conf");
  EXPECT_EQ(loaded.config.control, "/run/nines/control.sock");
  EXPECT_EQ(loaded.config.drain, 3s);
}

TEST(RunConfigTest, EverythingThatCanBeSaid) {
  const auto loaded = load(
      "# one host\n"
      "haproxy:\n  - /etc/haproxy/haproxy.cfg\n  - conf.d\n"
      "control: /run/other.sock\n"
      "stop: {drain: 500ms}\n");
  ASSERT_TRUE(loaded.ok());
  EXPECT_THAT(loaded.config.haproxy, ElementsAre("/etc/haproxy/haproxy.cfg", "/etc/nines/conf.d"));
  EXPECT_EQ(loaded.config.keepalived, "");
  EXPECT_EQ(loaded.config.control, "/run/other.sock");
  EXPECT_EQ(loaded.config.drain, 500ms);
}

TEST(RunConfigTest, AnUnknownKeyIsAnErrorAtItsPlace) {
  const std::string said = complaints("haproxy: a.cfg\nkeepalivd: b.conf\n");
  EXPECT_THAT(said, HasSubstr("/etc/nines/nines.yaml:2:1: error: unknown key"));
  EXPECT_THAT(said, HasSubstr("did you mean 'keepalived'?"));
}

TEST(RunConfigTest, ARepeatedKeyIsAnError) {
  const std::string said = complaints("haproxy: a.cfg\nhaproxy: b.cfg\n");
  EXPECT_THAT(said, HasSubstr("/etc/nines/nines.yaml:2:"));
  EXPECT_THAT(said, HasSubstr("duplicate"));
}

TEST(RunConfigTest, AllMistakesAreToldInOnePass) {
  const std::string said = complaints("haproxy: {}\nstop:\n  drain: soon\n  drian: 1s\n");
  EXPECT_THAT(said, HasSubstr("a path is expected"));
  EXPECT_THAT(said, HasSubstr(":3:10: error: no such duration"));
  EXPECT_THAT(said, HasSubstr("did you mean 'drain'?"));
}

TEST(RunConfigTest, WhatIsNoYamlIsToldWithItsPlace) {
  EXPECT_THAT(complaints("haproxy: [a.cfg\nkeepalived: b\n"), HasSubstr("/etc/nines/nines.yaml:"));
  EXPECT_THAT(complaints("\t- x: {\n"), HasSubstr("error: "));
}

TEST(RunConfigTest, NothingToRunIsAnError) {
  EXPECT_THAT(complaints(""), HasSubstr("nothing is configured"));
  EXPECT_THAT(complaints("# only a comment\n"), HasSubstr("nothing is configured"));
  EXPECT_THAT(complaints("stop: {drain: 1s}\n"), HasSubstr("nothing to run"));
  EXPECT_THAT(complaints("just a word\n"), HasSubstr("is a mapping"));
  EXPECT_THAT(complaints("haproxy: []\n"), HasSubstr("empty list"));
}

TEST(RunConfigTest, ADrainHasItsBounds) {
  EXPECT_THAT(complaints("haproxy: a\nstop: {drain: 11m}\n"), HasSubstr("0s to 10m"));
  EXPECT_TRUE(load("haproxy: a\nstop: {drain: 0s}\n").ok());
}

}  // namespace
}  // namespace nines::node

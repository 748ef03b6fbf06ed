// The files as Galera leaves them, and as power cuts do.
#include "galera/state_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::galera {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kHistory = "1b0ce6c6-c6b1-11f0-9b0e-9e2fd2c5a3f1";
constexpr std::string_view kNode1 = "2f3fd3a1-c6b1-11f0-8a7f-0f1f6f0a3c01";
constexpr std::string_view kNode2 = "3a11d3a1-c6b1-11f0-8a7f-0f1f6f0a3c02";

std::string grastate_text(std::string_view seqno, std::string_view safe) {
  return "# GALERA saved state\nversion: 2.1\nuuid:    " + std::string(kHistory) +
         "\nseqno:   " + std::string(seqno) + "\nsafe_to_bootstrap: " + std::string(safe) + "\n";
}

std::string gvwstate_text(std::string_view self) {
  return "my_uuid: " + std::string(self) + "\n#vwbeg\nview_id: 3 " + std::string(kNode1) +
         " 4\nbootstrap: 0\nmember: " + std::string(kNode2) + " 0\nmember: " + std::string(kNode1) +
         " 0\n#vwend\n";
}

TEST(StateFilesTest, AGrastateOfARunningAndOfAStoppedServer) {
  const auto running = parse_grastate(grastate_text("-1", "0"));
  ASSERT_TRUE(running.has_value());
  EXPECT_EQ(running->position.uuid, kHistory);
  EXPECT_FALSE(running->position.is_known());
  const auto stopped = parse_grastate(grastate_text("1278", "1"));
  ASSERT_TRUE(stopped.has_value());
  EXPECT_EQ(stopped->position.text(), std::string(kHistory) + ":1278");
  EXPECT_TRUE(stopped->safe_to_bootstrap);
  EXPECT_EQ(render_grastate(*stopped), grastate_text("1278", "1"));
}

TEST(StateFilesTest, ADamagedGrastateIsSaidWithItsLine) {
  EXPECT_THAT(parse_grastate("").error().message(), HasSubstr("no uuid"));
  EXPECT_THAT(parse_grastate(std::string(512, '\0')).error().message(),
              HasSubstr("grastate.dat:1: no 'key: value'"));
  EXPECT_THAT(parse_grastate("version: 2.1\nuuid: 1b0c").error().message(),
              HasSubstr("grastate.dat:2: no uuid"));
  EXPECT_THAT(parse_grastate(grastate_text("12x", "0")).error().message(), HasSubstr(":4: "));
  EXPECT_THAT(parse_grastate(grastate_text("-2", "0")).error().message(), HasSubstr(":4: "));
  EXPECT_THAT(parse_grastate(grastate_text("1", "yes")).error().message(), HasSubstr(":5: "));
  EXPECT_THAT(parse_grastate("version: 9\n").error().message(), HasSubstr("unknown version"));
}

TEST(StateFilesTest, AViewWithItsMembersSorted) {
  const auto view = parse_gvwstate(gvwstate_text(kNode1));
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->self, kNode1);
  EXPECT_EQ(view->view, "3 " + std::string(kNode1) + " 4");
  EXPECT_THAT(view->members, ElementsAre(kNode1, kNode2));
}

TEST(StateFilesTest, ADamagedViewIsNone) {
  const std::string whole = gvwstate_text(kNode1);
  for (std::size_t size = 0; size + 2 < whole.size(); ++size) {
    EXPECT_FALSE(parse_gvwstate(whole.substr(0, size)).has_value()) << size;
  }
  EXPECT_THAT(parse_gvwstate(gvwstate_text(kHistory)).error().message(),
              HasSubstr("no member of its view"));
  EXPECT_FALSE(parse_gvwstate(std::string(kStateFileMax + 1, '\n')).has_value());
}

TEST(StateFilesTest, APositionInAServersOutput) {
  const std::string said = "2026-11-21  8:00:00 0 [Note] WSREP: Recovered position: ";
  const auto found =
      parse_recovered("mariadbd ...\n" + said + std::string(kHistory) + ":42\nbye\n");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->seqno, 42);
  EXPECT_EQ(parse_recovered(said + std::string(kHistory) + ":7,0-1-9\n")->seqno, 7);
  EXPECT_FALSE(parse_recovered(said + std::string(kUuidUndefined) + ":-1\n")->is_known());
  EXPECT_THAT(parse_recovered("[ERROR] InnoDB: corrupt\n").error().message(),
              HasSubstr("InnoDB: corrupt"));
  EXPECT_FALSE(parse_recovered(said + "nowhere").has_value());
}

TEST(StateFilesTest, WhatTheStorageEngineComplainsOfIsKept) {
  EXPECT_EQ(engine_complaint("[Note] InnoDB: fine\n"), "");
  EXPECT_EQ(engine_complaint("x [ERROR] InnoDB: a page is in the future\n[ERROR] InnoDB: more\n"),
            "InnoDB: a page is in the future");
}

}  // namespace
}  // namespace nines::galera

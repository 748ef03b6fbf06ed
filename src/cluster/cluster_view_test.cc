// The view of a node that hears one peer well, one one way, one on no network, and one not yet: as
// JSON and in words, against what is kept in testdata/.
#include "cluster/cluster_view.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include <gtest/gtest.h>

namespace nines::cluster {
namespace {

// NINES_ACCEPT=1 keeps what there is now.
void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = std::string(NINES_TESTDATA) + "/" + name;
  if (std::getenv("NINES_ACCEPT") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  EXPECT_EQ(text, std::string(std::istreambuf_iterator<char>(file), {})) << path;
}

LinkStatus sound() {
  LinkStatus link;
  link.ever_heard = link.hears = link.is_heard = true;
  link.round_trip = 240us;
  link.jitter = 130us;
  link.loss = 0.004;
  link.silence = 7ms;
  link.silence_allowed = 61ms;
  return link;
}

ClusterView view() {
  ClusterView view;
  view.self = 1;
  view.networks = 2;
  view.now = Instant{60'000'000'000};
  view.incarnation = 0xabc;
  view.strain = 2;
  for (NodeId id = 1; id <= 5; ++id) {
    const std::string host = std::to_string(40 + id) + ":7402";
    view.nodes.push_back(
        {id, "node0" + std::to_string(id), {"192.0.2." + host, "198.51.100." + host}});
  }
  view.nodes[2].witness = true;
  view.leases.voting = true;
  view.leases.generation = {.number = 3, .voters = {1, 2, 3}, .previous = {}, .floor = 0};
  PeerStatus member;
  member.node = 2;
  member.incarnation = 0xfeed;
  member.presence = Presence::kMember;
  member.since = view.now - 12s;
  member.standing = Standing::kMaintenance;
  member.observers = {1, 3};
  member.links = {sound(), sound()};
  PeerStatus suspect = member;
  suspect.node = 3;
  suspect.standing = Standing::kServing;
  suspect.presence = Presence::kSuspect;
  suspect.since = view.now - 300ms;
  suspect.suspected_by = {1};
  suspect.observers = {1, 2};
  suspect.links[0].is_heard = false;
  suspect.links[1].hears = suspect.links[1].is_heard = false;
  suspect.links[1].silence = 365ms;
  suspect.links[1].loss = 0.05;
  PeerStatus gone = suspect;
  gone.node = 4;
  gone.presence = Presence::kGone;
  gone.since = view.now - 95s;
  gone.suspected_by = gone.observers = {1, 2, 3};
  gone.links[0].hears = false;
  gone.links[0].silence = 95s;
  PeerStatus unknown;
  unknown.node = 5;
  unknown.observers = {1, 2, 3};
  view.peers = {member, suspect, gone, unknown};
  view.names = {{"internal", true, {2, 4355, 96ms}},
                {"external", true, {1, 4611, 71ms}},
                {"storage", false, {}}};
  return view;
}

TEST(ClusterView, IsSaidInJsonAndInWords) {
  const std::string json = render_cluster_json(view());
  expect_golden("view.json", json + "\n");
  expect_golden("view.txt", render_cluster_text(json));
}

TEST(ClusterView, ANodeThatHearsNobodySaysThatOfItself) {
  ClusterView alone = view();
  alone.isolated = true;
  alone.leases.voting = false;
  const std::string words = render_cluster_text(render_cluster_json(alone));
  EXPECT_NE(words.find("THIS NODE HEARS NOBODY"), std::string::npos);
  EXPECT_NE(words.find("node01: isolated (this node)"), std::string::npos);
  EXPECT_NE(words.find("this node does not vote"), std::string::npos);
}

TEST(ClusterView, WhatIsNoViewIsSaidToBeNone) {
  EXPECT_EQ(render_cluster_text("nonsense"),
            "  cluster: the owner gave no answer that can be read\n");
  EXPECT_EQ(render_cluster_text(R"({"error": "the owner died"})"), "  cluster: the owner died\n");
  // Of another version, with other types: nothing is taken for what it is not.
  EXPECT_EQ(render_cluster_text(R"({"voters": {"generation": "x"}, "nodes": 7, "leases": [1]})"),
            "  cluster: voters of generation 0 are nobody; this node does not vote\n"
            "    lease : held by nobody, not wanted here\n");
}

}  // namespace
}  // namespace nines::cluster

// nines.yaml, good and bad: what is meant, and what is said about what is not.
#include "node/run_config.h"

#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace nines::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

LoadedRunConfig load(std::string_view text) {
  return load_run_config(text::SourceFile("/etc/nines/nines.yaml", std::string(text)),
                         "node02.example.org");
}

std::string complaints(std::string_view text) {
  const text::SourceFile file("/etc/nines/nines.yaml", std::string(text));
  const LoadedRunConfig loaded = load_run_config(file, "node02.example.org");
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

// -- the cluster ----------------------------------------------------------------------------------

const std::string kHead = "haproxy: a.cfg\ncluster:\n";
const std::string kKey = "  key: cluster.key\n";
const std::string kThree =
    "  nodes:\n"
    "    node01: {id: 1, addresses: [192.0.2.41]}\n"
    "    node02: {id: 2, addresses: [192.0.2.42]}\n"
    "    node03: {id: 3, addresses: [192.0.2.43]}\n";

TEST(RunConfigClusterTest, KeyAndNodesSuffice) {
  const auto loaded = load(kHead + kKey + kThree);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.diagnostics.warnings(), 0u);
  const ClusterConfig& cluster = *loaded.config.cluster;
  EXPECT_EQ(cluster.key, "/etc/nines/cluster.key");
  EXPECT_EQ(cluster.state, "/var/lib/nines");
  EXPECT_EQ(cluster.term, 120ms);
  EXPECT_EQ(cluster.self, 2);  // by the host's name
  ASSERT_EQ(cluster.nodes.size(), 3u);
  EXPECT_EQ(cluster.nodes[0].name, "node01");
  EXPECT_EQ(cluster.nodes[0].addresses[0].text(), "192.0.2.41:7402");
  EXPECT_FALSE(load("haproxy: a.cfg\n").config.cluster.has_value());
}

TEST(RunConfigClusterTest, EverythingThatCanBeSaid) {
  const auto loaded = load(
      "haproxy: a.cfg\n"
      "cluster:\n"
      "  key: /root/key\n"
      "  state: /srv/nines\n"
      "  term: 1s\n"
      "  self: b\n"
      "  nodes:\n"
      "    c: {id: 63, addresses: [192.0.2.3, '[2001:db8::3]:7500']}\n"
      "    b:\n"
      "      id: 7\n"
      "      addresses:\n"
      "        - 192.0.2.2:7500\n"
      "        - 2001:db8::2\n");
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.diagnostics.warnings(), 1u);  // two nodes
  const ClusterConfig& cluster = *loaded.config.cluster;
  EXPECT_EQ(cluster.key, "/root/key");
  EXPECT_EQ(cluster.state, "/srv/nines");
  EXPECT_EQ(cluster.term, 1s);
  EXPECT_EQ(cluster.self, 7);
  ASSERT_EQ(cluster.nodes.size(), 2u);
  EXPECT_EQ(cluster.nodes[0].name, "b");  // by id
  EXPECT_EQ(cluster.nodes[0].addresses[0].text(), "192.0.2.2:7500");
  EXPECT_EQ(cluster.nodes[0].addresses[1].text(), "[2001:db8::2]:7402");
  EXPECT_EQ(cluster.nodes[1].addresses[1].text(), "[2001:db8::3]:7500");
}

TEST(RunConfigClusterTest, ANodeMayBeNamedByItsWholeHostName) {
  const auto loaded = load(kHead + kKey +
                           "  nodes:\n"
                           "    node02: {id: 1, addresses: 192.0.2.41}\n"
                           "    node02.example.org: {id: 2, addresses: 192.0.2.42}\n"
                           "    node03: {id: 3, addresses: 192.0.2.43}\n");
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.config.cluster->self, 2);
}

TEST(RunConfigClusterTest, WhatIsMissingIsSaid) {
  const std::string said = complaints(kHead + "  term: 120ms\n");
  EXPECT_THAT(said, HasSubstr("the cluster has no key"));
  EXPECT_THAT(said, HasSubstr("nines cluster keygen"));
  EXPECT_THAT(said, HasSubstr("the cluster has no nodes"));
  EXPECT_THAT(complaints("haproxy: a\ncluster:\n"), HasSubstr("'cluster' is a mapping"));
  EXPECT_THAT(complaints(kHead + kKey + "  nodes: {}\n"), HasSubstr("'nodes' is empty"));
  EXPECT_THAT(complaints(kHead + kKey + "  nodes: [a]\n"), HasSubstr("'nodes' is a mapping"));
  const std::string bare = complaints(kHead + kKey + "  nodes:\n    node02: {}\n");
  EXPECT_THAT(bare, HasSubstr(":5:5: error: the node has no id"));
  EXPECT_THAT(bare, HasSubstr(":5:5: error: the node has no addresses"));
  EXPECT_THAT(complaints(kHead + kKey + "  nodes:\n    node02: 7\n"),
              HasSubstr("a node is a mapping"));
}

TEST(RunConfigClusterTest, EachMistakeIsToldAtItsPlace) {
  const auto nodes = [](std::string_view lines) {
    return complaints(kHead + kKey + "  nodes:\n    node02: {id: 2, addresses: [192.0.2.42]}\n" +
                      std::string(lines));
  };
  EXPECT_THAT(nodes("    b: {id: 2, addresses: [192.0.2.43]}\n"),
              HasSubstr(":6:13: error: node 'node02' has this id already"));
  EXPECT_THAT(nodes("    b: {id: 64, addresses: [192.0.2.43]}\n"), HasSubstr("1 to 63"));
  EXPECT_THAT(nodes("    b: {id: two, addresses: [192.0.2.43]}\n"), HasSubstr("no id of a node"));
  EXPECT_THAT(nodes("    b: {id: 3, addresses: [192.0.2.42]}\n"),
              HasSubstr(":6:28: error: node 'node02' has this address already"));
  EXPECT_THAT(nodes("    b: {id: 3, addresses: [192.0.2.43, 192.0.2.43]}\n"),
              HasSubstr("node 'b' has this address already"));
  EXPECT_THAT(nodes("    b: {id: 3, addresses: [192.0.2.43, 192.0.3.43]}\n"),
              HasSubstr("node 'b' is on 2 networks, but 'node02' on 1 network"));
  EXPECT_THAT(nodes("    b: {id: 3, addresses: []}\n"), HasSubstr("0 addresses"));
  EXPECT_THAT(nodes("    b: {id: 3, addresses: [2001:db8::1]}\n"),
              HasSubstr("IPv4 and IPv6 on one network"));
  for (const char* const bad : {"host", "192.0.2.43:0", "0.0.0.0", "/run/socket", "192.0.2.430"}) {
    EXPECT_THAT(nodes("    b: {id: 3, addresses: [" + std::string(bad) + "]}\n"),
                HasSubstr(":6:28: error: no address of a node"))
        << bad;
  }
  EXPECT_THAT(nodes("    b: {id: 3, adresses: [192.0.2.43]}\n"),
              HasSubstr("did you mean 'addresses'?"));
  EXPECT_THAT(nodes("    b c: {id: 3, addresses: [192.0.2.43]}\n"),
              HasSubstr("no name for a node"));
  EXPECT_THAT(nodes("    node02: {id: 3, addresses: [192.0.2.43]}\n"), HasSubstr("duplicate"));
  std::string many;
  for (int i = 3; i < 3 + static_cast<int>(kClusterNodesMax); ++i) {
    many += "    n" + std::to_string(i) + ": {id: " + std::to_string(i) + ", addresses: [192.0.2." +
            std::to_string(100 + i) + "]}\n";
  }
  EXPECT_THAT(nodes(many), HasSubstr("too many nodes"));
}

TEST(RunConfigClusterTest, ThisNodeMustBeOneOfThem) {
  EXPECT_THAT(complaints(kHead + kKey + kThree + "  self: node2\n"),
              HasSubstr("'self' is none of the nodes"));
  EXPECT_THAT(complaints(kHead + kKey + kThree + "  self: node2\n"),
              HasSubstr("did you mean 'node02'?"));
  const text::SourceFile file("/etc/nines/nines.yaml", kHead + kKey + kThree);
  const LoadedRunConfig elsewhere = load_run_config(file, "builder");
  ASSERT_FALSE(elsewhere.ok());
  const std::string said = text::render_text(elsewhere.diagnostics, std::span(&file, 1));
  EXPECT_THAT(said, HasSubstr("this host's name is none of the nodes"));
  EXPECT_THAT(said, HasSubstr("node01, node02, node03"));
}

TEST(RunConfigClusterTest, AListenerIsNoneOfTheNodesAndOwnsNothing) {
  const std::string cluster = "cluster:\n" + kKey + kThree;
  const text::SourceFile file("/etc/nines/nines.yaml", cluster + "  listener: comp01\n");
  const LoadedRunConfig loaded = load_run_config(file, "comp01.example.org");
  ASSERT_TRUE(loaded.ok()) << "nothing else has to run there";
  EXPECT_EQ(loaded.config.cluster->listener, "comp01");
  EXPECT_EQ(loaded.config.cluster->self, 0);
  EXPECT_THAT(complaints("keepalived: k.conf\n" + cluster + "  listener: comp01\n"),
              HasSubstr("a listener holds no addresses"));
  EXPECT_THAT(complaints(cluster + "  listener: comp01\n  self: node01\n"),
              HasSubstr("a listener is none of the nodes"));
  EXPECT_THAT(complaints(cluster + "  listener: node01\n"),
              HasSubstr("a node of the cluster, which needs no listener"));
  EXPECT_THAT(complaints(cluster + "  listener: comp 01\n"), HasSubstr("no name for a listener"));
  EXPECT_THAT(complaints(cluster + "  listener: comp01\n  dead_peers: {silence: 2s}\n"),
              HasSubstr("the nodes' business"));
}

TEST(RunConfigClusterTest, ThePortOfListenersIsAPort) {
  const auto cluster = [](const std::string& port, const std::string& more) {
    return "cluster:\n  key: k\n" + more +
           "  nodes:\n"
           "    node01: {id: 1, addresses: ['192.0.2.41:" +
           port +
           "']}\n"
           "    node02: {id: 2, addresses: [192.0.2.42]}\n"
           "    node03: {id: 3, addresses: [192.0.2.43]}\n";
  };
  const auto ok = [](const std::string& text, std::string_view host) {
    const text::SourceFile file("/etc/nines/nines.yaml", "haproxy: a.cfg\n" + text);
    return load_run_config(file, host).ok();
  };
  const std::string told = "  dead_peers: {listeners: true}\n";
  const std::string complaint = complaints(cluster("65535", told));
  EXPECT_THAT(complaint, HasSubstr("nines.yaml:5:34: error: no port is left after this one for "
                                   "listeners"));
  EXPECT_THAT(complaint, HasSubstr("192.0.2.41:65535"));
  EXPECT_THAT(complaint, HasSubstr("a port of 1 to 65534"));
  EXPECT_THAT(complaints(cluster("65535", "  listener: comp01\n")),
              HasSubstr("no port is left after this one for listeners"));
  EXPECT_TRUE(ok(cluster("65534", told), "node01"));
  EXPECT_TRUE(ok(cluster("65535", ""), "node01")) << "nobody is told";
}

TEST(RunConfigClusterTest, ATermHasItsBounds) {
  EXPECT_THAT(complaints(kHead + kKey + kThree + "  term: 49ms\n"), HasSubstr("50ms to 10s"));
  EXPECT_THAT(complaints(kHead + kKey + kThree + "  term: 11s\n"), HasSubstr("50ms to 10s"));
  EXPECT_TRUE(load(kHead + kKey + kThree + "  term: 50ms\n").ok());
}

TEST(RunConfigClusterTest, AdvertsAreSentOnlyWhereTheyAreAskedFor) {
  EXPECT_FALSE(load(kHead + kKey + kThree).config.cluster->advertise);
  EXPECT_TRUE(load(kHead + kKey + kThree + "  advertise: true\n").config.cluster->advertise);
  EXPECT_THAT(complaints(kHead + kKey + kThree + "  advertise: 1s\n"), HasSubstr("true"));
}

TEST(RunConfigClusterTest, SessionsAreToldUnlessOneLineSaysOtherwise) {
  EXPECT_TRUE(load(kHead + kKey + kThree).config.cluster->tell_sessions);
  EXPECT_FALSE(
      load(kHead + kKey + kThree + "  tell_sessions: false\n").config.cluster->tell_sessions);
  EXPECT_THAT(complaints(kHead + kKey + kThree + "  tell_sessions: off\n"), HasSubstr("true"));
}

TEST(RunConfigTest, AWitnessVotesAndHoldsNothing) {
  const std::string nodes =
      "  nodes:\n"
      "    a: {id: 1, addresses: 192.0.2.1}\n"
      "    b: {id: 2, addresses: 192.0.2.2}\n"
      "    c: {id: 3, addresses: 192.0.2.3, witness: true}\n";
  const auto loaded = load("cluster:\n" + kKey + nodes + "  self: c\n");
  EXPECT_TRUE(loaded.ok()) << "nothing else has to run there";
  EXPECT_TRUE(loaded.config.cluster->is_witness());
  EXPECT_TRUE(loaded.config.cluster->nodes[2].witness);
  EXPECT_FALSE(loaded.config.cluster->nodes[0].witness);
  EXPECT_THAT(complaints("keepalived: k.conf\ncluster:\n" + kKey + nodes + "  self: c\n"),
              HasSubstr("a witness holds no addresses"));
  EXPECT_THAT(complaints("cluster:\n" + kKey + nodes + "  self: a\n"), HasSubstr("nothing to run"));
  EXPECT_THAT(complaints("haproxy: a\ncluster:\n" + kKey +
                         "  nodes:\n    a: {id: 1, addresses: 192.0.2.1, witness: maybe}\n"
                         "  self: a\n"),
              HasSubstr("true, false"));
  EXPECT_THAT(complaints("haproxy: a\ncluster:\n" + kKey +
                         "  nodes:\n    a: {id: 1, addresses: 192.0.2.1, witness: true}\n"
                         "  self: a\n"),
              HasSubstr("all nodes are witnesses"));
}

TEST(RunConfigTest, TheExamplesAreGood) {
  for (const std::string name : {"controller", "compute"}) {
    std::ifstream file(NINES_SOURCE "/examples/" + name + "/nines.yaml");
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    ASSERT_FALSE(text.empty()) << name;
    EXPECT_TRUE(load(text).ok()) << name;
    EXPECT_EQ(load(text).config.cluster.has_value(), name == "compute");
  }
}

}  // namespace
}  // namespace nines::node

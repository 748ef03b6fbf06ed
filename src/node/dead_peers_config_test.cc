// The switch, the mapping, and every mistake that can be made in it.
#include "node/dead_peers_config.h"

#include <algorithm>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/run_config.h"

namespace nines::node {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

LoadedRunConfig load(const std::string& dead_peers) {
  const text::SourceFile file("/etc/nines/nines.yaml",
                              "haproxy: a.cfg\n"
                              "cluster:\n" +
                                  dead_peers +
                                  "  key: cluster.key\n"
                                  "  nodes:\n"
                                  "    node01: {id: 1, addresses: [192.0.2.41]}\n"
                                  "    node02: {id: 2, addresses: [192.0.2.42]}\n"
                                  "    node03: {id: 3, addresses: [192.0.2.43]}\n");
  return load_run_config(file, "node02");
}

DeadPeersConfig good(const std::string& dead_peers) {
  const LoadedRunConfig loaded = load(dead_peers);
  EXPECT_TRUE(loaded.ok()) << dead_peers;
  return loaded.config.cluster ? loaded.config.cluster->dead_peers : DeadPeersConfig{};
}

std::string complaints(const std::string& dead_peers) {
  const LoadedRunConfig loaded = load(dead_peers);
  EXPECT_FALSE(loaded.ok()) << dead_peers;
  std::string all;
  for (const text::Diagnostic& each : loaded.diagnostics.all()) {
    all += std::to_string(each.span.line) + ":" + std::to_string(each.span.column) + " " +
           each.message + " [" + each.found + "] " + each.allowed + " " + each.help + "\n";
  }
  return all;
}

TEST(DeadPeersConfig, OthersStandInForTheBroker) {
  EXPECT_THAT(good("").stand_in, ElementsAre(5672));
  EXPECT_THAT(good("  dead_peers: {stand_in: off}\n").stand_in, testing::IsEmpty());
  EXPECT_THAT(good("  dead_peers: {stand_in: []}\n").stand_in, testing::IsEmpty());
  EXPECT_THAT(good("  dead_peers: {stand_in: [5672, 5671]}\n").stand_in, ElementsAre(5671, 5672));
  EXPECT_THAT(good("  dead_peers: {more_ports: [9000], stand_in: [9000]}\n").stand_in,
              ElementsAre(9000));
  EXPECT_THAT(good("  dead_peers: {ports: [3306]}\n").stand_in, testing::IsEmpty())
      << "the default gives way";
  EXPECT_THAT(complaints("  dead_peers: {ports: [3306], stand_in: [5672]}\n"),
              HasSubstr("nobody can stand in where a dead host is not dead [5672]"));
  EXPECT_THAT(complaints("  dead_peers: {stand_in: yes}\n"), HasSubstr("ports are a list [yes]"));
  EXPECT_THAT(complaints("  dead_peers: {stand_in: [80, 443, 2379, 3306, 4369, 5000, 5050, 5671, "
                         "5672]}\n"),
              HasSubstr("9 ports in 'stand_in'"));
}

TEST(DeadPeersConfig, IsOnWithWhatAControllerServes) {
  const DeadPeersConfig config = good("");
  EXPECT_TRUE(config.on);
  EXPECT_EQ(config.silence, 1s);
  EXPECT_EQ(config.hold_down, 1min);
  EXPECT_TRUE(std::is_sorted(config.ports.begin(), config.ports.end()));
  EXPECT_LE(config.ports.size(), kDeadPortsMax);
  for (const std::uint16_t never : {22, 4444, 4567, 4568, 2380, 7402}) {
    EXPECT_THAT(config.ports, testing::Not(testing::Contains(never)));
  }
  // From there on the kernel takes clients' ports.
  EXPECT_LT(config.ports.back(), 32768);
  EXPECT_EQ(good("  dead_peers: on\n"), config);
  EXPECT_EQ(good("  dead_peers: {}\n"), config);
}

TEST(DeadPeersConfig, OneLineTurnsItOff) {
  EXPECT_FALSE(good("  dead_peers: off\n").on);
  EXPECT_EQ(complaints("  dead_peers: never\n"),
            "3:15 'dead_peers' is neither a switch nor a mapping [never] on, off, or silence, "
            "hold_down, ports, more_ports, stand_in, listeners, not_covered, addresses \n");
}

TEST(DeadPeersConfig, EverythingThatCanBeSaid) {
  const DeadPeersConfig config = good(
      "  dead_peers:\n"
      "    silence: 2500ms\n"
      "    hold_down: 0s\n"
      "    ports: [5672, 3306]\n"
      "    more_ports: [9000, 3306]\n"
      "    listeners: true\n"
      "    not_covered: [qrouter-*, web]\n"
      "    addresses:\n"
      "      node03: [10.1.0.43, '2001:db8::43']\n");
  EXPECT_EQ(config.silence, 2500ms);
  EXPECT_EQ(config.hold_down, 0s);
  EXPECT_THAT(config.ports, ElementsAre(3306, 5672, 9000));
  EXPECT_TRUE(config.listeners);
  EXPECT_TRUE(names_network(config.not_covered, "qrouter-1"));
  EXPECT_TRUE(names_network(config.not_covered, "web"));
  EXPECT_FALSE(names_network(config.not_covered, "web2"));
  EXPECT_FALSE(names_network({}, "web"));
  ASSERT_EQ(config.addresses.at("node03").size(), 2u);
  EXPECT_EQ(config.addresses.at("node03")[1].ip_text(), "2001:db8::43");
  EXPECT_EQ(good("  dead_peers: {more_ports: [9000]}\n").ports.size(),
            dead_ports_default().size() + 1);
}

TEST(DeadPeersConfig, EveryMistakeIsSaidWhereItIs) {
  EXPECT_THAT(complaints("  dead_peers: {silense: 1s}\n"), HasSubstr("did you mean 'silence'?"));
  EXPECT_THAT(complaints("  dead_peers: {silence: 499ms}\n"), HasSubstr("[499ms] 500ms to 1m"));
  EXPECT_THAT(complaints("  dead_peers: {silence: 61s}\n"), HasSubstr("500ms to 1m"));
  EXPECT_THAT(complaints("  dead_peers: {hold_down: 2h}\n"), HasSubstr("0s to 1h"));
  EXPECT_THAT(complaints("  dead_peers: {ports: 3306}\n"), HasSubstr("ports are a list"));
  EXPECT_THAT(complaints("  dead_peers: {ports: [3306, 22]}\n"),
              HasSubstr("3:30 SSH is the way in for whoever mends the host [22]"));
  EXPECT_THAT(complaints("  dead_peers: {more_ports: [7402]}\n"), HasSubstr("nines' own"));
  EXPECT_THAT(complaints("  dead_peers: {more_ports: [0, x, 65536]}\n"),
              HasSubstr("no port [65536] 1 to 65535"));
  EXPECT_THAT(complaints("  dead_peers: {listeners: 7403}\n"), HasSubstr("[7403] true, false"));
  EXPECT_THAT(complaints("  dead_peers: {not_covered: web}\n"), HasSubstr("networks are a list"));
  EXPECT_THAT(complaints("  dead_peers: {not_covered: ['q*r']}\n"),
              HasSubstr("no name of a network [q*r]"));
  EXPECT_THAT(complaints("  dead_peers: {addresses: [a]}\n"), HasSubstr("a mapping of nodes"));
  EXPECT_THAT(complaints("  dead_peers: {addresses: {node04: [10.1.0.4]}}\n"),
              HasSubstr("no node of the cluster [node04]"));
  EXPECT_THAT(complaints("  dead_peers: {addresses: {node01: 10.1.0.4}}\n"),
              HasSubstr("addresses are a list"));
  EXPECT_THAT(complaints("  dead_peers: {addresses: {node01: [0.0.0.0]}}\n"),
              HasSubstr("no address of a host"));
  EXPECT_THAT(complaints("  dead_peers: {addresses: {node01: [10.1.0.4], node02: [10.1.0.4]}}\n"),
              HasSubstr("this address was given before"));
  EXPECT_THAT(complaints("  dead_peers: {addresses: {node01: [10.1.0.1, 10.1.0.2, 10.1.0.3, "
                         "10.1.0.4, 10.1.0.5]}}\n"),
              HasSubstr("5 addresses of 'node01'"));
  std::string many = "  dead_peers: {more_ports: [";
  for (int port = 20000; port < 20064; ++port) many += std::to_string(port) + ", ";
  EXPECT_THAT(complaints(many + "20064]}\n"), HasSubstr("ports in 'dead_peers'"));
}

}  // namespace
}  // namespace nines::node

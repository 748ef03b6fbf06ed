// The lab's shape from wishes, and what is read from a configuration's shape.
#include "lab/lab_plan.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "lab/default_configuration.h"

namespace nines::lab {
namespace {

TEST(LabPlan, ThreeControllersWithAnEngineEachAndAClient) {
  const auto plan = plan_lab({.name = "lab", .self = "/opt/nines"});
  ASSERT_TRUE(plan.has_value());
  ASSERT_EQ(plan->hosts.size(), 4u);
  EXPECT_EQ(plan->hosts[0].name, "node01");
  EXPECT_EQ(plan->hosts[0].address, "100.2.30.41");
  EXPECT_EQ(plan->hosts[0].priority, 3);
  EXPECT_EQ(plan->hosts[2].priority, 1);
  EXPECT_EQ(plan->hosts[3].role, HostRole::kClient);
  for (const auto& host : plan->hosts) {
    EXPECT_FALSE(host.owns_virtual_address);
    EXPECT_EQ(plan->runs_engine(host), host.role == HostRole::kController);
  }
  EXPECT_EQ(plan->engine.programs.front().command.front(), "/opt/nines");
}

TEST(LabPlan, BothEnginesReadTheVerySameTexts) {
  std::vector<std::vector<HostFile>> files;
  for (const auto kind : {EngineKind::kNines, EngineKind::kIncumbent}) {
    const auto plan = plan_lab({.configuration = std::string(default_configuration()),
                                .engine = kind,
                                .priorities = {254, 253, 252},
                                .self = "/opt/nines"});
    ASSERT_TRUE(plan.has_value());
    files.push_back(engine_files(*plan, plan->hosts[1]));
  }
  ASSERT_EQ(files[0].size(), files[1].size());
  for (std::size_t i = 0; i < files[0].size(); ++i) {
    EXPECT_EQ(files[0][i].name, files[1][i].name);
    EXPECT_EQ(files[0][i].text, files[1][i].text);
  }
}

TEST(LabPlan, AClusterOfLeasesKnowsItsControllersAndTheirKey) {
  const auto plan =
      plan_lab({.engine = EngineKind::kLease, .cluster_key = "a key\n", .self = "/opt/nines"});
  const auto slow = plan_lab(
      {.engine = EngineKind::kLease, .cluster_key = "a key\n", .term = 1s, .self = "/opt/nines"});
  ASSERT_TRUE(slow.has_value());
  const auto knows_term = [](const LabPlan& each) {
    const std::vector<HostFile> files = engine_files(each, each.hosts[0]);
    return std::ranges::any_of(files, [](const HostFile& file) {
      return file.name == kEngineFile && file.text.find("\n  term: 1000ms\n") != std::string::npos;
    });
  };
  EXPECT_TRUE(knows_term(*slow));
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(
      plan->engine.programs.front().prepare,
      (std::vector<std::string>{"/opt/nines", "cluster", "init", "/run/nines-lab/nines.yaml"}));
  bool has_key = false;
  for (const HostFile& file : engine_files(*plan, plan->hosts[0])) {
    if (file.name == kKeyFile) {
      has_key = true;
      EXPECT_EQ(file.text, "a key\n");
      EXPECT_EQ(file.mode, 0600u);
    }
    if (file.name != kEngineFile) continue;
    EXPECT_NE(file.text.find("key: /run/nines-lab/cluster.key"), std::string::npos);
    EXPECT_NE(file.text.find("node03: {id: 3, addresses: [100.2.30.43]}"), std::string::npos);
    EXPECT_EQ(file.text.find("client"), std::string::npos);
  }
  EXPECT_TRUE(has_key);
  EXPECT_FALSE(knows_term(*plan));
}

TEST(LabPlan, ComputeHostsListenWhereTheControllersGiveVerdicts) {
  LabWishes wishes{.engine = EngineKind::kLease,
                   .services = ServiceSource::kOpenStack,
                   .cluster_key = "a key\n",
                   .listener_keys = {{"comp01", "one\n"}, {"comp02", "two\n"}},
                   .self = "/opt/nines"};
  const auto listeners = [&] {
    std::vector<RealService> found;
    const auto plan = plan_lab(wishes);
    for (const auto& each : plan->real) {
      if (each.name == kListenerService) found.push_back(each);
    }
    return found;
  };
  const auto found = listeners();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].host, "comp02");
  EXPECT_TRUE(found[1].needs_address);
  for (const RealFile& file : found[1].files) {
    EXPECT_EQ(file.mode, 0600u);
    if (file.name == kListenerKeyFile) {
      EXPECT_EQ(file.text, "two\n");
    }
    if (file.name != kEngineFile) continue;
    EXPECT_EQ(file.text,
              "cluster:\n  key: /run/nines-lab/listener.key\n  listener: comp02\n  nodes:\n"
              "    node01: {id: 1, addresses: [100.2.30.41]}\n"
              "    node02: {id: 2, addresses: [100.2.30.42]}\n"
              "    node03: {id: 3, addresses: [100.2.30.43]}\n");
  }
  const auto plan = plan_lab(wishes);
  for (const HostFile& file : engine_files(*plan, plan->hosts[0])) {
    if (file.name != kEngineFile) continue;
    EXPECT_NE(file.text.find("    listeners: true\n"), std::string::npos);
  }
  wishes.engine = EngineKind::kPassive;
  EXPECT_TRUE(listeners().empty()) << "where nobody gives any";
}

TEST(LabPlan, ABalancerAloneHasTheAddressForGoodWithItsOwnFlagsAndSignal) {
  const auto plan = plan_lab({.controllers = 2,
                              .engine = EngineKind::kBalancer,
                              .balancer = "/usr/sbin/haproxy",
                              .self = "/opt/nines"});
  ASSERT_TRUE(plan.has_value());
  EXPECT_TRUE(plan->hosts[0].owns_virtual_address);
  EXPECT_FALSE(plan->runs_engine(plan->hosts[1]));
  const auto& program = plan->engine.programs.front();
  EXPECT_EQ(program.command, (std::vector<std::string>{"/usr/sbin/haproxy", "-W", "-db", "-f",
                                                       "/run/nines-lab/haproxy.cfg"}));
  EXPECT_EQ(program.reload, EngineSignal::kUser2);
  EXPECT_EQ(engine_files(*plan, plan->hosts[0]).size(), 1u);
}

TEST(LabPlan, WishesThatCannotBeHadAreRefused) {
  for (const std::string name : {"", "-x", "A", "a/b", "..", "a b"}) {
    EXPECT_FALSE(check_lab_name(name).has_value()) << name;
  }
  EXPECT_FALSE(check_lab_name(std::string(kLabNameMax + 1, 'a')).has_value());
  for (const int count : {-1, 0, kControllersMax + 1}) {
    EXPECT_FALSE(plan_lab({.controllers = count}).has_value());
  }
}

TEST(LabPlan, EveryProxyOfTheExampleHasAStandInOnItsPort) {
  std::set<std::string> sections;
  for (const auto& bound : bound_addresses(default_configuration())) {
    sections.insert(bound.section);
    if (bound.address.port() == kStatisticsPort) continue;
    const auto* stand_in = find_stand_in(bound.section);
    ASSERT_NE(stand_in, nullptr) << bound.section;
    EXPECT_EQ(stand_in->proxy, bound.section);
    EXPECT_EQ(stand_in->port, bound.address.port());
    EXPECT_EQ(bound.address.ip_text(), kVirtualAddress);
  }
  EXPECT_EQ(sections.size(), stand_ins().size() + 1);
}

TEST(LabPlan, BoundAddressesAreReadFromListsAndOddSpacing) {
  const auto bound = bound_addresses(
      "frontend a\r\n\tbind 1.2.3.4:80,1.2.3.5:81 ssl\n#bind 9.9.9.9:9\nlisten  b\n bind *:82\n"
      "bind /run/x.sock\nbind 1.2.3.6:83");
  ASSERT_EQ(bound.size(), 3u);
  EXPECT_EQ(bound[0].section, "a");
  EXPECT_EQ(bound[1].address.text(), "1.2.3.5:81");
  EXPECT_EQ(bound[2].section, "b");
}

TEST(LabPlan, AccountIsAddedOnceWithAFreeId) {
  const std::string text = "root:x:0:0:root:/root:/bin/sh\nother:x:788:1::/:/bin/false";
  const std::string with = ensure_account(text, "haproxy", "7::/:/bin/false");
  EXPECT_EQ(with, text + "\nhaproxy:x:789:7::/:/bin/false\n");
  EXPECT_EQ(account_id(with, "haproxy"), 789);
  EXPECT_EQ(ensure_account(with, "haproxy", ""), with);
  EXPECT_EQ(account_id(with, "hapro"), std::nullopt);
}

}  // namespace
}  // namespace nines::lab

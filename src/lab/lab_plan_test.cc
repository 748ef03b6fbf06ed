// The lab's shape from wishes, and what is read from a configuration's shape.
#include "lab/lab_plan.h"

#include <set>
#include <string>

#include <gtest/gtest.h>

#include "lab/default_configuration.h"

namespace nines::lab {
namespace {

TEST(LabPlan, ThreeControllersAndAClientOfWhichTheFirstOwnsTheVirtualAddress) {
  const auto plan = plan_lab(
      {.name = "lab", .controllers = 3, .configuration = "", .balancer = "", .self = "/opt/nines"});
  ASSERT_TRUE(plan.has_value());
  ASSERT_EQ(plan->hosts.size(), 4u);
  EXPECT_EQ(plan->hosts[0].name, "node01");
  EXPECT_EQ(plan->hosts[0].address, "100.2.30.41");
  EXPECT_TRUE(plan->hosts[0].owns_virtual_address);
  EXPECT_FALSE(plan->hosts[1].owns_virtual_address);
  EXPECT_EQ(plan->hosts[3].role, HostRole::kClient);
  EXPECT_EQ(plan->balancer.front(), "/opt/nines");
  EXPECT_EQ(plan->reload_signal, "HUP");
}

TEST(LabPlan, AnIncumbentInOurPlaceGetsItsOwnFlagsAndSignal) {
  const auto plan = plan_lab({.name = "lab",
                              .controllers = 1,
                              .configuration = "",
                              .balancer = "/usr/sbin/haproxy",
                              .self = "/opt/nines"});
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->balancer, (std::vector<std::string>{"/usr/sbin/haproxy", "-W", "-db", "-f"}));
  EXPECT_EQ(plan->reload_signal, "USR2");
}

TEST(LabPlan, WishesThatCannotBeHadAreRefused) {
  for (const std::string name : {"", "-x", "A", "a/b", "..", "a b"}) {
    EXPECT_FALSE(check_lab_name(name).has_value()) << name;
  }
  EXPECT_FALSE(check_lab_name(std::string(kLabNameMax + 1, 'a')).has_value());
  for (const int count : {-1, 0, kControllersMax + 1}) {
    EXPECT_FALSE(
        plan_lab(
            {.name = "lab", .controllers = count, .configuration = "", .balancer = "", .self = ""})
            .has_value());
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

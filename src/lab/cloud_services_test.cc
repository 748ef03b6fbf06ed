// The plan of an OpenStack: whatever is waited for is there, everybody is told the same addresses,
// and nothing is asked of the balancer before it answers.
#include "lab/cloud_services.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <set>

#include <gtest/gtest.h>

#include "lab/lab_plan.h"

namespace nines::lab {
namespace {

LabPlan plan_for(int controllers) {
  const auto lab = plan_lab(
      {.controllers = controllers, .services = ServiceSource::kOpenStack, .self = "/nines"});
  EXPECT_TRUE(lab.has_value());
  return *lab;
}

const RealService& find(const LabPlan& lab, std::string_view host, std::string_view name) {
  const auto found = std::find_if(lab.real.begin(), lab.real.end(), [&](const auto& each) {
    return each.host == host && each.name == name;
  });
  EXPECT_NE(found, lab.real.end()) << host << ' ' << name;
  return *found;
}

std::string file(const RealService& service, std::string_view name) {
  for (const auto& each : service.files) {
    if (each.name == name) return each.text;
  }
  ADD_FAILURE() << service.name << " has no " << name;
  return "";
}

// What is started while `ready` is, as the keeper does it; with `behind` also what needs the
// address.
void start_all(const LabPlan& lab, bool behind, std::set<std::string>& ready) {
  bool progress = true;
  while (progress) {
    progress = false;
    for (const auto& each : lab.real) {
      if (each.needs_address && !behind) continue;
      if (!std::all_of(each.after.begin(), each.after.end(),
                       [&](const auto& before) { return ready.contains(before); })) {
        continue;
      }
      progress = ready.insert(each.host + ' ' + each.name).second || progress;
    }
  }
}

TEST(CloudServices, a_start_comes_to_an_end_and_what_needs_the_address_waits_for_it) {
  for (const int controllers : {1, 3}) {
    const LabPlan lab = plan_for(controllers);
    std::set<std::string> ready;
    start_all(lab, false, ready);
    // The seed, then MariaDB, RabbitMQ, memcached and keystone of each.
    EXPECT_EQ(ready.size(), static_cast<std::size_t>(1 + 4 * controllers));
    start_all(lab, true, ready);
    EXPECT_EQ(ready.size(), static_cast<std::size_t>(1 + 10 * controllers + kComputes));
    EXPECT_EQ(ready.size(), lab.real.size());
  }
}

TEST(CloudServices, the_lab_has_compute_hosts_that_run_no_engine) {
  const LabPlan lab = plan_for(3);
  std::vector<std::string> names;
  for (const auto& host : lab.hosts) {
    names.push_back(host.name);
    EXPECT_EQ(lab.runs_engine(host), host.name.starts_with("node")) << host.name;
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"node01", "node02", "node03", "comp01", "comp02", "client"}));
}

TEST(CloudServices, databases_are_reached_through_the_address_and_queues_by_their_nodes) {
  const LabPlan lab = plan_for(3);
  const std::string text = file(find(lab, "node02", "nova_api"), "nova_api/nova.conf");
  EXPECT_NE(text.find("@100.2.30.40:3306/nova\n"), std::string::npos);
  EXPECT_NE(text.find("@100.2.30.40:3306/nova_api\n"), std::string::npos);
  EXPECT_NE(text.find("rabbit://guest:guest@100.2.30.41:5672,guest:guest@100.2.30.42:5672,"
                      "guest:guest@100.2.30.43:5672//"),
            std::string::npos);
}

TEST(CloudServices, a_compute_host_does_not_know_the_database) {
  const std::string text =
      file(find(plan_for(3), "comp01", "nova_compute"), "nova_compute/nova.conf");
  EXPECT_NE(text.find("compute_driver = fake.FakeDriver\n"), std::string::npos);
  EXPECT_EQ(text.find("mysql"), std::string::npos);
}

TEST(CloudServices, each_compute_host_is_in_the_cell_from_the_beginning) {
  const std::string text = file(find(plan_for(3), "node01", "mariadb-setup"), "seed/contents.sql");
  for (const char* host : {"'comp01'", "'comp02'"}) {
    EXPECT_NE(text.find(host), std::string::npos) << host;
  }
  EXPECT_NE(text.find(std::string(kCloudImage)), std::string::npos);
}

TEST(CloudServices, databases_join_one_after_the_other) {
  const LabPlan lab = plan_for(3);
  const auto before = [&](std::string_view host) { return find(lab, host, "mariadb").after; };
  EXPECT_EQ(before("node01"), std::vector<std::string>{"node01 mariadb-setup"});
  EXPECT_EQ(before("node02"), std::vector<std::string>{"node01 mariadb"});
  EXPECT_EQ(before("node03"), std::vector<std::string>{"node02 mariadb"});
}

TEST(CloudServices, stand_ins_that_are_replaced_are_known_by_their_names_and_ports) {
  const LabPlan lab = plan_for(1);
  int replaced = 0;
  for (const auto& each : stand_ins()) {
    const auto name = real_service_for(each.service, ServiceSource::kOpenStack);
    if (name.empty()) continue;
    ++replaced;
    const auto& ports = find(lab, "node01", name).ports;
    EXPECT_NE(std::find(ports.begin(), ports.end(), each.port), ports.end()) << each.service;
  }
  EXPECT_EQ(replaced, 8);
  EXPECT_EQ(real_service_for("nova_api", ServiceSource::kReal), "");
}

TEST(CloudServices, what_holds_a_password_is_for_its_account_alone) {
  for (const auto& service : plan_for(3).real) {
    for (const auto& each : service.files) {
      EXPECT_EQ(each.mode & 0007u, 0u) << service.name << ' ' << each.name;
    }
    EXPECT_TRUE(service.is_job() || !service.account.empty()) << service.name;
  }
}

TEST(CloudServices, who_has_a_queue_asks_another_one_as_soon_as_told) {
  const auto lab = plan_lab({.services = ServiceSource::kOpenStack,
                             .tuning = {.reconnect_delay = std::chrono::milliseconds(50)},
                             .self = "/nines"});
  ASSERT_TRUE(lab.has_value());
  const std::string_view wanted = "[oslo_messaging_rabbit]\nkombu_reconnect_delay = 0.050\n";
  for (const auto& [host, name, path] :
       {std::array{"node01", "nova_api", "nova_api/nova.conf"},
        std::array{"node02", "nova_scheduler", "nova_scheduler/nova.conf"},
        std::array{"node03", "neutron", "neutron/neutron.conf"},
        std::array{"comp01", "nova_compute", "nova_compute/nova.conf"}}) {
    EXPECT_TRUE(file(find(*lab, host, name), path).ends_with(wanted)) << name;
    EXPECT_EQ(file(find(plan_for(3), host, name), path).find("kombu"), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace nines::lab

// The plan of real services: everything it waits for is there, nothing waits in a circle, and what
// must be alike on all controllers is.
#include "lab/real_services.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "lab/lab_plan.h"

namespace nines::lab {
namespace {

std::vector<RealService> plan_for(int controllers) {
  const auto lab =
      plan_lab({.controllers = controllers, .services = ServiceSource::kReal, .self = "/nines"});
  EXPECT_TRUE(lab.has_value());
  return lab->real;
}

const RealService& find(const std::vector<RealService>& plan, std::string_view host,
                        std::string_view name) {
  const auto found = std::find_if(plan.begin(), plan.end(), [&](const auto& each) {
    return each.host == host && each.name == name;
  });
  EXPECT_NE(found, plan.end()) << host << ' ' << name;
  return *found;
}

std::string file(const RealService& service, std::string_view name) {
  for (const auto& each : service.files) {
    if (each.name == name) return each.text;
  }
  ADD_FAILURE() << service.name << " has no " << name;
  return "";
}

TEST(RealServices, a_start_comes_to_an_end_for_every_size_of_lab) {
  for (const int controllers : {1, 2, 3, 9}) {
    const auto plan = plan_for(controllers);
    std::set<std::string> ready;
    bool progress = true;
    while (progress) {
      progress = false;
      for (const auto& each : plan) {
        const std::string key = each.host + ' ' + each.name;
        if (ready.contains(key)) continue;
        if (!std::all_of(each.after.begin(), each.after.end(),
                         [&](const auto& before) { return ready.contains(before); })) {
          continue;
        }
        ready.insert(key);
        progress = true;
      }
    }
    EXPECT_EQ(ready.size(), plan.size()) << controllers;
    EXPECT_EQ(plan.size(), static_cast<std::size_t>(4 * controllers + 3));
  }
}

TEST(RealServices, one_member_begins_the_cluster_and_only_on_an_empty_disk) {
  const auto plan = plan_for(3);
  for (const char* host : {"node01", "node02", "node03"}) {
    const std::string script = find(plan, host, "mariadb").command.back();
    EXPECT_EQ(script.find("--wsrep-new-cluster") != std::string::npos,
              std::string_view(host) == "node01");
    EXPECT_NE(script.find("grastate.dat ] ||"), std::string::npos);
  }
}

TEST(RealServices, members_know_each_other_and_themselves) {
  const auto plan = plan_for(3);
  const std::string text = file(find(plan, "node02", "mariadb"), "my.cnf");
  EXPECT_NE(text.find("gcomm://100.2.30.41,100.2.30.42,100.2.30.43\n"), std::string::npos);
  EXPECT_NE(text.find("wsrep_node_address=100.2.30.42\n"), std::string::npos);
  EXPECT_NE(text.find("bind-address=100.2.30.42\n"), std::string::npos);
}

TEST(RealServices, keystone_reaches_its_database_through_the_balancer_and_lists_its_caches) {
  const auto plan = plan_for(3);
  const std::string text = file(find(plan, "node03", "keystone"), "keystone.conf");
  EXPECT_NE(text.find("@100.2.30.40:3306/keystone"), std::string::npos);
  EXPECT_NE(text.find("backend = oslo_cache.memcache_pool"), std::string::npos);
  EXPECT_NE(text.find("100.2.30.41:11211,100.2.30.42:11211,100.2.30.43:11211"), std::string::npos);
  const auto section = text.find("\n[fernet_receipts]\nkey_repository = ");
  ASSERT_NE(section, std::string::npos) << "the package's own are read else, if there are any";
  // A token of one is good at the others.
  for (const char* host : {"node01", "node02"}) {
    EXPECT_EQ(file(find(plan, host, "keystone"), "fernet/1"),
              file(find(plan, "node03", "keystone"), "fernet/1"));
  }
}

TEST(RealServices, what_holds_a_password_is_for_its_account_alone) {
  for (const auto& service : plan_for(3)) {
    for (const auto& each : service.files) {
      EXPECT_EQ(each.mode & 0007u, 0u) << service.name << ' ' << each.name;
    }
    EXPECT_TRUE(service.is_job() || !service.account.empty()) << service.name;
  }
}

TEST(RealServices, stand_ins_that_are_replaced_are_known_by_their_names) {
  EXPECT_EQ(real_service_for("keystone_admin", ServiceSource::kReal), "keystone");
  EXPECT_EQ(real_service_for("rabbitmq_management", ServiceSource::kReal), "rabbitmq");
  EXPECT_EQ(real_service_for("nova_api", ServiceSource::kReal), "");
  const auto plan = plan_for(1);
  for (const auto& each : stand_ins()) {
    const auto name = real_service_for(each.service, ServiceSource::kReal);
    if (name.empty()) continue;
    const auto& ports = find(plan, "node01", name).ports;
    EXPECT_NE(std::find(ports.begin(), ports.end(), each.port), ports.end()) << each.service;
  }
}

TEST(RealServices, a_token_request_is_whole) {
  const std::string request = token_request();
  const auto body = request.find("\r\n\r\n") + 4;
  EXPECT_NE(request.find("Content-Length: " + std::to_string(request.size() - body) + "\r\n"),
            std::string::npos);
}

}  // namespace
}  // namespace nines::lab

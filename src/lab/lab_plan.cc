// The reference's services as a table, and the lab's shape worked out from it.
#include "lab/lab_plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "lab/cloud_services.h"
#include "lab/real_service_parts.h"

namespace nines::lab {
namespace {

// The id taken for the account `haproxy` when it is free: below 1000, beyond what Debian's packages
// take by default.
constexpr int kAccountIdFirst = 788;

constexpr HttpPersona kNova{200, 200, 200, 300};
constexpr HttpPersona kVersions{300, 300, 200, 200};  // keystone, glance, cinder, heat
constexpr std::array kStandIns = {
    StandInPlan{"rabbitmq_management", "rabbitmq_management", 15672, StandInKind::kHttp, {}},
    StandInPlan{"keystone", "keystone_internal", 5000, StandInKind::kHttp, kVersions},
    StandInPlan{"keystone_admin", "keystone_admin", 35357, StandInKind::kHttp, kVersions},
    StandInPlan{"glance_registry", "glance_registry", 9191, StandInKind::kHttp, kVersions},
    StandInPlan{"glance_api", "glance_api", 9292, StandInKind::kHttp, kVersions},
    StandInPlan{"nova_api", "nova_api", 8774, StandInKind::kHttp, kNova},
    StandInPlan{"nova_metadata", "nova_metadata", 8775, StandInKind::kHttp, kNova},
    StandInPlan{"placement_api", "placement_api", 8780, StandInKind::kHttp, {200, 405, 405, 401}},
    StandInPlan{"novncproxy", "nova_novncproxy", 6080, StandInKind::kWebSocket, {}},
    StandInPlan{"neutron", "neutron_server", 9696, StandInKind::kHttp, {200, 405, 200, 200}},
    StandInPlan{"horizon", "horizon", 80, StandInKind::kHttp, {302, 302, 200, 404}},
    StandInPlan{"cinder", "cinder_api", 8776, StandInKind::kHttp, kVersions},
    StandInPlan{"heat_api", "heat_api", 8004, StandInKind::kHttp, kVersions},
    StandInPlan{"heat_cfn", "heat_api_cfn", 8000, StandInKind::kHttp, kVersions},
    StandInPlan{"mariadb", "mariadb", 3306, StandInKind::kMysql, {}},
};

struct KindName {
  StandInKind kind;
  std::string_view name;
};
constexpr std::array kKindNames = {KindName{StandInKind::kHttp, "http"},
                                   KindName{StandInKind::kWebSocket, "websocket"},
                                   KindName{StandInKind::kMysql, "mysql"}};

// Calls visit(name, id) for each line "NAME:x:ID:..." of passwd or group (passwd(5), group(5)).
template <typename Visit>
void for_each_account(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto first = line.find(':');
    if (first == std::string_view::npos) continue;
    const auto second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    int id = -1;
    const std::string_view digits = line.substr(second + 1);
    std::from_chars(digits.data(), digits.data() + digits.size(), id);
    visit(line.substr(0, first), id);
  }
}

std::vector<ClusterMember> members_of(const LabPlan& plan) {
  std::vector<ClusterMember> members;
  for (const HostPlan& each : plan.hosts) {
    if (each.role == HostRole::kController) members.push_back({each.name, each.address});
  }
  return members;
}

// Our own program on compute hosts, that hears the controllers' verdicts; ready when it hears all.
std::vector<RealService> plan_listeners(const LabPlan& plan, const LabWishes& wishes) {
  std::vector<RealService> listeners;
  for (const HostPlan& host : plan.hosts) {
    const auto key = wishes.listener_keys.find(host.name);
    if (host.role != HostRole::kCompute || key == wishes.listener_keys.end()) continue;
    RealService service;
    service.name = kListenerService;
    service.host = host.name;
    service.files = {{.name = std::string(kEngineFile),
                      .text = listener_configuration(members_of(plan), host.name),
                      .mode = 0600},
                     {.name = std::string(kListenerKeyFile), .text = key->second, .mode = 0600}};
    service.command = {wishes.self, "run", "-c",
                       std::string(kHostDirectory) + '/' + std::string(kEngineFile)};
    service.environment = {std::string(kServicePath), "LANG=C.UTF-8", "HOME=/tmp"};
    service.needs_address = true;
    service.readiness = RealService::Readiness::kProbe;
    service.probe = {"/bin/sh", "-ec",
                     "said=$(" + wishes.self + " status --json)\ncase \"$said\" in\n" +
                         R"(*'"heard": false'*) exit 1;;)"
                         "\n"
                         R"(*'"heard": true'*) exit 0;;)"
                         "\nesac\nexit 1"};
    listeners.push_back(std::move(service));
  }
  return listeners;
}

}  // namespace

std::string_view name_of(StandInKind kind) {
  return kKindNames[static_cast<std::size_t>(kind)].name;
}

std::optional<StandInKind> find_stand_in_kind(std::string_view name) {
  for (const auto& each : kKindNames) {
    if (each.name == name) return each.kind;
  }
  return std::nullopt;
}

std::span<const StandInPlan> stand_ins() { return kStandIns; }

const StandInPlan* find_stand_in(std::string_view name) {
  const auto found = std::find_if(kStandIns.begin(), kStandIns.end(), [&](const auto& each) {
    return each.service == name || each.proxy == name;
  });
  return found == kStandIns.end() ? nullptr : &*found;
}

Result<void> check_lab_name(std::string_view name) {
  const bool good =
      !name.empty() && name.size() <= kLabNameMax && name.front() != '-' &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
  if (good) return {};
  return Error(ErrorCode::kInvalid, "a lab's name is 1 to " + std::to_string(kLabNameMax) +
                                        " of a-z, 0-9 and '-', found '" + std::string(name) + "'");
}

Result<LabPlan> plan_lab(const LabWishes& wishes) {
  TRY(check_lab_name(wishes.name));
  if (wishes.controllers < 1 || wishes.controllers > kControllersMax) {
    return Error(ErrorCode::kInvalid, "a lab has 1 to " + std::to_string(kControllersMax) +
                                          " controllers, found " +
                                          std::to_string(wishes.controllers));
  }
  LabPlan plan;
  plan.name = wishes.name;
  plan.directory = std::string(kLabsDirectory) + '/' + wishes.name;
  plan.configuration = wishes.configuration;
  plan.engine = plan_engine(wishes.engine, wishes.self, wishes.balancer);
  plan.cluster_key = wishes.cluster_key;
  plan.term = wishes.term;
  const std::vector<int> priorities =
      wishes.priorities.empty() ? default_priorities(wishes.controllers) : wishes.priorities;
  if (priorities.size() != static_cast<std::size_t>(wishes.controllers)) {
    return Error(ErrorCode::kInvalid,
                 "a priority is wanted for each of the " + std::to_string(wishes.controllers) +
                     " controllers, found " + std::to_string(priorities.size()));
  }
  for (int number = 1; number <= wishes.controllers; ++number) {
    plan.hosts.push_back({.name = "node0" + std::to_string(number),
                          .address = "100.2.30.4" + std::to_string(number),
                          .role = HostRole::kController,
                          .owns_virtual_address = number == 1 && !plan.engine.moves_the_address(),
                          .priority = priorities[static_cast<std::size_t>(number) - 1]});
  }
  plan.services = wishes.services;
  const auto controllers = static_cast<std::size_t>(wishes.controllers);
  if (plan.services == ServiceSource::kReal) plan.real = plan_real_services(plan.hosts);
  if (plan.services == ServiceSource::kOpenStack) {
    for (int number = 1; number <= kComputes; ++number) {
      plan.hosts.push_back({.name = "comp0" + std::to_string(number),
                            .address = "100.2.30.5" + std::to_string(number),
                            .role = HostRole::kCompute});
    }
    const std::span<const HostPlan> hosts = plan.hosts;
    plan.real =
        plan_cloud_services(hosts.first(controllers), hosts.subspan(controllers), wishes.tuning);
    if (plan.engine.kind == EngineKind::kLease) {
      for (auto& each : plan_listeners(plan, wishes)) plan.real.push_back(std::move(each));
    }
  }
  plan.hosts.push_back(
      {.name = std::string(kClientHost), .address = "100.2.30.100", .role = HostRole::kClient});
  return plan;
}

std::vector<BoundAddress> bound_addresses(std::string_view configuration) {
  constexpr std::string_view kBlank = " \t\r";
  const auto take_word = [&](std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
    const std::string_view word = line.substr(0, line.find_first_of(kBlank));
    line.remove_prefix(word.size());
    return word;
  };
  std::vector<BoundAddress> result;
  std::string section;
  while (!configuration.empty()) {
    const std::size_t end = std::min(configuration.find('\n'), configuration.size());
    std::string_view line = configuration.substr(0, end);
    configuration.remove_prefix(std::min(end + 1, configuration.size()));
    const std::string_view keyword = take_word(line);
    if (keyword == "listen" || keyword == "frontend") section = take_word(line);
    if (keyword != "bind") continue;
    std::string_view list = take_word(line);
    while (!list.empty()) {
      const std::string_view each = list.substr(0, list.find(','));
      list.remove_prefix(std::min(each.size() + 1, list.size()));
      auto address = SocketAddress::parse(each);
      if (!address.has_value() || !address->is_ip()) continue;
      result.push_back({.section = section, .address = *std::move(address)});
    }
  }
  return result;
}

std::vector<HostFile> engine_files(const LabPlan& plan, const HostPlan& host) {
  std::vector<HostFile> files = {{.name = kBalancerFile, .text = plan.configuration}};
  if (!plan.engine.moves_the_address()) return files;
  std::string check;
  if (const auto socket = runtime_socket_path(plan.configuration); !socket.empty()) {
    check = std::string(kHostDirectory) + '/' + std::string(kCheckFile);
    files.push_back({.name = kCheckFile, .text = check_script(socket), .mode = 0755});
  }
  files.push_back({.name = kAddressFile, .text = keepalived_configuration(host.priority, check)});
  if (has_leases(plan.engine.kind)) {
    files.push_back(
        {.name = kEngineFile,
         .text = cluster_configuration(members_of(plan), plan.engine.kind == EngineKind::kLease,
                                       plan.term, plan.services == ServiceSource::kOpenStack)});
    files.push_back({.name = kKeyFile, .text = plan.cluster_key, .mode = 0600});
  } else {
    files.push_back({.name = kEngineFile, .text = nines_configuration()});
  }
  return files;
}

std::string host_directory(const LabPlan& plan, const HostPlan& host) {
  return plan.directory + '/' + host.name;
}

std::string hosts_file(const LabPlan& plan) {
  std::string text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
  for (const auto& host : plan.hosts) text += host.address + ' ' + host.name + '\n';
  text += std::string(kVirtualAddress) + " vip\n";
  return text;
}

std::optional<int> account_id(std::string_view text, std::string_view name) {
  std::optional<int> result;
  for_each_account(text, [&](std::string_view each, int id) {
    if (each == name && !result) result = id;
  });
  return result;
}

std::string ensure_account(std::string text, std::string_view name, std::string_view suffix) {
  if (account_id(text, name)) return text;
  std::set<int> taken;
  for_each_account(text, [&](std::string_view, int id) { taken.insert(id); });
  int id = kAccountIdFirst;
  while (taken.contains(id)) ++id;
  if (!text.empty() && text.back() != '\n') text += '\n';
  text += std::string(name) + ":x:" + std::to_string(id) + ':' + std::string(suffix) + '\n';
  return text;
}

}  // namespace nines::lab

// Three engines as a table, and the texts they read.
#include "lab/engine_plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>

#include "lab/lab_plan.h"

namespace nines::lab {
namespace {

constexpr const char* kKeepalived = "/usr/sbin/keepalived";
constexpr const char* kHaproxy = "/usr/sbin/haproxy";

struct KindName {
  EngineKind kind;
  std::string_view name;
};
constexpr std::array kKindNames = {
    KindName{EngineKind::kNines, "nines"}, KindName{EngineKind::kIncumbent, "incumbent"},
    KindName{EngineKind::kBalancer, "balancer"}, KindName{EngineKind::kLease, "lease"},
    KindName{EngineKind::kPassive, "passive"}};

std::string_view base_name(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string in_host(std::string_view file) {
  return std::string(kHostDirectory) + '/' + std::string(file);
}

// HAProxy's master reloads by SIGUSR2 and lets sessions end by SIGUSR1 (management guide, section
// 4); `nines proxy` without a master reloads by SIGHUP. Both stay in the foreground (-db) in spite
// of the configuration's `daemon`.
ProgramPlan plan_balancer(const std::string& program) {
  if (base_name(program).starts_with("nines")) {
    return {.name = std::string(kBalancerService),
            .command = {program, "proxy", "-db", "-f", in_host(kBalancerFile)},
            .output = "balancer.out",
            .reload = EngineSignal::kHangUp};
  }
  return {.name = std::string(kBalancerService),
          .command = {program, "-W", "-db", "-f", in_host(kBalancerFile)},
          .output = "balancer.out",
          .reload = EngineSignal::kUser2};
}

}  // namespace

std::string_view name_of(EngineKind kind) {
  return kKindNames[static_cast<std::size_t>(kind)].name;
}

std::optional<EngineKind> find_engine_kind(std::string_view name) {
  for (const auto& each : kKindNames) {
    if (each.name == name) return each.kind;
  }
  return std::nullopt;
}

Result<std::vector<EngineKind>> parse_moving_engines(std::string_view text) {
  std::vector<EngineKind> kinds;
  while (true) {
    const std::string_view word = text.substr(0, text.find(','));
    const auto kind = find_engine_kind(word);
    const bool again = kind && std::find(kinds.begin(), kinds.end(), *kind) != kinds.end();
    if (!kind || *kind == EngineKind::kBalancer || again) {
      return Error(
          ErrorCode::kInvalid,
          "engines are of nines, lease, passive and incumbent, each once, with commas between; "
          "found '" +
              std::string(word) + (again ? "' twice" : "'"));
    }
    kinds.push_back(*kind);
    if (word.size() == text.size()) return kinds;
    text.remove_prefix(word.size() + 1);
  }
}

EnginePlan plan_engine(EngineKind kind, const std::string& self, const std::string& balancer) {
  EnginePlan plan{.kind = kind, .programs = {}, .roles = {}};
  switch (kind) {
    case EngineKind::kNines:
    case EngineKind::kLease:
    case EngineKind::kPassive:
      plan.programs = {{.name = "nines",
                        .command = {self, "run", "-c", in_host(kEngineFile)},
                        .output = "engine.out",
                        .reload = EngineSignal::kHangUp}};
      // A host's first start begins its part in the cluster; later ones find it.
      if (has_leases(kind)) {
        plan.programs.front().prepare = {self, "cluster", "init", in_host(kEngineFile)};
      }
      plan.roles = {
          {.role = kSupervisorRole, .program = 0},
          {.role = kOwnerRole, .program = 0, .is_child = true, .child_name = "nines-owner"},
          {.role = kProxyRole, .program = 0, .is_child = true, .child_name = "nines-proxy"}};
      return plan;
    case EngineKind::kIncumbent:
      // -n: in the foreground, -l: words to standard error. A stop gives the address away first,
      // and then lets the balancer's sessions end.
      plan.programs = {{.name = "keepalived",
                        .command = {kKeepalived, "-n", "-l", "-f", in_host(kAddressFile)},
                        .output = "address.out"},
                       {.name = "haproxy",
                        .command = {kHaproxy, "-W", "-db", "-f", in_host(kBalancerFile)},
                        .output = "balancer.out",
                        .stop = EngineSignal::kUser1,
                        .reload = EngineSignal::kUser2,
                        .stop_patience = 3s}};  // sessions that last never end by themselves
      plan.roles = {{.role = kSupervisorRole, .program = 0},
                    {.role = kOwnerRole, .program = 0, .is_child = true},
                    {.role = kProxyRole, .program = 1, .is_child = true}};
      return plan;
    case EngineKind::kBalancer:
      plan.programs = {plan_balancer(balancer.empty() ? self : balancer)};
      return plan;
  }
  return plan;
}

const HostProcess* find_role(const EnginePlan& plan, std::string_view role,
                             std::span<const int> programs,
                             std::span<const HostProcess> processes) {
  for (const auto& each : plan.roles) {
    if (each.role != role || each.program >= programs.size()) continue;
    const int program = programs[each.program];
    if (program == 0) return nullptr;
    const auto found = std::find_if(processes.begin(), processes.end(), [&](const auto& process) {
      if (process.state == 'Z') return false;
      if (!each.is_child) return process.id == program;
      return process.parent == program &&
             (each.child_name.empty() || process.name == each.child_name);
    });
    return found == processes.end() ? nullptr : &*found;
  }
  return nullptr;
}

std::vector<int> processes_of_engine(std::span<const HostProcess> processes,
                                     const std::set<int>& others) {
  std::map<int, const HostProcess*> by_id;
  for (const auto& each : processes) by_id[each.id] = &each;
  std::vector<int> result;
  for (const auto& each : processes) {
    const HostProcess* at = &each;
    bool counts = each.state != 'Z';
    // Bounded: a table read while it changes may have a ring.
    for (std::size_t steps = 0; counts && steps < processes.size(); ++steps) {
      counts = !others.contains(at->id) && at->parent != 0;
      const auto parent = by_id.find(at->parent);
      if (parent == by_id.end()) break;
      at = parent->second;
    }
    if (counts) result.push_back(each.id);
  }
  return result;
}

std::vector<int> default_priorities(int controllers) {
  std::vector<int> priorities;
  for (int each = controllers; each > 0; --each) priorities.push_back(each);
  return priorities;
}

Result<std::vector<int>> parse_priorities(std::string_view text, int controllers) {
  const auto refuse = [&](const std::string& found) {
    return Error(ErrorCode::kInvalid,
                 "priorities are one for each of the " + std::to_string(controllers) +
                     " controllers, " + std::to_string(kPriorityMin) + " to " +
                     std::to_string(kPriorityMax) +
                     ", no two the same, with commas between (3,2,1); found " + found);
  };
  std::vector<int> priorities;
  std::string_view rest = text;
  while (true) {
    const std::string_view word = rest.substr(0, rest.find(','));
    int value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size() || value < kPriorityMin ||
        value > kPriorityMax) {
      return refuse("'" + std::string(word) + "'");
    }
    if (std::find(priorities.begin(), priorities.end(), value) != priorities.end()) {
      return refuse("'" + std::string(word) + "' twice");
    }
    priorities.push_back(value);
    if (word.size() == rest.size()) break;
    rest.remove_prefix(word.size() + 1);
  }
  if (priorities.size() != static_cast<std::size_t>(controllers)) {
    return refuse(std::to_string(priorities.size()) + " of them");
  }
  return priorities;
}

std::string runtime_socket_path(std::string_view configuration) {
  constexpr std::string_view kBlank = " \t\r";
  while (!configuration.empty()) {
    const std::size_t end = std::min(configuration.find('\n'), configuration.size());
    std::string_view line = configuration.substr(0, end);
    configuration.remove_prefix(std::min(end + 1, configuration.size()));
    std::array<std::string_view, 3> words;
    for (auto& word : words) {
      line.remove_prefix(std::min(line.find_first_not_of(kBlank), line.size()));
      word = line.substr(0, line.find_first_of(kBlank));
      line.remove_prefix(word.size());
    }
    if (words[0] == "stats" && words[1] == "socket" && words[2].starts_with('/')) {
      return std::string(words[2]);
    }
  }
  return {};
}

std::string keepalived_configuration(int priority, std::string_view check) {
  std::string text;
  if (!check.empty()) {
    text += "vrrp_script check_alive {\n     script \"" + std::string(check) +
            "\"     \n     interval 2     \n     fall 2     \n     rise 10 \n}\n";
  }
  text +=
      " vrrp_instance kolla_internal_vip_121 {\n     state BACKUP\n     nopreempt\n     interface ";
  text += std::string(kHostInterface) + "\n     virtual_router_id 121\n     priority ";
  text += std::to_string(priority) + "\n     advert_int 1\n     virtual_ipaddress {\n         ";
  text += std::string(kVirtualAddress) + " dev " + std::string(kHostInterface) + "\n     }\n";
  text +=
      "     authentication {\n         auth_type PASS\n"
      "         auth_pass yw8v4g4hT4hVFWHl35NE1zPsqlg9r2J7Vpw4Mh7T\n     }";
  if (!check.empty()) text += "     track_script {\n         check_alive\n     }";
  return text + "\n }\n";
}

std::string check_script(std::string_view runtime_socket) {
  return "#!/bin/sh\n"
         "# The balancer lives when it takes a question at its runtime socket.\n"
         "echo 'show info' | socat stdio unix-connect:" +
         std::string(runtime_socket) + " > /dev/null\n";
}

std::string nines_configuration() {
  return "keepalived: " + in_host(kAddressFile) + "\nhaproxy: " + in_host(kBalancerFile) + '\n';
}

namespace {

std::string nodes_section(std::span<const ClusterMember> members) {
  std::string text = "  nodes:\n";
  for (std::size_t i = 0; i < members.size(); ++i) {
    text += "    " + members[i].name + ": {id: " + std::to_string(i + 1) + ", addresses: [" +
            members[i].address + "]}\n";
  }
  return text;
}

}  // namespace

std::string cluster_configuration(std::span<const ClusterMember> members, bool dead_peers,
                                  Duration term, bool listeners) {
  std::string text = nines_configuration() + "cluster:\n  key: " + in_host(kKeyFile) + '\n';
  if (!dead_peers) text += "  dead_peers: off\n";
  if (dead_peers && listeners) text += "  dead_peers:\n    listeners: true\n";
  if (term > Duration(0)) text += "  term: " + std::to_string(milliseconds_of(term)) + "ms\n";
  return text + nodes_section(members);
}

std::string listener_configuration(std::span<const ClusterMember> members, std::string_view name) {
  return "cluster:\n  key: " + in_host(kListenerKeyFile) + "\n  listener: " + std::string(name) +
         '\n' + nodes_section(members);
}

}  // namespace nines::lab

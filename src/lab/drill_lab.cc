// Requests as JSON, and the way back from any state to a good one.
#include "lab/drill_lab.h"

#include <csignal>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include <poll.h>
#include <time.h>

#include "io/linux/files.h"
#include "lab/lab_plan.h"
#include "lab/packet_swallow.h"

namespace nines::lab {
namespace {

using Json = nlohmann::json;

constexpr int kPollMilliseconds = 20;
constexpr int kHolderTries = 1000;  // 20 s: an election and what delays it
constexpr int kPowerTries = 15000;  // 300 s: a boot with an OpenStack

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

Result<Json> ask(const LabControl& control, const Json& request) {
  const std::string reply = TRY(control.ask(request.dump()));
  Json answer = Json::parse(reply, nullptr, false);
  if (!answer.is_object()) return Error(ErrorCode::kInvalid, "the keeper's reply is not JSON");
  if (answer.contains("error")) return Error(ErrorCode::kUnavailable, text_of(answer, "error"));
  return answer;
}

NamespaceNumbers numbers_of(const Json& host) {
  const auto& numbers = host["namespaces"];
  return {.network = numbers["network"].get<int>(),
          .mount = numbers["mount"].get<int>(),
          .host_name = numbers["host_name"].get<int>()};
}

Instant now_by_the_keepers_clock() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{now.tv_sec * 1'000'000'000ll + now.tv_nsec};
}

// The signals are blocked and wait for the loop, which does not run meanwhile.
bool is_interrupted() {
  sigset_t pending;
  return ::sigpending(&pending) == 0 &&
         (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1);
}

}  // namespace

Result<DrillLab> DrillLab::open(std::string_view name) {
  DrillLab lab(TRY(LabControl::open(name)));
  const Json status = TRY(ask(lab.control_, {{"do", "status"}}));
  lab.engine_ = find_engine_kind(text_of(status, "engine")).value_or(EngineKind::kNines);
  lab.services_ =
      find_service_source(text_of(status, "services")).value_or(ServiceSource::kStandIns);
  lab.configuration_path_ = text_of(status, "configuration");
  lab.ownership_path_ = text_of(status, "ownership");
  lab.rules_path_ = text_of(status, "rules");
  for (const auto& host : status["hosts"]) {
    if (text_of(host, "name") == kClientHost) {
      lab.client_.network = host["namespaces"]["network"].get<int>();
    } else if (host.contains("engine")) {
      lab.hosts_.push_back({.name = text_of(host, "name"),
                            .address = text_of(host, "address"),
                            .runtime_socket = text_of(host, "runtime_socket"),
                            .log = text_of(host, "log"),
                            .words = text_of(host, "engine_output"),
                            .namespaces = numbers_of(host)});
    }
  }
  io::LinuxFiles files;
  lab.configuration_ = TRY(files.read(lab.configuration_path_));
  return lab;
}

Result<Instant> DrillLab::act(std::string_view operation, std::string_view host,
                              std::string_view service) {
  const Json reply = TRY(
      ask(control_, {{"do", operation}, {"host", host}, {"service", service}, {"wait", false}}));
  return Instant{reply.value("at", std::int64_t{0})};
}

Result<void> DrillLab::lay_line(std::string_view host, int loss, Duration delay) const {
  TRY(ask(control_,
          {{"do", "line"}, {"host", host}, {"loss", loss}, {"delay_ms", milliseconds_of(delay)}}));
  return {};
}

Result<const DrillHost*> DrillLab::find_host(std::string_view name) const {
  for (const auto& host : hosts_) {
    if (host.name == name) return &host;
  }
  return Error(ErrorCode::kInvalid, "no engine runs on '" + std::string(name) + "'");
}

Result<Instant> DrillLab::swallow(std::string_view host, std::string_view service, bool on) {
  const DrillHost* found = TRY(find_host(host));
  TRY(swallow_packets(control_, found->namespaces, found->address, service, on));
  return now_by_the_keepers_clock();
}

Result<Instant> DrillLab::freeze(std::string_view host) {
  const Instant at = TRY(act("isolate", host, ""));
  TRY(act("pause", host, kWholeEngine));
  return at;
}

Result<Instant> DrillLab::thaw(std::string_view host) {
  TRY(act("resume", host, kWholeEngine));
  return act("heal", host, "");
}

Result<Instant> DrillLab::flush_filter(std::string_view host) {
  const DrillHost* found = TRY(find_host(host));
  const int status = TRY(run_in_host(control_, found->namespaces, {"nft", "flush", "ruleset"}));
  if (status != 0) {
    return Error(ErrorCode::kUnavailable,
                 "nft (package nftables) ended with " + std::to_string(status));
  }
  return now_by_the_keepers_clock();
}

Result<Instant> DrillLab::bootstrap(std::string_view host) {
  const DrillHost* found = TRY(find_host(host));
  const int status =
      TRY(run_in_host(control_, found->namespaces,
                      {"mariadb", "--no-defaults", "--user=root",
                       "--socket=" + std::string(kHostDirectory) + "/mariadb/socket", "--execute",
                       "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'"}));
  if (status != 0) {
    return Error(ErrorCode::kUnavailable, "mariadb on " + found->name +
                                              " does not take pc.bootstrap (exit status " +
                                              std::to_string(status) + ')');
  }
  return now_by_the_keepers_clock();
}

Result<void> DrillLab::command(std::string_view operation, std::string_view host,
                               std::string_view service) {
  TRY(ask(control_, {{"do", operation}, {"host", host}, {"service", service}}));
  return {};
}

Result<void> DrillLab::write_configuration(const std::string& text) {
  io::LinuxFiles files;
  constexpr unsigned kMode = 0644;
  return files.replace(configuration_path_, text, kMode);
}

Result<LabHealth> DrillLab::health() {
  const Json status = TRY(ask(control_, {{"do", "status"}}));
  LabHealth health;
  std::set<std::string> scheduling;
  const auto trouble = [&](const std::string& what) {
    if (health.trouble.empty()) health.trouble = what;
  };
  for (const auto& host : status["hosts"]) {
    const std::string name = text_of(host, "name");
    if (text_of(host, "power") != "on") trouble(name + " is " + text_of(host, "power"));
    if (text_of(host, "link") != "up") trouble(name + " is cut off");
    for (const auto& service : host["services"]) {
      const std::string state = text_of(service, "state");
      if (state != "running") trouble(name + ' ' + text_of(service, "name") + ' ' + state);
    }
    if (host.contains("engine")) {
      for (const auto& part : host["engine"]) {
        const std::string state = text_of(part, "state");
        if (state != "running") trouble(name + ' ' + text_of(part, "role") + ' ' + state);
        if (text_of(part, "role") == kOwnerRole) scheduling.insert(text_of(part, "scheduling"));
      }
    }
    if (host["owns_virtual_address"] == true) health.holders.push_back(name);
  }
  scheduling.erase("");
  for (const auto& each : scheduling) {
    health.scheduling += (health.scheduling.empty() ? "" : ", ") + each;
  }
  return health;
}

Result<void> DrillLab::repair() {
  TRY(wait_for_power());
  const Json status = TRY(ask(control_, {{"do", "status"}}));
  for (const auto& host : status["hosts"]) {
    const std::string name = text_of(host, "name");
    if (text_of(host, "power") != "on") {
      TRY(command("boot", name, ""));
      continue;  // a host boots whole
    }
    if (text_of(host, "link") != "up") TRY(command("heal", name, ""));
    if (host.contains("engine")) TRY(deliver_all_packets(control_, numbers_of(host)));
    bool engine_ended = false;
    if (host.contains("engine")) {
      for (const auto& part : host["engine"]) {
        const std::string state = text_of(part, "state");
        // It may end meanwhile, which is mended below.
        if (state == "paused") {
          static_cast<void>(command("resume", name, text_of(part, "role")).has_value());
        }
        engine_ended = engine_ended || state == "ended";
      }
    }
    for (const auto& service : host["services"]) {
      const std::string state = text_of(service, "state");
      if (state == "paused") TRY(command("resume", name, text_of(service, "name")));
      if (state == "ended" && service.contains("program")) engine_ended = true;
      if (state == "ended" && !service.contains("program")) {
        TRY(command("start", name, text_of(service, "name")));
      }
    }
    if (engine_ended) TRY(command("start", name, kWholeEngine));
  }
  return {};
}

Result<void> DrillLab::restart_engines() {
  for (const auto& host : hosts_) {
    TRY(command("stop", host.name, kWholeEngine));
    TRY(command("start", host.name, kWholeEngine));
  }
  return {};
}

Result<void> DrillLab::settle(std::string_view holder) {
  const auto before = TRY(health()).holders;
  std::string wanted(holder);
  if (wanted.empty()) wanted = before.size() == 1 ? before.front() : hosts_.front().name;
  if (has_leases(engine_)) return settle_by_majority(wanted);
  const bool has_it = before == std::vector<std::string>{wanted};
  for (const auto& host : hosts_) {
    if (host.name == wanted && has_it) continue;
    TRY(command("stop", host.name, kWholeEngine));
  }
  if (!has_it) {
    // What a dead engine has left behind.
    const auto left = TRY(health()).holders;
    for (const auto& name : left) TRY(command("drop-address", name, ""));
    TRY(command("start", wanted, kWholeEngine));
    TRY(wait_for_holder(wanted));
  }
  for (const auto& host : hosts_) {
    if (host.name != wanted) TRY(command("start", host.name, kWholeEngine));
  }
  return {};
}

// One engine alone has no majority: the others begin anew one by one, until the address has gone
// from them to where it is wanted.
Result<void> DrillLab::settle_by_majority(const std::string& wanted) {
  for (std::size_t round = 0; round < hosts_.size(); ++round) {
    for (const auto& host : hosts_) {
      if (host.name == wanted) continue;
      TRY(command("stop", host.name, kWholeEngine));
      TRY(command("start", host.name, kWholeEngine));
    }
    if (TRY(health()).holders == std::vector<std::string>{wanted}) return {};
  }
  return wait_for_holder(wanted);
}

// Nothing can be asked of a host that boots.
Result<void> DrillLab::wait_for_power() {
  for (int i = 0; i < kPowerTries; ++i) {
    const Json status = TRY(ask(control_, {{"do", "status"}}));
    bool booting = false;
    for (const auto& host : status["hosts"]) booting |= text_of(host, "power") == "booting";
    if (!booting) return {};
    ::poll(nullptr, 0, kPollMilliseconds);
  }
  return Error(ErrorCode::kUnavailable, "a host does not come to the end of its boot");
}

Result<void> DrillLab::wait_for_holder(const std::string& holder) {
  for (int i = 0; i < kHolderTries; ++i) {
    const auto holders = TRY(health()).holders;
    if (holders == std::vector<std::string>{holder}) return {};
    if (is_interrupted()) return Error(ErrorCode::kRefused, "interrupted");
    ::poll(nullptr, 0, kPollMilliseconds);
  }
  return Error(ErrorCode::kUnavailable, holder + " does not take the address");
}

}  // namespace nines::lab

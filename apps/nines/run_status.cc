// The status as JSON, and the same for people: `nines status` reads the one and prints the other.
#include "run_status.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "cluster/cluster_view.h"
#include "galera_view.h"
#include "other_networks.h"
#include "owner_dead_peers.h"
#include "owner_sessions.h"
#include "run_command.h"
#include "run_control.h"
#include "version.h"
#include "vrrp/owned.h"

namespace nines {

namespace {

using Json = nlohmann::json;

constexpr int kExitUnwell = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoDaemon = 3;

std::string_view name_of(node::Supervisor::Stage stage) {
  switch (stage) {
    case node::Supervisor::Stage::kStarting:
      return "starting";
    case node::Supervisor::Stage::kRunning:
      return "running";
    case node::Supervisor::Stage::kDraining:
      return "draining";
    case node::Supervisor::Stage::kReleasing:
      return "releasing";
    case node::Supervisor::Stage::kStopping:
      return "stopping";
    case node::Supervisor::Stage::kEnded:
      return "ended";
  }
  return "";
}

std::string_view name_of(node::PlaneWatch::State state) {
  switch (state) {
    case node::PlaneWatch::State::kIdle:
      return "idle";
    case node::PlaneWatch::State::kStarting:
      return "starting";
    case node::PlaneWatch::State::kServing:
      return "serving";
    case node::PlaneWatch::State::kWaiting:
      return "waiting to restart";
    case node::PlaneWatch::State::kEnding:
      return "ending";
  }
  return "";
}

Json plane(std::string_view name, const node::PlaneProcess& process, Json configuration,
           Instant now) {
  const node::PlaneWatch& watch = process.watch();
  return {{"name", name},
          {"pid", process.pid()},
          {"state", name_of(watch.state())},
          {"fit", watch.fit()},
          {"since_s", static_cast<double>(milliseconds_of(now - watch.since())) / 1000},
          {"restarts", watch.deaths()},
          {"configuration", std::move(configuration)}};
}

Json instance(const vrrp::VrrpInstance& configured, const vrrp::OwnerReport& report) {
  Json addresses = Json::array();
  for (const auto& owned : vrrp::owned_by(configured)) {
    addresses.push_back({{"address", owned.address.ip_text()},
                         {"prefix_length", owned.prefix_length},
                         {"device", owned.device}});
  }
  return {{"name", report.instance},
          {"state", vrrp::name_of(report.state)},
          {"interface", configured.interface},
          {"virtual_router_id", configured.virtual_router_id},
          {"priority", report.priority},
          {"configured_priority", configured.priority},
          {"master", report.master.is_ip() ? report.master.ip_text() : ""},
          {"master_priority", report.master_priority},
          {"epoch", report.epoch},
          {"addresses", std::move(addresses)}};
}

std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

// Of "manager BACKEND/SERVER" and "own BACKEND/SERVER", a line each.
Json galera_checks(std::string_view lines) {
  Json checks = Json::array();
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    const auto blank = line.find(' ');
    if (blank == line.npos) continue;
    checks.push_back({{"server", line.substr(blank + 1)}, {"answered_by", line.substr(0, blank)}});
  }
  return checks;
}

void print_galera_checks(const Json& checks) {
  std::string told, own;
  for (const Json& each : checks) {
    std::string& list = text(each, "answered_by") == "manager" ? told : own;
    list += (list.empty() ? "" : ", ") + text(each, "server");
  }
  if (!told.empty()) {
    std::printf("  galera-check by what the manager hears: %s\n", told.c_str());
  }
  if (!own.empty()) std::printf("  galera-check by logins of its own: %s\n", own.c_str());
}

bool all_well(const Json& status) {
  bool well = text(status, "stage") == "running";
  for (const Json& each : status["planes"]) well = well && each.value("fit", false);
  return well;
}

void print(const Json& status) {
  std::printf("%s: %s (pid %s, nines %s, %s)\n", text(status, "host").c_str(),
              text(status, "stage").c_str(), text(status, "pid").c_str(),
              text(status, "version").c_str(), text(status, "configuration").c_str());
  for (const Json& each : status["planes"]) {
    const std::string scheduling = text(each, "scheduling");
    std::printf("  %-7s %s%s, pid %s, restarts %s%s\n", text(each, "name").c_str(),
                text(each, "state").c_str(), each.value("fit", false) ? "" : " (not fit)",
                text(each, "pid").c_str(), text(each, "restarts").c_str(),
                scheduling.empty() ? "" : (", scheduling=" + scheduling).c_str());
  }
  for (const Json& each : status["instances"]) {
    const std::string master = text(each, "master");
    std::printf("  %s: %s, priority %s on %s", text(each, "name").c_str(),
                text(each, "state").c_str(), text(each, "priority").c_str(),
                text(each, "interface").c_str());
    if (text(each, "state") != "MASTER" && !master.empty()) {
      std::printf(", master is %s (priority %s)", master.c_str(),
                  text(each, "master_priority").c_str());
    }
    std::puts("");
    for (const Json& address : each["addresses"]) {
      std::printf("    %s/%s dev %s%s\n", text(address, "address").c_str(),
                  text(address, "prefix_length").c_str(), text(address, "device").c_str(),
                  text(each, "state") == "MASTER" ? ", held here" : "");
    }
  }
  if (status.contains("cluster") && status["cluster"].contains("listener")) {
    std::printf("  listens to the controllers' verdicts as %s\n",
                text(status["cluster"], "listener").c_str());
  } else if (status.contains("cluster")) {
    std::fputs(cluster::render_cluster_text(status["cluster"].dump()).c_str(), stdout);
    for (const Json& each : status["cluster"].value("conflicts", Json::array())) {
      std::printf(
          "  ! %s: a VRRP router at %s claims it too (virtual router %s, priority %s, %s "
          "adverts, the last %.1f s ago)\n",
          text(each, "instance").c_str(), text(each, "source").c_str(),
          text(each, "router_id").c_str(), text(each, "priority").c_str(),
          text(each, "adverts").c_str(), each.value("last_s", 0.0));
    }
    for (const Json& line : status["cluster"].value("advice", Json::array())) {
      std::printf("  ! %s\n", line.get<std::string>().c_str());
    }
  }
  if (status.contains("galera")) {
    const Json& galera = status["galera"];
    if (galera.contains("error")) {
      std::printf("  galera: not watched: %s\n", text(galera, "error").c_str());
    } else {
      std::fputs(render_galera_table(galera, "  galera: ").c_str(), stdout);
    }
  }
  if (status.contains("galera_checks")) print_galera_checks(status["galera_checks"]);
  if (status.contains("cluster") && status["cluster"].contains("dead_peers")) {
    std::fputs(render_dead_peers(status["cluster"]["dead_peers"]).c_str(), stdout);
  }
  if (status.contains("cluster") && status["cluster"].contains("sessions")) {
    std::fputs(render_sessions(status["cluster"]["sessions"]).c_str(), stdout);
  }
  if (!status["instances"].empty() && text(status, "mode") == "vrrp") {
    std::puts("  VRRP mode: if the hosts cannot hear each other, each side holds the addresses");
  }
}

// Who on this host speaks to those ports and is not told of a dead peer. Found by whoever asks, who
// has the right and the time to look at all processes; the daemon does not.
void add_uncovered(Json& status) {
  if (!status.contains("cluster") || !status["cluster"].is_object() ||
      !status["cluster"].contains("dead_peers")) {
    return;
  }
  Json& peers = status["cluster"]["dead_peers"];
  if (!peers.is_object() || !peers.value("on", false)) return;
  const auto ports = peers.value("ports", std::set<std::uint16_t>());
  const auto known = peers.value("known_not_covered", std::vector<std::string>());
  Json uncovered = Json::array();
  for (const auto& each :
       find_other_networks("/proc", "/run/netns", status.value("pid", 0), ports)) {
    uncovered.push_back({{"network", each.name},
                         {"programs", each.programs},
                         {"connections", each.connections},
                         {"known", node::names_network(known, each.name)}});
  }
  peers["not_covered"] = std::move(uncovered);
}

}  // namespace

std::string render_run_status(const RunStatus& status) {
  char host[256] = "";
  static_cast<void>(::gethostname(host, sizeof host - 1));
  Json planes = Json::array();
  Json instances = Json::array();
  if (status.proxy != nullptr) {
    planes.push_back(plane("proxy", status.proxy->plane(), status.config.haproxy, status.now));
  }
  if (status.owner != nullptr) {
    planes.push_back(plane("owner", status.owner->plane(), status.config.keepalived, status.now));
    planes.back()["scheduling"] = status.owner->scheduling();
    const auto reports = status.owner->reports();
    for (const vrrp::VrrpInstance& configured : status.owner->config().instances) {
      for (const vrrp::OwnerReport& report : reports) {
        if (report.instance == configured.name) instances.push_back(instance(configured, report));
      }
    }
  }
  if (status.manager != nullptr) {
    planes.push_back(plane("manager", status.manager->plane(), status.config_path, status.now));
  }
  Json json = {{"host", host},
               {"version", kVersion},
               {"pid", ::getpid()},
               {"stage", name_of(status.stage)},
               {"mode", status.config.cluster ? "lease" : "vrrp"},
               {"configuration", status.config_path},
               {"planes", std::move(planes)},
               {"instances", std::move(instances)}};
  if (status.proxy != nullptr && !status.proxy->verdicts().empty()) {
    json["galera_checks"] = galera_checks(status.proxy->verdicts());
  }
  if (status.cluster != nullptr) {
    json["cluster"] = status.cluster->has_value()
                          ? Json::parse(**status.cluster, nullptr, false)
                          : Json({{"error", status.cluster->error().message()}});
  }
  if (status.galera != nullptr) {
    json["galera"] = status.galera->has_value()
                         ? Json::parse(**status.galera, nullptr, false)
                         : Json({{"error", status.galera->error().message()}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

std::string error_reply(std::string_view message) {
  return Json({{"error", message}}).dump(-1, ' ', false, Json::error_handler_t::replace) + '\n';
}

int status_command(std::span<char*> arguments) {
  CLI::App app("How this host's daemon and its planes are, and who holds the addresses.",
               "nines status");
  std::string path{node::kDefaultControlPath};
  bool json = false;
  app.add_option("--control", path, "the daemon's control socket")->capture_default_str();
  app.add_flag("--json", json, "for tools");
  app.footer("Exit codes: 0 all planes are at work, 1 one is not, 2 usage, 3 no daemon answers.");
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  const auto reply = ask_daemon(path, "status");
  if (!reply.has_value()) {
    std::fprintf(stderr, "nines status: %s\n", reply.error().message().c_str());
    return kExitNoDaemon;
  }
  Json status = Json::parse(*reply, nullptr, false);
  if (!status.is_object() || !status.contains("planes")) {
    std::fprintf(stderr, "nines status: %s gave no status\n", path.c_str());
    return kExitNoDaemon;
  }
  add_uncovered(status);
  if (json) {
    std::puts(status.dump(2).c_str());
  } else {
    print(status);
  }
  return all_well(status) ? 0 : kExitUnwell;
}

}  // namespace nines

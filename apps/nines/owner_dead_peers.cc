// A node's services are where the node is, and where nines.yaml says besides.
#include "owner_dead_peers.h"

#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "cluster/key_file.h"
#include "cluster/peer_sockets.h"
#include "vrrp/owned.h"

namespace nines {
namespace {

using Json = nlohmann::json;

Instant now_exactly() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{now.tv_sec * 1'000'000'000ll + now.tv_nsec};
}

// A rule against the owner's address would cut this host off from whoever owns it next.
Result<void> refuse_virtual(const std::vector<SocketAddress>& addresses,
                            const vrrp::Config& config) {
  for (const vrrp::VrrpInstance& instance : config.instances) {
    for (const auto& owned : vrrp::owned_by(instance)) {
      for (const SocketAddress& address : addresses) {
        if (address.ip_bytes() != owned.address.ip_bytes()) continue;
        return Error(ErrorCode::kInvalid, address.ip_text() + " is a virtual address of '" +
                                              instance.name + "', not a node's own");
      }
    }
  }
  return {};
}

node::HostShare::Kind kind_of(cluster::Share share) {
  switch (share) {
    case cluster::Share::kAll:
      return node::HostShare::Kind::kAll;
    case cluster::Share::kNone:
      return node::HostShare::Kind::kNone;
    case cluster::Share::kGone:
      return node::HostShare::Kind::kGone;
    case cluster::Share::kSlowly:
      return node::HostShare::Kind::kSlowly;
  }
  return node::HostShare::Kind::kAll;
}

double seconds(Duration time) { return static_cast<double>(milliseconds_of(time)) / 1000; }

Json json_of(const cluster::DeadPeersReport::Node& node) {
  const cluster::DeadPeerStatus& status = node.status;
  Json json = {{"node", status.node},
               {"name", node.name},
               {"verdict", std::string(name_of(status.verdict))},
               {"rule", status.blocked},
               {"balanced", !status.shunned},
               {"verdicts", status.verdicts},
               {"connections_ended", node.sockets_destroyed},
               {"answers_echo", status.evidence.answered.has_value()},
               {"evidence", text_of(status.evidence)}};
  json["dead_for"] = status.blocked_for ? Json(seconds(*status.blocked_for)) : Json(nullptr);
  if (!node.error.empty()) json["error"] = node.error;
  if (!node.healed.empty() || node.heals) {
    Json back = Json::array();
    for (const auto& each : node.healed) {
      back.push_back({{"port", each.port}, {"after", seconds(each.after)}});
    }
    json["services_back"] = std::move(back);
    json["services_awaited"] = node.heals;
  }
  return json;
}

// "      services that accept again: 3306 4.2 s, 5672 9.5 s; more are waited for"
std::string render_healing(const Json& node) {
  if (!node.contains("services_back")) return {};
  std::string text;
  for (const Json& each : node["services_back"]) {
    char one[48];
    std::snprintf(one, sizeof one, "%s%d %.1f s", text.empty() ? "" : ", ", each.value("port", 0),
                  each.value("after", 0.0));
    text += one;
  }
  const bool awaited = node.value("services_awaited", false);
  if (text.empty()) text = awaited ? "none yet" : "none";
  return "      services that accept again: " + text + (awaited ? "; more are waited for\n" : "\n");
}

// "; on 5672 others stand in"
std::string render_stand_in(const Json& report) {
  if (report.contains("missing") || report.contains("no_stand_in")) return {};
  std::string ports;
  for (const Json& port : report.value("stand_in", Json::array())) {
    ports += (ports.empty() ? "" : ", ") + port.dump();
  }
  return ports.empty() ? "" : "; on " + ports + " others stand in";
}

}  // namespace

Result<std::unique_ptr<OwnerDeadPeers>> OwnerDeadPeers::create(
    const node::ClusterConfig& cluster, const vrrp::Config& config,
    const cluster::MembershipDriver& membership, io::EpollLoop& loop, io::Log& log) {
  const node::DeadPeersConfig& wanted = cluster.dead_peers;
  cluster::DeadPeersDriver::Options options;
  options.machine.self = cluster.self;
  options.machine.on = wanted.on;
  options.machine.silence = wanted.silence;
  options.machine.hold_down = wanted.hold_down;
  options.ports = ports_of(wanted);
  int networks = 1;
  for (const node::ClusterNode& each : cluster.nodes) {
    options.machine.nodes.add(each.id);
    networks = static_cast<int>(each.addresses.size());
    cluster::DeadPeersHost host{
        .name = each.name, .services = each.addresses, .networks = each.addresses};
    if (const auto more = wanted.addresses.find(each.name); more != wanted.addresses.end()) {
      host.services.insert(host.services.end(), more->second.begin(), more->second.end());
    }
    TRY(refuse_virtual(host.services, config));
    if (each.id == cluster.self) {
      options.own_services = std::move(host.services);
    } else {
      options.hosts[each.id] = std::move(host);
    }
  }
  std::unique_ptr<OwnerDeadPeers> owner(new OwnerDeadPeers());
  owner->not_covered_ = wanted.not_covered;
  owner->driver_ = TRY(cluster::DeadPeersDriver::create(
      std::move(options), loop, now_exactly,
      [&membership, networks](Instant now) {
        return cluster::look_of(membership.machine(), networks, now);
      },
      [owner = owner.get()](const cluster::DeadPeersHost& host, cluster::Share share) {
        if (owner->shared_) {
          owner->shared_({.kind = kind_of(share), .addresses = host.services});
        }
      },
      log));
  if (wanted.listeners) {
    std::vector<SocketAddress> addresses;
    for (const node::ClusterNode& each : cluster.nodes) {
      if (each.id == cluster.self) addresses = each.addresses;
    }
    owner->teller_ = std::make_unique<cluster::TellerSockets>(
        TRY(make_teller(cluster)), std::move(addresses), loop, now_exactly, log);
  }
  return owner;
}

Result<cluster::VerdictTeller> OwnerDeadPeers::make_teller(const node::ClusterConfig& cluster) {
  return cluster::VerdictTeller(TRY(cluster::read_key_file(cluster.key)), cluster.self,
                                TRY(cluster::fresh_incarnation()));
}

void OwnerDeadPeers::start() {
  if (teller_ != nullptr) {
    driver_->on_judged([this](const auto& look, cluster::NodeSet dead) { tell(look, dead); });
    teller_->start();
  }
  driver_->start();
}

// Who took its leave is missed by nobody. An isolated host knows nothing.
void OwnerDeadPeers::tell(const cluster::dead_peer_event::Look& look, cluster::NodeSet dead) {
  cluster::NodeSet unheard;
  for (const cluster::PeerSight& sight : look.peers) {
    if (!sight.heard && sight.was_known && !sight.has_left) unheard.add(sight.node);
  }
  if (look.isolated) unheard = dead = {};
  teller_->set_view(unheard, dead);
}

Result<void> OwnerDeadPeers::reload(const node::ClusterConfig& cluster) {
  const node::DeadPeersConfig& config = cluster.dead_peers;
  if (teller_ != nullptr) teller_->set_teller(TRY(make_teller(cluster)));
  driver_->configure(config.on, config.silence, config.hold_down, ports_of(config));
  not_covered_ = config.not_covered;
  return {};
}

Json OwnerDeadPeers::report() const {
  Json json = dead_peers_json(driver_->report());
  if (teller_ != nullptr) json["listeners"] = teller_->listeners();
  json["known_not_covered"] = not_covered_;
  return json;
}

cluster::CutOff::Ports ports_of(const node::DeadPeersConfig& config) {
  return {.refused = config.ports, .stand_in = config.stand_in};
}

Json dead_peers_json(const cluster::DeadPeersReport& report) {
  Json nodes = Json::array();
  for (const auto& node : report.nodes) nodes.push_back(json_of(node));
  Json json = {{"on", report.on},
               {"silence", seconds(report.silence)},
               {"hold_down", seconds(report.hold_down)},
               {"ports", report.ports},
               {"stand_in", report.stand_in},
               {"covers", "this network namespace"},
               {"nodes", nodes}};
  if (!report.missing.empty()) json["missing"] = report.missing;
  if (!report.no_stand_in.empty()) json["no_stand_in"] = report.no_stand_in;
  if (!report.no_echo.empty()) json["no_echo"] = report.no_echo;
  return json;
}

std::string render_dead_peers(const Json& report) {
  const auto word = [](const Json& json, const char* key) {
    return json.contains(key) && json[key].is_string() ? json[key].get<std::string>()
                                                       : std::string();
  };
  if (!report.value("on", false)) return "  dead peers: off\n";
  char line[160];
  std::snprintf(line, sizeof line, "  dead peers: after %.1f s of silence, on %zu ports",
                report.value("silence", 0.0), report.value("ports", Json::array()).size());
  std::string text = line + render_stand_in(report) + "\n";
  if (const std::string missing = word(report, "missing"); !missing.empty()) {
    text += "    their clients are not told: " + missing + "\n";
  }
  if (const std::string why = word(report, "no_stand_in"); !why.empty()) {
    text += "    nobody stands in for a dead host: " + why + "\n";
  }
  if (const std::string no_echo = word(report, "no_echo"); !no_echo.empty()) {
    text += "    hosts are not asked whether they are there: " + no_echo + "\n";
  }
  for (const Json& node : report.value("nodes", Json::array())) {
    text += "    " + word(node, "name") + " " + word(node, "verdict");
    if (node.value("rule", false)) text += ", connections to it are refused";
    if (!node.value("balanced", true)) text += ", no new work for its servers";
    if (const auto ended = node.value("connections_ended", 0); ended > 0) {
      text += ", " + std::to_string(ended) + " connections ended";
    }
    text += ": " + word(node, "evidence") + "\n";
    text += render_healing(node);
    if (const std::string error = word(node, "error"); !error.empty()) {
      text += "      " + error + "\n";
    }
  }
  for (const Json& other : report.value("not_covered", Json::array())) {
    text += other.value("known", false) ? "    not told, as nines.yaml says: network "
                                        : "    ! not told: network ";
    text += word(other, "network") + " (";
    std::string programs;
    for (const Json& program : other.value("programs", Json::array())) {
      programs += (programs.empty() ? "" : ", ") + program.get<std::string>();
    }
    text += programs + "), " + std::to_string(other.value("connections", 0)) +
            " connections to these ports\n";
  }
  return text;
}

}  // namespace nines

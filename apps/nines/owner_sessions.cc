// The groups are those of the address holder, under the same names.
#include "owner_sessions.h"

#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "vrrp/owned.h"

namespace nines {

using Json = nlohmann::json;

Result<std::unique_ptr<cluster::SessionDriver>> make_session_driver(
    const node::ClusterConfig& cluster, const vrrp::Config& config, cluster::AddressHolder& holder,
    cluster::SessionPeers& peers, io::Loop& loop, cluster::SessionDriver::Clock clock,
    io::Log& log) {
  std::map<cluster::Name, cluster::SessionDriver::Group> groups;
  for (const vrrp::VrrpInstance& instance : config.instances) {
    cluster::SessionDriver::Group& group = groups[cluster::name_from(instance.name)];
    group.text = instance.name;
    for (const auto& owned : vrrp::owned_by(instance)) {
      group.addresses.push_back(owned.address.with_port(0));
    }
  }
  return cluster::SessionDriver::create(
      std::move(groups), cluster.tell_sessions, holder,
      [&holder](cluster::Name name) { return holder.holds(name); }, peers, loop, std::move(clock),
      log);
}

Json sessions_json(const cluster::SessionDriver& driver,
                   const std::vector<cluster::ClusterViewNode>& nodes, Instant now) {
  const cluster::SessionReport report = driver.report();
  const auto name_of = [&](cluster::NodeId node) {
    for (const cluster::ClusterViewNode& each : nodes) {
      if (each.id == node) return each.name;
    }
    return "node " + std::to_string(node);
  };
  Json known = Json::array();
  for (const auto& each : report.known) {
    known.push_back({{"name", driver.text_of(each.name)},
                     {"holder", name_of(each.holder)},
                     {"epoch", each.epoch},
                     {"sessions", each.sessions}});
  }
  Json json = {{"on", report.on},
               {"told", report.told},
               {"left_out", report.left_out},
               {"look_ms", std::chrono::duration<double, std::milli>(report.look_cost).count()},
               {"known", std::move(known)},
               {"messages_heard", report.heard.heard},
               {"messages_old", report.heard.old},
               {"sessions_refused", report.heard.refused},
               {"sessions_not_kept", report.heard.left_out}};
  if (!report.problem.empty()) json["problem"] = report.problem;
  if (!report.no_watch.empty()) json["no_watch"] = report.no_watch;
  if (report.takeover) {
    json["last_takeover"] = {
        {"name", driver.text_of(report.takeover->name)},
        {"former_holder", name_of(report.takeover->holder)},
        {"epoch", report.takeover->epoch},
        {"sessions", report.takeover->sessions},
        {"nudges", report.nudges},
        {"living", report.living},
        {"ago_s", static_cast<double>(milliseconds_of(now - report.takeover->at)) / 1000}};
  }
  return json;
}

std::string render_sessions(const Json& report) {
  if (!report.value("on", false)) return "  sessions: not told\n";
  const auto word = [](const Json& json, const char* key) {
    return json.value(key, std::string());
  };
  const auto number = [](const Json& json, const char* key) {
    return std::to_string(json.value(key, std::uint64_t{0}));
  };
  std::string text = "  sessions: " + number(report, "told") + " here are known to the others";
  for (const Json& each : report.value("known", Json::array())) {
    text += "; " + number(each, "sessions") + " on " + word(each, "holder") + " (" +
            word(each, "name") + ")";
  }
  text += "\n";
  if (report.value("left_out", 0) > 0) {
    text += "    " + number(report, "left_out") + " more are not told\n";
  }
  if (report.value("sessions_not_kept", 0) > 0) {
    text +=
        "    " + number(report, "sessions_not_kept") + " times one more was told than is kept\n";
  }
  if (report.contains("last_takeover")) {
    const Json& last = report["last_takeover"];
    char ago[32];
    std::snprintf(ago, sizeof ago, "%.0f s ago", last.value("ago_s", 0.0));
    text += "    last takeover (" + word(last, "name") + " from " + word(last, "former_holder") +
            ", " + ago + "): " + number(last, "sessions") + " sessions, " + number(last, "nudges") +
            " nudges, " + number(last, "living") + " left alone\n";
  }
  if (report.contains("problem")) text += "    " + word(report, "problem") + "\n";
  return text;
}

}  // namespace nines

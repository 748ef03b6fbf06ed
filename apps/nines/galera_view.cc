// JSON is the one form; the table is made of it.
#include "galera_view.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

namespace nines {

namespace {

using Json = nlohmann::json;

struct Overview {
  int synced = 0;
  int arbitrators_seen = 0;  // the most that a member in the primary component sees
  std::string history;       // of the primary component; empty: there is none
  bool is_split = false;     // two members are primary in different histories
};

Overview overview_of(const galera::Monitor& monitor) {
  Overview overview;
  for (const auto& member : monitor.members()) {
    const auto& status = member->health.status();
    if (member->health.now()->health == galera::Health::kSynced) ++overview.synced;
    if (member->health.now()->health == galera::Health::kLost || !status || !status->is_primary) {
      continue;
    }
    if (!overview.history.empty() && overview.history != status->position.uuid) {
      overview.is_split = true;
    }
    overview.history = status->position.uuid;
    overview.arbitrators_seen = std::max(overview.arbitrators_seen, status->without_data);
  }
  return overview;
}

bool is_well(const Overview& overview, const node::GaleraConfig& config) {
  return overview.synced == static_cast<int>(config.members.size()) && !overview.is_split &&
         overview.arbitrators_seen >= static_cast<int>(config.arbitrators.size());
}

double seconds_of(Duration duration) {
  return static_cast<double>(milliseconds_of(duration)) / 1000;
}

Json json_of(const galera::Monitor::Member& member, Instant now) {
  const galera::HealthEntry& entry = *member.health.now();
  Json json = {{"name", member.name},
               {"state", galera::name_of(entry.health)},
               {"reason", entry.reason},
               {"since_s", seconds_of(now - entry.since)}};
  Json history = Json::array();
  for (const auto& earlier : member.health.history()) {
    history.push_back({{"state", galera::name_of(earlier.health)},
                       {"reason", earlier.reason},
                       {"since_s", seconds_of(now - earlier.since)}});
  }
  json["history"] = std::move(history);
  const auto& status = member.health.status();
  if (status && entry.health != galera::Health::kLost) {
    json["uuid"] = status->position.uuid;
    json["seqno"] = status->position.seqno;
    json["component_size"] = status->cluster_size;
    json["data_members"] = status->data_members;
    json["arbitrators"] = status->without_data;
    json["receive_queue"] = status->receive_queue;
    json["flow_control_paused"] = status->flow_control_paused;
    json["flow_control_sent"] = status->flow_control_sent;
    json["desynced"] = status->is_desynced;
    json["read_only"] = status->is_read_only;
    json["ready"] = status->is_ready;
  }
  return json;
}

// A daemon of another version may say less.
std::string word(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::int64_t number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : -1;
}

bool flag(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

const Json& list(const Json& object, const char* key) {
  static const Json kNone = Json::array();
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : kNone;
}

}  // namespace

Json galera_json(const galera::Monitor& monitor, const node::GaleraConfig& config, Instant now) {
  const Overview overview = overview_of(monitor);
  Json members = Json::array();
  for (const auto& member : monitor.members()) members.push_back(json_of(*member, now));
  Json arbitrators = Json::array();
  for (const auto& address : config.arbitrators) arbitrators.push_back(address.ip_text());
  return {{"primary", !overview.history.empty()},  {"uuid", overview.history},
          {"two_histories", overview.is_split},    {"synced", overview.synced},
          {"well", is_well(overview, config)},     {"members", std::move(members)},
          {"arbitrators", std::move(arbitrators)}, {"arbitrators_seen", overview.arbitrators_seen}};
}

bool is_galera_well(const galera::Monitor& monitor, const node::GaleraConfig& config) {
  return is_well(overview_of(monitor), config);
}

std::string render_galera_table(const Json& galera, const std::string& indent) {
  std::string out;
  if (flag(galera, "two_histories")) {
    out += indent +
           "TWO PRIMARY COMPONENTS with different histories: stop one before it is written to\n";
  }
  const Json& members = list(galera, "members");
  out += indent +
         (flag(galera, "primary") ? "primary component of " + word(galera, "uuid")
                                  : "no primary component") +
         ", " + std::to_string(number(galera, "synced")) + " of " + std::to_string(members.size()) +
         " members synced\n";
  std::size_t width = 6;
  for (const Json& member : members) width = std::max(width, word(member, "name").size());
  const auto row = [&](const std::string& name, const std::string& state,
                       const std::string& committed, const std::string& why) {
    char text[160];
    std::snprintf(text, sizeof text, "  %-*s  %-12s  %12s  ", static_cast<int>(width), name.c_str(),
                  state.c_str(), committed.c_str());
    out += indent + text + why + '\n';
  };
  row("member", "state", "committed", "why");
  for (const Json& member : members) {
    const std::int64_t seqno = number(member, "seqno");
    row(word(member, "name"), word(member, "state"), seqno >= 0 ? std::to_string(seqno) : "-",
        word(member, "reason"));
  }
  if (!list(galera, "arbitrators").empty()) {
    out += indent + "  arbitrators: " + std::to_string(number(galera, "arbitrators_seen")) +
           " of " + std::to_string(list(galera, "arbitrators").size()) +
           " seen; they vote and hold no data\n";
  }
  if (const std::string text = word(galera, "recovery_text"); !text.empty()) {
    out += indent + "  recovery: " + text + '\n';
  }
  const std::string words = word(galera, "recovery_words");
  std::string_view words_left = words;
  while (!words_left.empty()) {
    const std::string_view line = words_left.substr(0, words_left.find('\n'));
    words_left.remove_prefix(std::min(line.size() + 1, words_left.size()));
    out += indent + "    " + std::string(line) + '\n';
  }
  return out;
}

}  // namespace nines

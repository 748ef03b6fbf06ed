// One family after another, each with all its members.
#include "galera/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <optional>
#include <set>

namespace nines::galera {

namespace {

constexpr std::array<Health, 8> kStates = {
    Health::kInitialising, Health::kJoining,    Health::kDonor, Health::kDesynced,
    Health::kSynced,       Health::kNonPrimary, Health::kLost,  Health::kRecovering};

std::string escaped(std::string_view label) {
  std::string out;
  for (const char c : label) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '\\' || c == '"') out += '\\';
      out += c;
    }
  }
  return out;
}

std::string number(double value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value);  // the shortest that is exact
  return {text, end.ptr};
}

class Page {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = "nines_galera_" + std::string(name);
    text_ += "# HELP " + name_ + ' ' + std::string(help) + "\n# TYPE " + name_ + ' ' +
             std::string(type) + '\n';
  }
  void sample(const std::string& labels, double value) {
    text_ += name_ + (labels.empty() ? "" : '{' + labels + '}') + ' ' + number(value) + '\n';
  }
  std::string take() { return std::move(text_); }

 private:
  std::string name_, text_;
};

std::string label_of(const MeasuredMember& member) {
  return "member=\"" + escaped(member.name) + '"';
}

// Of the last answer, unless the member is lost since.
const WsrepStatus* current_status(const MeasuredMember& member) {
  const auto& now = member.health->now();
  const auto& status = member.health->status();
  return now && now->health != Health::kLost && status ? &*status : nullptr;
}

bool is_primary(const MeasuredMember& member) {
  const WsrepStatus* const status = current_status(member);
  return status != nullptr && status->is_primary;
}

}  // namespace

std::string render_metrics(const ClusterMeasures& cluster, Instant now) {
  Page page;
  int synced = 0, seen_arbitrators = 0;
  std::set<Uuid> histories;
  for (const MeasuredMember& member : cluster.members) {
    if (member.health->now() && member.health->now()->health == Health::kSynced) ++synced;
    if (!is_primary(member)) continue;
    histories.insert(current_status(member)->position.uuid);
    seen_arbitrators = std::max(seen_arbitrators, current_status(member)->without_data);
  }
  page.family("members", "gauge", "Members with data that the configuration names.");
  page.sample("", static_cast<double>(cluster.members.size()));
  page.family("members_synced", "gauge", "Members that take work.");
  page.sample("", synced);
  page.family("primary", "gauge", "1: a primary component is seen.");
  page.sample("", histories.empty() ? 0 : 1);
  page.family("two_histories", "gauge", "1: two primary components with different histories.");
  page.sample("", histories.size() > 1 ? 1 : 0);
  page.family("arbitrators", "gauge", "Arbitrators that the configuration names.");
  page.sample("", cluster.arbitrators);
  page.family("arbitrators_seen", "gauge", "Arbitrators in the primary component.");
  page.sample("", seen_arbitrators);
  page.family("looks_total", "counter", "Looks at all members since the monitor began.");
  page.sample("", static_cast<double>(cluster.looks));

  page.family("member_state", "gauge", "1 for the state that the member is in, 0 for the others.");
  for (const MeasuredMember& member : cluster.members) {
    for (const Health state : kStates) {
      const auto& entry = member.health->now();
      page.sample(label_of(member) + ",state=\"" + std::string(name_of(state)) + '"',
                  entry && entry->health == state ? 1 : 0);
    }
  }
  page.family("member_state_seconds", "gauge", "How long it has been in that state.");
  for (const MeasuredMember& member : cluster.members) {
    if (!member.health->now()) continue;
    page.sample(label_of(member),
                std::chrono::duration<double>(now - member.health->now()->since).count());
  }
  page.family("member_state_changes_total", "counter", "Changes of its state.");
  for (const MeasuredMember& member : cluster.members) {
    page.sample(label_of(member), static_cast<double>(member.health->changes()));
  }

  const auto of_status = [&](std::string_view name, std::string_view type, std::string_view help,
                             const std::function<std::optional<double>(const WsrepStatus&)>& take) {
    page.family(name, type, help);
    for (const MeasuredMember& member : cluster.members) {
      const WsrepStatus* const status = current_status(member);
      const auto value = status != nullptr ? take(*status) : std::nullopt;
      if (value) page.sample(label_of(member), *value);
    }
  };
  of_status("member_ready", "gauge", "wsrep_ready: it takes statements.",
            [](const WsrepStatus& status) { return status.is_ready ? 1.0 : 0.0; });
  of_status("member_primary", "gauge", "It is in the primary component.",
            [](const WsrepStatus& status) { return status.is_primary ? 1.0 : 0.0; });
  of_status("member_component_size", "gauge", "wsrep_cluster_size, arbitrators among them.",
            [](const WsrepStatus& status) { return static_cast<double>(status.cluster_size); });
  of_status("member_committed_seqno", "gauge", "The last transaction that it committed.",
            [](const WsrepStatus& status) -> std::optional<double> {
              if (status.position.seqno < 0) return std::nullopt;
              return static_cast<double>(status.position.seqno);
            });
  of_status("member_receive_queue", "gauge", "Write sets that wait to be applied.",
            [](const WsrepStatus& status) { return static_cast<double>(status.receive_queue); });
  of_status("member_flow_control_paused_ratio", "gauge",
            "wsrep_flow_control_paused: share of the time in which writes were held up.",
            [](const WsrepStatus& status) { return status.flow_control_paused; });
  of_status(
      "member_flow_control_sent_total", "counter", "Times that it held the others up.",
      [](const WsrepStatus& status) { return static_cast<double>(status.flow_control_sent); });
  of_status("member_desynced", "gauge", "Desynced by hand.",
            [](const WsrepStatus& status) { return status.is_desynced ? 1.0 : 0.0; });
  of_status("member_read_only", "gauge", "read_only is on.",
            [](const WsrepStatus& status) { return status.is_read_only ? 1.0 : 0.0; });
  return page.take();
}

}  // namespace nines::galera

// Tables and JSON of what galera/ finds out.
#include "galera_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <ctime>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "galera/local_member.h"
#include "galera/monitor.h"
#include "galera_audit_command.h"
#include "galera_recover_command.h"
#include "galera_setup.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/processes.h"
#include "node/run_config.h"

namespace nines {

namespace {

using Json = nlohmann::json;

// -- status ---------------------------------------------------------------------------------------

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

void print_json(const galera::Monitor& monitor, const GaleraSetup& setup, Instant now) {
  const Overview overview = overview_of(monitor);
  Json members = Json::array();
  for (const auto& member : monitor.members()) members.push_back(json_of(*member, now));
  Json arbitrators = Json::array();
  for (const auto& address : setup.config.arbitrators) arbitrators.push_back(address.ip_text());
  const Json json = {
      {"primary", !overview.history.empty()},    {"uuid", overview.history},
      {"two_histories", overview.is_split},      {"synced", overview.synced},
      {"well", is_well(overview, setup.config)}, {"members", std::move(members)},
      {"arbitrators", std::move(arbitrators)},   {"arbitrators_seen", overview.arbitrators_seen}};
  std::puts(json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
}

void print_table(const galera::Monitor& monitor, const GaleraSetup& setup) {
  const Overview overview = overview_of(monitor);
  if (overview.is_split) {
    std::puts("TWO PRIMARY COMPONENTS with different histories: stop one before it is written to");
  }
  std::printf("%s, %d of %zu members synced\n",
              overview.history.empty() ? "no primary component"
                                       : ("primary component of " + overview.history).c_str(),
              overview.synced, setup.config.members.size());
  int width = 6;
  for (const auto& member : monitor.members()) {
    width = std::max(width, static_cast<int>(member->name.size()));
  }
  std::printf("  %-*s  %-12s  %12s  %s\n", width, "member", "state", "committed", "why");
  for (const auto& member : monitor.members()) {
    const galera::HealthEntry& entry = *member->health.now();
    const auto& status = member->health.status();
    const bool is_known =
        status && entry.health != galera::Health::kLost && status->position.seqno >= 0;
    std::printf("  %-*s  %-12s  %12s  %s\n", width, member->name.c_str(),
                std::string(galera::name_of(entry.health)).c_str(),
                is_known ? std::to_string(status->position.seqno).c_str() : "-",
                entry.reason.c_str());
  }
  if (!setup.config.arbitrators.empty()) {
    std::printf("  arbitrators: %d of %zu seen; they vote and hold no data\n",
                overview.arbitrators_seen, setup.config.arbitrators.size());
  }
}

std::string clock_text(WallTime at) {
  const std::time_t seconds = at.seconds();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  char whole[48];
  std::snprintf(whole, sizeof whole, "%s.%03dZ", text, at.milliseconds());
  return whole;
}

// Looks again and again, and says what changed.
class Watcher final : private base::Timer {
 public:
  Watcher(io::EpollLoop& loop, galera::Monitor& monitor) : loop_(loop), monitor_(monitor) {}
  void begin() {
    monitor_.look(
        [this](const galera::Monitor::Member& member) {
          const auto& history = member.health.history();
          std::printf("%s %s %s%s%s: %s\n", clock_text(loop_.wall_time()).c_str(),
                      member.name.c_str(), history.empty() ? "" : text(history.back()).c_str(),
                      history.empty() ? "" : " > ", text(*member.health.now()).c_str(),
                      member.health.now()->reason.c_str());
          std::fflush(stdout);
        },
        [this] { loop_.arm(*this, kLookEvery); });
  }

 private:
  static constexpr Duration kLookEvery = std::chrono::seconds(1);
  static std::string text(const galera::HealthEntry& entry) {
    return std::string(galera::name_of(entry.health));
  }
  void on_timer(Instant) override { begin(); }

  io::EpollLoop& loop_;
  galera::Monitor& monitor_;
};

int status(const std::string& config_path, bool json, bool watch) {
  const auto setup = load_galera_setup(config_path);
  if (!setup) return galera_failed(setup.error());
  auto loop = io::EpollLoop::create();
  if (!loop) return galera_failed(loop.error());
  std::vector<galera::MonitoredMember> members;
  for (const node::GaleraMember& member : setup->config.members) {
    members.push_back({member.name, login_of(*setup, member),
                       member.name == setup->config.self ? setup->config.data : ""});
  }
  galera::Monitor monitor(**loop, members);
  if (watch) {
    Watcher watcher(**loop, monitor);
    watcher.begin();
    (*loop)->run();
    return kGaleraGood;
  }
  // A silent member is asked twice: one late answer says nothing.
  int looks_left = galera::MemberHealth::kSilentLooksMax;
  std::function<void()> seen;
  const auto look = [&] { monitor.look([](const auto&) {}, seen); };
  seen = [&] {
    bool is_silent = false;
    for (const auto& member : monitor.members()) {
      is_silent = is_silent || member->health.is_doubtful();
    }
    if (is_silent && --looks_left > 0) {
      look();
    } else {
      (*loop)->stop();
    }
  };
  look();
  (*loop)->run();
  if (json) {
    print_json(monitor, *setup, (*loop)->now());
  } else {
    print_table(monitor, *setup);
  }
  return is_well(overview_of(monitor), setup->config) ? kGaleraGood : kGaleraUnwell;
}

// -- evidence -------------------------------------------------------------------------------------

int evidence(const std::string& config_path, bool is_quick) {
  const auto setup = load_galera_setup(config_path);
  if (!setup) return galera_failed(setup.error());
  const auto options = local_member_of(*setup);
  if (!options) return galera_failed(options.error());
  auto loop = io::EpollLoop::create();
  if (!loop) return galera_failed(loop.error());
  io::LinuxProcesses processes(**loop);
  galera::LocalMember member(**loop, processes, *options);
  int code = kGaleraFailed;
  member.collect(!is_quick, [&](Result<galera::Evidence> found) {
    if (found) {
      std::fputs(galera::render_evidence(*found).c_str(), stdout);
      code = kGaleraGood;
    } else {
      galera_failed(found.error());
    }
    (*loop)->stop();
  });
  (*loop)->run();
  return code;
}

}  // namespace

int galera_command(std::span<char*> arguments) {
  CLI::App app("The Galera cluster that nines.yaml names.", "nines galera");
  app.require_subcommand(1);
  std::string config_path{node::kDefaultRunConfig};
  app.add_option("-c,--config", config_path, "nines.yaml")->capture_default_str()->take_last();
  app.fallthrough();
  bool json = false, watch = false;
  CLI::App* const status_verb = app.add_subcommand("status", "how each member is, and why");
  auto* const json_flag = status_verb->add_flag("--json", json, "for tools");
  status_verb->add_flag("--watch", watch, "look every second and tell each change")
      ->excludes(json_flag);
  status_verb->footer(
      "Exit codes: 0 all members are synced, 1 not all are, 2 usage, 3 could not be asked.");
  CLI::App* const evidence_verb = app.add_subcommand(
      "evidence", "what this host's disk and server say of its member; a recovery decides by it");
  bool quick = false;
  evidence_verb->add_flag("--quick", quick,
                          "do not ask the storage engine of a server that is down");
  evidence_verb->footer("Exit codes: 0 told, 2 usage, 3 could not be found out.");
  GaleraAuditOptions audit;
  CLI::App* const audit_verb = add_galera_audit(app, audit);
  GaleraRecoverOptions recover;
  CLI::App* const recover_verb = add_galera_recover(app, recover);
  GaleraMemberOptions step;
  CLI::App* const member_verb = add_galera_member(app, step);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kGaleraGood : kGaleraUsage;
  }
  if (status_verb->parsed()) return status(config_path, json, watch);
  if (audit_verb->parsed()) return galera_audit(config_path, audit);
  if (member_verb->parsed()) return galera_member(config_path, step);
  if (recover_verb->parsed()) return galera_recover(config_path, recover);
  return evidence_verb->parsed() ? evidence(config_path, quick) : kGaleraUsage;
}

}  // namespace nines

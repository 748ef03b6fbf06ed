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

#include "base/stable_sort.h"
#include "galera/local_member.h"
#include "galera/monitor.h"
#include "galera_audit_command.h"
#include "galera_recover_command.h"
#include "galera_restart_command.h"
#include "galera_setup.h"
#include "galera_view.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/processes.h"
#include "node/run_config.h"
#include "run_control.h"

namespace nines {

namespace {

using Json = nlohmann::json;

// -- status ---------------------------------------------------------------------------------------

// UTC, of seconds since 1970.
std::string clock_text(double at) {
  const auto seconds = static_cast<std::time_t>(at);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  char whole[48];
  std::snprintf(whole, sizeof whole, "%s.%03dZ", text,
                static_cast<int>((at - static_cast<double>(seconds)) * 1000));
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
          std::printf("%s %s %s%s%s: %s\n",
                      clock_text(static_cast<double>(loop_.wall_time().seconds()) +
                                 loop_.wall_time().milliseconds() / 1000.0)
                          .c_str(),
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
    const bool is_here = member.name == setup->config.self;
    members.push_back({member.name, login_of(*setup, member), is_here ? setup->config.data : "",
                       is_here ? setup->config.state : ""});
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
  const Json told = galera_json(monitor, setup->config, (*loop)->now());
  if (json) {
    std::puts(told.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    std::fputs(render_galera_table(told, "").c_str(), stdout);
  }
  return is_galera_well(monitor, setup->config) ? kGaleraGood : kGaleraUnwell;
}

// -- what the daemon knows ------------------------------------------------------------------------

Result<std::string> ask_manager(const std::string& config_path, std::string_view request) {
  const node::RunConfig config = TRY(load_galera_run_config(config_path));
  std::string reply = TRY(ask_daemon(config.control, request));
  const Json json = Json::parse(reply, nullptr, false);
  if (json.is_object() && json.contains("error")) {
    return Error(ErrorCode::kUnavailable, json.value("error", Json()).dump());
  }
  return reply;
}

// Every change of every member that the daemon has seen, in the order of time.
int history(const std::string& config_path, bool as_json) {
  const auto reply = ask_manager(config_path, "galera status");
  if (!reply) return galera_failed(reply.error());
  const Json told = Json::parse(*reply, nullptr, false);
  if (!told.is_object() || !told.contains("members")) {
    return galera_failed(Error(ErrorCode::kInvalid, "the daemon tells no members"));
  }
  timespec at{};
  ::clock_gettime(CLOCK_REALTIME, &at);
  const double now = static_cast<double>(at.tv_sec) + static_cast<double>(at.tv_nsec) / 1e9;
  struct Line {
    double at;
    std::string member, state, reason;
  };
  std::vector<Line> lines;
  for (const Json& member : told["members"]) {
    const auto add = [&](const Json& entry) {
      lines.push_back({now - entry.value("since_s", 0.0), member.value("name", ""),
                       entry.value("state", ""), entry.value("reason", "")});
    };
    for (const Json& earlier : member.value("history", Json::array())) add(earlier);
    add(member);
  }
  sort_stably(lines, [](const Line& a, const Line& b) { return a.at < b.at; });
  Json all = Json::array();
  for (const Line& line : lines) {
    const std::string when = clock_text(line.at);
    if (as_json) {
      all.push_back(
          {{"at", when}, {"member", line.member}, {"state", line.state}, {"reason", line.reason}});
    } else {
      std::printf("%s %s %s: %s\n", when.c_str(), line.member.c_str(), line.state.c_str(),
                  line.reason.c_str());
    }
  }
  if (as_json) std::puts(all.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  return kGaleraGood;
}

int metrics(const std::string& config_path) {
  const auto reply = ask_manager(config_path, "galera metrics");
  if (!reply) return galera_failed(reply.error());
  std::fputs(reply->c_str(), stdout);
  return kGaleraGood;
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
  CLI::App* const history_verb = app.add_subcommand(
      "history", "every change of state that this host's daemon has seen, with its reason");
  bool history_json = false;
  history_verb->add_flag("--json", history_json, "for tools");
  history_verb->footer("Exit codes: 0 told, 2 usage, 3 no daemon watches the cluster here.");
  CLI::App* const metrics_verb = app.add_subcommand(
      "metrics", "what this host's daemon knows, in Prometheus's text exposition format");
  metrics_verb->footer("Exit codes: 0 told, 2 usage, 3 no daemon watches the cluster here.");
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
  GaleraRestartOptions restart;
  CLI::App* const restart_verb = add_galera_restart(app, restart);
  GaleraMemberOptions step;
  CLI::App* const member_verb = add_galera_member(app, step);
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kGaleraGood : kGaleraUsage;
  }
  if (status_verb->parsed()) return status(config_path, json, watch);
  if (history_verb->parsed()) return history(config_path, history_json);
  if (metrics_verb->parsed()) return metrics(config_path);
  if (audit_verb->parsed()) return galera_audit(config_path, audit);
  if (restart_verb->parsed()) return galera_restart(config_path, restart);
  if (member_verb->parsed()) return galera_member(config_path, step);
  if (recover_verb->parsed()) return galera_recover(config_path, recover);
  return evidence_verb->parsed() ? evidence(config_path, quick) : kGaleraUsage;
}

}  // namespace nines

// The drills' command line, their table and their JSON.
#include "drill_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include <unistd.h>

#include "cloud_drill_command.h"
#include "drill_rounds_command.h"
#include "lab/drill_plan.h"
#include "lab/drill_report.h"
#include "lab/drill_run.h"
#include "lab/engine_plan.h"
#include "lab/lab_plan.h"
#include "lab/rough_line.h"

namespace nines {
namespace {

using Json = nlohmann::json;

constexpr int kExitBroken = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoLab = 3;
constexpr int kRunsMax = 1000;
constexpr int kTermMinMs = 50;  // as nines.yaml takes it
constexpr int kTermMaxMs = 10'000;

Json milliseconds(std::optional<Duration> duration) {
  if (!duration) return nullptr;
  return static_cast<double>(duration->count() / 1000) / 1000;
}

Json ownership_to_json(const lab::PhaseReport& report) {
  if (!report.ownership) return nullptr;
  const auto spans = [](const lab::OwnershipSpans& each) {
    return Json{{"count", each.count},
                {"total_ms", milliseconds(each.total)},
                {"longest_ms", milliseconds(each.longest)}};
  };
  const auto& found = *report.ownership;
  return {{"before", found.before},
          {"after", found.after},
          {"cut_off_before", found.cut_off_before},
          {"cut_off_after", found.cut_off_after},
          {"nobody", spans(found.nobody)},
          {"overlap", spans(found.overlap)},
          {"overlap_with_cut_off", spans(found.overlap_with_cut_off)},
          {"announced", found.announced},
          {"story", lab::render_timeline(found)},
          {"complete", found.complete}};
}

Json peers_to_json(const std::optional<lab::PhaseReport::Peers>& peers) {
  if (!peers) return nullptr;
  Json standing = Json::array();
  for (const auto& each : peers->rules.standing) {
    standing.push_back({{"host", each.host},
                        {"against", each.against},
                        {"begin_ms", milliseconds(each.begin)},
                        {"end_ms", milliseconds(each.end)}});
  }
  Json back = Json::object();
  for (const auto& [service, after] : peers->services_back) back[service] = milliseconds(after);
  const auto& rules = peers->rules;
  const auto& clients = peers->clients;
  return {{"doubted_ms", milliseconds(peers->doubted)},
          {"verdict_first_ms", milliseconds(peers->verdict_first)},
          {"verdict_last_ms", milliseconds(peers->verdict_last)},
          {"reached_ms", milliseconds(peers->reached)},
          {"rules",
           {{"first_ms", milliseconds(rules.first)},
            {"all_ms", milliseconds(rules.all)},
            {"begun", rules.begun},
            {"gone_after_ms", milliseconds(rules.gone_after)},
            {"outlived", rules.outlived},
            {"against_most", rules.against_most},
            {"verdicts_most", rules.verdicts_most},
            {"standing", standing},
            {"complete", rules.complete}}},
          {"clients",
           {{"told_ms", milliseconds(clients.told)},
            {"refused_ms", milliseconds(clients.refused)},
            {"refusal_took_ms", milliseconds(clients.refusal_took)},
            {"waited_ms", milliseconds(clients.waited)},
            {"connected_ms", milliseconds(clients.connected)},
            {"refused_there", clients.refused_there}}},
          {"services_back_ms", back}};
}

Json audit_to_json(const std::optional<lab::TokenAudit>& audit) {
  if (!audit) return nullptr;
  return {{"asked", audit->asked}, {"valid", audit->valid}};
}

Json to_json(const lab::PhaseReport& report) {
  Json services = Json::array();
  for (const auto& each : report.services) {
    services.push_back({{"proxy", each.proxy},
                        {"requests", each.requests},
                        {"failed", each.failed},
                        {"failed_in_flight", each.failed_in_flight},
                        {"slow", each.slow},
                        {"unfinished", each.unfinished},
                        {"slowest_ms", milliseconds(each.slowest)},
                        {"longest_gap_ms", milliseconds(each.gap_longest)},
                        {"first_success_ms", milliseconds(each.first_success)},
                        {"reasons", each.reasons}});
  }
  return {{"scenario", report.scenario},
          {"phase", report.phase},
          {"watched", report.watched_proxy},
          {"length_ms", milliseconds(report.length)},
          {"detected_ms", milliseconds(report.detected)},
          {"decided_ms", milliseconds(report.decided)},
          {"acted_ms", milliseconds(report.acted)},
          {"answered_by", report.answered_by},
          {"host", report.host},
          {"holder_before", report.holder_before},
          {"holder_after", report.holder_after},
          {"outage_ms", milliseconds(report.outage)},
          {"ownership", ownership_to_json(report)},
          {"peers", peers_to_json(report.peers)},
          {"sessions_broken", report.sessions_broken},
          {"lasting_sessions_at", report.lasting_at},
          {"new_sessions_at", report.new_at},
          {"spread", report.spread},
          {"tokens_valid_before", audit_to_json(report.tokens_before)},
          {"tokens_valid_within", audit_to_json(report.tokens_within)},
          {"hazards", report.hazards},
          {"same_process", report.same_process},
          {"held", report.broken.empty()},
          {"broken", report.broken},
          {"services", services}};
}

int list() {
  for (const auto& scenario : lab::scenarios()) {
    std::printf("%-16s %s\n", std::string(scenario.name).c_str(),
                std::string(scenario.what).c_str());
  }
  return 0;
}

}  // namespace

int drill_command(std::span<char*> arguments) {
  CLI::App app(
      "Breaks things in a lab while clients send whole requests, and says what they "
      "noticed. Without a scenario all are run.",
      "nines drill");
  std::vector<std::string> names;
  std::string lab_name{lab::kDefaultLabName};
  bool json = false;
  bool listing = false;
  app.add_option("scenario", names, "see --list");
  app.add_option("--name", lab_name, "which lab")->capture_default_str();
  app.add_flag("--json", json, "for tools");
  app.add_flag("--list", listing, "what there is, and nothing else");
  DrillRoundsWords rounds;
  std::string rows_from;
  app.add_option("--runs", rounds.runs, "how often; one table of all runs, with medians")
      ->check(CLI::Range(1, kRunsMax));
  std::string engines;
  auto* turns =
      app.add_option("--engines", engines,
                     "such as nines,lease,passive,incumbent: in turns, in labs made for each run")
          ->excludes("--name");
  bool incumbent = false;
  auto* beside = app.add_flag("--incumbent", incumbent, "the same as --engines nines,incumbent")
                     ->excludes("--name")
                     ->excludes(turns);
  app.add_option("--services", rounds.services, "of those labs: stand-ins, real or openstack");
  app.add_option("--config", rounds.configuration_path,
                 "a haproxy.cfg for those labs; without it the example of OpenStack");
  app.add_option("--priorities", rounds.priorities,
                 "of those labs' controllers, such as 254,253,252; without it 3,2,1");
  int term_ms = 0;
  app.add_option("--term", term_ms,
                 "milliseconds of those labs' leases; without it as they come, which is too short "
                 "for a --delay of 20")
      ->check(CLI::Range(kTermMinMs, kTermMaxMs));
  app.add_option("--reconnect-delay", rounds.reconnect_delay_ms,
                 "milliseconds that an OpenStack's programs wait before they ask another RabbitMQ "
                 "(kombu_reconnect_delay); without it as they come: 1000")
      ->check(CLI::Range(0, static_cast<int>(milliseconds_of(lab::kReconnectDelayMax))));
  app.add_option("--loss", rounds.conditions.loss,
                 "percent of the controllers' frames that are lost meanwhile, in each direction")
      ->check(CLI::Range(0, lab::kLossMax - 1));
  int delay_ms = 0;
  app.add_option("--delay", delay_ms, "milliseconds by which they are late, in each direction")
      ->check(CLI::Range(0, static_cast<int>(milliseconds_of(lab::kLineDelayMax))));
  app.add_flag("--load", rounds.conditions.load,
               "all processors are busy meanwhile, twice over, at the usual priority");
  auto* rows = app.add_option("--rows", rounds.rows, "a file to keep each run's figures in");
  app.add_flag("--resume", rounds.resume,
               "of an OpenStack: runs whose figures are in that file already are not made again")
      ->needs(rows);
  app.add_flag("--markdown", rounds.markdown, "the table of runs for a document");
  app.add_option("--svg", rounds.picture, "a file for a picture of each drill, second by second");
  app.add_option("--story", rounds.stories, "a file to keep what is drawn there");
  auto* from = app.add_option("--from", rows_from,
                              "no drill: the table of the rows kept in this file; with --svg the "
                              "picture of the stories kept there");
  from->excludes(turns, beside)->excludes("--runs", "--rows", "--story");
  std::vector<std::string> reversed;
  for (std::size_t i = arguments.size(); i > 0; --i) reversed.emplace_back(arguments[i - 1]);
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (incumbent) engines = "nines,incumbent";
  if (*turns || incumbent) {
    auto kinds = lab::parse_moving_engines(engines);
    if (!kinds.has_value()) {
      std::fprintf(stderr, "nines drill: %s\n", kinds.error().message().c_str());
      return kExitUsage;
    }
    rounds.engines = *std::move(kinds);
  }
  if (!rounds.priorities.empty() && rounds.engines.empty()) {
    std::fputs("nines drill: --priorities needs --engines or --incumbent\n", stderr);
    return kExitUsage;
  }
  if (term_ms > 0 && rounds.engines.empty()) {
    std::fputs("nines drill: --term needs --engines\n", stderr);
    return kExitUsage;
  }
  if (rounds.reconnect_delay_ms >= 0 &&
      (rounds.engines.empty() || rounds.services != lab::name_of(lab::ServiceSource::kOpenStack))) {
    std::fputs("nines drill: --reconnect-delay needs --services openstack and --engines\n", stderr);
    return kExitUsage;
  }
  rounds.term = std::chrono::milliseconds(term_ms);
  rounds.conditions.delay = std::chrono::milliseconds(delay_ms);
  if (rounds.services == lab::name_of(lab::ServiceSource::kOpenStack)) {
    if (!rounds.conditions.is_usual()) {
      std::fputs("nines drill: --loss, --delay and --load do not go with an OpenStack\n", stderr);
      return kExitUsage;
    }
    if (listing) return list_cloud_drills(), 0;
    if (!rows_from.empty()) {
      return rounds.picture.empty() ? show_cloud_rows(rows_from, rounds.markdown)
                                    : draw_kept_stories(rows_from, rounds.picture);
    }
    rounds.lab = rounds.engines.empty() ? lab_name : "drill-" + std::to_string(::getpid());
    rounds.json = json;
    return run_cloud_drills(rounds, names);
  }
  if (rounds.resume) {
    std::fputs("nines drill: --resume goes with --services openstack\n", stderr);
    return kExitUsage;
  }
  if ((!rounds.services.empty() || !rounds.configuration_path.empty()) && rounds.engines.empty()) {
    std::fputs("nines drill: --services and --config need --engines or --incumbent\n", stderr);
    return kExitUsage;
  }
  if (listing) return list();
  if (!rows_from.empty()) {
    return rounds.picture.empty() ? show_drill_rounds(rows_from, rounds.markdown)
                                  : draw_kept_stories(rows_from, rounds.picture);
  }

  lab::DrillWishes wishes{.lab = lab_name,
                          .scenarios = {},
                          .progress = {},
                          .phase_finished = {},
                          .story_told = {},
                          .conditions = rounds.conditions};
  for (const auto& name : names) {
    const auto* scenario = lab::find_scenario(name);
    if (scenario == nullptr) {
      std::fprintf(stderr, "nines drill: no scenario '%s'; there are:\n", name.c_str());
      for (const auto& each : lab::scenarios()) {
        std::fprintf(stderr, "  %s\n", std::string(each.name).c_str());
      }
      return kExitUsage;
    }
    wishes.scenarios.push_back(scenario);
  }
  if (names.empty()) {
    // All that make sense there and do not take too long.
    const bool moves = !rounds.engines.empty() || lab::has_moving_address(lab_name);
    for (const auto& each : lab::scenarios()) {
      if (!each.by_name && (moves || !each.needs_engine)) wishes.scenarios.push_back(&each);
    }
  }
  if (!rounds.engines.empty() || rounds.runs > 1 || !rounds.rows.empty()) {
    rounds.lab = rounds.engines.empty() ? lab_name : "drill-" + std::to_string(::getpid());
    rounds.scenarios = wishes.scenarios;
    rounds.json = json;
    return run_drill_rounds(rounds);
  }
  // Progress is for people, beside the result and never in it.
  wishes.progress = [](std::string_view line) {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  };
  wishes.phase_finished = [](const lab::PhaseReport& report) {
    std::fprintf(stderr, "  %s: %s\n", report.phase.c_str(),
                 report.broken.empty() ? "held" : "BROKEN");
  };
  std::vector<lab::DrillStory> stories;
  if (!rounds.picture.empty() || !rounds.stories.empty()) {
    wishes.story_told = [&](lab::DrillStory story) { stories.push_back(std::move(story)); };
  }
  const auto reports = lab::run_drills(wishes);
  if (!reports.has_value()) {
    std::fprintf(stderr, "nines drill: %s\n", reports.error().message().c_str());
    return reports.error().code() == ErrorCode::kNotFound ? kExitNoLab : kExitBroken;
  }
  if (const int status = keep_stories(stories, rounds.picture, rounds.stories); status != 0) {
    return status;
  }
  bool held = true;
  for (const auto& report : *reports) held = held && report.broken.empty();
  if (json) {
    Json phases = Json::array();
    for (const auto& report : *reports) phases.push_back(to_json(report));
    std::printf("%s\n",
                Json{{"lab", lab_name}, {"held", held}, {"phases", phases}}.dump(2).c_str());
  } else {
    std::fprintf(stderr, "\n");
    std::fputs(lab::render_table(*reports).c_str(), stdout);
  }
  return held ? 0 : kExitBroken;
}

}  // namespace nines

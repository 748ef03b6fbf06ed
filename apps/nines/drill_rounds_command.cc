// Labs to contenders, series to a table or a file.
#include "drill_rounds_command.h"

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include <sys/utsname.h>
#include <unistd.h>

#include "io/linux/files.h"
#include "lab/default_configuration.h"
#include "lab/drill_picture.h"
#include "lab/drill_rounds.h"
#include "lab/drill_series.h"
#include "lab/engine_plan.h"
#include "lab/lab_control.h"
#include "lab/lab_plan.h"
#include "lab_command.h"
#include "version.h"

namespace nines {
namespace {

using Json = nlohmann::json;

constexpr int kExitBroken = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoLab = 3;
constexpr unsigned kFileMode = 0644;
constexpr int kControllers = 3;

// As the table's columns are called.
std::string title_of(lab::EngineKind kind) {
  switch (kind) {
    case lab::EngineKind::kNines:
      return "nines";
    case lab::EngineKind::kLease:
      return "nines (lease)";
    case lab::EngineKind::kPassive:
      return "nines (passive)";
    case lab::EngineKind::kIncumbent:
      return "keepalived+HAProxy";
    case lab::EngineKind::kBalancer:
      break;
  }
  return "one balancer";
}

Result<lab::Contender> contender_of(lab::EngineKind kind, const DrillRoundsWords& words) {
  std::string configuration(lab::default_configuration());
  if (!words.configuration_path.empty()) {
    configuration = TRY(io::LinuxFiles().read(words.configuration_path));
  }
  lab::LabWishes wishes{.name = words.lab + '-' + std::string(lab::name_of(kind)),
                        .controllers = kControllers,
                        .configuration = std::move(configuration),
                        .engine = kind,
                        .services = words.services.empty()
                                        ? lab::ServiceSource::kStandIns
                                        : TRY(lab::find_services(words.services)),
                        .cluster_key = TRY(lab_cluster_key()),
                        .term = words.term,
                        .self = std::filesystem::read_symlink("/proc/self/exe")};
  if (words.reconnect_delay_ms >= 0) {
    wishes.tuning.reconnect_delay = std::chrono::milliseconds(words.reconnect_delay_ms);
  }
  wishes.listener_keys = TRY(lab_listener_keys(wishes.cluster_key));
  if (!words.priorities.empty()) {
    wishes.priorities = TRY(lab::parse_priorities(words.priorities, kControllers));
  }
  return lab::Contender{
      .engine = title_of(kind), .lab = wishes.name, .plan = TRY(lab::plan_lab(wishes))};
}

// The lab that is up already, called by its engine.
Result<lab::Contender> contender_that_is_up(const std::string& name) {
  const auto control = TRY(lab::LabControl::open(name));
  const Json status = Json::parse(TRY(control.ask(R"({"do":"status"})")), nullptr, false);
  const auto kind = status.is_object() && status.contains("engine") && status["engine"].is_string()
                        ? lab::find_engine_kind(status["engine"].get<std::string>())
                        : std::nullopt;
  if (!kind) return Error(ErrorCode::kInvalid, "lab '" + name + "' does not say its engine");
  return lab::Contender{.engine = title_of(*kind), .lab = name, .plan = std::nullopt};
}

void print_table(const lab::DrillSeries& series, bool markdown) {
  const auto style = markdown ? lab::TableStyle::kMarkdown : lab::TableStyle::kPlain;
  std::fputs(lab::render_series(series.rows, style).c_str(), stdout);
  for (const auto& each : series.failed) std::printf("failed: %s\n", each.c_str());
}

// Where several engines drill, the incumbents' failures are theirs.
bool ours_held(const lab::DrillSeries& series, bool several) {
  const std::string theirs = several ? title_of(lab::EngineKind::kIncumbent) : "";
  bool held = true;
  for (const auto& row : series.rows) held = held && (row.held || row.engine == theirs);
  for (const auto& each : series.failed) held = held && several && each.starts_with(theirs + ',');
  return held;
}

int fail(const Error& error, int status) {
  std::fprintf(stderr, "nines drill: %s\n", error.message().c_str());
  return status;
}

}  // namespace

Result<std::vector<lab::Contender>> contenders_of(const DrillRoundsWords& words) {
  std::vector<lab::Contender> contenders;
  if (words.engines.empty()) {
    contenders.push_back(TRY(contender_that_is_up(words.lab)));
    return contenders;
  }
  for (const auto kind : words.engines) {
    contenders.push_back(TRY(contender_of(kind, words)));
  }
  return contenders;
}

std::map<std::string, std::string> facts_of_machine(const DrillRoundsWords& words) {
  std::map<std::string, std::string> facts;
  facts["nines"] = kVersion;
  facts["processors"] = std::to_string(::sysconf(_SC_NPROCESSORS_ONLN));
  if (!words.services.empty()) facts["services"] = words.services;
  facts["priorities"] = words.priorities.empty() ? "3,2,1" : words.priorities;
  if (words.term > Duration(0)) {
    facts["term"] = std::to_string(milliseconds_of(words.term)) + " ms";
  }
  if (words.reconnect_delay_ms >= 0) {
    facts["kombu_reconnect_delay"] = std::to_string(words.reconnect_delay_ms) + " ms";
  }
  if (!words.conditions.is_usual()) facts["conditions"] = lab::text_of(words.conditions);
  utsname names{};
  if (::uname(&names) == 0) facts["kernel"] = names.release;
  double load = 0;
  if (::getloadavg(&load, 1) == 1) {
    std::array<char, 32> text;
    std::snprintf(text.data(), text.size(), "%.2f", load);
    facts["load at the start"] = text.data();
  }
  return facts;
}

bool keep_file(const std::string& path, const std::string& text) {
  io::LinuxFiles files;
  const auto kept = files.replace(path, text, kFileMode);
  if (!kept.has_value()) fail(kept.error(), kExitBroken);
  return kept.has_value();
}

int keep_stories(const std::vector<lab::DrillStory>& stories, const std::string& picture,
                 const std::string& kept) {
  if (!picture.empty() && !keep_file(picture, lab::draw_stories(stories))) return kExitBroken;
  if (!kept.empty() && !keep_file(kept, lab::to_text(stories))) return kExitBroken;
  return 0;
}

int draw_kept_stories(const std::string& from, const std::string& picture) {
  io::LinuxFiles files;
  const auto text = files.read(from);
  if (!text.has_value()) return fail(text.error(), kExitUsage);
  auto stories = lab::parse_drill_stories(*text);
  if (!stories.has_value()) return fail(std::move(stories).error().with_context(from), kExitUsage);
  return keep_stories(*stories, picture, "");
}

int run_drill_rounds(const DrillRoundsWords& words) {
  auto contenders = contenders_of(words);
  if (!contenders.has_value()) {
    return fail(contenders.error(), words.engines.empty() ? kExitNoLab : kExitUsage);
  }
  const auto facts = facts_of_machine(words);
  const bool stories = !words.picture.empty() || !words.stories.empty();
  const lab::RoundsWishes wishes{.contenders = *contenders,
                                 .runs = words.runs,
                                 .scenarios = words.scenarios,
                                 .conditions = words.conditions,
                                 .stories = stories,
                                 .round_finished =
                                     [&](const lab::DrillSeries& series) {
                                       if (words.rows.empty()) return;
                                       lab::DrillSeries so_far = series;
                                       so_far.about = facts;
                                       keep_file(words.rows, to_text(so_far));
                                     },
                                 .progress =
                                     [](std::string_view line) {
                                       std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()),
                                                    line.data());
                                     }};
  auto result = lab::run_rounds(wishes);
  if (!result.has_value()) return fail(result.error(), kExitBroken);
  auto& series = result->series;
  series.about = facts;
  const std::string text = to_text(series);
  // Again, for its status.
  if (!words.rows.empty() && !keep_file(words.rows, text)) return kExitBroken;
  if (const int status = keep_stories(result->stories, words.picture, words.stories); status != 0) {
    return status;
  }
  if (words.json) {
    std::fputs(text.c_str(), stdout);
  } else {
    std::fprintf(stderr, "\n");
    print_table(series, words.markdown);
  }
  return ours_held(series, words.engines.size() > 1) ? 0 : kExitBroken;
}

int show_drill_rounds(const std::string& path, bool markdown) {
  io::LinuxFiles files;
  const auto text = files.read(path);
  if (!text.has_value()) return fail(text.error(), kExitUsage);
  auto series = lab::parse_drill_series(*text);
  if (!series.has_value()) return fail(std::move(series).error().with_context(path), kExitUsage);
  print_table(*series, markdown);
  return 0;
}

}  // namespace nines

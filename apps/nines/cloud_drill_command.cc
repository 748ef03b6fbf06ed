// A run is a process of its own, since it moves into the client's network for good; what it has
// measured comes back in files without names.
#include "cloud_drill_command.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <functional>
#include <string_view>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/linux/descriptor.h"
#include "io/linux/files.h"
#include "lab/cloud_drill.h"
#include "lab/cloud_report.h"
#include "lab/drill_rounds.h"
#include "lab/lab_control.h"

namespace nines {
namespace {

constexpr int kExitBroken = 1;
constexpr int kExitUsage = 2;
constexpr int kExitNoLab = 3;

bool hand_over(int file, std::string_view text) {
  return io::write_all(file, text, "a run's result").has_value();
}

void say(std::string_view line) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

sigset_t watched_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int each : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&signals, each);
  return signals;
}

// The life of a run's process; its exit status. `rows` gets the row, or the reason why there is
// none.
int drill(const lab::CloudWishes& wishes, int rows, int stories) {
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  const auto result = lab::run_cloud_drill(wishes);
  if (!result.has_value()) {
    static_cast<void>(hand_over(rows, result.error().message()));
    return kExitBroken;
  }
  lab::CloudSeries series;
  series.rows.push_back(result->row);
  const std::array story = {result->story};
  return hand_over(rows, to_text(series)) && hand_over(stories, lab::to_text(story)) ? 0
                                                                                     : kExitBroken;
}

// All runs. Signals are blocked meanwhile: an interrupt is handed to the run, which mends first.
class CloudRounds {
 public:
  CloudRounds(const DrillRoundsWords& words, std::vector<const lab::CloudScenario*> scenarios,
              std::vector<lab::Contender> contenders)
      : words_(words), scenarios_(std::move(scenarios)), contenders_(std::move(contenders)) {
    series_.about = facts_of_machine(words);
    const sigset_t signals = watched_signals();
    ::sigprocmask(SIG_BLOCK, &signals, &before_);
  }
  ~CloudRounds() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }
  CloudRounds(const CloudRounds&) = delete;
  CloudRounds& operator=(const CloudRounds&) = delete;

  // What an interrupted series has kept; an error when it is no such file.
  Result<void> resume() {
    io::LinuxFiles files;
    const auto kept = files.read(words_.rows);
    if (!kept.has_value() && kept.error().code() == ErrorCode::kNotFound) return {};
    if (!kept.has_value()) return kept.error();
    series_.rows = TRY(lab::parse_cloud_series(*kept)).rows;
    if (words_.stories.empty()) return {};
    if (const auto told = files.read(words_.stories); told.has_value()) {
      stories_ = TRY(lab::parse_drill_stories(*told));
    }
    return {};
  }

  // False: interrupted.
  bool run() {
    for (int round = 1; round <= words_.runs; ++round) {
      for (const auto* scenario : scenarios_) {
        for (const auto& contender : contenders_) {
          if (is_there(*scenario, contender, round)) continue;
          say(std::string(scenario->name) + ", " + contender.engine + ", run " +
              std::to_string(round) + " of " + std::to_string(words_.runs));
          auto row = run_once(*scenario, contender, round);
          if (interrupted()) return false;
          if (row.has_value()) {
            series_.rows.push_back(*std::move(row));
          } else {
            series_.failed.push_back(std::string(scenario->name) + ", " + contender.engine +
                                     ", run " + std::to_string(round) + ": " +
                                     row.error().message());
            say("  failed: " + row.error().message());
          }
          // After each: who interrupts a long series keeps what there is.
          if (!words_.rows.empty()) keep_file(words_.rows, to_text(series_));
          if (!words_.stories.empty()) keep_file(words_.stories, lab::to_text(stories_));
        }
      }
    }
    return true;
  }

  const lab::CloudSeries& series() const { return series_; }
  const std::vector<lab::DrillStory>& stories() const { return stories_; }

 private:
  bool is_there(const lab::CloudScenario& scenario, const lab::Contender& contender,
                int run) const {
    return std::any_of(series_.rows.begin(), series_.rows.end(), [&](const lab::CloudRow& row) {
      return row.scenario == scenario.name && row.engine == contender.engine && row.run == run;
    });
  }

  Result<lab::CloudRow> run_once(const lab::CloudScenario& scenario,
                                 const lab::Contender& contender, int run) {
    if (contender.plan) TRY(lab::bring_lab_up(*contender.plan, [](std::string_view) {}));
    auto row = interrupted() ? Error(ErrorCode::kRefused, "interrupted")
                             : drill_once(scenario, contender, run);
    if (!contender.plan) return row;
    auto down = lab::take_lab_down(contender.lab);
    if (row.has_value() && !down.has_value()) return std::move(down).error();
    return row;
  }

  Result<lab::CloudRow> drill_once(const lab::CloudScenario& scenario,
                                   const lab::Contender& contender, int run) {
    const io::Descriptor rows(::memfd_create("rows", MFD_CLOEXEC));
    const io::Descriptor stories(::memfd_create("stories", MFD_CLOEXEC));
    if (!rows || !stories) return Error::from_errno(errno, "memfd_create");
    const lab::CloudWishes wishes{
        .lab = contender.lab,
        .engine = contender.engine,
        .scenario = &scenario,
        .run = run,
        .shift = lab::shift_of_run(run),
        .mend = !contender.plan,
        .progress = [](std::string_view line) { say("  " + std::string(line)); }};
    std::fflush(nullptr);
    const int child = ::fork();
    if (child < 0) return Error::from_errno(errno, "fork");
    if (child == 0) {
      const int status = drill(wishes, rows.get(), stories.get());
      std::fflush(nullptr);
      ::_exit(status);
    }
    const int status = wait_for(child);
    const std::string text = TRY(io::read_from_begin(rows.get(), "a run's row"));
    if (!WIFEXITED(status)) {
      return Error(ErrorCode::kUnavailable,
                   "the drill was killed by signal " + std::to_string(WTERMSIG(status)));
    }
    if (WEXITSTATUS(status) != 0) return Error(ErrorCode::kUnavailable, text);
    // Of each engine's first run.
    if (run == 1) {
      const std::string told = TRY(io::read_from_begin(stories.get(), "a run's story"));
      for (auto& each : TRY(lab::parse_drill_stories(told))) {
        stories_.push_back(std::move(each));
      }
    }
    return TRY(lab::parse_cloud_series(text)).rows.front();
  }

  // Its status, as waitpid() has it.
  int wait_for(int child) {
    const sigset_t signals = watched_signals();
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) != child) {
      const int signal = ::sigwaitinfo(&signals, nullptr);
      if (signal != SIGINT && signal != SIGTERM) continue;
      interrupted_ = true;
      ::kill(child, SIGTERM);
    }
    return status;
  }

  bool interrupted() {
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    const timespec now{};
    if (::sigtimedwait(&both, nullptr, &now) > 0) interrupted_ = true;
    return interrupted_;
  }

  const DrillRoundsWords& words_;
  std::vector<const lab::CloudScenario*> scenarios_;
  std::vector<lab::Contender> contenders_;
  lab::CloudSeries series_;
  std::vector<lab::DrillStory> stories_;
  sigset_t before_{};
  bool interrupted_ = false;
};

}  // namespace

int run_cloud_drills(const DrillRoundsWords& words, const std::vector<std::string>& names) {
  std::vector<const lab::CloudScenario*> scenarios;
  for (const auto& name : names) {
    scenarios.push_back(lab::find_cloud_scenario(name));
    if (scenarios.back() != nullptr) continue;
    say("nines drill: no scenario '" + name + "' of an OpenStack; there are:");
    for (const auto& each : lab::cloud_scenarios()) say("  " + std::string(each.name));
    return kExitUsage;
  }
  if (names.empty()) {
    for (const auto& each : lab::cloud_scenarios()) scenarios.push_back(&each);
  }
  auto contenders = contenders_of(words);
  if (!contenders.has_value()) {
    say("nines drill: " + contenders.error().message());
    return words.engines.empty() ? kExitNoLab : kExitUsage;
  }
  CloudRounds rounds(words, std::move(scenarios), *std::move(contenders));
  if (words.resume) {
    if (const auto kept = rounds.resume(); !kept.has_value()) {
      say("nines drill: " + words.rows + ": " + kept.error().message());
      return kExitUsage;
    }
  }
  const bool whole = rounds.run();
  if (const int status = keep_stories(rounds.stories(), words.picture, words.stories);
      status != 0) {
    return status;
  }
  if (words.json) {
    std::fputs(to_text(rounds.series()).c_str(), stdout);
  } else {
    const auto style = words.markdown ? lab::TableStyle::kMarkdown : lab::TableStyle::kPlain;
    std::fputs(render_cloud_series(rounds.series().rows, style).c_str(), stdout);
    for (const auto& each : rounds.series().failed) std::printf("failed: %s\n", each.c_str());
  }
  return whole && rounds.series().failed.empty() ? 0 : kExitBroken;
}

int show_cloud_rows(const std::string& path, bool markdown) {
  io::LinuxFiles files;
  const auto text = files.read(path);
  const auto series =
      text.has_value() ? lab::parse_cloud_series(*text) : Result<lab::CloudSeries>(text.error());
  if (!series.has_value()) {
    say("nines drill: " + path + ": " + series.error().message());
    return kExitUsage;
  }
  const auto style = markdown ? lab::TableStyle::kMarkdown : lab::TableStyle::kPlain;
  std::fputs(render_cloud_series(series->rows, style).c_str(), stdout);
  for (const auto& each : series->failed) std::printf("failed: %s\n", each.c_str());
  return 0;
}

void list_cloud_drills() {
  for (const auto& each : lab::cloud_scenarios()) {
    std::printf("%-18s %s\n", std::string(each.name).c_str(), std::string(each.what).c_str());
  }
}

}  // namespace nines

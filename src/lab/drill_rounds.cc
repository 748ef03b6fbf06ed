// A run's process hands its rows over in a file without a name, so that nobody has to read while
// it measures.
#include "lab/drill_rounds.h"

#include <array>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <map>
#include <string>
#include <utility>

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/linux/descriptor.h"
#include "io/linux/files.h"
#include "lab/drill_run.h"
#include "lab/lab_control.h"

namespace nines::lab {
namespace {

constexpr int kExitFailed = 1;       // the file has the reason
constexpr int kExitInterrupted = 2;  // and here

// SIGINT and SIGTERM as something to wait for; as they were when this goes.
class Interrupts {
 public:
  static Result<Interrupts> open() {
    Interrupts result;
    sigset_t both;
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    if (::sigprocmask(SIG_BLOCK, &both, &result.before_) != 0) {
      return Error::from_errno(errno, "sigprocmask");
    }
    result.blocked_ = true;
    result.descriptor_ = io::Descriptor(::signalfd(-1, &both, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!result.descriptor_) return Error::from_errno(errno, "signalfd");
    return result;
  }
  Interrupts(Interrupts&& other) noexcept
      : before_(other.before_),
        blocked_(std::exchange(other.blocked_, false)),
        descriptor_(std::move(other.descriptor_)) {}
  Interrupts& operator=(Interrupts&&) = delete;
  ~Interrupts() {
    if (blocked_) ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }

  int descriptor() const { return descriptor_.get(); }
  // Whether one has come since the last time.
  bool take() {
    signalfd_siginfo info{};
    bool any = false;
    while (::read(descriptor_.get(), &info, sizeof info) > 0) any = true;
    return any;
  }

 private:
  Interrupts() = default;
  sigset_t before_{};
  bool blocked_ = false;
  io::Descriptor descriptor_;
};

bool hand_over(const io::Descriptor& file, std::string_view text) {
  return io::write_all(file.get(), text, "a run's result").has_value();
}

// What a run's process leaves behind.
struct Files {
  io::Descriptor rows;     // or the reason why there are none
  io::Descriptor stories;  // empty when none are wanted
};

// The whole life of a run's process; its exit status.
int drill(const RoundsWishes& wishes, const Contender& contender, int run, const Files& files) {
  // Ends, and mends, when the one who waits for it does.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  DrillWishes drill{.lab = contender.lab,
                    .scenarios = wishes.scenarios,
                    .progress = [](std::string_view) {},
                    .phase_finished = {},
                    .story_told = {},
                    .shift = shift_of_run(run),
                    .conditions = wishes.conditions};
  DrillSeries series;
  drill.phase_finished = [&](const PhaseReport& report) {
    series.rows.push_back(row_of(report, contender.engine, run));
    std::string line = "  " + report.phase + ": " + (report.broken.empty() ? "held" : "BROKEN");
    for (const auto& each : report.broken) line += "\n    " + each;
    wishes.progress(line);
  };
  std::vector<DrillStory> stories;
  if (wishes.stories) {
    drill.story_told = [&](DrillStory story) {
      story.title += ", " + contender.engine;
      stories.push_back(std::move(story));
    };
  }
  const auto reports = run_drills(drill);
  if (!reports.has_value()) {
    series.failed.push_back(reports.error().message());
    if (reports.error().code() == ErrorCode::kRefused) {
      static_cast<void>(hand_over(files.rows, reports.error().message()));
      return kExitInterrupted;
    }
  }
  const bool written =
      hand_over(files.rows, to_text(series)) && hand_over(files.stories, to_text(stories));
  return written ? 0 : kExitFailed;
}

class Rounds {
 public:
  Rounds(const RoundsWishes& wishes, Interrupts interrupts)
      : wishes_(wishes), interrupts_(std::move(interrupts)) {}

  Result<RoundsResult> run() {
    int failed_in_a_row = 0;
    for (int round = 1; round <= wishes_.runs; ++round) {
      for (std::size_t i = 0; i < wishes_.contenders.size(); ++i) {
        const std::size_t turned = wishes_.contenders.size() - 1 - i;
        const Contender& contender = wishes_.contenders[round % 2 == 1 ? i : turned];
        const std::string name = contender.engine + ", run " + std::to_string(round);
        wishes_.progress(name + " of " + std::to_string(wishes_.runs));
        auto done = run_once(contender, round);
        if (!done.has_value() && done.error().code() == ErrorCode::kRefused) return done.error();
        std::vector<std::string> failed;
        if (done.has_value()) {
          series_.rows.insert(series_.rows.end(), done->rows.begin(), done->rows.end());
          failed = done->failed;
        } else {
          failed.push_back(done.error().message());
        }
        failed_in_a_row = failed.empty() ? 0 : failed_in_a_row + 1;
        for (const auto& why : failed) {
          series_.failed.push_back(name + ": " + why);
          wishes_.progress("  failed: " + why);
        }
        if (failed_in_a_row == kFailedRunsMax) {
          return Error(ErrorCode::kUnavailable, "given up: " + series_.failed.back());
        }
      }
      wishes_.round_finished(series_);
    }
    return RoundsResult{.series = std::move(series_), .stories = stories_in_order()};
  }

 private:
  Result<DrillSeries> run_once(const Contender& contender, int run) {
    if (contender.plan) TRY(bring_lab_up(*contender.plan, [](std::string_view) {}));
    auto done =
        interrupts_.take() ? Error(ErrorCode::kRefused, "interrupted") : drill_once(contender, run);
    if (!contender.plan) return done;
    auto down = take_lab_down(contender.lab);
    if (done.has_value() && !down.has_value()) return std::move(down).error();
    return done;
  }

  // The rows of all phases that were finished, and why others were not.
  Result<DrillSeries> drill_once(const Contender& contender, int run) {
    const Files files{.rows = io::Descriptor(::memfd_create("rows", MFD_CLOEXEC)),
                      .stories = io::Descriptor(::memfd_create("stories", MFD_CLOEXEC))};
    if (!files.rows || !files.stories) return Error::from_errno(errno, "memfd_create");
    std::fflush(nullptr);
    const int child = ::fork();
    if (child < 0) return Error::from_errno(errno, "fork");
    if (child == 0) {
      const int status = drill(wishes_, contender, run, files);
      std::fflush(nullptr);
      ::_exit(status);
    }
    const int status = wait_for(child);
    const std::string text = TRY(io::read_from_begin(files.rows.get(), "a run's rows"));
    if (!WIFEXITED(status)) {
      return Error(ErrorCode::kUnavailable,
                   "the drill was killed by signal " + std::to_string(WTERMSIG(status)));
    }
    if (WEXITSTATUS(status) == kExitInterrupted) return Error(ErrorCode::kRefused, text);
    if (WEXITSTATUS(status) != 0) return Error(ErrorCode::kUnavailable, text);
    auto& stories = stories_[contender.engine];
    if (wishes_.stories && stories.empty()) {
      const std::string told = TRY(io::read_from_begin(files.stories.get(), "a run's stories"));
      stories = TRY(parse_drill_stories(told));
    }
    return parse_drill_series(text);
  }

  std::vector<DrillStory> stories_in_order() {
    std::vector<DrillStory> result;
    for (std::size_t i = 0; i < wishes_.scenarios.size(); ++i) {
      for (const auto& contender : wishes_.contenders) {
        auto& stories = stories_[contender.engine];
        if (i < stories.size()) result.push_back(std::move(stories[i]));
      }
    }
    return result;
  }

  // Its status, as waitpid() has it. An interrupt is handed on: the drill mends first.
  int wait_for(int child) {
    const io::Descriptor ended(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
    std::array<pollfd, 2> waiting{
        {{ended.get(), POLLIN, 0}, {interrupts_.descriptor(), POLLIN, 0}}};
    while (ended && (waiting[0].revents & POLLIN) == 0) {
      if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) break;
      if (interrupts_.take()) ::kill(child, SIGTERM);
    }
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
  }

  const RoundsWishes& wishes_;
  Interrupts interrupts_;
  DrillSeries series_;
  std::map<std::string, std::vector<DrillStory>> stories_;  // by engine
};

}  // namespace

Duration shift_of_run(int run) {
  constexpr double kGoldenRatio = 0.6180339887498949;
  const double multiple = run * kGoldenRatio;
  return Duration(
      std::llround((multiple - std::floor(multiple)) * static_cast<double>(kShiftMax.count())));
}

Result<RoundsResult> run_rounds(const RoundsWishes& wishes) {
  return Rounds(wishes, TRY(Interrupts::open())).run();
}

}  // namespace nines::lab

// Timelines of the check machine: a script of what the server and the operator do, and every effect
// with its time. The scripts with their expected timelines are in testdata/health/.
#include "proxy/check.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace nines::proxy {
namespace {

constexpr Instant kBegin{1'000'000'000'000};

// Plays a script against a machine. Lines: "<ms> <what>", in order of time:
//   server ok|refuses|silent|mute|slow|status <code>   how attempts begun from now on fare
//   evidence | maintenance on|off | checks on|off | force up|down | restart | end
// The first line sets the timing: "timing inter=2000 rise=2 fall=3 [fastinter= downinter=
// connect= check= spread=] [unchecked]"
class Player {
 public:
  std::string play(const std::string& script) {
    std::istringstream lines(script);
    std::string line;
    std::getline(lines, line);
    begin(line);
    event({CheckEvent::Kind::kStart});
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      int at = 0;
      std::string what, argument;
      words >> at >> what >> argument;
      run_until(kBegin + std::chrono::milliseconds(at));
      apply(what, argument, words);
    }
    return out_.str();
  }

 private:
  void begin(const std::string& line) {
    CheckTiming timing;
    bool checked = true;
    std::istringstream words(line);
    std::string word;
    words >> word;
    EXPECT_EQ(word, "timing");
    while (words >> word) {
      if (word == "unchecked") checked = false;
      const std::size_t equals = word.find('=');
      if (equals == std::string::npos) continue;
      const std::string key = word.substr(0, equals);
      const int number = std::stoi(word.substr(equals + 1));
      const Duration duration = std::chrono::milliseconds(number);
      if (key == "inter") timing.inter = duration;
      if (key == "fastinter") timing.fastinter = duration;
      if (key == "downinter") timing.downinter = duration;
      if (key == "connect") timing.connect_timeout = duration;
      if (key == "check") timing.check_timeout = duration;
      if (key == "rise") timing.rise = number;
      if (key == "fall") timing.fall = number;
      if (key == "spread") timing.spread_percent = number;
    }
    machine_ = std::make_unique<CheckMachine>(timing, checked, false, base::Rng(1));
  }

  void apply(const std::string& what, const std::string& argument, std::istringstream& rest) {
    const bool on = argument == "on" || argument == "up";
    if (what == "server") {
      server_ = argument;
      if (argument == "status") rest >> status_;
      say(what + " " + argument);
      return;
    }
    say(argument.empty() ? what : what + " " + argument);
    if (what == "evidence") event({CheckEvent::Kind::kTrafficFailure});
    if (what == "restart") event({CheckEvent::Kind::kRestart});
    if (what == "maintenance") {
      event({on ? CheckEvent::Kind::kEnterMaintenance : CheckEvent::Kind::kLeaveMaintenance});
    }
    if (what == "checks") {
      event({on ? CheckEvent::Kind::kEnableChecks : CheckEvent::Kind::kDisableChecks});
    }
    if (what == "force") event({on ? CheckEvent::Kind::kForceUp : CheckEvent::Kind::kForceDown});
  }

  void run_until(Instant until) {
    for (int steps = 0; steps < 10'000; ++steps) {
      const auto wake = machine_->deadline();
      const Instant next =
          std::min(reply_at_.value_or(Instant::max()), wake.value_or(Instant::max()));
      if (next > until) {
        now_ = until;
        return;
      }
      now_ = std::max(now_, next);
      if (reply_at_ && *reply_at_ <= now_) {
        reply();
      } else {
        event({CheckEvent::Kind::kTick});
      }
    }
    FAIL() << "a storm of events";
  }

  // A server is a millisecond away; a slow one thinks for 700.
  void attempt() {
    phase_ = server_ == "silent" ? Phase::kNever : Phase::kConnect;
    attempt_server_ = server_;
    reply_at_.reset();
    if (phase_ == Phase::kConnect) reply_at_ = now_ + 1ms;
  }

  void reply() {
    reply_at_.reset();
    CheckEvent done{CheckEvent::Kind::kOutcome};
    if (phase_ == Phase::kConnect) {
      if (attempt_server_ == "refuses") {
        done.outcome.status = CheckStatus::kLayer4Connection;
        event(done);
        return;
      }
      event({CheckEvent::Kind::kConnected});
      phase_ = Phase::kAnswer;
      if (attempt_server_ == "mute") return;
      reply_at_ = now_ + (attempt_server_ == "slow" ? 700ms : 1ms);
      return;
    }
    done.outcome.status =
        attempt_server_ == "status" ? CheckStatus::kLayer7Status : CheckStatus::kLayer7Ok;
    if (attempt_server_ == "status") done.outcome.code = status_;
    event(done);
  }

  void event(const CheckEvent& event) {
    CheckEffects effects;
    machine_->handle(event, now_, effects);
    if (effects.abort) {
      reply_at_.reset();
      say("  abort");
    }
    if (effects.outcome) {
      const CheckState& state = machine_->status();
      reply_at_.reset();
      static const std::map<CheckStatus, std::string> kNames = {
          {CheckStatus::kLayer4Connection, "L4CON"},
          {CheckStatus::kLayer4Timeout, "L4TOUT"},
          {CheckStatus::kLayer7Ok, "L7OK"},
          {CheckStatus::kLayer7Status, "L7STS"},
          {CheckStatus::kLayer7Timeout, "L7TOUT"}};
      say("  " + kNames.at(state.last.status) + " after " +
          std::to_string(milliseconds_of(state.last.duration)) + ", health " +
          std::to_string(state.health) + (effects.report ? "" : " (nothing new)"));
    }
    if (effects.change == CheckEffects::Change::kWentDown) {
      say("  DOWN, detected " +
          std::to_string(milliseconds_of(machine_->status().detected - kBegin)));
    }
    if (effects.change == CheckEffects::Change::kCameUp) {
      say("  UP, detected " +
          std::to_string(milliseconds_of(machine_->status().detected - kBegin)));
    }
    if (effects.clear_suspect) say("  no suspect");
    if (effects.start) {
      say("  start");
      attempt();
    }
  }

  void say(const std::string& text) {
    out_ << milliseconds_of(now_ - kBegin) << ' ' << text << '\n';
  }

  enum class Phase { kNever, kConnect, kAnswer };
  std::unique_ptr<CheckMachine> machine_;
  Instant now_ = kBegin;
  std::string server_ = "ok", attempt_server_;
  int status_ = 503;
  Phase phase_ = Phase::kNever;
  std::optional<Instant> reply_at_;
  std::ostringstream out_;
};

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class Timeline : public testing::TestWithParam<std::string> {};

// Each file: "# scenario", the script, a line of dashes, the timeline.
TEST_P(Timeline, is_as_kept) {
  const std::string path = std::string(NINES_TESTDATA) + "/health/" + GetParam() + ".txt";
  const std::string text = read_file(path);
  const std::size_t body = text.find('\n') + 1;
  const std::size_t dashes = text.find("\n----\n");
  ASSERT_NE(dashes, std::string::npos) << path;
  const std::string played = Player().play(text.substr(body, dashes - body));
  EXPECT_EQ(text.substr(dashes + 6), played) << "the timeline is now:\n" << played;
}

INSTANTIATE_TEST_SUITE_P(Health, Timeline,
                         testing::Values("rise_and_fall", "fastinter_and_downinter",
                                         "refused_under_traffic", "silent_under_traffic",
                                         "false_alarms_back_off", "stopped_while_talking",
                                         "older_success_is_no_answer", "flapping", "timeouts",
                                         "inter_is_the_whole_timeout", "maintenance",
                                         "checks_disabled", "unchecked_suspect",
                                         "forced_by_the_operator"),
                         [](const auto& scenario) { return scenario.param; });

CheckTiming timing_of(Duration inter, int rise, int fall) {
  CheckTiming timing;
  timing.inter = inter;
  timing.rise = rise;
  timing.fall = fall;
  return timing;
}

// Whatever happens: health in its range, up exactly when it says so, never more than twenty
// attempts a second, and awake whenever there is something to wait for.
TEST(CheckMachine, keeps_its_promises_under_any_sequence_of_events) {
  base::Rng rng(11);
  for (int round = 0; round < 300; ++round) {
    const int rise = 1 + static_cast<int>(rng.below(4)), fall = 1 + static_cast<int>(rng.below(5));
    CheckMachine machine(timing_of(std::chrono::milliseconds(50 + rng.below(3000)), rise, fall),
                         true, false, base::Rng(rng.next()));
    Instant now = kBegin;
    CheckEffects effects;
    std::vector<Instant> starts;
    bool attempt = false, paused = false;
    const auto handle = [&](CheckEvent event) {
      machine.handle(event, now, effects);
      if (effects.abort) {
        EXPECT_TRUE(attempt);
        attempt = false;
      }
      if (event.kind == CheckEvent::Kind::kOutcome) attempt = false;
      if (effects.start) {
        EXPECT_FALSE(attempt);
        attempt = true;
        starts.push_back(now);
      }
      const CheckState& state = machine.status();
      EXPECT_EQ(state.running, attempt);
      EXPECT_GE(state.health, 0);
      EXPECT_LE(state.health, rise + fall - 1);
      EXPECT_EQ(state.up, state.health >= rise);
      EXPECT_EQ(machine.deadline().has_value(), !paused);
    };
    handle({CheckEvent::Kind::kStart});
    for (int step = 0; step < 300; ++step) {
      now = now + std::chrono::milliseconds(rng.below(80));
      CheckEvent event;
      switch (rng.below(12)) {
        case 0:
        case 1:
          event.kind = CheckEvent::Kind::kTrafficFailure;
          if (paused) continue;  // a suspect that nothing checks has a deadline of its own
          break;
        case 2:
          if (!attempt) continue;
          event.kind = CheckEvent::Kind::kConnected;
          break;
        case 3:
        case 4:
        case 5:
          if (!attempt) continue;
          event.kind = CheckEvent::Kind::kOutcome;
          event.outcome.status =
              rng.chance(0.5) ? CheckStatus::kLayer4Ok : CheckStatus::kLayer4Connection;
          break;
        case 6:
          if (!rng.chance(0.1)) continue;
          event.kind = paused ? CheckEvent::Kind::kEnableChecks : CheckEvent::Kind::kDisableChecks;
          paused = !paused;
          break;
        default:
          break;
      }
      handle(event);
    }
    for (std::size_t i = 21; i < starts.size(); ++i) {
      // Re-enabling may start at once, besides.
      EXPECT_GE(starts[i] - starts[i - 21], 400ms);
    }
  }
}

TEST(CheckMachine, spread_checks_vary_the_interval_within_their_percentage) {
  CheckTiming timing = timing_of(1s, 1, 1);
  timing.spread_percent = 20;
  CheckMachine machine(timing, true, false, base::Rng(3));
  Instant now = kBegin;
  CheckEffects effects;
  machine.handle({CheckEvent::Kind::kStart}, now, effects);
  Duration least = 10s, most{};
  for (int i = 0; i < 500; ++i) {
    now = *machine.deadline();
    machine.handle({CheckEvent::Kind::kTick}, now, effects);
    ASSERT_TRUE(effects.start);
    CheckEvent done{CheckEvent::Kind::kOutcome};
    done.outcome.status = CheckStatus::kLayer4Ok;
    machine.handle(done, now, effects);
    least = std::min(least, *machine.deadline() - now);
    most = std::max(most, *machine.deadline() - now);
  }
  EXPECT_GE(least, 800ms);
  EXPECT_LT(least, 820ms);
  EXPECT_LE(most, 1200ms);
  EXPECT_GT(most, 1180ms);
}

TEST(CheckMachine, new_limits_keep_health_where_it_fits) {
  CheckMachine machine(timing_of(1s, 2, 3), true, false, base::Rng(3));
  CheckEffects effects;
  machine.handle({CheckEvent::Kind::kStart}, kBegin, effects);
  machine.handle({CheckEvent::Kind::kForceUp}, kBegin, effects);
  machine.set_timing(timing_of(1s, 4, 5), kBegin);
  EXPECT_EQ(machine.status().health, 8);
  machine.handle({CheckEvent::Kind::kForceDown}, kBegin, effects);
  machine.set_timing(timing_of(1s, 1, 1), kBegin);
  EXPECT_EQ(machine.status().health, 0);
  EXPECT_FALSE(machine.status().up);
}

}  // namespace
}  // namespace nines::proxy

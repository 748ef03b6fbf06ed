// Everything that can happen to the hosts of a segment, by chance: loss, cuts, late packets and
// timers, processes stopped, killed, restarted fresh or as the master they were, handovers, changes
// of priority, faults. A schedule is its seed; what must never be is judged throughout, what must
// be in the end after everything has healed. Each planted bug must be found by the same judge.
#include <string>

#include <gtest/gtest.h>

#include "vrrp/simulated_segment.h"

namespace nines::vrrp {
namespace {

std::string milliseconds(Duration time) {
  return std::to_string(std::chrono::duration<double, std::milli>(time).count()) + " ms";
}

class Schedule {
 public:
  Schedule(std::uint64_t seed, PlantedBug bug)
      : seed_(seed),
        quiet_(seed % 2 == 0),
        conditions_(conditions_of(seed)),
        segment_(seed, conditions_, bug),
        rng_(segment_.rng()) {}

  // What was wrong; empty: nothing.
  std::string run() {
    set_up();
    const int events = 5 + static_cast<int>(rng_.below(12));
    for (int i = 0; i < events; ++i) {
      happen();
      segment_.run_for(part_of_interval(700));
    }
    segment_.heal();
    const Duration bound = settled_within();
    segment_.run_for(bound * 2);
    return judge(bound);
  }

 private:
  static SegmentConditions conditions_of(std::uint64_t seed) {
    SegmentConditions conditions;
    if (seed % 2 == 0) return conditions;  // a claim is answered before it is ripe
    if (seed % 3 == 0) conditions.loss = 0.1;
    if (seed % 9 == 0) conditions.loss = 0.4;
    if (seed % 5 == 0) conditions.delay_max = 20ms;
    if (seed % 7 == 0) conditions.lateness_max = 10ms;
    return conditions;
  }

  void set_up() {
    // An address lives for less than the backups' patience, as version 2 has it.
    if (seed_ % 4 < 2) {
      interval_ = 1s;
      segment_.set_timing(2, interval_, 2s);
    }
    const int count = 2 + static_cast<int>(rng_.below(SimulatedSegment::kHostsMax - 1));
    const std::uint64_t priorities = rng_.chance(0.3) ? 2 : 254;
    nopreempt_ = rng_.chance(0.4);
    if (!nopreempt_ && rng_.chance(0.2)) preempt_delay_ = 2 * interval_;
    for (int i = 0; i < count; ++i) {
      VrrpInstance instance;
      instance.priority = static_cast<int>(1 + rng_.below(priorities));
      instance.nopreempt = nopreempt_;
      instance.preempt_delay = preempt_delay_;
      // Who does not answer a worse rival leaves it standing until the next advert.
      instance.lower_priority_no_advert = !quiet_ && rng_.chance(0.2);
      segment_.add(instance);
    }
    for (int i = 0; i < count; ++i) {
      segment_.start(i);
      if (rng_.chance(0.3)) segment_.run_for(part_of_interval(500));
    }
    if (rng_.chance(0.7)) segment_.run_for(5 * interval_);
  }

  void happen() {
    // Most of what is interesting happens to the holder.
    int host = any_host();
    if (rng_.chance(0.5)) host = std::max(segment_.holder(), 0);
    const auto kind = rng_.below(quiet_ ? 11 : 14);
    switch (kind) {
      case 0:
        return segment_.kill(host);
      case 1:
        return restart_somebody(host);
      case 2:
      case 3:  // an owner dies and its supervisor is there, or was held up
        segment_.kill(host);
        segment_.run_for(rng_.chance(0.7) ? part_of_interval(90) : part_of_interval(600));
        return restart_somebody(host);
      case 4:
        return segment_.pause(host);
      case 5:
        return segment_.resume(host);
      case 6:
        segment_.pause(host);
        segment_.run_for(part_of_interval(700));
        return segment_.resume(host);
      case 7:
        return segment_.hand_over(host);
      case 8:
        return segment_.set_weight(host, static_cast<int>(rng_.below(101)) - 50);
      case 9:
        return segment_.set_faults(host, static_cast<int>(rng_.below(2)));
      case 10:
        if (rng_.chance(0.5)) return segment_.delete_address(host);
        return segment_.stop(host);
      case 11:
        return segment_.cut(host, any_host(), true);
      case 12:
        return segment_.cut(host, any_host(), false);
      default:
        return isolate(host);
    }
  }

  void isolate(int host) {
    for (int i = 0; i < segment_.size(); ++i) {
      if (i == host) continue;
      segment_.cut(host, i, true);
      segment_.cut(i, host, true);
    }
    segment_.run_for(5 * interval_);
    for (int i = 0; i < segment_.size(); ++i) {
      segment_.cut(host, i, false);
      segment_.cut(i, host, false);
    }
  }

  void restart_somebody(int host) {
    const bool as_master = segment_.was_master_when_killed(host) && rng_.chance(0.8);
    if (as_master) return segment_.restart_as_master(host);
    segment_.restart(host);
  }

  std::string judge(Duration bound) {
    if (segment_.announced_without_holding()) return "announced what it did not hold";
    // One of two masters advertises within an interval, the worse one steps down. (What is promised
    // is looser: the master-down interval and an advert.)
    const Duration hearing_max = interval_ + 2 * conditions_.delay_max + conditions_.lateness_max;
    if (segment_.two_hearing_max() > hearing_max) {
      return "two masters that heard each other for " + milliseconds(segment_.two_hearing_max());
    }
    if (quiet_ && segment_.two_living_max() > Duration{}) {
      return "two held the address without a packet lost, for " +
             milliseconds(segment_.two_living_max());
    }
    const int holder = segment_.holder();
    if (holder < 0) return holder == -1 ? "nobody in the end" : "several in the end";
    if (segment_.settled_after() > bound) {
      return "one master only " + milliseconds(segment_.settled_after()) + " after healing";
    }
    if (segment_.last_announcer() >= 0 && segment_.last_announcer() != holder)
      return "the holder was not the last to announce";
    for (int i = 0; i < segment_.size(); ++i) {
      const int priority = segment_.machine(i).status().priority;
      if (!nopreempt_ && priority > segment_.machine(holder).status().priority) {
        return "a better one did not preempt";
      }
    }
    return "";
  }

  // Master-down interval with the longest skew, an advert, and what is late on the way. A delayed
  // preemption begins with the first advert of the worse one, the timer runs out after it, and a
  // worse one may have claimed first.
  Duration settled_within() const {
    const Duration preemption =
        preempt_delay_ > Duration{} ? preempt_delay_ + 2 * interval_ : Duration{};
    return 5 * interval_ + preemption + 10 * (conditions_.delay_max + conditions_.lateness_max) +
           10ms;
  }

  Duration part_of_interval(std::uint64_t hundredths) {
    return interval_ / 1000 * static_cast<std::int64_t>(rng_.below(hundredths * 10));
  }
  int any_host() {
    return static_cast<int>(rng_.below(static_cast<std::uint64_t>(segment_.size())));
  }

  std::uint64_t seed_;
  bool quiet_;  // no packet is lost or late
  SegmentConditions conditions_;
  SimulatedSegment segment_;
  base::Rng& rng_;
  Duration interval_ = 100ms;
  bool nopreempt_ = false;
  Duration preempt_delay_{};
};

TEST(VrrpSchedules, NothingThatMustNotBeAndOneMasterInTheEnd) {
  constexpr std::uint64_t kSchedules = 10'000;
  for_seeds(kSchedules, [](std::uint64_t seed) {
    const std::string wrong = Schedule(seed, PlantedBug::kNone).run();
    EXPECT_EQ(wrong, "") << "seed " << seed;
    return wrong.empty();
  });
}

class VrrpPlantedBug : public testing::TestWithParam<std::pair<PlantedBug, const char*>> {};

TEST_P(VrrpPlantedBug, IsFound) {
  constexpr std::uint64_t kSchedules = 2'000;
  for (std::uint64_t seed = 1; seed <= kSchedules; ++seed) {
    const std::string wrong = Schedule(seed, GetParam().first).run();
    if (wrong.empty()) continue;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), wrong.c_str());
    return;
  }
  FAIL() << "not in " << kSchedules << " schedules";
}

INSTANTIATE_TEST_SUITE_P(
    Each, VrrpPlantedBug,
    testing::Values(std::pair(PlantedBug::kTimersBeforeSockets, "TimersBeforeSockets"),
                    std::pair(PlantedBug::kTiesUndecided, "TiesUndecided"),
                    std::pair(PlantedBug::kStepsDownHolding, "StepsDownHolding"),
                    std::pair(PlantedBug::kClaimIgnored, "ClaimIgnored"),
                    std::pair(PlantedBug::kDeafWhileResuming, "DeafWhileResuming"),
                    std::pair(PlantedBug::kDeafWhileLeaving, "DeafWhileLeaving"),
                    std::pair(PlantedBug::kAnnouncesOnce, "AnnouncesOnce")),
    [](const auto& each) { return std::string(each.param.second); });

}  // namespace
}  // namespace nines::vrrp

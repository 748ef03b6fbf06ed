// Several election machines on one simulated segment, seeded: loss, delay, late timers, cuts,
// stopped and killed processes, restarts, handovers. It does the driver's duties (vrrp.h) and the
// kernel's, keeps the books about who held the addresses beside whom, and can be told to do a duty
// wrongly, so that tests know that the books show it. For tests only.
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <optional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "vrrp/vrrp.h"

namespace nines::vrrp {

struct SegmentConditions {
  double loss = 0;
  Duration delay_max = std::chrono::microseconds(300);
  Duration lateness_max = std::chrono::microseconds(500);  // of a timer, after its deadline
};

// What may be done wrongly, one at a time.
enum class PlantedBug : std::uint8_t {
  kNone,
  kTimersBeforeSockets,  // after a stop, timers decide before what waits in the socket is read
  kTiesUndecided,        // of equal priorities both think themselves better
  kStepsDownHolding,     // a master that steps down keeps the addresses
  kClaimIgnored,         // a backup takes the addresses with its first advert
  kDeafWhileResuming,    // a restarted master hears nobody until it is master
  kDeafWhileLeaving,     // a master that hands over hears no successor
  kAnnouncesOnce,        // a master announces at its promotion only
  kAnnouncesAtOnceOnly,  // and when it hears a rival, but not again an interval later
  kAnnouncesItsClaim,    // before it holds anything
  kDoubtsItsBetters,     // a master steps down at the second advert of a better one
  kPatienceTooLong,      // a backup waits for one advert more
  kDelayTooLong,         // preempt_delay is an interval and a half longer
  kNeverPreempts,        // any living master holds a backup back
  kAlwaysPreempts,       // nopreempt is not read
  kRestartedAsIfAtOnce,  // a master that was dead for long goes on as if it had not been
};

class SimulatedSegment {
 public:
  static constexpr int kHostsMax = 5;
  static constexpr Instant kOrigin{1'000'000'000'000};
  // A supervisor asks its owner so often (node/plane_watch.h).
  static constexpr Duration kAskInterval = std::chrono::milliseconds(100);

  explicit SimulatedSegment(std::uint64_t seed, SegmentConditions conditions = {},
                            PlantedBug bug = PlantedBug::kNone)
      : rng_(seed), conditions_(conditions), bug_(bug) {}

  // ---- Hosts: numbers from 0 -------------------------------------------------------------------

  // Version and interval are set_timing()'s.
  int add(VrrpInstance instance) {
    instance.virtual_router_id = 51;
    instance.version = version_;
    instance.advert_int = interval_;
    Host host;
    if (bug_ == PlantedBug::kPatienceTooLong) ++instance.down_timer_adverts;
    if (bug_ == PlantedBug::kAlwaysPreempts) instance.nopreempt = false;
    if (bug_ == PlantedBug::kNeverPreempts) instance.nopreempt = true;
    if (bug_ == PlantedBug::kDelayTooLong && instance.preempt_delay > Duration{}) {
      instance.preempt_delay += interval_ * 3 / 2;
    }
    host.instance = instance;
    host.conditions.primary =
        SocketAddress::ipv4({10, 0, 0, static_cast<std::uint8_t>(hosts_.size() + 1)}, 0);
    host.machine.emplace(instance);
    hosts_.push_back(std::move(host));
    return size() - 1;
  }
  int add(int priority, bool nopreempt = false) {
    VrrpInstance instance;
    instance.priority = priority;
    instance.nopreempt = nopreempt;
    return add(instance);
  }
  // Before add(). `lifetime`: of an address that nobody renews.
  void set_timing(int version, Duration interval, Duration lifetime) {
    version_ = version;
    interval_ = interval;
    lifetime_ = lifetime;
  }

  void start(int host) { handle(host, hosts_[host].conditions); }
  void stop(int host) {
    note(host, "is stopped");
    if (running(host)) handle(host, event::Stop{});
  }
  void hand_over(int host) {
    note(host, "hands over");
    if (running(host)) handle(host, event::HandOver{});
  }
  void set_weight(int host, int weight) {
    note(host, "has a weight of " + std::to_string(weight));
    hosts_[host].conditions.weight = weight;
    settle_books();
    doubt(host);  // another may be the better of two now
    if (running(host)) handle(host, hosts_[host].conditions);
  }
  void set_faults(int host, int faults) {
    note(host, "has faults: " + std::to_string(faults));
    hosts_[host].conditions.faults = faults;
    if (running(host)) handle(host, hosts_[host].conditions);
  }
  // By somebody's hand; the kernel's monitor tells it.
  void delete_address(int host) {
    if (!holds(host)) return;
    note(host, "loses its address to somebody's hand");
    set_holding(host, false);
    if (!running(host)) return;
    hosts_[host].retaking = true;
    handle(host, event::AddressesLost{});
    hosts_[host].retaking = false;
  }
  void kill(int index) {
    Host& host = hosts_[index];
    if (host.alive) note(index, "is killed");
    stop_running(index);
    // One that was to end is not started again.
    const VrrpStatus& status = host.machine->status();
    host.was_master = status.state == State::kMaster && !status.leaving;
    host.alive = false;
    host.inbox.clear();
  }
  bool was_master_when_killed(int host) const {
    return !hosts_[host].alive && hosts_[host].was_master;
  }
  void restart(int host) {
    note(host, "starts anew");
    bring_up(host, {});
    // A new process removes what a dead one left.
    set_holding(host, false);
    start(host);
  }
  // As the master that the killed process was; its addresses are where the kernel left them.
  void restart_as_master(int host) {
    note(host, "follows a dead master");
    const bool wrongly = bug_ == PlantedBug::kRestartedAsIfAtOnce;
    bring_up(host, wrongly ? now_ : hosts_[host].seen_at);
    start(host);
  }
  void pause(int host) {
    if (hosts_[host].stopped) return;
    note(host, "stands still");
    stop_running(host);
    hosts_[host].stopped = true;
  }
  void resume(int index) {
    Host& host = hosts_[index];
    if (!host.stopped) return;
    note(index, "goes on");
    settle_books();
    host.stopped = false;
    host.runs_since = now_;
    doubt(index);
    settle_books();
    if (host.alive) {
      if (bug_ == PlantedBug::kTimersBeforeSockets) host.deaf_until = now_ + 5ms;
      host.retaking = true;
      drain(index);
      // The kernel's monitor tells that the addresses expired.
      if (host.machine->status().state == State::kMaster && !host.holding) {
        handle(index, event::AddressesLost{});
      }
      host.retaking = false;
    }
    if (host.deadline) host.timer_at = std::max(now_, *host.deadline);
  }

  // ---- The wire --------------------------------------------------------------------------------

  // Cuts or heals what goes from one to the other.
  void cut(int from, int to, bool is_cut) {
    note(from, (is_cut ? "is cut off from host " : "is heard again by host ") + std::to_string(to));
    settle_books();
    cuts_[from][to] = is_cut;
    hearing_since_[from][to] = hearing_since_[to][from] = now_;
    settle_books();
  }
  void set_loss(double loss) { conditions_.loss = loss; }
  // All faults end; who is down or on its way out starts anew.
  void heal() {
    note(-1, "all faults end");
    settle_books();
    cuts_ = {};
    conditions_.loss = 0;
    for (int i = 0; i < size(); ++i) {
      hosts_[i].conditions.faults = 0;
      resume(i);
      const VrrpStatus& status = hosts_[i].machine->status();
      if (status.leaving) stop(i);
      if (!hosts_[i].alive || status.state == State::kStopped) {
        restart(i);
      } else {
        start(i);
      }
    }
    settle_books();
    healed_at_ = now_;
    held_at_.reset();
    unsettled_until_ = now_;
  }

  void run_for(Duration time) {
    const Instant until = now_ + time;
    while (step(until)) {
    }
    now_ = until;
    settle_books();
  }

  // ---- The books -------------------------------------------------------------------------------

  int size() const { return static_cast<int>(hosts_.size()); }
  bool holds(int host) const { return hosts_[host].holding; }
  bool running(int host) const { return hosts_[host].alive && !hosts_[host].stopped; }
  // -1: nobody; -2: several.
  int holder() const {
    int found = -1;
    for (int i = 0; i < size(); ++i) {
      if (holds(i)) found = found < 0 ? i : -2;
    }
    return found;
  }
  const Vrrp& machine(int host) const { return *hosts_[host].machine; }
  // That it ever had: a timer that runs may have been set with it.
  int priority_lowest(int host) const { return hosts_[host].priority_lowest; }
  Instant now() const { return now_; }
  int announcements(int host) const { return hosts_[host].announcements; }
  // Where a switch sends what is for the address: who announced it last. -1: nobody yet.
  int last_announcer() const { return last_announcer_; }
  // `master` has read, since it is master, an advert that the other sent no more than an interval
  // before it last announced, or later: it has to announce after that one.
  bool has_to_announce_after(int other, int master) const {
    const std::optional<Instant>& sent = heard_of_[other][master];
    return sent && *sent >= hosts_[other].announced_at - interval_;
  }
  bool announced_without_holding() const { return announced_without_holding_; }
  // The longest that two held the address: any, those of dead processes too.
  Duration two_held_max() const { return two_held_max_; }
  // Two living processes that know what they do: neither stopped, nor restarted a moment ago; nor
  // was one of them stopped since both hold it.
  Duration two_living_max() const { return two_living_max_; }
  // The same, of which one was stopped: it held the address in its kernel and could not answer.
  Duration two_woken_max() const { return two_woken_max_; }
  // Masters that lost the address to the advert of another, though they ran all the time since they
  // took it and were not leaving.
  int displaced() const { return displaced_; }
  // Two who heard each other, without a packet lost, all that time.
  Duration two_hearing_max() const { return two_hearing_max_; }
  // The longest that nobody held the address since the last call.
  Duration take_none_held_max() {
    settle_books();
    return std::exchange(none_held_max_, Duration{});
  }
  // After heal(), until exactly one held the address for good.
  Duration settled_after() const { return unsettled_until_ - healed_at_; }
  // After heal(), until nobody acts any more on an advert from before it: each step-down that one
  // causes says a word, which may cause the next.
  Duration stale() const { return size() * conditions_.delay_max; }
  // After heal(), until somebody held it, stale() or more after it.
  Duration held_after() const { return held_at_.value_or(now_) - healed_at_; }
  base::Rng& rng() { return rng_; }

 private:
  struct Arrived {
    int from;
    Instant sent_at;
    event::AdvertHeard advert;
  };
  struct Host {
    VrrpInstance instance;
    event::Conditions conditions;
    std::optional<Vrrp> machine;
    std::deque<Arrived> inbox;        // in the socket, not read yet
    std::optional<Instant> timer_at;  // when the timer really comes
    std::optional<Instant> deadline;  // that it stands for
    bool alive = true;
    bool was_master = false;
    bool stopped = false;
    bool holding = false;
    // Whose addresses expired takes them again within the same pass.
    bool retaking = false;
    Instant renewed_at{}, deaf_until{};
    Instant runs_since = kOrigin;  // of one that runs
    Instant seen_at = kOrigin;     // by its supervisor
    Instant took_at{};             // of a holder
    int announcements = 0;
    Instant announced_at{};
    int priority_lowest = kPriorityOwner;
    int doubts = 0;  // of kDoubtsItsBetters
  };
  struct Flight {
    Instant at;
    std::uint64_t order;
    int to;
    Arrived arrived;
    bool operator>(const Flight& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  template <typename T>
  using OfPairs = std::array<std::array<T, kHostsMax>, kHostsMax>;

  void bring_up(int index, std::optional<Instant> master_seen_at) {
    kill(index);
    Host& host = hosts_[index];
    host.machine.emplace(host.instance, master_seen_at);
    host.alive = true;
    host.stopped = false;
    host.runs_since = host.seen_at = now_;
    settle_books();
  }

  // Its supervisor has seen it at work when it last asked.
  void stop_running(int index) {
    settle_books();
    Host& host = hosts_[index];
    if (!running(index)) return;
    const Instant asked_at = now_ - (now_ - kOrigin) % kAskInterval;
    if (asked_at >= host.runs_since) host.seen_at = asked_at;
    if (host.machine->status().leaving) host.renewed_at = now_;
    doubt(index);
  }

  // From here on a host's hearing the others counts anew.
  void doubt(int host) {
    for (int i = 0; i < size(); ++i) hearing_since_[i][host] = hearing_since_[host][i] = now_;
  }

  // Before anything changes, for the time until then, and after it, for the time from then on.
  void settle_books() {
    int holders = 0;
    for (Host& host : hosts_) {
      // Kernel: an address that nobody renewed is gone.
      if (host.holding && (host.stopped || !host.alive) && now_ - host.renewed_at > lifetime_) {
        host.holding = false;
      }
      if (host.holding) ++holders;
    }
    if (holders != 1) unsettled_until_ = now_;
    static_cast<void>(lasted(held_since_, holders > 0));
    const Instant fresh_at = healed_at_ + stale();
    if (!held_at_ && holders > 0 && now_ >= fresh_at) held_at_ = std::max(fresh_at, *held_since_);
    none_held_max_ = std::max(none_held_max_, lasted(none_since_, holders == 0));
    two_held_max_ = std::max(two_held_max_, lasted(two_since_, holders >= 2));
    if (holders < 2 && !any_pair_) return;
    any_pair_ = holders >= 2;
    for (int a = 0; a < size(); ++a) {
      for (int b = a + 1; b < size(); ++b) settle_pair(a, b);
    }
  }

  void settle_pair(int a, int b) {
    const bool both_hold = holds(a) && holds(b);
    const bool both = both_hold && running(a) && running(b);
    const auto asleep = [&](int i) { return hosts_[i].alive && hosts_[i].stopped; };
    bool& one_slept = one_slept_[a][b];
    one_slept = both_hold && (one_slept || asleep(a) || asleep(b));
    const auto leaving = [&](int i) { return hosts_[i].machine->status().leaving; };
    // Of two that both leave neither says a priority that the other could give way to.
    const bool mute = leaving(a) && leaving(b);
    if (cuts_[a][b] || cuts_[b][a] || mute) hearing_since_[a][b] = now_;
    std::optional<Instant>& since = both_since_[a][b];
    static_cast<void>(lasted(since, both));
    if (!both) return aware_since_[a][b].reset();
    two_hearing_max_ = std::max(two_hearing_max_, now_ - std::max(*since, hearing_since_[a][b]));
    const bool aware = !hosts_[a].machine->resuming() && !hosts_[b].machine->resuming();
    Duration& longest = one_slept ? two_woken_max_ : two_living_max_;
    longest = std::max(longest, lasted(aware_since_[a][b], aware));
  }

  // For how long it has been so; `since` remembers.
  Duration lasted(std::optional<Instant>& since, bool is) const {
    if (!is) {
      since.reset();
      return {};
    }
    if (!since) since = now_;
    return now_ - *since;
  }

  void set_holding(int host, bool holding) {
    settle_books();
    hosts_[host].holding = holding;
    hosts_[host].renewed_at = now_;
    settle_books();
  }

  // ---- Events ----------------------------------------------------------------------------------

  bool step(Instant until) {
    int timer_host = -1;
    Instant next = until;
    for (int i = 0; i < size(); ++i) {
      const Host& host = hosts_[i];
      if (running(i) && host.timer_at && *host.timer_at < next) {
        next = *host.timer_at;
        timer_host = i;
      }
    }
    if (!flights_.empty() && flights_.top().at < next) {
      const Flight flight = flights_.top();
      flights_.pop();
      now_ = std::max(now_, flight.at);
      settle_books();
      Host& host = hosts_[flight.to];
      if (!host.alive) return true;
      host.inbox.push_back(flight.arrived);
      if (!host.stopped) drain(flight.to);
      return true;
    }
    if (timer_host < 0) return false;
    now_ = std::max(now_, next);
    settle_books();
    drain(timer_host);  // the driver's first duty
    hosts_[timer_host].timer_at.reset();
    hosts_[timer_host].deadline.reset();
    handle(timer_host, event::TimerFired{});
    return true;
  }

  void drain(int index) {
    Host& host = hosts_[index];
    if (now_ < host.deaf_until) return;
    while (!host.inbox.empty()) {
      const Arrived arrived = host.inbox.front();
      host.inbox.pop_front();
      hear(index, arrived);
    }
  }

  void hear(int index, const Arrived& arrived) {
    Host& host = hosts_[index];
    event::AdvertHeard advert = arrived.advert;
    const VrrpStatus& status = host.machine->status();
    const bool is_master = status.state == State::kMaster;
    if (bug_ == PlantedBug::kDeafWhileResuming && host.machine->resuming()) return;
    if (bug_ == PlantedBug::kDeafWhileLeaving && status.leaving) return;
    if (bug_ == PlantedBug::kTiesUndecided) advert.source = SocketAddress::ipv4({1, 0, 0, 1}, 0);
    if (bug_ == PlantedBug::kDoubtsItsBetters && is_master && advert.priority > status.priority &&
        host.doubts++ % 2 == 0) {
      return;
    }
    const bool steady =
        host.holding && is_master && !status.leaving && host.took_at >= host.runs_since;
    handle(index, advert);
    if (steady && !host.holding) ++displaced_;
    if (!is_master || status.state != State::kMaster) return;
    std::optional<Instant>& sent = heard_of_[arrived.from][index];
    sent = std::max(sent.value_or(Instant{}), arrived.sent_at);
  }

  void handle(int index, const Event& event) {
    Host& host = hosts_[index];
    Effects effects;
    const bool was_master = host.machine->status().state == State::kMaster;
    host.machine->handle(event, now_, effects);
    const VrrpStatus& status = host.machine->status();
    host.priority_lowest = std::min(host.priority_lowest, status.priority);
    const bool by_timer = std::holds_alternative<event::TimerFired>(event);
    for (const Effect& effect : effects) {
      const bool announces = effect.kind == Effect::Kind::kAnnounce;
      if (bug_ == PlantedBug::kAnnouncesOnce && announces && was_master) continue;
      if (bug_ == PlantedBug::kAnnouncesAtOnceOnly && announces && was_master && by_timer) continue;
      perform(index, effect);
    }
    if (bug_ == PlantedBug::kClaimIgnored && status.claiming && !host.holding) {
      set_holding(index, true);
    }
    if (bug_ == PlantedBug::kAnnouncesItsClaim && status.claiming) {
      perform(index, {.kind = Effect::Kind::kAnnounce, .value = 1});
    }
    if (status.state != State::kMaster) {
      for (auto& of : heard_of_) of[index].reset();
    }
    auto deadline = host.machine->deadline();
    if (!deadline) {
      host.timer_at.reset();
      host.deadline.reset();
    } else if (host.deadline != deadline) {
      host.deadline = deadline;
      host.timer_at = std::max(now_, *deadline + random(conditions_.lateness_max));
    }
  }

  void perform(int index, const Effect& effect) {
    Host& host = hosts_[index];
    const VrrpStatus& status = host.machine->status();
    trace(index, effect);
    switch (effect.kind) {
      case Effect::Kind::kSendAdvert:
        // The driver renews with its adverts, so that no address outlives its last one by more.
        if (host.holding && status.state == State::kMaster) host.renewed_at = now_;
        return send(index, effect.value);
      case Effect::Kind::kTakeAddresses:
        host.took_at = now_;
        return set_holding(index, true);
      case Effect::Kind::kDropAddresses:
        if (bug_ == PlantedBug::kStepsDownHolding && status.state == State::kBackup) return;
        return set_holding(index, false);
      case Effect::Kind::kAnnounce:
        if (!host.holding && !host.retaking) announced_without_holding_ = true;
        ++host.announcements;
        host.announced_at = now_;
        last_announcer_ = index;
        return;
      case Effect::Kind::kNotify:
      case Effect::Kind::kRivalBeaten:
        return;
    }
  }

  // -1: of nobody in particular.
  void note(int host, const std::string& what) const {
    if (!tracing_) return;
    std::fprintf(stderr, "%12.3f ms  %s ==== %s\n",
                 std::chrono::duration<double, std::milli>(now_ - kOrigin).count(),
                 host < 0 ? "      " : ("host " + std::to_string(host)).c_str(), what.c_str());
  }

  void trace(int host, const Effect& effect) const {
    if (!tracing_) return;
    constexpr std::array kNames = {"advert", "take", "drop", "announce", "state", "rival beaten"};
    const bool is_state = effect.kind == Effect::Kind::kNotify;
    std::fprintf(stderr, "%12.3f ms  host %d  %s %s\n",
                 std::chrono::duration<double, std::milli>(now_ - kOrigin).count(), host,
                 kNames[static_cast<std::size_t>(effect.kind)],
                 is_state ? std::string(name_of(effect.state)).c_str()
                          : std::to_string(effect.value).c_str());
  }

  void send(int from, int priority) {
    for (int to = 0; to < size(); ++to) {
      if (to == from) continue;
      if (cuts_[from][to]) continue;
      if (rng_.chance(conditions_.loss)) {
        settle_books();
        hearing_since_[std::min(from, to)][std::max(from, to)] = now_;
        continue;
      }
      event::AdvertHeard advert;
      advert.priority = priority;
      advert.source = hosts_[from].conditions.primary;
      advert.interval = hosts_[from].instance.advert_int;
      flights_.push(
          {now_ + random(conditions_.delay_max), order_++, to, {from, now_, std::move(advert)}});
    }
  }

  Duration random(Duration max) {
    return Duration(static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(max.count()))));
  }

  base::Rng rng_;
  SegmentConditions conditions_;
  PlantedBug bug_;
  const bool tracing_ = std::getenv("NINES_SIM_TRACE") != nullptr;
  int version_ = 3;
  Duration interval_ = std::chrono::milliseconds(100);
  Duration lifetime_ = std::chrono::milliseconds(250);
  Instant now_ = kOrigin;
  std::vector<Host> hosts_;
  std::priority_queue<Flight, std::vector<Flight>, std::greater<>> flights_;
  std::uint64_t order_ = 0;
  OfPairs<bool> cuts_{};
  // Of pairs a < b.
  OfPairs<Instant> hearing_since_{};
  OfPairs<std::optional<Instant>> both_since_{}, aware_since_{};
  OfPairs<bool> one_slept_{};  // since both hold
  // When the last advert of the first was sent that the second has read since it is master.
  OfPairs<std::optional<Instant>> heard_of_{};
  bool any_pair_ = false;
  std::optional<Instant> none_since_, two_since_, held_since_, held_at_;
  Duration none_held_max_{}, two_held_max_{}, two_living_max_{}, two_woken_max_{},
      two_hearing_max_{};
  int displaced_ = 0;
  Instant healed_at_ = kOrigin, unsettled_until_ = kOrigin;
  int last_announcer_ = -1;
  bool announced_without_holding_ = false;
};

// Seeds 1 to `count`, or NINES_SIM_SEEDS of them, or NINES_SIM_SEED alone. `scenario` says whether
// to go on; after a failure it does not.
template <typename Scenario>
void for_seeds(std::uint64_t count, Scenario scenario) {
  std::uint64_t first = 1;
  if (const char* const one = std::getenv("NINES_SIM_SEED")) {
    first = std::strtoull(one, nullptr, 10);
    count = 1;
  } else if (const char* const many = std::getenv("NINES_SIM_SEEDS")) {
    count = std::strtoull(many, nullptr, 10);
  }
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    if (scenario(seed)) continue;
    std::fprintf(stderr, "seed %llu failed; NINES_SIM_SEED replays it\n",
                 static_cast<unsigned long long>(seed));
    return;
  }
}

}  // namespace nines::vrrp

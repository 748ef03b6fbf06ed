// Leases over lines that lose and delay what they carry, and nothing else amiss: how often an
// address moves that nobody had to move, and how long it is nobody's when its holder dies. What may
// never happen is lease_simulation_test.cc; this is how well it goes.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/rng.h"
#include "cluster/lease.h"

namespace nines::cluster {
namespace {

constexpr Name kName = 77;
constexpr int kHosts = 3;
constexpr Duration kTimerLatenessMax = std::chrono::microseconds(300);
constexpr Duration kTripMin = std::chrono::microseconds(80);  // of a frame without any delay
constexpr Duration kTripMax = std::chrono::microseconds(400);
constexpr Duration kDiskMax = std::chrono::milliseconds(10);

// As a host's line in the lab: each frame passes its sender's and its receiver's.
struct Lines {
  int loss_percent = 0;  // of each line in each direction
  Duration delay{};      // of each line in each direction
  Duration term = std::chrono::milliseconds(120);
};

class World {
 public:
  World(const Lines& lines, std::uint64_t seed) : lines_(lines), rng_(seed) {
    for (NodeId id = 1; id <= kHosts; ++id) {
      hosts_[id - 1u].disk = LeaseDisk{0, {1, {1, 2, 3}, {}, 0}, {}, lines.term, {}, {}};
    }
    for (NodeId id = 1; id <= kHosts; ++id) begin(id);
  }

  void run_for(Duration time) {
    const Instant end = now_ + time;
    while (!queue_.empty() && queue_.top().at <= end) {
      const Event event = queue_.top();
      queue_.pop();
      now_ = event.at;
      Host& host = hosts_[event.to - 1u];
      if (!host.machine || (event.life != 0 && event.life != host.life)) continue;
      if (event.message) {
        handle(event.to, lease_event::Heard{event.from, *event.message});
      } else if (event.disk != 0) {
        handle(event.to, lease_event::DiskWritten{event.disk});
      } else if (event.absent) {
        handle(event.to, lease_event::Absent{*event.absent});
      } else if (event.wake == host.wake) {
        handle(event.to, lease_event::TimerFired{});
      }
    }
    now_ = end;
  }

  // The host is gone with everything; membership tells the others after a while.
  void kill(NodeId id, Duration noticed_after) {
    hosts_[id - 1u].machine.reset();
    ++hosts_[id - 1u].life;
    acquired_at_ = Instant{};
    for (NodeId other = 1; other <= kHosts; ++other) {
      if (other == id) continue;
      Event event;
      event.at = now_ + noticed_after;
      event.to = other;
      event.absent = NodeSet{id};
      push(std::move(event));
    }
  }
  void begin(NodeId id) {
    Host& host = hosts_[id - 1u];
    ++host.life;
    LeaseOptions options;
    options.self = id;
    options.peers = options.voters = NodeSet{1, 2, 3};
    options.classes = {{lines_.term, lines_.term / 4}};
    options.names = {{kName, 0, true, (id - 1) * std::chrono::milliseconds(5)}};
    auto made = Lease::create(options, base::Rng(rng_.next()));
    ASSERT_TRUE(made.has_value());
    host.machine.emplace(std::move(*made));
    lease_event::Start start;
    start.disk = host.disk;
    if (host.life == 1) start.promises = LeasePromises{0, {}, false, {}};
    start.nonce = rng_.next();
    handle(id, start);
  }

  NodeId holder() const {
    for (NodeId id = 1; id <= kHosts; ++id) {
      const auto& machine = hosts_[id - 1u].machine;
      if (machine && machine->held(kName, now_)) return id;
    }
    return 0;
  }
  Instant now() const { return now_; }
  // Of leases that ended because nobody answered in time.
  int expired() const { return expired_; }
  std::uint64_t sent() const { return sent_; }
  bool is_voting(NodeId id) const {
    const auto& machine = hosts_[id - 1u].machine;
    return machine && machine->status(now_).voting;
  }
  // The first one since a host died; none: nothing.
  Instant acquired_at() const { return acquired_at_; }

 private:
  struct Event {
    Instant at{};
    std::uint64_t order = 0, wake = 0, disk = 0, life = 0;
    NodeId to = 0, from = 0;
    std::shared_ptr<const Message> message;
    std::optional<NodeSet> absent;
  };
  struct Later {
    bool operator()(const Event& a, const Event& b) const {
      return a.at != b.at ? a.at > b.at : a.order > b.order;
    }
  };
  struct Host {
    std::optional<Lease> machine;
    LeaseDisk disk;
    std::uint64_t wake = 0, life = 0;
  };

  void push(Event event) {
    event.order = ++order_;
    queue_.push(std::move(event));
  }
  Duration between(Duration least, Duration most) {
    return least + Duration(static_cast<std::int64_t>(
                       rng_.below(static_cast<std::uint64_t>((most - least).count()))));
  }

  void handle(NodeId id, const LeaseEvent& what) {
    Host& host = hosts_[id - 1u];
    LeaseEffects effects;
    host.machine->handle(what, now_, effects);
    for (const LeaseEffect& effect : effects) {
      if (const auto* const send = std::get_if<lease_effect::Send>(&effect)) {
        transmit(id, send->to, send->message);
      } else if (const auto* const write = std::get_if<lease_effect::WriteDisk>(&effect)) {
        host.disk = write->disk;
        Event event;
        event.at = now_ + between(Duration(1), kDiskMax);
        event.to = id;
        event.disk = write->sequence;
        event.life = host.life;
        push(std::move(event));
      } else if (const auto* const gone = std::get_if<lease_effect::Lost>(&effect)) {
        if (gone->reason == LossReason::kExpired) ++expired_;
      } else if (std::holds_alternative<lease_effect::Acquired>(effect)) {
        if (acquired_at_ == Instant{}) acquired_at_ = now_;
      }
    }
    const auto deadline = host.machine->deadline();
    if (!deadline) return;
    Event event;
    event.at = std::max(*deadline, now_) + between(Duration(1), kTimerLatenessMax);
    event.to = id;
    event.wake = ++host.wake;
    event.life = host.life;
    push(std::move(event));
  }

  void transmit(NodeId from, NodeId to, const Message& message) {
    ++sent_;
    const double loss = lines_.loss_percent / 100.0;
    if (rng_.chance(loss) || rng_.chance(loss)) return;
    Event event;
    event.at = now_ + 2 * lines_.delay + between(kTripMin, kTripMax);
    event.to = to;
    event.from = from;
    event.message = std::make_shared<const Message>(message);
    push(std::move(event));
  }

  Lines lines_;
  base::Rng rng_;
  Instant now_{1'000'000'000'000};
  std::uint64_t order_ = 0, sent_ = 0;
  int expired_ = 0;
  Instant acquired_at_{};
  std::array<Host, kHosts> hosts_;
  std::priority_queue<Event, std::vector<Event>, Later> queue_;
};

// NINES_LINES_TIMES=n: n times as long as in the ordinary run.
int times() {
  const char* const text = std::getenv("NINES_LINES_TIMES");
  return text == nullptr ? 1 : std::max(1, std::atoi(text));
}

std::string text_of(const Lines& lines) {
  return std::to_string(lines.loss_percent) + " % loss, " +
         std::to_string(milliseconds_of(lines.delay)) + " ms delay, a term of " +
         std::to_string(milliseconds_of(lines.term)) + " ms";
}

struct Rest {
  int expired = 0;  // leases that ended with nothing broken
  double messages_a_second = 0;
};
Rest at_rest(const Lines& lines, std::chrono::minutes time) {
  World world(lines, 1);
  world.run_for(5s);
  const int expired = world.expired();
  const std::uint64_t sent = world.sent();
  world.run_for(time);
  const Rest rest{world.expired() - expired,
                  static_cast<double>(world.sent() - sent) / (60.0 * time.count())};
  std::printf("%s: in %lld minutes %d leases expired, %.0f messages a second\n",
              text_of(lines).c_str(), static_cast<long long>(time.count()), rest.expired,
              rest.messages_a_second);
  return rest;
}

// How long the name is nobody's after its holder's death: sorted.
std::vector<Duration> deaths(const Lines& lines, Duration noticed_after, int count) {
  World world(lines, 2);
  std::vector<Duration> took;
  for (int i = 0; i < count; ++i) {
    // Until all three vote, and by another part of a renewal's interval each time.
    for (int tries = 0; tries < 100; ++tries) {
      world.run_for(200ms);
      if (world.holder() != 0 && world.is_voting(1) && world.is_voting(2) && world.is_voting(3)) {
        break;
      }
    }
    world.run_for(std::chrono::milliseconds(i * 7 % 30));
    const NodeId holder = world.holder();
    if (holder == 0) continue;
    const Instant at = world.now();
    world.kill(holder, noticed_after);
    world.run_for(3s);
    took.push_back(world.acquired_at() == Instant{} ? Duration(3s) : world.acquired_at() - at);
    world.begin(holder);
  }
  std::ranges::sort(took);
  const auto part = [&](std::size_t percent) {
    return static_cast<long long>(
        milliseconds_of(took.at(std::min(took.size() - 1, took.size() * percent / 100))));
  };
  std::printf(
      "%s: %zu deaths, nobody's for %lld ms at least, %lld in the median, %lld in 99 of "
      "100, %lld at most\n",
      text_of(lines).c_str(), took.size(), part(0), part(50), part(99), part(100));
  return took;
}

// When questions were said three times in all, once in an hour with 10 %, 229 times with 20 %.
TEST(LeaseLines, LossAloneMovesNothing) {
  EXPECT_EQ(at_rest({.loss_percent = 5}, 120min * times()).expired, 0);
  EXPECT_EQ(at_rest({.loss_percent = 10}, 60min * times()).expired, 0);
  EXPECT_LE(at_rest({.loss_percent = 20}, 60min * times()).expired, times());
}

// Where an answer takes longer than is waited for it on a short line, a sound one is asked once.
TEST(LeaseLines, ALongLineIsAskedOnceAndALossyOneOften) {
  const double usual = at_rest({}, 2min).messages_a_second;
  const Rest distant = at_rest({.delay = 5ms}, 10min);
  EXPECT_EQ(distant.expired, 0);
  EXPECT_LT(distant.messages_a_second, usual * 1.05);
  EXPECT_EQ(at_rest({.delay = 50ms, .term = 1s}, 10min).expired, 0);
  EXPECT_EQ(at_rest({.loss_percent = 5, .delay = 50ms, .term = 1s}, 30min * times()).expired, 0);
  EXPECT_EQ(at_rest({.loss_percent = 20, .delay = 50ms, .term = 1s}, 30min * times()).expired, 0);
}

TEST(LeaseLines, ADeathOnALossyLineCostsLittleMore) {
  EXPECT_LT(deaths({}, 100ms, 300 * times()).back(), 130ms);
  EXPECT_LT(deaths({.loss_percent = 5}, 210ms, 300 * times()).back(), 250ms);
  const std::vector<Duration> rough = deaths({.loss_percent = 20}, 360ms, 300 * times());
  EXPECT_LT(rough[rough.size() / 2], 150ms);
  EXPECT_LT(rough.back(), 500ms);
}

}  // namespace
}  // namespace nines::cluster

// The rule of a group decision by decision, and groups of two on simulated hosts: each host is on
// two segments with an instance on each, and is master on both or on none, whatever is lost or cut.
#include "vrrp/sync_group.h"

#include <array>
#include <deque>
#include <memory>

#include <gtest/gtest.h>

#include "base/rng.h"

namespace nines::vrrp {
namespace {

using Kind = GroupStep::Kind;

VrrpStatus as(State state, bool claiming = false, bool waiting = false) {
  VrrpStatus status;
  status.state = state;
  status.claiming = claiming;
  status.waiting = waiting;
  return status;
}
const VrrpStatus kMaster = as(State::kMaster), kBackup = as(State::kBackup),
                 kFault = as(State::kFault), kClaims = as(State::kBackup, true),
                 kWaitsToClaim = as(State::kBackup, false, true),
                 kWaitsToTake = as(State::kBackup, true, true);

std::vector<GroupStep> steps_of(const VrrpStatus& one, const VrrpStatus& other) {
  return group_steps({&one, &other});
}
std::vector<GroupStep> nothing() { return {}; }

TEST(SyncGroup, NobodyClaimsBeforeAllWouldBeMaster) {
  EXPECT_EQ(steps_of(kWaitsToClaim, kBackup), nothing());
  EXPECT_EQ(steps_of(kWaitsToClaim, kFault), nothing());
  EXPECT_EQ(steps_of(kWaitsToClaim, kWaitsToClaim),
            (std::vector<GroupStep>{{Kind::kGo, 0}, {Kind::kGo, 1}}));
}

TEST(SyncGroup, NobodyTakesBeforeAllHaveClaimed) {
  EXPECT_EQ(steps_of(kWaitsToTake, kClaims), nothing());
  EXPECT_EQ(steps_of(kWaitsToTake, kWaitsToClaim), (std::vector<GroupStep>{{Kind::kGo, 1}}));
  EXPECT_EQ(steps_of(kWaitsToTake, kWaitsToTake),
            (std::vector<GroupStep>{{Kind::kTake, 0}, {Kind::kTake, 1}}));
  EXPECT_EQ(steps_of(kMaster, kWaitsToTake), (std::vector<GroupStep>{{Kind::kTake, 1}}));
}

TEST(SyncGroup, OneThatFollowsAnotherMasterTakesAllWithIt) {
  EXPECT_EQ(steps_of(kMaster, kBackup), (std::vector<GroupStep>{{Kind::kYield, 0}}));
  EXPECT_EQ(steps_of(kFault, kMaster), (std::vector<GroupStep>{{Kind::kYield, 1}}));
  EXPECT_EQ(steps_of(kClaims, kBackup), (std::vector<GroupStep>{{Kind::kYield, 0}}));
  EXPECT_EQ(steps_of(kMaster, kWaitsToClaim), (std::vector<GroupStep>{{Kind::kYield, 0}}));
  EXPECT_EQ(steps_of(kBackup, kBackup), nothing());
  EXPECT_EQ(steps_of(kMaster, kMaster), nothing());
}

TEST(SyncGroup, OneThatHandsOverServesOnUntilItsOwnSuccessorSpeaks) {
  VrrpStatus leaving = kMaster;
  leaving.leaving = true;
  EXPECT_EQ(steps_of(leaving, as(State::kStopped)), nothing());
}

TEST(SyncGroup, HasAStateWhenItsMembersAgree) {
  EXPECT_EQ(group_state({&kMaster, &kMaster}), State::kMaster);
  EXPECT_EQ(group_state({&kMaster, &kBackup}), std::nullopt);
  const VrrpStatus init;
  EXPECT_EQ(group_state({&init, &init}), std::nullopt);
  EXPECT_EQ(group_state({}), std::nullopt);
}

// ---- Simulated ---------------------------------------------------------------------------------

constexpr int kSegments = 2;
constexpr Duration kStep = std::chrono::microseconds(500);
constexpr Duration kInterval = std::chrono::milliseconds(100);

struct World {
  struct Host {
    std::vector<std::unique_ptr<Vrrp>> members;  // by segment
    std::array<bool, kSegments> link{true, true};
    Instant paused_until{};
    int priority = 0;
    int id = 0;
  };
  struct Packet {
    Instant at{};
    int from = 0, to = 0, segment = 0;
    event::AdvertHeard advert;
  };

  base::Rng rng;
  std::deque<Packet> packets;
  std::vector<Host> hosts;
  Instant now{1'000'000'000};
  double loss = 0;
  Duration two_held{};  // in all, on any segment

  World(std::uint64_t seed, std::vector<int> priorities) : rng(seed) {
    for (const int priority : priorities) {
      hosts.emplace_back();
      hosts.back().priority = priority;
      hosts.back().id = static_cast<int>(hosts.size());
      start(hosts.back());
    }
  }

  static SocketAddress address_of(const Host& host, int segment) {
    return SocketAddress::ipv4(
        {10, 0, static_cast<std::uint8_t>(segment), static_cast<std::uint8_t>(host.id)}, 0);
  }

  void start(Host& host, std::optional<Instant> master_seen_at = {}) {
    host.members.clear();
    for (int segment = 0; segment < kSegments; ++segment) {
      VrrpInstance instance;
      instance.name = "VI_" + std::to_string(segment);
      instance.group = "G";
      instance.virtual_router_id = 51;
      instance.priority = host.priority;
      instance.version = 3;
      instance.advert_int = kInterval;
      host.members.push_back(std::make_unique<Vrrp>(instance, master_seen_at));
    }
    tell_conditions(host);
  }

  // As the driver does: what is wrong with one link is wrong with all.
  void tell_conditions(Host& host) {
    for (int segment = 0; segment < kSegments; ++segment) {
      event::Conditions conditions;
      for (const bool up : host.link) conditions.faults += up ? 0 : 1;
      conditions.primary = address_of(host, segment);
      handle(host, segment, conditions);
    }
    settle(host);
  }

  void handle(Host& host, int segment, const Event& event) {
    Effects effects;
    host.members[static_cast<std::size_t>(segment)]->handle(event, now, effects);
    for (const Effect& effect : effects) {
      if (effect.kind == Effect::Kind::kSendAdvert) send(host, segment, effect.value);
    }
  }

  void settle(Host& host) {
    std::vector<const VrrpStatus*> members;
    for (const auto& member : host.members) members.push_back(&member->status());
    settle_group(members, [&](const GroupStep& step) {
      const auto segment = static_cast<int>(step.member);
      step.kind == Kind::kYield ? handle(host, segment, event::GroupYield{})
                                : handle(host, segment, event::GroupGo{});
    });
    // The rule itself.
    const bool one = host.members[0]->status().state == State::kMaster;
    const bool other = host.members[1]->status().state == State::kMaster;
    EXPECT_EQ(one, other) << "host " << host.id << " is master on one segment alone";
  }

  void send(const Host& from, int segment, int priority) {
    if (!from.link[static_cast<std::size_t>(segment)]) return;
    for (const Host& to : hosts) {
      if (to.id == from.id || rng.chance(loss)) continue;
      event::AdvertHeard advert;
      advert.priority = priority;
      advert.source = address_of(from, segment);
      advert.interval = kInterval;
      const Duration delay = std::chrono::microseconds(100 + rng.below(300));
      packets.push_back({now + delay, from.id, to.id, segment, advert});
    }
  }

  bool awake(const Host& host) const { return now >= host.paused_until; }

  void step() {
    now = now + kStep;
    std::deque<Packet> due;
    for (std::size_t i = 0; i < packets.size();) {
      Host& to = hosts[static_cast<std::size_t>(packets[i].to - 1)];
      if (packets[i].at > now || !awake(to)) {
        ++i;
        continue;
      }
      due.push_back(packets[i]);
      packets.erase(packets.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (const Packet& packet : due) {
      Host& to = hosts[static_cast<std::size_t>(packet.to - 1)];
      if (!to.link[static_cast<std::size_t>(packet.segment)]) continue;
      handle(to, packet.segment, packet.advert);
      settle(to);
    }
    for (Host& host : hosts) {
      if (!awake(host)) continue;
      for (int segment = 0; segment < kSegments; ++segment) {
        const auto deadline = host.members[static_cast<std::size_t>(segment)]->deadline();
        if (!deadline || *deadline > now) continue;
        handle(host, segment, event::TimerFired{});
        settle(host);
      }
    }
    for (int segment = 0; segment < kSegments; ++segment) {
      if (holders(segment) > 1) two_held = two_held + kStep;
    }
  }

  void run_for(Duration duration) {
    for (const Instant end = now + duration; now < end;) step();
  }

  int holders(int segment) const {
    int count = 0;
    for (const Host& host : hosts) {
      if (host.members[static_cast<std::size_t>(segment)]->status().state == State::kMaster) {
        ++count;
      }
    }
    return count;
  }
  // The host that is master on both segments, alone; 0: there is none.
  int owner() const {
    int owner = 0;
    for (const Host& host : hosts) {
      if (host.members[0]->status().state == State::kMaster) owner = owner == 0 ? host.id : -1;
    }
    return owner > 0 && holders(0) == 1 && holders(1) == 1 ? owner : 0;
  }

  void set_link(Host& host, std::size_t segment, bool up) {
    if (std::exchange(host.link[segment], up) != up) tell_conditions(host);
  }
};

// Three adverts, a skew, and what a group that gave way waits once more.
constexpr Duration kSettled = std::chrono::milliseconds(1200);

TEST(SyncGroup, WithoutLossOneHostHasBothSegmentsAndNeverTwo) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    World world(seed, {200, 100, seed % 2 == 0 ? 100 : 50});
    world.run_for(kSettled);
    ASSERT_EQ(world.owner(), 1) << seed;
    EXPECT_EQ(world.two_held, Duration{}) << seed;
    // One of its two links fails: another has both, and it is again when the link is back.
    world.set_link(world.hosts[0], seed % 2, false);
    world.run_for(kSettled);
    EXPECT_GT(world.owner(), 1) << seed;
    world.set_link(world.hosts[0], seed % 2, true);
    world.run_for(kSettled);
    EXPECT_EQ(world.owner(), 1) << seed;
    EXPECT_EQ(world.two_held, Duration{}) << seed;
  }
}

TEST(SyncGroup, AGroupThatEndsIsFollowedOnBothSegmentsWithinASkew) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    World world(seed, {200, 150});
    world.run_for(kSettled);
    ASSERT_EQ(world.owner(), 1) << seed;
    for (int segment = 0; segment < kSegments; ++segment) {
      world.handle(world.hosts[0], segment, event::Stop{});
    }
    world.run_for(std::chrono::milliseconds(50));  // (256 - 150) / 256 of 100 ms, and a claim
    EXPECT_EQ(world.owner(), 2) << seed;
  }
}

TEST(SyncGroup, AProcessThatFollowsADeadOneGoesOnAsTheMasterItWas) {
  World world(1, {200, 100});
  world.run_for(kSettled);
  ASSERT_EQ(world.owner(), 1);
  world.start(world.hosts[0], world.now);
  // Nothing is dropped meanwhile, and both claims are held within a step or two.
  world.run_for(std::chrono::milliseconds(5));
  EXPECT_EQ(world.owner(), 1);
  EXPECT_EQ(world.hosts[0].members[0]->status().counters.released_master, 0u);
  EXPECT_EQ(world.hosts[0].members[1]->status().counters.released_master, 0u);
}

TEST(SyncGroup, AfterLossCutsPausesAndRestartsOneHostHasBothSegments) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    World world(seed, {200, 100, 50});
    for (int i = 0; i < 12; ++i) {
      world.loss = world.rng.chance(0.5) ? 0.3 : 0;
      World::Host& host = world.hosts[world.rng.below(world.hosts.size())];
      switch (world.rng.below(4)) {
        case 0:
        case 1:
          world.set_link(host, world.rng.below(kSegments), world.rng.chance(0.4));
          break;
        case 2:
          host.paused_until = world.now + std::chrono::milliseconds(world.rng.below(700));
          break;
        case 3:
          world.start(host);
          break;
      }
      world.run_for(std::chrono::milliseconds(50 + world.rng.below(400)));
      if (HasFailure()) break;
    }
    world.loss = 0;
    for (World::Host& host : world.hosts) {
      host.paused_until = Instant{};
      for (std::size_t segment = 0; segment < kSegments; ++segment) {
        world.set_link(host, segment, true);
      }
    }
    world.run_for(kSettled);
    ASSERT_EQ(world.owner(), 1) << "seed " << seed;
    const Duration before = world.two_held;
    world.run_for(kSettled);
    ASSERT_EQ(world.owner(), 1) << "seed " << seed;
    ASSERT_EQ(world.two_held, before) << "seed " << seed;
  }
}

// Two masters of one segment, which cannot be helped while its hosts do not hear each other there,
// end when one of them hears the other on its other segment.
TEST(SyncGroup, ACutOfOneSegmentAloneEndsTheWorseGroup) {
  World world(7, {200, 100});
  world.run_for(kSettled);
  ASSERT_EQ(world.owner(), 1);
  // The cut is in the network: both hosts' links stay up.
  for (int i = 0; i < 4000; ++i) {
    std::erase_if(world.packets, [](const auto& packet) { return packet.segment == 1; });
    world.step();
  }
  EXPECT_EQ(world.owner(), 1);  // the other waits, on its second segment, for its first
  EXPECT_EQ(world.two_held, Duration{});
}

}  // namespace
}  // namespace nines::vrrp

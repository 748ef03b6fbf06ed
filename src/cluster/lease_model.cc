// Breadth first over all states. A state is a few small fields packed into three words; those seen
// lie in one table, each with the state it was first reached from, which gives the shortest story.
#include "cluster/lease_model.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/check.h"

namespace nines::cluster {
namespace {

constexpr int kVoters = 3;
constexpr int kClaimants = 2;
constexpr int kCounters = 2;
constexpr int kBallots = kCounters * kClaimants;  // 1 to this; claimant (b - 1) % 2
constexpr int kRounds = 2;                        // to acquire, and one renewal
constexpr int kTerm = 4;                          // ticks, at a voter
constexpr int kHolding = 2;  // of them a holder relies on: each clock may be wrong by one

constexpr int claimant_of(int ballot) { return (ballot - 1) % kClaimants; }
constexpr int counter_of(int ballot) { return (ballot + 1) / kClaimants; }

enum Phase : std::uint8_t { kIdle, kPreparing, kAccepting, kHolding_ };

struct Voter {
  std::uint8_t promised = 0, accepted = 0, round = 0, left = 0, wait = 0, released = 0;
  std::uint8_t mark = 0;   // on disk
  std::uint8_t floor = 0;  // counters up to here were perhaps promised before the boot
};
struct Claimant {
  std::uint8_t ballot = 0, phase = kIdle, round = 0, age = 0, used = 0;
  std::uint8_t guard = 0;  // the kernel's: outlives the process
  // Answers that are under way or there, by voter, to the question that is open; answers to others
  // are dropped on arrival, so that they need not be remembered.
  std::uint8_t promises = 0, accepts = 0;
};
struct State {
  std::array<Voter, kVoters> voters;
  std::array<Claimant, kClaimants> claimants;
  std::array<std::uint8_t, kVoters> deviated{};
  std::uint8_t granted = 0, restarts = 0;
  // Questions under way, or delivered, or lost: bits.
  std::uint8_t prepare = 0, release = 0;  // by ballot - 1
  std::uint8_t accept = 0;                // by (ballot - 1) * 2 + round - 1
};
using Key = std::array<std::uint64_t, 3>;

class Packer {
 public:
  void put(std::uint64_t value, int bits) {
    CHECK(value >> bits == 0);
    if (used_ + bits > 64) ++word_, used_ = 0;
    CHECK(word_ < 3);
    key[static_cast<std::size_t>(word_)] |= value << used_;
    used_ += bits;
  }
  Key key{};

 private:
  int word_ = 0, used_ = 0;
};
class Unpacker {
 public:
  explicit Unpacker(const Key& key) : key_(key) {}
  template <typename T>
  void get(T& value, int bits) {
    if (used_ + bits > 64) ++word_, used_ = 0;
    value = static_cast<T>(key_[static_cast<std::size_t>(word_)] >> used_ &
                           ((std::uint64_t{1} << bits) - 1));
    used_ += bits;
  }

 private:
  const Key& key_;
  int word_ = 0, used_ = 0;
};

// One list of fields for both directions.
template <typename State_, typename Field>
void each_field(State_& state, Field&& field) {
  for (auto& voter : state.voters) {
    field(voter.promised, 3), field(voter.accepted, 3), field(voter.round, 2);
    field(voter.left, 3), field(voter.wait, 3), field(voter.released, 3);
    field(voter.mark, 2), field(voter.floor, 2);
  }
  for (auto& claimant : state.claimants) {
    field(claimant.ballot, 3), field(claimant.phase, 2), field(claimant.round, 2);
    field(claimant.age, 3), field(claimant.used, 2), field(claimant.guard, 3);
    field(claimant.promises, 3), field(claimant.accepts, 3);
  }
  for (auto& each : state.deviated) field(each, 1);
  field(state.granted, 3), field(state.restarts, 2);
  field(state.prepare, 4), field(state.release, 4), field(state.accept, 8);
}
Key pack(const State& state) {
  Packer packer;
  each_field(state, [&](auto value, int bits) { packer.put(value, bits); });
  return packer.key;
}
State unpack(const Key& key) {
  State state;
  Unpacker unpacker(key);
  each_field(state, [&](auto& value, int bits) { unpacker.get(value, bits); });
  return state;
}

class Explorer {
 public:
  Explorer(ModelPlant plant, const ModelBounds& bounds) : plant_(plant), bounds_(bounds) {
    table_.assign(std::size_t{1} << 16, 0);
  }

  ModelResult run() {
    add(State{}, 0);
    for (std::size_t at = 0; at < keys_.size() && violation_.empty(); ++at) {
      if (keys_.size() > bounds_.states_max) break;
      at_ = static_cast<std::uint32_t>(at);
      step(unpack(keys_[at]));
    }
    ModelResult result;
    result.states = keys_.size();
    result.steps = steps_;
    result.violation = violation_;
    result.complete = violation_.empty() && keys_.size() <= bounds_.states_max;
    if (!violation_.empty()) result.story = story();
    return result;
  }

 private:
  bool planted(ModelPlant plant) const { return plant_ == plant; }
  int holding() const { return planted(ModelPlant::kDriftIgnored) ? kTerm : kHolding; }

  static bool majority(std::uint32_t bits) { return std::popcount(bits) >= 2; }
  bool counts_as_majority(std::uint32_t bits) const {
    return planted(ModelPlant::kAnswerCountedTwice) ? bits != 0 : majority(bits);
  }

  // -- every step that is possible in a state -----------------------------------------------------

  void step(const State& state) {
    for (int i = 0; i < kClaimants; ++i) {
      claim(state, i);
      go_on(state, i);
      grant(state, i);
      renew(state, i);
      give_back(state, i);
    }
    for (int v = 0; v < kVoters; ++v) {
      for (int ballot = 1; ballot <= bounds_.ballots; ++ballot) {
        prepare(state, v, ballot);
        for (int round = 1; round <= kRounds; ++round) accept(state, v, ballot, round);
        release(state, v, ballot);
      }
      restart(state, v);
    }
    tick(state);
  }

  void claim(const State& state, int i) {
    const Claimant& now = state.claimants[static_cast<std::size_t>(i)];
    if (now.phase != kIdle) return;
    for (int counter = now.used + 1; counter <= kCounters; ++counter) {
      State next = state;
      Claimant& claimant = next.claimants[static_cast<std::size_t>(i)];
      Voter& self = next.voters[static_cast<std::size_t>(i)];
      const int ballot = (counter - 1) * kClaimants + i + 1;
      if (ballot > bounds_.ballots) return;
      claimant.ballot = static_cast<std::uint8_t>(ballot);
      claimant.phase = kPreparing;
      claimant.round = claimant.age = 0;
      claimant.used = static_cast<std::uint8_t>(counter);
      self.mark = std::max(self.mark, claimant.used);
      next.prepare |= static_cast<std::uint8_t>(1 << (ballot - 1));
      reach(next, "claims by ballot", i, ballot);
    }
  }

  void go_on(const State& state, int i) {
    const Claimant& now = state.claimants[static_cast<std::size_t>(i)];
    const bool again =
        planted(ModelPlant::kLatePromiseRestartsTimer) && now.phase >= kAccepting && now.round == 1;
    if (now.phase != kPreparing && !again) return;
    if (!counts_as_majority(now.promises)) return;
    // The planted bug: one more promise makes a majority again.
    if (again && now.promises != 7) return;
    State next = state;
    Claimant& claimant = next.claimants[static_cast<std::size_t>(i)];
    if (claimant.phase == kPreparing) claimant.phase = kAccepting;
    claimant.round = 1;
    claimant.age = static_cast<std::uint8_t>(holding());
    if (!planted(ModelPlant::kLatePromiseRestartsTimer)) claimant.promises = 0;
    next.accept |= static_cast<std::uint8_t>(1 << (now.ballot - 1) * kRounds);
    reach(next, "has a majority of promises for ballot", i, now.ballot);
  }

  void grant(const State& state, int i) {
    const Claimant& now = state.claimants[static_cast<std::size_t>(i)];
    if (now.phase < kAccepting || now.age == 0) return;
    if (!counts_as_majority(now.accepts)) return;
    State next = state;
    Claimant& claimant = next.claimants[static_cast<std::size_t>(i)];
    if (planted(ModelPlant::kTimerFromAnswer)) {
      if (claimant.phase == kAccepting) claimant.age = static_cast<std::uint8_t>(holding());
    }
    if (claimant.phase == kAccepting) {
      if (claimant.ballot <= next.granted) {
        violation_ = "an epoch was granted that is not above the one before";
      }
      next.granted = claimant.ballot;
      claimant.phase = kHolding_;
    }
    claimant.guard = std::max(claimant.guard, claimant.age);
    if (next.claimants[0].guard > 0 && next.claimants[1].guard > 0) {
      violation_ = "two guards are open at one instant";
    }
    reach(next, "holds until its clock has counted", i, claimant.age);
  }

  void renew(const State& state, int i) {
    const Claimant& now = state.claimants[static_cast<std::size_t>(i)];
    if (now.phase != kHolding_ || now.guard == 0 || now.round >= bounds_.rounds) return;
    State next = state;
    Claimant& claimant = next.claimants[static_cast<std::size_t>(i)];
    ++claimant.round;
    claimant.accepts = 0;
    claimant.age = static_cast<std::uint8_t>(holding());
    next.accept |=
        static_cast<std::uint8_t>(1 << ((now.ballot - 1) * kRounds + claimant.round - 1));
    reach(next, "asks for another term by ballot", i, now.ballot);
  }

  // On purpose, or because a claim failed: the guard first.
  void give_back(const State& state, int i) {
    const Claimant& now = state.claimants[static_cast<std::size_t>(i)];
    if (now.phase < kAccepting) return;
    State next = state;
    Claimant& claimant = next.claimants[static_cast<std::size_t>(i)];
    claimant.guard = 0;
    end(claimant);
    next.release |= static_cast<std::uint8_t>(1 << (now.ballot - 1));
    reach(next, "gives back ballot", i, now.ballot);
  }

  static void end(Claimant& claimant) {
    claimant.phase = kIdle;
    claimant.ballot = claimant.round = claimant.age = claimant.promises = claimant.accepts = 0;
  }

  bool busy(const Voter& voter, int ballot) const {
    if (planted(ModelPlant::kBusyIgnored)) return false;
    return voter.accepted != 0 && voter.left > 0 &&
           claimant_of(voter.accepted) != claimant_of(ballot);
  }
  static bool outbid(const Voter& voter, int ballot) {
    return ballot < voter.promised || ballot <= voter.released || counter_of(ballot) <= voter.floor;
  }

  void prepare(const State& state, int v, int ballot) {
    if ((state.prepare >> (ballot - 1) & 1) == 0) return;
    const Voter& now = state.voters[static_cast<std::size_t>(v)];
    if (now.wait > 0 || busy(now, ballot) || outbid(now, ballot)) return;
    State next = state;
    Voter& voter = next.voters[static_cast<std::size_t>(v)];
    voter.promised = static_cast<std::uint8_t>(ballot);
    voter.mark = std::max<std::uint8_t>(voter.mark, static_cast<std::uint8_t>(counter_of(ballot)));
    Claimant& claimant = next.claimants[static_cast<std::size_t>(claimant_of(ballot))];
    const bool late = planted(ModelPlant::kLatePromiseRestartsTimer);
    if (claimant.ballot == ballot && (claimant.phase == kPreparing || late)) {
      claimant.promises |= static_cast<std::uint8_t>(1 << v);
    }
    reach(next, "promises ballot", v, ballot);
  }

  void accept(const State& state, int v, int ballot, int round) {
    const int question = (ballot - 1) * kRounds + round - 1;
    if ((state.accept >> question & 1) == 0) return;
    const Voter& now = state.voters[static_cast<std::size_t>(v)];
    if (now.wait > 0 || busy(now, ballot) || outbid(now, ballot)) return;
    if (now.accepted == ballot && now.round >= round) return;  // changes nothing
    State next = state;
    Voter& voter = next.voters[static_cast<std::size_t>(v)];
    voter.promised = voter.accepted = static_cast<std::uint8_t>(ballot);
    voter.round = static_cast<std::uint8_t>(round);
    voter.left = kTerm;
    voter.mark = std::max<std::uint8_t>(voter.mark, static_cast<std::uint8_t>(counter_of(ballot)));
    Claimant& claimant = next.claimants[static_cast<std::size_t>(claimant_of(ballot))];
    if (claimant.ballot == ballot && claimant.round == round && claimant.phase >= kAccepting) {
      claimant.accepts |= static_cast<std::uint8_t>(1 << v);
    }
    reach(next, round == 1 ? "accepts ballot" : "accepts the renewal of ballot", v, ballot);
  }

  void release(const State& state, int v, int ballot) {
    if ((state.release >> (ballot - 1) & 1) == 0) return;
    if (state.voters[static_cast<std::size_t>(v)].released >= ballot) return;
    State next = state;
    Voter& voter = next.voters[static_cast<std::size_t>(v)];
    voter.released = static_cast<std::uint8_t>(ballot);
    if (voter.accepted != 0 && voter.accepted <= ballot &&
        claimant_of(voter.accepted) == claimant_of(ballot)) {
      voter.accepted = voter.round = voter.left = 0;
    }
    reach(next, "hears that it was given back: ballot", v, ballot);
  }

  void restart(const State& state, int v) {
    if (state.restarts >= bounds_.restarts) return;
    State killed = state;
    ++killed.restarts;
    if (v < kClaimants) end(killed.claimants[static_cast<std::size_t>(v)]);
    if (v < kClaimants) reach(killed, "is killed and starts again with its promises", v, 0);

    State rebooted = killed;
    Voter& voter = rebooted.voters[static_cast<std::size_t>(v)];
    const std::uint8_t mark = planted(ModelPlant::kMarkOnlyInMemory) ? 0 : voter.mark;
    voter = Voter{};
    voter.mark = voter.floor = mark;
    voter.wait = planted(ModelPlant::kForgetsWithoutWaiting) ? 0 : kTerm;
    if (v < kClaimants) {
      Claimant& claimant = rebooted.claimants[static_cast<std::size_t>(v)];
      claimant.guard = 0;
      claimant.used = mark;
    }
    reach(rebooted, "reboots", v, 0);
  }

  // Time for all; a clock may stand still or count double, as often as the bounds let it.
  void tick(const State& state) {
    for (int deviant = -1; deviant < kVoters; ++deviant) {
      if (deviant >= 0 && state.deviated[static_cast<std::size_t>(deviant)] >= bounds_.deviations) {
        continue;
      }
      for (const int pace : {0, 2}) {
        if (deviant < 0 && pace == 2) continue;
        State next = state;
        if (deviant >= 0) ++next.deviated[static_cast<std::size_t>(deviant)];
        for (int v = 0; v < kVoters; ++v) advance(next, v, v == deviant ? pace : 1);
        reach(next,
              deviant < 0 ? "time passes"
                          : (pace == 0 ? "has a clock that stands still while time passes"
                                       : "has a clock that counts double while time passes"),
              deviant, 0);
      }
    }
  }

  static void advance(State& state, int v, int by) {
    const auto less = [by](std::uint8_t& value) {
      value = static_cast<std::uint8_t>(value > by ? value - by : 0);
    };
    Voter& voter = state.voters[static_cast<std::size_t>(v)];
    less(voter.left);
    less(voter.wait);
    if (v >= kClaimants) return;
    Claimant& claimant = state.claimants[static_cast<std::size_t>(v)];
    less(claimant.guard);
    less(claimant.age);
    const bool lost = claimant.phase == kHolding_ && claimant.guard == 0;
    const bool failed = claimant.phase == kAccepting && claimant.age == 0;
    if (lost || failed) end(claimant);
  }

  // -- the states seen ----------------------------------------------------------------------------

  static std::uint64_t hash(const Key& key) {
    std::uint64_t h = 0x9e3779b97f4a7c15ull;
    for (const std::uint64_t word : key) {
      h = (h ^ word) * 0xff51afd7ed558ccdull;
      h ^= h >> 32;
    }
    return h;
  }

  void reach(const State& next, const char* what, int node, int value) {
    if (!last_.empty()) return;
    ++steps_;
    if (!violation_.empty()) {  // by this very step
      last_ = line_of({what, static_cast<std::int8_t>(node), static_cast<std::int8_t>(value)});
      return;
    }
    if (!add(next, at_)) return;
    what_.back() = {what, static_cast<std::int8_t>(node), static_cast<std::int8_t>(value)};
  }

  // Forgets what can make no difference any more: questions that nobody can answer with yes again.
  void simplify(State& state) const {
    if (planted(ModelPlant::kMarkOnlyInMemory)) return;  // where nothing is forgotten for good
    for (int ballot = 1; ballot <= kBallots; ++ballot) {
      bool prepared = true, dead = true, released = true;
      for (const Voter& voter : state.voters) {
        const bool never = outbid(voter, ballot);
        prepared = prepared && (never || voter.promised == ballot);
        dead = dead && never;
        released = released && (voter.released >= ballot || counter_of(ballot) <= voter.floor);
      }
      const auto bit = static_cast<std::uint8_t>(1 << (ballot - 1));
      if (prepared) state.prepare &= static_cast<std::uint8_t>(~bit);
      if (dead) state.accept &= static_cast<std::uint8_t>(~(3 << (ballot - 1) * kRounds));
      if (released) state.release &= static_cast<std::uint8_t>(~bit);
    }
    for (Voter& voter : state.voters) {
      // What ran out matters only as long as its own question may come again.
      const bool again = voter.accepted != 0 &&
                         (state.accept >> (voter.accepted - 1) * kRounds & 3) != 0 &&
                         !outbid(voter, voter.accepted);
      if (voter.left == 0 && !again) voter.accepted = voter.round = 0;
      if (voter.promised <= voter.released || counter_of(voter.promised) <= voter.floor) {
        voter.promised = 0;
      }
    }
  }

  bool add(State state, std::uint32_t from) {
    simplify(state);
    const Key key = pack(state);
    const std::size_t mask = table_.size() - 1;
    std::size_t slot = hash(key) & mask;
    for (; table_[slot] != 0; slot = (slot + 1) & mask) {
      if (keys_[table_[slot] - 1] == key) return false;
    }
    keys_.push_back(key);
    from_.push_back(from);
    what_.push_back({});
    table_[slot] = static_cast<std::uint32_t>(keys_.size());
    if (keys_.size() * 2 > table_.size()) grow();
    return true;
  }

  void grow() {
    table_.assign(table_.size() * 2, 0);
    const std::size_t mask = table_.size() - 1;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      std::size_t slot = hash(keys_[i]) & mask;
      while (table_[slot] != 0) slot = (slot + 1) & mask;
      table_[slot] = static_cast<std::uint32_t>(i + 1);
    }
  }

  struct What {
    const char* text = "";
    std::int8_t node = -1;
    std::int8_t value = 0;
  };

  static std::string line_of(const What& what) {
    std::string line;
    if (what.node >= 0) line = "n" + std::to_string(what.node + 1) + " ";
    line += what.text;
    if (what.value != 0) line += " " + std::to_string(what.value);
    return line;
  }

  std::vector<std::string> story() const {
    std::vector<std::string> lines{last_};
    for (std::uint32_t at = at_; at != 0; at = from_[at]) lines.push_back(line_of(what_[at]));
    std::reverse(lines.begin(), lines.end());
    return lines;
  }

  ModelPlant plant_;
  ModelBounds bounds_;
  std::vector<Key> keys_;
  std::vector<std::uint32_t> from_;
  std::vector<What> what_;
  std::vector<std::uint32_t> table_;  // open addressing: index + 1
  std::uint32_t at_ = 0;
  std::uint64_t steps_ = 0;
  std::string violation_, last_;
};

}  // namespace

ModelResult explore_leases(ModelPlant plant, const ModelBounds& bounds) {
  return Explorer(plant, bounds).run();
}

}  // namespace nines::cluster

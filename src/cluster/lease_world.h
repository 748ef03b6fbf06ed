// A seeded world for leases: hosts with clocks that run wrong, a network that loses, repeats,
// delays and reorders, processes that stop in the middle of what they do, and a model of the
// kernel's guard that says at every true instant who lets packets through.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "cluster/lease.h"

namespace nines::cluster {

// What a driver, or the machine's surroundings, might get wrong. Each must be found.
enum class Plant : std::uint8_t {
  kNone,
  kClockStandsInPauses,  // a lease that ignores pauses: the driver's clock is not CLOCK_BOOTTIME
  kMarkOnlyInMemory,     // the epochs' high-water mark never reaches the disk
  kNodeCountedTwice,     // a voter's answer is delivered under another's name as well
  kPromisesForgotten,    // a restarted voter is told that it had promised nothing
  kGuardWithoutLease,    // the guard is renewed by a timer, whatever the lease says
  kGuardFromOldClock,    // the clock is not read again at the kernel's door
  kSendBeforeKeep,       // answers leave before tmpfs has the promise
  kShutIgnored,          // a new process leaves open what the dead one had opened
  kBootNotNoticed,       // a host that was off counts as one that was there all the time
  kWordHalfWritten,      // of a word the disk keeps the generation, and not who has yet to adopt it
  kNamedNodesLive,       // the operator's part: who was named is cut off, and not switched off
};
inline constexpr std::array kPlants = {
    Plant::kClockStandsInPauses, Plant::kMarkOnlyInMemory,  Plant::kNodeCountedTwice,
    Plant::kPromisesForgotten,   Plant::kGuardWithoutLease, Plant::kGuardFromOldClock,
    Plant::kSendBeforeKeep,      Plant::kShutIgnored,       Plant::kBootNotNoticed,
    Plant::kWordHalfWritten,     Plant::kNamedNodesLive,
};
const char* name_of(Plant plant);

struct WorldTally {
  std::uint64_t events = 0;
  std::uint64_t grants = 0;         // of names
  std::uint64_t changes = 0;        // generations adopted, counted once each
  std::uint64_t learned = 0;        // voters that came back without a disk
  std::uint64_t owned_by_word = 0;  // acquired where one node votes, by the operator's word
  std::uint64_t readmitted = 0;     // generations that such a one grew to, counted once each
  std::uint64_t overlaps = 0;       // with false words: openings of a guard beside another's
  std::uint64_t hand_overs = 0;
  std::uint64_t survived = 0;  // deaths of one of two nodes and a witness, and what the others did
  Duration healed_max{};       // from the end of all faults until all names had an owner
  Duration survived_max{};     // from such a death
};

class LeaseWorld {
 public:
  static constexpr Duration kAddressTerm = std::chrono::milliseconds(120);
  static constexpr Duration kWriterTerm = std::chrono::milliseconds(1000);

  // Whether nodes that the operator says are off are off. With false words the world checks what
  // then still holds: no epoch twice, and one holder, under the highest, once all can be heard.
  enum class Words : std::uint8_t { kTrue, kFalse };
  // Which nodes there are: three to seven that are all alike, or two and a witness, which votes and
  // for which no name is ever wanted.
  enum class Members : std::uint8_t { kAlike, kTwoAndWitness };
  // From the end of all cuts; with three nodes or more, and their contact each kGossipEvery.
  static constexpr Duration kOneHolderWithin = std::chrono::seconds(4);

  LeaseWorld(std::uint64_t seed, Plant plant, bool tracing, Words words = Words::kTrue,
             Members members = Members::kAlike);
  ~LeaseWorld();

  // Faults by chance, then all of them end and every name must find an owner. Empty: nothing was
  // violated; otherwise what was, in a sentence.
  std::string run();
  const WorldTally& tally() const { return tally_; }
  const std::vector<std::string>& trace() const { return trace_; }

 private:
  struct Guard {
    Epoch epoch = 0;
    Instant until{};    // by the host's clock, as the kernel counts
    Instant planned{};  // what the driver was told last
  };
  // What a schedule has most of.
  enum class Theme : std::uint8_t { kAnything, kVoters, kWords, kAnythingElse };
  struct Host;
  struct Event;
  struct Later;

  void chaos();
  void fault();
  void heal();
  void let_words_count();
  bool has_pending_word() const;
  void check_one_holder();
  void wait_for_owners();
  void wait_for_voters();
  void lose_one_of_three();
  bool all_owned(NodeId without = 0);
  bool is_witness(const Host& host) const;

  void schedule(Duration delay, Event event);
  bool step(Instant limit);
  void run_until(Instant limit);
  void begin(Host& host);
  void deliver(Host& host, NodeId from, const Message& message);
  void handle(Host& host, const LeaseEvent& event);
  void perform(Host& host);
  void perform_one(Host& host, const LeaseEffect& effect);
  void open_guard(Host& host, Name name, Epoch epoch, Instant until);
  void transmit(Host& from, NodeId to, const Message& message);
  void arm(Host& host);
  void pause(Host& host, Duration time);
  void resume(Host& host);
  void kill(Host& host, Duration until_restart);
  void forget_work(Host& host);
  void power_cut(Host& host, Duration until_restart);
  void switch_off_and_grant();
  void grant_falsely();
  void change_voters();
  void readmit();

  Instant local(const Host& host, Instant at) const;
  Instant machine_time(const Host& host) const;
  Duration true_delay(const Host& host, Instant local_at) const;
  void set_rate(Host& host, std::int64_t ppm);
  Duration between(Duration least, Duration most);
  Host& any();
  void violate(std::string what);
  template <typename... Parts>
  void note(const Host* host, const Parts&... parts);

  base::Rng rng_;
  Plant plant_;
  Words truth_;
  Members members_;
  Theme theme_ = Theme::kAnything;
  bool tracing_;
  Instant now_{1'000'000'000'000};
  Instant begun_ = now_;
  std::uint64_t order_ = 0;
  std::vector<std::unique_ptr<Host>> hosts_;  // node n is hosts_[n - 1]
  std::vector<Name> names_;
  std::vector<std::vector<bool>> cut_;  // [from][to]
  double loss_ = 0, duplication_ = 0, delayed_ = 0, stall_ = 0;
  Duration delay_min_ = std::chrono::microseconds(50);
  Duration delay_max_ = std::chrono::microseconds(400);
  std::vector<Event> queue_;  // a heap
  NodeSet voters_;            // at first, and what they are to be again
  // Grants as they were decided; without those of processes that died before they opened a guard.
  std::map<Name, std::set<Epoch>> epochs_;
  std::set<std::pair<Name, Epoch>> given_;  // all of them
  bool one_holder_ = true;                  // two are a violation now
  std::uint64_t words_ = 0;                 // of the operator's
  std::uint64_t newest_generation_ = 1;
  std::string violation_;
  WorldTally tally_;
  std::vector<std::string> trace_;
};

}  // namespace nines::cluster

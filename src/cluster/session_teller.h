// The holder's side of sessions: what peers are told of those on the addresses that this node
// holds, so that whoever has an address next can tell their clients. Soft state: what changes is
// told once, at once; all that stands is told again in each round, which heals what was lost.
// Nothing is said while there is nothing to say. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/time.h"
#include "cluster/session_message.h"

namespace nines::cluster {

// The driver's duties: held() and let_go() as leases come and go, seen() with each look at the
// kernel; at deadline() tell(), and each message to every peer. Lives on one loop.
class SessionTeller {
 public:
  // That one holder tells of, on all its names; the look leaves out what is more.
  static constexpr std::size_t kSessionsMax = 16384;
  static constexpr Duration kRoundEvery = std::chrono::seconds(5);
  // Between two steps; a step says at most so many messages, so that all of kSessionsMax are told
  // in about a second, and the renewals beside them wait for half a millisecond at most.
  static constexpr Duration kStepEvery = std::chrono::milliseconds(20);
  static constexpr std::size_t kMessagesPerStep = 4;
  // Of them, for a round at least, however much changes.
  static constexpr std::size_t kRoundMessagesPerStep = 1;
  // After the last session has ended, in case that word was lost.
  static constexpr std::uint32_t kEmptyRounds = 3;
  // Changes that wait to be told; beyond, ends are left to the rounds.
  static constexpr std::size_t kChangesMax = 2 * kSessionsMax;

  // Under a new epoch everything is told anew.
  void held(Name name, Epoch epoch, Instant now);
  void let_go(Name name);
  // All that stand on that name's addresses, sorted and each once. False: the same as last time.
  bool seen(Name name, std::vector<SessionTuple> sessions, Instant now);

  // What is due, in this order. `out` is added to.
  void tell(Instant now, std::vector<SessionMessage>& out);
  std::optional<Instant> deadline() const;

  std::size_t sessions() const;                 // that stand, of all names
  std::uint64_t told() const { return told_; }  // messages, since the beginning

 private:
  struct Held {
    Epoch epoch = 0;
    std::uint32_t round = 1;
    std::vector<SessionTuple> sessions;    // as last seen, sorted
    std::map<SessionTuple, bool> changes;  // to be told: whether it stands
    std::optional<SessionTuple> round_at;  // the round's next one; none: it is over
    bool says_empty = false;               // a round of none is to be told
    Instant next_round{};
    std::uint32_t empty_rounds = 0;  // yet to come

    bool is_in_round() const { return round_at.has_value() || says_empty; }
    bool is_at_rest() const;
  };

  static void begin_round(Held& held, Instant now);
  static void change(Held& held, const SessionTuple& session, bool stands);
  static SessionMessage changes_of(Name name, Held& held);
  static SessionMessage part_of_round(Name name, Held& held);

  std::map<Name, Held> held_;
  Instant next_step_{};
  std::uint64_t told_ = 0;
};

}  // namespace nines::cluster

// A peer's side of sessions: what the holder of an address tells of those on it is kept, and when
// this node takes the address, their clients are nudged: each is made to ask, and the kernel, which
// has no such session, resets it (address/peer_nudge.h). Pure.
//
//   heard ──> kept ── the address is taken here ──> nudged, at a measured pace, kNudgeTimes
//              └── ended, missed in rounds, an older epoch's, or old: forgotten
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "cluster/session_message.h"

namespace nines::cluster {

// The driver's duties: taken() once the address is up and announced, lost() as soon as it is not
// ours any more; at deadline() pass(), and each session that it gives and that this host's kernel
// does not have is nudged. Lives on one loop.
class SessionKeeper {
 public:
  // Of one holder, on all its names; newcomers are left out while there are as many.
  static constexpr std::size_t kKeptMax = 16384;
  // Missed in so many whole rounds: it has ended, and the word of it was lost.
  static constexpr std::uint32_t kRoundsMissedMax = 2;
  // Without any word of its holder; no client of ours waits longer.
  static constexpr Duration kForgetAfter = std::chrono::minutes(2);
  static constexpr std::size_t kNudgesPerStep = 256;
  static constexpr Duration kNudgeStepEvery = std::chrono::milliseconds(10);
  // The second time is for what was lost. Linux answers one that carries no data once in half a
  // second for each session (net.ipv4.tcp_invalid_ratelimit).
  static constexpr int kNudgeTimes = 2;
  static constexpr Duration kNudgeAgainAfter = std::chrono::milliseconds(600);

  // The names that this node may hold, with their addresses (ports ignored): of nothing else
  // anything is kept, and nobody but clients of these is ever nudged.
  explicit SessionKeeper(std::map<Name, std::vector<SocketAddress>> names);

  // `from`: as authenticated.
  void heard(NodeId from, const SessionMessage& message, Instant now);
  void taken(Name name, Epoch epoch, Instant now);
  void lost(Name name);
  // What is due: forgets, and adds to `nudges`.
  void pass(Instant now, std::vector<SessionTuple>& nudges);
  std::optional<Instant> deadline() const;
  void forget_all();

  struct Known {
    Name name = 0;
    NodeId holder = 0;
    Epoch epoch = 0;
    std::size_t sessions = 0;
  };
  std::vector<Known> known() const;  // by name, those with a session
  // The last time that this node took a name of which another's sessions were known.
  struct Takeover {
    Name name = 0;
    NodeId holder = 0;  // the former
    Epoch epoch = 0;    // ours
    std::size_t sessions = 0;
    Instant at{};
  };
  const std::optional<Takeover>& last_takeover() const { return last_; }
  struct Counters {
    std::uint64_t heard = 0;     // messages
    std::uint64_t old = 0;       // of them, of an epoch or a round that is over
    std::uint64_t refused = 0;   // sessions on addresses that are none of ours
    std::uint64_t left_out = 0;  // more than kKeptMax
  };
  const Counters& counters() const { return counters_; }

 private:
  struct Book {
    std::vector<SessionTuple> addresses;  // their own ends alone count
    NodeId holder = 0;
    Epoch epoch = 0;  // the newest that was heard of, or held here
    std::uint32_t round = 0;
    Instant heard_at{};
    std::map<SessionTuple, std::uint32_t> sessions;  // and the round in which each was last told
  };
  struct Round {  // of nudges
    std::vector<SessionTuple> sessions;
    std::size_t next = 0;
    int times = 0;  // that are over
    Instant begun{}, due{};
  };

  static bool is_on(const Book& book, const SessionTuple& session);
  std::size_t kept_of(NodeId holder) const;
  static void forget_missed(Book& book);

  std::map<Name, Book> books_;
  std::map<Name, Round> nudging_;
  Instant next_step_{};
  std::optional<Takeover> last_;
  Counters counters_;
};

}  // namespace nines::cluster

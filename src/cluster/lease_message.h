// What nodes tell each other about leases, as plain values. lease_wire.h makes them bytes;
// docs/internals/leases.md says why they suffice.
#pragma once

#include <compare>
#include <cstdint>
#include <variant>
#include <vector>

#include "base/time.h"
#include "cluster/node_set.h"

namespace nines::cluster {

// What is owned: an address, a role. All nodes derive the same number from its text.
using Name = std::uint64_t;
inline constexpr std::size_t kNamesMax = 64;  // that one message carries, and one node wants
inline constexpr Duration kTermMax = std::chrono::seconds(60);

// Orders proposals, and no two nodes ever have the same one: a counter, and below it the node.
struct Ballot {
  static constexpr std::uint64_t kCounterMax = std::uint64_t{1} << 55;
  std::uint64_t value = 0;  // 0: none

  static constexpr Ballot make(std::uint64_t counter, NodeId node) {
    return Ballot{counter << 8 | node};
  }
  // Above every ballot with this counter and below every one with the next.
  static constexpr Ballot ceiling(std::uint64_t counter) { return Ballot{counter << 8 | 0xff}; }
  constexpr std::uint64_t counter() const { return value >> 8; }
  constexpr NodeId node() const { return static_cast<NodeId>(value & 0xff); }
  friend constexpr auto operator<=>(Ballot, Ballot) = default;
};

// The ballot by which a holder came to hold, as a number: grows with each grant of a name.
using Epoch = std::uint64_t;

// Who votes, since when. Generations follow each other one by one, and so do their voters; but the
// operator's word begins a row of its own, far above those before it.
struct Generation {
  // Of a row's number so many bits belong to its changes, one by one; above them the node that was
  // given the word, and the word.
  static constexpr int kChangeBits = 12;
  static constexpr int kWordBits = 20;
  std::uint64_t number = 0;  // 0: none is known
  NodeSet voters;
  NodeSet previous;         // the voters of the generation before
  std::uint64_t floor = 0;  // counters up to here belong to generations before

  static constexpr std::uint64_t number_by_word(std::uint64_t word, NodeId node) {
    return word << kWordBits | std::uint64_t{node} << kChangeBits;
  }
  // The same for all generations that come of one word, or of none.
  constexpr std::uint64_t row() const { return number >> kChangeBits; }
  friend bool operator==(const Generation&, const Generation&) = default;
};

// One acceptor's part in agreeing on the generation after its own.
struct ChangeRegister {
  Ballot promised;
  Ballot accepted;   // none: nothing was accepted
  Generation value;  // what was
  friend bool operator==(const ChangeRegister&, const ChangeRegister&) = default;
};

enum class Phase : std::uint8_t { kPrepare, kAccept };

namespace message {

// "Would you, do you grant me these names?" A renewal is an Accept with all names held.
struct Proposal {
  Phase phase = Phase::kPrepare;
  std::uint64_t generation = 0;
  Ballot ballot;
  std::uint64_t round = 0;  // grows within a process; answers echo it
  Duration term{};          // 1 ms to kTermMax
  Ballot follows;           // none, or the ballot under which the former holder gave up for us
  std::vector<Name> names;  // at most kNamesMax
  friend bool operator==(const Proposal&, const Proposal&) = default;
};

enum class Verdict : std::uint8_t {
  kYes,
  kBusy,    // another's lease runs here
  kOutbid,  // a higher ballot was promised, or this one was given back
  kFull,    // no room for one more name
};
struct Vote {
  Name name = 0;
  Verdict verdict = Verdict::kYes;
  NodeId owner = 0;      // with kBusy: whose lease runs
  Ballot promised;       // with kOutbid: bid above this
  Duration remaining{};  // with kBusy: how long it runs yet
  friend bool operator==(const Vote&, const Vote&) = default;
};
enum class Refusal : std::uint8_t {
  kNone,
  kNotVoting,   // recovering, or no voter
  kGeneration,  // not the voter's own generation, which the answer names
  kLater,       // the ballot lies above what the voter's disk has recorded so far
  kTerm,        // a longer term than this voter's longest
};
struct Votes {
  Phase phase = Phase::kPrepare;
  std::uint64_t generation = 0;  // the voter's
  Ballot ballot;                 // these two as proposed
  std::uint64_t round = 0;
  Refusal refusal = Refusal::kNone;
  std::vector<Vote> votes;  // as many as names were proposed, in their order; none when refused
  friend bool operator==(const Votes&, const Votes&) = default;
};

// The sender owns these no longer and will not again by this ballot or a lower one.
struct Release {
  Ballot ballot;
  NodeId successor = 0;  // who is meant to take them; 0: whoever comes first
  std::vector<Name> names;
  friend bool operator==(const Release&, const Release&) = default;
};

// "My disk was lost, or this host was off: what must I not forget, what have I missed?"
struct LearnAsk {
  std::uint64_t nonce = 0;
  friend bool operator==(const LearnAsk&, const LearnAsk&) = default;
};
struct LearnAnswer {
  std::uint64_t nonce = 0;
  std::uint64_t counter = 0;  // no ballot above it was used or promised here
  Generation generation;
  ChangeRegister change;
  bool warm = false;  // it knows what happened while others were off
  friend bool operator==(const LearnAnswer&, const LearnAnswer&) = default;
};

// Agreement on the next generation.
struct ChangeProposal {
  Phase phase = Phase::kPrepare;
  Ballot ballot;
  Generation next;  // with kPrepare only its number counts
  friend bool operator==(const ChangeProposal&, const ChangeProposal&) = default;
};
struct ChangeVote {
  Phase phase = Phase::kPrepare;
  std::uint64_t number = 0;
  Ballot ballot;  // as proposed
  bool yes = false;
  ChangeRegister state;
  friend bool operator==(const ChangeVote&, const ChangeVote&) = default;
};
// A generation that was chosen; whoever is behind adopts it.
struct GenerationNews {
  Generation generation;
  friend bool operator==(const GenerationNews&, const GenerationNews&) = default;
};
struct GenerationAdopted {
  std::uint64_t number = 0;
  std::uint64_t counter = 0;  // no ballot above it was used or promised here
  friend bool operator==(const GenerationAdopted&, const GenerationAdopted&) = default;
};

}  // namespace message

using Message = std::variant<message::Proposal, message::Votes, message::Release, message::LearnAsk,
                             message::LearnAnswer, message::ChangeProposal, message::ChangeVote,
                             message::GenerationNews, message::GenerationAdopted>;

}  // namespace nines::cluster

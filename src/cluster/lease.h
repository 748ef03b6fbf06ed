// The right to own names (addresses, roles), granted by a majority for a term: one node's whole
// part in it, as voter, as claimant and as holder. docs/internals/leases.md has the algorithm, what
// it assumes, and why never two nodes hold one name.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "base/time.h"
#include "cluster/lease_message.h"
#include "cluster/lease_register.h"
#include "cluster/voter_change.h"

namespace nines::cluster {

inline constexpr std::size_t kTermClassesMax = 4;
inline constexpr std::size_t kRegistersMax = 256;  // names that a voter remembers

// What a disk must keep: it outlives boots. Voters that lost it learn from the others.
struct LeaseDisk {
  std::uint64_t mark = 0;  // no ballot with a counter above it was used or promised
  Generation generation;
  ChangeRegister change;    // for the generation after
  Duration longest_term{};  // of any lease this voter may have accepted
  // By the operator's word to this node: who was said to be off, and was not heard since; and who
  // has to have adopted `generation` before this node votes in it (none: it counts).
  NodeSet off, awaited;
  friend bool operator==(const LeaseDisk&, const LeaseDisk&) = default;
};

// What memory must keep that outlives a process but not a boot (tmpfs).
struct LeasePromises {
  std::uint64_t floor = 0;  // counters up to here are never promised again
  Instant votes_from{};     // what was lost may still bind this voter until then
  // This boot has not yet heard what happened while the host was off: nothing is voted.
  bool cold = false;
  std::vector<std::pair<Name, LeaseRegister>> registers;  // at most kRegistersMax, in no order

  // Both until the next add(); find() gives nullptr for a name that is not there.
  LeaseRegister* find(Name name);
  LeaseRegister* add(Name name);
};

struct TermClass {
  Duration term = std::chrono::milliseconds(120);        // 10 ms to kTermMax
  Duration renew_every = std::chrono::milliseconds(30);  // 1 ms to a third of the term
};

struct LeaseName {
  Name name = 0;
  std::uint8_t term_class = 0;  // an index into LeaseOptions::classes
  bool wanted = true;
  Duration patience{};  // how long to leave a free name to others; the preferred node has none
};

struct LeaseOptions {
  NodeId self = 0;
  NodeSet peers;   // all nodes of the cluster, with or without self
  NodeSet voters;  // of them: who is to vote, and asks to when it does not; none: as they are told
  std::vector<TermClass> classes{TermClass{}};
  std::vector<LeaseName> names;  // at most kNamesMax
  // How much faster or slower than true time this host's and its peers' clocks may run, in parts
  // per million; 0 to 200'000. The kernel lets a time daemon slew by 100'000 and not more.
  int clock_error_ppm = 100'000;
  // How long after its due time the kernel may go on passing traffic for a name that was lost.
  Duration enforcement_lateness = std::chrono::milliseconds(10);
};

enum class LossReason : std::uint8_t {
  kExpired,     // not renewed by a majority in time
  kHandedOver,  // to another node, on purpose
  kReleased,    // no longer wanted
  kOverruled,   // by the operator's word, which another node was given
};
std::string_view name_of(LossReason reason);

namespace lease_event {

// The first event, once.
struct Start {
  std::optional<LeaseDisk> disk;          // nothing: lost, or never was
  std::optional<LeasePromises> promises;  // nothing: this boot has none
  std::uint64_t nonce = 0;                // random for each process
};
struct Heard {
  NodeId from = 0;  // as authenticated, never as claimed
  Message message;
};
struct TimerFired {};
struct DiskWritten {
  std::uint64_t sequence = 0;
};
struct Want {
  Name name = 0;
  bool wanted = true;
  Duration patience{};
};
// A planned switchover, of a name that is held here.
struct HandOver {
  Name name = 0;
  NodeId to = 0;
};
// These nodes are switched off, by a fence device's confirmation or by the operator's word: this
// node votes alone from now on, in a generation that is its own. It counts when all other nodes
// have adopted that and the longest term has passed (LeaseStatus::awaited); until then those that
// were named stay off. Passed over while learning, and when a generation of as late a word is
// known.
struct Grant {
  NodeSet switched_off;
  // Grows from word to word: seconds since 1970 when it was given. Epochs rise above all that could
  // be given before.
  std::uint64_t word = 0;
};
// One voter more or less.
struct ChangeVoters {
  NodeSet voters;
};
// Who does not answer at present, as far as is known, until it is heard. A hint: a claim that only
// they could still decide is given up. No vote and no lease depends on it.
struct Absent {
  NodeSet nodes;
};
struct Stop {};  // gives up all names

}  // namespace lease_event
using LeaseEvent = std::variant<lease_event::Start, lease_event::Heard, lease_event::TimerFired,
                                lease_event::DiskWritten, lease_event::Want, lease_event::HandOver,
                                lease_event::Grant, lease_event::ChangeVoters, lease_event::Absent,
                                lease_event::Stop>;

namespace lease_effect {

struct Send {
  NodeId to = 0;
  Message message;
};
struct KeepAll {  // as a whole or not at all
  LeasePromises promises;
};
struct KeepRegister {  // in what was kept before
  Name name = 0;
  LeaseRegister state;
};
struct WriteDisk {
  std::uint64_t sequence = 0;
  LeaseDisk disk;
};
// Held until then by this host's clock, enforcement lateness already taken off.
struct Acquired {
  Name name = 0;
  Epoch epoch = 0;
  Instant until{};
};
struct Renewed {
  Name name = 0;
  Epoch epoch = 0;
  Instant until{};
};
struct Lost {
  Name name = 0;
  Epoch epoch = 0;
  LossReason reason = LossReason::kExpired;
};
// The guard must be closed, if a process before this one left it open. As with Lost.
struct Shut {
  Name name = 0;
};
// A node that was said to be off was heard: it is back, or it was not off.
struct HeardThoughOff {
  NodeId node = 0;
};
struct VotersChanged {
  Generation generation;
};

}  // namespace lease_effect
using LeaseEffect =
    std::variant<lease_effect::Send, lease_effect::KeepAll, lease_effect::KeepRegister,
                 lease_effect::WriteDisk, lease_effect::Acquired, lease_effect::Renewed,
                 lease_effect::Lost, lease_effect::Shut, lease_effect::HeardThoughOff,
                 lease_effect::VotersChanged>;
using LeaseEffects = std::vector<LeaseEffect>;

struct LeaseSight {
  NodeId owner = 0;  // 0: nobody's lease is known to run
  Epoch epoch = 0;
  Duration remaining{};  // by this host's clock
};

struct LeaseStatus {
  bool learning = false;  // asks the others what its disk no longer knows
  bool voting = false;
  Instant votes_from{};  // when it may vote
  Generation generation;
  bool cold = false;  // waits to hear what it missed: of one who was not off, or of everybody
  NodeSet unheard;    // while cold or learning: who has not answered
  NodeSet off;        // by Grant, and not heard since
  NodeSet awaited;    // by Grant: who has yet to adopt the generation, or only the term has to pass
  bool word_pending = false;  // neither is done
  VoterChange::Step change = VoterChange::Step::kIdle;
  struct Counters {
    std::uint64_t acquired = 0;
    std::uint64_t expired = 0;
    std::uint64_t claims_failed = 0;
    std::uint64_t messages_refused = 0;  // of a kind or content that no sound peer sends
  } counters;
};

// The driver's duties, in order:
//  1. One process on a host at a time, by a lock that dies with it. `now` is CLOCK_BOOTTIME, read
//     after the event came in and before handle(); never a clock that stands still in a pause.
//  2. Effects are performed in their order, all of them, before the next event. KeepAll and
//     KeepRegister are in the kernel's hands (a completed write to tmpfs) before any later Send
//     leaves; what depends on the disk is held back by this machine until DiskWritten.
//  3. WriteDisk: written and fsynced as a whole or not at all (a new file, renamed), outside the
//     loop; then DiskWritten. A failed write is tried again; it is never reported.
//  4. Acquired and Renewed: read the clock again at the kernel's door, and open the guard for what
//     is then left of `until`; for nothing when nothing is left. Sends after them wait for that.
//  5. Lost, Shut: the guard is closed, and the sessions accepted by the name destroyed, before any
//     later Send leaves.
//  6. deadline() is asked after each event; TimerFired comes at or after it.
//  7. Heard: authenticated, from a process that is not ours, each datagram once at most by its
//     replay window. Losing, delaying and reordering are allowed.
//  8. At start: promises only if the file is of this boot (boot id) and whole; disk only if whole.
//     Without promises this node is cold: it may have been off, and somebody told so. The very
//     first start of a cluster has its disks written by the operator's command.
// Lives on one loop; not thread-safe.
class Lease {
 public:
  // Counters are claimed from the disk so many at a time.
  static constexpr std::uint64_t kMarkBlock = 4096;
  // A voter whose disk was lost votes after this or the longest term, whichever is more.
  static constexpr Duration kRelearnWait = std::chrono::seconds(3);
  // The first pause between two questions to all; doubled up to the last after that first second.
  static constexpr Duration kLearnEvery = std::chrono::milliseconds(50);
  static constexpr Duration kLearnLast = std::chrono::milliseconds(400);
  // For so long those are asked after a boot who need not be heard, since they are said to be off.
  static constexpr Duration kAskOffFor = std::chrono::seconds(1);
  static constexpr Duration kTeachEvery = std::chrono::milliseconds(40);  // after a word
  // Each tells one peer after the other which generation it is in: who is behind hears of it even
  // where nobody has anything to ask it; and who is to vote and does not is taken for a candidate
  // for a while.
  static constexpr Duration kGossipEvery = std::chrono::milliseconds(500);
  static constexpr Duration kCandidateLifetime = std::chrono::seconds(10);
  static constexpr std::size_t kRoundsMax = 16;  // in flight
  // What nobody answers is said again in so many parts of the renewals' interval.
  static constexpr int kAgainParts = 8;
  static constexpr Duration kAgainMin = std::chrono::milliseconds(1);
  static constexpr std::size_t kSendsHeldMax = 64;  // waiting for the disk; the newest is dropped
  static constexpr std::uint64_t kCounterMaxHeard = Ballot::kCounterMax / 2;  // above: refused
  static constexpr int kWordShift = Generation::kWordBits;  // counters between two words

  static Result<Lease> create(LeaseOptions options, base::Rng rng);

  // Appends to `out`.
  void handle(const LeaseEvent& event, Instant now, LeaseEffects& out);
  std::optional<Instant> deadline() const;
  LeaseStatus status(Instant now) const;
  // Whose lease on the name runs, as far as this node's own voter knows; its own, as holder.
  LeaseSight sight(Name name, Instant now) const;
  // The epoch under which the name is held at `now`; nothing when it is not.
  std::optional<Epoch> held(Name name, Instant now) const;

  // How long a holder may rely on a term that began when it asked, by its own clock.
  static Duration holding_time(Duration term, const LeaseOptions& options);

 private:
  enum class Step : std::uint8_t { kIdle, kPreparing, kAccepting, kHeld };
  struct Mine {
    LeaseName options;
    Step step = Step::kIdle;
    Epoch epoch = 0;
    Instant until{};
    Instant try_at{};
    Ballot follows;                      // given to us by the former holder's Release
    std::uint64_t count_from_round = 0;  // answers to earlier rounds are of a life before
  };
  struct Round {
    Phase phase = Phase::kPrepare;
    std::uint8_t term_class = 0;
    std::uint64_t number = 0;
    bool is_claim = false;
    Instant sent_at{};
    message::Proposal proposal;
    NodeSet answered;
    bool outbid = false;       // by whom wants the same
    bool majority = false;     // accepted all of it
    std::vector<NodeSet> yes;  // as many as names
  };
  struct Class {
    TermClass options;
    Duration holding{};
    Ballot ballot;  // of renewals
    Instant renew_at{};
    Duration again_every{};
    Duration round_trip{};  // to a majority and back, about the shortest; 0: not known yet
    double late = 0;        // the share of rounds that took longer than that
    // The newest renewal, and when it is said again to those who have not answered; nothing once a
    // majority has.
    std::uint64_t renewal_round = 0;
    std::optional<Instant> renew_again_at;
    bool claiming = false;
    std::uint64_t claim_round = 0;
    Instant claim_again_at{}, claim_ends_at{};
  };
  struct HeldBack {
    std::uint64_t sequence = 0;
    NodeId to = 0;
    Message message;
  };

  Lease(LeaseOptions options, base::Rng rng);

  void on(const lease_event::Start& start, Instant now, LeaseEffects& out);
  void on(const lease_event::Heard& heard, Instant now, LeaseEffects& out);
  void on(const lease_event::TimerFired&, Instant, LeaseEffects&) {}
  void on(const lease_event::DiskWritten& written, Instant now, LeaseEffects& out);
  void on(const lease_event::Want& want, Instant now, LeaseEffects& out);
  void on(const lease_event::HandOver& hand_over, Instant now, LeaseEffects& out);
  void on(const lease_event::Grant& grant, Instant now, LeaseEffects& out);
  void on(const lease_event::ChangeVoters& change, Instant now, LeaseEffects& out);
  void on(const lease_event::Absent& absent, Instant now, LeaseEffects& out);
  void on(const lease_event::Stop&, Instant now, LeaseEffects& out);

  // As voter.
  void heard(NodeId from, const message::Proposal& proposal, Instant now, LeaseEffects& out);
  void heard(NodeId from, const message::Release& release, Instant now, LeaseEffects& out);
  void heard(NodeId from, const message::LearnAsk& ask, Instant now, LeaseEffects& out);
  void heard(NodeId from, const message::ChangeProposal& change, Instant now, LeaseEffects& out);
  void heard(NodeId from, const message::GenerationNews& news, Instant now, LeaseEffects& out);
  // As claimant and holder.
  void heard(NodeId from, const message::Votes& votes, Instant now, LeaseEffects& out);
  void heard(NodeId from, const message::LearnAnswer& answer, Instant now, LeaseEffects& out);
  void heard(NodeId from, const message::ChangeVote& vote, Instant now, LeaseEffects& out);
  void heard(NodeId from, const message::GenerationAdopted& adopted, Instant now,
             LeaseEffects& out);

  message::Refusal refusal_of(const message::Proposal& proposal, Instant now, LeaseEffects& out);
  message::Vote vote_on(Name name, const message::Proposal& proposal, Instant now,
                        LeaseEffects& out);
  void notice_other_holder(const LeaseRegister& state, Name name);
  void let_pass(Name name, NodeId claimant, Instant now);

  void expire(Instant now, LeaseEffects& out);
  void advance(Instant now, LeaseEffects& out);
  void learn(Instant now, LeaseEffects& out);
  void relearn(LeaseEffects& out);
  void warm_up(Instant now, LeaseEffects& out);
  void advance_word(Instant now, LeaseEffects& out);
  void advance_change(Instant now, LeaseEffects& out);
  void gossip(Instant now, LeaseEffects& out);
  void readmit(Instant now);
  void claim(std::uint8_t index, Instant now, LeaseEffects& out);
  void end_claim(std::uint8_t index, Instant now, LeaseEffects& out);
  void conclude(Round& round, Instant now, LeaseEffects& out);
  void promised(Round& round, Instant now, LeaseEffects& out);
  void granted(const Round& round, std::size_t i, Instant now, LeaseEffects& out);
  void renew(std::uint8_t index, Instant now, LeaseEffects& out);
  void renew_again(Class& of, Instant now, LeaseEffects& out);
  void notice_majority(const Round& round, Instant now);
  static Duration answer_time(const Class& of);
  bool is_granted(const Round& round) const;
  Round& ask(Phase phase, std::uint8_t index, Ballot ballot, std::vector<Name> names,
             Ballot follows, bool is_claim, Instant now, LeaseEffects& out);
  void ask_again(Round& round, LeaseEffects& out);
  void lose(Mine& mine, LossReason reason, Instant now, LeaseEffects& out);
  void give_back(std::vector<Name> names, Ballot ballot, NodeId successor, LeaseEffects& out);
  void drop_rounds();

  std::optional<Ballot> new_ballot(LeaseEffects& out);
  void notice_counter(std::uint64_t counter, LeaseEffects& out);
  bool reaches_quorum(NodeSet votes) const { return is_majority(votes, generation_.voters); }
  bool may_vote(Instant now) const;  // nothing stands against it, but that it be a voter
  bool can_win(const Round& round) const;
  NodeSet awaited(const Round& round) const;
  bool is_voting(Instant now) const;
  void send(NodeId to, Message message, LeaseEffects& out);
  void send_after_disk(NodeId to, Message message, LeaseEffects& out);
  void write_disk() { disk_dirty_ = true; }
  void act_on_word(Instant now, LeaseEffects& out);
  void flush_disk(LeaseEffects& out);
  void adopt(const Generation& generation, Instant now, LeaseEffects& out);
  void adopt_news(const Generation& generation, Instant now, LeaseEffects& out);
  LeaseRegister* find_register(Name name);
  Mine* find_mine(Name name);
  Duration longest_term() const;

  LeaseOptions options_;
  base::Rng rng_;
  std::vector<Class> classes_;
  std::vector<Mine> mine_;  // by name
  std::deque<Round> rounds_;
  std::deque<Message> to_self_;

  bool started_ = false;
  bool stopping_ = false;
  std::uint64_t nonce_ = 0;
  std::uint64_t next_round_ = 0;

  LeasePromises promises_;
  LeaseDisk disk_;  // as it is meant to be
  std::uint64_t durable_mark_ = 0;
  std::uint64_t durable_generation_ = 0;
  Duration durable_longest_term_{};
  LeaseDisk writing_;
  std::uint64_t disk_sequence_ = 0;
  bool disk_dirty_ = false, disk_busy_ = false;
  std::deque<HeldBack> held_back_;
  std::uint64_t counter_ = 0;  // the highest heard of or used

  Generation generation_;  // adopted; the disk may lag behind
  bool learning_ = false;
  Instant learn_at_{}, asks_off_until_{};
  Duration learn_pause_ = kLearnEvery;
  std::map<NodeId, message::LearnAnswer> learned_;
  NodeSet answered_;          // while cold: who has
  bool has_witness_ = false;  // one of them was not off
  VoterChange change_;
  NodeSet absent_;
  std::map<NodeId, Instant> candidates_;  // who asked when to be a voter again
  Instant gossip_at_{};
  NodeId gossiped_ = 0;  // with whom last
  // The operator's word, until it is on the disk: before that nobody may hear of its generation.
  struct Word {
    Generation generation;
    NodeSet off, awaited;
  };
  std::optional<Word> word_;
  NodeSet adopted_;  // by a word that does not count yet: who has
  Instant teach_at_{}, counts_from_{};
  LeaseStatus::Counters counters_;
};

}  // namespace nines::cluster

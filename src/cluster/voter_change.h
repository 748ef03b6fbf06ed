// Moving from one generation of voters to the next: the side that proposes. One voter comes or
// goes at a time; the change needs a majority of the old voters and one of the new ones, and begins
// only when the generation before it can grant nothing any more.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/time.h"
#include "cluster/lease_message.h"

namespace nines::cluster {

// One voter more or less, and somebody left.
bool is_single_change(NodeSet from, NodeSet to);

// Lives inside a Lease, which sends what it says, stores what others say, and adopts what is
// chosen.
class VoterChange {
 public:
  // kIdle ──begin──> kSettling ──majorities have adopted──> kWaiting ──longest term──> kPreparing
  //   ^                                                      majority of the old voters │
  //   └──────── chosen, overtaken or given up <── kAccepting <──────────────────────────┘
  enum class Step : std::uint8_t { kIdle, kSettling, kWaiting, kPreparing, kAccepting };

  static constexpr Duration kGiveUpAfter = std::chrono::seconds(15);  // at a generation's change
  // A vote counts for so long after its question was first asked, by the proposer's clock.
  static constexpr Duration kVoteLifetime = std::chrono::seconds(2);
  static constexpr Duration kAskAgainAfter = std::chrono::milliseconds(40);

  // False: a change is under way, or the wish is not a single change of `current`.
  bool begin(const Generation& current, NodeSet voters, Duration longest_term, Instant now);
  void abandon() { step_ = Step::kIdle; }

  void heard(NodeId from, const message::GenerationAdopted& adopted, Instant now);
  void heard(NodeId from, const message::ChangeVote& vote, Instant now);

  // A ballot is wanted: give a new one to advance(). Without one it waits.
  bool needs_ballot() const { return needs_ballot_ && step_ != Step::kIdle; }
  // What to send now to everybody in targets(); nothing when it is not time.
  std::optional<Message> advance(std::optional<Ballot> ballot, Instant now);
  NodeSet targets() const;
  // Once, when a generation was chosen: ours, or the one that another had begun.
  std::optional<Generation> take_chosen();

  Step step() const { return step_; }
  std::optional<Instant> deadline() const;
  std::uint64_t counter_hint() const { return counter_hint_; }  // bid above it

 private:
  void enter(Step step, Instant now);

  Step step_ = Step::kIdle;
  Generation current_, next_;
  Duration longest_term_{};
  Instant begun_{}, step_since_{}, ask_at_{};
  NodeSet adopted_, votes_;
  Ballot ballot_, best_accepted_;
  bool needs_ballot_ = false;
  std::uint64_t floor_ = 0, counter_hint_ = 0;
  std::optional<Generation> chosen_;
};

std::string_view name_of(VoterChange::Step step);

}  // namespace nines::cluster

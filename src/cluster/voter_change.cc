// The proposer of a generation. Each question is asked again until it is answered; answers count
// for one question only, and only for a time.
#include "cluster/voter_change.h"

#include <algorithm>

namespace nines::cluster {

bool is_single_change(NodeSet from, NodeSet to) {
  return (from - to).size() + (to - from).size() == 1 && !to.empty();
}

bool VoterChange::begin(const Generation& current, NodeSet voters, Duration longest_term,
                        Instant now) {
  if (step_ != Step::kIdle || current.number == 0) return false;
  if (!is_single_change(current.voters, voters)) return false;
  current_ = current;
  next_ = Generation{current.number + 1, voters, current.voters, 0};
  longest_term_ = longest_term;
  begun_ = now;
  adopted_ = {};
  floor_ = current.floor;
  counter_hint_ = 0;
  enter(Step::kSettling, now);
  return true;
}

void VoterChange::enter(Step step, Instant now) {
  step_ = step;
  step_since_ = ask_at_ = now;
  votes_ = {};
  needs_ballot_ = step == Step::kPreparing;
  if (step == Step::kPreparing) best_accepted_ = {};
}

NodeSet VoterChange::targets() const {
  return current_.voters |
         (step_ == Step::kSettling || step_ == Step::kWaiting ? current_.previous : next_.voters);
}

void VoterChange::heard(NodeId from, const message::GenerationAdopted& adopted, Instant now) {
  if (step_ != Step::kSettling || adopted.number != current_.number) return;
  adopted_.add(from);
  floor_ = std::max(floor_, adopted.counter);
  const bool old_ones = current_.previous.empty() || is_majority(adopted_, current_.previous);
  if (old_ones && is_majority(adopted_, current_.voters)) enter(Step::kWaiting, now);
}

void VoterChange::heard(NodeId from, const message::ChangeVote& vote, Instant now) {
  const Phase phase = step_ == Step::kPreparing ? Phase::kPrepare : Phase::kAccept;
  if (step_ != Step::kPreparing && step_ != Step::kAccepting) return;
  if (vote.phase != phase || vote.number != next_.number || vote.ballot != ballot_) return;
  if (needs_ballot_ || now - step_since_ >= kVoteLifetime) return;
  counter_hint_ = std::max(counter_hint_, vote.state.promised.counter());
  if (!vote.yes) {
    // Outbid: from the beginning with a higher ballot, after a while, lest two chase each other.
    enter(Step::kPreparing, now);
    ask_at_ = now + kAskAgainAfter * (1 + ballot_.node());
    return;
  }
  if (phase == Phase::kPrepare && vote.state.accepted > best_accepted_) {
    // Somebody's proposal may have been chosen already: it is the one to finish.
    best_accepted_ = vote.state.accepted;
    next_ = vote.state.value;
  }
  votes_.add(from);
  if (phase == Phase::kPrepare) {
    if (is_majority(votes_, current_.voters)) enter(Step::kAccepting, now);
  } else if (is_majority(votes_, current_.voters) && is_majority(votes_, next_.voters)) {
    chosen_ = next_;
    step_ = Step::kIdle;
  }
}

std::optional<Message> VoterChange::advance(std::optional<Ballot> ballot, Instant now) {
  if (step_ == Step::kIdle) return std::nullopt;
  if (now - begun_ >= kGiveUpAfter) {
    step_ = Step::kIdle;
    return std::nullopt;
  }
  if (step_ == Step::kWaiting && now - step_since_ >= longest_term_) {
    if (next_.floor == 0) next_.floor = floor_;
    enter(Step::kPreparing, now);
  }
  if ((step_ == Step::kPreparing || step_ == Step::kAccepting) &&
      now - step_since_ >= kVoteLifetime) {
    enter(Step::kPreparing, now);
  }
  if (step_ == Step::kWaiting || now < ask_at_) return std::nullopt;
  if (needs_ballot_) {
    if (!ballot) {
      ask_at_ = now + kAskAgainAfter;
      return std::nullopt;
    }
    ballot_ = *ballot;
    step_since_ = now;
    needs_ballot_ = false;
  }
  ask_at_ = now + kAskAgainAfter;
  switch (step_) {
    case Step::kSettling:
      return message::GenerationNews{current_};
    case Step::kPreparing:
      return message::ChangeProposal{Phase::kPrepare, ballot_, next_};
    case Step::kAccepting:
      return message::ChangeProposal{Phase::kAccept, ballot_, next_};
    case Step::kIdle:
    case Step::kWaiting:
      break;
  }
  return std::nullopt;
}

std::optional<Generation> VoterChange::take_chosen() {
  std::optional<Generation> chosen;
  chosen.swap(chosen_);
  return chosen;
}

std::optional<Instant> VoterChange::deadline() const {
  if (step_ == Step::kIdle) return std::nullopt;
  return step_ == Step::kWaiting ? step_since_ + longest_term_ : ask_at_;
}

std::string_view name_of(VoterChange::Step step) {
  switch (step) {
    case VoterChange::Step::kIdle:
      return "idle";
    case VoterChange::Step::kSettling:
      return "settling";
    case VoterChange::Step::kWaiting:
      return "waiting";
    case VoterChange::Step::kPreparing:
      return "preparing";
    case VoterChange::Step::kAccepting:
      return "accepting";
  }
  return "unknown";
}

}  // namespace nines::cluster

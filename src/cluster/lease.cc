// The machine of leases. Giving up comes first in every event, whatever the event says; then what
// was heard is judged; then what is due is asked. Everything that a vote depends on is kept before
// the vote leaves.
#include "cluster/lease.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"

namespace nines::cluster {
namespace {

using message::Refusal;
using message::Verdict;

constexpr int kClockErrorPpmMax = 200'000;
constexpr Duration kTermMin = std::chrono::milliseconds(10);
constexpr Duration kRenewMin = std::chrono::milliseconds(1);
constexpr Duration kDiskPause = std::chrono::milliseconds(5);  // until a ballot is asked for again
constexpr Duration kBusyMargin = std::chrono::microseconds(100);  // after a lease that is not ours
constexpr int kRoundTripMemory = 16;  // rounds, until a way that became longer is believed
constexpr double kLateMemory = 64;    // rounds
constexpr double kLateMuch = 0.03;    // of them: a way that loses
constexpr int kCopies = 4;            // of a question under way, on such a one
constexpr int kPassesMax = 16;        // answers to oneself that lead to more of them, in one event

std::string plain(Duration duration) { return std::to_string(milliseconds_of(duration)) + " ms"; }

}  // namespace

LeaseRegister* LeasePromises::find(Name name) {
  const auto found = std::find_if(registers.begin(), registers.end(),
                                  [&](const auto& each) { return each.first == name; });
  return found == registers.end() ? nullptr : &found->second;
}

LeaseRegister* LeasePromises::add(Name name) {
  if (LeaseRegister* const there = find(name)) return there;
  return &registers.emplace_back(name, LeaseRegister{}).second;
}

std::string_view name_of(LossReason reason) {
  switch (reason) {
    case LossReason::kExpired:
      return "expired";
    case LossReason::kHandedOver:
      return "handed over";
    case LossReason::kReleased:
      return "released";
    case LossReason::kOverruled:
      return "overruled by the operator's word to another node";
  }
  return "unknown";
}

Duration Lease::holding_time(Duration term, const LeaseOptions& options) {
  // A fast voter's clock ends the term after term / (1 + e) of true time; a slow holder's counts
  // only 1 - e of each second.
  const auto error = static_cast<std::int64_t>(options.clock_error_ppm);
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(term).count();
  const std::int64_t safe = microseconds * (1'000'000 - error) / (1'000'000 + error);
  return Duration(std::chrono::microseconds(safe)) - options.enforcement_lateness;
}

Result<Lease> Lease::create(LeaseOptions options, base::Rng rng) {
  const auto invalid = [](std::string what) { return Error(ErrorCode::kInvalid, std::move(what)); };
  if (options.self < 1 || options.self > kNodeIdMax) {
    return invalid("node number " + std::to_string(options.self) + " is not 1 to " +
                   std::to_string(kNodeIdMax));
  }
  if (options.clock_error_ppm < 0 || options.clock_error_ppm > kClockErrorPpmMax) {
    return invalid("clock error " + std::to_string(options.clock_error_ppm) + " ppm is not 0 to " +
                   std::to_string(kClockErrorPpmMax));
  }
  if (options.enforcement_lateness < 0ns) return invalid("enforcement lateness is negative");
  if (options.classes.empty() || options.classes.size() > kTermClassesMax) {
    return invalid(std::to_string(options.classes.size()) + " term classes are not 1 to " +
                   std::to_string(kTermClassesMax));
  }
  for (const TermClass& each : options.classes) {
    if (each.term < kTermMin || each.term > kTermMax) {
      return invalid("term " + plain(each.term) + " is not " + plain(kTermMin) + " to " +
                     plain(kTermMax));
    }
    const Duration holding = holding_time(each.term, options);
    if (each.renew_every < kRenewMin || each.renew_every * 2 > holding) {
      return invalid("renewing each " + plain(each.renew_every) + " is not " + plain(kRenewMin) +
                     " to half of " + plain(holding) + ", what a holder may rely on of a term of " +
                     plain(each.term));
    }
  }
  if (options.names.size() > kNamesMax) {
    return invalid(std::to_string(options.names.size()) + " names are more than " +
                   std::to_string(kNamesMax));
  }
  std::sort(options.names.begin(), options.names.end(),
            [](const LeaseName& a, const LeaseName& b) { return a.name < b.name; });
  for (std::size_t i = 0; i < options.names.size(); ++i) {
    if (options.names[i].term_class >= options.classes.size()) {
      return invalid("term class " + std::to_string(options.names[i].term_class) +
                     " of a name is not one of " + std::to_string(options.classes.size()));
    }
    if (i > 0 && options.names[i].name == options.names[i - 1].name) {
      return invalid("name " + std::to_string(options.names[i].name) + " is there twice");
    }
  }
  options.peers.remove(options.self);
  return Lease(std::move(options), rng);
}

Lease::Lease(LeaseOptions options, base::Rng rng) : options_(std::move(options)), rng_(rng) {
  for (const TermClass& each : options_.classes) {
    Class made;
    made.options = each;
    made.holding = holding_time(each.term, options_);
    made.again_every = std::max(each.renew_every / kAgainParts, kAgainMin);
    classes_.push_back(made);
  }
  for (const LeaseName& each : options_.names) {
    Mine mine;
    mine.options = each;
    mine_.push_back(mine);
  }
}

void Lease::handle(const LeaseEvent& event, Instant now, LeaseEffects& out) {
  expire(now, out);
  std::visit([&](const auto& each) { on(each, now, out); }, event);
  for (int pass = 0; pass < kPassesMax; ++pass) {
    while (!to_self_.empty()) {
      const Message message = std::move(to_self_.front());
      to_self_.pop_front();
      std::visit([&](const auto& each) { heard(options_.self, each, now, out); }, message);
    }
    advance(now, out);
    if (to_self_.empty()) break;
  }
  flush_disk(out);
}

// -- events -------------------------------------------------------------------------------------

void Lease::on(const lease_event::Start& start, Instant now, LeaseEffects& out) {
  CHECK(!started_);
  started_ = true;
  nonce_ = start.nonce;
  next_round_ = (start.nonce >> 2) + 1;  // far from overflow, and not where a former life began
  disk_.longest_term = Duration{};
  Duration wait{};
  if (start.disk) {
    disk_ = *start.disk;
    durable_mark_ = counter_ = disk_.mark;
    durable_longest_term_ = disk_.longest_term;
    durable_generation_ = disk_.generation.number;
    generation_ = disk_.generation;
  } else {
    learning_ = true;
    wait = kRelearnWait;
  }
  learn_at_ = teach_at_ = now;
  asks_off_until_ = now + kAskOffFor;
  disk_.longest_term = std::max(disk_.longest_term, longest_term());
  if (start.promises) {
    promises_ = *start.promises;
  } else {
    wait = std::max(wait, disk_.longest_term);
    promises_.floor = counter_;
    promises_.cold = true;
  }
  // A process that dies while it waits leaves the waiting to the next one.
  promises_.votes_from = std::max(promises_.votes_from, now + wait);
  out.push_back(lease_effect::KeepAll{promises_});
  for (Mine& mine : mine_) {
    // A process that died a moment ago takes up again at once what was its own.
    const LeaseRegister* const state = find_register(mine.options.name);
    const bool was_ours = state != nullptr && state->runs(now) && state->owner() == options_.self;
    mine.try_at = was_ours ? now : now + mine.options.patience;
  }
  if (start.disk) {
    write_disk();
    notice_counter(counter_, out);
  }
}

void Lease::on(const lease_event::Heard& event, Instant now, LeaseEffects& out) {
  if (!started_ || event.from == options_.self || event.from < 1 || event.from > kNodeIdMax) {
    ++counters_.messages_refused;
    return;
  }
  absent_.remove(event.from);
  if (disk_.off.contains(event.from) || (word_ && word_->off.contains(event.from))) {
    disk_.off.remove(event.from);
    // The word was wrong: nothing counts before this node knows as well.
    if (!disk_.awaited.empty()) disk_.awaited.add(event.from);
    if (word_) {
      word_->off.remove(event.from);
      word_->awaited.add(event.from);
    }
    write_disk();
    out.push_back(lease_effect::HeardThoughOff{event.from});
  }
  std::visit([&](const auto& each) { heard(event.from, each, now, out); }, event.message);
}

void Lease::on(const lease_event::DiskWritten& written, Instant now, LeaseEffects& out) {
  if (!disk_busy_ || written.sequence != disk_sequence_) return;
  disk_busy_ = false;
  durable_mark_ = std::max(durable_mark_, writing_.mark);
  durable_generation_ = writing_.generation.number;
  durable_longest_term_ = std::max(durable_longest_term_, writing_.longest_term);
  while (!held_back_.empty() && held_back_.front().sequence <= disk_sequence_) {
    HeldBack next = std::move(held_back_.front());
    held_back_.pop_front();
    send(next.to, std::move(next.message), out);
  }
  if (word_ && word_->generation == writing_.generation) act_on_word(now, out);
}

void Lease::on(const lease_event::Want& want, Instant now, LeaseEffects& out) {
  Mine* const mine = find_mine(want.name);
  if (mine == nullptr) return;
  if (want.wanted && !mine->options.wanted) mine->try_at = now + want.patience;
  mine->options.wanted = want.wanted;
  mine->options.patience = want.patience;
  if (want.wanted || mine->step != Step::kHeld) return;
  const Ballot ballot = classes_[mine->options.term_class].ballot;
  lose(*mine, LossReason::kReleased, now, out);
  give_back({want.name}, ballot, 0, out);
}

void Lease::on(const lease_event::HandOver& hand_over, Instant now, LeaseEffects& out) {
  Mine* const mine = find_mine(hand_over.name);
  if (mine == nullptr || mine->step != Step::kHeld || hand_over.to == options_.self) return;
  const Class& of = classes_[mine->options.term_class];
  lose(*mine, LossReason::kHandedOver, now, out);
  mine->try_at = now + 2 * of.options.term;
  give_back({hand_over.name}, of.ballot, hand_over.to, out);
}

// A generation of one voter: this node. It is on the disk, with whom it waits for, before anybody
// hears of it.
void Lease::on(const lease_event::Grant& grant, Instant, LeaseEffects&) {
  const std::uint64_t word = std::min(grant.word, kCounterMaxHeard >> kWordShift);
  Generation alone;
  alone.number = Generation::number_by_word(word, options_.self);
  if (learning_ || alone.number <= generation_.number) return;
  if (word_ && alone.number <= word_->generation.number) return;
  alone.voters = NodeSet{options_.self};
  alone.previous = alone.voters;
  // Those who are off may be the only ones who know how far epochs had come.
  alone.floor = word << kWordShift;
  word_ = Word{alone, options_.peers & grant.switched_off,
               (options_.peers - grant.switched_off) | alone.voters};
  write_disk();
}

void Lease::act_on_word(Instant now, LeaseEffects& out) {
  const Word word = *word_;
  adopt(word.generation, now, out);
  disk_.off = word.off;
  disk_.awaited = word.awaited;
  adopted_ = {};
  teach_at_ = now;
}

void Lease::on(const lease_event::ChangeVoters& change, Instant now, LeaseEffects&) {
  if (learning_ || !disk_.awaited.empty()) return;
  change_.begin(generation_, change.voters, disk_.longest_term, now);
}

void Lease::on(const lease_event::Absent& absent, Instant now, LeaseEffects& out) {
  absent_ = absent.nodes;
  for (std::uint8_t index = 0; index < classes_.size(); ++index) {
    const auto claim = std::find_if(rounds_.begin(), rounds_.end(), [&](const Round& round) {
      return round.number == classes_[index].claim_round;
    });
    if (classes_[index].claiming && claim != rounds_.end()) conclude(*claim, now, out);
  }
}

void Lease::on(const lease_event::Stop&, Instant now, LeaseEffects& out) {
  stopping_ = true;
  for (std::uint8_t index = 0; index < classes_.size(); ++index) {
    if (classes_[index].claiming) end_claim(index, now, out);
    std::vector<Name> names;
    for (Mine& mine : mine_) {
      if (mine.options.term_class != index || mine.step != Step::kHeld) continue;
      lose(mine, LossReason::kReleased, now, out);
      names.push_back(mine.options.name);
    }
    if (!names.empty()) give_back(std::move(names), classes_[index].ballot, 0, out);
  }
}

// -- the voter ----------------------------------------------------------------------------------

void Lease::heard(NodeId from, const message::Proposal& proposal, Instant now, LeaseEffects& out) {
  if (proposal.ballot.node() != from || proposal.names.empty() ||
      proposal.names.size() > kNamesMax || proposal.term <= 0ns ||
      proposal.ballot.counter() > kCounterMaxHeard) {
    ++counters_.messages_refused;
    return;
  }
  message::Votes votes;
  votes.phase = proposal.phase;
  votes.generation = generation_.number;
  votes.ballot = proposal.ballot;
  votes.round = proposal.round;
  votes.refusal = refusal_of(proposal, now, out);
  if (votes.refusal == Refusal::kNone) {
    votes.votes.reserve(proposal.names.size());
    for (const Name name : proposal.names) votes.votes.push_back(vote_on(name, proposal, now, out));
  } else if (votes.refusal == Refusal::kGeneration && proposal.generation < generation_.number) {
    send(from, message::GenerationNews{generation_}, out);
  }
  send(from, std::move(votes), out);
}

Refusal Lease::refusal_of(const message::Proposal& proposal, Instant now, LeaseEffects& out) {
  if (learning_) return Refusal::kNotVoting;
  notice_counter(proposal.ballot.counter(), out);
  if (proposal.generation != generation_.number) return Refusal::kGeneration;
  if (!is_voting(now)) return Refusal::kNotVoting;
  if (proposal.ballot.counter() > durable_mark_) return Refusal::kLater;
  if (proposal.term > durable_longest_term_) return Refusal::kTerm;
  return Refusal::kNone;
}

message::Vote Lease::vote_on(Name name, const message::Proposal& proposal, Instant now,
                             LeaseEffects& out) {
  message::Vote vote;
  vote.name = name;
  LeaseRegister* state = find_register(name);
  if (state == nullptr) {
    if (promises_.registers.size() >= kRegistersMax) {
      vote.verdict = Verdict::kFull;
      return vote;
    }
    state = promises_.add(name);
    state->promised = Ballot::ceiling(promises_.floor);
  }
  if (proposal.ballot.counter() <= generation_.floor) {
    vote.verdict = Verdict::kOutbid;
    vote.promised = std::max(state->promised, Ballot::ceiling(generation_.floor));
    return vote;
  }
  const LeaseRegister before = *state;
  vote.verdict = proposal.phase == Phase::kPrepare ? state->prepare(proposal.ballot, now)
                                                   : state->accept(proposal, now);
  if (*state != before) out.push_back(lease_effect::KeepRegister{name, *state});
  if (vote.verdict == Verdict::kBusy) {
    vote.owner = state->owner();
    vote.remaining = state->expires - now;
  } else if (vote.verdict == Verdict::kOutbid) {
    vote.promised = std::max(state->promised, state->released);
  }
  notice_other_holder(*state, name);
  if (proposal.phase == Phase::kPrepare && vote.verdict == Verdict::kYes) {
    let_pass(name, proposal.ballot.node(), now);
  }
  return vote;
}

// Whoever promised a claimant its vote does not outbid it in the next moment: both would lose time.
void Lease::let_pass(Name name, NodeId claimant, Instant now) {
  Mine* const mine = find_mine(name);
  if (claimant == options_.self || mine == nullptr || mine->step != Step::kIdle) return;
  const Duration claims_for = classes_[mine->options.term_class].options.renew_every / 2;
  mine->try_at = std::max(mine->try_at, now + claims_for + mine->options.patience);
}

// Whoever wants a name knows from its own voter when to try.
void Lease::notice_other_holder(const LeaseRegister& state, Name name) {
  Mine* const mine = find_mine(name);
  if (mine == nullptr || mine->step != Step::kIdle || state.accepted.value == 0) return;
  if (state.owner() == options_.self) return;
  mine->follows = Ballot{};
  mine->try_at = state.expires + mine->options.patience;
}

void Lease::heard(NodeId from, const message::Release& release, Instant now, LeaseEffects& out) {
  if (release.ballot.node() != from || release.names.size() > kNamesMax) {
    ++counters_.messages_refused;
    return;
  }
  for (const Name name : release.names) {
    if (LeaseRegister* const state = find_register(name)) {
      if (state->release(release.ballot)) out.push_back(lease_effect::KeepRegister{name, *state});
      if (state->runs(now) && state->owner() != options_.self) continue;  // it has a new holder
    }
    Mine* const mine = find_mine(name);
    if (from == options_.self || mine == nullptr) continue;
    // A claim under way began before this, and would only find the name still taken.
    if (release.successor == options_.self) end_claim(mine->options.term_class, now, out);
    if (mine->step != Step::kIdle) continue;
    if (release.successor == options_.self) {
      mine->follows = release.ballot;
      mine->try_at = now;
    } else {
      const Duration term = classes_[mine->options.term_class].options.term;
      mine->try_at =
          now + mine->options.patience + (release.successor != 0 ? term / 2 : Duration{});
    }
  }
}

void Lease::heard(NodeId from, const message::LearnAsk& ask, Instant, LeaseEffects& out) {
  if (learning_ || generation_.number == 0) return;
  send(from, message::LearnAnswer{ask.nonce, counter_, generation_, disk_.change, !promises_.cold},
       out);
}

void Lease::heard(NodeId from, const message::ChangeProposal& change, Instant now,
                  LeaseEffects& out) {
  if (change.ballot.node() != from || change.ballot.counter() > kCounterMaxHeard) {
    ++counters_.messages_refused;
    return;
  }
  if (!may_vote(now) || generation_.number == 0) return;
  if (change.next.number <= generation_.number) {
    send(from, message::GenerationNews{generation_}, out);
    return;
  }
  if (change.next.number != generation_.number + 1) return;
  notice_counter(change.ballot.counter(), out);
  if (change.ballot.counter() > durable_mark_) return;
  const bool is_accept = change.phase == Phase::kAccept;
  if (is_accept && (change.next.previous != generation_.voters ||
                    !is_single_change(generation_.voters, change.next.voters))) {
    ++counters_.messages_refused;
    return;
  }
  message::ChangeVote vote{change.phase, change.next.number, change.ballot, false, {}};
  if (change.ballot >= disk_.change.promised) {
    vote.yes = true;
    ChangeRegister after = disk_.change;
    after.promised = change.ballot;
    if (is_accept) {
      after.accepted = change.ballot;
      after.value = change.next;
    }
    if (after != disk_.change) write_disk();
    disk_.change = after;
  }
  vote.state = disk_.change;
  send_after_disk(from, vote, out);
}

void Lease::heard(NodeId from, const message::GenerationNews& news, Instant now,
                  LeaseEffects& out) {
  if (learning_) return;  // it learns from a majority, or not at all
  const Generation& told = news.generation;
  if (told.number < generation_.number) {
    send(from, message::GenerationNews{generation_}, out);
    return;
  }
  if (told.number > generation_.number) {
    if (told.voters.empty() || told.floor > kCounterMaxHeard) {
      ++counters_.messages_refused;
      return;
    }
    adopt_news(told, now, out);
  } else if (from != options_.self && !generation_.voters.contains(from) &&
             options_.voters.contains(from)) {
    candidates_[from] = now;
  }
  // "Never again in an earlier one" is true once the disk says so.
  send_after_disk(from, message::GenerationAdopted{told.number, counter_}, out);
}

// -- the claimant and holder --------------------------------------------------------------------

void Lease::heard(NodeId from, const message::Votes& votes, Instant now, LeaseEffects& out) {
  // Each question is a round of its own: an answer counts for the phase, the ballot and the instant
  // of the question that it echoes, and for nothing else.
  const auto found = std::find_if(rounds_.begin(), rounds_.end(), [&](const Round& round) {
    return round.number == votes.round && round.phase == votes.phase &&
           round.proposal.ballot == votes.ballot;
  });
  if (found == rounds_.end() || !generation_.voters.contains(from)) return;
  if (votes.generation != generation_.number) {
    if (votes.generation < generation_.number) {
      send(from, message::GenerationNews{generation_}, out);
    }
    return;
  }
  Round& round = *found;
  const std::vector<Name>& names = round.proposal.names;
  if (votes.refusal != Refusal::kNone) {
    if (votes.refusal != Refusal::kLater) round.answered.add(from);
    conclude(round, now, out);
    return;
  }
  if (votes.votes.size() != names.size()) {
    ++counters_.messages_refused;
    return;
  }
  round.answered.add(from);
  Class& of = classes_[round.term_class];
  for (std::size_t i = 0; i < names.size(); ++i) {
    const message::Vote& vote = votes.votes[i];
    if (vote.name != names[i]) {
      ++counters_.messages_refused;
      return;
    }
    switch (vote.verdict) {
      case Verdict::kYes:
        round.yes[i].add(from);
        if (round.phase == Phase::kAccept) granted(round, i, now, out);
        break;
      case Verdict::kBusy:
        if (Mine* const mine = find_mine(names[i]); mine != nullptr && round.is_claim) {
          const Duration rest = std::clamp(vote.remaining, Duration{}, kTermMax);
          if (rest <= of.options.renew_every) {
            // It heard of the holder a little later than we did: it is asked again when its lease
            // is over, for nobody else may be left whose yes would do.
            round.answered.remove(from);
            of.claim_again_at = std::min(of.claim_again_at, now + rest + kBusyMargin);
          } else {
            round.answered.add(vote.owner);  // who holds it does not give it away
            mine->try_at = std::max(mine->try_at, now + rest + mine->options.patience);
          }
        }
        break;
      case Verdict::kOutbid:
        round.outbid = true;
        if (vote.promised.counter() <= kCounterMaxHeard) {
          notice_counter(vote.promised.counter(), out);
        }
        if (!round.is_claim && vote.promised > of.ballot) {
          // This voter promised a claimant something while it did not hear us. A higher ballot of
          // the holder's brings it back.
          if (const auto ballot = new_ballot(out)) {
            of.ballot = *ballot;
            of.renew_at = std::min(of.renew_at, now + of.options.renew_every / 4);
          }
        }
        break;
      case Verdict::kFull:
        break;
    }
  }
  conclude(round, now, out);
}

// Goes on with a claim, or ends it, when enough have answered.
void Lease::conclude(Round& round, Instant now, LeaseEffects& out) {
  Class& of = classes_[round.term_class];
  if (round.phase == Phase::kAccept && !round.majority && is_granted(round)) {
    round.majority = true;
    notice_majority(round, now);
  }
  if (!round.is_claim || !of.claiming || of.claim_round != round.number) return;
  if (!can_win(round)) {
    end_claim(round.term_class, now, out);
  } else if (round.phase == Phase::kPrepare) {
    promised(round, now, out);
  } else if (awaited(round).empty()) {
    end_claim(round.term_class, now, out);
  }
}

NodeSet Lease::awaited(const Round& round) const {
  return generation_.voters - round.answered - absent_;
}

// Whether those who have not answered could still make a majority for any of the names.
bool Lease::can_win(const Round& round) const {
  const NodeSet open = awaited(round);
  return std::any_of(round.yes.begin(), round.yes.end(),
                     [&](NodeSet yes) { return reaches_quorum(yes | open); });
}

// Goes on with the names that a majority promised, once that is all or nobody is left to answer.
void Lease::promised(Round& round, Instant now, LeaseEffects& out) {
  std::vector<Name> names;
  for (std::size_t i = 0; i < round.proposal.names.size(); ++i) {
    if (reaches_quorum(round.yes[i])) names.push_back(round.proposal.names[i]);
  }
  const bool all = names.size() == round.proposal.names.size();
  if (!all && !awaited(round).empty()) return;
  const std::uint8_t index = round.term_class;
  Class& of = classes_[index];
  if (names.empty()) {
    end_claim(index, now, out);
    return;
  }
  for (Mine& mine : mine_) {
    if (mine.step != Step::kPreparing || mine.options.term_class != index) continue;
    const bool goes_on = std::find(names.begin(), names.end(), mine.options.name) != names.end();
    mine.step = goes_on ? Step::kAccepting : Step::kIdle;
    if (!goes_on) mine.try_at = std::max(mine.try_at, now + of.options.renew_every);
  }
  const Ballot ballot = round.proposal.ballot;
  Round& next = ask(Phase::kAccept, index, ballot, std::move(names), {}, true, now, out);
  of.claim_round = next.number;
  of.claim_again_at = now + answer_time(of);
  of.claim_ends_at = now + of.holding;
}

void Lease::granted(const Round& round, std::size_t i, Instant now, LeaseEffects& out) {
  Mine* const mine = find_mine(round.proposal.names[i]);
  if (mine == nullptr || round.number < mine->count_from_round) return;
  if (!reaches_quorum(round.yes[i])) return;
  Class& of = classes_[round.term_class];
  // From the question, not from the answer: a pause in between has used the term up.
  const Instant until = round.sent_at + of.holding;
  if (until <= now) return;
  if (mine->step == Step::kHeld) {
    if (until <= mine->until) return;
    mine->until = until;
    out.push_back(lease_effect::Renewed{mine->options.name, mine->epoch, until});
    return;
  }
  if (mine->step != Step::kAccepting || !mine->options.wanted) return;
  if (!round.is_claim || of.claim_round != round.number) return;
  mine->step = Step::kHeld;
  mine->epoch = round.proposal.ballot.value;
  mine->until = until;
  mine->follows = Ballot{};
  const bool first = std::none_of(mine_.begin(), mine_.end(), [&](const Mine& other) {
    return &other != mine && other.step == Step::kHeld &&
           other.options.term_class == round.term_class;
  });
  of.renew_at = first ? round.sent_at + of.options.renew_every
                      : std::min(of.renew_at, round.sent_at + of.options.renew_every);
  of.ballot = std::max(of.ballot, round.proposal.ballot);
  ++counters_.acquired;
  out.push_back(lease_effect::Acquired{mine->options.name, mine->epoch, until});
  of.claiming = std::any_of(mine_.begin(), mine_.end(), [&](const Mine& other) {
    return other.step == Step::kAccepting && other.options.term_class == round.term_class;
  });
}

void Lease::heard(NodeId from, const message::LearnAnswer& answer, Instant now, LeaseEffects& out) {
  if (answer.nonce != nonce_) return;
  if (answer.generation.number == 0 || answer.generation.voters.empty() ||
      answer.counter > kCounterMaxHeard || answer.generation.floor > kCounterMaxHeard) {
    ++counters_.messages_refused;
    return;
  }
  answered_.add(from);
  has_witness_ = has_witness_ || answer.warm;
  if (learning_) {
    learned_[from] = answer;
    relearn(out);
  } else if (answer.generation.number > generation_.number) {
    // Also of one who went on by a word of his own, and whose disk names nobody to wait for.
    adopt_news(answer.generation, now, out);
  }
}

void Lease::relearn(LeaseEffects& out) {
  Generation newest = generation_;
  NodeSet answered;
  std::uint64_t counter = counter_;  // 0 without a disk
  for (const auto& [node, each] : learned_) {
    if (each.generation.number > newest.number) newest = each.generation;
    answered.add(node);
    counter = std::max({counter, each.counter, each.generation.floor});
  }
  // A majority of the others: it meets every majority that our lost vote was part of in somebody
  // who did not lose it.
  answered.remove(options_.self);
  if (!is_majority(answered, newest.voters)) return;
  ChangeRegister change;
  if (generation_.number == newest.number) change = disk_.change;
  for (const auto& [node, each] : learned_) {
    if (each.generation.number != newest.number) continue;
    if (each.change.accepted > change.accepted) change = each.change;
  }
  change.promised = std::max(change.promised, Ballot::ceiling(counter));
  learning_ = false;
  learned_.clear();
  counter_ = counter;
  disk_.mark = std::max(disk_.mark, counter);
  generation_ = disk_.generation = newest;
  disk_.change = change;
  if (promises_.floor < counter) {
    promises_.floor = counter;
    for (auto& [name, state] : promises_.registers) {
      state.promised = std::max(state.promised, Ballot::ceiling(counter));
    }
    out.push_back(lease_effect::KeepAll{promises_});
  }
  write_disk();
  notice_counter(counter, out);
}

void Lease::heard(NodeId from, const message::ChangeVote& vote, Instant now, LeaseEffects& out) {
  if (vote.state.promised.counter() <= kCounterMaxHeard) {
    notice_counter(vote.state.promised.counter(), out);
  }
  change_.heard(from, vote, now);
}

void Lease::heard(NodeId from, const message::GenerationAdopted& adopted, Instant now,
                  LeaseEffects& out) {
  if (adopted.counter > kCounterMaxHeard) {
    ++counters_.messages_refused;
    return;
  }
  notice_counter(adopted.counter, out);
  change_.heard(from, adopted, now);
  if (disk_.awaited.empty() || adopted.number != generation_.number) return;
  const bool was_all = (disk_.awaited - adopted_).empty();
  adopted_.add(from);
  // What they granted before may run until then.
  if (!was_all && (disk_.awaited - adopted_).empty()) counts_from_ = now + disk_.longest_term;
}

// -- what is due --------------------------------------------------------------------------------

void Lease::expire(Instant now, LeaseEffects& out) {
  for (std::uint8_t index = 0; index < classes_.size(); ++index) {
    std::vector<Name> names;
    for (Mine& mine : mine_) {
      if (mine.options.term_class != index || mine.step != Step::kHeld || now < mine.until)
        continue;
      ++counters_.expired;
      lose(mine, LossReason::kExpired, now, out);
      names.push_back(mine.options.name);
    }
    if (!names.empty()) give_back(std::move(names), classes_[index].ballot, 0, out);
  }
}

void Lease::advance(Instant now, LeaseEffects& out) {
  if (!started_) return;
  if (learning_ || promises_.cold) learn(now, out);
  if (learning_) return;
  if (promises_.cold) warm_up(now, out);
  advance_word(now, out);
  gossip(now, out);
  for (std::uint8_t index = 0; index < classes_.size(); ++index) {
    Class& of = classes_[index];
    if (now >= of.renew_at) renew(index, now, out);
    if (of.renew_again_at && now >= *of.renew_again_at) renew_again(of, now, out);
    if (!of.claiming) {
      claim(index, now, out);
    } else if (now >= of.claim_ends_at) {
      end_claim(index, now, out);
    } else if (now >= of.claim_again_at) {
      of.claim_again_at = now + of.again_every;
      for (Round& round : rounds_) {
        if (round.number == of.claim_round) ask_again(round, out);
      }
    }
  }
  advance_change(now, out);
}

void Lease::learn(Instant now, LeaseEffects& out) {
  if (now < learn_at_) return;
  learn_at_ = now + learn_pause_;
  if (now >= asks_off_until_) learn_pause_ = std::min(2 * learn_pause_, kLearnLast);
  options_.peers.for_each([&](NodeId peer) { send(peer, message::LearnAsk{nonce_}, out); });
}

// Whoever was off may have been said to be off. That, and what followed, is known to everybody who
// was not: one of them is enough, and among all nodes there is one. Those who are off by a word
// that this node acted on itself need not be heard; but they may be back, with another word, and
// one question to them may be lost.
void Lease::warm_up(Instant now, LeaseEffects& out) {
  const NodeSet silent = options_.peers - answered_;
  const bool all = (silent - disk_.off).empty() && disk_.awaited.empty() &&
                   (silent.empty() || now >= asks_off_until_);
  if (!has_witness_ && !all) return;
  if (durable_generation_ != generation_.number) return;  // a process after this one must know
  promises_.cold = false;
  out.push_back(lease_effect::KeepAll{promises_});
}

// After the operator's word: everybody who is not off hears of it, and grants nothing in the
// generations before any more; what was granted runs out; then it counts.
void Lease::advance_word(Instant now, LeaseEffects& out) {
  if (disk_.awaited.empty()) return;
  const NodeSet missing = disk_.awaited - adopted_;
  if (missing.empty()) {
    if (now < counts_from_) return;
    disk_.awaited = {};
    write_disk();
    if (promises_.cold) {
      promises_.cold = false;
      out.push_back(lease_effect::KeepAll{promises_});
    }
  } else if (now >= teach_at_) {
    teach_at_ = now + kTeachEvery;
    missing.for_each([&](NodeId node) { send(node, message::GenerationNews{generation_}, out); });
  }
}

void Lease::gossip(Instant now, LeaseEffects& out) {
  if (now < gossip_at_ || !may_vote(now) || options_.peers.empty()) return;
  gossip_at_ = now + kGossipEvery;
  NodeId next = 0;
  options_.peers.for_each([&](NodeId peer) {
    if (next == 0 || (next <= gossiped_ && peer > gossiped_)) next = peer;
  });
  gossiped_ = next;
  send(next, message::GenerationNews{generation_}, out);
}

// One more voter at a time. Of an even number of voters half may not fail, as of one less; so the
// way there is only begun when it leads on at once.
void Lease::readmit(Instant now) {
  if (change_.step() != VoterChange::Step::kIdle || !is_voting(now)) return;
  std::erase_if(candidates_, [&](const auto& each) {
    return now - each.second > kCandidateLifetime || generation_.voters.contains(each.first);
  });
  if (candidates_.empty()) return;
  NodeSet more = generation_.voters;
  more.add(candidates_.begin()->first);
  const bool is_odd = more.size() % 2 == 1;
  if (!is_odd && candidates_.size() < 2 && !(options_.voters - more).empty()) return;
  change_.begin(generation_, more, disk_.longest_term, now);
}

void Lease::advance_change(Instant now, LeaseEffects& out) {
  readmit(now);
  notice_counter(change_.counter_hint(), out);
  const auto deadline = change_.deadline();
  if (deadline && now >= *deadline) {
    const std::optional<Ballot> ballot =
        change_.needs_ballot() ? new_ballot(out) : std::optional<Ballot>();
    if (const auto question = change_.advance(ballot, now)) {
      change_.targets().for_each([&](NodeId node) { send(node, *question, out); });
    }
  }
  if (const auto chosen = change_.take_chosen(); chosen && chosen->number > generation_.number) {
    adopt(*chosen, now, out);
    (chosen->voters | chosen->previous | options_.peers).for_each([&](NodeId node) {
      if (node != options_.self) send(node, message::GenerationNews{*chosen}, out);
    });
  }
}

void Lease::renew(std::uint8_t index, Instant now, LeaseEffects& out) {
  std::vector<Name> names;
  for (const Mine& mine : mine_) {
    if (mine.step == Step::kHeld && mine.options.term_class == index) {
      names.push_back(mine.options.name);
    }
  }
  if (names.empty()) return;
  Class& of = classes_[index];
  of.renew_at = now + of.options.renew_every;
  // Where the one before is overdue, this is no reason to be more patient.
  of.renew_again_at = of.renew_again_at ? std::max(*of.renew_again_at, now + of.again_every)
                                        : now + answer_time(of);
  of.renewal_round =
      ask(Phase::kAccept, index, of.ballot, std::move(names), {}, false, now, out).number;
}

// Of three voters two answers are lost together now and then, and where one is dead, one alone is
// enough. What is overdue is said again and again, until a majority has answered something: it is
// the same question, from the same instant; and not for what has been given back meanwhile.
void Lease::renew_again(Class& of, Instant now, LeaseEffects& out) {
  of.renew_again_at.reset();
  const auto renewal = std::find_if(rounds_.begin(), rounds_.end(), [&](const Round& round) {
    return round.number == of.renewal_round;
  });
  if (renewal == rounds_.end() || renewal->majority) return;
  for (const Name name : renewal->proposal.names) {
    const Mine* const mine = find_mine(name);
    if (mine == nullptr || mine->step != Step::kHeld) return;
  }
  of.renew_again_at = now + of.again_every;
  ask_again(*renewal, out);
}

// A majority accepted a round, now for the first time.
void Lease::notice_majority(const Round& round, Instant now) {
  Class& of = classes_[round.term_class];
  // What was said more than once took longer than the way is; that must not make us patient.
  const Duration took = now - round.sent_at;
  const bool is_shorter = of.round_trip == Duration{} || took < of.round_trip;
  const bool is_late = !is_shorter && took > of.round_trip + of.again_every / 2;
  of.late += ((is_late ? 1.0 : 0.0) - of.late) / kLateMemory;
  of.round_trip = is_shorter ? took : of.round_trip + (took - of.round_trip) / kRoundTripMemory;
  if (!of.renew_again_at) return;
  if (round.number == of.renewal_round) {
    of.renew_again_at.reset();
    return;
  }
  const auto newest = std::find_if(rounds_.begin(), rounds_.end(), [&](const Round& each) {
    return each.number == of.renewal_round;
  });
  if (newest != rounds_.end() && round.number < newest->number) {
    of.renew_again_at = std::max(newest->sent_at + answer_time(of), now);
  }
}

// How long to wait for answers before the question is said again. A lossy way that is long as well
// leaves no time for that: there several copies are under way at once.
Duration Lease::answer_time(const Class& of) {
  if (of.late > kLateMuch) return std::max(of.again_every, of.round_trip / kCopies);
  return of.round_trip + of.again_every;
}

bool Lease::is_granted(const Round& round) const {
  return std::all_of(round.yes.begin(), round.yes.end(),
                     [&](NodeSet yes) { return reaches_quorum(yes); });
}

void Lease::claim(std::uint8_t index, Instant now, LeaseEffects& out) {
  if (stopping_ || generation_.number == 0) return;
  Class& of = classes_[index];
  std::vector<Mine*> ready;
  for (Mine& mine : mine_) {
    if (mine.options.term_class != index || !mine.options.wanted) continue;
    if (mine.step != Step::kIdle || now < mine.try_at) continue;
    const LeaseRegister* const state = find_register(mine.options.name);
    if (state != nullptr && state->runs(now) && state->owner() != options_.self) {
      mine.try_at = state->expires + mine.options.patience;
      if (now < mine.try_at) continue;
    }
    // Those that were handed to us by one Release go together, without asking first.
    if (!ready.empty() && mine.follows != ready.front()->follows) continue;
    ready.push_back(&mine);
  }
  if (ready.empty()) return;
  const auto ballot = new_ballot(out);
  if (!ballot) {
    for (Mine* const mine : ready) mine->try_at = now + kDiskPause;
    return;
  }
  const Ballot follows = ready.front()->follows;
  const Phase phase = follows.value != 0 ? Phase::kAccept : Phase::kPrepare;
  std::vector<Name> names;
  for (Mine* const mine : ready) {
    mine->step = phase == Phase::kAccept ? Step::kAccepting : Step::kPreparing;
    mine->count_from_round = next_round_;
    names.push_back(mine->options.name);
  }
  of.claiming = true;
  Round& round = ask(phase, index, *ballot, std::move(names), follows, true, now, out);
  of.claim_round = round.number;
  of.claim_again_at = now + answer_time(of);
  of.claim_ends_at = now + of.holding;
}

void Lease::end_claim(std::uint8_t index, Instant now, LeaseEffects& out) {
  Class& of = classes_[index];
  if (!of.claiming) return;
  of.claiming = false;
  const auto claim = std::find_if(rounds_.begin(), rounds_.end(), [&](const Round& round) {
    return round.number == of.claim_round;
  });
  // Only whoever met a rival waits by chance, so that the two do not meet for ever.
  const bool rival = claim == rounds_.end() || claim->outbid;
  const Duration pause(rival ? static_cast<std::int64_t>(rng_.below(
                                   static_cast<std::uint64_t>(of.options.term.count()) / 2))
                             : of.options.renew_every.count() / 2);
  std::vector<Name> names;
  for (Mine& mine : mine_) {
    if (mine.options.term_class != index) continue;
    if (mine.step != Step::kPreparing && mine.step != Step::kAccepting) continue;
    if (mine.step == Step::kAccepting) names.push_back(mine.options.name);
    mine.step = Step::kIdle;
    mine.follows = Ballot{};
    mine.count_from_round = next_round_;
    mine.try_at = std::max(mine.try_at, now + mine.options.patience + pause);
  }
  ++counters_.claims_failed;
  if (claim == rounds_.end() || names.empty()) return;
  // A process before this one may have left the guard open; voters must not hear earlier.
  for (const Name name : names) out.push_back(lease_effect::Shut{name});
  give_back(std::move(names), claim->proposal.ballot, 0, out);
}

Lease::Round& Lease::ask(Phase phase, std::uint8_t index, Ballot ballot, std::vector<Name> names,
                         Ballot follows, bool is_claim, Instant now, LeaseEffects& out) {
  if (rounds_.size() >= kRoundsMax) rounds_.pop_front();
  Round& round = rounds_.emplace_back();
  round.phase = phase;
  round.term_class = index;
  round.number = next_round_++;
  round.is_claim = is_claim;
  round.sent_at = now;
  round.yes.resize(names.size());
  round.proposal.phase = phase;
  round.proposal.generation = generation_.number;
  round.proposal.ballot = ballot;
  round.proposal.round = round.number;
  round.proposal.term = classes_[index].options.term;
  round.proposal.follows = follows;
  round.proposal.names = std::move(names);
  ask_again(round, out);
  return round;
}

void Lease::ask_again(Round& round, LeaseEffects& out) {
  (generation_.voters - round.answered).for_each([&](NodeId voter) {
    send(voter, round.proposal, out);
  });
}

void Lease::lose(Mine& mine, LossReason reason, Instant now, LeaseEffects& out) {
  out.push_back(lease_effect::Lost{mine.options.name, mine.epoch, reason});
  mine.step = Step::kIdle;
  mine.epoch = 0;
  mine.count_from_round = next_round_;
  mine.try_at = now + mine.options.patience;
}

void Lease::give_back(std::vector<Name> names, Ballot ballot, NodeId successor, LeaseEffects& out) {
  const message::Release release{ballot, successor, std::move(names)};
  NodeSet told = generation_.voters;
  told.add(successor);
  told.for_each([&](NodeId node) { send(node, release, out); });
}

// What another node says was chosen. After the operator's word to somebody else it may hold what
// was held here, as soon as this node has said that it knows.
void Lease::adopt_news(const Generation& generation, Instant now, LeaseEffects& out) {
  if (generation.row() != generation_.row()) {
    disk_.off = {};
    for (Mine& mine : mine_) {
      if (mine.step == Step::kHeld) lose(mine, LossReason::kOverruled, now, out);
    }
  }
  adopt(generation, now, out);
}

void Lease::adopt(const Generation& generation, Instant now, LeaseEffects& out) {
  for (std::uint8_t index = 0; index < classes_.size(); ++index) {
    end_claim(index, now, out);
    classes_[index].renew_at = now;
  }
  rounds_.clear();  // generations never vote together
  change_.abandon();
  generation_ = disk_.generation = generation;
  disk_.change = ChangeRegister{};
  disk_.awaited = {};
  if (word_ && word_->generation.number <= generation.number) word_.reset();
  write_disk();
  notice_counter(generation.floor, out);
  out.push_back(lease_effect::VotersChanged{generation});
}

// -- ballots and the disk -----------------------------------------------------------------------

std::optional<Ballot> Lease::new_ballot(LeaseEffects& out) {
  if (learning_ || counter_ >= Ballot::kCounterMax) return std::nullopt;
  if (counter_ + 1 > durable_mark_) {
    notice_counter(counter_, out);
    return std::nullopt;
  }
  notice_counter(counter_ + 1, out);
  return Ballot::make(counter_, options_.self);
}

// Keeps the disk's mark half a block ahead, so that nobody waits for a disk when it matters.
void Lease::notice_counter(std::uint64_t counter, LeaseEffects&) {
  counter_ = std::max(counter_, counter);
  if (learning_ || counter_ + kMarkBlock / 2 <= disk_.mark) return;
  disk_.mark = counter_ + kMarkBlock;
  write_disk();
}

void Lease::flush_disk(LeaseEffects& out) {
  if (disk_busy_ || !disk_dirty_ || learning_) return;
  disk_dirty_ = false;
  disk_busy_ = true;
  writing_ = disk_;
  if (word_) {
    writing_.generation = word_->generation;
    writing_.change = ChangeRegister{};
    writing_.off = word_->off;
    writing_.awaited = word_->awaited;
  }
  out.push_back(lease_effect::WriteDisk{++disk_sequence_, writing_});
}

void Lease::send(NodeId to, Message message, LeaseEffects& out) {
  if (to == options_.self) {
    to_self_.push_back(std::move(message));
  } else {
    out.push_back(lease_effect::Send{to, std::move(message)});
  }
}

// After everything that is not on the disk yet: the write under way does not carry what is dirty.
void Lease::send_after_disk(NodeId to, Message message, LeaseEffects& out) {
  if (!disk_dirty_ && !disk_busy_) {
    send(to, std::move(message), out);
    return;
  }
  if (held_back_.size() >= kSendsHeldMax) return;
  held_back_.push_back({disk_sequence_ + (disk_dirty_ ? 1 : 0), to, std::move(message)});
}

// -- questions to oneself -----------------------------------------------------------------------

bool Lease::may_vote(Instant now) const {
  return started_ && !learning_ && !promises_.cold && disk_.awaited.empty() &&
         now >= promises_.votes_from;
}

bool Lease::is_voting(Instant now) const {
  return may_vote(now) && generation_.voters.contains(options_.self);
}

LeaseRegister* Lease::find_register(Name name) { return promises_.find(name); }

Lease::Mine* Lease::find_mine(Name name) {
  const auto found =
      std::lower_bound(mine_.begin(), mine_.end(), name,
                       [](const Mine& mine, Name wanted) { return mine.options.name < wanted; });
  return found == mine_.end() || found->options.name != name ? nullptr : &*found;
}

Duration Lease::longest_term() const {
  Duration longest{};
  for (const TermClass& each : options_.classes) longest = std::max(longest, each.term);
  return longest;
}

LeaseSight Lease::sight(Name name, Instant now) const {
  for (const Mine& mine : mine_) {
    if (mine.options.name != name || mine.step != Step::kHeld || now >= mine.until) continue;
    return {options_.self, mine.epoch, mine.until - now};
  }
  for (const auto& [each, state] : promises_.registers) {
    if (each != name || !state.runs(now) || state.owner() == options_.self) continue;
    return {state.owner(), state.accepted.value, state.expires - now};
  }
  return {};
}

std::optional<Epoch> Lease::held(Name name, Instant now) const {
  for (const Mine& mine : mine_) {
    if (mine.options.name != name) continue;
    if (mine.step == Step::kHeld && now < mine.until) return mine.epoch;
  }
  return std::nullopt;
}

std::optional<Instant> Lease::deadline() const {
  if (!started_) return std::nullopt;
  std::optional<Instant> earliest;
  const auto consider = [&](Instant at) {
    if (!earliest || at < *earliest) earliest = at;
  };
  if (learning_ || promises_.cold) consider(learn_at_);
  if (!learning_ && !disk_.awaited.empty()) {
    consider((disk_.awaited - adopted_).empty() ? counts_from_ : teach_at_);
  }
  const Instant can_gossip = std::max(gossip_at_, promises_.votes_from);
  if (may_vote(can_gossip) && !options_.peers.empty()) consider(can_gossip);
  std::uint64_t held = 0;  // a bit for each class
  for (const Mine& mine : mine_) {
    if (mine.step == Step::kHeld) {
      consider(mine.until);
      held |= std::uint64_t{1} << mine.options.term_class;
    }
    if (mine.step != Step::kIdle || !mine.options.wanted || stopping_) continue;
    const bool can_claim =
        !learning_ && generation_.number != 0 && !classes_[mine.options.term_class].claiming;
    if (can_claim) consider(mine.try_at);
  }
  for (std::size_t index = 0; index < classes_.size(); ++index) {
    const Class& of = classes_[index];
    if (held >> index & 1) consider(of.renew_at);
    if (of.renew_again_at) consider(*of.renew_again_at);
    if (of.claiming) consider(std::min(of.claim_again_at, of.claim_ends_at));
  }
  if (const auto change = change_.deadline(); change && !learning_) consider(*change);
  return earliest;
}

LeaseStatus Lease::status(Instant now) const {
  LeaseStatus status;
  status.learning = learning_;
  status.voting = is_voting(now);
  status.votes_from = promises_.votes_from;
  status.generation = generation_;
  status.cold = promises_.cold;
  if (learning_ || promises_.cold) status.unheard = options_.peers - disk_.off - answered_;
  status.off = disk_.off;
  status.awaited = disk_.awaited - adopted_;
  status.word_pending = word_ || !disk_.awaited.empty();
  status.change = change_.step();
  status.counters = counters_;
  return status;
}

}  // namespace nines::cluster

// Every look is at all members: one leaves only after two in which all were synced.
#include "galera/rolling_restart.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace nines::galera {

namespace {

namespace event = recovery_event;
namespace effect = recovery_effect;

bool is_synced(const Evidence& evidence) {
  return evidence.server == Evidence::Server::kPrimary &&
         evidence.local_state == LocalState::kSynced;
}

std::string state_text(const Evidence& evidence) {
  if (evidence.server != Evidence::Server::kPrimary) return std::string(name_of(evidence.server));
  return evidence.local_state == LocalState::kDonor ? "a donor, or desynced" : "not synced yet";
}

}  // namespace

RollingRestart::RollingRestart(RestartOptions options)
    : options_(std::move(options)), seen_(options_.members.size()) {
  CHECK(!options_.order.empty());
  for (const std::string& name : options_.order) {
    CHECK(std::find(options_.members.begin(), options_.members.end(), name) !=
          options_.members.end());
  }
}

void RollingRestart::handle(const RecoveryEvent& event, Instant now, RecoveryEffects& out) {
  std::visit([&](const auto& each) { on(each, now, out); }, event);
}

void RollingRestart::on(const event::Start&, Instant, RecoveryEffects& out) { look(out); }

void RollingRestart::on(const event::Told& told, Instant now, RecoveryEffects& out) {
  if (untold_.erase(told.member) == 0) return;
  seen_[told.member].evidence = told.evidence;
  seen_[told.member].missing = told.missing;
  if (untold_.empty()) looked(now, out);
}

void RollingRestart::on(const event::Acted& acted, Instant now, RecoveryEffects& out) {
  if (acting_ == 0) return;
  const std::string& name = options_.members[acted.member];
  if (acted.action == MemberAction::kClaim) seen_[acted.member].is_claimed = acted.is_done;
  if (!acted.is_done && acted.action != MemberAction::kRelease) {
    trouble_ = name + " did not " + std::string(name_of(acted.action)) + ": " + acted.said;
    say(trouble_, out);
  }
  if (acted.action == MemberAction::kRelease && !acted.is_done) is_claim_left_ = true;
  if (--acting_ > 0) return;
  if (is_ending_) return close(out);
  if (step_ == RestartStep::kClaiming) {
    for (const Seen& seen : seen_) {
      if (!seen.is_claimed) return refuse(trouble_, out);
    }
    enter(RestartStep::kSettling, options_.settle_within, now);
  }
  look(out);
}

void RollingRestart::on(const event::TimerFired&, Instant now, RecoveryEffects& out) {
  if (!deadline_ || now < *deadline_) return;
  deadline_.reset();
  look(out);
}

void RollingRestart::looked(Instant now, RecoveryEffects& out) {
  switch (step_) {
    case RestartStep::kLooking: {
      if (const std::string why = unsettled(); !why.empty()) {
        return refuse(why + ": a restart begins when all members are synced", out);
      }
      step_ = RestartStep::kClaiming;
      RecoveryRecord record;
      record.run = options_.run;
      record.step = RecoveryStep::kRejoining;
      out.emplace_back(effect::Keep{record});
      for (std::size_t i = 0; i < seen_.size(); ++i) act(i, MemberAction::kClaim, out);
      return;
    }
    case RestartStep::kSettling:
      return settle(now, out);
    case RestartStep::kLeaving:
      return leave(now, out);
    case RestartStep::kReturning:
      return come_back(now, out);
    case RestartStep::kClaiming:
    case RestartStep::kDone:
    case RestartStep::kRefused:
      return;
  }
}

// All are synced: the next one leaves, or it is over.
void RollingRestart::settle(Instant now, RecoveryEffects& out) {
  if (const std::string why = unsettled(); !why.empty()) {
    settled_ = 0;
    if (now < step_until_) return look_later(now);
    return refuse(why, out);
  }
  // Members answer one after the other: a donor of the last moment is seen by the next look.
  if (++settled_ < kSettledLooks) return look_later(now);
  if (next_ == options_.order.size()) {
    say("all members are synced", out);
    step_ = RestartStep::kDone;
    return end(true, out);
  }
  attempts_ = 1;
  trouble_.clear();
  say("stopping " + options_.order[next_], out);
  enter(RestartStep::kLeaving, options_.settle_within, now);
  act(current(), MemberAction::kLeave, out);
}

// Told to stop: whatever was answered, what its host sees counts.
void RollingRestart::leave(Instant now, RecoveryEffects& out) {
  const auto& evidence = seen_[current()].evidence;
  if (evidence && evidence->server == Evidence::Server::kDown) {
    attempts_ = 1;
    say("starting " + options_.order[next_], out);
    enter(RestartStep::kReturning, options_.return_within, now);
    return act(current(), MemberAction::kJoin, out);
  }
  if (now >= step_until_) {
    return refuse(
        options_.order[next_] + " does not stop" + (trouble_.empty() ? "" : " (" + trouble_ + ")"),
        out);
  }
  // It refused, or the order was lost: once more, and only if all are synced still.
  if (unsettled().empty() && !trouble_.empty()) {
    if (attempts_ >= kAttemptsMax) return refuse(trouble_, out);
    ++attempts_;
    trouble_.clear();
    return act(current(), MemberAction::kLeave, out);
  }
  look_later(now);
}

void RollingRestart::come_back(Instant now, RecoveryEffects& out) {
  const std::string& name = options_.order[next_];
  const auto& evidence = seen_[current()].evidence;
  bool is_primary = false;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const auto& other = seen_[i].evidence;
    is_primary = is_primary || (other && other->server == Evidence::Server::kPrimary);
  }
  lost_ = is_primary ? 0 : lost_ + 1;
  if (options_.members.size() > 1 && lost_ >= kLostLooksMax) {
    return refuse("no primary component is left: nines galera recover", out);
  }
  if (evidence && is_synced(*evidence)) {
    say(name + " is synced", out);
    ++next_;
    enter(RestartStep::kSettling, options_.settle_within, now);
    return settle(now, out);
  }
  if (evidence && evidence->server == Evidence::Server::kDown) {
    if (attempts_ >= kAttemptsMax) {
      return refuse(name + " does not stay up, and nobody else is restarted: look at its log" +
                        (trouble_.empty() ? "" : " (" + trouble_ + ")") +
                        "; nines galera recover starts it",
                    out);
    }
    ++attempts_;
    return act(current(), MemberAction::kJoin, out);
  }
  if (now >= step_until_) return refuse(name + " is not synced yet: look at its log", out);
  look_later(now);
}

std::string RollingRestart::unsettled() const {
  const Evidence* first = nullptr;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    const Seen& seen = seen_[i];
    if (!seen.evidence) return options_.members[i] + " cannot be asked (" + seen.missing + ")";
    if (!is_synced(*seen.evidence)) {
      return options_.members[i] + " is " + state_text(*seen.evidence);
    }
    if (first != nullptr && first->running.uuid != seen.evidence->running.uuid) {
      return options_.members[i] + " has another history than " + options_.members[0];
    }
    if (first == nullptr) first = &*seen.evidence;
  }
  return "";
}

std::size_t RollingRestart::current() const {
  const auto& members = options_.members;
  return static_cast<std::size_t>(std::find(members.begin(), members.end(), options_.order[next_]) -
                                  members.begin());
}

void RollingRestart::enter(RestartStep step, Duration within, Instant now) {
  step_ = step;
  step_until_ = now + within;
  lost_ = 0;
  settled_ = 0;
}

void RollingRestart::look(RecoveryEffects& out) {
  for (std::size_t i = 0; i < seen_.size(); ++i) untold_.insert(i);
  // The storage engine of one that has just been stopped in good order need not be asked.
  out.emplace_back(effect::Look{false});
}

void RollingRestart::act(std::size_t member, MemberAction action, RecoveryEffects& out) {
  ++acting_;
  out.emplace_back(effect::Act{member, action, {}});
}

void RollingRestart::end(bool is_good, RecoveryEffects& out) {
  is_ending_ = true;
  is_good_ = is_good;
  deadline_.reset();
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    if (seen_[i].is_claimed) act(i, MemberAction::kRelease, out);
  }
  if (acting_ == 0) close(out);
}

// As long as a member may be claimed somebody has to be able to take the claim over.
void RollingRestart::close(RecoveryEffects& out) {
  if (!is_claim_left_) out.emplace_back(effect::Forget{});
  out.emplace_back(effect::Finish{is_good_});
}

void RollingRestart::refuse(const std::string& why, RecoveryEffects& out) {
  step_ = RestartStep::kRefused;
  say("REFUSED: " + why, out);
  end(false, out);
}

void RollingRestart::say(const std::string& line, RecoveryEffects& out) {
  out.emplace_back(effect::Say{line});
}

}  // namespace nines::galera

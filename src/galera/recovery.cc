// Every decision is plan_recovery()'s; here is only when to ask it, and what follows.
#include "galera/recovery.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "galera/state_files.h"

namespace nines::galera {

namespace {

namespace event = recovery_event;
namespace effect = recovery_effect;

bool is_same(const Plan& a, const Plan& b) {
  return a.kind == b.kind && a.chosen == b.chosen && a.begin_at == b.begin_at;
}

}  // namespace

Recovery::Recovery(RecoveryOptions options, RecoveryRecord record)
    : options_(std::move(options)), record_(std::move(record)), members_(options_.members.size()) {
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const std::string& name : options_.members) {
    MemberFacts facts;
    facts.name = name;
    facts.is_excused = has(record_.without, name);
    facts.is_trusted = has(record_.trust, name);
    question_.members.push_back(std::move(facts));
  }
}

void Recovery::handle(const RecoveryEvent& event, Instant now, RecoveryEffects& out) {
  std::visit([&](const auto& each) { on(each, now, out); }, event);
}

void Recovery::on(const event::Start&, Instant now, Effects& out) {
  // Of an interrupted reform only some were started, and those wait for ever; what was being
  // stopped had been given its time.
  has_waited_ =
      record_.step == RecoveryStep::kReforming || record_.step == RecoveryStep::kStandingDown;
  record_.step = RecoveryStep::kLooking;
  step_until_ = now + starting_within();
  look(true, out);
}

void Recovery::on(const event::Told& told, Instant now, Effects& out) {
  if (untold_.erase(told.member) == 0) return;
  MemberFacts& facts = question_.members[told.member];
  Member& member = members_[told.member];
  facts.evidence = told.evidence;
  facts.missing = told.missing;
  if (facts.evidence && facts.evidence->server == Evidence::Server::kDown) {
    if (is_look_full_) {
      member.full = facts.evidence;
    } else if (member.full) {
      facts.evidence = member.full;
    }
  } else {
    member.full.reset();  // whatever it was, a server has run since
  }
  if (untold_.empty()) looked(now, out);
}

void Recovery::on(const event::Acted& acted, Instant now, Effects& out) {
  if (acting_ == 0) return;
  const std::string& name = options_.members[acted.member];
  if (acted.action == MemberAction::kClaim) members_[acted.member].is_claimed = acted.is_done;
  if (!acted.is_done && acted.action != MemberAction::kRelease) {
    trouble_ = name + " did not " + std::string(name_of(acted.action)) + ": " + acted.said;
    say(trouble_, out);
  }
  if (acted.action == MemberAction::kRelease && !acted.is_done) is_claim_left_ = true;
  // It may run because somebody else started it, and then waits for ever.
  if (acted.action == MemberAction::kBootstrap && !acted.is_done) {
    step_until_ = std::min(step_until_, now + starting_within());
  }
  acted_at_ = now;
  if (--acting_ == 0) acts_done(now, out);
}

void Recovery::on(const event::TimerFired&, Instant now, Effects& out) {
  if (!deadline_ || now < *deadline_) return;
  deadline_.reset();
  look(will_look_full_, out);
}

// -- looking ----------------------------------------------------------------------------------

void Recovery::looked(Instant now, Effects& out) {
  // One that ran and is down now has to be asked in full before anything is decided by it.
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const auto& evidence = question_.members[i].evidence;
    if (evidence && evidence->server == Evidence::Server::kDown && !members_[i].full) {
      look(true, out);
      return;
    }
  }
  question_.has_reform_failed = record_.has_reform_failed;
  question_.has_waited = has_waited_;
  question_.begun_by = record_.begun_by;
  const Plan plan = plan_recovery(question_);
  if (plan.kind == PlanKind::kRefuse && plan.is_fleeting && ++fleeting_ < kFleetingLooksMax) {
    look_later(false, now);
    return;
  }
  if (!plan.is_fleeting) fleeting_ = 0;
  on_plan(plan, now, out);
}

void Recovery::on_plan(const Plan& plan, Instant now, Effects& out) {
  switch (record_.step) {
    case RecoveryStep::kLooking:
    case RecoveryStep::kClaiming:
    case RecoveryStep::kConfirming:
      confirm(plan, now, out);
      return;
    case RecoveryStep::kReforming:
    case RecoveryStep::kBootstrapping:
    case RecoveryStep::kPromoting:
      await_primary(plan, now, out);
      return;
    case RecoveryStep::kStandingDown:
      stand_down(now, out);
      return;
    case RecoveryStep::kRejoining:
      rejoin(plan, now, out);
      return;
    case RecoveryStep::kDone:
    case RecoveryStep::kRefused:
      return;
  }
}

void Recovery::confirm(const Plan& plan, Instant now, Effects& out) {
  if (plan.kind == PlanKind::kRefuse) return refuse(plan.reason, plan.overrides, out);
  if (plan.kind == PlanKind::kNothing) return settle(plan, now, out);
  if (record_.is_automatic && !record_.has_acted && is_stopped_by_will()) {
    return refuse(
        "all servers were stopped in good order: somebody wants it so. 'nines galera "
        "recover' starts them",
        {}, out);
  }
  if (plan.kind == PlanKind::kWait) {
    if (has_waited_ && now >= step_until_) {
      return refuse(plan.reason + ", and has been for too long: stop it by hand and ask again", {},
                    out);
    }
    has_waited_ = has_waited_ || now >= step_until_;
    look_later(true, now);
    return;
  }
  settled_ = 0;
  const bool is_settled = planned_ && is_same(*planned_, plan);
  if (!is_settled && planned_ && ++confirms_ > kConfirmsMax) {
    return refuse("what the members tell goes on changing: somebody else is at work", {}, out);
  }
  if (!is_settled) say(plan.reason, out);
  planned_ = plan;
  if (claim_all(out)) return;
  if (record_.step == RecoveryStep::kConfirming && is_settled) return act_on(plan, now, out);
  enter(RecoveryStep::kConfirming, starting_within(), now, out);
  look(true, out);
}

// Of those that can be asked: a crash leaves no number in grastate.dat.
bool Recovery::is_stopped_by_will() const {
  bool is_any = false;
  for (const MemberFacts& facts : question_.members) {
    if (!facts.evidence) continue;
    const auto& grastate = facts.evidence->grastate;
    if (facts.evidence->server != Evidence::Server::kDown || !grastate ||
        !grastate->position.is_known()) {
      return false;
    }
    is_any = true;
  }
  return is_any;
}

// True when some are claimed now and have to answer first.
bool Recovery::claim_all(Effects& out) {
  std::vector<std::size_t> unclaimed;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (question_.members[i].evidence && !members_[i].is_claimed) unclaimed.push_back(i);
  }
  if (unclaimed.empty()) return false;
  record_.step = RecoveryStep::kClaiming;
  out.emplace_back(effect::Keep{record_});
  for (const std::size_t i : unclaimed) {
    ++members_[i].claims;
    act(i, MemberAction::kClaim, {}, out);
  }
  return true;
}

// -- acting -------------------------------------------------------------------------------------

void Recovery::act_on(const Plan& plan, Instant now, Effects& out) {
  planned_.reset();
  settled_ = 0;
  record_.has_acted = true;
  trouble_.clear();
  switch (plan.kind) {
    case PlanKind::kReform:
      enter(RecoveryStep::kReforming, options_.reform_within, now, out);
      say("starting all members", out);
      for (std::size_t i = 0; i < members_.size(); ++i) {
        act(i, MemberAction::kStart, plan.members[i].position, out);
      }
      return;
    case PlanKind::kStandDown: {
      std::set<std::size_t> stopping;
      for (std::size_t i = 0; i < members_.size(); ++i) {
        if (plan.members[i].part == Part::kStops) stopping.insert(i);
      }
      return begin_standing_down(std::move(stopping), now, out);
    }
    case PlanKind::kBootstrap:
    case PlanKind::kPromote: {
      const bool is_bootstrap = plan.kind == PlanKind::kBootstrap;
      record_.begun_by = plan.chosen;
      enter(is_bootstrap ? RecoveryStep::kBootstrapping : RecoveryStep::kPromoting,
            options_.primary_within, now, out);
      say((is_bootstrap ? "bootstrapping " : "promoting ") + plan.chosen + " at " +
              plan.begin_at.text(),
          out);
      const std::size_t chosen = index_of(plan.chosen);
      ++members_[chosen].attempts;
      act(chosen, is_bootstrap ? MemberAction::kBootstrap : MemberAction::kPromote, plan.begin_at,
          out);
      return;
    }
    case PlanKind::kRejoin:
      enter(RecoveryStep::kRejoining, options_.join_within, now, out);
      rejoin(plan, now, out);
      return;
    case PlanKind::kNothing:
    case PlanKind::kWait:
    case PlanKind::kRefuse:
      CHECK(false);
  }
}

void Recovery::acts_done(Instant now, Effects& out) {
  if (is_ending_) return close(out);
  if (record_.step == RecoveryStep::kClaiming) {
    bool is_all = true;
    for (std::size_t i = 0; i < members_.size(); ++i) {
      if (!question_.members[i].evidence || members_[i].is_claimed) continue;
      if (members_[i].claims >= kClaimsMax) return refuse(trouble_, {}, out);
      is_all = false;
    }
    if (!is_all) return look_later(true, now);
    enter(RecoveryStep::kConfirming, starting_within(), now, out);
  }
  // One that refuses to stop is asked again after a while.
  if (record_.step == RecoveryStep::kStandingDown) return look_later(false, now);
  look(record_.step == RecoveryStep::kConfirming, out);
}

void Recovery::await_primary(const Plan& plan, Instant now, Effects& out) {
  if (plan.kind == PlanKind::kRejoin || plan.kind == PlanKind::kNothing) {
    say("a primary component is there", out);
    record_.begun_by.clear();
    for (Member& member : members_) member.attempts = 0;
    enter(RecoveryStep::kRejoining, options_.join_within, now, out);
    return rejoin(plan, now, out);
  }
  if (record_.step == RecoveryStep::kReforming) {
    if (now < step_until_) return look_soon(now);
    say("no primary component came by itself", out);
    record_.has_reform_failed = true;
    std::set<std::size_t> all;
    for (std::size_t i = 0; i < members_.size(); ++i) all.insert(i);
    return begin_standing_down(std::move(all), now, out);
  }
  const std::size_t chosen = index_of(record_.begun_by);
  const auto& evidence = question_.members[chosen].evidence;
  const bool has_failed = evidence && (record_.step == RecoveryStep::kPromoting
                                           ? !trouble_.empty() || !is_running(chosen)
                                           : !is_running(chosen));
  if (has_failed) {
    const std::string what = trouble_.empty() ? record_.begun_by + " did not stay up" : trouble_;
    record_.begun_by.clear();
    if (members_[chosen].attempts >= kAttemptsMax) return refuse(what, {}, out);
    enter(RecoveryStep::kConfirming, starting_within(), now, out);
    return look(true, out);
  }
  if (now < step_until_) return look_soon(now);
  if (record_.step == RecoveryStep::kBootstrapping && !trouble_.empty() &&
      members_[chosen].attempts < kAttemptsMax) {
    has_waited_ = true;
    enter(RecoveryStep::kConfirming, starting_within(), now, out);
    return look(true, out);
  }
  refuse(record_.begun_by +
             " was told to begin the cluster and is not primary yet: look at its log, "
             "then ask again",
         plan.overrides, out);
}

void Recovery::begin_standing_down(std::set<std::size_t> members, Instant now, Effects& out) {
  stopping_ = std::move(members);
  has_waited_ = false;
  enter(RecoveryStep::kStandingDown, options_.stop_within, now, out);
  stand_down(now, out);
}

void Recovery::stand_down(Instant now, Effects& out) {
  const auto is_primary = [](const MemberFacts& facts) {
    return facts.evidence && facts.evidence->server == Evidence::Server::kPrimary;
  };
  const bool is_over = std::any_of(question_.members.begin(), question_.members.end(), is_primary);
  bool is_stopping = false;
  if (!is_over) {
    for (const std::size_t i : stopping_) {
      if (!is_running(i)) continue;
      is_stopping = true;
      if (now < step_until_) act(i, MemberAction::kStop, {}, out);
    }
  }
  if (acting_ > 0) return;
  if (is_stopping) return refuse("a server does not stop: " + trouble_, {}, out);
  enter(RecoveryStep::kConfirming, starting_within(), now, out);
  look(true, out);
}

void Recovery::rejoin(const Plan& plan, Instant now, Effects& out) {
  if (plan.kind == PlanKind::kNothing) return settle(plan, now, out);
  if (plan.kind != PlanKind::kRejoin) {
    // The component is gone again, or only slow to answer.
    settled_ = 0;
    if (++lost_ < kLostLooksMax) return look_later(false, now);
    lost_ = 0;
    if (plan.kind == PlanKind::kRefuse) return refuse(plan.reason, plan.overrides, out);
    if (++rounds_ > kRoundsMax) {
      return refuse("the primary component was lost again and again", {}, out);
    }
    enter(RecoveryStep::kConfirming, starting_within(), now, out);
    return look(true, out);
  }
  lost_ = 0;
  // While one is fed or catches up nobody else starts: there is one donor at a time.
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const auto& evidence = question_.members[i].evidence;
    if (!evidence || !is_running(i)) continue;
    if (evidence->server == Evidence::Server::kPrimary &&
        evidence->local_state == LocalState::kSynced) {
      continue;
    }
    settled_ = 0;
    if (now < step_until_) return look_soon(now);
    return refuse(options_.members[i] + " is not synced, after " +
                      std::to_string(options_.join_within / std::chrono::minutes(1)) +
                      " minutes: look at its log, then ask again",
                  {}, out);
  }
  for (const std::string& name : plan.joining) {
    const std::size_t i = index_of(name);
    if (members_[i].is_given_up) continue;
    if (!members_[i].is_claimed) {  // it was not to be seen when the others were
      if (++members_[i].claims > kClaimsMax) {
        members_[i].is_given_up = true;
        continue;
      }
      act(i, MemberAction::kClaim, {}, out);
      return;
    }
    if (++members_[i].attempts > kAttemptsMax) {
      members_[i].is_given_up = true;
      say("given up: " + name + " does not stay up; look at its log" +
              (trouble_.empty() ? "" : " (" + trouble_ + ")"),
          out);
      continue;
    }
    enter(RecoveryStep::kRejoining, options_.join_within, now, out);
    say("starting " + name, out);
    // From there a few write sets are enough; from nowhere it takes everything anew.
    const MemberPlan& known = plan.members[i];
    act(i, MemberAction::kJoin, known.standing == Standing::kSound ? known.position : Position{},
        out);
    return;
  }
  settle(plan, now, out);
}

// Nothing is left to do; twice, since members are asked one after the other.
void Recovery::settle(const Plan& plan, Instant now, Effects& out) {
  if (++settled_ < kSettledLooks) {
    if (!record_.has_acted) return look_later(true, now);
    return look_soon(now);
  }
  bool is_whole = true;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const MemberPlan& each = plan.members[i];
    if (each.part == Part::kStays && !members_[i].is_given_up) continue;
    is_whole = false;
    say(each.name + " is not in the component" + (each.why.empty() ? "" : ": " + each.why), out);
  }
  record_.step = RecoveryStep::kDone;
  say(is_whole ? "all members are in the primary component" : "done, but for those", out);
  finish(is_whole, out);
}

// -- small things -------------------------------------------------------------------------------

void Recovery::enter(RecoveryStep step, Duration within, Instant now, Effects& out) {
  record_.step = step;
  step_until_ = now + within;
  out.emplace_back(effect::Keep{record_});
}

void Recovery::look(bool is_full, Effects& out) {
  deadline_.reset();
  is_look_full_ = is_full;
  for (std::size_t i = 0; i < members_.size(); ++i) untold_.insert(i);
  out.emplace_back(effect::Look{is_full});
}

void Recovery::look_later(bool is_full, Instant now) {
  will_look_full_ = is_full;
  deadline_ = now + options_.poll;
}

void Recovery::look_soon(Instant now) {
  will_look_full_ = false;
  deadline_ = now + (now - acted_at_ < kSoonFor ? options_.poll_soon : options_.poll);
}

void Recovery::act(std::size_t member, MemberAction action, Position expected, Effects& out) {
  ++acting_;
  settled_ = 0;
  out.emplace_back(effect::Act{member, action, std::move(expected)});
}

void Recovery::say(std::string line, Effects& out) {
  out.emplace_back(effect::Say{std::move(line)});
}

void Recovery::refuse(std::string reason, const std::vector<std::string>& overrides, Effects& out) {
  say("REFUSED: " + reason, out);
  for (const std::string& each : overrides) {
    say("  go on all the same: nines galera recover " + each, out);
  }
  record_.step = RecoveryStep::kRefused;
  finish(false, out);
}

// Claims are given back before the record goes, those of the dead runs that this one goes on with
// as well: without a record nobody could ever take them over. The operator's words end here.
void Recovery::finish(bool is_good, Effects& out) {
  is_ending_ = true;
  is_good_ = is_good;
  deadline_.reset();
  if (record_.begun_by.empty()) {
    record_.without.clear();
    record_.trust.clear();
    record_.has_reform_failed = false;
  }
  out.emplace_back(effect::Keep{record_});
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].claims > 0 || !record_.earlier_runs.empty()) {
      act(i, MemberAction::kRelease, {}, out);
    }
  }
  if (acting_ == 0) close(out);
}

// What may be under way, or claimed, stays written down; nothing else does.
void Recovery::close(Effects& out) {
  if (record_.begun_by.empty() && !is_claim_left_) out.emplace_back(effect::Forget{});
  out.emplace_back(effect::Finish{is_good_});
}

std::size_t Recovery::index_of(const std::string& name) const {
  const auto found = std::find(options_.members.begin(), options_.members.end(), name);
  CHECK(found != options_.members.end());
  return static_cast<std::size_t>(found - options_.members.begin());
}

bool Recovery::is_running(std::size_t i) const {
  const auto& evidence = question_.members[i].evidence;
  return evidence && evidence->server != Evidence::Server::kDown;
}

// -- names and texts ----------------------------------------------------------------------------

std::string_view name_of(RecoveryStep step) {
  switch (step) {
    case RecoveryStep::kLooking:
      return "looking";
    case RecoveryStep::kClaiming:
      return "claiming";
    case RecoveryStep::kConfirming:
      return "confirming";
    case RecoveryStep::kReforming:
      return "reforming";
    case RecoveryStep::kStandingDown:
      return "standing-down";
    case RecoveryStep::kBootstrapping:
      return "bootstrapping";
    case RecoveryStep::kPromoting:
      return "promoting";
    case RecoveryStep::kRejoining:
      return "rejoining";
    case RecoveryStep::kDone:
      return "done";
    case RecoveryStep::kRefused:
      return "refused";
  }
  return "";
}

std::string_view name_of(MemberAction action) {
  switch (action) {
    case MemberAction::kClaim:
      return "claim";
    case MemberAction::kRelease:
      return "release";
    case MemberAction::kStart:
      return "start";
    case MemberAction::kJoin:
      return "join";
    case MemberAction::kStop:
      return "stop";
    case MemberAction::kLeave:
      return "leave";
    case MemberAction::kBootstrap:
      return "bootstrap";
    case MemberAction::kPromote:
      return "promote";
  }
  return "";
}

std::string render_record(const RecoveryRecord& record) {
  std::string out = "nines galera recovery 1\nrun: " + record.run +
                    "\nstep: " + std::string(name_of(record.step)) + '\n';
  const auto& runs = record.earlier_runs;
  const std::size_t dropped = runs.size() - std::min(runs.size(), kEarlierRunsMax);
  for (std::size_t i = dropped; i < runs.size(); ++i) out += "earlier-run: " + runs[i] + '\n';
  if (!record.begun_by.empty()) out += "begun-by: " + record.begun_by + '\n';
  if (record.has_reform_failed) out += "reform-failed: yes\n";
  if (record.is_automatic) out += "automatic: yes\n";
  if (record.has_acted) out += "acted: yes\n";
  for (const std::string& name : record.without) out += "without: " + name + '\n';
  for (const std::string& name : record.trust) out += "trust: " + name + '\n';
  return out + "end\n";
}

Result<RecoveryRecord> parse_record(std::string_view text) {
  RecoveryRecord record;
  const auto bad = [](std::string_view what) {
    return Error(ErrorCode::kInvalid, "a recovery's record: " + std::string(what));
  };
  if (text.size() > kStateFileMax) return bad("too large");
  bool begun = false;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == text.npos ? std::string_view() : text.substr(end + 1);
    if (!begun) {
      if (line != "nines galera recovery 1") return bad("not of this version of nines");
      begun = true;
      continue;
    }
    if (line == "end") {
      if (record.run.empty()) return bad("there is no run in it");
      return record;
    }
    const auto colon = line.find(": ");
    if (colon == line.npos || colon + 2 == line.size()) return bad("no 'key: value'");
    const std::string_view key = line.substr(0, colon);
    const std::string value(line.substr(colon + 2));
    if (key == "run") {
      record.run = value;
    } else if (key == "earlier-run") {
      record.earlier_runs.push_back(value);
    } else if (key == "begun-by") {
      record.begun_by = value;
    } else if (key == "reform-failed") {
      record.has_reform_failed = true;
    } else if (key == "automatic") {
      record.is_automatic = true;
    } else if (key == "acted") {
      record.has_acted = true;
    } else if (key == "without") {
      record.without.push_back(value);
    } else if (key == "trust") {
      record.trust.push_back(value);
    } else if (key == "step") {
      bool is_known = false;
      for (int i = 0; i <= static_cast<int>(RecoveryStep::kRefused); ++i) {
        const auto step = static_cast<RecoveryStep>(i);
        if (name_of(step) == value) record.step = step, is_known = true;
      }
      if (!is_known) return bad("an unknown step");
    } else {
      return bad("an unknown key");
    }
  }
  return bad("it ends too early");
}

}  // namespace nines::galera

// The rules of the servers are Galera's, as far as a recovery meets them; the checks are made after
// every event.
#include "galera/recovery_world.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

namespace nines::galera {

namespace {

constexpr Duration kLimit = std::chrono::hours(8);           // of one recovery
constexpr Duration kAutomaticLimit = std::chrono::hours(3);  // until nobody may wait for it
constexpr Duration kServerPatience = std::chrono::seconds(30);

Uuid history() { return "aaaaaaaa-c6b1-11f0-9b0e-9e2fd2c5a3f1"; }
Uuid uuid_in_view(std::size_t i) {
  return "0000000" + std::to_string(i) + "-0000-11f0-8a7f-0f1f6f0a3c01";
}

}  // namespace

const char* name_of(RecoveryPlant plant) {
  switch (plant) {
    case RecoveryPlant::kNone:
      return "none";
    case RecoveryPlant::kGrastateBelieved:
      return "grastate.dat is believed";
    case RecoveryPlant::kUnseenExcused:
      return "who is not seen counts as fenced";
    case RecoveryPlant::kClaimsIgnored:
      return "claims are ignored";
    case RecoveryPlant::kOldEvidence:
      return "evidence is old";
    case RecoveryPlant::kRecordForgotten:
      return "the record is forgotten";
    case RecoveryPlant::kTornUnseen:
      return "a cut-off state transfer is not told";
    case RecoveryPlant::kSyncedTooEarly:
      return "joining is told as synced";
    case RecoveryPlant::kProcessUnseen:
      return "a starting server is told as down";
    case RecoveryPlant::kEmptyExcused:
      return "an empty directory counts as a lost disk";
    case RecoveryPlant::kHistoryForgotten:
      return "a server that waited in vain forgets its history";
  }
  return "";
}

struct RecoveryWorld::Member {
  enum class Server : std::uint8_t { kDown, kStarting, kNonPrimary, kJoining, kPrimary };
  std::size_t number = 0;
  std::string name;
  bool is_reachable = true;
  bool is_off = false;       // powered off for good
  bool is_given_up = false;  // by a true word: what only it has does not count
  // The disk.
  std::int64_t seqno = 0;        // of whole files
  std::int64_t last_closed = 0;  // what a file from the last end in good order would say
  bool is_mounted = true;
  bool is_lost = false;  // the disk: nothing of it comes back
  bool is_torn = false, has_torn_mark = false;
  bool is_engine_broken = false;
  bool is_grastate_damaged = false;
  bool has_forgotten = false;  // grastate.dat says that it belongs to no history
  std::optional<std::int64_t> closed_at;
  bool is_safe = false;
  std::optional<int> view;
  // The server.
  Server server = Server::kDown;
  bool is_answering =
      false;                // of kJoining: it tells its state meanwhile, as while it is fed little
  bool is_waiting = false;  // of kStarting: for a primary component; it answers nobody until then
  int component = 0;
  int life = 0;  // counts starts, so that what was meant for an earlier one is not taken for it
  std::string claim;
  std::optional<std::size_t> acted_by;  // the runner that has it in its hands
  std::optional<Evidence> first_evidence;
};

struct RecoveryWorld::Runner {
  std::unique_ptr<Recovery> machine;  // null: dead, or over
  RecoveryOptions options;
  RecoveryRecord record;
  std::optional<RecoveryRecord> kept;
  int life = 0;  // as of a member
  int runs = 0;
  bool is_over = false, is_good = false, has_refused = false;
  std::vector<std::string> said;
  std::optional<AutoRecovery> automatic;  // of the manager on its host; none while that is dead
};

RecoveryWorld::RecoveryWorld(std::uint64_t seed, RecoveryPlant plant, bool is_tracing,
                             Conductor conductor)
    : rng_(seed), plant_(plant), is_tracing_(is_tracing), conductor_(conductor) {}
RecoveryWorld::~RecoveryWorld() = default;

std::string RecoveryWorld::run() {
  outage();
  was_plain_ = is_plain();
  recover();
  const Duration limit = is_automatic() ? kAutomaticLimit : kLimit;
  while (violation_.empty() && !queue_.empty()) {
    Event event = queue_.top();
    if (event.at - Instant{1'000'000'000'000} > limit) break;
    queue_.pop();
    now_ = event.at;
    event.run();
    try_reform();
    check();
    if (has_quiet_end()) break;
  }
  return violation_.empty() ? judge_end() : violation_;
}

std::string RecoveryWorld::judge_end() {
  for (const auto& runner : runners_) {
    if (!is_automatic() && !runner->is_over) return "a recovery did not end";
  }
  // Nothing that only a person can answer was in the way: then it must have come back by itself.
  if (!is_plain() || !is_quiet_) return "";
  if (is_automatic() && is_willed_) {
    ++tally_.by_will;
    for (const auto& member : members_) {
      if (member->life > 0) return "somebody stopped all servers, and " + member->name + " began";
    }
    return "";
  }
  ++tally_.unneeded;
  if (was_plain_ && tally_.words > 0) return "nothing was in the way, and it took a word";
  for (const auto& member : members_) {
    if (member->server == Member::Server::kPrimary) continue;
    return "nothing was in the way, and " + member->name + " is not back";
  }
  return "";
}

bool RecoveryWorld::is_plain() const {
  return std::all_of(members_.begin(), members_.end(), [](const auto& m) {
    return m->is_reachable && m->is_mounted && !m->is_lost && !m->is_engine_broken &&
           !m->is_grastate_damaged && !m->is_torn;
  });
}

// -- the outage ---------------------------------------------------------------------------------

// A cluster that worked, ended member by member; then what disks and hosts suffer besides.
void RecoveryWorld::outage() {
  const std::size_t count = 2 + rng_.below(4);
  acked_ = static_cast<std::int64_t>(100 + rng_.below(1000));
  const bool is_at_once = rng_.chance(0.3), is_orderly = rng_.chance(0.15);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < count; ++i) {
    members_.push_back(std::make_unique<Member>());
    Member& member = *members_.back();
    member.number = i + 1;
    member.name = "node0" + std::to_string(i + 1);
    member.seqno = acked_;
    member.last_closed = acked_ - static_cast<std::int64_t>(rng_.below(100));
    member.view = view_;
    order.push_back(i);
  }
  for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng_.below(i)]);
  const std::size_t survivors = rng_.chance(0.2) && !is_orderly ? 1 : 0;
  std::size_t alive = count;
  for (const std::size_t i : order) {
    // Without a majority of the last component nothing is committed any more.
    if (!is_at_once || is_orderly) acked_ += static_cast<std::int64_t>(rng_.below(4));
    for (std::size_t k = 0; k < count; ++k) {
      const auto place = std::find(order.begin(), order.end(), k);
      if (static_cast<std::size_t>(place - order.begin()) >= count - alive) {
        members_[k]->seqno = acked_;
      }
    }
    Member& member = *members_[i];
    if (alive <= survivors) {
      member.server = Member::Server::kNonPrimary;
      continue;
    }
    if (is_orderly) {
      member.closed_at = member.seqno;
      member.is_safe = alive == 1;
      member.view.reset();
    } else if (!is_at_once) {
      ++view_;
      for (std::size_t k = 0; k < count; ++k) {
        const auto place = std::find(order.begin(), order.end(), k);
        if (static_cast<std::size_t>(place - order.begin()) > count - alive) {
          members_[k]->view = view_;
        }
      }
    }
    --alive;
  }
  if (is_at_once && !is_orderly) {
    // What is committed on one was received by the others, and not by all of them written.
    Member& ahead = any();
    if (rng_.chance(0.5)) ahead.seqno += static_cast<std::int64_t>(1 + rng_.below(2));
    acked_ = ahead.seqno;
  }
  for (const auto& member : members_) {
    if (member->server != Member::Server::kDown) continue;
    if (rng_.chance(0.08)) member->is_reachable = false;
    if (rng_.chance(0.06)) member->is_mounted = false;
    if (rng_.chance(0.06)) {
      member->is_lost = true;
      member->is_mounted = false;
    }
    if (rng_.chance(0.06)) member->is_grastate_damaged = true;
    if (rng_.chance(0.08)) member->view.reset();
    if (rng_.chance(0.04)) member->is_engine_broken = true;
    if (rng_.chance(0.08) && member->seqno < acked_) {
      // It was being fed: its files are a mixture that claims the donor's number.
      member->is_torn = member->has_torn_mark = true;
      member->seqno = acked_ + 1;
    }
  }
  is_willed_ = is_orderly && std::all_of(members_.begin(), members_.end(), [](const auto& m) {
                 return m->is_mounted && !m->is_grastate_damaged;
               });
}

void RecoveryWorld::recover() {
  meddling_left_ = rng_.chance(0.3) ? static_cast<int>(1 + rng_.below(4)) : 0;
  crashes_left_ = rng_.chance(0.4) ? static_cast<int>(1 + rng_.below(4)) : 0;
  const std::size_t runners = rng_.chance(0.15) ? 2 : 1;
  is_meddled_ = meddling_left_ > 0;
  is_reform_in_vain_ = rng_.chance(0.4);
  if (rng_.chance(0.15)) start_at_boot();
  is_quiet_ = !is_meddled_ && runners == 1;
  if (is_automatic()) return begin_watching();
  for (std::size_t i = 0; i < runners; ++i) {
    runners_.push_back(std::make_unique<Runner>());
    Runner& runner = *runners_.back();
    for (const auto& member : members_) runner.options.members.push_back(member->name);
    schedule(between(0s, 20s), [this, i] { start_runner(i); });
  }
  if (meddling_left_ > 0) schedule(between(0s, 60s), [this] { meddle(); });
  schedule(between(1s, 10s), [this] { commit(); });
}

// Hosts that come up start their servers, as units that are enabled do.
void RecoveryWorld::start_at_boot() {
  if (is_willed_) return;  // as units that somebody stopped and disabled
  ++tally_.booted;
  for (const auto& each : members_) {
    Member& member = *each;
    if (member.server != Member::Server::kDown) continue;
    schedule(between(0s, 40s), [this, &member] {
      if (member.server != Member::Server::kDown || member.is_off) return;
      note(member.name + "'s host starts its server");
      start_server(member, false);
    });
  }
}

// Each host's manager looks; nobody else does anything.
void RecoveryWorld::begin_watching() {
  is_quiet_ = !is_meddled_;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    runners_.push_back(std::make_unique<Runner>());
    Runner& runner = *runners_.back();
    for (const auto& member : members_) runner.options.members.push_back(member->name);
    // Hosts come up in any order.
    schedule(between(0s, 90s), [this, i] {
      runners_[i]->automatic.emplace(i);
      look_around(i);
    });
  }
  if (meddling_left_ > 0) schedule(between(0s, 180s), [this] { meddle(); });
  schedule(between(1s, 10s), [this] { commit(); });
}

void RecoveryWorld::look_around(std::size_t which) {
  Runner& runner = *runners_[which];
  if (!runner.automatic) return;  // dead; another one will look
  const OutageView view = view_from(which);
  if (runner.automatic->look(view, now_)) {
    ++(view.is_interrupted ? tally_.resumed : tally_.begun);
    start_runner(which);
  }
  schedule(between(2s, 6s), [this, which] { look_around(which); });
}

OutageView RecoveryWorld::view_from(std::size_t which) const {
  using Server = Member::Server;
  OutageView view;
  view.is_outage = true;
  for (const auto& member : members_) {
    const bool may_be = member->server == Server::kPrimary || member->server == Server::kJoining;
    if (can_ask(which, *member) && may_be) view.is_outage = false;
  }
  const Runner& runner = *runners_[which];
  view.is_interrupted = runner.kept && runner.kept->is_automatic && !runner.machine;
  view.claimed_by = members_[which]->claim;
  return view;
}

// A host is its own whatever the network is like.
bool RecoveryWorld::can_ask(std::size_t which, const Member& member) const {
  if (!is_automatic()) return member.is_reachable && !member.is_off;
  if (which == member.number - 1) return true;
  return members_[which]->is_reachable && member.is_reachable;
}

bool RecoveryWorld::has_quiet_end() {
  if (is_automatic()) {
    return meddling_left_ == 0 &&
           std::all_of(members_.begin(), members_.end(),
                       [](const auto& m) { return m->server == Member::Server::kPrimary; }) &&
           std::all_of(runners_.begin(), runners_.end(),
                       [](const auto& runner) { return !runner->machine; });
  }
  return meddling_left_ == 0 && std::all_of(runners_.begin(), runners_.end(),
                                            [](const auto& runner) { return runner->is_over; });
}

// -- nines --------------------------------------------------------------------------------------

void RecoveryWorld::start_runner(std::size_t which) {
  Runner& runner = *runners_[which];
  const std::vector<std::string> without = runner.record.without, trust = runner.record.trust;
  if (plant_ == RecoveryPlant::kRecordForgotten) runner.kept.reset();
  RecoveryRecord record = runner.kept.value_or(RecoveryRecord{});
  if (!record.run.empty()) record.earlier_runs.push_back(record.run);
  record.run = "run" + std::to_string(which) + "-" + std::to_string(++runner.runs);
  record.without = without;
  record.trust = trust;
  record.is_automatic = is_automatic();
  runner.record = record;
  runner.said.clear();
  if (plant_ == RecoveryPlant::kUnseenExcused || plant_ == RecoveryPlant::kEmptyExcused) {
    for (const auto& member : members_) {
      const bool is_excused =
          plant_ == RecoveryPlant::kUnseenExcused ? !member->is_reachable : !member->is_mounted;
      if (is_excused) record.without.push_back(member->name);
    }
  }
  runner.machine = std::make_unique<Recovery>(runner.options, record);
  ++runner.life;
  note("nines starts as " + record.run);
  feed(which, recovery_event::Start{});
}

void RecoveryWorld::feed(std::size_t which, const RecoveryEvent& event) {
  Runner& runner = *runners_[which];
  if (!runner.machine) return;
  RecoveryEffects effects;
  runner.machine->handle(event, now_, effects);
  if (const auto deadline = runner.machine->deadline()) {
    const Duration delay = *deadline > now_ ? *deadline - now_ : Duration{};
    schedule(delay, [this, which, life = runner.life] {
      if (runners_[which]->life == life) feed(which, recovery_event::TimerFired{});
    });
  }
  perform(which, std::move(effects));
}

void RecoveryWorld::perform(std::size_t which, RecoveryEffects effects) {
  Runner& runner = *runners_[which];
  const int life = runner.life;
  for (const RecoveryEffect& each : effects) {
    if (crashes_left_ > 0 && rng_.chance(0.05)) return crash(which);
    if (const auto* const keep = std::get_if<recovery_effect::Keep>(&each)) {
      runner.kept = keep->record;
    } else if (std::holds_alternative<recovery_effect::Forget>(each)) {
      runner.kept.reset();
    } else if (std::holds_alternative<recovery_effect::Look>(each)) {
      perform_look(which);
    } else if (const auto* const act = std::get_if<recovery_effect::Act>(&each)) {
      perform_act(which, *act);
    } else if (const auto* const say = std::get_if<recovery_effect::Say>(&each)) {
      note(runner.record.run + ": " + say->line);
      runner.said.push_back(say->line);
    } else if (const auto* const end = std::get_if<recovery_effect::Finish>(&each)) {
      finished(which, end->is_good);
    }
    if (runner.life != life) return;
  }
}

void RecoveryWorld::perform_look(std::size_t which) {
  const int life = runners_[which]->life;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    schedule(between(10ms, 2s), [this, which, life, i] {
      if (runners_[which]->life != life) return;
      Member& member = *members_[i];
      recovery_event::Told told;
      told.member = i;
      if (can_ask(which, member)) {
        told.evidence = evidence_of(member);
      } else {
        told.missing = "no route to host";
      }
      feed(which, told);
    });
  }
}

void RecoveryWorld::perform_act(std::size_t which, const recovery_effect::Act& act) {
  Runner& runner = *runners_[which];
  const std::string run = runner.record.run;
  const std::vector<std::string> earlier = runner.record.earlier_runs;
  // An order may be late, and may arrive although whoever gave it is dead.
  const bool is_answer_lost = rng_.chance(0.03);
  if (is_answer_lost && ++answers_lost_ > 1) is_quiet_ = false;
  schedule(between(10ms, rng_.chance(0.05) ? Duration(60s) : Duration(2s)),
           [this, which, life = runner.life, act, run, earlier, is_answer_lost] {
             Member& member = *members_[act.member];
             std::optional<std::string> refused = "no route to host";
             if (can_ask(which, member)) {
               refused = do_act(member, act.action, act.expected, run, earlier);
               const bool is_step =
                   act.action != MemberAction::kClaim && act.action != MemberAction::kRelease;
               if (!refused && is_step) check_hands(member, which);
               if (act.action == MemberAction::kRelease && member.acted_by == which) {
                 member.acted_by.reset();
               }
             }
             note(run + " " + std::string(name_of(act.action)) + " " + member.name + ": " +
                  refused.value_or("done"));
             if (runners_[which]->life != life) return;
             recovery_event::Acted acted{act.member, act.action, !refused && !is_answer_lost,
                                         refused.value_or(is_answer_lost ? "no answer" : "")};
             feed(which, acted);
           });
}

// Two recoveries never act on one member, but one after the other.
void RecoveryWorld::check_hands(Member& member, std::size_t which) {
  if (member.acted_by && *member.acted_by != which && runners_[*member.acted_by]->machine) {
    violate("two recoveries act on " + member.name + " at once");
  }
  member.acted_by = which;
}

// Why not, if not: what the member itself refuses.
std::optional<std::string> RecoveryWorld::do_act(Member& member, MemberAction action,
                                                 const Position& expected, const std::string& run,
                                                 const std::vector<std::string>& earlier) {
  const bool is_free = member.claim.empty() || member.claim == run ||
                       std::find(earlier.begin(), earlier.end(), member.claim) != earlier.end();
  const bool is_ignoring = plant_ == RecoveryPlant::kClaimsIgnored;
  if (action == MemberAction::kClaim) {
    if (!is_free && !is_ignoring) return "claimed by " + member.claim;
    member.claim = run;
    return std::nullopt;
  }
  if (action == MemberAction::kRelease) {
    if (is_free) member.claim.clear();
    return std::nullopt;
  }
  if (member.claim != run && !is_ignoring) return "claimed by " + member.claim;
  const bool is_down = member.server == Member::Server::kDown;
  switch (action) {
    case MemberAction::kStart:
    case MemberAction::kJoin:
      if (!is_down) return "it runs";
      start_server(member, false);
      return std::nullopt;
    case MemberAction::kBootstrap:
      if (!is_down) return "it runs";
      if (evidence_of(member).recovered != expected && plant_ != RecoveryPlant::kOldEvidence) {
        return "it is elsewhere";
      }
      ++tally_.bootstraps;
      start_server(member, true);
      return std::nullopt;
    case MemberAction::kPromote:
      if (member.server != Member::Server::kNonPrimary) return "it is not without a majority";
      ++tally_.promotions;
      begin_component(member);
      return std::nullopt;
    case MemberAction::kStop:
      if (member.server == Member::Server::kPrimary ||
          (member.server == Member::Server::kJoining && member.is_answering)) {
        return "it is primary";
      }
      stop_for_recovery(member);
      return std::nullopt;
    default:
      return "unknown";
  }
}

void RecoveryWorld::crash(std::size_t which) {
  Runner& runner = *runners_[which];
  --crashes_left_;
  ++tally_.crashes;
  ++runner.life;
  runner.machine.reset();
  if (!is_automatic()) {
    note("nines dies");
    schedule(between(0s, 30s), [this, which] { start_runner(which); });
    return;
  }
  if (rng_.chance(0.5)) {
    note(runner.record.run + " dies");
    runner.automatic->ended(false, "", now_);
    return;
  }
  note("all of nines dies on " + members_[which]->name);
  runner.automatic.reset();
  schedule(between(0s, 60s), [this, which] {
    if (runners_[which]->automatic) return;
    runners_[which]->automatic.emplace(which);
    look_around(which);
  });
}

void RecoveryWorld::finished(std::size_t which, bool is_good) {
  Runner& runner = *runners_[which];
  ++runner.life;
  runner.machine.reset();
  runner.is_good = is_good;
  for (const auto& member : members_) {
    if (!is_good || !is_quiet_ || tally_.booted > 0) break;
    if (member->server == Member::Server::kPrimary) continue;
    violate("it was said that all are back, and " + member->name + " is not");
  }
  for (const auto& member : members_) {
    if (member->acted_by == which) member->acted_by.reset();
  }
  const bool has_refused =
      std::any_of(runner.said.begin(), runner.said.end(),
                  [](const auto& line) { return line.starts_with("REFUSED"); });
  if (is_automatic()) {
    ++(is_good ? tally_.rejoins : tally_.refusals);
    return runner.automatic->ended(is_good, "", now_);
  }
  if (!has_refused) {
    if (is_good) ++tally_.rejoins;
    runner.is_over = true;
    return;
  }
  ++tally_.refusals;
  answer_refusal(which);
}

// The operator looks, powers off what cannot be reached, and says only what is true.
void RecoveryWorld::answer_refusal(std::size_t which) {
  Runner& runner = *runners_[which];
  if (runner.runs > 12 || rng_.chance(0.2)) {
    runner.is_over = true;
    return;
  }
  bool has_spoken = false;
  for (const std::string& line : runner.said) {
    if (!line.starts_with("  go on")) continue;
    for (const auto& each : members_) {
      Member& member = *each;
      if (line.find(member.name) == line.npos) continue;
      if (line.find("--trust") != line.npos) {
        if (member.is_torn || !member.is_reachable) continue;
        runner.record.trust.push_back(member.name);
        has_spoken = true;
      } else if (!member.is_reachable && !member.is_off) {
        member.is_off = member.is_given_up = true;
        stop_server(member);
        runner.record.without.push_back(member.name);
        has_spoken = true;
      } else if (member.is_lost || member.is_torn || member.is_engine_broken) {
        if (member.server != Member::Server::kDown) continue;
        member.is_given_up = true;
        runner.record.without.push_back(member.name);
        has_spoken = true;
      } else if (!member.is_mounted) {
        member.is_mounted = true;  // and nothing needs to be given up
        has_spoken = true;
      }
    }
  }
  if (has_spoken) ++tally_.words;
  schedule(between(10s, 120s), [this, which] { start_runner(which); });
}

Evidence RecoveryWorld::evidence_of(Member& member) {
  if (plant_ == RecoveryPlant::kOldEvidence && member.first_evidence) {
    return *member.first_evidence;
  }
  Evidence evidence;
  evidence.member = member.name;
  using Server = Member::Server;
  const bool is_seen =
      member.server != Server::kStarting || plant_ != RecoveryPlant::kProcessUnseen;
  if (member.server == Server::kPrimary ||
      (member.server == Server::kJoining && plant_ == RecoveryPlant::kSyncedTooEarly)) {
    evidence.server = Evidence::Server::kPrimary;
    evidence.local_state = LocalState::kSynced;
  } else if (member.server == Server::kJoining && member.is_answering) {
    evidence.server = Evidence::Server::kPrimary;
    evidence.local_state = LocalState::kJoining;
  } else if (member.server == Server::kNonPrimary) {
    evidence.server = Evidence::Server::kNonPrimary;
  } else if (member.server != Server::kDown && is_seen) {
    evidence.server = Evidence::Server::kStarting;
    evidence.is_closed = true;
  }
  if (evidence.server == Evidence::Server::kPrimary ||
      evidence.server == Evidence::Server::kNonPrimary) {
    evidence.running = {history(), member.seqno};
    for (const auto& other : members_) {
      // Whoever takes the state is in the component already.
      if ((other->server == Server::kPrimary || other->server == Server::kJoining) &&
          other->component == member.component) {
        ++evidence.component_size;
      }
    }
    evidence.component_size = std::max(evidence.component_size, 1);
  }
  if (evidence.server == Evidence::Server::kDown) {
    if (!member.is_mounted) {
      evidence.data = Evidence::Data::kEmpty;
    } else if (member.is_engine_broken) {
      evidence.recovered_fault = "InnoDB is damaged";
    } else {
      evidence.recovered =
          Position{history(),
                   plant_ == RecoveryPlant::kGrastateBelieved ? member.last_closed : member.seqno};
    }
    evidence.is_torn = member.has_torn_mark && plant_ != RecoveryPlant::kTornUnseen;
  }
  if (member.is_mounted) {
    if (member.is_grastate_damaged) {
      evidence.grastate_fault = "zeros";
    } else {
      evidence.grastate =
          Grastate{{history(), member.closed_at.value_or(kSeqnoUndefined)}, member.is_safe};
      if (member.has_forgotten) evidence.grastate = Grastate{};
    }
    if (member.view) {
      Gvwstate view;
      view.self = uuid_in_view(member.number);
      view.view = std::to_string(*member.view);
      for (const auto& other : members_) view.members.push_back(uuid_in_view(other->number));
      evidence.gvwstate = view;
    }
  }
  member.first_evidence = evidence;
  return evidence;
}

// -- the servers --------------------------------------------------------------------------------

void RecoveryWorld::start_server(Member& member, bool is_new_cluster) {
  member.server = Member::Server::kStarting;
  member.is_waiting = false;
  const int life = ++member.life;
  schedule(between(300ms, 4s), [this, &member, life, is_new_cluster] {
    if (member.life != life || member.server != Member::Server::kStarting) return;
    if (member.is_engine_broken || (!member.is_mounted && is_new_cluster)) {
      stop_server(member);
    } else if (is_new_cluster) {
      begin_component(member);
    } else {
      server_decides(member);
    }
  });
}

// A new component, whatever else there is: the one step that can go wrong for good.
void RecoveryWorld::begin_component(Member& member) {
  if (member.is_torn) return violate(member.name + " begins the cluster with half-copied files");
  for (const auto& other : members_) {
    if (other->is_given_up || other->is_lost || other->is_torn || other->is_engine_broken) continue;
    if (other->seqno > member.seqno) {
      return violate(member.name + " begins the cluster at " + std::to_string(member.seqno) +
                     ", and " + other->name + " has acknowledged commits up to " +
                     std::to_string(other->seqno));
    }
  }
  become_primary(member, ++last_component_);
  // Whoever waits has found it.
  for (const auto& other : members_) {
    if (other->server == Member::Server::kNonPrimary ||
        (other->server == Member::Server::kStarting && other->is_waiting)) {
      join(*other);
    }
  }
  note(member.name + " is a primary component at " + std::to_string(member.seqno));
}

void RecoveryWorld::become_primary(Member& member, int component) {
  member.server = Member::Server::kPrimary;
  member.component = component;
  member.view = ++view_;
  member.closed_at.reset();
  member.is_safe = member.has_forgotten = false;
}

void RecoveryWorld::server_decides(Member& member) {
  for (const auto& other : members_) {
    if (other->server == Member::Server::kPrimary) return join(member);
  }
  member.is_waiting = true;
  // One that knows its last view waits for its members for ever.
  if (member.view) return;
  schedule(kServerPatience, [this, &member, life = member.life] {
    if (member.life == life && member.server == Member::Server::kStarting) stop_server(member);
  });
}

// pc.recovery: all members of the last view are there again, and one of them has the most.
void RecoveryWorld::try_reform() {
  std::map<int, std::vector<Member*>> waiting;
  for (const auto& member : members_) {
    if (member->server == Member::Server::kPrimary || member->server == Member::Server::kJoining) {
      return;
    }
    const bool waits = member->server == Member::Server::kNonPrimary ||
                       (member->server == Member::Server::kStarting && member->is_waiting);
    if (waits && member->view) {
      waiting[*member->view].push_back(member.get());
    }
  }
  for (auto& [view, group] : waiting) {
    if (group.size() != members_.size()) continue;
    if (std::any_of(group.begin(), group.end(),
                    [](const Member* m) { return m->is_torn || !m->is_mounted; })) {
      continue;
    }
    if (is_reform_in_vain_) {
      tally_.in_vain = 1;
      continue;
    }
    ++tally_.reforms;
    std::int64_t most = 0;
    for (const Member* each : group) most = std::max(most, each->seqno);
    ++last_component_;
    for (Member* const each : group) {
      each->seqno = most;
      become_primary(*each, last_component_);
    }
    note("the component reforms by itself");
    return;
  }
}

void RecoveryWorld::join(Member& member) {
  Member* donor = nullptr;
  for (const auto& other : members_) {
    if (other->server == Member::Server::kPrimary) donor = other.get();
    if (other->server == Member::Server::kJoining && !is_meddled_ && tally_.booted == 0) {
      return violate(member.name + " and " + other->name + " are fed at once");
    }
  }
  if (!member.is_torn && member.is_mounted && !member.is_engine_broken && !member.is_given_up &&
      member.seqno > donor->seqno && is_quiet_) {
    return violate(member.name + " joins, and had what the component has not");
  }
  member.server = Member::Server::kJoining;
  member.is_answering = rng_.chance(0.5);
  member.component = donor->component;
  member.is_torn = member.has_torn_mark = true;
  schedule(between(500ms, 20s), [this, &member, life = member.life] {
    if (member.life != life || member.server != Member::Server::kJoining) return;
    for (const auto& other : members_) {
      if (other->server != Member::Server::kPrimary) continue;
      member.seqno = other->seqno;
      member.is_torn = member.has_torn_mark = member.is_grastate_damaged = false;
      member.is_lost = false;
      member.is_mounted = true;
      become_primary(member, other->component);
      note(member.name + " is synced");
      return;
    }
    stop_server(member);
  });
}

// Told to end; one that was in no primary component since its start writes that it belongs to no
// history, or does not hear and is killed.
void RecoveryWorld::end_in_order(Member& member) {
  const bool was_in_none = member.server == Member::Server::kStarting && member.is_waiting;
  if (was_in_none && rng_.chance(0.8)) member.has_forgotten = true;
  stop_server(member);
}

// As the step of a member does it: what a server forgets is written back.
void RecoveryWorld::stop_for_recovery(Member& member) {
  const bool had_forgotten = member.has_forgotten;
  end_in_order(member);
  if (plant_ != RecoveryPlant::kHistoryForgotten) member.has_forgotten = had_forgotten;
}

void RecoveryWorld::stop_server(Member& member) {
  member.server = Member::Server::kDown;
  member.is_waiting = false;
  ++member.life;
}

// -- the surroundings -----------------------------------------------------------------------------

void RecoveryWorld::check() {
  int component = 0;
  for (const auto& member : members_) {
    if (member->server != Member::Server::kPrimary) continue;
    if (component != 0 && component != member->component) {
      violate("two primary components");
    }
    component = member->component;
  }
}

// Somebody starts a server by hand or by a timer of systemd; a server or a host's network dies.
void RecoveryWorld::meddle() {
  --meddling_left_;
  ++tally_.meddlings;
  Member& member = any();
  const std::uint64_t what = rng_.below(4);
  if (member.is_off) {
    // It stays off.
  } else if (what == 0 && member.server == Member::Server::kDown) {
    note("somebody starts " + member.name);
    start_server(member, false);
  } else if (what == 1 && member.server != Member::Server::kDown) {
    const bool is_orderly = rng_.chance(0.3);
    note(is_orderly ? "somebody stops " + member.name : member.name + "'s server dies");
    is_orderly ? end_in_order(member) : stop_server(member);
  } else if (what == 2) {
    note(member.name + " cannot be reached");
    member.is_reachable = false;
  } else if (!member.is_reachable) {
    note(member.name + " can be reached again");
    member.is_reachable = true;
  }
  if (meddling_left_ > 0) schedule(between(0s, 40s), [this] { meddle(); });
}

void RecoveryWorld::commit() {
  bool is_alive = false;
  for (const auto& member : members_) {
    if (member->server != Member::Server::kPrimary) continue;
    is_alive = true;
    ++member->seqno;
  }
  if (is_alive) {
    for (const auto& member : members_) {
      if (member->server == Member::Server::kPrimary) acked_ = std::max(acked_, member->seqno);
    }
  }
  schedule(between(1s, 10s), [this] { commit(); });
}

void RecoveryWorld::schedule(Duration delay, std::function<void()> run) {
  queue_.push({now_ + delay, ++order_, std::move(run)});
}

Duration RecoveryWorld::between(Duration least, Duration most) {
  return least + Duration(static_cast<std::int64_t>(
                     rng_.below(static_cast<std::uint64_t>((most - least).count()) + 1)));
}

RecoveryWorld::Member& RecoveryWorld::any() { return *members_[rng_.below(members_.size())]; }

void RecoveryWorld::violate(std::string what) {
  note("VIOLATED: " + what);
  if (violation_.empty()) violation_ = std::move(what);
}

void RecoveryWorld::note(std::string what) {
  if (!is_tracing_) return;
  const auto at = milliseconds_of(now_ - Instant{1'000'000'000'000});
  trace_.push_back(std::to_string(at) + " ms " + std::move(what));
}

}  // namespace nines::galera

// The questions in the order of the harm that a wrong answer does: does a primary component live,
// may one be alive unseen, whose data is the newest, may somebody unseen have newer.
#include "galera/recovery_plan.h"

#include <algorithm>

#include "base/stable_sort.h"

namespace nines::galera {

namespace {

using Server = Evidence::Server;

// What Galera writes for a member whose data it found to differ from the others', and for a server
// that ends before it was in a primary component: the storage engine may be ahead of everybody.
constexpr std::string_view kNoHistory = "grastate.dat: it belongs to no history";

std::string join(const std::vector<std::string>& names, std::string_view between) {
  std::string out;
  for (const std::string& name : names) out.append(out.empty() ? "" : between).append(name);
  return out;
}

std::string without(const std::vector<std::string>& names) {
  return "--without " + join(names, " --without ");
}

class Planner {
 public:
  explicit Planner(const PlanQuestion& question) : question_(question) {
    for (const MemberFacts& facts : question.members) plan_.members.push_back(assess(facts));
  }

  Plan answer() {
    decide();
    return std::move(plan_);
  }

 private:
  std::size_t size() const { return plan_.members.size(); }
  const MemberFacts& facts(std::size_t i) const { return question_.members[i]; }
  MemberPlan& member(std::size_t i) { return plan_.members[i]; }
  const std::string& name(std::size_t i) const { return question_.members[i].name; }
  bool runs(std::size_t i) const {
    return facts(i).evidence && facts(i).evidence->server != Server::kDown;
  }
  bool runs_as(std::size_t i, Server server) const {
    return facts(i).evidence && facts(i).evidence->server == server;
  }

  // -- one member ---------------------------------------------------------------------------------

  static MemberPlan assess(const MemberFacts& facts) {
    MemberPlan plan;
    plan.name = facts.name;
    if (!facts.evidence) {
      plan.why = facts.missing;
      return plan;
    }
    const Evidence& evidence = *facts.evidence;
    if (evidence.server != Server::kDown) {
      plan.standing = Standing::kRunning;
      plan.position = evidence.running;
      plan.why = evidence.server_said;
      // It may answer and have nothing whole to answer from.
      if (evidence.server == Server::kNonPrimary && evidence.is_torn && !facts.is_trusted) {
        plan.standing = Standing::kTorn;
        plan.why = "a state transfer to it did not end";
      }
    } else {
      assess_disk(evidence, facts.is_trusted, plan);
    }
    return plan;
  }

  static void assess_disk(const Evidence& evidence, bool is_trusted, MemberPlan& plan) {
    const auto& grastate = evidence.grastate;
    if (evidence.data == Evidence::Data::kEmpty) {
      plan.standing = Standing::kEmpty;
      plan.why = "no database there: a lost disk, or one that is not mounted";
      return;
    }
    if (evidence.is_torn && !is_trusted) {
      plan.standing = Standing::kTorn;
      plan.why = "a state transfer to it did not end";
      return;
    }
    // Nothing of a history on a whole disk: one that has never joined.
    const bool is_of_none = grastate && grastate->position.uuid == kUuidUndefined;
    if (is_of_none && evidence.recovered && !evidence.recovered->is_known() && !is_trusted) {
      plan.standing = Standing::kNew;
      plan.why = "it has never joined";
      return;
    }
    const bool has_closed = grastate && grastate->position.is_known();
    if (evidence.recovered && evidence.recovered->is_known()) {
      plan.position = *evidence.recovered;
    } else if (has_closed) {
      plan.position = grastate->position;
    } else {
      plan.standing = Standing::kUnknown;
      plan.why = !evidence.recovered_fault.empty() ? evidence.recovered_fault
                                                   : "its storage engine knows no position";
      return;
    }
    plan.standing = Standing::kSound;
    if (is_trusted) return;
    if (!grastate) {
      doubt(plan, evidence.grastate_fault);
    } else if (is_of_none) {
      doubt(plan, std::string(kNoHistory));
    } else if (grastate->position.uuid != plan.position.uuid) {
      doubt(plan, "grastate.dat names another history");
    } else if (has_closed && grastate->position.seqno != plan.position.seqno) {
      plan.position.seqno = std::max(plan.position.seqno, grastate->position.seqno);
      doubt(plan, "grastate.dat and the storage engine disagree");
    } else if (!evidence.doubt.empty()) {
      doubt(plan, evidence.doubt);
    }
  }

  static void doubt(MemberPlan& plan, std::string why) {
    plan.standing = Standing::kDoubtful;
    plan.why = std::move(why);
  }

  // -- all of them --------------------------------------------------------------------------------

  void decide() {
    if (has_two_components()) return;
    if (find(Server::kPrimary)) return rejoin();
    if (is_begun_by_unseen() || is_excused_alive() || is_starting()) return;
    if (is_missing() || is_unknown() || is_of_two_histories()) return;
    const auto best = newest();
    if (!best || is_doubt_ahead(*best)) return;
    begin(*best);
  }

  std::optional<std::size_t> find(Server server) const {
    for (std::size_t i = 0; i < size(); ++i) {
      if (runs_as(i, server)) return i;
    }
    return std::nullopt;
  }

  // Members of one component know each other's number: more primaries than that are two components.
  bool has_two_components() {
    std::vector<std::size_t> primaries;
    for (std::size_t i = 0; i < size(); ++i) {
      if (runs_as(i, Server::kPrimary)) primaries.push_back(i);
    }
    for (const std::size_t i : primaries) {
      const bool is_of_one = member(i).position.uuid == member(primaries[0]).position.uuid;
      const int known = facts(i).evidence->component_size;
      if (is_of_one && known >= static_cast<int>(primaries.size())) continue;
      refuse("there are two primary components: " + names_of(primaries) +
             " are primary and not all in one. Stop the servers of one of them, save its data, and "
             "ask again");
      plan_.is_fleeting = true;
      return true;
    }
    return false;
  }

  std::string names_of(const std::vector<std::size_t>& indices) const {
    std::vector<std::string> names;
    for (const std::size_t i : indices) names.push_back(name(i));
    return join(names, ", ");
  }

  void rejoin() {
    // One that joins lags behind the component that it belongs to.
    Position at;
    for (std::size_t i = 0; i < size(); ++i) {
      if (!runs_as(i, Server::kPrimary)) continue;
      if (at.seqno < member(i).position.seqno || at.uuid == kUuidUndefined) at = member(i).position;
    }
    bool is_busy = false;
    for (std::size_t i = 0; i < size(); ++i) {
      MemberPlan& each = member(i);
      if (runs(i)) {
        each.part = Part::kStays;
        if (is_part_of(i)) continue;
        is_busy = true;
        if (runs_as(i, Server::kPrimary)) each.why = "takes what it lacks";
      } else if (each.standing == Standing::kMissing) {
        each.part = Part::kLeftAlone;
      } else {
        assign_join(i, at);
      }
    }
    order_joining();
    plan_.kind = plan_.joining.empty() && !is_busy ? PlanKind::kNothing : PlanKind::kRejoin;
    plan_.reason = plan_.kind == PlanKind::kNothing
                       ? "a primary component lives, and all that may join it are in it"
                       : "a primary component lives: nothing is bootstrapped, the others join it";
  }

  // In the primary component, and done with joining it; a donor is.
  bool is_part_of(std::size_t i) const {
    if (!runs_as(i, Server::kPrimary)) return false;
    const LocalState state = facts(i).evidence->local_state;
    return state == LocalState::kSynced || state == LocalState::kDonor;
  }

  // A state transfer replaces what a member has. That is right for what is behind, and for nothing
  // else.
  void assign_join(std::size_t i, const Position& at) {
    MemberPlan& each = member(i);
    const bool has_position =
        each.standing == Standing::kSound || each.standing == Standing::kDoubtful;
    if (facts(i).is_excused && each.standing != Standing::kEmpty) {
      each.part = Part::kLeftAlone;
      each.why = "gone on without: save its data, then start it by hand";
    } else if (each.standing == Standing::kUnknown) {
      each.part = Part::kLeftAlone;
      each.why += "; joining replaces its data: save it, then start it by hand";
    } else if (has_position && each.position.uuid != at.uuid) {
      each.part = Part::kLeftAlone;
      each.why = "another history: joining would replace it";
    } else if (has_position && each.position.seqno > at.seqno) {
      each.part = Part::kLeftAlone;
      each.why = "has commits that the primary component has not: joining would lose them";
    } else {
      each.part = Part::kJoins;
    }
  }

  // Those that need least first: while they are fed the others would only wait.
  void order_joining() {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < size(); ++i) {
      if (member(i).part == Part::kJoins) order.push_back(i);
    }
    const auto rank = [this](std::size_t i) {
      return member(i).standing == Standing::kSound      ? 0
             : member(i).standing == Standing::kDoubtful ? 1
                                                         : 2;
    };
    sort_stably(order, [&](std::size_t a, std::size_t b) {
      if (rank(a) != rank(b)) return rank(a) < rank(b);
      return rank(a) < 2 && member(a).position.seqno > member(b).position.seqno;
    });
    for (const std::size_t i : order) plan_.joining.push_back(name(i));
  }

  // Whoever was told to begin the cluster may have done so although nobody heard of it.
  bool is_begun_by_unseen() {
    for (std::size_t i = 0; i < size(); ++i) {
      if (name(i) != question_.begun_by || facts(i).evidence || facts(i).is_excused) continue;
      refuse(name(i) +
             " was told to begin the cluster and cannot be asked: it may be the primary "
             "component (" +
             facts(i).missing + ")");
      plan_.overrides.push_back(without({name(i)}) + "    when its power is off, and only then");
      return true;
    }
    return false;
  }

  bool is_excused_alive() {
    for (std::size_t i = 0; i < size(); ++i) {
      if (!facts(i).is_excused || !runs(i)) continue;
      refuse("nobody can go on without " + name(i) + " while its server runs: stop it first");
      return true;
    }
    return false;
  }

  bool is_starting() {
    const auto found = find(Server::kStarting);
    if (!found) return false;
    plan_.kind = PlanKind::kWait;
    plan_.reason = name(*found) + "'s server is starting: what becomes of it decides";
    if (question_.has_waited) end_waiting();
    return true;
  }

  // Servers that know their last view wait for its members for ever. While all can be asked and
  // none is primary nobody feeds them, and what they have cannot be read before they end.
  void end_waiting() {
    std::vector<std::size_t> waiting;
    for (std::size_t i = 0; i < size(); ++i) {
      if (!facts(i).evidence && !facts(i).is_excused) return;
      if (!runs_as(i, Server::kStarting)) continue;
      if (!facts(i).evidence->is_closed) {
        plan_.reason = name(i) + "'s server takes clients and does not say what it is (" +
                       facts(i).evidence->server_said + ')';
        return;
      }
      waiting.push_back(i);
    }
    plan_.kind = PlanKind::kStandDown;
    plan_.reason = names_of(waiting) + (waiting.size() == 1 ? " waits" : " wait") +
                   " for a primary component, and there is none: what waits stops, so that its "
                   "position can be read";
    for (const std::size_t i : waiting) member(i).part = Part::kStops;
  }

  // Galera lets whoever leaves last, in good order, know that it did: nobody has more. Somebody who
  // has shows that the mark was set by hand.
  bool has_last_leaver() const {
    std::int64_t left_at = kSeqnoUndefined, most = kSeqnoUndefined;
    for (std::size_t i = 0; i < size(); ++i) {
      const MemberPlan& each = plan_.members[i];
      if (!has_position(i)) continue;
      most = std::max(most, each.position.seqno);
      if (each.standing != Standing::kSound) continue;
      const auto& grastate = facts(i).evidence->grastate;
      if (grastate && grastate->safe_to_bootstrap && grastate->position.is_known()) {
        left_at = std::max(left_at, each.position.seqno);
      }
    }
    return left_at >= 0 && left_at == most;
  }

  bool is_missing() {
    std::vector<std::string> unseen, empty;
    for (std::size_t i = 0; i < size(); ++i) {
      if (facts(i).is_excused) continue;
      if (member(i).standing == Standing::kMissing) unseen.push_back(name(i));
      if (member(i).standing == Standing::kEmpty) empty.push_back(name(i));
    }
    if ((unseen.empty() && empty.empty()) || has_last_leaver()) return false;
    std::vector<std::string> all = unseen;
    all.insert(all.end(), empty.begin(), empty.end());
    std::string reason;
    if (!unseen.empty()) {
      reason = join(unseen, ", ") + " cannot be asked: " + (unseen.size() == 1 ? "it" : "each") +
               " may be ahead of the others, or alive";
    }
    if (!empty.empty()) {
      reason += (reason.empty() ? "" : "; ") + join(empty, ", ") +
                " has no database: a disk that is only not mounted may be ahead of the others";
    }
    refuse(std::move(reason));
    plan_.overrides.push_back(
        without(all) + "    when the " +
        (unseen.empty() ? "data is lost for good" : "power is off or the data is lost") +
        ": commits that are only there are given up");
    return true;
  }

  bool is_unknown() {
    for (std::size_t i = 0; i < size(); ++i) {
      if (member(i).standing != Standing::kUnknown || facts(i).is_excused) continue;
      refuse(name(i) + " has data and cannot say how far it came: it may be ahead of the others");
      plan_.overrides.push_back(without({name(i)}) +
                                "    when its data is beyond repair: commits that only it has are "
                                "given up");
      return true;
    }
    return false;
  }

  bool has_position(std::size_t i) const {
    const Standing standing = plan_.members[i].standing;
    return (standing == Standing::kSound || standing == Standing::kDoubtful ||
            standing == Standing::kRunning) &&
           !facts(i).is_excused;
  }

  bool is_of_two_histories() {
    std::vector<std::vector<std::string>> groups;
    std::vector<Uuid> histories;
    for (std::size_t i = 0; i < size(); ++i) {
      if (!has_position(i)) continue;
      const auto found = std::find(histories.begin(), histories.end(), member(i).position.uuid);
      const auto at = static_cast<std::size_t>(found - histories.begin());
      if (found == histories.end()) {
        histories.push_back(member(i).position.uuid);
        groups.emplace_back();
      }
      groups[at].push_back(name(i));
    }
    if (groups.size() < 2) return false;
    std::string reason = "members belong to different histories:";
    for (std::size_t g = 0; g < groups.size(); ++g) {
      reason += (g == 0 ? " " : "; ") + join(groups[g], ", ") + " to " + histories[g];
      std::vector<std::string> others;
      for (std::size_t h = 0; h < groups.size(); ++h) {
        if (h != g) others.insert(others.end(), groups[h].begin(), groups[h].end());
      }
      plan_.overrides.push_back(without(others) + "    to go on with " + join(groups[g], ", "));
    }
    refuse(std::move(reason));
    return true;
  }

  // The most advanced whose files are whole; of equals one that runs, then one that left last in
  // good order, then the first.
  std::optional<std::size_t> newest() {
    std::optional<std::size_t> best;
    const auto is_better = [this](std::size_t a, std::size_t b) {
      const MemberPlan &one = member(a), &other = member(b);
      if (one.position.seqno != other.position.seqno) {
        return one.position.seqno > other.position.seqno;
      }
      const auto rank = [this](std::size_t i) {
        if (member(i).standing == Standing::kRunning) return 2;
        const auto& grastate = facts(i).evidence->grastate;
        return grastate && grastate->safe_to_bootstrap ? 1 : 0;
      };
      return rank(a) > rank(b);
    };
    for (std::size_t i = 0; i < size(); ++i) {
      if (!has_position(i) || member(i).standing == Standing::kDoubtful) continue;
      if (!member(i).position.is_known()) continue;
      if (!best || is_better(i, *best)) best = i;
    }
    if (best) return best;
    for (std::size_t i = 0; i < size(); ++i) {
      if (!has_position(i) || member(i).standing != Standing::kDoubtful) continue;
      plan_.overrides.push_back("--trust " + name(i) + "    when " + trusted_when(i) +
                                ": it said '" + member(i).why + "'");
    }
    refuse("no member has data that is surely whole");
    return std::nullopt;
  }

  std::string trusted_when(std::size_t i) const {
    return plan_.members[i].why == kNoHistory ? "it was stopped while it only waited for the others"
                                              : "its files are whole";
  }

  bool is_doubt_ahead(std::size_t best) {
    for (std::size_t i = 0; i < size(); ++i) {
      if (!has_position(i) || member(i).standing != Standing::kDoubtful ||
          member(i).position.seqno <= member(best).position.seqno) {
        continue;
      }
      const auto ahead = member(i).position.seqno - member(best).position.seqno;
      refuse(name(i) + " says that it is ahead of " + name(best) + " by " + std::to_string(ahead) +
             (ahead == 1 ? " commit" : " commits") + ", and its files may not be whole (" +
             member(i).why + ")");
      plan_.overrides.push_back("--trust " + name(i) + "    when " + trusted_when(i) +
                                ": it begins");
      plan_.overrides.push_back(
          without({name(i)}) + "    when " +
          (member(i).why == kNoHistory ? "its server found its data to differ" : "they are not") +
          ": commits that only it has are given up");
      return true;
    }
    return false;
  }

  void begin(std::size_t best) {
    std::vector<std::size_t> running;
    for (std::size_t i = 0; i < size(); ++i) {
      if (runs(i)) running.push_back(i);
    }
    if (!running.empty() && member(best).standing != Standing::kRunning) {
      plan_.kind = PlanKind::kStandDown;
      plan_.reason = name(best) + " is down and ahead of " + names_of(running) +
                     ", which run without a majority: they stop before it begins";
      for (const std::size_t i : running) member(i).part = Part::kStops;
      return;
    }
    if (running.empty() && may_reform()) {
      plan_.kind = PlanKind::kReform;
      plan_.reason = "all members agree on the last view and on seqno " +
                     std::to_string(member(best).position.seqno) +
                     ": started together they reform the component by themselves";
      for (MemberPlan& each : plan_.members) each.part = Part::kStarts;
      return;
    }
    plan_.kind = running.empty() ? PlanKind::kBootstrap : PlanKind::kPromote;
    plan_.chosen = name(best);
    plan_.begin_at = member(best).position;
    for (std::size_t i = 0; i < size(); ++i) {
      if (i == best) {
        member(i).part = Part::kBegins;
      } else if (runs(i)) {
        member(i).part = Part::kStays;
      } else if (member(i).standing == Standing::kMissing) {
        member(i).part = Part::kLeftAlone;
      } else {
        assign_join(i, plan_.begin_at);
      }
    }
    order_joining();
    plan_.reason = name(best) + " is the most advanced, at seqno " +
                   std::to_string(plan_.begin_at.seqno) +
                   (running.empty() ? "" : ", and alive without a majority");
  }

  // Equal positions need no state transfer, and with one view all wait for the same members. Nobody
  // can tell whether an arbitrator of that view is still the one that they wait for.
  bool may_reform() const {
    if (question_.has_reform_failed) return false;
    const Evidence* first = nullptr;
    std::vector<Uuid> selves;
    for (std::size_t i = 0; i < size(); ++i) {
      const MemberPlan& each = plan_.members[i];
      if (each.standing != Standing::kSound || facts(i).is_excused) return false;
      const Evidence& evidence = *facts(i).evidence;
      if (!evidence.gvwstate) return false;
      if (first == nullptr) first = &evidence;
      if (each.position != plan_.members[0].position ||
          evidence.gvwstate->view != first->gvwstate->view ||
          evidence.gvwstate->members != first->gvwstate->members ||
          std::find(selves.begin(), selves.end(), evidence.gvwstate->self) != selves.end()) {
        return false;
      }
      selves.push_back(evidence.gvwstate->self);
    }
    return first != nullptr && first->gvwstate->members.size() <= size();
  }

  void refuse(std::string reason) {
    plan_.kind = PlanKind::kRefuse;
    plan_.reason = std::move(reason);
  }

  const PlanQuestion& question_;
  Plan plan_;
};

}  // namespace

Plan plan_recovery(const PlanQuestion& question) { return Planner(question).answer(); }

}  // namespace nines::galera

// The plan for people: what is known, who has which part, what happens step by step.
#include <algorithm>

#include "galera/recovery_plan.h"

namespace nines::galera {

namespace {

std::string server_text(const MemberFacts& facts) {
  return facts.evidence ? std::string(name_of(facts.evidence->server)) : "unknown";
}

std::string committed_text(const MemberPlan& plan) {
  return plan.position.is_known() ? std::to_string(plan.position.seqno) : "-";
}

std::string disk_text(const MemberPlan& plan) {
  switch (plan.standing) {
    case Standing::kMissing:
      return "not seen";
    case Standing::kRunning:
      return "in use";
    case Standing::kSound:
      return "sound";
    case Standing::kDoubtful:
      return "doubtful";
    case Standing::kUnknown:
      return "unreadable";
    case Standing::kTorn:
      return "half copied";
    case Standing::kNew:
      return "new";
    case Standing::kEmpty:
      return "empty";
  }
  return "";
}

std::string part_text(const MemberPlan& member, const Plan& plan) {
  switch (member.part) {
    case Part::kStays:
      return "stays";
    case Part::kStarts:
      return "starts, with all others";
    case Part::kBegins:
      return plan.kind == PlanKind::kPromote ? "becomes the primary" : "begins the cluster";
    case Part::kJoins: {
      const auto found = std::find(plan.joining.begin(), plan.joining.end(), member.name);
      return "joins, number " + std::to_string(found - plan.joining.begin() + 1);
    }
    case Part::kStops:
      return "stops first";
    case Part::kLeftAlone:
      return "is left alone";
    case Part::kNone:
      return "-";
  }
  return "";
}

void add_steps(const Plan& plan, std::vector<std::string>& steps) {
  switch (plan.kind) {
    case PlanKind::kNothing:
    case PlanKind::kRefuse:
      return;
    case PlanKind::kWait:
      steps.push_back("look again until no server is starting");
      return;
    case PlanKind::kReform:
      steps.push_back("start all members at once, and wait for the primary component");
      steps.push_back("if it does not come: stop them, look again, bootstrap the most advanced");
      return;
    case PlanKind::kStandDown:
      steps.push_back("stop those that run without a majority or wait for one, and look again");
      return;
    case PlanKind::kPromote:
      steps.push_back("tell " + plan.chosen + " that it is the primary (pc.bootstrap=YES)");
      break;
    case PlanKind::kBootstrap:
      steps.push_back("bootstrap " + plan.chosen + ", if it is down and still at " +
                      plan.begin_at.text());
      break;
    case PlanKind::kRejoin:
      break;
  }
  for (const std::string& name : plan.joining) {
    steps.push_back("start " + name + ", and wait until it is synced");
  }
  if (steps.empty()) steps.push_back("wait until those that run are in the component");
}

std::string headline(const Plan& plan) {
  switch (plan.kind) {
    case PlanKind::kNothing:
      return "nothing to do: ";
    case PlanKind::kRefuse:
      return "REFUSED: ";
    case PlanKind::kWait:
      return "wait: ";
    case PlanKind::kRejoin:
      return "rejoin: ";
    case PlanKind::kReform:
      return "reform: ";
    case PlanKind::kPromote:
      return "promote " + plan.chosen + ": ";
    case PlanKind::kStandDown:
      return "stop first: ";
    case PlanKind::kBootstrap:
      return "bootstrap " + plan.chosen + ": ";
  }
  return "";
}

}  // namespace

std::string render_plan(const PlanQuestion& question, const Plan& plan) {
  std::vector<std::vector<std::string>> rows = {
      {"member", "server", "committed", "data", "part", "why"}};
  for (std::size_t i = 0; i < plan.members.size(); ++i) {
    const MemberPlan& member = plan.members[i];
    rows.push_back({member.name, server_text(question.members[i]), committed_text(member),
                    disk_text(member), part_text(member, plan), member.why});
  }
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string blanks(widths[c] - row[c].size(), ' ');
      const bool is_number = c == 2;
      line += (c == 0 ? "  " : "  ") + (is_number ? blanks + row[c] : row[c] + blanks);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    out += line + '\n';
  }
  out += headline(plan) + plan.reason + '\n';
  std::vector<std::string> steps;
  add_steps(plan, steps);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    out += "  " + std::to_string(i + 1) + ". " + steps[i] + '\n';
  }
  for (const std::string& each : plan.overrides) {
    out += "  go on all the same: nines galera recover " + each + '\n';
  }
  return out;
}

}  // namespace nines::galera

// Evidence from every member's host to a plan, and the plan to a table.
#include "galera_recover_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>

#include "galera/evidence.h"
#include "galera/peers.h"
#include "galera/recovery_plan.h"
#include "galera_setup.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "io/linux/processes.h"
#include "node/run_config.h"

namespace nines {

namespace {

// The longest that a host may take to tell: its storage engine's crash recovery is in it.
constexpr Duration kEvidenceWithin = std::chrono::minutes(11);

using EvidenceByMember = std::map<std::string, Result<galera::Evidence>>;

Result<galera::Evidence> evidence_of(const std::string& member, const Result<std::string>& text) {
  if (!text) return text.error();
  auto evidence = galera::parse_evidence(*text);
  if (evidence && evidence->member != member) {
    return Error(ErrorCode::kInvalid, "its host says that it is " + evidence->member);
  }
  return evidence;
}

Result<void> read_evidence_files(const GaleraSetup& setup, const std::vector<std::string>& paths,
                                 EvidenceByMember& found) {
  io::LinuxFiles files;
  for (const std::string& path : paths) {
    auto evidence = galera::parse_evidence(TRY(files.read(path)));
    if (!evidence) return std::move(evidence).error().with_context(path);
    const std::string member = evidence->member;
    const auto& members = setup.config.members;
    const bool is_known = std::any_of(members.begin(), members.end(),
                                      [&](const auto& each) { return each.name == member; });
    if (!is_known) return Error(ErrorCode::kInvalid, path + ": no member is named " + member);
    if (!found.emplace(member, std::move(evidence)).second) {
      return Error(ErrorCode::kInvalid, path + ": more than one file speaks of " + member);
    }
  }
  return {};
}

// All hosts at once.
Result<void> ask_members(const GaleraSetup& setup, EvidenceByMember& found) {
  auto loop = TRY(io::EpollLoop::create());
  io::LinuxProcesses processes(*loop);
  galera::Peers peers(*loop, processes, peer_commands_of(setup));
  std::size_t awaited = 0;
  for (const node::GaleraMember& member : setup.config.members) {
    if (found.contains(member.name)) continue;
    ++awaited;
    std::vector<std::string> words = {"galera", "evidence"};
    if (member.name == setup.config.self || setup.path != node::kDefaultRunConfig) {
      words.insert(words.end(), {"-c", setup.path});
    }
    peers.run(member.name, std::move(words), kEvidenceWithin,
              [&, name = member.name](Result<std::string> text) {
                found.emplace(name, evidence_of(name, text));
                if (--awaited == 0) loop->stop();
              });
  }
  if (awaited > 0) loop->run();
  return {};
}

Result<void> check_names(const GaleraSetup& setup, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const auto& members = setup.config.members;
    if (std::any_of(members.begin(), members.end(),
                    [&](const auto& each) { return each.name == name; })) {
      continue;
    }
    return Error(ErrorCode::kInvalid, "no member is named " + name);
  }
  return {};
}

galera::PlanQuestion question_of(const GaleraSetup& setup, const GaleraRecoverOptions& options,
                                 const EvidenceByMember& found) {
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  galera::PlanQuestion question;
  question.arbitrators = static_cast<int>(setup.config.arbitrators.size());
  for (const node::GaleraMember& member : setup.config.members) {
    galera::MemberFacts facts;
    facts.name = member.name;
    const auto& evidence = found.at(member.name);
    if (evidence) {
      facts.evidence = *evidence;
    } else {
      facts.missing = evidence.error().message();
    }
    facts.is_excused = has(options.without, member.name);
    facts.is_trusted = has(options.trust, member.name);
    question.members.push_back(std::move(facts));
  }
  return question;
}

}  // namespace

CLI::App* add_galera_recover(CLI::App& app, GaleraRecoverOptions& options) {
  CLI::App* const verb = app.add_subcommand(
      "recover", "bring the cluster back after an outage, from what every member's host knows");
  verb->add_flag("--dry-run", options.is_dry_run, "show the plan, change nothing")->required();
  verb->add_option("--without", options.without,
                   "this member's power is off or its data is lost for good: go on without it");
  verb->add_option("--trust", options.trust,
                   "this member's files are whole although something says they may not be");
  verb->add_option("--evidence", options.evidence_files,
                   "a file that 'nines galera evidence' printed, instead of asking that host");
  verb->footer(
      "Exit codes: 0 there is a plan or nothing to do, 1 refused, 2 usage, 3 could not be asked.");
  return verb;
}

int galera_recover(const std::string& config_path, const GaleraRecoverOptions& options) {
  const auto setup = load_galera_setup(config_path);
  if (!setup) return galera_failed(setup.error());
  EvidenceByMember found;
  const auto gathered = [&]() -> Result<void> {
    TRY(check_names(*setup, options.without));
    TRY(check_names(*setup, options.trust));
    TRY(read_evidence_files(*setup, options.evidence_files, found));
    return ask_members(*setup, found);
  }();
  if (!gathered) return galera_failed(gathered.error());
  const galera::PlanQuestion question = question_of(*setup, options, found);
  const galera::Plan plan = galera::plan_recovery(question);
  std::fputs(galera::render_plan(question, plan).c_str(), stdout);
  return plan.kind == galera::PlanKind::kRefuse ? kGaleraUnwell : kGaleraGood;
}

}  // namespace nines

// Evidence from every member's host to a plan, and the plan to a table.
#include "galera_recover_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <map>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "galera/evidence.h"
#include "galera/member_step.h"
#include "galera/monitor.h"
#include "galera/peers.h"
#include "galera/recovery_driver.h"
#include "galera/recovery_plan.h"
#include "galera_setup.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "io/linux/processes.h"
#include "node/run_config.h"

namespace nines {

namespace {

using EvidenceByMember = std::map<std::string, Result<galera::Evidence>>;

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
    const auto added = configuration_words(setup, member.name);
    words.insert(words.end(), added.begin(), added.end());
    peers.run(member.name, std::move(words), galera::RecoveryDriver::kEvidenceWithin,
              [&, name = member.name](Result<std::string> text) {
                found.emplace(name, galera::evidence_in(name, text));
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
  verb->add_flag("--dry-run", options.is_dry_run, "show the plan, change nothing");
  verb->add_option("--without", options.without,
                   "this member's power is off or its data is lost for good: go on without it");
  verb->add_option("--trust", options.trust,
                   "this member's files are whole although something says they may not be");
  verb->add_flag("--automatic", options.is_automatic,
                 "as 'nines run' begins it by itself; with no other option");
  verb->add_option("--evidence", options.evidence_files,
                   "a file that 'nines galera evidence' printed, instead of asking that host");
  verb->footer(
      "What was interrupted is gone on with. Exit codes: 0 all members are in the primary "
      "component\n"
      "(--dry-run: there is a plan or nothing to do), 1 refused or not all are, 2 usage, 3 could "
      "not\n"
      "be asked.");
  return verb;
}

CLI::App* add_galera_member(CLI::App& app, GaleraMemberOptions& options) {
  CLI::App* const verb = app.add_subcommand(
      "member", "one step of a recovery, run by 'nines galera recover' on a member's host");
  verb->add_option("action", options.action,
                   "claim, release, start, join, stop, leave, bootstrap or promote")
      ->required();
  verb->add_option("--run", options.run, "the recovery that orders it")->required();
  verb->add_option("--earlier", options.earlier, "of --run: those that it goes on with");
  verb->add_option("--at", options.at, "UUID:SEQNO that the member has to be at");
  verb->footer("Exit codes: 0 done, 1 refused or failed, 2 usage, 3 could not be tried.");
  return verb;
}

int galera_member(const std::string& config_path, const GaleraMemberOptions& options) {
  galera::MemberOrder order;
  order.run = options.run;
  order.earlier_runs = options.earlier;
  bool is_known = false;
  using Action = galera::MemberAction;
  for (const Action action :
       {Action::kClaim, Action::kRelease, Action::kStart, Action::kJoin, Action::kStop,
        Action::kLeave, Action::kBootstrap, Action::kPromote}) {
    if (galera::name_of(action) == options.action) order.action = action, is_known = true;
  }
  const auto position = galera::parse_position(options.at);
  if (!is_known || (!options.at.empty() && !position)) {
    std::fprintf(stderr, "nines galera member: %s\n",
                 is_known ? "--at takes UUID:SEQNO" : "no such action; see --help");
    return kGaleraUsage;
  }
  if (position) order.expected = *position;
  const auto setup = load_galera_setup(config_path);
  if (!setup) return galera_failed(setup.error());
  const auto member = local_member_of(*setup);
  if (!member) return galera_failed(member.error());
  auto loop = io::EpollLoop::create();
  if (!loop) return galera_failed(loop.error());
  io::LinuxProcesses processes(**loop);
  galera::MemberStep step(**loop, processes, *member, server_way_of(*setup));
  const auto done = step.perform(order);
  if (done) return kGaleraGood;
  galera_failed(done.error());
  return kGaleraUnwell;
}

namespace {

// One at a time on a host: the record is one file.
Result<io::Descriptor> lock_recovery(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  const std::string path = folder + "/galera.recovery.lock";
  io::Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return Error::from_errno(errno, path);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error(ErrorCode::kExists, "a recovery runs on this host already");
  }
  return file;
}

std::string new_run(const GaleraSetup& setup) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return (setup.config.self.empty() ? "outside" : setup.config.self) + "-" +
         std::to_string(now.tv_sec) + "-" + std::to_string(::getpid());
}

// A new run goes on with what an interrupted one wrote down, its words included.
Result<galera::RecoveryRecord> record_of(const GaleraSetup& setup,
                                         const GaleraRecoverOptions& options) {
  galera::RecoveryRecord record;
  if (auto earlier = TRY(galera::read_record(setup.config.state))) {
    std::printf("going on with the recovery %s, which was %s\n", earlier->run.c_str(),
                std::string(galera::name_of(earlier->step)).c_str());
    record = std::move(*earlier);
    record.earlier_runs.push_back(record.run);
    if (options.is_automatic && !record.is_automatic) {
      return Error(ErrorCode::kRefused,
                   "the recovery " + record.run +
                       ", which somebody began by hand here, has not ended: 'nines galera "
                       "recover' goes on with it");
    }
  }
  record.is_automatic = options.is_automatic;
  record.run = new_run(setup);
  const auto add = [](const std::vector<std::string>& names, std::vector<std::string>& to) {
    for (const std::string& name : names) {
      if (std::find(to.begin(), to.end(), name) == to.end()) to.push_back(name);
    }
  };
  add(options.without, record.without);
  add(options.trust, record.trust);
  return record;
}

// A member that is gone on without is off, or has no data: no server answers where it was. One that
// does may be the primary component, on the other side of a cut between hosts.
Result<void> refuse_answering(const GaleraSetup& setup, const std::vector<std::string>& without) {
  auto loop = TRY(io::EpollLoop::create());
  std::vector<galera::MonitoredMember> members;
  for (const node::GaleraMember& member : setup.config.members) {
    if (std::find(without.begin(), without.end(), member.name) == without.end()) continue;
    members.push_back({member.name, {member.address, setup.user, setup.password}, "", ""});
  }
  if (members.empty()) return {};
  galera::Monitor monitor(*loop, members);
  monitor.look([](const auto&) {}, [&] { loop->stop(); });
  loop->run();
  for (const auto& member : monitor.members()) {
    if (!member->health.has_server()) continue;
    return Error(ErrorCode::kRefused, "nobody can go on without " + member->name +
                                          " while a server answers at its address (" +
                                          member->health.now()->reason + "): stop it first");
  }
  return {};
}

int execute(const GaleraSetup& setup, const GaleraRecoverOptions& options) {
  const auto lock = begin_galera_work(setup);
  if (!lock) return galera_failed(lock.error());
  auto record = record_of(setup, options);
  if (!record) return galera_failed(record.error());
  if (const auto free = refuse_answering(setup, record->without); !free) {
    std::printf("REFUSED: %s\n", free.error().message().c_str());
    return kGaleraUnwell;
  }
  galera::RecoveryDriverOptions work;
  for (const node::GaleraMember& member : setup.config.members) {
    work.recovery.members.push_back(member.name);
  }
  work.record = std::move(*record);
  return run_galera_work(setup, std::move(work));
}

}  // namespace

Result<io::Descriptor> begin_galera_work(const GaleraSetup& setup) {
  if (!setup.config.server.is_said()) {
    return Error(ErrorCode::kUnsupported, setup.path +
                                              ": 'server' of 'galera' does not say how servers are "
                                              "started: unit, process or command");
  }
  return lock_recovery(setup.config.state);
}

std::string new_galera_run(const GaleraSetup& setup) { return new_run(setup); }

int run_galera_work(const GaleraSetup& setup, galera::RecoveryDriverOptions work) {
  auto loop = io::EpollLoop::create();
  if (!loop) return galera_failed(loop.error());
  io::LinuxProcesses processes(**loop);
  galera::Peers peers(**loop, processes, peer_commands_of(setup));
  work.folder = setup.config.state;
  work.added = [&](const std::string& member) { return configuration_words(setup, member); };
  const Instant begun = (*loop)->now();
  work.say = [&](const std::string& line) {
    std::printf("%8.1f s  %s\n",
                static_cast<double>(milliseconds_of((*loop)->now() - begun)) / 1000, line.c_str());
    std::fflush(stdout);
  };
  int code = kGaleraUnwell;
  galera::RecoveryDriver driver(**loop, peers, std::move(work), [&](bool is_good) {
    code = is_good ? kGaleraGood : kGaleraUnwell;
    (*loop)->stop();
  });
  driver.begin();
  (*loop)->run();
  return code;
}

int galera_recover(const std::string& config_path, const GaleraRecoverOptions& options) {
  const auto setup = load_galera_setup(config_path);
  if (!setup) return galera_failed(setup.error());
  if (options.is_automatic && (options.is_dry_run || !options.without.empty() ||
                               !options.trust.empty() || !options.evidence_files.empty())) {
    std::fputs("nines galera recover: --automatic goes with no word of an operator\n", stderr);
    return kGaleraUsage;
  }
  if (!options.is_dry_run) {
    for (const auto* const names : {&options.without, &options.trust}) {
      if (const auto known = check_names(*setup, *names); !known) {
        return galera_failed(known.error());
      }
    }
    if (!options.evidence_files.empty()) {
      std::fputs(
          "nines galera recover: --evidence goes with --dry-run: what is done is decided by "
          "what the hosts say then\n",
          stderr);
      return kGaleraUsage;
    }
    return execute(*setup, options);
  }
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

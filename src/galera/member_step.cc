// Each step looks first, acts, and is over when what it did can be seen.
#include "galera/member_step.h"

#include <cerrno>
#include <csignal>

#include <sys/stat.h>
#include <unistd.h>

#include "galera/claim.h"
#include "io/linux/files.h"

namespace nines::galera {

namespace {

constexpr Duration kLookEvery = std::chrono::milliseconds(20);
constexpr Duration kAskWithin = std::chrono::seconds(20);

std::string program_path(const std::string& word) {
  return word.find('/') != word.npos ? word : "/usr/bin/" + word;
}

}  // namespace

// Kills the server that has the data, after a while, if it still listens for no client: one that
// has found others meanwhile ends in order.
class MemberStep::Impatience final : private base::Timer {
 public:
  Impatience(io::EpollLoop& loop, const std::string& data) : data_(data) {
    loop.arm(*this, kWaitingStopWithin);
  }

 private:
  void on_timer(Instant) override {
    const auto process = find_server(data_);
    if (!process || !*process) return;
    const auto is_open = takes_clients(**process);
    if (is_open && !*is_open) static_cast<void>(::kill(**process, SIGKILL));
  }

  const std::string& data_;
};

Result<void> MemberStep::perform(const MemberOrder& order) {
  if (!is_run_name(order.run)) return Error(ErrorCode::kInvalid, "no name of a recovery");
  if (order.action == MemberAction::kClaim) {
    return take_claim(member_.state, order.run, order.earlier_runs);
  }
  if (order.action == MemberAction::kRelease) {
    return release_claim(member_.state, order.run, order.earlier_runs);
  }
  const std::string holder = TRY(claim_holder(member_.state));
  if (holder != order.run) {
    return Error(ErrorCode::kRefused, holder.empty()
                                          ? "no recovery has claimed it"
                                          : "the recovery " + holder + " has claimed it");
  }
  if (!(way_.unit.empty() ? !way_.process.empty() || !way_.start.empty() : true)) {
    return Error(ErrorCode::kUnsupported,
                 "nines.yaml does not say how its server is started ('server' of 'galera')");
  }
  switch (order.action) {
    case MemberAction::kStart:
      return start(order.expected);
    case MemberAction::kJoin:
      return join(order.expected);
    case MemberAction::kBootstrap:
      return bootstrap(order.expected);
    case MemberAction::kPromote:
      return promote();
    case MemberAction::kStop:
      return stop();
    case MemberAction::kLeave:
      return leave();
    case MemberAction::kClaim:
    case MemberAction::kRelease:
      break;
  }
  return {};
}

// -- the steps ----------------------------------------------------------------------------------

Result<void> MemberStep::start(const Position& position) {
  TRY(refuse_running());
  TRY(run_commands(ServerVerb::kStart, position));
  return await_process(true, kProcessWithin);
}

Result<void> MemberStep::join(const Position& position) {
  TRY(refuse_running());
  io::LinuxFiles files;
  TRY(files.replace(member_.state + '/' + std::string(kJoiningMark), "joining\n", 0644));
  TRY(run_commands(ServerVerb::kStart, position));
  return await_process(true, kProcessWithin);
}

Result<void> MemberStep::bootstrap(const Position& expected) {
  const Evidence evidence = TRY(look(true));
  if (evidence.server != Evidence::Server::kDown) {
    return Error(ErrorCode::kRefused, "its server runs");
  }
  const auto& grastate = evidence.grastate;
  const bool is_there = evidence.recovered ? *evidence.recovered == expected
                                           : grastate && grastate->position == expected;
  if (!expected.is_known() || !is_there) {
    return Error(ErrorCode::kRefused,
                 "it is not at " + expected.text() +
                     (evidence.recovered ? " but at " + evidence.recovered->text() : ""));
  }
  TRY(mark_safe(expected));
  TRY(run_commands(ServerVerb::kBootstrap, expected));
  return await_process(true, kProcessWithin);
}

Result<void> MemberStep::promote() {
  const Evidence evidence = TRY(look(false));
  if (evidence.server != Evidence::Server::kNonPrimary) {
    return Error(ErrorCode::kRefused, "its server is " + std::string(name_of(evidence.server)));
  }
  ServerClient client(loop_, member_.login);
  ServerAnswer answer;
  client.ask({"SET GLOBAL wsrep_provider_options='pc.bootstrap=YES'"}, kAskWithin,
             [&](ServerAnswer told) {
               answer = std::move(told);
               loop_.stop();
             });
  loop_.run();
  if (answer.contact == Look::Contact::kAnswered && answer.error == 0) return {};
  return Error(ErrorCode::kUnavailable, answer.said);
}

Result<void> MemberStep::stop() {
  const Evidence evidence = TRY(look(false));
  if (evidence.server == Evidence::Server::kPrimary) {
    return Error(ErrorCode::kRefused, "its server is primary");
  }
  if (evidence.server == Evidence::Server::kDown) return {};
  if (evidence.server == Evidence::Server::kStarting && !evidence.is_closed) {
    return Error(ErrorCode::kRefused,
                 "it takes clients and does not say what it is: " + evidence.server_said);
  }
  std::optional<Impatience> impatience;
  if (evidence.is_closed) impatience.emplace(loop_, member_.data);
  TRY(run_commands(ServerVerb::kStop, {}));
  TRY(await_process(false, kStopWithin));
  return keep_history(evidence);
}

Result<void> MemberStep::leave() {
  const Evidence evidence = TRY(look(false));
  if (evidence.server == Evidence::Server::kDown) return {};
  if (evidence.server != Evidence::Server::kPrimary ||
      evidence.local_state != LocalState::kSynced) {
    return Error(ErrorCode::kRefused, "its server is not synced in a primary component");
  }
  if (evidence.component_size < 2) {
    return Error(ErrorCode::kRefused, "nobody else is in the primary component");
  }
  TRY(run_commands(ServerVerb::kStop, {}));
  return await_process(false, kStopWithin);
}

// -- how ----------------------------------------------------------------------------------------

Result<void> MemberStep::refuse_running() {
  if (TRY(find_server(member_.data))) return Error(ErrorCode::kRefused, "its server runs");
  return {};
}

Result<void> MemberStep::run_commands(ServerVerb verb, const Position& position) {
  const ServerCommands commands = server_commands(way_, verb, position);
  Result<void> done;
  for (const auto& words : commands.first) {
    if (done) done = run_child(words, verb == ServerVerb::kStop ? kStopWithin : kStartWithin);
  }
  for (const auto& words : commands.last) {
    const auto undone = run_child(words, kAskWithin);
    if (done && !undone) done = undone.error();
  }
  if (done && !commands.daemon.empty()) done = start_daemon(commands.daemon);
  if (done && commands.has_signal) {
    const auto process = TRY(find_server(member_.data));
    if (process && ::kill(*process, SIGTERM) != 0 && errno != ESRCH) {
      return Error::from_errno(errno, "SIGTERM to process " + std::to_string(*process));
    }
  }
  return done;
}

Result<void> MemberStep::run_child(const std::vector<std::string>& words, Duration patience) {
  ChildEnd end;
  const auto child = TRY(Child::start(loop_, processes_, words, patience, [&](ChildEnd how) {
    end = std::move(how);
    loop_.stop();
  }));
  loop_.run();
  if (end.is_good()) return {};
  return Error(ErrorCode::kUnavailable, words.front() + " " + end.text());
}

// It outlives us: no pipe of ours, no signal with our end.
Result<void> MemberStep::start_daemon(const std::vector<std::string>& words) {
  io::SpawnOptions options;
  options.arguments = words;
  options.arguments[0] = program_path(options.arguments[0]);
  options.end_with_parent = false;
  TRY(processes_.spawn(options, [this](int, io::ProcessExit exit) {
    has_daemon_ended_ = true;
    daemon_code_ = exit.signal != 0 ? -exit.signal : exit.code;
  }));
  return {};
}

Result<void> MemberStep::await_process(bool is_there, Duration within) {
  const Instant until = loop_.now() + within;
  while (true) {
    if (TRY(find_server(member_.data)).has_value() == is_there) return {};
    if (has_daemon_ended_ && is_there) {
      return Error(ErrorCode::kUnavailable,
                   "the server ended with " + std::to_string(daemon_code_) + ": look at its log");
    }
    if (loop_.now() >= until) {
      return Error(ErrorCode::kTimeout, is_there ? "no server came up" : "its server does not end");
    }
    loop_.run_once(kLookEvery);
  }
}

// Galera begins a cluster only where this says so.
Result<void> MemberStep::mark_safe(const Position& expected) {
  return write_grastate({{expected.uuid, kSeqnoUndefined}, true});
}

// A server that ends before it was in a primary component writes that it belongs to no history,
// which is also what one writes whose data differs from the others'. What it belonged to a moment
// ago is known here, and nowhere afterwards.
Result<void> MemberStep::keep_history(const Evidence& before) {
  if (!before.grastate || before.grastate->position.uuid == kUuidUndefined) return {};
  const Evidence after = TRY(look(false));
  const bool has_forgotten = after.server == Evidence::Server::kDown && after.grastate &&
                             after.grastate->position.uuid == kUuidUndefined;
  if (!has_forgotten) return {};
  return write_grastate({{before.grastate->position.uuid, kSeqnoUndefined}, false});
}

// The file stays its owner's.
Result<void> MemberStep::write_grastate(const Grastate& grastate) {
  struct stat folder;
  if (::stat(member_.data.c_str(), &folder) != 0) return Error::from_errno(errno, member_.data);
  const std::string path = member_.data + '/' + std::string(kGrastateName);
  io::LinuxFiles files;
  TRY(files.replace(path, render_grastate(grastate), 0660));
  if (::chown(path.c_str(), folder.st_uid, folder.st_gid) != 0) {
    return Error::from_errno(errno, path);
  }
  return {};
}

Result<Evidence> MemberStep::look(bool is_full) {
  LocalMember member(loop_, processes_, member_);
  Result<Evidence> found = Error(ErrorCode::kUnavailable, "");
  member.collect(is_full, [&](Result<Evidence> told) {
    found = std::move(told);
    loop_.stop();
  });
  loop_.run();
  return found;
}

}  // namespace nines::galera

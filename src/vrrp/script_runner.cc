// A script that still runs when its time is out has failed, and is told to end, then made to.
#include "vrrp/script_runner.h"

#include <csignal>
#include <cstdlib>

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace nines::vrrp {

namespace {

constexpr std::string_view kSetpriv = "/usr/bin/setpriv";
constexpr std::string_view kDefaultPath =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr const char* kDefaultUser = "keepalived_script";

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  std::string_view path = kDefaultPath;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    const std::string candidate = std::string(path.substr(0, end)) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return name;
}

// keepalived's script security: whoever can write to any part of the path can run as root.
Result<void> check_owned_by_root(const std::string& program) {
  for (std::size_t end = 0; end != std::string::npos;) {
    end = program.find('/', end + 1);
    const std::string part = program.substr(0, end);
    struct stat status {};
    if (::stat(part.c_str(), &status) != 0) return Error::from_errno(errno, part);
    const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
    if (status.st_uid != 0 || ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky)) {
      return Error(ErrorCode::kRefused, part + " can be changed by others than root");
    }
  }
  return {};
}

}  // namespace

std::vector<std::string> located_words(const Command& command) {
  std::vector<std::string> words = command.words;
  if (!words.empty()) words[0] = find_program(words[0]);
  return words;
}

Result<std::vector<std::string>> resolve_command(const Command& command, const GlobalDefs& global) {
  const std::vector<std::string> words = located_words(command);
  if (words.empty()) return Error(ErrorCode::kInvalid, "no command");
  struct stat status {};
  if (::stat(words[0].c_str(), &status) != 0) return Error::from_errno(errno, words[0]);
  if (!S_ISREG(status.st_mode) || (status.st_mode & 0111) == 0) {
    return Error(ErrorCode::kRefused, words[0] + " is not executable");
  }
  std::string user = command.user.empty() ? global.script_user : command.user;
  std::string group = command.user.empty() ? global.script_group : command.group;
  // With script security the usual user must be there; without it root takes its place.
  if (user.empty() && (global.enable_script_security || ::getpwnam(kDefaultUser) != nullptr)) {
    user = kDefaultUser;
  }
  const passwd* const entry = user.empty() ? nullptr : ::getpwnam(user.c_str());
  if (!user.empty() && entry == nullptr) {
    return Error(ErrorCode::kNotFound, "cannot find the user '" + user + "'");
  }
  const bool as_us = entry == nullptr || entry->pw_uid == ::geteuid();
  if (global.enable_script_security && as_us) TRY(check_owned_by_root(words[0]));
  if (as_us) return words;
  std::vector<std::string> arguments{std::string(kSetpriv),
                                     "--reuid",
                                     user,
                                     "--regid",
                                     group.empty() ? std::to_string(entry->pw_gid) : group,
                                     "--init-groups",
                                     "--"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  return arguments;
}

void start_notification(const Notification& notification, const GlobalDefs& global,
                        io::Processes& processes, io::Log& log) {
  if (notification.command.empty()) return;
  const auto failed = [&log, who = notification.who](const std::string& why) {
    log.write(io::Severity::kError, who + "notify script: " + why);
  };
  const auto started = [&]() -> Result<int> {
    io::SpawnOptions options{.arguments = TRY(resolve_command(notification.command, global)),
                             .environment = {},
                             .descriptors = {},
                             .end_with_parent = false,
                             .await_program = false};
    options.arguments.insert(options.arguments.end(), notification.more.begin(),
                             notification.more.end());
    return processes.spawn(options,
                           [failed, program = options.arguments[0]](int, io::ProcessExit end) {
                             if (end.error != 0)
                               failed(Error::from_errno(end.error, "start " + program).message());
                           });
  }();
  if (!started.has_value()) failed(started.error().message());
}

ScriptRunner::ScriptRunner(const VrrpScript& script, ScriptState state,
                           std::vector<std::string> arguments, io::EpollLoop& loop,
                           io::LinuxProcesses& processes, io::Log& log, Changed changed)
    : script_(script),
      arguments_(std::move(arguments)),
      loop_(loop),
      processes_(processes),
      log_(log),
      changed_(std::move(changed)),
      tracker_(script.rise, script.fall, state) {}

ScriptRunner::~ScriptRunner() {
  *alive_ = false;
  if (pid_ != 0) static_cast<void>(processes_.signal(pid_, SIGKILL).has_value());
}

void ScriptRunner::start() { run(); }

void ScriptRunner::run() {
  loop_.arm(next_, script_.interval);
  if (pid_ != 0) return;  // still running: its time limit judges it
  timed_out_ = false;
  // Not waited for: adverts and renewals go on while it waits for a processor.
  auto pid = processes_.spawn(
      {.arguments = arguments_, .environment = {}, .descriptors = {}, .await_program = false},
      [this, alive = alive_](int, io::ProcessExit end) {
        if (*alive) ended(end);
      });
  if (!pid) return judge(false, pid.error().message());
  pid_ = *pid;
  loop_.arm(limit_, script_.timeout > Duration{} ? script_.timeout : script_.interval);
}

void ScriptRunner::run_out_of_time() {
  if (pid_ == 0) return;
  static_cast<void>(processes_.signal(pid_, timed_out_ ? SIGKILL : SIGTERM).has_value());
  if (timed_out_) return;
  timed_out_ = true;
  loop_.arm(limit_, Duration(1s));
  judge(false, "ran out of time");
}

void ScriptRunner::ended(io::ProcessExit end) {
  pid_ = 0;
  limit_.cancel();
  if (timed_out_) return;  // judged already
  judge(end.signal == 0 && end.code == 0,
        end.error != 0    ? Error::from_errno(end.error, "start " + arguments_[0]).message()
        : end.signal != 0 ? "was ended by signal " + std::to_string(end.signal)
                          : "ended with " + std::to_string(end.code));
}

void ScriptRunner::judge(bool good, const std::string& how) {
  if (!tracker_.ended(good)) return;
  log_.write(good ? io::Severity::kInformational : io::Severity::kWarning,
             "script " + script_.name + (good ? " is good" : " has failed: " + how));
  changed_();
}

}  // namespace nines::vrrp

// The directory of a lab is locked (flock) by every process that was forked for it, so "is it up",
// "is it gone for good" and "may I remove what it left" are one question to the kernel.
#include "lab/lab_control.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/lab_keeper.h"

namespace nines::lab {
namespace {

constexpr int kPatience = 5000;  // milliseconds for a keeper to obey "down"
// Longer than any task of a keeper that lives: the boot of a host with an OpenStack.
constexpr timeval kReplyTimeout{.tv_sec = 330, .tv_usec = 0};
constexpr std::size_t kReplyMax = 1u << 20;
constexpr int kCreateTries = 3;
constexpr int kExitNotRun = 127;

std::string directory_of(std::string_view name) {
  return std::string(kLabsDirectory) + '/' + std::string(name);
}

Error failed(std::string_view what) { return Error::from_errno(errno, what); }

void remove_directory(const std::string& path) {
  std::error_code ignored;  // what cannot be removed is seen by whoever creates it next
  std::filesystem::remove_all(path, ignored);
  std::filesystem::remove(std::string(kLabsDirectory), ignored);  // if it is empty
}

// The directory, open and locked by us alone; kExists when others hold the lock.
Result<io::Descriptor> lock_directory(const std::string& path, int mode) {
  io::Descriptor result(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!result) return failed(path);
  while (::flock(result.get(), LOCK_EX | mode) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return Error(ErrorCode::kExists, path + " is in use");
    return failed(path);
  }
  return result;
}

Result<io::Descriptor> create_directory(const LabPlan& plan) {
  const std::string parent(kLabsDirectory);
  for (int i = 0; i < kCreateTries; ++i) {
    if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) return failed(parent);
    if (::mkdir(plan.directory.c_str(), 0700) == 0) {
      return lock_directory(plan.directory, LOCK_NB);
    }
    if (errno == ENOENT) continue;  // the last lab has just removed the parent
    if (errno != EEXIST) return failed(plan.directory);
    auto left = lock_directory(plan.directory, LOCK_NB);
    if (!left.has_value() && left.error().code() == ErrorCode::kExists) {
      return Error(ErrorCode::kExists,
                   "lab '" + plan.name + "' is up already (nines lab down, or --name ANOTHER)");
    }
    if (left.has_value()) remove_directory(plan.directory);
  }
  return Error(ErrorCode::kUnavailable, plan.directory + " cannot be made");
}

// A keeper that aborts says why in its lab's directory: kept only if that is kept, but readable
// while the lab is up.
void detach_output(const LabPlan& plan) {
  const io::Descriptor nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    ::dup2(nothing.get(), number);
  }
  const std::string path = plan.directory + "/keeper.out";
  const io::Descriptor words(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (words) ::dup2(words.get(), STDERR_FILENO);
}

// Outlives the command that brought the lab up, and the keeper: whatever ends that, its files go.
[[noreturn]] void run_janitor(const LabPlan& plan, io::Descriptor lock, io::Descriptor progress) {
  ::setsid();
  // Signals that the command waits for in a way of its own end this process as ever.
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::prctl(PR_SET_NAME, "nines-lab-end");
  detach_output(plan);
  if (::chdir("/") != 0) ::_exit(1);
  // Takes effect for the next child: it becomes process 1 of the new namespace.
  const int unshared = ::unshare(CLONE_NEWPID);
  const int keeper = unshared == 0 ? ::fork() : -1;
  if (keeper < 0) {
    dprintf(progress.get(), "error: a process namespace: %s\n", std::strerror(errno));
  } else if (keeper == 0) {
    run_keeper(plan, std::move(progress));
  }
  progress.reset();
  while (keeper > 0 && ::waitpid(keeper, nullptr, 0) < 0 && errno == EINTR) {
  }
  remove_directory(plan.directory);
  static_cast<void>(lock);  // held until here
  ::_exit(0);
}

// Hands on the keeper's lines until it is ready, has failed or has died.
Result<void> follow_progress(const io::Descriptor& from,
                             const std::function<void(std::string_view)>& progress) {
  constexpr std::string_view kError = "error: ";
  std::string pending;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t size = ::read(from.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return Error(ErrorCode::kUnavailable, "the lab's keeper died while starting");
    pending.append(buffer.data(), static_cast<std::size_t>(size));
    std::size_t end = 0;
    while ((end = pending.find('\n')) != std::string::npos) {
      const std::string line = pending.substr(0, end);
      pending.erase(0, end + 1);
      if (line == "ready") return {};
      if (line.starts_with(kError)) {
        return Error(ErrorCode::kUnavailable, line.substr(kError.size()));
      }
      progress(line);
    }
  }
}

// What a failed start wrote, for the message: the directory is about to go.
std::string last_words(const LabPlan& plan) {
  std::string text;
  for (const auto& host : plan.hosts) {
    for (const char* file : {"engine.out", "balancer.out", "address.out", "services.out"}) {
      const std::string path = host_directory(plan, host) + '/' + file;
      const io::Descriptor in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
      std::array<char, 4096> buffer;
      const ssize_t size = in ? ::read(in.get(), buffer.data(), buffer.size()) : 0;
      if (size <= 0) continue;
      text += "\n--- " + host.name + ' ' + file + ":\n";
      text.append(buffer.data(), static_cast<std::size_t>(size));
    }
  }
  return text;
}

Result<io::Descriptor> connect_control(const std::string& path) {
  io::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return failed("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error(ErrorCode::kInvalid, path);
  path.copy(address.sun_path, path.size());
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return failed(path);
  }
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &kReplyTimeout, sizeof kReplyTimeout);
  return socket;
}

// Waits for a process that is not our child; true when it is gone.
bool wait_gone(int pidfd, int milliseconds) {
  pollfd watched{.fd = pidfd, .events = POLLIN, .revents = 0};
  return ::poll(&watched, 1, milliseconds) == 1;
}

Result<io::Descriptor> open_namespace(const LabControl& lab, int number, const char* kind) {
  const std::string process = "/proc/" + std::to_string(lab.keeper_pid());
  const std::string path =
      number >= 0 ? process + "/fd/" + std::to_string(number) : process + "/ns/" + kind;
  io::Descriptor result(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!result) return failed(path);
  return result;
}

}  // namespace

Result<ServiceSource> find_services(std::string_view name) {
  const auto source = find_service_source(name);
  if (!source) {
    return Error(ErrorCode::kInvalid,
                 "services are stand-ins, real or openstack; found '" + std::string(name) + "'");
  }
  std::string missing;
  for (const auto program : programs_of(*source)) {
    if (::access(std::string(program).c_str(), F_OK) != 0) missing += ' ' + std::string(program);
  }
  if (missing.empty()) return *source;
  return Error(ErrorCode::kNotFound, "real services need packages (" +
                                         std::string(packages_of(*source)) +
                                         " installs them); missing:" + missing);
}

Result<void> bring_lab_up(const LabPlan& plan,
                          const std::function<void(std::string_view)>& progress) {
  if (::geteuid() != 0) {
    return Error(ErrorCode::kRefused, "a lab needs root's rights: it makes namespaces and mounts");
  }
  auto lock = TRY(create_directory(plan));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return failed("pipe");
  io::Descriptor reading(ends[0]);
  io::Descriptor writing(ends[1]);
  std::fflush(nullptr);
  const int janitor = ::fork();
  if (janitor < 0) return failed("fork");
  if (janitor == 0) {
    reading.reset();
    run_janitor(plan, std::move(lock), std::move(writing));
  }
  writing.reset();
  lock.reset();  // the janitor and the lab hold it now
  auto result = follow_progress(reading, progress);
  if (result.has_value()) return result;
  const std::string words = last_words(plan);
  while (::waitpid(janitor, nullptr, 0) < 0 && errno == EINTR) {
  }
  return Error(result.error().code(), result.error().message() + words);
}

Result<void> take_lab_down(std::string_view name) {
  TRY(check_lab_name(name));
  const std::string path = directory_of(name);
  io::Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) {
    return Error(ErrorCode::kNotFound, "no lab '" + std::string(name) + "' is up");
  }
  auto lab = LabControl::open(name);
  if (lab.has_value()) {
    const io::Descriptor keeper(static_cast<int>(::syscall(SYS_pidfd_open, lab->keeper_pid(), 0)));
    auto asked = connect_control(path + "/control");
    if (asked.has_value()) {
      constexpr std::string_view kDown = "{\"do\":\"down\"}\n";
      static_cast<void>(!::send(asked->get(), kDown.data(), kDown.size(), MSG_NOSIGNAL));
    }
    if (keeper && !wait_gone(keeper.get(), kPatience)) {
      ::syscall(SYS_pidfd_send_signal, keeper.get(), SIGKILL, nullptr, 0);
    }
  }
  // Granted when the last of its processes, the janitor, is gone.
  while (::flock(directory.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return failed(path);
  }
  remove_directory(path);
  return {};
}

std::vector<std::string> labs_up() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(kLabsDirectory), ignored)) {
    const std::string name = entry.path().filename();
    if (LabControl::open(name).has_value()) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<LabControl> LabControl::open(std::string_view name) {
  TRY(check_lab_name(name));
  const std::string path = directory_of(name) + "/control";
  auto socket = connect_control(path);
  if (!socket.has_value()) {
    return Error(ErrorCode::kNotFound,
                 "no lab '" + std::string(name) + "' is up (nines lab up makes it)");
  }
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket->get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return failed("SO_PEERCRED");
  }
  return LabControl(path, peer.pid);
}

Result<std::string> LabControl::ask(std::string_view request) const {
  const auto socket = TRY(connect_control(path_));
  std::string line(request);
  line += '\n';
  if (::send(socket.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return failed("send");
  std::string reply;
  std::array<char, 16384> buffer;
  while (reply.empty() || reply.back() != '\n') {
    const ssize_t size = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed("the lab's keeper");
    if (size == 0) return Error(ErrorCode::kReset, "the lab's keeper hung up");
    reply.append(buffer.data(), static_cast<std::size_t>(size));
    if (reply.size() > kReplyMax) return Error(ErrorCode::kExhausted, "too long a reply");
  }
  reply.pop_back();
  return reply;
}

Result<int> run_in_host(const LabControl& lab, const NamespaceNumbers& host,
                        const std::vector<std::string>& command) {
  const auto processes = TRY(open_namespace(lab, -1, "pid"));
  const auto network = TRY(open_namespace(lab, host.network, ""));
  const auto host_name = TRY(open_namespace(lab, host.host_name, ""));
  const auto mount = TRY(open_namespace(lab, host.mount, ""));
  if (command.empty()) return Error(ErrorCode::kInvalid, "no command");
  std::fflush(nullptr);
  // Moved and forked in a child, so that the caller stays where it is.
  const int child = ::fork();
  if (child < 0) return failed("fork");
  if (child == 0) {
    if (::setns(processes.get(), CLONE_NEWPID) != 0 || ::setns(network.get(), CLONE_NEWNET) != 0 ||
        ::setns(host_name.get(), CLONE_NEWUTS) != 0 || ::setns(mount.get(), CLONE_NEWNS) != 0) {
      std::perror("nines lab exec: setns");
      ::_exit(kExitNotRun);
    }
    // Only a further child is in the process namespace.
    const int inner = ::fork();
    if (inner == 0) {
      std::vector<char*> arguments;
      for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
      arguments.push_back(nullptr);
      ::execvp(arguments[0], arguments.data());
      std::perror(arguments[0]);
      ::_exit(kExitNotRun);
    }
    int status = 0;
    while (inner > 0 && ::waitpid(inner, &status, 0) < 0 && errno == EINTR) {
    }
    ::_exit(inner < 0             ? kExitNotRun
            : WIFSIGNALED(status) ? 128 + WTERMSIG(status)
                                  : WEXITSTATUS(status));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return failed("waitpid");
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

Result<io::Descriptor> open_network(const LabControl& lab, const NamespaceNumbers& host) {
  return open_namespace(lab, host.network, "");
}

Result<void> enter_network(const LabControl& lab, const NamespaceNumbers& host) {
  const auto network = TRY(open_namespace(lab, host.network, ""));
  if (::setns(network.get(), CLONE_NEWNET) != 0) return failed("setns network");
  return {};
}

}  // namespace nines::lab

// The prober is a grandchild in the service's process group: stopped with it, killed with it, and
// it ends by itself when the service has died (seen through a pidfd).
#include "lab/real_service_run.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/linux/descriptor.h"
#include "io/linux/files.h"
#include "lab/lab_plan.h"

namespace nines::lab {
namespace {

constexpr int kExitNotRun = 127;
constexpr int kProbeIntervalMs = 50;
constexpr int kConnectPatienceMs = 500;
constexpr int kAnswerPatienceMs = 5000;

struct Account {
  uid_t user = 0;
  gid_t group = 0;
};

Result<Account> find_account(const std::string& name) {
  if (name.empty()) return Account{};
  const passwd* const entry = ::getpwnam(name.c_str());
  if (entry == nullptr) return Error(ErrorCode::kNotFound, "no account '" + name + "'");
  return Account{entry->pw_uid, entry->pw_gid};
}

Result<void> prepare(const RealService& service, const Account& account) {
  const std::string root = std::string(kHostDirectory) + '/';
  for (const auto& each : service.directories) {
    const std::string path = root + each;
    if (::mkdir(path.c_str(), 0750) != 0 && errno != EEXIST) {
      return Error::from_errno(errno, path);
    }
    if (::chown(path.c_str(), account.user, account.group) != 0) {
      return Error::from_errno(errno, path);
    }
  }
  io::LinuxFiles files;
  for (const auto& each : service.files) {
    const std::string path = root + each.name;
    TRY(files.replace(path, each.text, each.mode));
    if (::chown(path.c_str(), account.user, account.group) != 0) {
      return Error::from_errno(errno, path);
    }
  }
  return {};
}

Result<void> become(const std::string& name, const Account& account) {
  if (name.empty()) return {};
  if (::initgroups(name.c_str(), account.group) != 0 || ::setgid(account.group) != 0 ||
      ::setuid(account.user) != 0) {
    return Error::from_errno(errno, "become " + name);
  }
  return {};
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (auto& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

[[noreturn]] void become_program(std::vector<std::string> command,
                                 std::vector<std::string> environment) {
  ::signal(SIGPIPE, SIG_DFL);
  const auto arguments = pointers(command);
  const auto variables = pointers(environment);
  ::execve(arguments[0], arguments.data(), variables.data());
  std::fprintf(stderr, "%s: %s\n", command.front().c_str(), std::strerror(errno));
  ::_exit(kExitNotRun);
}

bool wait_for(int descriptor, short what, int patience_ms) {
  pollfd one{descriptor, what, 0};
  return ::poll(&one, 1, patience_ms) == 1;
}

io::Descriptor connected_to(const std::string& address, std::uint16_t port) {
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(port);
  if (::inet_pton(AF_INET, address.c_str(), &target.sin_addr) != 1) return {};
  io::Descriptor stream(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (::connect(stream.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) != 0 &&
      errno != EINPROGRESS) {
    return {};
  }
  int error = 0;
  socklen_t size = sizeof error;
  if (!wait_for(stream.get(), POLLOUT, kConnectPatienceMs) ||
      ::getsockopt(stream.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
    return {};
  }
  return stream;
}

bool answers(const io::Descriptor& stream) {
  constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";
  char byte = 0;
  return ::send(stream.get(), kRequest.data(), kRequest.size(), MSG_NOSIGNAL) > 0 &&
         wait_for(stream.get(), POLLIN, kAnswerPatienceMs) && ::read(stream.get(), &byte, 1) == 1;
}

bool probe_succeeds(const RealService& service) {
  const pid_t child = ::fork();
  if (child < 0) return false;
  if (child == 0) become_program(service.probe, service.environment);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool is_ready(const RealService& service, const std::string& address) {
  if (service.readiness == RealService::Readiness::kProbe) return probe_succeeds(service);
  for (const std::uint16_t port : service.ports) {
    const auto stream = connected_to(address, port);
    if (!stream) return false;
    if (service.readiness == RealService::Readiness::kAnswers && !answers(stream)) return false;
  }
  return true;
}

// Returns in the service's own process; the prober never does.
Result<void> start_prober(const RealService& service, const std::string& address,
                          ReadySignal ready) {
  io::Descriptor life(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!life) return Error::from_errno(errno, "pidfd_open");
  const pid_t child = ::fork();
  if (child < 0) return Error::from_errno(errno, "fork");
  if (child > 0) {
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
    return {};
  }
  if (::fork() != 0) ::_exit(0);  // its parent is the keeper now: the service never has to reap it
  while (!is_ready(service, address)) {
    if (wait_for(life.get(), POLLIN, kProbeIntervalMs)) ::_exit(1);
  }
  ready.ready();
  ::_exit(0);
}

}  // namespace

int run_real_service(const RealService& service, const std::string& address, ReadySignal ready) {
  const auto begun = [&]() -> Result<void> {
    const Account account = TRY(find_account(service.account));
    TRY(prepare(service, account));
    if (!service.is_job()) TRY(start_prober(service, address, std::move(ready)));
    return become(service.account, account);
  }();
  if (!begun.has_value()) {
    std::fprintf(stderr, "%s: %s\n", service.name.c_str(), begun.error().message().c_str());
    return kExitNotRun;
  }
  become_program(service.command, service.environment);
}

}  // namespace nines::lab

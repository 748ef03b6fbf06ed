// Two pipes, a pidfd (in io/) and a timer.
#include "galera/child.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

namespace nines::galera {

namespace {

// As execvp() would find it.
std::string program_path(const std::string& word) {
  if (word.find('/') != word.npos) return word;
  const char* const variable = std::getenv("PATH");
  std::string_view path = variable != nullptr ? variable : "";
  while (!path.empty()) {
    const auto colon = path.find(':');
    const std::string candidate = std::string(path.substr(0, colon)) + '/' + word;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    if (colon == path.npos) break;
    path.remove_prefix(colon + 1);
  }
  // Where servers are, and a login's PATH often does not look.
  return "/usr/sbin/" + word;
}

}  // namespace

std::string ChildEnd::text() const {
  std::string text = is_out_of_time     ? "took too long and was killed"
                     : exit.signal != 0 ? "was killed by signal " + std::to_string(exit.signal)
                                        : "ended with " + std::to_string(exit.code);
  std::string_view rest = errors;
  while (!rest.empty() && (rest.back() == '\n' || rest.back() == ' ')) rest.remove_suffix(1);
  const auto line = rest.rfind('\n');
  if (line != rest.npos) rest.remove_prefix(line + 1);
  if (!rest.empty()) text.append(": ").append(rest.substr(0, 400));
  return text;
}

Result<std::unique_ptr<Child>> Child::start(io::EpollLoop& loop, io::LinuxProcesses& processes,
                                            std::vector<std::string> words, Duration patience,
                                            Done done) {
  std::unique_ptr<Child> child(new Child(loop, processes, std::move(done)));
  io::SpawnOptions options;
  io::Descriptor theirs[2];
  Pipe* const ours[2] = {&child->output_, &child->errors_};
  for (int i = 0; i < 2; ++i) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return Error::from_errno(errno, "pipe");
    ours[i]->end = io::Descriptor(ends[0]);
    theirs[i] = io::Descriptor(ends[1]);
    static_cast<void>(::fcntl(ends[0], F_SETFL, O_NONBLOCK));
    options.descriptors.emplace_back(ends[1], i + 1);
  }
  options.arguments = std::move(words);
  options.arguments[0] = program_path(options.arguments[0]);
  Child* const self = child.get();
  child->pid_ =
      TRY(processes.spawn(options, [self, alive = child->alive_](int, io::ProcessExit exit) {
        if (*alive) self->ended(exit);
      }));
  for (int i = 0; i < 2; ++i) {
    Pipe& pipe = *ours[i];
    pipe.watch = loop.watch_descriptor(
        pipe.end.get(), EPOLLIN, [self, &pipe, i](std::uint32_t) { self->read(pipe, i == 0); });
  }
  loop.arm(*child, patience);
  return child;
}

Child::~Child() {
  *alive_ = false;
  if (pid_ != 0) static_cast<void>(processes_.signal(pid_, SIGKILL));
  for (Pipe* const pipe : {&output_, &errors_}) {
    if (pipe->watch != 0) loop_.unwatch_descriptor(pipe->watch);
  }
}

void Child::on_timer(Instant) {
  end_.is_out_of_time = true;
  static_cast<void>(processes_.signal(pid_, SIGKILL));
}

void Child::read(Pipe& pipe, bool is_output) {
  char buffer[16384];
  std::string& kept = is_output ? end_.output : end_.errors;
  ssize_t size = 0;
  while ((size = ::read(pipe.end.get(), buffer, sizeof buffer)) > 0) {
    const std::string_view bytes(buffer, static_cast<std::size_t>(size));
    if (is_output) {
      if (heard_) heard_(bytes);
      kept.append(bytes.substr(0, kOutputMax - std::min(kOutputMax, kept.size())));
    } else {
      kept.append(bytes);
      if (kept.size() > kErrorsKept) kept.erase(0, kept.size() - kErrorsKept);
    }
  }
  const bool is_over = size == 0 || (errno != EAGAIN && errno != EINTR);
  if (is_over && pipe.watch != 0) loop_.unwatch_descriptor(std::exchange(pipe.watch, 0));
}

void Child::ended(io::ProcessExit exit) {
  pid_ = 0;
  cancel();
  read(output_, true);
  read(errors_, false);
  end_.exit = exit;
  loop_.post([done = std::move(done_), end = std::move(end_)]() mutable { done(std::move(end)); });
}

}  // namespace nines::galera

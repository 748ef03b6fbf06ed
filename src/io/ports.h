// The other ports to the world beside the loop: files, processes, the log. Each has a Linux version
// in io/linux/ and a seeded one in sim/. Machines include none of them.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace nines::io {

// Small files, whole: configuration, pid files, records. Blocking; never on a session's path.
class Files {
 public:
  static constexpr std::size_t kReadMax = 64u << 20;  // larger ones are refused: kExhausted

  virtual ~Files() = default;
  virtual Result<std::string> read(const std::string& path) = 0;
  // Names (not paths) of a directory's regular files, sorted bytewise.
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;
  virtual bool is_directory(const std::string& path) = 0;
  // Written beside, fsynced, renamed over: after a crash the old text or the new, never a mix.
  virtual Result<void> replace(const std::string& path, std::string_view content,
                               unsigned mode) = 0;
  virtual Result<void> remove(const std::string& path) = 0;
};

struct ProcessExit {
  int code = 0;    // exit status when signal is 0
  int signal = 0;  // what killed it
  int error = 0;   // errno: it never became its program, which nobody waited for
};

struct SpawnOptions {
  std::vector<std::string> arguments;    // [0] is the program's path
  std::vector<std::string> environment;  // "NAME=value"; empty: inherited
  // Ours -> the child's number. All others are closed, but 0, 1 and 2, which are /dev/null.
  std::vector<std::pair<int, int>> descriptors;
  bool end_with_parent = true;  // SIGKILL when the thread that spawned it dies
  // False: the child is not waited for until it is its program, which on a busy machine takes as
  // long as the scheduler likes. A program that cannot be started is then told by its exit.
  bool await_program = true;
};

// Child processes, seen through pidfds on the loop that spawned them: no SIGCHLD, no polling.
class Processes {
 public:
  using Exited = std::function<void(int pid, ProcessExit)>;
  virtual ~Processes() = default;
  // Returns the process id; `exited` runs once on the loop.
  virtual Result<int> spawn(const SpawnOptions& options, Exited exited) = 0;
  // Only for processes spawned here and not yet exited: an id that was recycled is never hit.
  virtual Result<void> signal(int pid, int number) = 0;
};

// RFC 5424, section 6.2.1: severities, most severe first.
enum class Severity : unsigned char {
  kEmergency,
  kAlert,
  kCritical,
  kError,
  kWarning,
  kNotice,
  kInformational,
  kDebug
};

struct LogField {
  std::string_view key;
  std::string value;
};

// The one logger: a message for people and fields for tools. Sinks decide the form (io/log.h).
class Log {
 public:
  virtual ~Log() = default;
  virtual void write(Severity severity, std::string_view message,
                     const std::vector<LogField>& fields) = 0;
  void write(Severity severity, std::string_view message) { write(severity, message, {}); }
};

}  // namespace nines::io

// Each sink formats into a buffer that it keeps and makes one system call a record.
#include "io/log.h"

#include <algorithm>
#include <cerrno>
#include <ctime>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/linux/descriptor.h"
#include "io/linux/socket.h"

namespace nines::io {

namespace {

// A pipe that polls writable takes this much without blocking (PIPE_BUF); longer lines are cut.
constexpr std::size_t kConsoleLineMax = 4096;

Result<Descriptor> open_datagram_socket(int family) {
  Descriptor socket(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Error::from_errno(errno, "socket for the log");
  return socket;
}

// One datagram, or none: a full buffer, a dead daemon or a missing path drop it.
bool send_datagram(int socket, const KernelAddress& to, std::string_view bytes) {
  while (true) {
    if (::sendto(socket, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL, to.get(),
                 to.size) >= 0) {
      return true;
    }
    if (errno != EINTR) return false;
  }
}

class SyslogSink final : public LogSink {
 public:
  SyslogSink(Descriptor socket, const KernelAddress& to, SyslogForm form)
      : socket_(std::move(socket)),
        to_(to),
        form_(std::move(form)),
        timestamp_(&local_utc_offset) {}

  bool write(const LogRecord& record) override {
    buffer_.clear();
    append_syslog(buffer_, form_, record.severity, timestamp_.at(record.at), record.message,
                  record.fields);
    return send_datagram(socket_.get(), to_, buffer_);
  }

 private:
  Descriptor socket_;
  KernelAddress to_;
  SyslogForm form_;
  SyslogTimestamp timestamp_;
  std::string buffer_;
};

class ConsoleSink final : public LogSink {
 public:
  explicit ConsoleSink(int descriptor)
      : descriptor_(descriptor),
        form_{.colour = isatty(descriptor) == 1, .date = isatty(descriptor) == 0} {}

  bool write(const LogRecord& record) override {
    buffer_.clear();
    append_console(buffer_, form_, record.at, local_utc_offset(record.at), record.severity,
                   record.message, record.fields);
    if (buffer_.size() > kConsoleLineMax) {
      buffer_.resize(kConsoleLineMax - 1);
      buffer_ += '\n';
    }
    // Others share the open file, so it is not made non-blocking; its readiness is asked instead.
    pollfd ready{.fd = descriptor_, .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return false;
    return ::write(descriptor_, buffer_.data(), buffer_.size()) >= 0;
  }

 private:
  int descriptor_;
  ConsoleForm form_;
  std::string buffer_;
};

class JournalSink final : public LogSink {
 public:
  JournalSink(Descriptor socket, const KernelAddress& to, std::string identifier)
      : socket_(std::move(socket)), to_(to), identifier_(std::move(identifier)) {}

  bool write(const LogRecord& record) override {
    buffer_.clear();
    append_journal(buffer_, identifier_, record.severity, record.message, record.fields);
    return send_datagram(socket_.get(), to_, buffer_);
  }

 private:
  Descriptor socket_;
  KernelAddress to_;
  std::string identifier_;
  std::string buffer_;
};

}  // namespace

void Logger::add(std::unique_ptr<LogSink> sink, SeverityRange range) {
  entries_.push_back({std::move(sink), range});
}

void Logger::write(Severity severity, std::string_view message,
                   const std::vector<LogField>& fields) {
  const WallTime at = wall_time_();
  for (Entry& entry : entries_) {
    if (severity > entry.range.least) continue;
    const Severity sent_as = std::max(severity, entry.range.most);
    if (entry.untold > 0 && !tell_dropped(entry, at)) {
      ++entry.untold;
      ++dropped_;
      continue;
    }
    if (!entry.sink->write({at, sent_as, message, fields})) {
      ++entry.untold;
      ++dropped_;
    }
  }
}

bool Logger::tell_dropped(Entry& entry, WallTime at) {
  const std::vector<LogField> fields = {{"dropped", std::to_string(entry.untold)}};
  const Severity severity = std::clamp(Severity::kWarning, entry.range.most,
                                       std::max(entry.range.most, entry.range.least));
  if (!entry.sink->write({at, severity, "log lines were dropped: the log took no more", fields})) {
    return false;
  }
  entry.untold = 0;
  return true;
}

Result<std::unique_ptr<LogSink>> open_syslog(const SocketAddress& to, SyslogForm form) {
  const KernelAddress address = TRY(to_kernel(to));
  Descriptor socket = TRY(open_datagram_socket(address.storage.ss_family));
  return std::unique_ptr<LogSink>(
      std::make_unique<SyslogSink>(std::move(socket), address, std::move(form)));
}

std::unique_ptr<LogSink> open_console(int descriptor) {
  return std::make_unique<ConsoleSink>(descriptor);
}

Result<std::unique_ptr<LogSink>> open_journal(std::string identifier, std::string_view path) {
  const KernelAddress address = TRY(to_kernel(SocketAddress::unix_path(std::string(path))));
  Descriptor socket = TRY(open_datagram_socket(AF_UNIX));
  return std::unique_ptr<LogSink>(
      std::make_unique<JournalSink>(std::move(socket), address, std::move(identifier)));
}

std::unique_ptr<LogSink> open_stderr_or_journal(std::string identifier,
                                                std::string_view journal_stream) {
  struct stat found {};
  if (!journal_stream.empty() && fstat(STDERR_FILENO, &found) == 0 &&
      is_journal_stream(journal_stream, found.st_dev, found.st_ino)) {
    if (auto journal = open_journal(std::move(identifier))) return *std::move(journal);
  }
  return open_console(STDERR_FILENO);
}

std::chrono::seconds local_utc_offset(WallTime at) {
  const auto time = static_cast<std::time_t>(at.seconds());
  std::tm local{};
  if (localtime_r(&time, &local) == nullptr) return std::chrono::seconds(0);
  return std::chrono::seconds(local.tm_gmtoff);
}

}  // namespace nines::io

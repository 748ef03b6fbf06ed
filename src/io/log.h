// The one logger: a message for people, fields for tools, and any number of sinks that each decide
// the form. Sending never waits: what a sink cannot take at once is dropped, counted, and told in
// the first line that gets through again.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "io/log_format.h"
#include "io/ports.h"

namespace nines::io {

struct LogRecord {
  WallTime at;
  Severity severity;
  std::string_view message;
  const std::vector<LogField>& fields;
};

// One destination. Not thread-safe: each thread opens its own.
class LogSink {
 public:
  virtual ~LogSink() = default;
  // Sends at once or not at all; false when it was dropped.
  virtual bool write(const LogRecord& record) = 0;
};

// Which records a sink is given. HAProxy manual, 3.1, `log`: a line less severe than `least` is not
// sent; one more severe than `most` is sent as if it were `most`.
struct SeverityRange {
  Severity least = Severity::kDebug;
  Severity most = Severity::kEmergency;
};

// Hands each record to every sink whose range it is in. Lives on one thread; `wall_time` (usually
// the loop's) is asked once a record.
class Logger final : public Log {
 public:
  explicit Logger(std::function<WallTime()> wall_time) : wall_time_(std::move(wall_time)) {}

  void add(std::unique_ptr<LogSink> sink, SeverityRange range = {});

  using Log::write;
  void write(Severity severity, std::string_view message,
             const std::vector<LogField>& fields) override;

  // Records that sinks could not take since the start.
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Entry {
    std::unique_ptr<LogSink> sink;
    SeverityRange range;
    std::uint64_t untold = 0;  // dropped and not yet told
  };
  bool tell_dropped(Entry& entry, WallTime at);

  std::function<WallTime()> wall_time_;
  std::vector<Entry> entries_;
  std::uint64_t dropped_ = 0;
};

// RFC 3164 to a UDP address or a Unix datagram socket such as /dev/log. Nothing is connected: a
// daemon that starts late or is restarted gets the next line, and a path is looked up within the
// chroot of the moment. Fails when no socket can be made or a Unix path is too long.
Result<std::unique_ptr<LogSink>> open_syslog(const SocketAddress& to, SyslogForm form);

// Lines for people on a borrowed descriptor (2 for stderr): colours on a terminal, the date
// elsewhere. A pipe that nobody empties drops lines and never blocks.
std::unique_ptr<LogSink> open_console(int descriptor);

// journald's native protocol. `path` is where its socket lies.
constexpr std::string_view kJournalSocket = "/run/systemd/journal/socket";
Result<std::unique_ptr<LogSink>> open_journal(std::string identifier,
                                              std::string_view path = kJournalSocket);

// What a foreground program logs to: the journal when systemd connected stderr to it
// (`journal_stream` is the value of $JOURNAL_STREAM, empty if unset), else lines for people on
// stderr.
std::unique_ptr<LogSink> open_stderr_or_journal(std::string identifier,
                                                std::string_view journal_stream);

// The local zone's offset, for SyslogTimestamp. The zone is read once, on the first call; make that
// before a chroot. Thread-safe.
std::chrono::seconds local_utc_offset(WallTime at);

}  // namespace nines::io

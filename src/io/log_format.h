// How a log line looks in each of its forms: RFC 3164 for syslog, a line for people, journald's own
// protocol. Pure: bytes out of values, tested to the byte; io/log.h sends them.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "io/ports.h"

namespace nines::io {

// The names of RFC 3164 as HAProxy spells them: kern, user, mail, daemon, auth, syslog, lpr, news,
// uucp, cron, auth2, ftp, ntp, audit, alert, cron2, local0 to local7. Nothing for any other name.
std::optional<int> facility_named(std::string_view name);
std::string_view name_of_facility(int facility);  // 0 to 23
// emerg, alert, crit, err, warning, notice, info, debug.
std::optional<Severity> severity_named(std::string_view name);
std::string_view name_of(Severity severity);

// Seconds to add to UTC for the local time at an instant. Local zones change twice a year, so it is
// asked again each second that a line is written in.
using UtcOffset = std::chrono::seconds (*)(WallTime at);

// "Feb  5 07:08:09": RFC 3164, section 4.1.2. Local time, the day padded with a space.
std::string syslog_timestamp(WallTime at, std::chrono::seconds utc_offset);

// The same, made anew only when the second changes: an access log asks for it on each request.
class SyslogTimestamp {
 public:
  explicit SyslogTimestamp(UtcOffset utc_offset) : utc_offset_(utc_offset) {}
  // Valid until the next call.
  std::string_view at(WallTime now);

 private:
  UtcOffset utc_offset_;
  std::int64_t second_ = INT64_MIN;  // what text_ was made for
  std::string text_;
};

struct SyslogForm {
  static constexpr std::size_t kLengthMaxDefault = 1024;  // RFC 3164, section 4.1

  int facility = 16;                           // local0
  std::string tag;                             // the program's name
  int pid = 0;                                 // 0: no "[pid]"
  std::size_t length_max = kLengthMaxDefault;  // bytes of a line, without the newline that ends it
};

// Appends "<PRI>Mmm dd hh:mm:ss tag[pid]: message key=value ...\n". Like HAProxy, and unlike the
// RFC, without a host name: relays add it. Control characters become "#XX", so that no field's text
// can begin a line of its own; what is too long is cut, never within a UTF-8 character.
void append_syslog(std::string& out, const SyslogForm& form, Severity severity,
                   std::string_view timestamp, std::string_view message,
                   const std::vector<LogField>& fields);

struct ConsoleForm {
  bool colour = false;
  bool date = false;  // "2024-02-05 07:08:09.123" instead of "07:08:09.123": for files
};

// Appends "hh:mm:ss.mmm severity message key=value ...\n"; control characters as above.
void append_console(std::string& out, const ConsoleForm& form, WallTime at,
                    std::chrono::seconds utc_offset, Severity severity, std::string_view message,
                    const std::vector<LogField>& fields);

// Appends a datagram of journald's native protocol (systemd: docs/JOURNAL_NATIVE_PROTOCOL):
// PRIORITY, SYSLOG_IDENTIFIER, MESSAGE and each field by its key in the form that journald takes.
// Values are cut at kJournalValueMax bytes.
constexpr std::size_t kJournalValueMax = 16u << 10;
void append_journal(std::string& out, std::string_view identifier, Severity severity,
                    std::string_view message, const std::vector<LogField>& fields);

// "retry count" becomes "RETRY_COUNT": capitals, digits and "_", first a letter, 64 bytes at most.
std::string journal_field_name(std::string_view key);

// `JOURNAL_STREAM` is "device:inode", decimal, of the stream that systemd gave us as stderr. True
// when stderr still is that stream, so that the journal would get the same lines twice.
bool is_journal_stream(std::string_view journal_stream, std::uint64_t device, std::uint64_t inode);

}  // namespace nines::io

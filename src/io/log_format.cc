// Text is appended to the caller's buffer, which it reuses: an access log allocates nothing here.
#include "io/log_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

namespace nines::io {

namespace {

// RFC 3164, table 1, in its order; the names are those of HAProxy's `log` keyword.
constexpr std::array<std::string_view, 24> kFacilities = {
    "kern",   "user",   "mail",   "daemon", "auth",   "syslog", "lpr",    "news",
    "uucp",   "cron",   "auth2",  "ftp",    "ntp",    "audit",  "alert",  "cron2",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"};

constexpr std::array<std::string_view, 8> kSeverities = {"emerg",   "alert",  "crit", "err",
                                                         "warning", "notice", "info", "debug"};

constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

constexpr std::size_t kJournalNameMax = 64;  // journald drops fields with longer names

constexpr std::string_view kReset = "\033[0m";
constexpr std::string_view kDim = "\033[2m";

// A wall time taken apart, in local time.
struct Civil {
  int year;
  unsigned month;
  unsigned day;
  unsigned hour;
  unsigned minute;
  unsigned second;
};

Civil civil_of(WallTime at, std::chrono::seconds utc_offset) {
  using namespace std::chrono;
  const sys_seconds local{floor<seconds>(nanoseconds(at.nanoseconds_since_epoch)) + utc_offset};
  const sys_days day = floor<days>(local);
  const year_month_day date{day};
  const hh_mm_ss time{local - day};
  return {static_cast<int>(date.year()),
          static_cast<unsigned>(date.month()),
          static_cast<unsigned>(date.day()),
          static_cast<unsigned>(time.hours().count()),
          static_cast<unsigned>(time.minutes().count()),
          static_cast<unsigned>(time.seconds().count())};
}

void append_two(std::string& out, unsigned value, char padding = '0') {
  out += value < 10 ? padding : static_cast<char>('0' + value / 10 % 10);
  out += static_cast<char>('0' + value % 10);
}

void append_time(std::string& out, const Civil& civil) {
  append_two(out, civil.hour);
  out += ':';
  append_two(out, civil.minute);
  out += ':';
  append_two(out, civil.second);
}

void append_number(std::string& out, std::int64_t value) {
  std::array<char, 20> text;
  const auto end = std::to_chars(text.begin(), text.end(), value).ptr;
  out.append(text.begin(), end);
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

void append_printable(std::string& out, std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  while (!text.empty()) {
    const auto bad = std::find_if(text.begin(), text.end(), is_control);
    out.append(text.begin(), bad);
    if (bad == text.end()) return;
    out += '#';
    out += kHex[static_cast<unsigned char>(*bad) >> 4];
    out += kHex[static_cast<unsigned char>(*bad) & 15];
    text.remove_prefix(static_cast<std::size_t>(bad - text.begin()) + 1);
  }
}

// Bare when that leaves no doubt where the value ends, else quoted with \" and \\.
void append_field(std::string& out, const LogField& field) {
  append_printable(out, field.key);
  out += '=';
  const bool bare =
      !field.value.empty() && field.value.find_first_of(" \"=\\") == std::string::npos;
  if (bare) {
    append_printable(out, field.value);
    return;
  }
  out += '"';
  std::string_view rest = field.value;
  while (!rest.empty()) {
    const std::size_t special = rest.find_first_of("\"\\");
    append_printable(out, rest.substr(0, special));
    if (special == std::string_view::npos) break;
    out += '\\';
    out += rest[special];
    rest.remove_prefix(special + 1);
  }
  out += '"';
}

// Where to cut `text` so that at most `length` bytes stay and no UTF-8 character is torn.
std::size_t cut_length(std::string_view text, std::size_t length) {
  if (text.size() <= length) return text.size();
  std::size_t cut = length;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
  // More than three continuation bytes are no UTF-8 at all; then any place is as good.
  return length - cut <= 3 ? cut : length;
}

std::string_view colour_of(Severity severity) {
  if (severity <= Severity::kError) return "\033[1;31m";
  if (severity == Severity::kWarning) return "\033[33m";
  if (severity == Severity::kNotice) return "\033[1m";
  if (severity == Severity::kDebug) return kDim;
  return "";
}

void append_journal_field(std::string& out, std::string_view name, std::string_view value) {
  value = value.substr(0, cut_length(value, kJournalValueMax));
  out += name;
  if (value.find('\n') == std::string_view::npos) {
    out += '=';
  } else {
    // The name alone on its line, the length as 64 bits little-endian, the value, a newline.
    out += '\n';
    for (unsigned shift = 0; shift < 64; shift += 8) {
      out += static_cast<char>(static_cast<std::uint64_t>(value.size()) >> shift & 0xff);
    }
  }
  out += value;
  out += '\n';
}

}  // namespace

std::optional<int> facility_named(std::string_view name) {
  const auto found = std::find(kFacilities.begin(), kFacilities.end(), name);
  if (found == kFacilities.end()) return std::nullopt;
  return static_cast<int>(found - kFacilities.begin());
}

std::string_view name_of_facility(int facility) {
  return kFacilities.at(static_cast<std::size_t>(facility));
}

std::optional<Severity> severity_named(std::string_view name) {
  const auto found = std::find(kSeverities.begin(), kSeverities.end(), name);
  if (found == kSeverities.end()) return std::nullopt;
  return static_cast<Severity>(found - kSeverities.begin());
}

std::string_view name_of(Severity severity) {
  return kSeverities[static_cast<std::size_t>(severity)];
}

std::string syslog_timestamp(WallTime at, std::chrono::seconds utc_offset) {
  const Civil civil = civil_of(at, utc_offset);
  std::string out(kMonths[civil.month - 1]);
  out += ' ';
  append_two(out, civil.day, ' ');
  out += ' ';
  append_time(out, civil);
  return out;
}

std::string_view SyslogTimestamp::at(WallTime now) {
  if (now.seconds() != second_) {
    second_ = now.seconds();
    text_ = syslog_timestamp(now, utc_offset_(now));
  }
  return text_;
}

void append_syslog(std::string& out, const SyslogForm& form, Severity severity,
                   std::string_view timestamp, std::string_view message,
                   const std::vector<LogField>& fields) {
  const std::size_t begin = out.size();
  out += '<';
  append_number(out, form.facility * 8 + static_cast<int>(severity));
  out += '>';
  out += timestamp;
  out += ' ';
  out += form.tag;
  if (form.pid != 0) {
    out += '[';
    append_number(out, form.pid);
    out += ']';
  }
  out += ": ";
  append_printable(out, message);
  for (const LogField& field : fields) {
    out += ' ';
    append_field(out, field);
  }
  out.resize(begin + cut_length(std::string_view(out).substr(begin), form.length_max));
  out += '\n';
}

void append_console(std::string& out, const ConsoleForm& form, WallTime at,
                    std::chrono::seconds utc_offset, Severity severity, std::string_view message,
                    const std::vector<LogField>& fields) {
  const Civil civil = civil_of(at, utc_offset);
  if (form.colour) out += kDim;
  if (form.date) {
    append_number(out, civil.year);
    out += '-';
    append_two(out, civil.month);
    out += '-';
    append_two(out, civil.day);
    out += ' ';
  }
  append_time(out, civil);
  const auto milliseconds = static_cast<unsigned>(at.milliseconds());
  out += '.';
  out += static_cast<char>('0' + milliseconds / 100);
  append_two(out, milliseconds % 100);
  if (form.colour) out += kReset;
  out += ' ';

  const std::string_view colour = form.colour ? colour_of(severity) : "";
  out += colour;
  out += name_of(severity);
  out += ' ';
  append_printable(out, message);
  if (!colour.empty()) out += kReset;

  if (form.colour && !fields.empty()) out += kDim;
  for (const LogField& field : fields) {
    out += ' ';
    append_field(out, field);
  }
  if (form.colour && !fields.empty()) out += kReset;
  out += '\n';
}

void append_journal(std::string& out, std::string_view identifier, Severity severity,
                    std::string_view message, const std::vector<LogField>& fields) {
  const char priority = static_cast<char>('0' + static_cast<int>(severity));
  append_journal_field(out, "PRIORITY", {&priority, 1});
  append_journal_field(out, "SYSLOG_IDENTIFIER", identifier);
  append_journal_field(out, "MESSAGE", message);
  for (const LogField& field : fields) {
    append_journal_field(out, journal_field_name(field.key), field.value);
  }
}

std::string journal_field_name(std::string_view key) {
  std::string name;
  for (char c : key) {
    if (name.size() == kJournalNameMax) break;
    const bool lower = c >= 'a' && c <= 'z';
    const bool digit = c >= '0' && c <= '9';
    if (lower) c = static_cast<char>(c - 'a' + 'A');
    const bool letter = c >= 'A' && c <= 'Z';
    // A leading "_" marks what journald itself vouches for; it drops such a field from us.
    if (name.empty() && !letter) {
      if (digit) (name += "F_") += c;
      continue;
    }
    name += letter || digit ? c : '_';
  }
  return name.empty() ? "FIELD" : name;
}

bool is_journal_stream(std::string_view journal_stream, std::uint64_t device, std::uint64_t inode) {
  return journal_stream == std::to_string(device) + ':' + std::to_string(inode);
}

}  // namespace nines::io

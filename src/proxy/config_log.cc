// "log <target> [len N] [format F] <facility> [max level [min level]]", sections 3.1 and 4.2.
#include <algorithm>
#include <array>

#include "proxy/config_address.h"
#include "proxy/config_draft.h"
#include "text/units.h"

namespace nines::proxy {
namespace {

constexpr std::int64_t kLogLineMin = 80;  // HAProxy's own lower bound
constexpr std::int64_t kLogLineMax = 65535;

// In the order of their RFC 3164 numbers.
constexpr std::array<std::string_view, 24> kFacilities = {
    "kern",   "user",   "mail",   "daemon", "auth",   "syslog", "lpr",    "news",
    "uucp",   "cron",   "auth2",  "ftp",    "ntp",    "audit",  "alert",  "cron2",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"};

constexpr std::array<std::string_view, 8> kLevels = {"emerg",   "alert",  "crit", "err",
                                                     "warning", "notice", "info", "debug"};

template <std::size_t N>
std::optional<std::size_t> index_of(const std::array<std::string_view, N>& names,
                                    std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<std::size_t>(found - names.begin());
}

// "log ADDRESS PORT FACILITY": the port belongs to the address.
bool answer_stray_port(Statement& statement, const Word& target, const Word& word) {
  const auto port = text::parse_integer(word.text);
  if (!port.has_value() || *port < 1 || *port > 65535) return false;
  statement.error(word, "the log target's port is written with the address, not behind it")
      .with_help("write " + target.text + ":" + word.text);
  return true;
}

std::optional<std::uint8_t> read_facility(Statement& statement, const Word& target) {
  const Word* word = statement.take_word("a facility, such as local0");
  if (word == nullptr) return std::nullopt;
  if (const auto index = index_of(kFacilities, word->text)) {
    return static_cast<std::uint8_t>(*index);
  }
  if (answer_stray_port(statement, target, *word)) return std::nullopt;
  text::Diagnostic& diagnostic = statement.error(*word, "unknown log facility");
  diagnostic.with_allowed(joined(kFacilities));
  add_suggestion(diagnostic, word->text, kFacilities);
  return std::nullopt;
}

// True unless there was a mistake; an absent level leaves `level` alone.
bool read_level(Statement& statement, LogLevel& level) {
  const Word* word = statement.take();
  if (word == nullptr) return true;
  if (const auto index = index_of(kLevels, word->text)) {
    level = static_cast<LogLevel>(*index);
    return true;
  }
  text::Diagnostic& diagnostic = statement.error(*word, "unknown log level");
  diagnostic.with_allowed(joined(kLevels));
  add_suggestion(diagnostic, word->text, kLevels);
  return false;
}

bool read_log_options(Statement& statement, LogTarget& target) {
  while (const Word* word = statement.peek()) {
    if (statement.accept("len")) {
      const auto length = statement.take_integer("a line length", kLogLineMin, kLogLineMax);
      if (!length) return false;
      target.line_length_max = static_cast<std::uint32_t>(*length);
    } else if (statement.accept("format")) {
      const Word* format = statement.take_word("a format");
      if (format == nullptr) return false;
      if (format->text != "rfc3164" && format->text != "local") {
        statement.error(*format, "this log format is known but not supported by nines")
            .with_allowed("rfc3164");
        return false;
      }
    } else if (word->text == "sample") {
      statement.error(*word, "sampled logs are known but not supported by nines")
          .with_help("log everything, or filter by level");
      return false;
    } else {
      return true;
    }
  }
  return true;
}

}  // namespace

std::optional<LogTarget> read_log_target(Statement& statement) {
  const Word* address_word = statement.take_word("an address and a facility");
  if (address_word == nullptr) return std::nullopt;
  LogTarget target;
  const auto address = parse_log_address(statement, *address_word);
  if (!address) {
    statement.skip_rest();
    return std::nullopt;
  }
  target.address = *address;
  if (!read_log_options(statement, target)) return std::nullopt;
  const auto facility = read_facility(statement, *address_word);
  if (!facility) return std::nullopt;
  target.facility = *facility;
  if (!read_level(statement, target.max_level) || !read_level(statement, target.min_level)) {
    return std::nullopt;
  }
  if (!statement.expect_end()) return std::nullopt;
  return target;
}

}  // namespace nines::proxy

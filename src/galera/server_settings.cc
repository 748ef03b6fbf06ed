// Names are compared in lower case; what cannot be read counts as not said.
#include "galera/server_settings.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "text/units.h"

namespace nines::galera {

namespace {

constexpr std::size_t kValueMax = 128;    // bytes kept of a value
constexpr std::size_t kOptionsMax = 256;  // options of a provider

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::string printable(std::string_view value) {
  std::string out;
  for (const char c : value.substr(0, kValueMax)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

// "base_dir = /var/lib/mysql/; evs.suspect_timeout = PT5S; "
void read_options(std::string_view list, ServerSettings& settings) {
  for (std::size_t seen = 0; seen < kOptionsMax && !list.empty(); ++seen) {
    const auto end = std::min(list.find(';'), list.size());
    const std::string_view one = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    const auto equals = one.find('=');
    if (equals == one.npos) continue;
    const std::string name = lower(trimmed(one.substr(0, equals)));
    if (name.find('.') == name.npos) continue;
    settings.values[printable(name)] = printable(trimmed(one.substr(equals + 1)));
  }
}

std::int64_t count(std::string_view value) {
  const auto number = text::parse_integer(value);
  return number && *number >= 0 ? *number : 0;
}

// A decimal with a fraction, at the front of `text`, which is left behind it.
std::optional<double> take_decimal(std::string_view& text) {
  double number = 0;
  const auto read =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (read.ec != std::errc() || !std::isfinite(number) || number < 0) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(read.ptr - text.data()));
  return number;
}

}  // namespace

std::string_view ServerSettings::text(std::string_view name) const {
  const auto found = values.find(name);
  return found == values.end() ? std::string_view() : std::string_view(found->second);
}

std::optional<std::int64_t> ServerSettings::number(std::string_view name) const {
  const auto number = text::parse_integer(text(name));
  return number ? std::optional(*number) : std::nullopt;
}

std::optional<bool> ServerSettings::flag(std::string_view name) const {
  const std::string word = lower(text(name));
  if (word == "on" || word == "1" || word == "yes" || word == "true") return true;
  if (word == "off" || word == "0" || word == "no" || word == "false") return false;
  return std::nullopt;
}

std::optional<double> ServerSettings::bytes(std::string_view name) const {
  const auto size = text::parse_size(lower(text(name)));
  return size ? std::optional(static_cast<double>(*size)) : std::nullopt;
}

// ISO 8601 as the provider writes it: P[nD][T[nH][nM][nS]].
std::optional<Duration> ServerSettings::duration(std::string_view name) const {
  constexpr double kSecondsMax = 1e8;  // about three years
  std::string_view rest = text(name);
  if (rest.size() < 3 || rest.front() != 'P') return std::nullopt;
  rest.remove_prefix(1);
  double seconds = 0;
  bool is_time = false;
  while (!rest.empty()) {
    if (rest.front() == 'T' && !is_time) {
      is_time = true;
      rest.remove_prefix(1);
      continue;
    }
    const auto number = take_decimal(rest);
    if (!number || rest.empty()) return std::nullopt;
    const char unit = rest.front();
    rest.remove_prefix(1);
    if (!is_time && unit == 'D') {
      seconds += *number * 86400;
    } else if (is_time && (unit == 'H' || unit == 'M' || unit == 'S')) {
      seconds += *number * (unit == 'H' ? 3600 : unit == 'M' ? 60 : 1);
    } else {
      return std::nullopt;
    }
  }
  if (seconds > kSecondsMax) return std::nullopt;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

WriteLoad load_between(const ServerCounters& before, const ServerCounters& after, Duration apart) {
  const double seconds = std::chrono::duration<double>(apart).count();
  if (seconds <= 0) return {};
  const auto rate = [seconds](std::int64_t from, std::int64_t to) {
    return static_cast<double>(std::max<std::int64_t>(to - from, 0)) / seconds;
  };
  return {rate(before.write_bytes, after.write_bytes), rate(before.commits, after.commits)};
}

WriteLoad load_since_start(const ServerCounters& counters) {
  return load_between({}, counters, std::chrono::seconds(counters.uptime));
}

void read_settings_row(const NamedValue& row, ServerSettings& settings, ServerCounters& counters) {
  static constexpr std::array<std::string_view, 12> kVariables = {"innodb_flush_log_at_trx_commit",
                                                                  "innodb_flush_log_at_timeout",
                                                                  "innodb_doublewrite",
                                                                  "innodb_autoinc_lock_mode",
                                                                  "log_bin",
                                                                  "sync_binlog",
                                                                  "binlog_format",
                                                                  "max_connections",
                                                                  "wsrep_on",
                                                                  "wsrep_provider",
                                                                  "wsrep_sst_method",
                                                                  "wsrep_sync_wait"};
  const std::string name = lower(row.name.substr(0, kValueMax));
  if (name == "wsrep_provider_options") {
    read_options(row.value, settings);
  } else if (name == "wsrep_replicated" || name == "wsrep_received") {
    counters.commits += count(row.value);
  } else if (name == "wsrep_replicated_bytes" || name == "wsrep_received_bytes") {
    counters.write_bytes += count(row.value);
  } else if (name == "uptime") {
    counters.uptime = count(row.value);
  } else if (name == "max_used_connections") {
    counters.connections_most = count(row.value);
  } else if (std::find(kVariables.begin(), kVariables.end(), name) != kVariables.end()) {
    settings.values[name] = printable(row.value);
  }
}

}  // namespace nines::galera

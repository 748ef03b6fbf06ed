// Formatting by hand: a log line a request is on the hot path, and its fields are few.
#include "proxy/session_log.h"

#include <charconv>
#include <chrono>
#include <cstdio>

namespace nines::proxy {

namespace {

constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
constexpr std::string_view kHexDigits = "0123456789ABCDEF";

void append_number(std::string& out, std::int64_t number) {
  char text[24];
  const auto [end, status] = std::to_chars(text, text + sizeof text, number);
  static_cast<void>(status);  // 24 bytes hold any 64-bit number
  out.append(text, end);
}

void append_numbers(std::string& out, std::initializer_list<std::int64_t> numbers) {
  bool first = true;
  for (const auto number : numbers) {
    if (!first) out += '/';
    first = false;
    append_number(out, number);
  }
}

void append_client(std::string& out, const SessionRecord& record) {
  if (record.client == nullptr || !record.client->is_ip()) {
    out += "unix:1";
    return;
  }
  out += record.client->ip_text();
  out += ':';
  append_number(out, record.client->port());
}

void append_head(std::string& out, const SessionRecord& record, DateText& dates) {
  append_client(out, record);
  out += " [";
  out += dates.accurate(record.begun);
  out += "] ";
  out += record.frontend;
  out += ' ';
  out += record.backend;
  out += '/';
  out += record.server;
  out += ' ';
}

void append_counts(std::string& out, const SessionRecord& record) {
  append_numbers(out, {record.process_connections, record.frontend_connections,
                       record.backend_connections, record.server_connections});
  out += record.redispatched ? "/+" : "/";
  append_number(out, record.retries);
  out += ' ';
  append_numbers(out, {record.server_queue, record.backend_queue});
}

}  // namespace

std::string_view DateText::accurate(WallTime at) {
  if (at.seconds() != second_) {
    second_ = at.seconds();
    const std::chrono::sys_seconds local{std::chrono::seconds(second_) + utc_offset_(at)};
    const auto day = std::chrono::floor<std::chrono::days>(local);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(local - day);
    const int size = std::snprintf(
        text_, sizeof text_, "%02u/%s/%04d:%02d:%02d:%02d.", static_cast<unsigned>(date.day()),
        kMonths[static_cast<unsigned>(date.month()) - 1], static_cast<int>(date.year()),
        static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
        static_cast<int>(time.seconds().count()));
    size_ = static_cast<std::size_t>(size);
  }
  const int ms = at.milliseconds();
  text_[size_] = static_cast<char>('0' + ms / 100);
  text_[size_ + 1] = static_cast<char>('0' + ms / 10 % 10);
  text_[size_ + 2] = static_cast<char>('0' + ms % 10);
  return {text_, size_ + 3};
}

void append_http_log(std::string& out, const SessionRecord& record, DateText& dates) {
  append_head(out, record, dates);
  append_numbers(out, {record.request_ms, record.queue_ms, record.connect_ms, record.response_ms,
                       record.total_ms});
  out += ' ';
  append_number(out, record.status);
  out += ' ';
  append_number(out, static_cast<std::int64_t>(record.bytes));
  out += " - - ";
  out += record.cause;
  out += record.state;
  out += "-- ";
  append_counts(out, record);
  out += " \"";
  append_escaped(out, record.request_line);
  out += '"';
}

void append_tcp_log(std::string& out, const SessionRecord& record, DateText& dates) {
  append_head(out, record, dates);
  append_numbers(out, {record.queue_ms, record.connect_ms, record.total_ms});
  out += ' ';
  append_number(out, static_cast<std::int64_t>(record.bytes));
  out += ' ';
  out += record.cause;
  out += record.state;
  out += ' ';
  append_counts(out, record);
}

void append_default_log(std::string& out, const SessionRecord& record, bool http) {
  out += "Connect from ";
  append_client(out, record);
  out += " to ";
  if (record.frontend_address != nullptr && record.frontend_address->is_ip()) {
    out += record.frontend_address->ip_text();
    out += ':';
    append_number(out, record.frontend_address->port());
  } else {
    out += "unix:1";
  }
  out += " (";
  out += record.frontend;
  out += http ? "/HTTP)" : "/TCP)";
}

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '"' || c == '#') {
      out += '#';
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 15];
    } else {
      out += c;
    }
  }
}

}  // namespace nines::proxy

// The log line of a session, in HAProxy's httplog, tcplog and default formats to the letter
// (configuration manual 8.2.1 to 8.2.3). Pure: the time is an argument, the text goes to the
// caller's buffer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/socket_address.h"
#include "base/time.h"

namespace nines::proxy {

// Names as the manual's table 8.2.4 has them. Times in milliseconds, -1: not reached.
struct SessionRecord {
  const SocketAddress* client = nullptr;            // %ci, %cp
  const SocketAddress* frontend_address = nullptr;  // %fi, %fp; default format only
  std::string_view frontend;                        // %f
  std::string_view backend;                         // %b
  std::string_view server = "<NOSRV>";              // %s
  WallTime begun;                                   // %tr (HTTP) or %t (TCP)
  std::int64_t request_ms = -1;                     // %TR
  std::int64_t queue_ms = -1;                       // %Tw
  std::int64_t connect_ms = -1;                     // %Tc
  std::int64_t response_ms = -1;                    // %Tr
  std::int64_t total_ms = 0;                        // %Ta (HTTP), %Tt (TCP)
  int status = -1;                                  // %ST
  std::uint64_t bytes = 0;                          // %B
  char cause = '-';                                 // %ts: who or what ended the session (8.5)
  char state = '-';                                 // and in which state it was
  std::int64_t process_connections = 0, frontend_connections = 0, backend_connections = 0,
               server_connections = 0;               // %ac/%fc/%bc/%sc
  int retries = 0;                                   // %rc
  bool redispatched = false;                         // "+" in front of it
  std::int64_t server_queue = 0, backend_queue = 0;  // %sq/%bq: how many were before it
  std::string_view request_line;                     // %r; "<BADREQ>" when there was none
};

// Local times as log lines have them, each second rendered once. One per thread.
class DateText {
 public:
  using UtcOffset = std::chrono::seconds (*)(WallTime at);  // what to add to UTC for local time
  explicit DateText(UtcOffset utc_offset) : utc_offset_(utc_offset) {}

  // "21/Nov/2026:01:35:25.123"; valid until the next call.
  std::string_view accurate(WallTime at);

 private:
  UtcOffset utc_offset_;
  std::int64_t second_ = -1;
  char text_[40] = {};
  std::size_t size_ = 0;  // up to and including the point
};

void append_http_log(std::string& out, const SessionRecord& record, DateText& dates);
void append_tcp_log(std::string& out, const SessionRecord& record, DateText& dates);
// What a proxy without "option httplog" or "tcplog" logs for a session.
void append_default_log(std::string& out, const SessionRecord& record, bool http);

// As HAProxy writes a request line: quotes, control and non-ASCII bytes as #XX.
void append_escaped(std::string& out, std::string_view text);

}  // namespace nines::proxy

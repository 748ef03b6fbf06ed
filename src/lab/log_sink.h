// Where the lab's balancers log to: RFC 3164 lines over UDP, each written to its sender's file
// behind the instant of its arrival, which is what a drill measures "decided" by.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"
#include "lab/lab_child.h"

namespace nines::lab {

// "2026-01-31T12:00:00.123456Z 4711.123456789 <134>...": the civil time for people, seconds since
// boot (CLOCK_BOOTTIME) for tools, the line as it came with control characters made visible.
std::string format_log_line(WallTime wall, Instant at, std::string_view line);

struct LogLine {
  Instant at;
  std::string_view text;  // borrows from what was parsed
};
std::optional<LogLine> parse_log_line(std::string_view line);

// Takes what comes from `source` (the port is not used); open for appending.
struct LogFile {
  SocketAddress source;
  int descriptor = -1;
};

// Runs for ever in the process that calls it. What comes from elsewhere goes to the first file.
int run_log_sink(const SocketAddress& at, const std::vector<LogFile>& files, ReadySignal ready);

}  // namespace nines::lab

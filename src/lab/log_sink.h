// Where the lab's balancers log to: RFC 3164 lines over UDP, each written to a file behind the
// instant of its arrival, which is what a drill measures "decided" by.
#pragma once

#include <optional>
#include <string>
#include <string_view>

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

// Runs for ever in the process that calls it. Appends to the file at `path`.
int run_log_sink(const SocketAddress& at, const std::string& path, ReadySignal ready);

}  // namespace nines::lab

// What is said about servers going up and down, to the letter of HAProxy 2.6, so that whoever reads
// its logs today goes on reading them. Pure: facts in, one line and its severity out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/check.h"
#include "proxy/runtime.h"

namespace nines::proxy {

struct LogLine {
  LogLevel level = LogLevel::kNotice;
  std::string text;  // without a line end
};

// How many servers can take work, after the change.
struct BackendCounts {
  int active = 0;
  int backup = 0;
  static BackendCounts of(const Proxy& proxy);
};

// "L4OK", ... of CheckStatus as in the statistics, and the text that logs have for it.
std::string_view check_status_description(CheckStatus status);

enum class HealthCause : std::uint8_t { kCheck, kOperator };

// "Server b/s is DOWN, reason: ..." With "option log-health-checks" the reason was said before and
// is left out, as HAProxy does. Sessions that waited for the server count as requeued.
LogLine describe_server_down(const Proxy& proxy, const Server& server, HealthCause cause,
                             const CheckOutcome& outcome, BackendCounts left);
LogLine describe_server_up(const Proxy& proxy, const Server& server, HealthCause cause,
                           const CheckOutcome& outcome, BackendCounts online);
// "Health check for server b/s failed, ..." of "option log-health-checks".
LogLine describe_check(const Proxy& proxy, const Server& server, const CheckState& state);
// "proxy p has no server available!"
LogLine describe_backend_down(const Proxy& proxy);
LogLine describe_enter_maintenance(const Proxy& proxy, const Server& server, bool was_down,
                                   bool was_draining, BackendCounts left);
LogLine describe_leave_maintenance(const Proxy& proxy, const Server& server);
LogLine describe_enter_drain(const Proxy& proxy, const Server& server, BackendCounts counts);
LogLine describe_leave_drain(const Proxy& proxy, const Server& server);

}  // namespace nines::proxy

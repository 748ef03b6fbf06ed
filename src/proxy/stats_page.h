// The statistics page: what answers a request that "stats uri" covers, as a complete HTTP/1.1
// response. HTML for people, and the CSV, typed and JSON forms behind ";csv", ";typed", ";json" for
// tools. Configuration manual, section 4.2, "stats ...".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "proxy/control.h"
#include "proxy/proxy_config.h"

namespace nines::proxy {

// The parts of a parsed request that the page looks at. Borrowed during the call.
struct StatsRequest {
  std::string_view method;
  std::string_view target;         // as on the request line
  std::string_view authorization;  // the field's value; empty: none was sent
  bool close = false;              // say "connection: close": the connection ends behind the answer
};

// Whether the page answers this target at all: enabled, and the target begins with its uri. An
// absolute-form target counts from its path on, as HAProxy has it.
bool stats_page_covers(const StatsPageConfig& page, std::string_view target);

// The whole response, head and body. Nothing when the page does not cover the target, or when the
// method is none that it answers (GET, HEAD, POST): then the request goes its ordinary way. The
// size grows with the number of proxies and servers, about 2 kB a row.
std::optional<std::string> stats_response(const StatsPageConfig& page, const Generation& generation,
                                          const ProcessInfo& process, const StatsRequest& request,
                                          Instant now, WallTime wall_time);

}  // namespace nines::proxy

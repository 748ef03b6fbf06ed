// "show info": what the process says of itself, in HAProxy 2.6's field names and order, as plain,
// typed or JSON text. HAProxy management guide, section 9.3.
#pragma once

#include <string>

#include "base/time.h"
#include "proxy/control.h"

namespace nines::proxy {

struct InfoOptions {
  enum class Format : std::uint8_t { kPlain, kTyped, kJson };
  Format format = Format::kPlain;
  bool descriptions = false;  // "desc"
};

void append_info(std::string& out, const ProcessInfo& process, Instant now, WallTime wall_time,
                 const InfoOptions& options);

// "3d 4h05m06s"
std::string uptime_text(std::int64_t seconds);

}  // namespace nines::proxy

// The statistics as one page for people: no script, readable in light and dark, every state told by
// a word and a sign as well as by a colour.
#pragma once

#include <string>
#include <string_view>

#include "base/time.h"
#include "proxy/control.h"
#include "proxy/stats_rows.h"

namespace nines::proxy {

struct StatsHtmlOptions {
  std::string_view uri;      // prefix of the page's links
  bool refreshing = false;   // the page reloads itself
  bool may_refresh = false;  // it would, unless ";norefresh" were asked for
  bool show_version = true;
  std::string_view node;  // empty: not shown
};

void append_stats_html(std::string& out, const Generation& generation, const ProcessInfo& process,
                       const StatsFilter& filter, const StatsHtmlOptions& options, Instant now,
                       WallTime wall_time);

// Text as it may stand between tags and inside a quoted attribute.
void append_html_text(std::string& out, std::string_view text);

}  // namespace nines::proxy

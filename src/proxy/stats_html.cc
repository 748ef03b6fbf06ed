// What an operator asks first comes first: is anything down. Then each proxy as a table of its
// frontend, servers and backend. Figures are short, the exact ones are in the tool tips.
#include "proxy/stats_html.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "proxy/health_log.h"
#include "proxy/stats_info.h"

namespace nines::proxy {
namespace {

using C = StatsColumn;

constexpr std::size_t kTroublesShown = 12;  // more are counted, not listed

constexpr std::string_view kStyle = R"css(
:root{--bg:#fbfbfa;--fg:#1c2126;--dim:#5d6670;--line:#d9dde1;--head:#eef0f2;--card:#fff;
--up:#176b3a;--upbg:#e2f3e8;--down:#a3170f;--downbg:#fde4e1;--maint:#7a4a00;--maintbg:#fbeccd;
--drain:#1d5192;--drainbg:#e1ecfa;--none:#4c5560;--nonebg:#e9ecef;--turn:#8a5a00;--turnbg:#fff4c9}
@media(prefers-color-scheme:dark){:root{--bg:#14181c;--fg:#e3e7ea;--dim:#98a2ac;--line:#2d343b;
--head:#1f252b;--card:#191e23;--up:#7fd8a0;--upbg:#12351f;--down:#ff9d94;--downbg:#4a1713;
--maint:#f2bf6b;--maintbg:#3d2c0c;--drain:#93bdf5;--drainbg:#152b47;--none:#b3bcc5;--nonebg:#2a3138;
--turn:#f4d35e;--turnbg:#3b3208}}
*{box-sizing:border-box}
body{margin:0;padding:1rem 1.25rem 3rem;background:var(--bg);color:var(--fg);
font:13px/1.4 system-ui,"Segoe UI",Roboto,"Noto Sans",sans-serif}
h1{font-size:1.25rem;margin:0}h2{font-size:1.05rem;margin:0}a{color:inherit}
header{display:flex;flex-wrap:wrap;gap:.4rem 1.5rem;align-items:baseline;margin-bottom:.75rem}
header p,nav{margin:0;color:var(--dim)}nav a{margin-right:1rem}
.facts{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;margin:.25rem 0 .75rem;padding:0;
list-style:none}.facts b{font-variant-numeric:tabular-nums}
.say{padding:.6rem .9rem;border-left:.4rem solid;border-radius:.25rem;margin:.75rem 0}
.say ul{margin:.3rem 0 0;padding-left:1.2rem}
.good{background:var(--upbg);border-color:var(--up)}
.bad{background:var(--downbg);border-color:var(--down)}
section{margin-top:1.5rem}section h2 small{font-weight:400;color:var(--dim);margin-left:.6rem}
.wide{overflow-x:auto;margin-top:.35rem;border:1px solid var(--line);border-radius:.35rem;
background:var(--card)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;white-space:nowrap}
th,td{padding:.22rem .42rem;text-align:right;border-bottom:1px solid var(--line)}
thead th{background:var(--head);font-weight:600;color:var(--dim);font-size:.82rem}
thead tr:first-child th{text-align:center;border-left:1px solid var(--line)}
tbody th,td.l,thead th.l{text-align:left!important}tbody th{font-weight:600}
tr.front th,tr.back th{font-weight:700}tr.front,tr.back{background:var(--head)}
tbody tr:last-child>*{border-bottom:0}
.g{border-left:1px solid var(--line)}.dim{color:var(--dim)}.hot{color:var(--down);font-weight:700}
.s{display:inline-block;min-width:6.2em;padding:.05rem .45rem;border-radius:.25rem;font-weight:600;
border:1px solid}
.up{color:var(--up);background:var(--upbg)}.down{color:var(--down);background:var(--downbg);
border-width:2px}
.maint{color:var(--maint);background:var(--maintbg);border-style:dotted}
.drain{color:var(--drain);background:var(--drainbg);border-style:dashed}
.none{color:var(--none);background:var(--nonebg)}.turn{color:var(--turn);background:var(--turnbg);
border-style:dashed}
footer{margin-top:2rem;color:var(--dim)}footer .s{min-width:0;margin-right:.25rem}
)css";

struct Look {
  std::string_view css;   // class of the badge
  std::string_view sign;  // tells the state without colour
};

Look look_of(std::string_view status) {
  if (status.starts_with("UP ") && !status.starts_with("UP (")) return {"turn", "△"};
  if (status.starts_with("DOWN ") && !status.starts_with("DOWN (")) return {"turn", "▽"};
  if (status.starts_with("UP") || status == "OPEN") return {"up", "▲"};
  if (status.starts_with("DOWN")) return {"down", "▼"};
  if (status == "MAINT" || status == "PAUSED" || status == "STOP") return {"maint", "■"};
  if (status == "DRAIN") return {"drain", "◐"};
  return {"none", "○"};
}

// "12s", "5m03s", "3h04m", "2d05h": two units are enough at a glance.
std::string short_duration(std::int64_t seconds) {
  char text[32];
  if (seconds < 60) {
    std::snprintf(text, sizeof text, "%llds", static_cast<long long>(seconds));
  } else if (seconds < 3600) {
    std::snprintf(text, sizeof text, "%lldm%02llds", static_cast<long long>(seconds / 60),
                  static_cast<long long>(seconds % 60));
  } else if (seconds < 86400) {
    std::snprintf(text, sizeof text, "%lldh%02lldm", static_cast<long long>(seconds / 3600),
                  static_cast<long long>(seconds / 60 % 60));
  } else {
    std::snprintf(text, sizeof text, "%lldd%02lldh", static_cast<long long>(seconds / 86400),
                  static_cast<long long>(seconds / 3600 % 24));
  }
  return text;
}

// "9870", "12.3k", "4.56M": exact while it is short, then three figures.
std::string short_count(std::int64_t count) {
  static constexpr std::string_view kUnits = "kMGTPE";
  if (count < 10'000) return std::to_string(count);
  double value = static_cast<double>(count);
  std::size_t unit = 0;
  for (value /= 1000; value >= 999.5 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  char text[32];
  std::snprintf(text, sizeof text,
                value < 9.995   ? "%.2f%c"
                : value < 99.95 ? "%.1f%c"
                                : "%.0f%c",
                value, kUnits[unit]);
  return text;
}

std::string date_text(WallTime wall_time) {
  const std::chrono::sys_seconds at{std::chrono::seconds(wall_time.seconds())};
  const auto day = std::chrono::floor<std::chrono::days>(at);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(at - day);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u %02d:%02d:%02d UTC",
                static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()));
  return text;
}

class Page {
 public:
  Page(std::string& out, const StatsFilter& filter, const StatsHtmlOptions& options)
      : out_(out), filter_(filter), options_(options) {}

  void head(const ProcessInfo& process, WallTime wall_time, std::int64_t up_seconds);
  void summary(const Generation& generation, Instant now);
  void open_proxy(const Proxy& proxy);
  void row(const StatsRow& row, const Proxy& proxy);
  void close_proxy() { out_ += "</tbody></table></div></section>\n"; }
  void foot();

 private:
  void text(std::string_view text) { append_html_text(out_, text); }
  void raw(std::string_view markup) { out_ += markup; }
  void link(std::string_view suffix, std::string_view label, bool keep_wishes);
  void fact(std::string_view label, const std::string& value);
  void badge(std::string_view status);
  void cell(const StatsRow& row, C column, bool group, bool alarm = false);
  void cell_text(std::string_view value, bool group);
  void cell_missing(bool group) { out_ += group ? "<td class=\"g\"></td>" : "<td></td>"; }
  void check_cell(const StatsRow& row);

  std::string& out_;
  const StatsFilter& filter_;
  const StatsHtmlOptions& options_;
};

void Page::head(const ProcessInfo& process, WallTime wall_time, std::int64_t up_seconds) {
  raw("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
      "<meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" "
      "href=\"data:,\"><title>");
  if (!options_.node.empty()) text(options_.node), raw(": ");
  raw("statistics of ");
  text(process.name);
  raw("</title><style>");
  raw(kStyle);
  raw("</style></head><body>\n<header><h1>");
  text(process.name);
  if (options_.show_version && !process.version.empty()) raw(" "), text(process.version);
  if (!options_.node.empty()) raw(" on "), text(options_.node);
  raw("</h1><p>");
  if (!process.description.empty()) text(process.description), raw(" · ");
  text(date_text(wall_time));
  raw("</p><nav>");
  link(filter_.only_up ? "" : ";up", filter_.only_up ? "Show all servers" : "Hide what is down",
       false);
  if (options_.may_refresh) {
    const std::string_view keep = filter_.only_up ? ";up" : "";
    link(std::string(keep) + (options_.refreshing ? ";norefresh" : ""),
         options_.refreshing ? "Stop refreshing" : "Refresh by itself", false);
  }
  if (!filter_.scope.empty()) link("", "Show all proxies", false);
  link(";csv;norefresh", "CSV", true);
  link(";json;norefresh", "JSON", true);
  raw("</nav></header>\n<ul class=\"facts\">");
  fact("Up for", short_duration(up_seconds));
  fact("Process", std::to_string(process.pid));
  fact("Threads", std::to_string(process.workers));
  fact("Connections",
       std::to_string(process.current_connections) + " of " + std::to_string(process.maxconn));
  fact("New a second", std::to_string(process.connection_rate) + " (most " +
                           std::to_string(process.connection_rate_max) + ")");
  fact("Requests", short_count(static_cast<std::int64_t>(process.requests)));
  fact("Idle", std::to_string(process.idle_percent) + " %");
  fact("Reloads",
       std::to_string(process.reloads) +
           (process.failed_reloads > 0 ? " (" + std::to_string(process.failed_reloads) + " refused)"
                                       : std::string()));
  raw("</ul>\n");
  if (process.stopping) {
    raw("<p class=\"say bad\"><b>■ This process is ending:</b> "
        "it finishes its sessions and takes no new ones.</p>\n");
  }
}

// What is wrong now, over all proxies, whatever rows are shown below.
void Page::summary(const Generation& generation, Instant now) {
  std::vector<std::string> troubles;
  int servers = 0;
  int up = 0;
  for (const Proxy& proxy : generation.proxies) {
    if (proxy.backend && !proxy.servers.empty() && !proxy.backend->up) {
      troubles.push_back("backend " + proxy.config->name + " has no server");
    }
    for (const Server& server : proxy.servers) {
      ++servers;
      const ServerState& state = *server.state;
      if (state.up || state.maintenance) {
        up += state.up && !state.maintenance ? 1 : 0;
        continue;
      }
      std::string trouble = proxy.config->name + "/" + server.config->name + ": " +
                            std::string(check_status_description(state.check_status)) +
                            ", down for ";
      const std::int64_t seconds = (now.nanoseconds - state.changed_at) / 1'000'000'000;
      troubles.push_back(trouble + short_duration(std::max<std::int64_t>(0, seconds)));
    }
  }
  raw(troubles.empty() ? "<div class=\"say good\"><b>▲ Nothing is down.</b> "
                       : "<div class=\"say bad\"><b>▼ ");
  if (!troubles.empty()) raw(std::to_string(troubles.size()) + " to look at.</b> ");
  raw(std::to_string(up) + " of " + std::to_string(servers) + " servers up.");
  if (!troubles.empty()) {
    raw("<ul>");
    for (std::size_t i = 0; i < std::min(troubles.size(), kTroublesShown); ++i) {
      raw("<li>");
      text(troubles[i]);
      raw("</li>");
    }
    if (troubles.size() > kTroublesShown) {
      raw("<li>and " + std::to_string(troubles.size() - kTroublesShown) + " more</li>");
    }
    raw("</ul>");
  }
  raw("</div>\n");
}

void Page::open_proxy(const Proxy& proxy) {
  const ProxyConfig& config = *proxy.config;
  raw("<section><h2>");
  text(config.name);
  raw(config.mode == Mode::kHttp ? "<small>http" : "<small>tcp");
  if (proxy.backend && !proxy.servers.empty()) {
    raw(", ");
    text(algorithm_name(config.balance));
  }
  if (proxy.frontend && !config.binds.empty()) {
    raw(", on ");
    for (std::size_t i = 0; i < config.binds.size(); ++i) {
      if (i > 0) raw(" ");
      text(config.binds[i].text);
    }
  }
  raw("</small></h2><div class=\"wide\"><table><thead><tr>"
      "<th rowspan=\"2\" scope=\"col\" class=\"l\">Name</th>"
      "<th rowspan=\"2\" scope=\"col\" class=\"l\">State</th>"
      "<th rowspan=\"2\" scope=\"col\">For</th>"
      "<th rowspan=\"2\" scope=\"col\" class=\"l\">Last check</th>"
      "<th colspan=\"2\" scope=\"colgroup\">Share</th><th colspan=\"2\" "
      "scope=\"colgroup\">Queue</th>"
      "<th colspan=\"4\" scope=\"colgroup\">Sessions</th>"
      "<th colspan=\"2\" scope=\"colgroup\">A second</th>"
      "<th colspan=\"2\" scope=\"colgroup\">Bytes</th>"
      "<th colspan=\"4\" scope=\"colgroup\">Responses</th>"
      "<th colspan=\"3\" scope=\"colgroup\">Errors</th>"
      "<th colspan=\"2\" scope=\"colgroup\">Again</th>"
      "<th colspan=\"3\" scope=\"colgroup\">Average ms</th>"
      "<th colspan=\"2\" scope=\"colgroup\">Outages</th></tr><tr>"
      "<th scope=\"col\" class=\"g\">Weight</th><th scope=\"col\">Kind</th>"
      "<th scope=\"col\" class=\"g\">Now</th><th scope=\"col\">Most</th>"
      "<th scope=\"col\" class=\"g\">Now</th><th scope=\"col\">Most</th><th "
      "scope=\"col\">Limit</th>"
      "<th scope=\"col\">Total</th><th scope=\"col\" class=\"g\">Now</th><th "
      "scope=\"col\">Most</th>"
      "<th scope=\"col\" class=\"g\">In</th><th scope=\"col\">Out</th>"
      "<th scope=\"col\" class=\"g\">2xx</th><th scope=\"col\">3xx</th><th scope=\"col\">4xx</th>"
      "<th scope=\"col\">5xx</th><th scope=\"col\" class=\"g\">Req.</th>"
      "<th scope=\"col\">Conn.</th><th scope=\"col\">Resp.</th>"
      "<th scope=\"col\" class=\"g\">Retry</th><th scope=\"col\">Moved</th>"
      "<th scope=\"col\" class=\"g\">Conn.</th><th scope=\"col\">Resp.</th>"
      "<th scope=\"col\">Total</th><th scope=\"col\" class=\"g\">Times</th>"
      "<th scope=\"col\">Time</th></tr></thead><tbody>\n");
}

void Page::row(const StatsRow& row, const Proxy& proxy) {
  const bool server = row.object == StatsObject::kServer;
  raw(row.object == StatsObject::kFrontend  ? "<tr class=\"front\"><th scope=\"row\">Frontend</th>"
      : row.object == StatsObject::kBackend ? "<tr class=\"back\"><th scope=\"row\">Backend</th>"
                                            : "<tr><th scope=\"row\"");
  if (server) {
    if (row.at(C::kAddr).present) raw(" title=\""), text(row.text(C::kAddr)), raw("\"");
    raw(">");
    text(row.text(C::kSvname));
    raw("</th>");
  }
  raw("<td class=\"l\">");
  badge(row.text(C::kStatus));
  raw("</td>");
  cell_text(row.at(C::kLastchg).present ? short_duration(row.number(C::kLastchg)) : std::string(),
            false);
  check_cell(row);
  cell(row, C::kWeight, true);
  if (server) {
    cell_text(row.number(C::kBck) != 0 ? "backup" : "active", false);
  } else if (row.object == StatsObject::kBackend && !proxy.servers.empty()) {
    cell_text(std::to_string(row.number(C::kAct)) + "+" + std::to_string(row.number(C::kBck)),
              false);
  } else {
    cell_missing(false);
  }
  cell(row, C::kQcur, true, true);
  cell(row, C::kQmax, false);
  cell(row, C::kScur, true);
  cell(row, C::kSmax, false);
  cell(row, C::kSlim, false);
  cell(row, C::kStot, false);
  cell(row, C::kRate, true);
  cell(row, C::kRateMax, false);
  cell(row, C::kBin, true);
  cell(row, C::kBout, false);
  cell(row, C::kHrsp2xx, true);
  cell(row, C::kHrsp3xx, false);
  cell(row, C::kHrsp4xx, false);
  cell(row, C::kHrsp5xx, false, true);
  cell(row, C::kEreq, true);
  cell(row, C::kEcon, false, true);
  cell(row, C::kEresp, false, true);
  cell(row, C::kWretr, true);
  cell(row, C::kWredis, false);
  cell(row, C::kCtime, true);
  cell(row, C::kRtime, false);
  cell(row, C::kTtime, false);
  cell(row, C::kChkdown, true);
  cell_text(row.at(C::kDowntime).present ? short_duration(row.number(C::kDowntime)) : std::string(),
            false);
  raw("</tr>\n");
}

void Page::foot() {
  raw("<footer><p>");
  for (const std::string_view status : {"UP", "UP 2/3", "DOWN", "DOWN 1/2", "DRAIN", "MAINT"}) {
    badge(status);
  }
  badge("no check");
  raw("</p><p>UP 2/3: up, but checks have begun to fail. DOWN 1/2: down, but checks have begun to "
      "pass. Share: weight, and how many active + backup servers can be used.</p></footer>"
      "</body></html>\n");
}

void Page::link(std::string_view suffix, std::string_view label, bool keep_wishes) {
  raw("<a href=\"");
  text(options_.uri);
  if (keep_wishes && filter_.only_up) raw(";up");
  text(suffix);
  if (keep_wishes && !filter_.scope.empty()) raw(";scope="), text(filter_.scope);
  raw("\">");
  text(label);
  raw("</a>");
}

void Page::fact(std::string_view label, const std::string& value) {
  raw("<li>");
  text(label);
  raw(" <b>");
  text(value);
  raw("</b></li>");
}

void Page::badge(std::string_view status) {
  const Look look = look_of(status);
  raw("<span class=\"s ");
  raw(look.css);
  raw("\"><span aria-hidden=\"true\">");
  raw(look.sign);
  raw("</span> ");
  text(status);
  raw("</span>");
}

void Page::cell(const StatsRow& row, C column, bool group, bool alarm) {
  const StatsValue& value = row.at(column);
  if (!value.present) return cell_missing(group);
  const std::string shown = short_count(value.number);
  raw("<td");
  const std::string_view kind = value.number == 0 ? "dim" : alarm ? "hot" : "";
  if (group || !kind.empty()) {
    raw(" class=\"");
    if (group) raw("g");
    if (group && !kind.empty()) raw(" ");
    raw(kind);
    raw("\"");
  }
  if (value.number >= 10'000) raw(" title=\"" + std::to_string(value.number) + "\"");
  raw(">");
  raw(shown);
  raw("</td>");
}

void Page::cell_text(std::string_view value, bool group) {
  raw(group ? "<td class=\"g\">" : "<td>");
  text(value);
  raw("</td>");
}

void Page::check_cell(const StatsRow& row) {
  raw("<td class=\"l\"");
  if (!row.at(C::kCheckStatus).present) return raw("></td>");
  raw(" title=\"");
  text(row.text(C::kCheckDesc));
  if (!row.text(C::kLastChk).empty()) raw(": "), text(row.text(C::kLastChk));
  raw("\">");
  text(row.text(C::kCheckStatus));
  if (row.at(C::kCheckCode).present) raw("/" + std::to_string(row.number(C::kCheckCode)));
  if (row.at(C::kCheckDuration).present) {
    raw(" in " + std::to_string(row.number(C::kCheckDuration)) + " ms");
  }
  raw("</td>");
}

}  // namespace

void append_stats_html(std::string& out, const Generation& generation, const ProcessInfo& process,
                       const StatsFilter& filter, const StatsHtmlOptions& options, Instant now,
                       WallTime wall_time) {
  const std::int64_t up =
      std::chrono::duration_cast<std::chrono::seconds>(now - process.started).count();
  Page page(out, filter, options);
  page.head(process, wall_time, std::max<std::int64_t>(0, up));
  page.summary(generation, now);
  StatsCursor cursor(generation, filter, process.maxconn, now);
  StatsRow row;
  const Proxy* open = nullptr;
  while (cursor.next(row)) {
    const Proxy& proxy = cursor.proxy();
    if (&proxy != open) {
      if (open != nullptr) page.close_proxy();
      page.open_proxy(proxy);
      open = &proxy;
    }
    page.row(row, proxy);
  }
  if (open != nullptr) page.close_proxy();
  page.foot();
}

void append_html_text(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
}

}  // namespace nines::proxy

// Which form was asked for, who may see it, and the response's head.
#include "proxy/stats_page.h"

#include <algorithm>

#include "http/auth.h"
#include "http/error_response.h"
#include "proxy/stats_html.h"
#include "proxy/stats_rows.h"
#include "proxy/stats_text.h"

namespace nines::proxy {
namespace {

constexpr std::size_t kScopeMax = 64;  // bytes of ";scope=NAME" that are looked at

enum class Form : std::uint8_t { kHtml, kCsv, kTyped, kJson };

struct Wish {
  Form form = Form::kHtml;
  bool no_refresh = false;
  bool only_up = false;
  std::string scope;
};

// From the path on, when the target is in absolute form (RFC 9112, section 3.2.2).
std::string_view path_of(std::string_view target) {
  if (target.starts_with('/')) return target;
  const std::size_t scheme = target.find("://");
  if (scheme == std::string_view::npos) return {};
  const std::size_t slash = target.find('/', scheme + 3);
  return slash == std::string_view::npos ? std::string_view{} : target.substr(slash);
}

std::string_view compared_part(const StatsPageConfig& page, std::string_view target) {
  return page.uri.starts_with('/') ? path_of(target) : target;
}

// What follows the uri: words behind semicolons, in any order, unknown ones ignored. HAProxy looks
// for the beginning of a word only.
Wish parse_wish(std::string_view rest) {
  Wish wish;
  const auto asked = [rest](std::string_view word) {
    return rest.find(word) != std::string_view::npos;
  };
  wish.only_up = asked(";up");
  wish.no_refresh = asked(";norefresh");
  if (asked(";csv")) {
    wish.form = Form::kCsv;
  } else if (asked(";typed")) {
    wish.form = Form::kTyped;
  } else if (asked(";json")) {
    wish.form = Form::kJson;
  }
  if (const std::size_t at = rest.find(";scope="); at != std::string_view::npos) {
    const std::string_view scope = rest.substr(at + 7);
    wish.scope = scope.substr(0, std::min(scope.find_first_of(";&?"), kScopeMax));
  }
  return wish;
}

std::string render_text(const Generation& generation, const StatsFilter& filter, int maxconn,
                        Instant now, StatsFormat format) {
  std::string out;
  const StatsTextOptions options{format, false};
  StatsCursor cursor(generation, filter, maxconn, now);
  StatsRow row;
  append_stats_head(out, options);
  for (bool first = true; cursor.next(row); first = false) {
    append_stats_row(out, row, options, first);
  }
  append_stats_tail(out, options);
  return out;
}

std::string_view content_type(Form form) {
  switch (form) {
    case Form::kHtml:
      // No script, and nothing from elsewhere: also if a name got past the escaping.
      return "text/html; charset=utf-8\r\n"
             "content-security-policy: default-src 'none'; style-src 'unsafe-inline'; img-src "
             "data:";
    case Form::kCsv:
    case Form::kTyped:
      return "text/plain; charset=utf-8";
    case Form::kJson:
      return "application/json";
  }
  return "text/plain";
}

// The page has no form that changes anything; a POST is sent back to it, as HAProxy does without
// "stats admin".
std::string deny_post(const StatsPageConfig& page, bool close) {
  std::string out = "HTTP/1.1 303 See Other\r\ncache-control: no-cache\r\nlocation: ";
  out += page.uri;
  out += ";st=DENY\r\ncontent-length: 0\r\n";
  if (close) out += "connection: close\r\n";
  out += "\r\n";
  return out;
}

std::string refuse(const StatsPageConfig& page, const StatsRequest& request) {
  http::ErrorResponse refusal;
  refusal.status = 401;
  refusal.close = request.close;
  refusal.head_only = request.method == "HEAD";
  const std::string field = http::make_authenticate_field(401, page.realm);
  refusal.fields = field;
  return http::make_error_response(refusal);
}

}  // namespace

bool stats_page_covers(const StatsPageConfig& page, std::string_view target) {
  return page.enabled && !page.uri.empty() && compared_part(page, target).starts_with(page.uri);
}

std::optional<std::string> stats_response(const StatsPageConfig& page, const Generation& generation,
                                          const ProcessInfo& process, const StatsRequest& request,
                                          Instant now, WallTime wall_time) {
  if (!stats_page_covers(page, request.target)) return std::nullopt;
  const bool head = request.method == "HEAD";
  const bool post = request.method == "POST";
  if (!head && !post && request.method != "GET") return std::nullopt;
  if (!page.credentials.empty() &&
      !http::basic_credentials_match(request.authorization, page.credentials)) {
    return refuse(page, request);
  }
  if (post) return deny_post(page, request.close);

  const Wish wish = parse_wish(compared_part(page, request.target).substr(page.uri.size()));
  StatsFilter filter;
  filter.only_up = wish.only_up;
  filter.scope = wish.scope;
  filter.details = page.show_legends;
  const bool refreshing = page.refresh.has_value() && !wish.no_refresh;

  std::string body;
  switch (wish.form) {
    case Form::kHtml: {
      StatsHtmlOptions options;
      options.uri = page.uri;
      options.refreshing = refreshing;
      options.may_refresh = page.refresh.has_value();
      options.show_version = !page.hide_version;
      if (page.show_node) options.node = page.show_node->empty() ? process.node : *page.show_node;
      append_stats_html(body, generation, process, filter, options, now, wall_time);
      break;
    }
    case Form::kCsv:
      body = render_text(generation, filter, process.maxconn, now, StatsFormat::kCsv);
      break;
    case Form::kTyped:
      body = render_text(generation, filter, process.maxconn, now, StatsFormat::kTyped);
      break;
    case Form::kJson:
      body = render_text(generation, filter, process.maxconn, now, StatsFormat::kJson);
      break;
  }

  std::string out = "HTTP/1.1 200 OK\r\ncache-control: no-cache\r\ncontent-type: ";
  out += content_type(wish.form);
  out += "\r\n";
  if (refreshing) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*page.refresh).count();
    out += "refresh: " + std::to_string(std::max<std::int64_t>(1, seconds)) + "\r\n";
  }
  out += "content-length: " + std::to_string(body.size()) + "\r\n";
  if (request.close) out += "connection: close\r\n";
  out += "\r\n";
  if (!head) out += body;
  return out;
}

}  // namespace nines::proxy

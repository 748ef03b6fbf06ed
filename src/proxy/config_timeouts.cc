// "timeout <name> <time>", section 4.2.
#include "proxy/config_draft.h"

namespace nines::proxy {
namespace {

template <std::optional<Duration> Timeouts::*Member>
void set_timeout(ProxyDraft& draft, Statement& statement) {
  const auto value = statement.take_duration("a time");
  if (!value || !statement.expect_end()) return;
  // Zero is how HAProxy writes "no timeout".
  draft.config.timeouts.*Member =
      *value == Duration::zero() ? std::nullopt : std::optional<Duration>(*value);
}

constexpr unsigned kFront = kInDefaults | kInFrontend;
constexpr unsigned kBack = kInDefaults | kInBackend;

constexpr Keyword<ProxyDraft> kTimeouts[] = {
    {"check", kBack, &set_timeout<&Timeouts::check>},
    {"client", kFront, &set_timeout<&Timeouts::client>},
    {"client-fin", kFront, &set_timeout<&Timeouts::client_fin>},
    {"connect", kBack, &set_timeout<&Timeouts::connect>},
    {"http-keep-alive", kAnywhere, &set_timeout<&Timeouts::http_keep_alive>},
    {"http-request", kAnywhere, &set_timeout<&Timeouts::http_request>},
    {"queue", kBack, &set_timeout<&Timeouts::queue>},
    {"server", kBack, &set_timeout<&Timeouts::server>},
    {"server-fin", kBack, &set_timeout<&Timeouts::server_fin>},
    harmless<ProxyDraft>("tarpit", kAnywhere, "nothing is ever held in a tarpit here"),
    {"tunnel", kBack, &set_timeout<&Timeouts::tunnel>},
};

}  // namespace

void read_timeout(ProxyDraft& draft, Statement& statement) {
  if (statement.at_end()) {
    statement.error_missing("the name of a timeout and a time")
        .with_allowed(joined(keyword_names<ProxyDraft>(kTimeouts)));
    return;
  }
  statement.descend();
  const std::string name = statement.name();
  const auto* keyword = dispatch<ProxyDraft>(kTimeouts, draft, statement, "timeout", "");
  if (keyword == nullptr || draft.is_defaults()) return;
  const bool fits = (draft.config.frontend && (keyword->where & kInFrontend) != 0) ||
                    (draft.config.backend && (keyword->where & kInBackend) != 0);
  if (!fits) {
    statement.warning(statement.keyword(), "'" + name + "' is ignored here: a " +
                                               std::string(name_of(draft.kind)) +
                                               " has no use for it");
  }
}

void list_timeout_keywords(std::vector<KeywordInfo>& out) {
  list_keywords<ProxyDraft>(kTimeouts, "timeout ", out);
}

}  // namespace nines::proxy

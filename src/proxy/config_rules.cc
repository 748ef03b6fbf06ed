// "http-request <action> ... [if|unless COND]" and "use_backend", section 4.2.
#include <algorithm>

#include "proxy/config_draft.h"

namespace nines::proxy {
namespace {

using Action = HttpRequestRule::Action;

// A field name by RFC 9110 section 5.6.2 (token).
bool is_token(std::string_view text) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  for (const char c : text) {
    const bool alphanumeric =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!alphanumeric && kMarks.find(c) == std::string_view::npos) return false;
  }
  return !text.empty();
}

// A literal in a header must not break out of it.
bool is_safe_value(const std::vector<FormatPiece>& value) {
  return std::none_of(value.begin(), value.end(), [](const FormatPiece& piece) {
    return piece.literal.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos;
  });
}

template <Action Which>
void header_rule(ProxyDraft& draft, Statement& statement) {
  HttpRequestRule rule;
  rule.action = Which;
  rule.place = statement.place();
  const Word* name = statement.take_word("the name of a header");
  if (name == nullptr) return;
  if (!is_token(name->text)) {
    statement.error(*name, "this is not the name of a header");
    return;
  }
  rule.header = name->text;
  std::optional<std::vector<FormatPiece>> format(std::in_place);
  if (Which == Action::kDelHeader) {
    if (const Word* word = statement.peek(); word != nullptr && word->text == "-m") {
      statement.error(*word, "matching several header names is not supported by nines")
          .with_help("write one 'http-request del-header' for each name");
      return;
    }
  } else {
    const Word* value = statement.take_word("the value of the header");
    if (value == nullptr) return;
    format = parse_format(statement, *value);
    if (format && !is_safe_value(*format)) {
      statement.error(*value, "a header's value holds no line break");
      format.reset();
    }
  }
  // The condition is read even behind a bad value, for the mistakes in it.
  auto condition = read_condition(draft, statement);
  if (!format || !condition) return;
  rule.value = std::move(*format);
  rule.condition = std::move(*condition);
  if (!draft.config.use_backends.empty() && !draft.is_defaults()) {
    statement.warning(statement.keyword(),
                      "this rule stands behind a 'use_backend' but runs before it");
  }
  draft.config.http_request_rules.push_back(std::move(rule));
}

constexpr std::string_view kDecideOnServer =
    "remove it and decide in the service, or put a web server in front for it";
constexpr std::string_view kHeadersOnly = "set-header, add-header and del-header are offered";
constexpr std::string_view kNoTables = "stick tables and maps are not offered: remove it";

constexpr unsigned kWhere = kInNamedDefaults | kInFrontend | kInBackend;

constexpr Keyword<ProxyDraft> absent(std::string_view name, std::string_view advice) {
  return unsupported<ProxyDraft>(name, kWhere, advice);
}
constexpr Keyword<ProxyDraft> no_effect(std::string_view name, std::string_view why) {
  return harmless<ProxyDraft>(name, kWhere, why);
}

constexpr Keyword<ProxyDraft> kActions[] = {
    absent("add-acl", kNoTables),
    {"add-header", kWhere, &header_rule<Action::kAddHeader>},
    absent("allow", kDecideOnServer),
    absent("auth", kDecideOnServer),
    absent("cache-use", "caches are not offered: remove it"),
    absent("capture", kHeadersOnly),
    absent("del-acl", kNoTables),
    {"del-header", kWhere, &header_rule<Action::kDelHeader>},
    absent("del-map", kNoTables),
    absent("deny", kDecideOnServer),
    absent("disable-l7-retry", "remove it"),
    absent("do-resolve", "host names are not resolved"),
    absent("early-hint", kHeadersOnly),
    absent("normalize-uri", kDecideOnServer),
    absent("redirect", kDecideOnServer),
    absent("reject", kDecideOnServer),
    absent("replace-header", kHeadersOnly),
    absent("replace-path", kDecideOnServer),
    absent("replace-pathq", kDecideOnServer),
    absent("replace-uri", kDecideOnServer),
    absent("replace-value", kHeadersOnly),
    absent("return", kDecideOnServer),
    absent("sc-inc-gpc", kNoTables),
    absent("sc-inc-gpc0", kNoTables),
    absent("sc-inc-gpc1", kNoTables),
    absent("sc-set-gpt", kNoTables),
    absent("sc-set-gpt0", kNoTables),
    absent("send-spoe-group", "filters are not offered"),
    absent("set-dst", "name the servers"),
    absent("set-dst-port", "name the servers"),
    {"set-header", kWhere, &header_rule<Action::kSetHeader>},
    absent("set-log-level", "filter by level on the 'log' line"),
    absent("set-map", kNoTables),
    absent("set-mark", "remove it"),
    absent("set-method", kDecideOnServer),
    no_effect("set-nice", "every request is as important as the next"),
    absent("set-path", kDecideOnServer),
    absent("set-pathq", kDecideOnServer),
    absent("set-priority-class", "the queue is first in, first out"),
    absent("set-priority-offset", "the queue is first in, first out"),
    absent("set-query", kDecideOnServer),
    absent("set-src", kHeadersOnly),
    absent("set-src-port", kHeadersOnly),
    absent("set-timeout", "set the timeout on the proxy"),
    absent("set-tos", "remove it"),
    absent("set-uri", kDecideOnServer),
    absent("set-var", "variables are not offered"),
    absent("set-var-fmt", "variables are not offered"),
    absent("silent-drop", kDecideOnServer),
    absent("strict-mode", "remove it"),
    absent("tarpit", kDecideOnServer),
    absent("track-sc0", kNoTables),
    absent("track-sc1", kNoTables),
    absent("track-sc2", kNoTables),
    absent("unset-var", "variables are not offered"),
    absent("use-service", "scrape the statistics page's ;csv or the API's metrics"),
    absent("wait-for-body", "remove it: bodies pass through as they come"),
    absent("wait-for-handshake", "TLS is not offered"),
};

}  // namespace

void read_http_request(ProxyDraft& draft, Statement& statement) {
  if (statement.at_end()) {
    statement.error_missing("an action").with_allowed("set-header, add-header, del-header");
    return;
  }
  statement.descend();
  const Word& word = statement.keyword();
  // "set-var(txn.x)": the name ends at the parenthesis.
  const std::string_view name = std::string_view(word.text).substr(0, word.text.find('('));
  const Keyword<ProxyDraft>* keyword = find_keyword<ProxyDraft>(kActions, name);
  if (keyword == nullptr) {
    answer_unknown(statement, word, "'http-request' action", "",
                   keyword_names<ProxyDraft>(kActions));
  } else if (keyword->handler == nullptr) {
    answer_without_handler(statement, word, statement.name(), keyword->support, keyword->advice);
  } else {
    keyword->handler(draft, statement);
  }
}

void read_use_backend(ProxyDraft& draft, Statement& statement) {
  const Word* name = statement.take_word("the name of a backend");
  if (name == nullptr) return;
  if (name->text.find('%') != std::string::npos) {
    statement.error(*name, "a backend's name made of variables is not supported by nines")
        .with_help("write one 'use_backend' for each backend");
    return;
  }
  auto condition = read_condition(draft, statement);
  if (!condition) return;
  draft.use_backends.push_back({name->text, name->span});
  draft.config.use_backends.push_back({name->text, std::move(*condition), statement.place()});
}

void list_rule_keywords(std::vector<KeywordInfo>& out) {
  list_keywords<ProxyDraft>(kActions, "http-request ", out);
}

}  // namespace nines::proxy

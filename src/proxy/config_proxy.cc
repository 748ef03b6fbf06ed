// The statements of defaults, frontend, backend and listen: the table of section 4.1, and the
// handlers that are short enough to stand beside it.
#include <array>

#include "proxy/config_draft.h"

namespace nines::proxy {
namespace {

constexpr std::string_view kSectionNames[] = {"defaults", "frontend", "backend", "listen"};

void read_mode(ProxyDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("tcp or http");
  if (word == nullptr || !statement.expect_end()) return;
  if (word->text == "http") {
    draft.config.mode = Mode::kHttp;
  } else if (word->text == "tcp") {
    draft.config.mode = Mode::kTcp;
  } else if (word->text == "health") {
    statement.error(*word, "'mode health' is no longer part of HAProxy's language")
        .with_help("write 'monitor-uri' in an HTTP frontend");
  } else {
    text::Diagnostic& diagnostic = statement.error(*word, "unknown mode");
    constexpr std::array<std::string_view, 2> kModes = {"tcp", "http"};
    diagnostic.with_allowed("tcp, http");
    add_suggestion(diagnostic, word->text, kModes);
  }
}

void read_log(ProxyDraft& draft, Statement& statement) {
  if (statement.prefix() == Statement::Prefix::kNo) {
    if (!statement.expect_end()) return;
    draft.log_global = false;
    draft.config.log_targets.clear();
    return;
  }
  if (statement.accept("global")) {
    if (statement.expect_end()) draft.log_global = true;
    return;
  }
  if (auto target = read_log_target(statement)) {
    draft.config.log_targets.push_back(std::move(*target));
  }
}

void read_log_tag(ProxyDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("a tag");
  if (word != nullptr) draft.config.log_tag = word->text;
}

template <int ProxyConfig::*Member>
void read_count(ProxyDraft& draft, Statement& statement) {
  const auto value = statement.take_integer("a number", 0, INT32_MAX);
  if (value && statement.expect_end()) draft.config.*Member = static_cast<int>(*value);
}

void read_backlog(ProxyDraft& draft, Statement& statement) {
  const auto value = statement.take_integer("a backlog", 0, INT32_MAX);
  if (value && statement.expect_end()) draft.config.backlog = static_cast<int>(*value);
}

void read_balance(ProxyDraft& draft, Statement& statement);

void read_hash_type(ProxyDraft&, Statement& statement) {
  const Word* word = statement.take_word("map-based or consistent");
  if (word == nullptr) return;
  if (word->text == "map-based") {
    statement.warning(*word, "'hash-type map-based' is what nines does anyway");
    statement.skip_rest();
    return;
  }
  statement.error(*word, "'hash-type " + word->text + "' is known but not supported by nines")
      .with_help("remove it: 'balance source' maps addresses onto the living servers");
}

void read_default_backend(ProxyDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("the name of a backend");
  if (word == nullptr || !statement.expect_end()) return;
  draft.config.default_backend = word->text;
  draft.default_backend = BackendReference{word->text, word->span};
}

void read_monitor_uri(ProxyDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("a URI");
  if (word != nullptr && statement.expect_end()) draft.config.monitor_uri = word->text;
}

void read_enabled(ProxyDraft& draft, Statement& statement) {
  if (statement.expect_end()) draft.config.disabled = false;
}
void read_disabled(ProxyDraft& draft, Statement& statement) {
  if (statement.expect_end()) draft.config.disabled = true;
}

void read_description(ProxyDraft& draft, Statement& statement) {
  if (statement.at_end()) {
    statement.error_missing("a text");
    return;
  }
  draft.config.description.clear();
  while (const Word* word = statement.take()) {
    if (!draft.config.description.empty()) draft.config.description += ' ';
    draft.config.description += word->text;
  }
}

void read_http_reuse(ProxyDraft& draft, Statement& statement) {
  constexpr std::array<std::string_view, 4> kModes = {"never", "safe", "aggressive", "always"};
  const Word* word = statement.take_word("a mode");
  if (word == nullptr || !statement.expect_end()) return;
  for (std::size_t i = 0; i < kModes.size(); ++i) {
    if (word->text != kModes[i]) continue;
    draft.config.http_reuse = static_cast<HttpReuse>(i);
    return;
  }
  text::Diagnostic& diagnostic = statement.error(*word, "unknown mode of 'http-reuse'");
  diagnostic.with_allowed(joined(kModes));
  add_suggestion(diagnostic, word->text, kModes);
}

constexpr unsigned kFront = kInDefaults | kInFrontend;
constexpr unsigned kBack = kInDefaults | kInBackend;
constexpr unsigned kBoth = kInFrontend | kInBackend;
constexpr unsigned kNamed = kInNamedDefaults | kInFrontend | kInBackend;

constexpr Keyword<ProxyDraft> absent(std::string_view name, unsigned where,
                                     std::string_view advice) {
  return unsupported<ProxyDraft>(name, where, advice);
}
constexpr Keyword<ProxyDraft> no_effect(std::string_view name, unsigned where,
                                        std::string_view why) {
  return harmless<ProxyDraft>(name, where, why);
}
constexpr Keyword<ProxyDraft> gone(std::string_view name, std::string_view advice) {
  return removed<ProxyDraft>(name, kAnywhere, advice);
}

constexpr std::string_view kUseSource = "write 'balance source' to keep a client on its server";
constexpr std::string_view kNoPages = "remove it: error answers have nines' own text";
constexpr std::string_view kDecideOnServer =
    "remove it and decide in the service, or put a web server in front for it";
constexpr std::string_view kKernelProbes = "the kernel's keep-alive settings apply (net.ipv4)";
constexpr std::string_view kNoMail = "mail is not sent: watch the log or the API";
constexpr std::string_view kLogFormats = "write 'option httplog' or 'option tcplog'";
constexpr std::string_view kNoTcpRules = "rules on raw bytes are not offered: use a packet filter";
constexpr std::string_view kWriteHttpRequest = "write 'http-request' rules";
constexpr std::string_view kWriteHttpResponse = "it was replaced by 'http-response' rules";

constexpr Keyword<ProxyDraft> kProxyKeywords[] = {
    {"acl", kNamed, &read_acl},
    gone("appsession", kUseSource),
    {"backlog", kFront, &read_backlog},
    {"balance", kBack, &read_balance},
    {"bind", kInFrontend, &read_bind},
    no_effect("bind-process", kAnywhere, "there is one process"),
    gone("block", kDecideOnServer),
    absent("capture", kInFrontend, "remove it: headers and cookies are not captured"),
    gone("clitimeout", "write 'timeout client'"),
    no_effect("clitcpka-cnt", kFront, kKernelProbes),
    no_effect("clitcpka-idle", kFront, kKernelProbes),
    no_effect("clitcpka-intvl", kFront, kKernelProbes),
    absent("compression", kAnywhere, "remove it: let the services compress"),
    gone("contimeout", "write 'timeout connect'"),
    absent("cookie", kBack, kUseSource),
    absent("declare", kInFrontend, "remove it: headers are not captured"),
    {"default-server", kBack, &read_default_server},
    {"default_backend", kFront, &read_default_backend},
    {"description", kBoth, &read_description},
    {"disabled", kAnywhere, &read_disabled},
    absent("dispatch", kInBackend, "write a 'server' line"),
    absent("email-alert", kAnywhere, kNoMail),
    {"enabled", kAnywhere, &read_enabled},
    absent("error-log-format", kFront, kLogFormats),
    absent("errorfile", kAnywhere, kNoPages),
    absent("errorfiles", kAnywhere, kNoPages),
    absent("errorloc", kAnywhere, kNoPages),
    absent("errorloc302", kAnywhere, kNoPages),
    absent("errorloc303", kAnywhere, kNoPages),
    absent("external-check", kAnywhere, "use 'option httpchk' or 'option mysql-check'"),
    absent("filter", kBoth, "filters are not offered"),
    absent("force-persist", kInBackend, kUseSource),
    {"fullconn", kBack, &read_count<&ProxyConfig::fullconn>},
    gone("grace", "write 'hard-stop-after' in the global section"),
    {"hash-type", kBack, &read_hash_type},
    absent("http-after-response", kNamed, "rules on answers are not offered: remove it"),
    {"http-check", kBack, &read_http_check},
    absent("http-error", kAnywhere, kNoPages),
    {"http-request", kNamed, &read_http_request},
    absent("http-response", kNamed, "rules on answers are not offered: remove it"),
    {"http-reuse", kBack, &read_http_reuse},
    absent("http-send-name-header", kBack, "remove it"),
    no_effect("id", kBoth, "proxies are numbered by nines"),
    absent("ignore-persist", kInBackend, kUseSource),
    absent("load-server-state-from-file", kBack,
           "remove it: a reload keeps what is known of the servers"),
    {"log", kAnywhere, &read_log},
    absent("log-format", kFront, kLogFormats),
    absent("log-format-sd", kFront, kLogFormats),
    {"log-tag", kAnywhere, &read_log_tag},
    no_effect("max-keep-alive-queue", kBack, "connections to servers are chosen by load"),
    {"maxconn", kFront, &read_count<&ProxyConfig::maxconn>},
    {"mode", kAnywhere, &read_mode},
    absent("monitor", kInFrontend, "write 'monitor-uri'"),
    gone("monitor-net", "write 'monitor-uri'"),
    {"monitor-uri", kFront, &read_monitor_uri},
    {"option", kAnywhere, &read_option},
    absent("persist", kAnywhere, kUseSource),
    absent("rate-limit", kFront, "write 'maxconn'"),
    absent("redirect", kBoth, kDecideOnServer),
    gone("redisp", "write 'option redispatch'"),
    gone("redispatch", "write 'option redispatch'"),
    gone("reqadd", "write 'http-request add-header'"),
    gone("reqallow", kWriteHttpRequest),
    gone("reqdel", "write 'http-request del-header'"),
    gone("reqdeny", kWriteHttpRequest),
    gone("reqiallow", kWriteHttpRequest),
    gone("reqidel", "write 'http-request del-header'"),
    gone("reqideny", kWriteHttpRequest),
    gone("reqipass", kWriteHttpRequest),
    gone("reqirep", kWriteHttpRequest),
    gone("reqitarpit", kWriteHttpRequest),
    gone("reqpass", kWriteHttpRequest),
    gone("reqrep", kWriteHttpRequest),
    gone("reqtarpit", kWriteHttpRequest),
    {"retries", kBack, &read_count<&ProxyConfig::retries>},
    absent("retry-on", kBack,
           "remove it: a request that was not sent, or is idempotent and unanswered, is retried"),
    gone("rspadd", kWriteHttpResponse),
    gone("rspdel", kWriteHttpResponse),
    gone("rspdeny", kWriteHttpResponse),
    gone("rspidel", kWriteHttpResponse),
    gone("rspideny", kWriteHttpResponse),
    gone("rspirep", kWriteHttpResponse),
    gone("rsprep", kWriteHttpResponse),
    {"server", kInBackend, &read_server},
    absent("server-state-file-name", kBack,
           "remove it: a reload keeps what is known of the servers"),
    absent("server-template", kInBackend, "write a 'server' line for each"),
    absent("source", kAnywhere, "the route's source address is used: set it in the routing table"),
    no_effect("srvtcpka-cnt", kBack, kKernelProbes),
    no_effect("srvtcpka-idle", kBack, kKernelProbes),
    no_effect("srvtcpka-intvl", kBack, kKernelProbes),
    gone("srvtimeout", "write 'timeout server'"),
    {"stats", kAnywhere, &read_stats},
    absent("stick", kInBackend, kUseSource),
    absent("stick-table", kBoth, "remove it; 'balance source' keeps a client on its server"),
    absent("tcp-check", kBack, "remove it: 'option tcp-check' alone is a plain connection"),
    absent("tcp-request", kNamed, kNoTcpRules),
    absent("tcp-response", kNamed, kNoTcpRules),
    {"timeout", kAnywhere, &read_timeout},
    absent("transparent", kAnywhere, "name the servers"),
    absent("unique-id-format", kFront,
           "remove it: OpenStack's services make their own request ids"),
    absent("unique-id-header", kFront,
           "remove it: OpenStack's services make their own request ids"),
    absent("use-fcgi-app", kInBackend, "put a web server in front for it"),
    absent("use-server", kInBackend, "remove it: 'balance' chooses the server"),
    {"use_backend", kInFrontend, &read_use_backend},
};

struct Balance {
  std::string_view name;
  std::optional<BalanceAlgorithm> algorithm;
  std::string_view advice;
};
constexpr Balance kBalances[] = {
    {"first", BalanceAlgorithm::kFirst, {}},
    {"hash", std::nullopt, "write 'balance source'"},
    {"hdr", std::nullopt, "write 'balance source'"},
    {"leastconn", BalanceAlgorithm::kLeastConn, {}},
    {"random", std::nullopt, "write 'balance leastconn'"},
    {"rdp-cookie", std::nullopt, "write 'balance source'"},
    {"roundrobin", BalanceAlgorithm::kRoundRobin, {}},
    {"source", BalanceAlgorithm::kSource, {}},
    {"static-rr", std::nullopt, "write 'balance roundrobin'"},
    {"uri", std::nullopt, "write 'balance leastconn'"},
    {"url_param", std::nullopt, "write 'balance source'"},
};

void read_balance(ProxyDraft& draft, Statement& statement) {
  // Alone it means the default, as in HAProxy.
  if (statement.at_end()) {
    draft.config.balance = BalanceAlgorithm::kRoundRobin;
    return;
  }
  const Word& word = *statement.take();
  const std::string_view name = std::string_view(word.text).substr(0, word.text.find('('));
  for (const Balance& balance : kBalances) {
    if (balance.name != name) continue;
    if (balance.algorithm) {
      if (statement.expect_end()) draft.config.balance = *balance.algorithm;
    } else {
      statement
          .error_at(word.span,
                    "'balance " + std::string(name) + "' is known but not supported by nines")
          .with_help(balance.advice);
    }
    return;
  }
  text::Diagnostic& diagnostic = statement.error(word, "unknown way to balance");
  std::vector<std::string_view> names;
  for (const Balance& balance : kBalances) {
    if (balance.algorithm) names.push_back(balance.name);
  }
  diagnostic.with_allowed(joined(names));
  add_suggestion(diagnostic, word.text, names);
}

// True when the keyword may stand in this section. A keyword of the other side is only ignored, as
// in HAProxy, but a server that would never be used is a mistake.
bool may_stand(const ProxyDraft& draft, const Keyword<ProxyDraft>& keyword, Statement& statement) {
  const std::string name = "'" + statement.name() + "'";
  if (draft.is_defaults()) {
    if ((keyword.where & kInDefaults) != 0) return true;
    if ((keyword.where & kInNamedDefaults) != 0) {
      if (!draft.config.name.empty()) return true;
      statement.error(statement.keyword(), name + " may not stand in a 'defaults' without a name")
          .with_help("give the section a name, or write it in the proxies");
      return false;
    }
    statement.error(statement.keyword(), name + " may not stand in a 'defaults' section")
        .with_help("write it in the proxies");
    return false;
  }
  if ((draft.config.frontend && (keyword.where & kInFrontend) != 0) ||
      (draft.config.backend && (keyword.where & kInBackend) != 0)) {
    return true;
  }
  const std::string section = std::string(name_of(draft.kind));
  if (keyword.name == "server") {
    statement.error(statement.keyword(), name + " may not stand in a '" + section + "' section")
        .with_help("write it in a 'backend' or make this a 'listen'");
  } else {
    statement.warning(statement.keyword(),
                      name + " is ignored here: a " + section + " has no use for it");
  }
  return false;
}

// "no option x", "default option x", "no log".
bool take_prefix(Statement& statement) {
  const std::string_view text = statement.keyword().text;
  if (text != "no" && text != "default") return true;
  const bool is_no = text == "no";
  const Word* next = statement.peek();
  if (next == nullptr) {
    statement.error_missing("what to turn off").with_allowed("option NAME, log");
    return false;
  }
  if (next->text != "option" && !(is_no && next->text == "log")) {
    statement.error(*next, "'" + std::string(text) + "' does not go with this")
        .with_allowed(is_no ? "no option NAME, no log" : "default option NAME");
    return false;
  }
  statement.set_prefix(is_no ? Statement::Prefix::kNo : Statement::Prefix::kDefault);
  statement.descend();
  return true;
}

}  // namespace

std::string_view name_of(SectionKind kind) { return kSectionNames[static_cast<int>(kind)]; }

std::string ProxyDraft::title() const {
  std::string out(name_of(kind));
  if (!config.name.empty()) out.append(" '").append(config.name).append("'");
  return out;
}

bool is_identifier(std::string_view name) {
  for (const char c : name) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || c == '.' || c == ':';
    if (!good) return false;
  }
  return !name.empty();
}

void read_proxy_statement(ProxyDraft& draft, Statement& statement) {
  if (!take_prefix(statement)) return;
  const Word& word = statement.keyword();
  const Keyword<ProxyDraft>* keyword = find_keyword<ProxyDraft>(kProxyKeywords, word.text);
  if (keyword != nullptr && keyword->support != KeywordSupport::kRemoved &&
      !may_stand(draft, *keyword, statement)) {
    return;
  }
  dispatch<ProxyDraft>(kProxyKeywords, draft, statement, "keyword",
                       "'" + std::string(name_of(draft.kind)) + "' section");
}

void list_proxy_keywords(std::vector<KeywordInfo>& out) {
  list_keywords<ProxyDraft>(kProxyKeywords, "", out);
  for (const Balance& balance : kBalances) {
    out.push_back({"balance " + std::string(balance.name),
                   balance.algorithm ? KeywordSupport::kSupported : KeywordSupport::kUnsupported,
                   std::string(balance.advice)});
  }
  out.push_back({"no log", KeywordSupport::kSupported, {}});
  out.push_back({"log global", KeywordSupport::kSupported, {}});
}

}  // namespace nines::proxy

// "[no|default] option <name>", section 4.2.
#include "proxy/config_address.h"
#include "proxy/config_draft.h"

namespace nines::proxy {
namespace {

using Prefix = Statement::Prefix;

// "no" and "default" both turn a plain switch off: none of ours is on by default.
template <bool ProxyConfig::*Member>
void set_switch(ProxyDraft& draft, Statement& statement) {
  if (statement.expect_end()) draft.config.*Member = statement.prefix() == Prefix::kNone;
}

// These three replace one another; "no" takes back only the one it names.
template <HttpConnectionMode Mode>
void set_connection_mode(ProxyDraft& draft, Statement& statement) {
  if (!statement.expect_end()) return;
  HttpConnectionMode& mode = draft.config.connection_mode;
  if (statement.prefix() == Prefix::kNone) {
    mode = Mode;
  } else if (mode == Mode) {
    mode = HttpConnectionMode::kKeepAlive;
  }
}

void option_httplog(ProxyDraft& draft, Statement& statement) {
  if (const Word* word = statement.peek(); word != nullptr && word->text == "clf") {
    statement.error(*word, "'option httplog clf' is known but not supported by nines")
        .with_help("write 'option httplog'");
    return;
  }
  if (!statement.expect_end()) return;
  draft.config.http_log = true;
  draft.config.tcp_log = false;
  draft.httplog_span = statement.keyword().span;
}

void option_tcplog(ProxyDraft& draft, Statement& statement) {
  if (!statement.expect_end()) return;
  draft.config.tcp_log = true;
  draft.config.http_log = false;
  draft.httplog_span.reset();
}

// "option forwardfor [except NETWORK] [header NAME] [if-none]"
void option_forwardfor(ProxyDraft& draft, Statement& statement) {
  ProxyConfig::ForwardFor forward_for;
  forward_for.enabled = true;
  while (const Word* word = statement.take()) {
    if (word->text == "except") {
      const Word* value = statement.take_word("a network behind 'except'");
      if (value == nullptr) return;
      const auto network = parse_network(statement, *value);
      if (!network) return;
      forward_for.except_network = network->address;
      forward_for.except_prefix_length = network->prefix_length;
    } else if (word->text == "header") {
      const Word* value = statement.take_word("a name behind 'header'");
      if (value == nullptr) return;
      forward_for.header = value->text;
    } else if (word->text == "if-none") {
      forward_for.if_none = true;
    } else {
      statement.error(*word, "unknown argument of 'option forwardfor'")
          .with_allowed("except NETWORK, header NAME, if-none");
      return;
    }
  }
  draft.config.forward_for = forward_for;
}

void option_redispatch(ProxyDraft& draft, Statement& statement) {
  if (statement.prefix() != Prefix::kNone) {
    if (statement.expect_end()) draft.config.redispatch = 0;
    return;
  }
  if (statement.at_end()) {
    draft.config.redispatch = -1;
    return;
  }
  const auto interval = statement.take_integer("an interval of retries", -100, 100);
  if (interval && statement.expect_end()) draft.config.redispatch = static_cast<int>(*interval);
}

void option_tcpka(ProxyDraft& draft, Statement& statement) {
  if (!statement.expect_end()) return;
  draft.config.client_keepalive = true;
  draft.config.server_keepalive = true;
}

// Without rules a "tcp-check" is a plain connection.
void option_tcp_check(ProxyDraft& draft, Statement& statement) {
  if (statement.expect_end()) draft.config.check = {};
}

constexpr unsigned kFront = kInDefaults | kInFrontend;
constexpr unsigned kBack = kInDefaults | kInBackend;

struct OptionKeyword : Keyword<ProxyDraft> {
  bool negatable = false;
};

constexpr OptionKeyword plain(std::string_view name, unsigned where,
                              void (*handler)(ProxyDraft&, Statement&)) {
  return {{name, where, handler}, false};
}
constexpr OptionKeyword negatable(std::string_view name, unsigned where,
                                  void (*handler)(ProxyDraft&, Statement&)) {
  return {{name, where, handler}, true};
}
constexpr OptionKeyword no_effect(std::string_view name, unsigned where, std::string_view why) {
  return {harmless<ProxyDraft>(name, where, why), true};
}
constexpr OptionKeyword absent(std::string_view name, unsigned where, std::string_view advice) {
  return {unsupported<ProxyDraft>(name, where, advice), true};
}
constexpr OptionKeyword gone(std::string_view name, unsigned where, std::string_view advice) {
  return {removed<ProxyDraft>(name, where, advice), true};
}

constexpr std::string_view kChecks =
    "use 'option httpchk', 'option mysql-check', 'option galera-check', 'option keystone-check', "
    "or none for a plain connection";
constexpr std::string_view kKernelDoes = "the engine chooses how bytes move by itself";
constexpr std::string_view kRemoveIt = "remove it";

constexpr OptionKeyword kOptions[] = {
    no_effect("abortonclose", kBack, "a request whose client has gone leaves the queue anyway"),
    absent("accept-invalid-http-request", kFront,
           "remove it: requests that break the rules are refused, never guessed at"),
    absent("accept-invalid-http-response", kBack,
           "remove it: answers that break the rules are refused, never guessed at"),
    negatable("allbackups", kBack, &set_switch<&ProxyConfig::all_backups>),
    absent("checkcache", kBack, kRemoveIt),
    negatable("clitcpka", kFront, &set_switch<&ProxyConfig::client_keepalive>),
    no_effect("contstats", kFront, "statistics are always continuous"),
    no_effect("disable-h2-upgrade", kFront, "HTTP/2 is never spoken on a plain listener"),
    negatable("dontlog-normal", kFront, &set_switch<&ProxyConfig::dontlog_normal>),
    negatable("dontlognull", kFront, &set_switch<&ProxyConfig::dontlognull>),
    absent("external-check", kBack, kChecks),
    gone("forceclose", kAnywhere, "remove it, or write 'option httpclose'"),
    plain("forwardfor", kAnywhere, &option_forwardfor),
    plain("galera-check", kBack, &read_galera_check),
    absent("h1-case-adjust-bogus-client", kFront, kRemoveIt),
    absent("h1-case-adjust-bogus-server", kBack, kRemoveIt),
    absent("http-buffer-request", kAnywhere, kRemoveIt),
    no_effect("http-ignore-probes", kFront, "use 'option dontlognull' to keep probes out of logs"),
    negatable("http-keep-alive", kAnywhere, &set_connection_mode<HttpConnectionMode::kKeepAlive>),
    no_effect("http-no-delay", kAnywhere, "nothing is delayed here"),
    no_effect("http-pretend-keepalive", kBack, "connections to servers are kept by their own rule"),
    no_effect("http-restrict-req-hdr-names", kAnywhere,
              "header names are checked against RFC 9110 in any case"),
    negatable("http-server-close", kAnywhere,
              &set_connection_mode<HttpConnectionMode::kServerClose>),
    gone("http-tunnel", kAnywhere, "remove it: upgrades and CONNECT become tunnels by themselves"),
    no_effect("http-use-htx", kAnywhere, "it was a switch of HAProxy 1.9's own insides"),
    absent("http-use-proxy-header", kFront, kRemoveIt),
    plain("httpchk", kBack, &read_httpchk),
    negatable("httpclose", kAnywhere, &set_connection_mode<HttpConnectionMode::kClose>),
    plain("httplog", kFront, &option_httplog),
    absent("httpslog", kFront, "write 'option httplog'"),
    no_effect("idle-close-on-response", kFront, "idle connections are closed at a reload's end"),
    absent("independent-streams", kAnywhere, kRemoveIt),
    plain("keystone-check", kBack, &read_keystone_check),
    absent("ldap-check", kBack, kChecks),
    negatable("log-health-checks", kBack, &set_switch<&ProxyConfig::log_health_checks>),
    absent("log-separate-errors", kFront, kRemoveIt),
    absent("logasap", kFront, kRemoveIt),
    plain("mysql-check", kBack, &read_mysql_check),
    no_effect("nolinger", kAnywhere, "sockets are released without it"),
    absent("originalto", kAnywhere, kRemoveIt),
    absent("persist", kBack, "remove it; 'balance source' keeps a client on its server"),
    absent("pgsql-check", kBack, kChecks),
    no_effect("prefer-last-server", kBack, "connections to servers are pooled and chosen by load"),
    negatable("redispatch", kBack, &option_redispatch),
    absent("redis-check", kBack, kChecks),
    absent("smtpchk", kBack, kChecks),
    no_effect("socket-stats", kFront, "statistics are kept for each proxy"),
    no_effect("splice-auto", kAnywhere, kKernelDoes),
    no_effect("splice-request", kAnywhere, kKernelDoes),
    no_effect("splice-response", kAnywhere, kKernelDoes),
    absent("spop-check", kBack, kChecks),
    negatable("srvtcpka", kBack, &set_switch<&ProxyConfig::server_keepalive>),
    absent("ssl-hello-chk", kBack, kChecks),
    plain("tcp-check", kBack, &option_tcp_check),
    no_effect("tcp-smart-accept", kFront, "acknowledgements are always sent with the answer"),
    no_effect("tcp-smart-connect", kBack, "acknowledgements are always sent with the request"),
    plain("tcpka", kAnywhere, &option_tcpka),
    plain("tcplog", kAnywhere, &option_tcplog),
    absent("transparent", kBack, "name the servers"),
};

const OptionKeyword* find_option(std::string_view name) {
  for (const OptionKeyword& option : kOptions) {
    if (option.name == name) return &option;
  }
  return nullptr;
}

}  // namespace

void read_option(ProxyDraft& draft, Statement& statement) {
  if (statement.at_end()) {
    statement.error_missing("the name of an option");
    return;
  }
  statement.descend();
  const Word& word = statement.keyword();
  const OptionKeyword* option = find_option(word.text);
  if (option == nullptr) {
    std::vector<std::string_view> names;
    for (const OptionKeyword& known : kOptions) names.push_back(known.name);
    answer_unknown(statement, word, "option", "", names);
    return;
  }
  const bool negated = statement.prefix() != Prefix::kNone;
  if (negated && !option->negatable) {
    statement.error(word, "'no' and 'default' do not go with '" + statement.name() + "'")
        .with_help("start a new 'defaults' section without it");
    return;
  }
  if (!draft.is_defaults()) {
    const bool fits = (draft.config.frontend && (option->where & kInFrontend) != 0) ||
                      (draft.config.backend && (option->where & kInBackend) != 0);
    if (!fits) {
      statement.warning(word, "'" + statement.name() + "' is ignored here: a " +
                                  std::string(name_of(draft.kind)) + " has no use for it");
      return;
    }
  }
  if (option->handler != nullptr) {
    option->handler(draft, statement);
  } else if (negated && option->support == KeywordSupport::kUnsupported) {
    // Not to have what is not there is what we do.
    statement.skip_rest();
  } else {
    answer_without_handler(statement, word, statement.name(), option->support, option->advice);
  }
}

void list_option_keywords(std::vector<KeywordInfo>& out) {
  for (const OptionKeyword& option : kOptions) {
    out.push_back(
        {"option " + std::string(option.name), option.support, std::string(option.advice)});
  }
}

}  // namespace nines::proxy

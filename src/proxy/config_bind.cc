// "bind <address>[,...] [param*]", section 5.1, and the same parameters of "stats socket".
#include <array>

#include "proxy/config_address.h"
#include "proxy/config_draft.h"

namespace nines::proxy {
namespace {

// What the parameters of one line apply to.
struct BindTarget {
  std::vector<BindConfig>& binds;
  StatsSocketConfig* socket;  // null for "bind"
};

template <typename Change>
void each(BindTarget& target, Change change) {
  for (BindConfig& bind : target.binds) change(bind);
}

void bind_name(BindTarget& target, Statement& statement) {
  const Word* word = statement.take_word("a name behind 'name'");
  if (word != nullptr) each(target, [&](BindConfig& bind) { bind.name = word->text; });
}

void bind_backlog(BindTarget& target, Statement& statement) {
  const auto value = statement.take_integer("a backlog", 0, INT32_MAX);
  if (value) each(target, [&](BindConfig& bind) { bind.backlog = static_cast<int>(*value); });
}

void bind_maxconn(BindTarget& target, Statement& statement) {
  const auto value = statement.take_integer("a number of connections", 0, INT32_MAX);
  if (value) each(target, [&](BindConfig& bind) { bind.maxconn = static_cast<int>(*value); });
}

void bind_defer_accept(BindTarget& target, Statement&) {
  each(target, [](BindConfig& bind) { bind.defer_accept = true; });
}

void bind_transparent(BindTarget& target, Statement&) {
  each(target, [](BindConfig& bind) { bind.transparent = true; });
}

void bind_mode(BindTarget& target, Statement& statement) {
  const Word* word = statement.take_word("an octal mode behind 'mode'");
  if (word == nullptr) return;
  unsigned mode = 0;
  bool good = word->text.size() <= 5;
  for (const char c : word->text) {
    good = good && c >= '0' && c <= '7';
    mode = mode * 8 + static_cast<unsigned>(c - '0');
  }
  if (!good || mode > 07777) {
    statement.error(*word, "this is not a file mode").with_allowed("an octal number such as 660");
    return;
  }
  each(target, [&](BindConfig& bind) { bind.unix_mode = mode; });
}

// Only the runtime socket has an owner of its own.
template <std::string StatsSocketConfig::*Member>
void bind_owner(BindTarget& target, Statement& statement) {
  const Word* word = statement.take_word("a name or a number");
  if (word == nullptr) return;
  if (target.socket == nullptr) {
    statement.error(*word, "the owner of a Unix listener cannot be set in nines")
        .with_help("give its directory the owner, or use 'mode'");
    return;
  }
  target.socket->*Member = word->text;
}

void bind_level(BindTarget& target, Statement& statement) {
  constexpr std::array<std::string_view, 3> kLevels = {"user", "operator", "admin"};
  const Word* word = statement.take_word("a level behind 'level'");
  if (word == nullptr) return;
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (word->text != kLevels[i]) continue;
    if (target.socket != nullptr) target.socket->level = static_cast<SocketLevel>(i);
    return;
  }
  text::Diagnostic& diagnostic = statement.error(*word, "unknown level");
  diagnostic.with_allowed(joined(kLevels));
  add_suggestion(diagnostic, word->text, kLevels);
}

void bind_expose_fd(BindTarget&, Statement& statement) {
  const Word* word = statement.take_word("'listeners' behind 'expose-fd'");
  if (word == nullptr) return;
  if (word->text != "listeners") {
    statement.error(*word, "only listeners can be exposed").with_allowed("listeners");
    return;
  }
  statement.warning(*word, "'expose-fd listeners' has no effect in nines")
      .with_help("a reload keeps the listening sockets within the process");
}

constexpr std::string_view kNoTls =
    "TLS is not offered: terminate it in front of nines, or pass it through with 'mode tcp'";
constexpr std::string_view kNoProxyProtocol = "the PROXY protocol is not offered: remove it";

constexpr Keyword<BindTarget> tls(std::string_view name) {
  return unsupported<BindTarget>(name, kAnywhere, kNoTls);
}
constexpr Keyword<BindTarget> absent(std::string_view name, std::string_view advice) {
  return unsupported<BindTarget>(name, kAnywhere, advice);
}
constexpr Keyword<BindTarget> no_effect(std::string_view name, int arguments,
                                        std::string_view why) {
  return harmless<BindTarget>(name, kAnywhere, why, arguments);
}

constexpr Keyword<BindTarget> kBindKeywords[] = {
    absent("accept-netscaler-cip", kNoProxyProtocol),
    absent("accept-proxy", kNoProxyProtocol),
    tls("allow-0rtt"),
    tls("alpn"),
    {"backlog", kAnywhere, &bind_backlog},
    tls("ca-file"),
    tls("ca-ignore-err"),
    tls("ca-sign-file"),
    tls("ca-sign-pass"),
    tls("ca-verify-file"),
    tls("ciphers"),
    tls("ciphersuites"),
    tls("crl-file"),
    tls("crt"),
    tls("crt-ignore-err"),
    tls("crt-list"),
    tls("curves"),
    {"defer-accept", kAnywhere, &bind_defer_accept},
    tls("ecdhe"),
    {"expose-fd", kAnywhere, &bind_expose_fd},
    tls("force-sslv3"),
    tls("force-tlsv10"),
    tls("force-tlsv11"),
    tls("force-tlsv12"),
    tls("force-tlsv13"),
    tls("generate-certificates"),
    {"gid", kAnywhere, &bind_owner<&StatsSocketConfig::group>},
    {"group", kAnywhere, &bind_owner<&StatsSocketConfig::group>},
    no_effect("id", 1, "listeners are numbered by nines"),
    absent("interface", "bind the interface's address instead"),
    {"level", kAnywhere, &bind_level},
    {"maxconn", kAnywhere, &bind_maxconn},
    {"mode", kAnywhere, &bind_mode},
    no_effect("mss", 1, "the route's MSS is used"),
    {"name", kAnywhere, &bind_name},
    absent("namespace", "start nines in that network namespace"),
    no_effect("nice", 1, "every connection is as important as the next"),
    tls("no-ca-names"),
    tls("no-sslv3"),
    tls("no-tls-tickets"),
    tls("no-tlsv10"),
    tls("no-tlsv11"),
    tls("no-tlsv12"),
    tls("no-tlsv13"),
    tls("npn"),
    tls("prefer-client-ciphers"),
    no_effect("process", 1, "every thread serves every listener"),
    absent("proto", "HTTP/1.1 is what a plain listener speaks: remove it"),
    absent("quic-cc-algo", "QUIC is not offered"),
    absent("quic-force-retry", "QUIC is not offered"),
    no_effect("severity-output", 1, "answers on the runtime socket carry no severity"),
    no_effect("shards", 1, "every thread has its own accept queue"),
    tls("ssl"),
    tls("ssl-max-ver"),
    tls("ssl-min-ver"),
    tls("strict-sni"),
    no_effect("tcp-ut", 1, "the timeouts close what hangs"),
    no_effect("tfo", 0, "TCP fast open is not used on listeners"),
    no_effect("thread", 1, "every thread serves every listener"),
    tls("tls-ticket-keys"),
    {"transparent", kAnywhere, &bind_transparent},
    {"uid", kAnywhere, &bind_owner<&StatsSocketConfig::user>},
    {"user", kAnywhere, &bind_owner<&StatsSocketConfig::user>},
    absent("v4v6", "bind both addresses: *:PORT and [::]:PORT"),
    no_effect("v6only", 0, "an IPv6 listener takes only IPv6"),
    tls("verify"),
};

}  // namespace

void read_bind_options(std::vector<BindConfig>& binds, StatsSocketConfig* socket,
                       Statement& statement) {
  BindTarget target{binds, socket};
  const std::string place = "'" + statement.name() + "'";
  while (const Word* word = statement.take()) {
    const Keyword<BindTarget>* keyword = find_keyword<BindTarget>(kBindKeywords, word->text);
    if (keyword != nullptr) statement.set_parameter(word->text);
    if (keyword == nullptr) {
      answer_unknown(statement, *word, "parameter", place,
                     keyword_names<BindTarget>(kBindKeywords));
    } else if (keyword->handler == nullptr) {
      answer_without_handler(statement, *word, statement.name(), keyword->support, keyword->advice,
                             keyword->arguments);
    } else {
      keyword->handler(target, statement);
    }
  }
}

void read_bind(ProxyDraft& draft, Statement& statement) {
  const Word* word = statement.take_word("an address and a port");
  if (word == nullptr) return;
  std::vector<BindConfig> binds = parse_bind_addresses(statement, *word);
  read_bind_options(binds, nullptr, statement);
  for (BindConfig& bind : binds) {
    draft.config.binds.push_back(std::move(bind));
    draft.bind_spans.push_back(word->span);
  }
}

void list_bind_keywords(std::vector<KeywordInfo>& out) {
  list_keywords<BindTarget>(kBindKeywords, "bind: ", out);
}

}  // namespace nines::proxy

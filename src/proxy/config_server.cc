// "server <name> <address> [param*]" and "default-server [param*]", section 5.2.
#include <array>

#include "proxy/config_address.h"
#include "proxy/config_draft.h"

namespace nines::proxy {
namespace {

constexpr int kWeightMax = 256;

template <bool ServerConfig::*Member, bool Value>
void set_flag(ServerConfig& server, Statement&) {
  server.*Member = Value;
}

template <int ServerConfig::*Member, int Min, int Max>
void set_integer(ServerConfig& server, Statement& statement) {
  const auto value = statement.take_integer("a number", Min, Max);
  if (value) server.*Member = static_cast<int>(*value);
}

template <std::optional<Duration> ServerConfig::*Member>
void set_interval(ServerConfig& server, Statement& statement) {
  const auto value = statement.take_duration("a time", std::chrono::milliseconds(1), 1us);
  if (value) server.*Member = *value;
}

void server_inter(ServerConfig& server, Statement& statement) {
  const auto value = statement.take_duration("a time", std::chrono::milliseconds(1), 1us);
  if (value) server.inter = *value;
}

void server_slowstart(ServerConfig& server, Statement& statement) {
  const auto value = statement.take_duration("a time", std::chrono::seconds(1));
  if (value) server.slowstart = *value;
}

void server_port(ServerConfig& server, Statement& statement) {
  const auto value = statement.take_integer("the port of the check", 1, 65535);
  if (value) server.check_port = static_cast<std::uint16_t>(*value);
}

void server_addr(ServerConfig& server, Statement& statement) {
  const Word* word = statement.take_word("the address of the check");
  if (word == nullptr) return;
  const auto address = SocketAddress::parse_ip(word->text, 0);
  if (!address.has_value()) {
    statement.error(*word, "the check's address is an IP address without a port")
        .with_help("write the port as 'port N'");
    return;
  }
  server.check_address = *address;
}

void server_on_marked_down(ServerConfig& server, Statement& statement) {
  const Word* word = statement.take_word("an action");
  if (word == nullptr) return;
  if (word->text != "shutdown-sessions") {
    statement.error(*word, "unknown action").with_allowed("shutdown-sessions");
    return;
  }
  server.mark_down_kills_sessions = true;
}

void server_on_marked_up(ServerConfig& server, Statement& statement) {
  const Word* word = statement.take_word("an action");
  if (word == nullptr) return;
  if (word->text != "shutdown-backup-sessions") {
    statement.error(*word, "unknown action").with_allowed("shutdown-backup-sessions");
    return;
  }
  server.mark_up_kills_backup_sessions = true;
}

constexpr std::string_view kNoTls =
    "TLS to servers is not offered: use a plain port, or pass TLS through with 'mode tcp'";
constexpr std::string_view kNoProxyProtocol =
    "the PROXY protocol is not offered: remove it here and on the server";
constexpr std::string_view kNoAgent = "agents are not asked: use 'check' and the runtime socket";
constexpr std::string_view kNoDns = "host names are not resolved: write the server's address";
constexpr std::string_view kPassive =
    "failures seen in traffic lead to a check at once anyway: remove it";

constexpr Keyword<ServerConfig> absent(std::string_view name, std::string_view advice) {
  return unsupported<ServerConfig>(name, kAnywhere, advice);
}
constexpr Keyword<ServerConfig> tls(std::string_view name) { return absent(name, kNoTls); }
constexpr Keyword<ServerConfig> no_effect(std::string_view name, int arguments,
                                          std::string_view why) {
  return harmless<ServerConfig>(name, kAnywhere, why, arguments);
}
// "no-X" where X is not offered: already so.
constexpr Keyword<ServerConfig> already(std::string_view name) {
  return no_effect(name, 0, "it is so already");
}

constexpr Keyword<ServerConfig> kServerKeywords[] = {
    {"addr", kAnywhere, &server_addr},
    absent("agent-addr", kNoAgent),
    absent("agent-check", kNoAgent),
    absent("agent-inter", kNoAgent),
    absent("agent-port", kNoAgent),
    absent("agent-send", kNoAgent),
    tls("allow-0rtt"),
    tls("alpn"),
    {"backup", kAnywhere, &set_flag<&ServerConfig::backup, true>},
    tls("ca-file"),
    {"check", kAnywhere, &set_flag<&ServerConfig::check, true>},
    tls("check-alpn"),
    absent("check-proto", "checks speak HTTP/1: remove it"),
    absent("check-send-proxy", kNoProxyProtocol),
    tls("check-sni"),
    tls("check-ssl"),
    absent("check-via-socks4", "SOCKS is not offered"),
    tls("ciphers"),
    tls("ciphersuites"),
    no_effect("cookie", 1, "it has a meaning only with the 'cookie' keyword, which is not offered"),
    tls("crl-file"),
    tls("crt"),
    {"disabled", kAnywhere, &set_flag<&ServerConfig::disabled, true>},
    {"downinter", kAnywhere, &set_interval<&ServerConfig::downinter>},
    {"enabled", kAnywhere, &set_flag<&ServerConfig::disabled, false>},
    absent("error-limit", kPassive),
    {"fall", kAnywhere, &set_integer<&ServerConfig::fall, 1, INT32_MAX>},
    {"fastinter", kAnywhere, &set_interval<&ServerConfig::fastinter>},
    tls("force-sslv3"),
    tls("force-tlsv10"),
    tls("force-tlsv11"),
    tls("force-tlsv12"),
    tls("force-tlsv13"),
    no_effect("id", 1, "servers are numbered by nines"),
    no_effect("init-addr", 1, "every server is given by its address"),
    {"inter", kAnywhere, &server_inter},
    absent("log-proto", "it belongs to rings, which are not offered"),
    no_effect("max-reuse", 1, "pooled connections are chosen by nines"),
    {"maxconn", kAnywhere, &set_integer<&ServerConfig::maxconn, 0, INT32_MAX>},
    {"maxqueue", kAnywhere, &set_integer<&ServerConfig::maxqueue, 0, INT32_MAX>},
    absent("minconn", "write 'maxconn' alone"),
    absent("namespace", "start nines in that network namespace"),
    already("no-agent-check"),
    {"no-backup", kAnywhere, &set_flag<&ServerConfig::backup, false>},
    {"no-check", kAnywhere, &set_flag<&ServerConfig::check, false>},
    already("no-check-send-proxy"),
    already("no-check-ssl"),
    already("no-send-proxy"),
    already("no-send-proxy-v2"),
    already("no-send-proxy-v2-ssl"),
    already("no-send-proxy-v2-ssl-cn"),
    already("no-ssl"),
    already("no-ssl-reuse"),
    already("no-sslv3"),
    already("no-tfo"),
    already("no-tls-tickets"),
    already("no-tlsv10"),
    already("no-tlsv11"),
    already("no-tlsv12"),
    already("no-tlsv13"),
    already("no-verifyhost"),
    already("non-stick"),
    tls("npn"),
    absent("observe", kPassive),
    absent("on-error", kPassive),
    {"on-marked-down", kAnywhere, &server_on_marked_down},
    {"on-marked-up", kAnywhere, &server_on_marked_up},
    no_effect("pool-low-conn", 1, "pooled connections are chosen by nines"),
    no_effect("pool-max-conn", 1, "pooled connections are chosen by nines"),
    no_effect("pool-purge-delay", 1, "pooled connections are chosen by nines"),
    {"port", kAnywhere, &server_port},
    absent("proto", "servers are spoken to in HTTP/1.1: remove it"),
    absent("proxy-v2-options", kNoProxyProtocol),
    absent("redir", "redirections are not offered: remove it"),
    absent("resolve-net", kNoDns),
    absent("resolve-opts", kNoDns),
    absent("resolve-prefer", kNoDns),
    absent("resolvers", kNoDns),
    {"rise", kAnywhere, &set_integer<&ServerConfig::rise, 1, INT32_MAX>},
    absent("send-proxy", kNoProxyProtocol),
    absent("send-proxy-v2", kNoProxyProtocol),
    absent("send-proxy-v2-ssl", kNoProxyProtocol),
    absent("send-proxy-v2-ssl-cn", kNoProxyProtocol),
    absent("set-proxy-v2-tlv-fmt", kNoProxyProtocol),
    absent("shard", "it belongs to peers, which are not offered"),
    {"slowstart", kAnywhere, &server_slowstart},
    tls("sni"),
    absent("socks4", "SOCKS is not offered"),
    absent("source", "the route's source address is used: set it in the routing table"),
    tls("ssl"),
    tls("ssl-max-ver"),
    tls("ssl-min-ver"),
    tls("ssl-reuse"),
    already("stick"),
    no_effect("tcp-ut", 1, "the timeouts close what hangs"),
    no_effect("tfo", 0, "TCP fast open is not used to servers"),
    tls("tls-tickets"),
    absent("track", "write 'check' on this server too"),
    absent("usesrc", "the route's source address is used: set it in the routing table"),
    tls("verify"),
    tls("verifyhost"),
    {"weight", kAnywhere, &set_integer<&ServerConfig::weight, 0, kWeightMax>},
    absent("ws", "WebSockets are served in HTTP/1.1 as they are: remove it"),
};

void read_server_options(ServerConfig& server, Statement& statement) {
  const std::string place = "'" + statement.name() + "'";
  while (const Word* word = statement.take()) {
    const Keyword<ServerConfig>* keyword = find_keyword<ServerConfig>(kServerKeywords, word->text);
    if (keyword != nullptr) statement.set_parameter(word->text);
    if (keyword == nullptr) {
      answer_unknown(statement, *word, "parameter", place,
                     keyword_names<ServerConfig>(kServerKeywords));
    } else if (keyword->handler == nullptr) {
      answer_without_handler(statement, *word, statement.name(), keyword->support, keyword->advice,
                             keyword->arguments);
    } else {
      keyword->handler(server, statement);
    }
  }
}

}  // namespace

void read_server(ProxyDraft& draft, Statement& statement) {
  const Word* name = statement.take_word("a name and an address");
  const Word* address = name == nullptr ? nullptr : statement.take_word("an address and a port");
  if (address == nullptr) return;
  ServerConfig server = draft.default_server;
  server.name = name->text;
  server.place = statement.place();
  if (!is_identifier(name->text)) {
    statement.error(*name, "a server's name has other characters than it may")
        .with_allowed("letters, digits, '-', '_', '.' and ':'");
  }
  if (const auto parsed = parse_server_address(statement, *address)) server.address = *parsed;
  read_server_options(server, statement);
  draft.config.servers.push_back(std::move(server));
  draft.server_spans.push_back(name->span);
}

void read_default_server(ProxyDraft& draft, Statement& statement) {
  if (statement.at_end()) {
    statement.error_missing("parameters of servers");
    return;
  }
  read_server_options(draft.default_server, statement);
}

void list_server_keywords(std::vector<KeywordInfo>& out) {
  list_keywords<ServerConfig>(kServerKeywords, "server: ", out);
}

}  // namespace nines::proxy

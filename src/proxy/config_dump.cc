// One line a fact, in a fixed order, defaults left out: stable under everything but a change of
// meaning.
#include <map>

#include "proxy/config_load.h"

namespace nines::proxy {
namespace {

constexpr std::string_view kBalanceNames[] = {"roundrobin", "leastconn", "first", "source"};
constexpr std::string_view kLevelNames[] = {"emerg",   "alert",  "crit", "err",
                                            "warning", "notice", "info", "debug"};
constexpr std::string_view kConnectionNames[] = {"keep-alive", "server-close", "close"};
constexpr std::string_view kCheckNames[] = {"connect", "http", "mysql", "galera", "keystone"};
constexpr std::string_view kSocketLevelNames[] = {"user", "operator", "admin"};
constexpr std::string_view kReuseNames[] = {"never", "safe", "aggressive", "always"};
constexpr std::string_view kActionNames[] = {"set-header", "add-header", "del-header"};
constexpr std::string_view kFetchNames[] = {"always_true", "always_false", "ssl_fc"};
constexpr std::string_view kPieceNames[] = {"",           "%[src]",      "%[src_port]",
                                            "%[dst]",     "%[dst_port]", "%[fe_name]",
                                            "%[be_name]", "%[srv_name]", "%[ssl_fc]"};

template <std::size_t N, typename Enum>
std::string_view named(const std::string_view (&names)[N], Enum value) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? names[index] : "?";
}

std::string time_text(Duration value) {
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(value).count();
  if (microseconds % 1000 != 0) return std::to_string(microseconds) + "us";
  return std::to_string(microseconds / 1000) + "ms";
}

// A word as haproxy.cfg would quote it.
std::string quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else if (c == '\n' || c == '\r') {
      out += c == '\n' ? "\\n" : "\\r";
    } else {
      out += c;
    }
  }
  return out + "'";
}

class Dumper {
 public:
  std::string run(const Config& config) {
    line("global");
    global(config.global);
    for (const ProxyConfig& proxy : config.proxies) {
      const char* kind = proxy.frontend && proxy.backend ? "listen "
                         : proxy.frontend                ? "frontend "
                                                         : "backend ";
      line(kind + proxy.name);
      dump_proxy(proxy);
    }
    return std::move(out_);
  }

 private:
  void line(std::string_view text) { out_.append(text).append("\n"); }
  void fact(std::string_view text) { out_.append("  ").append(text).append("\n"); }
  void text_fact(std::string_view name, const std::string& value) {
    if (!value.empty()) fact(std::string(name) + " " + quoted(value));
  }
  void number_fact(std::string_view name, long long value, long long standard = 0) {
    if (value != standard) fact(std::string(name) + " " + std::to_string(value));
  }
  void switch_fact(std::string_view name, bool value) {
    if (value) fact(name);
  }

  void logs(const std::vector<LogTarget>& targets) {
    for (const LogTarget& target : targets) {
      std::string text = "log " + target.address.text() + " facility " +
                         std::to_string(target.facility) + " max " +
                         std::string(named(kLevelNames, target.max_level)) + " min " +
                         std::string(named(kLevelNames, target.min_level));
      if (target.line_length_max != 1024) {
        text += " len " + std::to_string(target.line_length_max);
      }
      fact(text);
    }
  }

  static std::string bind_text(const BindConfig& bind) {
    std::string text = bind.inherited_descriptor
                           ? "fd@" + std::to_string(*bind.inherited_descriptor)
                           : bind.address.text();
    if (!bind.name.empty()) text += " name " + quoted(bind.name);
    if (bind.backlog) text += " backlog " + std::to_string(*bind.backlog);
    if (bind.maxconn) text += " maxconn " + std::to_string(*bind.maxconn);
    if (bind.defer_accept) text += " defer-accept";
    if (bind.transparent) text += " transparent";
    if (bind.unix_mode != 0) {
      std::string octal;
      for (unsigned mode = bind.unix_mode; mode != 0; mode /= 8) {
        octal.insert(octal.begin(), static_cast<char>('0' + mode % 8));
      }
      text += " mode " + octal;
    }
    return text;
  }

  void global(const GlobalConfig& global) {
    text_fact("chroot", global.chroot);
    text_fact("user", global.user);
    text_fact("group", global.group);
    if (global.user_id) number_fact("uid", *global.user_id, -1);
    if (global.group_id) number_fact("gid", *global.group_id, -1);
    text_fact("pidfile", global.pidfile);
    text_fact("node", global.node);
    text_fact("description", global.description);
    switch_fact("daemon", global.daemon);
    switch_fact("master-worker", global.master_worker);
    number_fact("maxconn", global.maxconn);
    number_fact("nbthread", global.nbthread);
    logs(global.log_targets);
    if (global.log_tag != "haproxy") text_fact("log-tag", global.log_tag);
    text_fact("log-send-hostname", global.log_send_hostname);
    for (const StatsSocketConfig& socket : global.stats_sockets) {
      std::string text = "stats socket " + bind_text(socket.bind) + " level " +
                         std::string(named(kSocketLevelNames, socket.level));
      if (!socket.user.empty()) text += " user " + quoted(socket.user);
      if (!socket.group.empty()) text += " group " + quoted(socket.group);
      fact(text);
    }
    if (global.stats_timeout != 10s) fact("stats timeout " + time_text(global.stats_timeout));
    number_fact("spread-checks", global.spread_checks);
    number_fact("tune.bufsize", global.buffer_size, 16384);
    number_fact("tune.maxrewrite", global.rewrite_size, 1024);
  }

  static std::string condition_text(const Condition& condition) {
    if (condition.any_of.empty()) return "";
    std::string text = condition.unless ? " unless" : " if";
    bool first = true;
    for (const auto& group : condition.any_of) {
      if (!first) text += " or";
      first = false;
      for (const AclTerm& term : group) {
        text += term.negated ? " !{ " : " { ";
        text += named(kFetchNames, term.fetch);
        text += " }";
      }
    }
    return text;
  }

  static std::string format_text(const std::vector<FormatPiece>& pieces) {
    std::string text;
    for (const FormatPiece& piece : pieces) {
      if (piece.kind != FormatPiece::Kind::kLiteral) {
        text += named(kPieceNames, piece.kind);
        continue;
      }
      for (const char c : piece.literal) {
        if (c == '%') text += '%';
        text += c;
      }
    }
    return quoted(text);
  }

  void dump_timeouts(const Timeouts& timeouts) {
    const std::pair<const char*, const std::optional<Duration>&> all[] = {
        {"check", timeouts.check},
        {"client", timeouts.client},
        {"client-fin", timeouts.client_fin},
        {"connect", timeouts.connect},
        {"http-keep-alive", timeouts.http_keep_alive},
        {"http-request", timeouts.http_request},
        {"queue", timeouts.queue},
        {"server", timeouts.server},
        {"server-fin", timeouts.server_fin},
        {"tunnel", timeouts.tunnel}};
    for (const auto& [name, value] : all) {
      if (value) fact(std::string("timeout ") + name + " " + time_text(*value));
    }
  }

  void dump_check(const CheckConfig& check) {
    if (check.kind == CheckKind::kConnect) return;
    std::string text = "check " + std::string(named(kCheckNames, check.kind));
    if (check.kind == CheckKind::kMysql) {
      if (!check.user.empty()) {
        text += " user " + quoted(check.user);
        text += check.auth == CheckConfig::MysqlAuth::kPost41 ? " post-41" : " pre-41";
      }
      fact(text);
      return;
    }
    if (check.kind == CheckKind::kGalera || check.kind == CheckKind::kKeystone) {
      fact(text + " credentials " + quoted(check.credentials_path) +
           (check.donor_is_available ? " available-when-donor" : "") +
           (check.repeats_tokens ? " repeat-tokens" : ""));
      return;
    }
    fact(text + " " + check.method + " " + check.uri + " " + check.version);
    for (const auto& [name, value] : check.headers) {
      fact("check header " + quoted(name) + " " + quoted(value));
    }
    if (check.expected.empty()) return;
    std::string expected = check.expect_negated ? "check expect !" : "check expect ";
    bool first = true;
    for (const auto& range : check.expected) {
      if (!first) expected += ',';
      first = false;
      expected += std::to_string(range.first);
      if (range.last != range.first) expected += "-" + std::to_string(range.last);
    }
    fact(expected);
  }

  void dump_server(const ServerConfig& server) {
    std::string text = "server " + server.name + " " + server.address.text();
    const auto number = [&](const char* name, long long value) {
      text.append(" ").append(name).append(" ").append(std::to_string(value));
    };
    if (server.check) {
      text += " check inter " + time_text(server.inter);
      if (server.fastinter) text += " fastinter " + time_text(*server.fastinter);
      if (server.downinter) text += " downinter " + time_text(*server.downinter);
      number("rise", server.rise);
      number("fall", server.fall);
    }
    if (server.check_port) number("port", *server.check_port);
    if (server.check_address) text += " addr " + server.check_address->ip_text();
    number("weight", server.weight);
    if (server.maxconn != 0) number("maxconn", server.maxconn);
    if (server.maxqueue != 0) number("maxqueue", server.maxqueue);
    if (server.slowstart != Duration::zero()) text += " slowstart " + time_text(server.slowstart);
    if (server.backup) text += " backup";
    if (server.disabled) text += " disabled";
    if (server.mark_down_kills_sessions) text += " on-marked-down shutdown-sessions";
    if (server.mark_up_kills_backup_sessions) text += " on-marked-up shutdown-backup-sessions";
    fact(text);
  }

  void dump_stats(const StatsPageConfig& stats) {
    if (!stats.enabled) return;
    fact("stats uri " + quoted(stats.uri) + " realm " + quoted(stats.realm));
    if (stats.refresh) fact("stats refresh " + time_text(*stats.refresh));
    // Passwords are not shown.
    for (const std::string& credentials : stats.credentials) {
      fact("stats auth " + quoted(credentials.substr(0, credentials.find(':'))));
    }
    switch_fact("stats hide-version", stats.hide_version);
    switch_fact("stats show-legends", stats.show_legends);
    if (stats.show_node) fact("stats show-node " + quoted(*stats.show_node));
  }

  void dump_proxy(const ProxyConfig& proxy) {
    switch_fact("disabled", proxy.disabled);
    fact(proxy.mode == Mode::kHttp ? "mode http" : "mode tcp");
    text_fact("description", proxy.description);
    logs(proxy.log_targets);
    text_fact("log-tag", proxy.log_tag);
    switch_fact("tcplog", proxy.tcp_log);
    switch_fact("httplog", proxy.http_log);
    switch_fact("dontlognull", proxy.dontlognull);
    switch_fact("dontlog-normal", proxy.dontlog_normal);
    switch_fact("log-health-checks", proxy.log_health_checks);
    dump_timeouts(proxy.timeouts);
    if (proxy.connection_mode != HttpConnectionMode::kKeepAlive) {
      fact("connections " + std::string(named(kConnectionNames, proxy.connection_mode)));
    }
    if (proxy.forward_for.enabled) {
      std::string text = "forwardfor " + quoted(proxy.forward_for.header);
      if (proxy.forward_for.if_none) text += " if-none";
      if (proxy.forward_for.except_network) {
        text += " except " + proxy.forward_for.except_network->ip_text() + "/" +
                std::to_string(proxy.forward_for.except_prefix_length);
      }
      fact(text);
    }
    switch_fact("client keep-alive", proxy.client_keepalive);
    switch_fact("server keep-alive", proxy.server_keepalive);
    dump_stats(proxy.stats);
    for (const HttpRequestRule& rule : proxy.http_request_rules) {
      std::string text = "http-request " + std::string(named(kActionNames, rule.action)) + " " +
                         quoted(rule.header);
      if (rule.action != HttpRequestRule::Action::kDelHeader) text += " " + format_text(rule.value);
      fact(text + condition_text(rule.condition));
    }
    if (proxy.frontend) dump_frontend(proxy);
    if (proxy.backend) dump_backend(proxy);
  }

  void dump_frontend(const ProxyConfig& proxy) {
    for (const BindConfig& bind : proxy.binds) fact("bind " + bind_text(bind));
    number_fact("maxconn", proxy.maxconn);
    if (proxy.backlog) number_fact("backlog", *proxy.backlog, -1);
    text_fact("monitor-uri", proxy.monitor_uri);
    for (const auto& rule : proxy.use_backends) {
      fact("use_backend " + rule.backend + condition_text(rule.condition));
    }
    text_fact("default_backend", proxy.default_backend);
  }

  void dump_backend(const ProxyConfig& proxy) {
    fact("balance " + std::string(named(kBalanceNames, proxy.balance)));
    number_fact("retries", proxy.retries, 3);
    number_fact("redispatch", proxy.redispatch);
    switch_fact("allbackups", proxy.all_backups);
    number_fact("fullconn", proxy.fullconn);
    if (proxy.http_reuse != HttpReuse::kSafe) {
      fact("http-reuse " + std::string(named(kReuseNames, proxy.http_reuse)));
    }
    dump_check(proxy.check);
    for (const ServerConfig& server : proxy.servers) dump_server(server);
  }

  std::string out_;
};

}  // namespace

std::string dump(const Config& config) { return Dumper().run(config); }

}  // namespace nines::proxy

// A proxy or defaults section while it is being read: the struct to be, and what only the parser
// needs to know of it. Internal to the parser.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config_keyword.h"
#include "proxy/config_statement.h"
#include "proxy/proxy_config.h"

namespace nines::proxy {

enum class SectionKind : std::uint8_t { kDefaults, kFrontend, kBackend, kListen };

std::string_view name_of(SectionKind kind);

struct BackendReference {
  std::string name;
  text::Span span;
};

struct ProxyDraft {
  SectionKind kind = SectionKind::kDefaults;
  text::Span header;   // the section's name, or its keyword when it has none
  ProxyConfig config;  // its name is the section's
  bool log_global = false;
  bool stats_inherited = false;  // the first "stats" here starts afresh, as in HAProxy
  ServerConfig default_server;
  // Each name is the OR of what was said under it.
  std::map<std::string, std::vector<AclTerm>, std::less<>> acls;
  std::optional<SectionKind> rules_inherited_by;  // of a defaults section with rules
  std::optional<BackendReference> default_backend;
  std::vector<BackendReference> use_backends;
  std::optional<text::Span> httplog_span;      // of "option httplog", when said in this section
  std::optional<text::Span> credentials_span;  // of the check's file of credentials
  std::vector<text::Span> bind_spans;          // parallel to config.binds
  std::vector<text::Span> server_spans;        // parallel to config.servers

  bool is_defaults() const { return kind == SectionKind::kDefaults; }
  // "listen 'nova_api'", "defaults".
  std::string title() const;
};

// Letters, digits, "-", "_", "." and ":", as names of proxies and servers are made.
bool is_identifier(std::string_view name);

// Each reads a statement of a proxy or defaults section. One file each.
void read_option(ProxyDraft& draft, Statement& statement);   // config_options.cc
void read_stats(ProxyDraft& draft, Statement& statement);    // config_stats.cc
void read_timeout(ProxyDraft& draft, Statement& statement);  // config_timeouts.cc
void read_bind(ProxyDraft& draft, Statement& statement);     // config_bind.cc
void read_server(ProxyDraft& draft, Statement& statement);   // config_server.cc
void read_default_server(ProxyDraft& draft, Statement& statement);
void read_http_check(ProxyDraft& draft, Statement& statement);  // config_checks.cc
void read_httpchk(ProxyDraft& draft, Statement& statement);
void read_mysql_check(ProxyDraft& draft, Statement& statement);
void read_galera_check(ProxyDraft& draft, Statement& statement);
void read_keystone_check(ProxyDraft& draft, Statement& statement);
void read_acl(ProxyDraft& draft, Statement& statement);           // config_conditions.cc
void read_http_request(ProxyDraft& draft, Statement& statement);  // config_rules.cc
void read_use_backend(ProxyDraft& draft, Statement& statement);

// A statement of the section, "no" and "default" included.
void read_proxy_statement(ProxyDraft& draft, Statement& statement);  // config_proxy.cc

// "if COND" or "unless COND" up to the end; an absent one always holds. Complains and gives nothing
// on a mistake.
std::optional<Condition> read_condition(ProxyDraft& draft, Statement& statement);

// A log-format string; complains and gives nothing on a mistake.
std::optional<std::vector<FormatPiece>> parse_format(Statement& statement, const Word& word);

// "log ..." behind the keyword, "global" excepted.
std::optional<LogTarget> read_log_target(Statement& statement);

// The options of "bind" and "stats socket" behind the address, applied to each of `binds`.
void read_bind_options(std::vector<BindConfig>& binds, StatsSocketConfig* socket,
                       Statement& statement);

void list_option_keywords(std::vector<KeywordInfo>& out);
void list_stats_keywords(std::vector<KeywordInfo>& out);
void list_timeout_keywords(std::vector<KeywordInfo>& out);
void list_bind_keywords(std::vector<KeywordInfo>& out);
void list_server_keywords(std::vector<KeywordInfo>& out);
void list_check_keywords(std::vector<KeywordInfo>& out);
void list_rule_keywords(std::vector<KeywordInfo>& out);
void list_proxy_keywords(std::vector<KeywordInfo>& out);
void list_global_keywords(std::vector<KeywordInfo>& out);

}  // namespace nines::proxy

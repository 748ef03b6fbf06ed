// Parse, validate, sort: the table of contents of the parser. And the list of what it knows.
#include "proxy/config_load.h"

#include "proxy/config_draft.h"
#include "proxy/config_keywords.h"
#include "proxy/config_parser.h"

namespace nines::proxy {

LoadedConfig load_config(std::span<const text::SourceFile> files, Environment environment) {
  LoadedConfig loaded;
  ParsedConfig parsed = parse_config(files, std::move(environment), loaded.diagnostics);
  loaded.config = validate_config(std::move(parsed), files, loaded.diagnostics);
  loaded.diagnostics.sort();
  return loaded;
}

bool has_listeners(const Config& config) {
  for (const ProxyConfig& proxy : config.proxies) {
    if (!proxy.disabled && !proxy.binds.empty()) return true;
  }
  return false;
}

std::vector<KeywordInfo> known_keywords() {
  std::vector<KeywordInfo> out;
  list_global_keywords(out);
  list_proxy_keywords(out);
  list_option_keywords(out);
  list_timeout_keywords(out);
  list_stats_keywords(out);
  list_check_keywords(out);
  list_rule_keywords(out);
  list_bind_keywords(out);
  list_server_keywords(out);
  return out;
}

}  // namespace nines::proxy

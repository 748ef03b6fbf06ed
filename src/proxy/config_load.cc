// Parse, validate, sort: the table of contents of the parser. And the list of what it knows.
#include "proxy/config_load.h"

#include <set>

#include "proxy/config_draft.h"
#include "proxy/config_keywords.h"
#include "proxy/config_parser.h"

namespace nines::proxy {

namespace {

bool needs_credentials(const ProxyConfig& proxy) {
  const CheckKind kind = proxy.check.kind;
  return proxy.backend && !proxy.disabled &&
         (kind == CheckKind::kGalera || kind == CheckKind::kKeystone);
}

std::vector<CredentialReference> references(const ParsedConfig& parsed) {
  std::vector<CredentialReference> found;
  for (std::size_t i = 0; i < parsed.proxies.size(); ++i) {
    const ProxyDraft& draft = parsed.proxies[i];
    if (!needs_credentials(draft.config)) continue;
    found.push_back(
        {i, draft.config.check.credentials_path, draft.credentials_span.value_or(draft.header)});
  }
  return found;
}

}  // namespace

LoadedConfig load_config(std::span<const text::SourceFile> files, Environment environment) {
  LoadedConfig loaded;
  ParsedConfig parsed = parse_config(files, std::move(environment), loaded.diagnostics);
  loaded.credentials = references(parsed);
  loaded.config = validate_config(std::move(parsed), files, loaded.diagnostics);
  loaded.diagnostics.sort();
  return loaded;
}

void take_credentials(LoadedConfig& loaded, const CredentialTexts& texts) {
  std::set<std::pair<std::string, text::Span>> told;
  for (const CredentialReference& reference : loaded.credentials) {
    const auto text = texts.find(reference.path);
    const Result<CheckCredentials> credentials = text == texts.end()
                                                     ? Error(ErrorCode::kNotFound, "was not read")
                                                 : text->second ? parse_credentials(*text->second)
                                                                : text->second.error();
    if (credentials) {
      loaded.config.proxies[reference.proxy].check.credentials = *credentials;
    } else if (told.emplace(reference.path, reference.span).second) {
      loaded.diagnostics
          .error(reference.span, "the file of credentials " + credentials.error().message())
          .with_found(reference.path);
    }
  }
  loaded.diagnostics.sort();
}

std::vector<std::string> credential_paths(const LoadedConfig& loaded) {
  std::set<std::string> paths;
  for (const CredentialReference& reference : loaded.credentials) paths.insert(reference.path);
  return {paths.begin(), paths.end()};
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

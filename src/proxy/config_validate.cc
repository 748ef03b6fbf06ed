// Checks across sections, in the order of the functions of validate_config(), and the resolution of
// what refers to something else.
#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "proxy/config_parser.h"

namespace nines::proxy {
namespace {

std::string place_text(std::span<const text::SourceFile> files, const text::Span& span) {
  const std::string name = span.file < files.size() ? files[span.file].name() : "";
  return name + ":" + std::to_string(span.line);
}

class Validator {
 public:
  Validator(ParsedConfig& parsed, std::span<const text::SourceFile> files,
            text::Diagnostics& diagnostics)
      : parsed_(parsed), files_(files), diagnostics_(diagnostics) {}

  void run() {
    check_proxy_names();
    for (ProxyDraft& proxy : parsed_.proxies) {
      resolve_logs(proxy);
      check_server_names(proxy);
      check_mode(proxy);
      if (!proxy.config.disabled) {
        check_binds(proxy);
        check_references(proxy);
        check_timeouts(proxy);
      }
    }
    check_bind_overlaps();
    check_sizes();
  }

 private:
  // A frontend and a backend may share a name; whatever overlaps may not.
  void check_proxy_names() {
    std::map<std::string_view, const ProxyDraft*> fronts, backs;
    for (const ProxyDraft& proxy : parsed_.proxies) {
      if (proxy.config.name.empty()) continue;
      const ProxyDraft* other = nullptr;
      if (proxy.config.frontend) other = claim(fronts, proxy);
      if (proxy.config.backend && other == nullptr) other = claim(backs, proxy);
      if (other == nullptr) continue;
      diagnostics_.error(proxy.header, "a proxy of this name exists already")
          .with_found(proxy.config.name)
          .with_help("the first is at " + place_text(files_, other->header));
    }
  }

  static const ProxyDraft* claim(std::map<std::string_view, const ProxyDraft*>& names,
                                 const ProxyDraft& proxy) {
    const auto [at, fresh] = names.emplace(proxy.config.name, &proxy);
    return fresh ? nullptr : at->second;
  }

  void resolve_logs(ProxyDraft& proxy) {
    std::vector<LogTarget> targets;
    const auto add = [&](const LogTarget& target) {
      if (std::find(targets.begin(), targets.end(), target) == targets.end()) {
        targets.push_back(target);
      }
    };
    if (proxy.log_global) {
      for (const LogTarget& target : parsed_.global.log_targets) add(target);
    }
    for (const LogTarget& target : proxy.config.log_targets) add(target);
    proxy.config.log_targets = std::move(targets);
  }

  void check_server_names(const ProxyDraft& proxy) {
    std::map<std::string_view, std::size_t> names;
    for (std::size_t i = 0; i < proxy.config.servers.size(); ++i) {
      const auto [at, fresh] = names.emplace(proxy.config.servers[i].name, i);
      if (fresh) continue;
      diagnostics_
          .error(proxy.server_spans[i], "a server of this name exists already in this proxy")
          .with_found(proxy.config.servers[i].name)
          .with_help("the first is at " + place_text(files_, proxy.server_spans[at->second]));
    }
  }

  // In TCP mode what needs HTTP is ignored, as in HAProxy, and said to be.
  void check_mode(ProxyDraft& proxy) {
    ProxyConfig& config = proxy.config;
    if (config.mode == Mode::kHttp) return;
    if (config.http_log) {
      config.http_log = false;
      config.tcp_log = true;
      diagnostics_
          .warning(proxy.httplog_span.value_or(proxy.header),
                   "'option httplog' needs 'mode http' in " + proxy.title() +
                       ": 'option tcplog' is used")
          .with_help("write 'mode http' or 'option tcplog' in the section");
    }
    const auto ignored = [&](std::string_view what) {
      diagnostics_.warning(
          proxy.header,
          std::string(what) + " needs 'mode http' and is ignored in " + proxy.title());
    };
    if (!config.monitor_uri.empty()) ignored("'monitor-uri'");
    if (config.stats.enabled) ignored("'stats'");
    if (!config.http_request_rules.empty()) ignored("'http-request'");
    if (config.forward_for.enabled) ignored("'option forwardfor'");
    config.monitor_uri.clear();
    config.stats = {};
    config.http_request_rules.clear();
    config.forward_for = {};
  }

  void check_binds(const ProxyDraft& proxy) {
    if (!proxy.config.frontend || !proxy.config.binds.empty()) return;
    diagnostics_
        .warning(proxy.header, proxy.title() + " has no 'bind': nothing will reach it directly")
        .with_help("write it as a 'backend' if that is meant");
  }

  const ProxyDraft* find_backend(std::string_view name) const {
    for (const ProxyDraft& proxy : parsed_.proxies) {
      if (proxy.config.backend && proxy.config.name == name) return &proxy;
    }
    return nullptr;
  }

  void check_references(const ProxyDraft& proxy) {
    if (proxy.default_backend) check_reference(proxy, *proxy.default_backend);
    for (const BackendReference& reference : proxy.use_backends) check_reference(proxy, reference);
  }

  void check_reference(const ProxyDraft& proxy, const BackendReference& reference) {
    const ProxyDraft* backend = find_backend(reference.name);
    if (backend == nullptr) {
      text::Diagnostic& diagnostic = diagnostics_.error(reference.span, "there is no such backend");
      diagnostic.with_found(reference.name);
      std::vector<std::string_view> names;
      for (const ProxyDraft& candidate : parsed_.proxies) {
        if (candidate.config.backend) names.push_back(candidate.config.name);
      }
      add_suggestion(diagnostic, reference.name, names);
      return;
    }
    if (!proxy.config.frontend || proxy.config.mode == backend->config.mode) return;
    const bool upgrade = proxy.config.mode == Mode::kTcp;
    diagnostics_
        .error(reference.span, upgrade ? "a TCP frontend with an HTTP backend is known but not "
                                         "supported by nines"
                                       : "an HTTP frontend cannot use a TCP backend")
        .with_found(reference.name)
        .with_help("give both the same 'mode'");
  }

  void check_timeouts(const ProxyDraft& proxy) {
    const Timeouts& timeouts = proxy.config.timeouts;
    std::string missing;
    const auto need = [&](bool needed, const std::optional<Duration>& value, const char* name) {
      if (!needed || value.has_value()) return;
      missing.append(missing.empty() ? "" : ", ").append("'timeout ").append(name).append("'");
    };
    const bool serves = proxy.config.backend && !proxy.config.servers.empty();
    need(proxy.config.frontend && !proxy.config.binds.empty(), timeouts.client, "client");
    need(serves, timeouts.connect, "connect");
    need(serves, timeouts.server, "server");
    if (missing.empty()) return;
    diagnostics_.warning(proxy.header, proxy.title() + " lacks " + missing)
        .with_help("without them a peer that falls silent holds its connection for ever");
  }

  // Two listeners on one address would share its connections at random.
  void check_bind_overlaps() {
    std::map<std::string, text::Span> taken;
    for (const ProxyDraft& proxy : parsed_.proxies) {
      if (proxy.config.disabled) continue;
      for (std::size_t i = 0; i < proxy.config.binds.size(); ++i) {
        const BindConfig& bind = proxy.config.binds[i];
        const std::string key = bind.inherited_descriptor
                                    ? "fd@" + std::to_string(*bind.inherited_descriptor)
                                    : bind.address.text();
        const auto [at, fresh] = taken.emplace(key, proxy.bind_spans[i]);
        if (fresh) continue;
        diagnostics_.error(proxy.bind_spans[i], "this address is bound already")
            .with_found(key)
            .with_help("the first is at " + place_text(files_, at->second));
      }
    }
  }

  void check_sizes() {
    if (parsed_.global.rewrite_size > parsed_.global.buffer_size / 2) {
      parsed_.global.rewrite_size = parsed_.global.buffer_size / 2;
    }
  }

  ParsedConfig& parsed_;
  const std::span<const text::SourceFile> files_;
  text::Diagnostics& diagnostics_;
};

}  // namespace

Config validate_config(ParsedConfig parsed, std::span<const text::SourceFile> files,
                       text::Diagnostics& diagnostics) {
  Validator(parsed, files, diagnostics).run();
  Config config;
  config.global = std::move(parsed.global);
  for (ProxyDraft& proxy : parsed.proxies) config.proxies.push_back(std::move(proxy.config));
  return config;
}

}  // namespace nines::proxy

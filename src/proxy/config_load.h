// haproxy.cfg from text to structs: the one entrance to the parser.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "proxy/config_environment.h"
#include "proxy/proxy_config.h"
#include "text/diagnostics.h"
#include "text/source.h"

namespace nines::proxy {

// A file of credentials that a proxy's check names.
struct CredentialReference {
  std::size_t proxy = 0;  // index into Config::proxies
  std::string path;
  text::Span span;
};

struct LoadedConfig {
  Config config;  // to be used only when there are no errors
  text::Diagnostics diagnostics;
  std::vector<CredentialReference> credentials;  // in the order of the proxies
  bool ok() const { return !diagnostics.has_errors(); }
};

// The files, in order, are one configuration; a section does not go on into the next file. Goes on
// after mistakes and reports all of them, sorted by place; spans index `files`. Pure: nothing is
// opened, no name is looked up (of users and groups neither: whoever drops privileges does that).
LoadedConfig load_config(std::span<const text::SourceFile> files, Environment environment);

// Puts what the files of `loaded.credentials` hold into the checks that name them, and complains
// about each that cannot be used, at the place that names it. Call it before the config is used.
void take_credentials(LoadedConfig& loaded, const CredentialTexts& texts);
// Each path once.
std::vector<std::string> credential_paths(const LoadedConfig& loaded);

// HAProxy refuses to start without a listener (exit status 2 of its -c).
bool has_listeners(const Config& config);

// The configuration as stable text, a line for each fact that differs from its default: for tests,
// for people ("nines check --dump"), and to see what a change of the text really changes.
std::string dump(const Config& config);

}  // namespace nines::proxy

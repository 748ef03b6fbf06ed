// haproxy.cfg from text to structs: the one entrance to the parser.
#pragma once

#include <span>
#include <string>

#include "proxy/config_environment.h"
#include "proxy/proxy_config.h"
#include "text/diagnostics.h"
#include "text/source.h"

namespace nines::proxy {

struct LoadedConfig {
  Config config;  // to be used only when there are no errors
  text::Diagnostics diagnostics;
  bool ok() const { return !diagnostics.has_errors(); }
};

// The files, in order, are one configuration; a section does not go on into the next file. Goes on
// after mistakes and reports all of them, sorted by place; spans index `files`. Pure: nothing is
// opened, no name is looked up (of users and groups neither: whoever drops privileges does that).
LoadedConfig load_config(std::span<const text::SourceFile> files, Environment environment);

// HAProxy refuses to start without a listener (exit status 2 of its -c).
bool has_listeners(const Config& config);

// The configuration as stable text, a line for each fact that differs from its default: for tests,
// for people ("nines check --dump"), and to see what a change of the text really changes.
std::string dump(const Config& config);

}  // namespace nines::proxy

// Lines to sections to drafts, before anything is checked across sections. Internal to the parser.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "proxy/config_draft.h"
#include "proxy/config_environment.h"
#include "text/diagnostics.h"

namespace nines::proxy {

struct ParsedConfig {
  GlobalConfig global;
  std::vector<ProxyDraft> defaults;
  std::vector<ProxyDraft> proxies;
};

ParsedConfig parse_config(std::span<const text::SourceFile> files, Environment environment,
                          text::Diagnostics& diagnostics);

// What can only be said once all is read: names, references, modes, timeouts. Makes the Config.
Config validate_config(ParsedConfig parsed, std::span<const text::SourceFile> files,
                       text::Diagnostics& diagnostics);

}  // namespace nines::proxy

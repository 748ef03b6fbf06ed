// keepalived.conf from text to structs: the one entrance to the parser.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/diagnostics.h"
#include "text/source.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

// What the parser may ask of the world.
struct Environment {
  // What "@id" lines are compared with: keepalived's --config-id, by default the host's name up to
  // its first dot. Also ${_INSTANCE}.
  std::string config_id;
  // The files that an "include PATTERN" in `including` names, in the order they are read; none when
  // nothing matches. Relative patterns start from the including file's folder.
  std::function<Result<std::vector<text::SourceFile>>(std::string_view pattern,
                                                      std::string_view including)>
      include;
};

struct LoadedConfig {
  Config config;  // to be used only when there are no errors
  text::Diagnostics diagnostics;
  // The first is the one given; the rest were included. For places and for what is shown: passwords
  // and the values of definitions are stars there.
  std::vector<text::SourceFile> files;
  // Something among the warnings is what "keepalived -t" ends with status 5 for, though keepalived
  // runs the configuration as we do.
  bool keepalived_complains = false;
  bool ok() const { return !diagnostics.has_errors(); }
};

// Goes on after mistakes and reports all of them, sorted by place; spans index `files`. Pure: opens
// nothing but through `environment`; no interface, user or script is looked up.
LoadedConfig load_config(text::SourceFile file, const Environment& environment);

// Whether a text is a keepalived.conf by its first word.
bool looks_like_keepalived(std::string_view text);

// Known anywhere in keepalived.conf, supported or not.
bool is_known_keyword(std::string_view name);

// The configuration as stable text, a line for each fact that differs from its default: for tests,
// and for people ("nines check --dump").
std::string dump(const Config& config);

}  // namespace nines::vrrp

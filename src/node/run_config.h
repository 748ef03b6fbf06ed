// nines.yaml: what one host's daemon runs, and what neither haproxy.cfg nor keepalived.conf can
// say.
//
//   haproxy: /etc/haproxy/haproxy.cfg          # a file, a directory of *.cfg, or a list of them
//   keepalived: /etc/keepalived/keepalived.conf
//   control: /run/nines/control.sock
//   stop:
//     drain: 3s
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "text/diagnostics.h"
#include "text/source.h"

namespace nines::node {

inline constexpr std::string_view kDefaultRunConfig = "/etc/nines/nines.yaml";
inline constexpr std::string_view kDefaultControlPath = "/run/nines/control.sock";
inline constexpr Duration kDrainDefault = std::chrono::seconds(3);
inline constexpr Duration kDrainMax = std::chrono::minutes(10);

struct RunConfig {
  std::vector<std::string> haproxy;  // paths; none: no proxy plane
  std::string keepalived;            // path; empty: no owner plane
  std::string control{kDefaultControlPath};
  // At a stop: how long answers under way may take before the addresses are handed over.
  Duration drain = kDrainDefault;
};

struct LoadedRunConfig {
  RunConfig config;  // to be used only when there are no errors
  text::Diagnostics diagnostics;
  bool ok() const { return !diagnostics.has_errors(); }
};

// Goes on after a mistake and reports all of them, but those of YAML itself, after which nothing
// can be read. Unknown and repeated keys are errors. Relative paths start from the file's own
// folder. Pure: no file is opened.
LoadedRunConfig load_run_config(const text::SourceFile& file);

}  // namespace nines::node

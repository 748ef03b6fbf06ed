// keepalived.conf from the disk: reads the file and what it includes, and asks this host whether
// what the configuration names is there. The parser itself stays pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "vrrp/config_load.h"

namespace nines::vrrp {

inline constexpr std::size_t kConfigBytesMax = 16 * 1024 * 1024;

// Reads and parses `path`. The error is of the file itself; mistakes in it are in the diagnostics.
// An empty `config_id` stands for the host's name up to its first dot.
Result<LoadedConfig> load_config_file(const std::string& path, std::string config_id);

// What only this host can tell, added to the diagnostics: interfaces that do not exist (an error
// that names those that do), users that do not exist (an error), scripts that cannot be run (a
// warning).
void check_names_on_host(LoadedConfig& loaded);

// What "keepalived -t" ends with for it: kExitGood, kExitConfig or kExitScriptSecurity.
int config_test_status(const LoadedConfig& loaded);

}  // namespace nines::vrrp

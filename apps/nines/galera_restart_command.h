// `nines galera restart`: the members one after another, each once the last is synced again.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace nines {

struct GaleraRestartOptions {
  std::vector<std::string> only;  // members; none: all
  std::string last;               // the one that clients write to; empty: as the file has them
};

CLI::App* add_galera_restart(CLI::App& app, GaleraRestartOptions& options);
int galera_restart(const std::string& config_path, const GaleraRestartOptions& options);

}  // namespace nines

// `nines galera recover`: brings a cluster back whose servers are down, or says why it does not.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace nines {

struct GaleraRecoverOptions {
  bool is_dry_run = false;
  std::vector<std::string> without, trust;  // members
  std::vector<std::string> evidence_files;  // instead of asking their members' hosts
};

CLI::App* add_galera_recover(CLI::App& app, GaleraRecoverOptions& options);
int galera_recover(const std::string& config_path, const GaleraRecoverOptions& options);

}  // namespace nines

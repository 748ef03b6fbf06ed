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

struct GaleraMemberOptions {
  std::string action, run, at;
  std::vector<std::string> earlier;
};
CLI::App* add_galera_member(CLI::App& app, GaleraMemberOptions& options);
int galera_member(const std::string& config_path, const GaleraMemberOptions& options);

CLI::App* add_galera_recover(CLI::App& app, GaleraRecoverOptions& options);
int galera_recover(const std::string& config_path, const GaleraRecoverOptions& options);

}  // namespace nines

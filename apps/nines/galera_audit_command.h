// `nines galera audit`: what the servers' settings lose or cost when something fails.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace nines {

struct GaleraAuditOptions {
  bool json = false;
  std::string over = "10s";  // how long the write load is measured
};

CLI::App* add_galera_audit(CLI::App& app, GaleraAuditOptions& options);
int galera_audit(const std::string& config_path, const GaleraAuditOptions& options);

}  // namespace nines

// `nines galera recover`: brings a cluster back whose servers are down, or says why it does not.
#pragma once

#include <string>
#include <vector>

#include "galera/recovery_driver.h"
#include "galera_setup.h"
#include "io/linux/descriptor.h"

namespace CLI {
class App;
}

namespace nines {

struct GaleraRecoverOptions {
  bool is_dry_run = false;
  bool is_automatic = false;                // begun by this host's nines run
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

// -- what acts on the members' servers has in common ---------------------------------------------

// Held for as long as it lasts: one at a time on a host, for the record is one file. kUnsupported:
// nines.yaml does not say how servers are started.
Result<io::Descriptor> begin_galera_work(const GaleraSetup& setup);
// A name that no other has.
std::string new_galera_run(const GaleraSetup& setup);
// To its end, told on stdout; the exit code. Where it is kept and how hosts are reached is filled
// in.
int run_galera_work(const GaleraSetup& setup, galera::RecoveryDriverOptions work);

}  // namespace nines

// What a proxy is started with: HAProxy's flags and those of `nines check`, as a value.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace nines::proxy {

struct MasterOptions {
  std::vector<std::string> config_paths;  // "-f": files, or directories of *.cfg
  bool check_only = false;                // "-c"
  bool daemon = false;                    // "-D"
  bool foreground = false;                // "-db": never a daemon, whatever the configuration says
  bool master_worker = false;             // "-W": reported in exit codes as HAProxy does
  bool quiet = false;                     // "-q"
  bool dump = false;                      // "nines check --dump"
  bool json = false;                      // "nines check --json"
  std::string pid_file;                   // "-p"
  std::string directory;                  // "-C": change there first
  std::string local_peer;                 // "-L": $HAPROXY_LOCALPEER; empty: the host's name
  std::optional<int> maxconn;             // "-n"
  std::vector<int> finish_pids;           // "-sf": SIGUSR1 once we listen
  std::vector<int> end_pids;              // "-st": SIGTERM once we listen
  std::string product = "Nines";          // what "show info" calls us
  std::string version;
};

}  // namespace nines::proxy

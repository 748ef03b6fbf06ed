// What every `nines galera` verb begins with: the configuration, who asks, and how failures end.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "galera/local_member.h"
#include "galera/peers.h"
#include "galera/server_client.h"
#include "galera/server_commands.h"
#include "node/galera_config.h"
#include "node/run_config.h"

namespace nines {

inline constexpr int kGaleraGood = 0;
inline constexpr int kGaleraUnwell = 1;
inline constexpr int kGaleraUsage = 2;
inline constexpr int kGaleraFailed = 3;

struct GaleraSetup {
  std::string path;  // of the configuration
  node::GaleraConfig config;
  std::string user, password;
  friend bool operator==(const GaleraSetup&, const GaleraSetup&) = default;
};

// Each says what is wrong with the file on stderr. The second takes a file that names no cluster
// for an error, the third reads the credentials of one that was loaded.
Result<GaleraSetup> load_galera_setup(const std::string& path);
Result<node::RunConfig> load_galera_run_config(const std::string& path);
Result<GaleraSetup> galera_setup_of(const std::string& path, const node::GaleraConfig& config);
int galera_failed(const Error& error);

galera::ServerLogin login_of(const GaleraSetup& setup, const node::GaleraMember& member);
// kNotFound: no member is on this host.
Result<galera::LocalMemberOptions> local_member_of(const GaleraSetup& setup);
galera::ServerWay server_way_of(const GaleraSetup& setup);
// What tells another nines the same configuration, where it is not the usual one.
std::vector<std::string> configuration_words(const GaleraSetup& setup, const std::string& member);
// How nines is run on each member's host; without `reach` only on this one.
std::vector<galera::PeerCommand> peer_commands_of(const GaleraSetup& setup);

}  // namespace nines

// What a proxy's master reads before anything runs: the configuration's files, what they mean, and
// whom its plane is to run as.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "base/result.h"
#include "io/ports.h"
#include "node/plane_channel.h"
#include "proxy/config_environment.h"
#include "proxy/config_load.h"
#include "proxy/master_options.h"
#include "text/source.h"

namespace nines::proxy {

// A configuration that was read and found good.
struct MasterConfig {
  node::NamedTexts texts;
  node::NamedTexts credentials;  // the files of passwords that the texts name
  std::vector<text::SourceFile> files;
  Config config;
};

// Set once, for the master's reading and the plane's (management guide, section 3, "-L"). An empty
// name stands for the host's.
void set_local_peer(const std::string& name);
// The variables that a configuration may refer to: this process's own.
Environment process_environment();

// "-f" names files, or directories whose *.cfg files count in bytewise order.
Result<node::NamedTexts> read_texts(io::Files& files, const std::vector<std::string>& paths);
std::vector<text::SourceFile> as_sources(const node::NamedTexts& texts);
LoadedConfig parse(const std::vector<text::SourceFile>& files, const node::NamedTexts& texts,
                   const MasterOptions& options);
// The master has the rights to open the files of credentials, the plane does not: what they hold
// goes into `loaded` and comes back, to be handed over.
node::NamedTexts add_credentials(LoadedConfig& loaded);
// The plane's part: `texts` are those that the master read.
void add_credentials(LoadedConfig& loaded, const node::NamedTexts& texts);
// Reads and parses; findings go to stderr unless the options say "quiet". What cannot run is an
// error that tells its first mistake.
Result<MasterConfig> load_again(io::Files& files, const MasterOptions& options);

// For a log's single line.
std::string not_reloaded(const std::string& reason);
bool on_terminal();  // whether stderr is one

struct Identity {
  std::optional<uid_t> user;
  std::optional<gid_t> group;
};
// kNotFound for a user or group that this host does not know.
Result<Identity> find_identity(const GlobalConfig& global);

}  // namespace nines::proxy

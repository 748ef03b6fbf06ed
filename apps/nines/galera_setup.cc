// nines.yaml and the file of credentials to what galera/ takes.
#include "galera_setup.h"

#include <cstdio>
#include <utility>

#include <unistd.h>

#include "io/linux/files.h"
#include "node/run_config.h"
#include "proxy/check_credentials.h"
#include "proxy/credential_files.h"
#include "text/diagnostics.h"

namespace nines {

int galera_failed(const Error& error) {
  std::fprintf(stderr, "nines galera: %s\n", error.message().c_str());
  return kGaleraFailed;
}

Result<node::RunConfig> load_galera_run_config(const std::string& path) {
  io::LinuxFiles files;
  char host[256] = "";
  static_cast<void>(::gethostname(host, sizeof host - 1));
  const text::SourceFile file(path, TRY(files.read(path)));
  node::LoadedRunConfig loaded = node::load_run_config(file, host);
  std::fputs(text::render_text(loaded.diagnostics, std::span(&file, 1)).c_str(), stderr);
  if (!loaded.ok()) return Error(ErrorCode::kInvalid, path + " has errors");
  if (!loaded.config.galera) return Error(ErrorCode::kInvalid, path + " names no Galera cluster");
  return std::move(loaded.config);
}

Result<GaleraSetup> load_galera_setup(const std::string& path) {
  return galera_setup_of(path, *TRY(load_galera_run_config(path)).galera);
}

Result<GaleraSetup> galera_setup_of(const std::string& path, const node::GaleraConfig& config) {
  GaleraSetup setup{path, config, "", ""};
  const std::string text = TRY(proxy::read_credential_file(setup.config.credentials));
  auto credentials = proxy::parse_credentials(text);
  if (!credentials) {
    return std::move(credentials).error().with_context(setup.config.credentials);
  }
  setup.user = credentials->user;
  setup.password = credentials->password;
  return setup;
}

galera::ServerLogin login_of(const GaleraSetup& setup, const node::GaleraMember& member) {
  const bool is_here = member.name == setup.config.self;
  return {is_here ? SocketAddress::unix_path(setup.config.socket) : member.address, setup.user,
          setup.password};
}

Result<galera::LocalMemberOptions> local_member_of(const GaleraSetup& setup) {
  const node::GaleraConfig& config = setup.config;
  if (config.self.empty()) {
    return Error(ErrorCode::kNotFound,
                 setup.path + ": no member is on this host; say which with 'self'");
  }
  galera::LocalMemberOptions options;
  options.name = config.self;
  options.data = config.data;
  options.state = config.state;
  options.recover = config.recover;
  options.login = {SocketAddress::unix_path(config.socket), setup.user, setup.password};
  return options;
}

galera::ServerWay server_way_of(const GaleraSetup& setup) {
  const node::GaleraServer& server = setup.config.server;
  return {server.unit, server.process, server.start, server.bootstrap, server.stop};
}

std::vector<std::string> configuration_words(const GaleraSetup& setup, const std::string& member) {
  if (member != setup.config.self && setup.path == node::kDefaultRunConfig) return {};
  return {"-c", setup.path};
}

std::vector<galera::PeerCommand> peer_commands_of(const GaleraSetup& setup) {
  std::vector<galera::PeerCommand> commands;
  for (const node::GaleraMember& member : setup.config.members) {
    galera::PeerCommand command{member.name, {}};
    if (member.name == setup.config.self) {
      command.words = {"/proc/self/exe"};
    } else {
      command.words = setup.config.reach;
      for (std::string& word : command.words) {
        for (std::size_t at = 0; (at = word.find(node::kGaleraReachMember, at)) != word.npos;) {
          word.replace(at, node::kGaleraReachMember.size(), member.name);
          at += member.name.size();
        }
      }
    }
    commands.push_back(std::move(command));
  }
  return commands;
}

}  // namespace nines

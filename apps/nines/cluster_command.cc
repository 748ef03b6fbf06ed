// The key: made here, shown by its id, copied by the operator.
#include "cluster_command.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include <unistd.h>

#include "cluster/key_file.h"
#include "cluster/lease_store.h"
#include "cluster/peer_sockets.h"
#include "cluster/verdict_wire.h"
#include "io/linux/files.h"
#include "node/run_config.h"
#include "run_control.h"
#include "text/diagnostics.h"

namespace nines {

namespace {

// The configuration knows no subject, and the subjects no configuration: they agree here.
static_assert(node::kClusterNodeIdMax == cluster::kNodeIdMax);
static_assert(node::kClusterNetworksMax == cluster::kNetworksMax);

using Json = nlohmann::json;

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

void print_usage(FILE* to) {
  std::fputs(
      "usage: nines cluster keygen FILE    make a new key in FILE, which must not exist\n"
      "       nines cluster keygen --add FILE    a second key behind the one in FILE\n"
      "       nines cluster key-id FILE    which keys are in FILE, without showing them\n"
      "       nines cluster listener-key FILE NAME    the key of a host that hears verdicts, to "
      "stdout;\n"
      "                                    FILE has the cluster's key, NAME is the host's in its "
      "nines.yaml\n"
      "       nines cluster init FILE      begin the cluster of a nines.yaml, once on each of its "
      "nodes\n"
      "       nines cluster maintenance on|off [--control PATH]\n"
      "                                    this node's daemon gives its addresses to another node "
      "and "
      "claims none;\n"
      "                                    it goes on voting, and stays so over restarts, until "
      "off\n"
      "\n"
      "All controllers of a cluster have the same key file: mode 0600, owned by root or by the\n"
      "user that nines runs as. Two keys in it, one on a line, while one replaces the other: the\n"
      "first seals, both open.\n"
      "\n"
      "Exit codes: 0 done, 1 could not be done, 2 usage.\n",
      to);
}

int failed(const Error& error) {
  std::fprintf(stderr, "nines cluster: %s\n", error.message().c_str());
  return kExitFailed;
}

int keygen(const std::string& path) {
  const auto key = cluster::create_key_file(path);
  if (!key) return failed(key.error());
  std::printf(
      "%s: key %s\n"
      "Next: copy it to the other controllers, as root and with its mode (scp -p %s HOST:%s),\n"
      "name it in /etc/nines/nines.yaml (cluster: key:), and compare with 'nines cluster "
      "key-id'.\n",
      path.c_str(), cluster::id_text(key->id).c_str(), path.c_str(), path.c_str());
  return kExitDone;
}

int add_key(const std::string& path) {
  const auto key = cluster::add_key_to_file(path);
  if (!key) return failed(key.error());
  std::printf(
      "%s: key %s opens, and does not seal yet\n"
      "Next: copy the file to the other controllers, as root and with its mode, and 'systemctl "
      "reload nines' on\n"
      "each; then exchange the two keys in it, the same way; then take the old one out, the same "
      "way.\n",
      path.c_str(), cluster::id_text(key->id).c_str());
  return kExitDone;
}

int key_id(const std::string& path) {
  const auto keys = cluster::read_key_file(path);
  if (!keys) return failed(keys.error());
  for (std::size_t i = 0; i < keys->size(); ++i) {
    std::printf("%s %s\n", cluster::id_text((*keys)[i].id).c_str(),
                i == 0 ? "seals and opens" : "opens");
  }
  return kExitDone;
}

// For one host alone: with it nobody can speak as a controller to another host.
int print_listener_key(const std::string& path, std::string_view name) {
  if (name.empty() || name.size() > cluster::kListenerNameMax) {
    return failed(Error(
        ErrorCode::kInvalid,
        "a listener's name has 1 to " + std::to_string(cluster::kListenerNameMax) + " characters"));
  }
  const auto keys = cluster::read_key_file(path);
  if (!keys) return failed(keys.error());
  const auto key = cluster::listener_key(keys->front(), name);
  if (!key) return failed(key.error());
  std::fputs(cluster::listener_key_text(*key, name).c_str(), stdout);
  return kExitDone;
}

// The first generation of voters, on this node's disk. Everywhere the same, for it comes from the
// same file; never twice, for what was granted since would be forgotten.
int init(const std::string& path) {
  io::LinuxFiles files;
  const auto content = files.read(path);
  if (!content) return failed(content.error());
  char host[256] = "";
  static_cast<void>(::gethostname(host, sizeof host - 1));
  const text::SourceFile file(path, *content);
  const node::LoadedRunConfig loaded = node::load_run_config(file, host);
  std::fputs(text::render_text(loaded.diagnostics, std::span(&file, 1)).c_str(), stderr);
  if (!loaded.ok()) return kExitFailed;
  if (!loaded.config.cluster) {
    return failed(Error(ErrorCode::kInvalid, path + " names no cluster"));
  }
  const node::ClusterConfig& config = *loaded.config.cluster;
  const auto store = cluster::LeaseStore::open(config.state, std::string(cluster::kMemoryFolder));
  if (!store) return failed(store.error());
  if (store->disk()) {
    return failed(Error(ErrorCode::kExists, "this node's part in a cluster is in " + config.state +
                                                " already; nothing was changed"));
  }
  cluster::LeaseDisk disk;
  for (const node::ClusterNode& each : config.nodes) disk.generation.voters.add(each.id);
  disk.generation.number = 1;
  disk.generation.previous = disk.generation.voters;
  disk.longest_term = config.term;
  if (const auto written = store->write_disk(disk); !written) return failed(written.error());
  std::printf("%s: node %d of %d votes from the next start on\n", config.state.c_str(), config.self,
              disk.generation.voters.size());
  return kExitDone;
}

// Asks the running daemon; it does what is asked before it answers.
int maintenance(std::span<char*> arguments) {
  std::string control{node::kDefaultControlPath};
  const std::string_view word = arguments.empty() ? "" : arguments[0];
  const bool other_socket = arguments.size() == 3 && std::string_view(arguments[1]) == "--control";
  if ((word != "on" && word != "off") || (arguments.size() != 1 && !other_socket)) {
    std::fputs("nines cluster maintenance: 'on' or 'off' is expected, and --control PATH\n\n",
               stderr);
    print_usage(stderr);
    return kExitUsage;
  }
  if (other_socket) control = arguments[2];
  const auto reply = ask_daemon(control, "cluster maintenance " + std::string(word));
  if (!reply) return failed(reply.error());
  const Json said = Json::parse(*reply, nullptr, false);
  if (!said.is_object() || said.contains("error") || !said.contains("standing")) {
    const bool why = said.is_object() && said.contains("error") && said["error"].is_string();
    return failed(Error(ErrorCode::kUnavailable, why ? said["error"].get<std::string>()
                                                     : "the daemon's answer is no answer"));
  }
  const std::string name = said.value("node", "");
  if (word == "off") {
    std::printf("%s serves: it claims addresses that are free\n", name.c_str());
    return kExitDone;
  }
  std::printf("%s is in maintenance: it claims no address\n", name.c_str());
  for (const Json& each : said["moved"]) {
    const std::string to = each.value("to", "");
    std::printf("%s: %s\n", each.value("name", "").c_str(),
                to.empty() ? "given up, and no other node serves that could take it"
                           : ("handed to " + to).c_str());
  }
  return kExitDone;
}

}  // namespace

int cluster_command(std::span<char*> arguments) {
  const std::string_view verb = arguments.empty() ? "" : arguments[0];
  if (verb == "--help" || verb == "-h" || verb == "help") {
    print_usage(stdout);
    return kExitDone;
  }
  if (verb == "maintenance") return maintenance(arguments.subspan(1));
  if (verb == "keygen" && arguments.size() == 3 && std::string_view(arguments[1]) == "--add" &&
      arguments[2][0] != '-' && arguments[2][0] != '\0') {
    return add_key(arguments[2]);
  }
  if (verb == "listener-key" && arguments.size() == 3) {
    return print_listener_key(arguments[1], arguments[2]);
  }
  const bool known = verb == "keygen" || verb == "key-id" || verb == "init";
  if (known && arguments.size() == 2 && arguments[1][0] != '-' && arguments[1][0] != '\0') {
    if (verb == "init") return init(arguments[1]);
    return verb == "keygen" ? keygen(arguments[1]) : key_id(arguments[1]);
  }
  if (known) {
    std::fprintf(stderr, "nines cluster %s: one FILE is expected\n\n", arguments[0]);
  } else if (!verb.empty()) {
    std::fprintf(stderr,
                 "nines cluster: no command '%s'; allowed: keygen, key-id, listener-key, init, "
                 "maintenance\n\n",
                 arguments[0]);
  }
  print_usage(stderr);
  return kExitUsage;
}

}  // namespace nines

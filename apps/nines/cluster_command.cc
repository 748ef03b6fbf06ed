// The key: made here, shown by its id, copied by the operator.
#include "cluster_command.h"

#include <cstdio>
#include <string>
#include <string_view>

#include "cluster/key_file.h"
#include "cluster/peer_sockets.h"
#include "node/run_config.h"

namespace nines {

namespace {

// The configuration knows no subject, and the subjects no configuration: they agree here.
static_assert(node::kClusterNodeIdMax == cluster::kNodeIdMax);
static_assert(node::kClusterNetworksMax == cluster::kNetworksMax);

constexpr int kExitDone = 0;
constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

void print_usage(FILE* to) {
  std::fputs(
      "usage: nines cluster keygen FILE    make a new key in FILE, which must not exist\n"
      "       nines cluster key-id FILE    which keys are in FILE, without showing them\n"
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

int key_id(const std::string& path) {
  const auto keys = cluster::read_key_file(path);
  if (!keys) return failed(keys.error());
  for (std::size_t i = 0; i < keys->size(); ++i) {
    std::printf("%s %s\n", cluster::id_text((*keys)[i].id).c_str(),
                i == 0 ? "seals and opens" : "opens");
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
  const bool known = verb == "keygen" || verb == "key-id";
  if (known && arguments.size() == 2 && arguments[1][0] != '-' && arguments[1][0] != '\0') {
    return verb == "keygen" ? keygen(arguments[1]) : key_id(arguments[1]);
  }
  if (known) {
    std::fprintf(stderr, "nines cluster %s: one FILE is expected\n\n", arguments[0]);
  } else if (!verb.empty()) {
    std::fprintf(stderr, "nines cluster: no command '%s'; allowed: keygen, key-id\n\n",
                 arguments[0]);
  }
  print_usage(stderr);
  return kExitUsage;
}

}  // namespace nines

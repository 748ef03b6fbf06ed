// The one program: a table of contents. Called through a link named `haproxy` it is a haproxy, and
// a keepalived through one of that name.
#include <cstdio>
#include <cstring>
#include <span>
#include <string_view>

#include "cluster_command.h"
#include "drill_command.h"
#include "galera_command.h"
#include "lab_command.h"
#include "lease_command.h"
#include "proxy_command.h"
#include "run_command.h"
#include "version.h"
#include "vrrp_command.h"

namespace {

struct Command {
  const char* name;
  const char* summary;
  int (*run)(std::span<char*> arguments);
};

int run_proxy(std::span<char*> arguments) {
  return nines::proxy_command(arguments, "nines proxy", false);
}

int run_vrrp(std::span<char*> arguments) {
  return nines::vrrp_command(arguments, "nines vrrp", false);
}

int show_version(std::span<char*>) {
  std::printf("nines %s\n", nines::kVersion);
  return 0;
}

constexpr Command kCommands[] = {
    {"run", "the one daemon of a host: what its nines.yaml names", nines::run_command},
    {"status", "how this host's daemon is, and who holds the addresses", nines::status_command},
    {"cluster", "the key that all controllers share", nines::cluster_command},
    {"lease", "grant what the powered-off cannot: the word of the operator", nines::lease_command},
    {"proxy", "balance: runs a haproxy.cfg", run_proxy},
    {"vrrp", "hold an address with others: runs a keepalived.conf", run_vrrp},
    {"check", "say what is wrong with a configuration", nines::check_files_command},
    {"galera", "how each member of the database cluster is, and why", nines::galera_command},
    {"lab", "several hosts on this machine, to try things on", nines::lab_command},
    {"drill", "break things in a lab under load, and say what clients noticed",
     nines::drill_command},
    {"version", "which nines this is", show_version},
};

void print_usage(FILE* to) {
  std::fputs(
      "nines: high availability for OpenStack control planes\n\nusage: nines COMMAND ...\n\n", to);
  for (const Command& command : kCommands) {
    std::fprintf(to, "  %-8s %s\n", command.name, command.summary);
  }
  std::fputs("\n'nines COMMAND --help' tells more.\n", to);
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  const char* const slash = std::strrchr(argv[0], '/');
  const std::string_view called = slash != nullptr ? slash + 1 : argv[0];
  if (called == "haproxy") return nines::proxy_command(arguments.subspan(1), argv[0], true);
  if (called == "keepalived") return nines::vrrp_command(arguments.subspan(1), argv[0], true);

  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Command& command : kCommands) {
    if (name == command.name) return command.run(arguments.subspan(2));
  }
  if (name == "help" || name == "--help" || name == "-h") {
    print_usage(stdout);
    return 0;
  }
  if (name == "--version") return show_version({});
  if (!name.empty()) std::fprintf(stderr, "nines: no command '%s'\n\n", argv[1]);
  print_usage(stderr);
  return 2;
}

// The command line of the balancer: parsed by the proxy's own table, because it is HAProxy's.
#include "proxy_command.h"

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/command_line.h"
#include "proxy/config_conditional.h"
#include "proxy/master.h"
#include "proxy/master_config.h"
#include "version.h"

namespace nines {

namespace {

std::vector<std::string_view> as_views(std::span<char*> arguments) {
  return {arguments.begin(), arguments.end()};
}

void print_version(bool as_haproxy, bool verbose) {
  if (as_haproxy) {
    // Tools take the word behind "version" and compare its leading numbers.
    std::printf("HAProxy version %s-nines%s\n", std::string(proxy::kHaproxyVersion).c_str(),
                kVersion);
  } else {
    std::printf("nines version %s (reads the configuration of HAProxy %s)\n", kVersion,
                std::string(proxy::kHaproxyVersion).c_str());
  }
  if (verbose) {
    std::printf("Build: C++%ld, %s\nFeature list : +EPOLL +THREAD -OPENSSL -PCRE -LUA\n",
                __cplusplus / 100 % 100, __VERSION__);
  }
}

}  // namespace

int proxy_command(std::span<char*> arguments, const char* program, bool as_haproxy) {
  auto line = proxy::parse_command_line(as_views(arguments));
  if (!line) {
    std::fprintf(stderr, "%s: %s\n", program, line.error().message().c_str());
    return proxy::kExitBad;
  }
  switch (line->action) {
    case proxy::CommandLine::Action::kVersion:
      print_version(as_haproxy, line->verbose_version);
      return proxy::kExitGood;
    case proxy::CommandLine::Action::kUsage:
      std::fputs(std::string(proxy::command_line_usage()).c_str(), stdout);
      return proxy::kExitGood;
    case proxy::CommandLine::Action::kCondition: {
      const auto verdict =
          proxy::evaluate_conditional(line->condition, proxy::process_environment());
      if (!verdict.ok) {
        std::fprintf(stderr, "%s: %s\n", program, verdict.message.c_str());
        return proxy::kExitBad;
      }
      return verdict.value ? proxy::kExitGood : proxy::kExitBad;
    }
    case proxy::CommandLine::Action::kRun:
      break;
  }
  for (const std::string& flag : line->ignored) {
    if (!line->options.quiet) {
      std::fprintf(stderr, "[WARNING]  : '%s' has no effect here\n", flag.c_str());
    }
  }
  line->options.version = kVersion;
  if (as_haproxy) {
    line->options.product = "HAProxy";
    line->options.version = std::string(proxy::kHaproxyVersion) + "-nines" + kVersion;
  }
  return proxy::run_master(line->options);
}

int check_command(std::span<char*> arguments) {
  proxy::MasterOptions options;
  options.check_only = true;
  options.version = kVersion;
  for (const std::string_view argument : as_views(arguments)) {
    if (argument == "--json") {
      options.json = true;
    } else if (argument == "--dump") {
      options.dump = true;
    } else if (argument == "-q" || argument == "--quiet") {
      options.quiet = true;
    } else if (argument == "-h" || argument == "--help") {
      std::puts(
          "usage: nines check [--json] [--dump] [--quiet] FILE...\n\n"
          "Checks a haproxy.cfg, several of which are one configuration in their order, or each\n"
          "keepalived.conf, which is known by its first word, or a nines.yaml with all it names.\n"
          "  --json   the findings as JSON on standard output\n"
          "  --dump   what the configuration means, a line for each fact\n"
          "Exit codes: 0 good, 1 errors, 2 no listener.");
      return proxy::kExitGood;
    } else if (argument.starts_with('-')) {
      std::fprintf(stderr, "nines check: unknown option '%s' (--help lists what there is)\n",
                   std::string(argument).c_str());
      return proxy::kExitBad;
    } else {
      options.config_paths.emplace_back(argument);
    }
  }
  if (options.config_paths.empty()) {
    std::fputs("nines check: name a file\n", stderr);
    return proxy::kExitBad;
  }
  return proxy::run_master(options);
}

}  // namespace nines

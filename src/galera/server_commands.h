// How a server is started, bootstrapped and stopped, as the commands to run. Pure.
#pragma once

#include <string>
#include <vector>

#include "galera/position.h"

namespace nines::galera {

// One of the three; all empty: nobody said how.
struct ServerWay {
  std::string unit;                  // of systemd
  std::vector<std::string> process;  // outlives us
  std::vector<std::string> start, bootstrap, stop;
};

enum class ServerVerb : std::uint8_t { kStart, kBootstrap, kStop };

struct ServerCommands {
  std::vector<std::vector<std::string>> first;  // each has to end well before the next
  std::vector<std::vector<std::string>> last;   // run whatever came of those
  std::vector<std::string> daemon;              // stays; empty: a command above started it
  bool has_signal = false;                      // kStop: SIGTERM to the process
};

// `position`: where a server begins that is started by us; unknown: it finds out.
ServerCommands server_commands(const ServerWay& way, ServerVerb verb, const Position& position);

}  // namespace nines::galera

// systemd is told by its manager's environment, as galera_new_cluster does it, for any unit.
#include "galera/server_commands.h"

namespace nines::galera {

ServerCommands server_commands(const ServerWay& way, ServerVerb verb, const Position& position) {
  ServerCommands commands;
  if (!way.unit.empty()) {
    const std::string variable = "_WSREP_NEW_CLUSTER";
    if (verb == ServerVerb::kBootstrap) {
      commands.first.push_back({"systemctl", "set-environment", variable + "=--wsrep-new-cluster"});
      commands.last.push_back({"systemctl", "unset-environment", variable});
    }
    // A joining server is ready when it is synced: whoever waits for that looks by himself.
    if (verb == ServerVerb::kStart) {
      commands.first.push_back({"systemctl", "start", "--no-block", way.unit});
    } else {
      commands.first.push_back(
          {"systemctl", verb == ServerVerb::kStop ? "stop" : "start", way.unit});
    }
  } else if (!way.process.empty()) {
    if (verb == ServerVerb::kStop) {
      commands.has_signal = true;
      return commands;
    }
    // In a session of its own: what ends ours does not end it.
    commands.daemon = {"setsid"};
    commands.daemon.insert(commands.daemon.end(), way.process.begin(), way.process.end());
    if (verb == ServerVerb::kBootstrap) commands.daemon.push_back("--wsrep-new-cluster");
    if (position.is_known()) {
      commands.daemon.push_back("--wsrep_start_position=" + position.text());
    }
  } else {
    commands.first.push_back(verb == ServerVerb::kStart       ? way.start
                             : verb == ServerVerb::kBootstrap ? way.bootstrap
                                                              : way.stop);
  }
  return commands;
}

}  // namespace nines::galera

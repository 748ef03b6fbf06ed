// Started and not waited for: the failover path waits for no script.
#include "owner_notify.h"

#include "vrrp/script_runner.h"

namespace nines {

void OwnerNotify::run(const vrrp::Config& config, const vrrp::VrrpInstance& instance, bool held) {
  const vrrp::Notifications& notifications = instance.notifications;
  const auto start = [&](const vrrp::Command& command, const std::vector<std::string>& more) {
    vrrp::start_notification({.command = command, .more = more, .who = ""}, config.global,
                             processes_, log_);
  };
  start(held ? notifications.master : notifications.backup, {});
  start(notifications.any,
        {"INSTANCE", instance.name, held ? "MASTER" : "BACKUP", std::to_string(instance.priority)});
}

}  // namespace nines

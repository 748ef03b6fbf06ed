// Started and not waited for: the failover path waits for no script.
#include "owner_notify.h"

#include <utility>

#include "vrrp/vrrp_service.h"

namespace nines {

void OwnerNotify::run(const vrrp::Config& config, const vrrp::VrrpInstance& instance, bool held) {
  const vrrp::Notifications& notifications = instance.notifications;
  start(config, held ? notifications.master : notifications.backup, {});
  start(config, notifications.any,
        {"INSTANCE", instance.name, held ? "MASTER" : "BACKUP", std::to_string(instance.priority)});
}

void OwnerNotify::start(const vrrp::Config& config, const vrrp::Command& command,
                        const std::vector<std::string>& more) {
  if (command.empty()) return;
  const auto started = [&]() -> Result<void> {
    std::vector<std::string> arguments = TRY(vrrp::resolve_command(command, config.global));
    arguments.insert(arguments.end(), more.begin(), more.end());
    static_cast<void>(TRY(processes_.spawn({.arguments = std::move(arguments),
                                            .environment = {},
                                            .descriptors = {},
                                            .end_with_parent = false},
                                           [](int, io::ProcessExit) {})));
    return {};
  }();
  if (!started.has_value()) {
    log_.write(io::Severity::kError, "notify script: " + started.error().message());
  }
}

}  // namespace nines

// What the service manager is told of us (sd_notify(3)); units of Type=notify count as started, and
// as reloaded, only then.
#pragma once

#include <string>

namespace nines::node {

// One datagram to $NOTIFY_SOCKET. Nobody there, or no answer: no matter.
void notify_service_manager(const std::string& state);

// The states that matter: sd_notify(3), "Well-known assignments".
void notify_ready(int main_pid);
void notify_reloading();
void notify_reloaded();
void notify_stopping();
// For people, in "systemctl status".
void notify_status(const std::string& text);

}  // namespace nines::node

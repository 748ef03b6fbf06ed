// A datagram socket for each word: they are rare, and the manager may have been restarted between.
#include "node/service_manager.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <sys/socket.h>
#include <sys/un.h>

#include "io/linux/descriptor.h"

namespace nines::node {

namespace {

std::string now_of_service_manager() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1'000);
}

}  // namespace

void notify_service_manager(const std::string& state) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || path[0] == '\0') return;
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length >= sizeof at.sun_path) return;
  std::memcpy(at.sun_path, path, length);
  if (path[0] == '@') at.sun_path[0] = '\0';  // in the abstract namespace
  const io::Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return;
  static_cast<void>(::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                             reinterpret_cast<const sockaddr*>(&at),
                             static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length)));
}

void notify_ready(int main_pid) {
  notify_service_manager("READY=1\nMAINPID=" + std::to_string(main_pid) + "\n");
}

void notify_reloading() {
  notify_service_manager("RELOADING=1\nMONOTONIC_USEC=" + now_of_service_manager() + "\n");
}

void notify_reloaded() { notify_service_manager("READY=1\n"); }

void notify_stopping() { notify_service_manager("STOPPING=1\n"); }

void notify_status(const std::string& text) { notify_service_manager("STATUS=" + text + "\n"); }

}  // namespace nines::node

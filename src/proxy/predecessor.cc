// Through a pidfd the kernel gives out copies of another process's descriptors (pidfd_getfd(2)).
#include "proxy/predecessor.h"

#include <cstdlib>
#include <memory>
#include <string_view>

#include <dirent.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/linux/socket.h"

namespace nines::proxy {

namespace {

std::string program_of(const std::string& process) {
  char path[4096];
  const ssize_t size = ::readlink(("/proc/" + process + "/exe").c_str(), path, sizeof path);
  std::string_view name(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  constexpr std::string_view kDeleted = " (deleted)";  // an upgrade replaced the file
  if (name.ends_with(kDeleted)) name.remove_suffix(kDeleted.size());
  return std::string(name.substr(name.rfind('/') + 1));
}

}  // namespace

ListenerSockets listeners_of(const std::vector<int>& pids) {
  ListenerSockets found;
  for (const int pid : pids) {
    const std::string process = std::to_string(pid);
    const io::Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!handle || program_of(process).empty() || program_of(process) != program_of("self")) {
      continue;
    }
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(
        ::opendir(("/proc/" + process + "/fd").c_str()), ::closedir);
    if (folder == nullptr) continue;
    while (const dirent* const entry = ::readdir(folder.get())) {
      if (entry->d_name[0] == '.') continue;
      io::Descriptor copy(
          static_cast<int>(::syscall(SYS_pidfd_getfd, handle.get(), std::atoi(entry->d_name), 0)));
      int listening = 0;
      socklen_t size = sizeof listening;
      if (!copy || ::getsockopt(copy.get(), SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 ||
          listening == 0) {
        continue;
      }
      const auto at = io::local_address(copy.get());
      if (at && at->is_ip()) found[at->text()] = std::move(copy);
    }
  }
  return found;
}

}  // namespace nines::proxy

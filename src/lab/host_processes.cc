// proc(5): stat, ns/net and net/tcp.
#include "lab/host_processes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace nines::lab {
namespace {

std::string read_all(const std::string& path) {
  std::string text;
  const io::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return text;
  std::array<char, 16384> buffer;
  ssize_t size = 0;
  while ((size = ::read(file.get(), buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return text;
}

// "ID (NAME) STATE PARENT ...", where the name may contain anything.
bool parse_stat(const std::string& text, HostProcess& process) {
  const auto open = text.find('(');
  const auto close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 4 >= text.size()) {
    return false;
  }
  process.name = text.substr(open + 1, close - open - 1);
  process.state = text[close + 2];
  const char* const parent = text.data() + close + 4;
  return std::from_chars(parent, text.data() + text.size(), process.parent).ec == std::errc{};
}

}  // namespace

ProcessTable ProcessTable::read() {
  ProcessTable table;
  DIR* const folder = ::opendir("/proc");
  if (folder == nullptr) return table;
  while (const dirent* const found = ::readdir(folder)) {
    Entry entry;
    const std::string_view name = found->d_name;
    const auto end = name.data() + name.size();
    if (std::from_chars(name.data(), end, entry.process.id).ptr != end) continue;
    const std::string path = "/proc/" + std::string(name);
    struct stat network {};
    if (!parse_stat(read_all(path + "/stat"), entry.process)) continue;
    if (::stat((path + "/ns/net").c_str(), &network) != 0) continue;
    entry.network = network.st_ino;
    table.entries_.push_back(std::move(entry));
  }
  ::closedir(folder);
  return table;
}

std::vector<HostProcess> ProcessTable::of(const io::Descriptor& network) const {
  std::vector<HostProcess> result;
  struct stat wanted {};
  if (::fstat(network.get(), &wanted) != 0) return result;
  for (const auto& entry : entries_) {
    if (entry.network == wanted.st_ino) result.push_back(entry.process);
  }
  return result;
}

void await_death(int process, Duration patience) {
  const io::Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, process, 0)));
  if (!handle) return;  // dead and reaped
  pollfd watched{.fd = handle.get(), .events = POLLIN, .revents = 0};
  ::poll(&watched, 1, static_cast<int>(milliseconds_of(patience)));
}

bool listens_at(int process, const std::vector<SocketAddress>& addresses) {
  // "  SL: LOCAL:PORT REMOTE:PORT STATE ...", addresses as the kernel has them in memory.
  constexpr std::string_view kListening = "0A";
  const std::string text = read_all("/proc/" + std::to_string(process) + "/net/tcp");
  std::set<std::string> listening;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string line(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    std::array<char, 32> local{};
    std::array<char, 8> state{};
    if (std::sscanf(line.c_str(), " %*[^:]: %31s %*s %7s", local.data(), state.data()) == 2 &&
        state.data() == kListening) {
      listening.insert(local.data());
    }
  }
  return std::all_of(addresses.begin(), addresses.end(), [&](const SocketAddress& each) {
    std::uint32_t address = 0;
    if (::inet_pton(AF_INET, std::string(each.ip_text()).c_str(), &address) != 1) return true;
    std::array<char, 32> wanted;
    std::snprintf(wanted.data(), wanted.size(), "%08X:%04X", address, each.port());
    return listening.contains(wanted.data());
  });
}

}  // namespace nines::lab

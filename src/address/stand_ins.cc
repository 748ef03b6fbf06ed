// bpf(2) without a library: three kinds of calls. Links end with their descriptor, a map with its
// last user.
#include "address/stand_ins.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71  // Linux 5.14
#endif

namespace nines::address {
namespace {

using io::Descriptor;

constexpr char kLicense[] = "Apache-2.0";
constexpr ino_t kRootOfGroups = 1;  // the number of a hierarchy's own root, and of no group's

long bpf(int command, bpf_attr& attributes) {
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

template <typename T>
std::uint64_t pointer_to(const T* data) {
  return reinterpret_cast<std::uintptr_t>(data);
}

Error failed(const std::string& what) {
  const int number = errno;
  if (number == EPERM || number == EACCES) {
    return Error(ErrorCode::kRefused, what + " needs CAP_BPF and CAP_NET_ADMIN", number);
  }
  return Error(ErrorCode::kUnsupported,
               what + " (Linux 5.14 or later with CONFIG_CGROUP_BPF): " + std::strerror(number),
               number);
}

Result<std::uint64_t> own_network() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) {
    return failed("naming this network namespace");
  }
  return cookie;
}

// proc(5), mountinfo: "36 35 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw".
Result<Descriptor> open_root_of_groups() {
  std::ifstream mounts("/proc/self/mountinfo");
  std::string line;
  while (std::getline(mounts, line)) {
    const std::size_t separator = line.find(" - ");
    if (separator == line.npos || line.compare(separator + 3, 8, "cgroup2 ") != 0) continue;
    std::istringstream words(line);
    std::string number, parent, device, root, where;
    words >> number >> parent >> device >> root >> where;
    Descriptor folder(::open(where.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat seen {};
    if (folder && ::fstat(folder.get(), &seen) == 0 && seen.st_ino == kRootOfGroups) return folder;
  }
  return Error(ErrorCode::kUnsupported,
               "the root of the control groups (a cgroup2 file system) is not mounted here, or "
               "hidden by a container");
}

Result<Descriptor> make_map() {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_HASH;
  attributes.key_size = sizeof(ConnectDestination);
  attributes.value_size = sizeof(ConnectChoices);
  attributes.max_entries = kStandInsMost;
  attributes.map_flags = BPF_F_NO_PREALLOC;
  Descriptor map(static_cast<int>(bpf(BPF_MAP_CREATE, attributes)));
  if (!map) return failed("a table of stand-ins");
  return map;
}

Result<Descriptor> load(const std::vector<bpf_insn>& code, std::uint32_t where) {
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
  attributes.expected_attach_type = where;
  attributes.insns = pointer_to(code.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
  attributes.license = pointer_to(kLicense);
  Descriptor program(static_cast<int>(bpf(BPF_PROG_LOAD, attributes)));
  if (!program) return failed("loading the program of stand-ins");
  return program;
}

ConnectAddress words_of(const SocketAddress& address) {
  std::array<std::uint8_t, 16> bytes{};
  const std::string_view own = address.ip_bytes();
  if (own.size() == 4) bytes[10] = bytes[11] = 0xff;
  std::copy(own.begin(), own.end(), bytes.end() - static_cast<std::ptrdiff_t>(own.size()));
  ConnectAddress words{};
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

ConnectChoices choices_of(const StoodInAddress& address) {
  ConnectChoices choices;
  choices.until = static_cast<std::uint64_t>(address.until.nanoseconds);
  for (const SocketAddress& living : address.living) {
    if (living.family() != address.dead.family() || choices.count == kStandInChoices) continue;
    choices.addresses[choices.count++] = words_of(living);
  }
  return choices;
}

}  // namespace

Result<StandIns> StandIns::create() {
  StandIns made;
  made.groups_ = TRY(open_root_of_groups());
  made.map_ = TRY(make_map());
  const std::uint64_t network = TRY(own_network());
  for (const bool ipv6 : {false, true}) {
    const auto where = ipv6 ? BPF_CGROUP_INET6_CONNECT : BPF_CGROUP_INET4_CONNECT;
    Descriptor code = TRY(load(connect_program(ipv6, network, made.map_.get()), where));
    made.programs_.push_back({.code = std::move(code), .attached = {}, .where = where});
  }
  TRY(made.attach());
  made.detach();
  return made;
}

Result<void> StandIns::attach() {
  for (Program& program : programs_) {
    if (program.attached) continue;
    bpf_attr attributes{};
    attributes.link_create.prog_fd = static_cast<std::uint32_t>(program.code.get());
    attributes.link_create.target_fd = static_cast<std::uint32_t>(groups_.get());
    attributes.link_create.attach_type = program.where;
    program.attached = Descriptor(static_cast<int>(bpf(BPF_LINK_CREATE, attributes)));
    if (program.attached) continue;
    if (errno == EPERM) {
      return Error(ErrorCode::kRefused,
                   "attaching the program of stand-ins needs CAP_BPF and CAP_NET_ADMIN, and a root of "
                   "the control groups that no other program has for itself alone",
                   EPERM);
    }
    return failed("attaching the program of stand-ins");
  }
  return {};
}

void StandIns::detach() {
  for (Program& program : programs_) program.attached.reset();
}

Result<void> StandIns::set(const std::vector<StoodInAddress>& addresses,
                           const std::vector<std::uint16_t>& ports) {
  std::map<ConnectDestination, ConnectChoices> wanted;
  for (const StoodInAddress& address : addresses) {
    const ConnectChoices choices = choices_of(address);
    if (choices.count == 0) continue;
    for (const std::uint16_t port : ports) {
      wanted[{.address = words_of(address.dead), .port = htons(port)}] = choices;
    }
  }
  if (wanted.size() > kStandInsMost) {
    return Error(ErrorCode::kExhausted, std::to_string(wanted.size()) + " stand-ins of at most " +
                                            std::to_string(kStandInsMost));
  }
  bpf_attr attributes{};
  attributes.map_fd = static_cast<std::uint32_t>(map_.get());
  for (auto each = standing_.begin(); each != standing_.end();) {
    if (wanted.contains(*each)) {
      ++each;
      continue;
    }
    attributes.key = pointer_to(&*each);
    if (bpf(BPF_MAP_DELETE_ELEM, attributes) != 0 && errno != ENOENT) {
      return failed("taking a stand-in back");
    }
    each = standing_.erase(each);
  }
  for (const auto& [destination, choices] : wanted) {
    attributes.key = pointer_to(&destination);
    attributes.value = pointer_to(&choices);
    attributes.flags = BPF_ANY;
    if (bpf(BPF_MAP_UPDATE_ELEM, attributes) != 0) return failed("a stand-in");
    standing_.insert(destination);
  }
  if (!standing_.empty()) return attach();
  detach();
  return {};
}

}  // namespace nines::address

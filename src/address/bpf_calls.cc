// bpf(2) without a library: a structure for each call, of which the kernel reads what it knows.
#include "address/bpf_calls.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71  // Linux 5.14
#endif

namespace nines::address::bpf {
namespace {

using io::Descriptor;

constexpr char kLicense[] = "Apache-2.0";
constexpr std::size_t kPage = 4096;  // the least that any kernel shares
constexpr ino_t kRootOfGroups = 1;   // the number of a hierarchy's own root, and of no group's

long call(int command, bpf_attr& attributes) {
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

std::uint64_t pointer_to(const void* data) { return reinterpret_cast<std::uintptr_t>(data); }
std::uint32_t number_of(const Descriptor& descriptor) {
  return static_cast<std::uint32_t>(descriptor.get());
}

Error failed(const std::string& what) {
  const int number = errno;
  if (number == EPERM || number == EACCES) {
    return Error(ErrorCode::kRefused, what + " needs CAP_BPF and CAP_NET_ADMIN", number);
  }
  return Error(ErrorCode::kUnsupported,
               what + " (Linux 5.15 or later with CONFIG_CGROUP_BPF): " + std::strerror(number),
               number);
}

}  // namespace

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

Result<std::uint64_t> own_network() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) != 0) {
    return failed("telling this network namespace from others");
  }
  return cookie;
}

Result<Descriptor> make_map(bpf_map_type type, std::size_t key_size, std::size_t value_size,
                            std::size_t entries, std::uint32_t flags) {
  bpf_attr attributes{};
  attributes.map_type = type;
  attributes.key_size = static_cast<std::uint32_t>(key_size);
  attributes.value_size = static_cast<std::uint32_t>(value_size);
  attributes.max_entries = static_cast<std::uint32_t>(entries);
  attributes.map_flags = flags;
  Descriptor map(static_cast<int>(call(BPF_MAP_CREATE, attributes)));
  if (!map) return failed("a table for a program in the kernel");
  return map;
}

Result<void> put(const Descriptor& map, const void* key, const void* value) {
  bpf_attr attributes{};
  attributes.map_fd = number_of(map);
  attributes.key = pointer_to(key);
  attributes.value = pointer_to(value);
  attributes.flags = BPF_ANY;
  if (call(BPF_MAP_UPDATE_ELEM, attributes) != 0) return failed("an entry of a table");
  return {};
}

Result<void> take(const Descriptor& map, const void* key) {
  bpf_attr attributes{};
  attributes.map_fd = number_of(map);
  attributes.key = pointer_to(key);
  if (call(BPF_MAP_DELETE_ELEM, attributes) != 0 && errno != ENOENT) {
    return failed("the end of an entry of a table");
  }
  return {};
}

void Unshare::operator()(std::uint64_t* words) const { ::munmap(words, kPage); }

Result<SharedWords> share(const Descriptor& map, Sharing how) {
  const int rights = how == Sharing::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
  void* const words = ::mmap(nullptr, kPage, rights, MAP_SHARED, map.get(), 0);
  if (words == MAP_FAILED) return failed("memory shared with the kernel");
  return SharedWords(static_cast<std::uint64_t*>(words));
}

Result<Descriptor> load(bpf_prog_type type, bpf_attach_type where,
                        const std::vector<bpf_insn>& code) {
  bpf_attr attributes{};
  attributes.prog_type = type;
  attributes.expected_attach_type = where;
  attributes.insns = pointer_to(code.data());
  attributes.insn_cnt = static_cast<std::uint32_t>(code.size());
  attributes.license = pointer_to(kLicense);
  Descriptor program(static_cast<int>(call(BPF_PROG_LOAD, attributes)));
  if (!program) return failed("a program in the kernel");
  return program;
}

Result<Descriptor> attach(const Descriptor& program, const Descriptor& group,
                          bpf_attach_type where) {
  bpf_attr attributes{};
  attributes.link_create.prog_fd = number_of(program);
  attributes.link_create.target_fd = number_of(group);
  attributes.link_create.attach_type = where;
  Descriptor link(static_cast<int>(call(BPF_LINK_CREATE, attributes)));
  if (link) return link;
  if (errno == EPERM) {
    return Error(ErrorCode::kRefused,
                 "a program at the root of the control groups needs CAP_BPF and CAP_NET_ADMIN, and "
                 "that no other program has the root for itself alone",
                 EPERM);
  }
  return failed("a program at the root of the control groups");
}

Result<std::string> keys_of(const Descriptor& map, std::size_t size, std::size_t value_size,
                            std::size_t most) {
  constexpr std::uint32_t kBatch = 1024;  // a bucket of the kernel's has fewer entries
  std::string keys, values;
  std::array<char, 64> position{};
  bool first = true;
  while (keys.size() / size < most) {
    const std::size_t had = keys.size();
    keys.resize(had + kBatch * size);
    values.resize(kBatch * value_size);
    bpf_attr attributes{};
    attributes.batch.in_batch = first ? 0 : pointer_to(position.data());
    attributes.batch.out_batch = pointer_to(position.data());
    attributes.batch.keys = pointer_to(keys.data() + had);
    attributes.batch.values = pointer_to(values.data());
    attributes.batch.count = kBatch;
    attributes.batch.map_fd = number_of(map);
    const bool more = call(BPF_MAP_LOOKUP_BATCH, attributes) == 0;
    const int number = errno;
    keys.resize(had + attributes.batch.count * size);
    if (more) {
      first = false;
      continue;
    }
    if (number == ENOENT) return keys;
    errno = number;
    return failed("reading a table");
  }
  return keys;
}

}  // namespace nines::address::bpf

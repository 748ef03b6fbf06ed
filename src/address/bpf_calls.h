// bpf(2), as far as programs at the root of the control groups need it. What is made lives as long
// as its descriptor. Errors: kRefused, a capability is missing (CAP_BPF, CAP_NET_ADMIN);
// kUnsupported, with what the kernel or the host's set-up lacks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <linux/bpf.h>

#include "base/result.h"
#include "io/linux/descriptor.h"

namespace nines::address::bpf {

// The one folder from which every process of the host is reached.
Result<io::Descriptor> open_root_of_groups();
// What tells this thread's network namespace from others (SO_NETNS_COOKIE).
Result<std::uint64_t> own_network();

// `flags`: BPF_F_*.
Result<io::Descriptor> make_map(bpf_map_type type, std::size_t key_size, std::size_t value_size,
                                std::size_t entries, std::uint32_t flags);
Result<void> put(const io::Descriptor& map, const void* key, const void* value);
// One that is not there is none to take.
Result<void> take(const io::Descriptor& map, const void* key);

// The first page of an array's values (BPF_F_MMAPABLE), shared with the kernel's programs until it
// is let go of.
struct Unshare {
  void operator()(std::uint64_t* words) const;
};
using SharedWords = std::unique_ptr<std::uint64_t[], Unshare>;
enum class Sharing : std::uint8_t { kRead, kWrite };
Result<SharedWords> share(const io::Descriptor& map, Sharing how);

// `where`: for types that are attached to something, else BPF_CGROUP_INET_INGRESS, which is 0.
Result<io::Descriptor> load(bpf_prog_type type, bpf_attach_type where,
                            const std::vector<bpf_insn>& code);
// Beside whatever else is attached there.
Result<io::Descriptor> attach(const io::Descriptor& program, const io::Descriptor& group,
                              bpf_attach_type where);

// All keys of a map, `size` bytes each, one after the other; about `most` of them.
Result<std::string> keys_of(const io::Descriptor& map, std::size_t size, std::size_t value_size,
                            std::size_t most);

}  // namespace nines::address::bpf

// The sessions on some of this host's addresses, noted by the kernel as they are accepted and end:
// what session_table.h finds by a walk, without one, and a count that stands still while nobody
// comes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "address/bpf_calls.h"
#include "address/session.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "io/linux/descriptor.h"

namespace nines::address {

// A program at the root of the control groups (cgroup2), so that it sees each program's sessions;
// it acts in the network namespace of the thread that made this, alone. Sessions that were accepted
// before are not known. Ends with this object, and with its process. accepted() by any thread, the
// others by one.
class SessionWatch {
 public:
  // `addresses`: ports ignored. `most` sessions at a time; what is more is not noted. kUnsupported
  // with what the kernel or the host's set-up lacks, kRefused without CAP_BPF and CAP_NET_ADMIN.
  static Result<SessionWatch> create(std::span<const SocketAddress> addresses, std::size_t most);

  // Moves with each session that is accepted. No system call.
  std::uint64_t accepted() const;
  // In no order of meaning. Some microseconds, and a twentieth of one for each.
  Result<std::vector<Session>> find() const;
  // It is known from elsewhere that it is over.
  Result<void> forget(const Session& session);

 private:
  SessionWatch() = default;

  io::Descriptor addresses_, sessions_, count_map_, program_, attached_;
  bpf::SharedWords count_;  // the kernel writes it
  std::size_t most_ = 0;
};

}  // namespace nines::address

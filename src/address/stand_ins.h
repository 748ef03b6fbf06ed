// Hosts that are dead, and who stands in for them: whoever on this host connects to a service of
// theirs that every living host offers alike reaches it on a living one at once, instead of being
// refused and pausing before it asks the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "address/connect_program.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "io/linux/descriptor.h"

namespace nines::address {

// Destinations at a time: addresses of dead hosts times ports.
inline constexpr std::size_t kStandInsMost = 1024;

struct StoodInAddress {
  SocketAddress dead;                 // its port is ignored
  std::vector<SocketAddress> living;  // of the same family; the first kStandInChoices of them count
  Instant until{};                    // CLOCK_BOOTTIME
};

// A program at the root of the control groups (cgroup2), so that it sees each connect() on this
// host; it acts in the network namespace of the thread that made this, alone. The new connection is
// one to the living host in every respect; nothing is translated later. What stands ends with this
// object, with its process however that ends, and with each `until`; while nothing stands no
// connect() passes it. Not thread-safe.
class StandIns {
 public:
  // Tries each step: kUnsupported with what the kernel or the host's set-up lacks, kRefused without
  // CAP_BPF and CAP_NET_ADMIN.
  static Result<StandIns> create();

  // In place of what stood before. An address without anybody of its family alive, or whose `until`
  // has passed, is nobody's. kExhausted: more than kStandInsMost; what stood before stands.
  Result<void> set(const std::vector<StoodInAddress>& addresses,
                   const std::vector<std::uint16_t>& ports);

 private:
  struct Program {
    io::Descriptor code;
    io::Descriptor attached;  // none: no connect() passes it
    bpf_attach_type where = BPF_CGROUP_INET4_CONNECT;
  };

  StandIns() = default;
  Result<void> attach();
  void detach();

  io::Descriptor groups_;  // the root's folder
  io::Descriptor map_;
  std::vector<Program> programs_;
  std::set<ConnectDestination> standing_;
};

}  // namespace nines::address

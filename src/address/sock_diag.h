// sock_diag(7) for those who look through this network namespace's TCP sockets: requests, answers,
// and a filter that the kernel applies itself. Synchronous; one thread at a time.
#pragma once

#include <array>
#include <cerrno>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include "base/result.h"
#include "base/socket_address.h"
#include "io/linux/descriptor.h"

namespace nines::address::sock_diag {

inline constexpr std::size_t kAnswerSize = 32u << 10;
// What one filter names: its jumps are counted in 16 bits.
inline constexpr std::size_t kFilterAddressesMax = 1000;

Result<io::Descriptor> open();

// About sockets of one family; or about one socket.
Result<void> ask(int descriptor, int type, int flags, const inet_diag_req_v2& request);
// About TCP sockets of both families, in one walk of the kernel's table: only the older form of the
// question can say that. `filter`: of local_filter().
Result<void> ask_for_all(int descriptor, std::uint32_t states, std::string_view filter);

// The kernel's program that passes sockets whose own address is one of these (ports ignored), those
// of both families among them. At most kFilterAddressesMax, one at least.
std::string local_filter(std::span<const SocketAddress> addresses);

// The other end; an IPv4 peer of a socket of both families as what it is.
SocketAddress peer_of(std::uint8_t family, const inet_diag_sockid& id);
// This end, likewise.
SocketAddress local_of(std::uint8_t family, const inet_diag_sockid& id);

// Calls visit(message) for each answer until the last one.
template <typename Visit>
Result<void> receive(int descriptor, Visit visit) {
  std::vector<char> buffer(kAnswerSize);
  while (true) {
    const ssize_t count = ::recv(descriptor, buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return Error::from_errno(errno, "hear of sockets");
    int left = static_cast<int>(count);
    const auto* header = reinterpret_cast<const nlmsghdr*>(buffer.data());
    for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type == NLMSG_ERROR) {
        if (mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr)) {
          return Error(ErrorCode::kSystem, "a short answer about sockets");
        }
        const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
        if (error->error == 0) return {};
        return Error::from_errno(-error->error, "sockets");
      }
      visit(*header);
      // The one answer to a question about one socket.
      if ((header->nlmsg_flags & NLM_F_MULTI) == 0) return {};
    }
  }
}

}  // namespace nines::address::sock_diag

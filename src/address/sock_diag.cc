// The filter is a row of comparisons: each that fails leads to the next one, each that holds to a
// jump behind the last (linux/inet_diag.h).
#include "address/sock_diag.h"

#include <algorithm>
#include <cstring>

#include <netinet/in.h>

#include "base/check.h"

namespace nines::address::sock_diag {

namespace {

constexpr std::size_t kRequestSize = 256;
constexpr char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '\xff', '\xff'};

SocketAddress address_of(std::uint8_t family, const void* words, std::uint16_t port) {
  const auto* const bytes = static_cast<const std::uint8_t*>(words);
  const bool mapped = std::memcmp(bytes, kMapped, sizeof kMapped) == 0;
  if (family == AF_INET || mapped) {
    std::array<std::uint8_t, 4> address;
    std::memcpy(address.data(), bytes + (family == AF_INET ? 0 : sizeof kMapped), address.size());
    return SocketAddress::ipv4(address, port);
  }
  std::array<std::uint8_t, 16> address;
  std::memcpy(address.data(), bytes, address.size());
  return SocketAddress::ipv6(address, port);
}

Result<void> send(int descriptor, int type, int flags, std::string_view request,
                  std::string_view filter) {
  std::string buffer(kRequestSize + filter.size(), '\0');
  nlmsghdr* const header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = static_cast<std::uint16_t>(type);
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  std::memcpy(mnl_nlmsg_put_extra_header(header, request.size()), request.data(), request.size());
  if (!filter.empty()) {
    mnl_attr_put(header, INET_DIAG_REQ_BYTECODE, filter.size(), filter.data());
  }
  if (::send(descriptor, header, header->nlmsg_len, 0) < 0) {
    return Error::from_errno(errno, "ask for sockets");
  }
  return {};
}

template <typename T>
void append(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

Result<io::Descriptor> open() {
  io::Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!socket) return Error::from_errno(errno, "a socket for sock_diag");
  return socket;
}

Result<void> ask(int descriptor, int type, int flags, const inet_diag_req_v2& request) {
  return send(descriptor, type, flags, {reinterpret_cast<const char*>(&request), sizeof request},
              {});
}

Result<void> ask_for_all(int descriptor, std::uint32_t states, std::string_view filter) {
  inet_diag_req request{};
  request.idiag_states = states;
  return send(descriptor, TCPDIAG_GETSOCK, NLM_F_DUMP,
              {reinterpret_cast<const char*>(&request), sizeof request}, filter);
}

std::string local_filter(std::span<const SocketAddress> addresses) {
  CHECK(!addresses.empty() && addresses.size() <= kFilterAddressesMax);
  // Backwards: a jump is told how much comes after it.
  std::string program;
  for (std::size_t i = addresses.size(); i-- > 0;) {
    const SocketAddress& address = addresses[i];
    const std::string_view bytes = address.ip_bytes();
    const bool last = i + 1 == addresses.size();
    std::string one;
    if (!last) {
      const inet_diag_bc_op jump{
          .code = INET_DIAG_BC_JMP,
          .yes = sizeof(inet_diag_bc_op),
          .no = static_cast<std::uint16_t>(sizeof(inet_diag_bc_op) + program.size())};
      append(one, jump);
    }
    const std::size_t size = sizeof(inet_diag_bc_op) + sizeof(inet_diag_hostcond) + bytes.size();
    // Four bytes beyond the end means: no.
    const inet_diag_bc_op compare{.code = INET_DIAG_BC_S_COND,
                                  .yes = static_cast<std::uint8_t>(size),
                                  .no = static_cast<std::uint16_t>(size + sizeof(inet_diag_bc_op))};
    inet_diag_hostcond wanted{};
    wanted.family = static_cast<std::uint8_t>(bytes.size() == 4 ? AF_INET : AF_INET6);
    wanted.prefix_len = static_cast<std::uint8_t>(8 * bytes.size());
    wanted.port = -1;
    std::string head;
    append(head, compare);
    head.append(reinterpret_cast<const char*>(&wanted), sizeof wanted);
    head.append(bytes);
    program = head + one + program;
  }
  return program;
}

SocketAddress peer_of(std::uint8_t family, const inet_diag_sockid& id) {
  return address_of(family, id.idiag_dst, ntohs(id.idiag_dport));
}

SocketAddress local_of(std::uint8_t family, const inet_diag_sockid& id) {
  return address_of(family, id.idiag_src, ntohs(id.idiag_sport));
}

}  // namespace nines::address::sock_diag

// RTM_GETNEIGH as a dump (rtnetlink(7)), filtered here: what older kernels filter differs.
#include "address/neighbors.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optional>

#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "io/linux/descriptor.h"

namespace nines::address {
namespace {

constexpr std::size_t kReplySize = 32768;

struct Question {
  nlmsghdr header;
  ndmsg neighbor;
};

std::optional<SocketAddress> unheard(const nlmsghdr* header, int link, std::uint8_t family) {
  if (header->nlmsg_type != RTM_NEWNEIGH || mnl_nlmsg_get_payload_len(header) < sizeof(ndmsg)) {
    return std::nullopt;
  }
  const auto* neighbor = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(header));
  if (neighbor->ndm_ifindex != link || neighbor->ndm_family != family ||
      (neighbor->ndm_state & NUD_INCOMPLETE) == 0) {
    return std::nullopt;
  }
  const auto* attribute =
      static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, sizeof(ndmsg)));
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
  while (mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
    const std::size_t size = mnl_attr_get_payload_len(attribute);
    if (mnl_attr_get_type(attribute) == NDA_DST && size == (family == AF_INET ? 4 : 16)) {
      if (family == AF_INET) {
        std::array<std::uint8_t, 4> ip{};
        std::memcpy(ip.data(), mnl_attr_get_payload(attribute), ip.size());
        return SocketAddress::ipv4(ip, 0);
      }
      std::array<std::uint8_t, 16> ip{};
      std::memcpy(ip.data(), mnl_attr_get_payload(attribute), ip.size());
      return SocketAddress::ipv6(ip, 0);
    }
    attribute = mnl_attr_next(attribute);
  }
  return std::nullopt;
}

}  // namespace

Result<std::vector<SocketAddress>> unheard_neighbors(int link, SocketAddress::Family family,
                                                     std::size_t most) {
  const io::Descriptor netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink) return Error::from_errno(errno, "a socket for neighbours");
  const std::uint8_t kernel_family = family == SocketAddress::Family::kIpv4 ? AF_INET : AF_INET6;
  Question question{};
  question.header.nlmsg_len = sizeof question;
  question.header.nlmsg_type = RTM_GETNEIGH;
  question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  question.neighbor.ndm_family = kernel_family;
  if (::send(netlink.get(), &question, sizeof question, 0) < 0) {
    return Error::from_errno(errno, "ask for neighbours");
  }
  std::vector<SocketAddress> found;
  alignas(nlmsghdr) std::array<char, kReplySize> reply;
  while (true) {
    // A dump's next part is made while this one is read.
    const ssize_t size = ::recv(netlink.get(), reply.data(), reply.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Error::from_errno(errno, "hear of neighbours");
    int left = static_cast<int>(size);
    const auto* header = reinterpret_cast<const nlmsghdr*>(reply.data());
    for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
      if (header->nlmsg_type == NLMSG_DONE) return found;
      if (header->nlmsg_type == NLMSG_ERROR) {
        return Error(ErrorCode::kSystem, "the kernel does not tell of neighbours");
      }
      const auto neighbor = unheard(header, link, kernel_family);
      if (neighbor && found.size() < most) found.push_back(*neighbor);
    }
  }
}

}  // namespace nines::address

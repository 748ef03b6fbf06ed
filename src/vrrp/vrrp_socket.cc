// Options in the order of what goes wrong without them: the wrong interface, the wrong TTL, our own
// echo.
#include "vrrp/vrrp_socket.h"

#include <cerrno>
#include <cstring>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "io/linux/socket.h"
#include "vrrp/vrrp_wire.h"

namespace nines::vrrp {

Result<VrrpSocket> VrrpSocket::open(const std::string& interface, const SocketAddress& group) {
  const unsigned index = ::if_nametoindex(interface.c_str());
  if (index == 0) return Error::from_errno(errno, "interface " + interface);
  io::Descriptor socket(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, kVrrpProtocol));
  if (!socket) return Error::from_errno(errno, "a raw socket for VRRP");
  const auto set = [&socket](int level, int option, const auto& value) {
    return ::setsockopt(socket.get(), level, option, &value, sizeof value) == 0;
  };
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                   static_cast<socklen_t>(interface.size() + 1)) != 0) {
    return Error::from_errno(errno, "bind to " + interface);
  }
  ip_mreqn membership{};
  std::memcpy(&membership.imr_multiaddr, group.ip_bytes().data(), sizeof membership.imr_multiaddr);
  membership.imr_ifindex = static_cast<int>(index);
  constexpr int kPriority = 6;  // TC_PRIO_INTERACTIVE: ahead of bulk in the interface's queue
  if (!set(IPPROTO_IP, IP_ADD_MEMBERSHIP, membership) ||
      !set(IPPROTO_IP, IP_MULTICAST_IF, membership) || !set(IPPROTO_IP, IP_MULTICAST_LOOP, 0) ||
      !set(IPPROTO_IP, IP_MULTICAST_TTL, int{kVrrpTimeToLive}) ||
      !set(IPPROTO_IP, IP_TTL, int{kVrrpTimeToLive}) ||
      !set(IPPROTO_IP, IP_TOS, int{kTypeOfService})) {
    return Error::from_errno(errno, "VRRP's socket on " + interface);
  }
  static_cast<void>(set(SOL_SOCKET, SO_PRIORITY, kPriority));
  return VrrpSocket(std::move(socket), static_cast<int>(index));
}

std::string_view VrrpSocket::receive() {
  buffer_.resize(kPacketSizeMax);
  ssize_t count = 0;
  do {
    count = ::recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return {};
  return {buffer_.data(), static_cast<std::size_t>(count)};
}

Result<void> VrrpSocket::send(const SocketAddress& source, const SocketAddress& destination,
                              std::string_view message) {
  const io::KernelAddress to = TRY(io::to_kernel(destination));
  iovec part{const_cast<char*>(message.data()), message.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in_pktinfo))] = {};
  msghdr header{};
  header.msg_name = const_cast<sockaddr*>(to.get());
  header.msg_namelen = to.size;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* const item = CMSG_FIRSTHDR(&header);
  item->cmsg_level = IPPROTO_IP;
  item->cmsg_type = IP_PKTINFO;
  item->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
  in_pktinfo info{};
  info.ipi_ifindex = index_;
  std::memcpy(&info.ipi_spec_dst, source.ip_bytes().data(), sizeof info.ipi_spec_dst);
  std::memcpy(CMSG_DATA(item), &info, sizeof info);
  if (::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    return Error::from_errno(errno, "send an advert to " + destination.ip_text());
  }
  return {};
}

}  // namespace nines::vrrp

// Options in the order of what goes wrong without them: the wrong interface, the wrong TTL, our own
// echo.
#include "vrrp/vrrp_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "io/linux/socket.h"
#include "vrrp/vrrp_wire.h"

namespace nines::vrrp {

namespace {

template <typename Value>
bool set(int socket, int level, int option, const Value& value) {
  return ::setsockopt(socket, level, option, &value, sizeof value) == 0;
}

bool prepare_ipv4(int socket, int index, const SocketAddress& group) {
  ip_mreqn membership{};
  std::memcpy(&membership.imr_multiaddr, group.ip_bytes().data(), sizeof membership.imr_multiaddr);
  membership.imr_ifindex = index;
  return set(socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, membership) &&
         set(socket, IPPROTO_IP, IP_MULTICAST_IF, membership) &&
         set(socket, IPPROTO_IP, IP_MULTICAST_LOOP, 0) &&
         set(socket, IPPROTO_IP, IP_MULTICAST_TTL, int{kVrrpTimeToLive}) &&
         set(socket, IPPROTO_IP, IP_TTL, int{kVrrpTimeToLive}) &&
         set(socket, IPPROTO_IP, IP_TOS, int{kTypeOfService});
}

// RFC 3542. The header's hop limit and destination come beside each message; the checksum is ours
// to look at, so that a wrong one is counted.
bool prepare_ipv6(int socket, int index, const SocketAddress& group) {
  ipv6_mreq membership{};
  std::memcpy(&membership.ipv6mr_multiaddr, group.ip_bytes().data(),
              sizeof membership.ipv6mr_multiaddr);
  membership.ipv6mr_interface = static_cast<unsigned>(index);
  return set(socket, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, membership) &&
         set(socket, IPPROTO_IPV6, IPV6_MULTICAST_IF, index) &&
         set(socket, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0) &&
         set(socket, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, int{kVrrpTimeToLive}) &&
         set(socket, IPPROTO_IPV6, IPV6_UNICAST_HOPS, int{kVrrpTimeToLive}) &&
         set(socket, IPPROTO_IPV6, IPV6_TCLASS, int{kTypeOfService}) &&
         set(socket, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) &&
         set(socket, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
}

SocketAddress address_of(const in6_addr& address) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &address, bytes.size());
  return SocketAddress::ipv6(bytes, 0);
}

}  // namespace

Result<VrrpSocket> VrrpSocket::open(const std::string& interface, const SocketAddress& group) {
  const unsigned found = ::if_nametoindex(interface.c_str());
  if (found == 0) return Error::from_errno(errno, "interface " + interface);
  const auto index = static_cast<int>(found);
  const bool ipv6 = group.family() == SocketAddress::Family::kIpv6;
  io::Descriptor socket(
      ::socket(ipv6 ? AF_INET6 : AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, kVrrpProtocol));
  if (!socket) return Error::from_errno(errno, "a raw socket for VRRP");
  if (::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                   static_cast<socklen_t>(interface.size() + 1)) != 0) {
    return Error::from_errno(errno, "bind to " + interface);
  }
  const bool prepared =
      ipv6 ? prepare_ipv6(socket.get(), index, group) : prepare_ipv4(socket.get(), index, group);
  if (!prepared) return Error::from_errno(errno, "VRRP's socket on " + interface);
  constexpr int kPriority = 6;  // TC_PRIO_INTERACTIVE: ahead of bulk in the interface's queue
  static_cast<void>(set(socket.get(), SOL_SOCKET, SO_PRIORITY, kPriority));
  return VrrpSocket(std::move(socket), index, group.family());
}

std::string_view VrrpSocket::receive() {
  buffer_.resize(kPacketSizeMax);
  if (family_ == SocketAddress::Family::kIpv6) return receive_ipv6();
  ssize_t count = 0;
  do {
    count = ::recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count <= 0) return {};
  return {buffer_.data(), static_cast<std::size_t>(count)};
}

// With the header that the kernel took off put before it again.
std::string_view VrrpSocket::receive_ipv6() {
  sockaddr_in6 from{};
  iovec part{buffer_.data() + kIpv6HeaderSize, buffer_.size() - kIpv6HeaderSize};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_name = &from;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  ssize_t count = 0;
  do {
    header.msg_namelen = sizeof from;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    count = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count <= 0 || header.msg_namelen < sizeof from) return {};
  int hop_limit = 0;
  SocketAddress destination = SocketAddress::ipv6({}, 0);
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != IPPROTO_IPV6) continue;
    if (item->cmsg_type == IPV6_HOPLIMIT) {
      std::memcpy(&hop_limit, CMSG_DATA(item), sizeof hop_limit);
    } else if (item->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(item), sizeof info);
      destination = address_of(info.ipi6_addr);
    }
  }
  const auto size = static_cast<std::size_t>(count);
  const auto put = ipv6_header(address_of(from.sin6_addr), destination,
                               static_cast<std::uint8_t>(hop_limit), size);
  std::copy(put.begin(), put.end(), buffer_.begin());
  return {buffer_.data(), kIpv6HeaderSize + size};
}

Result<void> VrrpSocket::send(const SocketAddress& source, const SocketAddress& destination,
                              std::string_view message) {
  const io::KernelAddress to = TRY(io::to_kernel(destination));
  iovec part{const_cast<char*>(message.data()), message.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))] = {};
  msghdr header{};
  header.msg_name = const_cast<sockaddr*>(to.get());
  header.msg_namelen = to.size;
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  const auto leave_from = [&](int level, int type, const auto& info) {
    header.msg_controllen = CMSG_SPACE(sizeof info);
    cmsghdr* const item = CMSG_FIRSTHDR(&header);
    item->cmsg_level = level;
    item->cmsg_type = type;
    item->cmsg_len = CMSG_LEN(sizeof info);
    std::memcpy(CMSG_DATA(item), &info, sizeof info);
  };
  if (family_ == SocketAddress::Family::kIpv6) {
    in6_pktinfo info{};
    info.ipi6_ifindex = static_cast<unsigned>(index_);
    std::memcpy(&info.ipi6_addr, source.ip_bytes().data(), sizeof info.ipi6_addr);
    leave_from(IPPROTO_IPV6, IPV6_PKTINFO, info);
  } else {
    in_pktinfo info{};
    info.ipi_ifindex = index_;
    std::memcpy(&info.ipi_spec_dst, source.ip_bytes().data(), sizeof info.ipi_spec_dst);
    leave_from(IPPROTO_IP, IP_PKTINFO, info);
  }
  if (::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    return Error::from_errno(errno, "send an advert to " + destination.ip_text());
  }
  return {};
}

}  // namespace nines::vrrp

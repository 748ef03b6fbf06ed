// RFC 792, 4443. The body is a secret, the node and when it was asked.
#include "cluster/echo_probe.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "io/linux/socket.h"

#ifndef ICMP_FILTER
#define ICMP_FILTER 1  // linux/icmp.h, which does not go together with netinet/ip_icmp.h
#endif

namespace nines::cluster {
namespace {

constexpr std::size_t kHeaderSize = 8;  // of ICMP: type, code, checksum, id, sequence
constexpr std::size_t kBodySize = 8 + 1 + 8;
constexpr int kReadsMax = 64;  // then the rest next time

std::uint16_t checksum(std::string_view bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i]));
    sum += i % 2 == 0 ? byte << 8 : byte;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

}  // namespace

Result<std::unique_ptr<EchoProbe>> EchoProbe::create(
    std::map<NodeId, std::vector<SocketAddress>> targets, io::EpollLoop& loop, Clock clock,
    std::function<void(NodeId)> answered) {
  bool ipv4 = false, ipv6 = false;
  for (const auto& [node, addresses] : targets) {
    for (const SocketAddress& address : addresses) {
      ipv4 |= address.family() == SocketAddress::Family::kIpv4;
      ipv6 |= address.family() == SocketAddress::Family::kIpv6;
    }
  }
  std::unique_ptr<EchoProbe> probe(
      new EchoProbe(std::move(targets), loop, std::move(clock), std::move(answered)));
  if (::getrandom(probe->secret_.data(), probe->secret_.size(), 0) !=
      static_cast<ssize_t>(probe->secret_.size())) {
    return Error::from_errno(errno, "getrandom");
  }
  if (ipv4) TRY(probe->open(SocketAddress::Family::kIpv4));
  if (ipv6) TRY(probe->open(SocketAddress::Family::kIpv6));
  return probe;
}

EchoProbe::~EchoProbe() {
  for (const Socket& socket : sockets_) loop_.unwatch_descriptor(socket.watch);
}

// The kernel hands every ICMP message to every raw socket: only answers come up to us.
Result<void> EchoProbe::open(SocketAddress::Family family) {
  const bool is_ipv6 = family == SocketAddress::Family::kIpv6;
  io::Descriptor socket(::socket(is_ipv6 ? AF_INET6 : AF_INET,
                                 SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                                 is_ipv6 ? int{IPPROTO_ICMPV6} : int{IPPROTO_ICMP}));
  if (!socket) return Error::from_errno(errno, "a socket for echo requests");
  int filtered = 0;
  if (is_ipv6) {
    icmp6_filter filter;
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
    filtered = ::setsockopt(socket.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
  } else {
    const std::uint32_t filter = ~(1u << ICMP_ECHOREPLY);
    filtered = ::setsockopt(socket.get(), SOL_RAW, ICMP_FILTER, &filter, sizeof filter);
  }
  if (filtered != 0) return Error::from_errno(errno, "the filter of echo answers");
  const int descriptor = socket.get();
  (is_ipv6 ? ipv6_ : ipv4_) = descriptor;
  sockets_.push_back(
      {std::move(socket), loop_.watch_descriptor(descriptor, EPOLLIN, [=, this](std::uint32_t) {
         read(descriptor, is_ipv6);
       })});
  return {};
}

void EchoProbe::ask(NodeId node) {
  const auto found = targets_.find(node);
  if (found == targets_.end()) return;
  for (const SocketAddress& address : found->second) {
    const bool is_ipv6 = address.family() == SocketAddress::Family::kIpv6;
    const auto to = io::to_kernel(address.with_port(0));
    if (!to.has_value()) continue;
    const std::string message = request(node, is_ipv6);
    static_cast<void>(::sendto(is_ipv6 ? ipv6_ : ipv4_, message.data(), message.size(),
                               MSG_DONTWAIT, to->get(), to->size));
  }
}

std::string EchoProbe::request(NodeId node, bool ipv6) {
  const std::uint16_t sequence = ++sequence_;
  std::string message(kHeaderSize, '\0');
  message[0] = static_cast<char>(ipv6 ? int{ICMP6_ECHO_REQUEST} : int{ICMP_ECHO});
  message[4] = secret_[0];
  message[5] = secret_[1];
  message[6] = static_cast<char>(sequence >> 8);
  message[7] = static_cast<char>(sequence & 0xff);
  message.append(secret_.data(), secret_.size());
  message.push_back(static_cast<char>(node));
  const std::int64_t asked_at = clock_().nanoseconds;
  message.append(reinterpret_cast<const char*>(&asked_at), sizeof asked_at);
  if (!ipv6) {  // the kernel makes that of ICMPv6
    const std::uint16_t sum = checksum(message);
    message[2] = static_cast<char>(sum >> 8);
    message[3] = static_cast<char>(sum & 0xff);
  }
  return message;
}

void EchoProbe::read(int descriptor, bool ipv6) {
  std::array<char, 256> buffer;
  for (int reads = 0; reads < kReadsMax; ++reads) {
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    const ssize_t count = ::recvfrom(descriptor, buffer.data(), buffer.size(), 0,
                                     reinterpret_cast<sockaddr*>(&from), &size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;
    std::string_view message(buffer.data(), static_cast<std::size_t>(count));
    if (!ipv6) {  // comes with its IP header
      if (message.empty()) continue;
      message.remove_prefix(std::min<std::size_t>(
          message.size(), (static_cast<unsigned char>(message[0]) & 15u) * 4));
    }
    if (const auto node = who_answered(message, io::from_kernel(from, size))) answered_(*node);
  }
}

std::optional<NodeId> EchoProbe::who_answered(std::string_view message,
                                              const SocketAddress& from) const {
  if (message.size() != kHeaderSize + kBodySize) return std::nullopt;
  const std::string_view body = message.substr(kHeaderSize);
  if (body.substr(0, secret_.size()) != std::string_view(secret_.data(), secret_.size())) {
    return std::nullopt;
  }
  const auto node = static_cast<NodeId>(body[secret_.size()]);
  std::int64_t asked_at = 0;
  std::memcpy(&asked_at, body.data() + secret_.size() + 1, sizeof asked_at);
  const Duration took = clock_() - Instant{asked_at};
  const auto found = targets_.find(node);
  if (took < 0ns || took > kAnswerWithin || found == targets_.end()) return std::nullopt;
  for (const SocketAddress& address : found->second) {
    if (address.ip_bytes() == from.ip_bytes()) return node;
  }
  return std::nullopt;
}

}  // namespace nines::cluster

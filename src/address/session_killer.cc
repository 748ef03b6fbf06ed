// sock_diag(7): a dump of TCP sockets, of which those of our address are destroyed one by one by
// their cookies, so that none that was opened meanwhile is hit.
#include "address/session_killer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "io/linux/descriptor.h"

namespace nines::address {

namespace {

constexpr std::size_t kRequestSize = 256;
constexpr std::size_t kAnswerSize = 32u << 10;
// Everything but what has no address to lose, or no life left.
constexpr std::uint32_t kStates =
    0xfffu & ~(1u << TCP_LISTEN | 1u << TCP_CLOSE | 1u << TCP_TIME_WAIT);

struct Session {
  std::uint8_t family;
  std::uint8_t state;
  inet_diag_sockid id;
};

Result<void> send(int descriptor, int type, int flags, const inet_diag_req_v2& body) {
  alignas(nlmsghdr) std::array<char, kRequestSize> buffer{};
  nlmsghdr* const header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = static_cast<std::uint16_t>(type);
  header->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  std::memcpy(mnl_nlmsg_put_extra_header(header, sizeof body), &body, sizeof body);
  if (::send(descriptor, header, header->nlmsg_len, 0) < 0) {
    return Error::from_errno(errno, "ask for sockets");
  }
  return {};
}

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
    }
  }
}

// A socket of both families has an IPv4 address as ::ffff:a.b.c.d.
bool is_local(const inet_diag_msg& message, const SocketAddress& local) {
  const std::string_view wanted = local.ip_bytes();
  const std::string_view found(reinterpret_cast<const char*>(message.id.idiag_src), 16);
  if (message.idiag_family == AF_INET) return found.substr(0, 4) == wanted;
  if (wanted.size() == 16) return found == wanted;
  constexpr char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '\xff', '\xff'};
  return found.substr(0, 12) == std::string_view(kMapped, 12) && found.substr(12) == wanted;
}

// An IPv4 peer of a socket of both families as what it is.
SocketAddress peer_of(const Session& session) {
  constexpr char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '\xff', '\xff'};
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(session.id.idiag_dst);
  const std::uint16_t port = ntohs(session.id.idiag_dport);
  const bool mapped = std::memcmp(bytes, kMapped, sizeof kMapped) == 0;
  if (session.family == AF_INET || mapped) {
    std::array<std::uint8_t, 4> address;
    std::memcpy(address.data(), bytes + (session.family == AF_INET ? 0 : 12), address.size());
    return SocketAddress::ipv4(address, port);
  }
  std::array<std::uint8_t, 16> address;
  std::memcpy(address.data(), bytes, address.size());
  return SocketAddress::ipv6(address, port);
}

// Those of which wanted(message) is true.
template <typename Wanted>
Result<void> collect(int descriptor, int family, Wanted wanted, std::vector<Session>& sessions) {
  inet_diag_req_v2 request{};
  request.sdiag_family = static_cast<std::uint8_t>(family);
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = kStates;
  TRY(send(descriptor, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, request));
  return receive(descriptor, [&](const nlmsghdr& header) {
    if (mnl_nlmsg_get_payload_len(&header) < sizeof(inet_diag_msg)) return;
    const auto* message = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(&header));
    if (sessions.size() < kSessionsMax && wanted(*message)) {
      sessions.push_back({message->idiag_family, message->idiag_state, message->id});
    }
  });
}

Result<void> destroy(int descriptor, const Session& session) {
  inet_diag_req_v2 request{};
  request.sdiag_family = session.family;
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = 1u << session.state;
  request.id = session.id;
  TRY(send(descriptor, SOCK_DESTROY, NLM_F_ACK, request));
  return receive(descriptor, [](const nlmsghdr&) {});
}

// That one ended by itself, or is another by now: what was meant is gone.
bool has_ended(const Error& error) { return error.error_number() == ENOENT; }

bool has_peer_among(const inet_diag_msg& message, const std::vector<SocketAddress>& hosts) {
  const SocketAddress peer = peer_of({message.idiag_family, message.idiag_state, message.id});
  return std::any_of(hosts.begin(), hosts.end(),
                     [&](const SocketAddress& host) { return host.ip_bytes() == peer.ip_bytes(); });
}

Result<io::Descriptor> open_sock_diag() {
  io::Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!socket) return Error::from_errno(errno, "a socket for sock_diag");
  return socket;
}

// Those of both families of which wanted(message) is true; how many.
template <typename Wanted>
Result<std::size_t> destroy_all(Wanted wanted) {
  const io::Descriptor socket = TRY(open_sock_diag());
  std::vector<Session> sessions;
  TRY(collect(socket.get(), AF_INET, wanted, sessions));
  TRY(collect(socket.get(), AF_INET6, wanted, sessions));
  std::size_t count = 0;
  for (const Session& session : sessions) {
    const auto done = destroy(socket.get(), session);
    if (!done.has_value() && !has_ended(done.error())) return done.error();
    count += done.has_value() ? 1 : 0;
  }
  return count;
}

}  // namespace

Result<std::vector<EndedSession>> destroy_sessions(const SocketAddress& local) {
  const io::Descriptor socket = TRY(open_sock_diag());
  const auto wanted = [&](const inet_diag_msg& message) { return is_local(message, local); };
  std::vector<Session> sessions;
  if (local.family() == SocketAddress::Family::kIpv4) {
    TRY(collect(socket.get(), AF_INET, wanted, sessions));
  }
  TRY(collect(socket.get(), AF_INET6, wanted, sessions));
  std::vector<EndedSession> destroyed;
  for (const Session& session : sessions) {
    const auto done = destroy(socket.get(), session);
    if (done.has_value()) {
      destroyed.push_back({local.with_port(ntohs(session.id.idiag_sport)), peer_of(session)});
    } else if (!has_ended(done.error())) {
      return done.error();
    }
  }
  return destroyed;
}

Result<std::size_t> destroy_connections(const std::vector<SocketAddress>& hosts,
                                        const std::vector<std::uint16_t>& ports,
                                        const std::vector<std::uint16_t>& spared) {
  return destroy_all([&](const inet_diag_msg& message) {
    const auto has_one_of = [&](const std::vector<std::uint16_t>& wanted_ports) {
      return std::any_of(wanted_ports.begin(), wanted_ports.end(), [&](std::uint16_t port) {
        return port == ntohs(message.id.idiag_dport) || port == ntohs(message.id.idiag_sport);
      });
    };
    return has_one_of(ports) && !has_one_of(spared) && has_peer_among(message, hosts);
  });
}

Result<std::size_t> destroy_stranded(const std::vector<SocketAddress>& addresses) {
  return destroy_all([&](const inet_diag_msg& message) {
    // Whatever timer it is, of a retransmission or of a probe: one that has fired unanswered.
    return message.idiag_state != TCP_SYN_SENT && message.idiag_retrans > 0 &&
           has_peer_among(message, addresses);
  });
}

// A socket that cannot be: the kernel looks for it only where it could destroy it.
Result<void> check_destroying() {
  const io::Descriptor socket = TRY(open_sock_diag());
  Session nobody{.family = AF_INET, .state = TCP_ESTABLISHED, .id = {}};
  nobody.id.idiag_sport = nobody.id.idiag_dport = htons(1);
  nobody.id.idiag_src[0] = nobody.id.idiag_dst[0] = htonl(INADDR_BROADCAST);
  nobody.id.idiag_cookie[0] = nobody.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  const auto done = destroy(socket.get(), nobody);
  if (done.has_value() || has_ended(done.error())) return {};
  if (done.error().error_number() == EOPNOTSUPP) {
    return Error(ErrorCode::kUnsupported,
                 "this kernel cannot destroy sockets (it needs CONFIG_INET_DIAG_DESTROY)",
                 EOPNOTSUPP);
  }
  return done.error();
}

}  // namespace nines::address

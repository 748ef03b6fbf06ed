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

#include "address/sock_diag.h"
#include "io/linux/descriptor.h"

namespace nines::address {

namespace {

// Everything but what has no address to lose, or no life left.
constexpr std::uint32_t kStates =
    0xfffu & ~(1u << TCP_LISTEN | 1u << TCP_CLOSE | 1u << TCP_TIME_WAIT);

struct Found {
  std::uint8_t family;
  std::uint8_t state;
  inet_diag_sockid id;
};

// A socket of both families has an IPv4 address as ::ffff:a.b.c.d.
bool is_local(const inet_diag_msg& message, const SocketAddress& local) {
  const std::string_view wanted = local.ip_bytes();
  const std::string_view found(reinterpret_cast<const char*>(message.id.idiag_src), 16);
  if (message.idiag_family == AF_INET) return found.substr(0, 4) == wanted;
  if (wanted.size() == 16) return found == wanted;
  constexpr char kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '\xff', '\xff'};
  return found.substr(0, 12) == std::string_view(kMapped, 12) && found.substr(12) == wanted;
}

// Those of which wanted(message) is true.
template <typename Wanted>
Result<void> collect(int descriptor, int family, Wanted wanted, std::vector<Found>& sessions) {
  inet_diag_req_v2 request{};
  request.sdiag_family = static_cast<std::uint8_t>(family);
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = kStates;
  TRY(sock_diag::ask(descriptor, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, request));
  return sock_diag::receive(descriptor, [&](const nlmsghdr& header) {
    if (mnl_nlmsg_get_payload_len(&header) < sizeof(inet_diag_msg)) return;
    const auto* message = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(&header));
    if (sessions.size() < kSessionsMax && wanted(*message)) {
      sessions.push_back({message->idiag_family, message->idiag_state, message->id});
    }
  });
}

Result<void> destroy(int descriptor, const Found& session) {
  inet_diag_req_v2 request{};
  request.sdiag_family = session.family;
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = 1u << session.state;
  request.id = session.id;
  TRY(sock_diag::ask(descriptor, SOCK_DESTROY, NLM_F_ACK, request));
  return sock_diag::receive(descriptor, [](const nlmsghdr&) {});
}

// That one ended by itself, or is another by now: what was meant is gone.
bool has_ended(const Error& error) { return error.error_number() == ENOENT; }

bool has_peer_among(const inet_diag_msg& message, const std::vector<SocketAddress>& hosts) {
  const SocketAddress peer = sock_diag::peer_of(message.idiag_family, message.id);
  return std::any_of(hosts.begin(), hosts.end(),
                     [&](const SocketAddress& host) { return host.ip_bytes() == peer.ip_bytes(); });
}

// Those of both families of which wanted(message) is true; how many.
template <typename Wanted>
Result<std::size_t> destroy_all(Wanted wanted) {
  const io::Descriptor socket = TRY(sock_diag::open());
  std::vector<Found> sessions;
  TRY(collect(socket.get(), AF_INET, wanted, sessions));
  TRY(collect(socket.get(), AF_INET6, wanted, sessions));
  std::size_t count = 0;
  for (const Found& session : sessions) {
    const auto done = destroy(socket.get(), session);
    if (!done.has_value() && !has_ended(done.error())) return done.error();
    count += done.has_value() ? 1 : 0;
  }
  return count;
}

}  // namespace

Result<std::vector<Session>> destroy_sessions(const SocketAddress& local) {
  const io::Descriptor socket = TRY(sock_diag::open());
  const auto wanted = [&](const inet_diag_msg& message) { return is_local(message, local); };
  std::vector<Found> sessions;
  if (local.family() == SocketAddress::Family::kIpv4) {
    TRY(collect(socket.get(), AF_INET, wanted, sessions));
  }
  TRY(collect(socket.get(), AF_INET6, wanted, sessions));
  std::vector<Session> destroyed;
  for (const Found& session : sessions) {
    const auto done = destroy(socket.get(), session);
    if (done.has_value()) {
      destroyed.push_back({local.with_port(ntohs(session.id.idiag_sport)),
                           sock_diag::peer_of(session.family, session.id)});
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
  const io::Descriptor socket = TRY(sock_diag::open());
  Found nobody{.family = AF_INET, .state = TCP_ESTABLISHED, .id = {}};
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

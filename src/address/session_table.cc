// sock_diag(7) for the sessions, proc_pid_net(5) for the count.
#include "address/session_table.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "address/sock_diag.h"

namespace nines::address {

namespace {

// Those whose peer may wait: in the others all that was to be said was said and acknowledged, or
// the peer itself has ended.
constexpr std::uint32_t kWaitedFor =
    1u << TCP_ESTABLISHED | 1u << TCP_CLOSE_WAIT | 1u << TCP_FIN_WAIT1;
constexpr std::size_t kSnmpSize = 4096;  // what is looked for stands within

std::string_view next_word(std::string_view& line) {
  const std::size_t begin = std::min(line.find_first_not_of(' '), line.size());
  line.remove_prefix(begin);
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

Result<SessionTable> SessionTable::open() { return SessionTable(TRY(sock_diag::open())); }

Result<SessionTable::Found> SessionTable::find(std::span<const SocketAddress> addresses,
                                               std::size_t most) const {
  Found found;
  if (addresses.empty()) return found;
  const std::string filter = sock_diag::local_filter(
      addresses.first(std::min(addresses.size(), sock_diag::kFilterAddressesMax)));
  TRY(sock_diag::ask_for_all(socket_.get(), kWaitedFor, filter));
  TRY(sock_diag::receive(socket_.get(), [&](const nlmsghdr& header) {
    if (mnl_nlmsg_get_payload_len(&header) < sizeof(inet_diag_msg)) return;
    const auto* message = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(&header));
    if (found.sessions.size() >= most) {
      ++found.left_out;
      return;
    }
    found.sessions.push_back({sock_diag::local_of(message->idiag_family, message->id),
                              sock_diag::peer_of(message->idiag_family, message->id)});
  }));
  return found;
}

Result<bool> SessionTable::has(const Session& session) const {
  inet_diag_req_v2 request{};
  const std::string_view local = session.local.ip_bytes(), peer = session.peer.ip_bytes();
  if (local.empty() || local.size() != peer.size()) return false;
  request.sdiag_family = local.size() == 4 ? AF_INET : AF_INET6;
  request.sdiag_protocol = IPPROTO_TCP;
  request.idiag_states = ~0u;
  request.id.idiag_sport = htons(session.local.port());
  request.id.idiag_dport = htons(session.peer.port());
  std::memcpy(request.id.idiag_src, local.data(), local.size());
  std::memcpy(request.id.idiag_dst, peer.data(), peer.size());
  request.id.idiag_cookie[0] = request.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  TRY(sock_diag::ask(socket_.get(), SOCK_DIAG_BY_FAMILY, 0, request));
  bool has = false;
  const auto answered = sock_diag::receive(socket_.get(), [&](const nlmsghdr& header) {
    if (mnl_nlmsg_get_payload_len(&header) < sizeof(inet_diag_msg)) return;
    const auto* message = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(&header));
    // Where there is no such session the kernel shows who would accept it.
    has = message->idiag_state != TCP_LISTEN;
  });
  if (!answered.has_value() && answered.error().error_number() != ENOENT) return answered.error();
  return has;
}

Result<AcceptedCounter> AcceptedCounter::open() {
  io::Descriptor file(::open("/proc/thread-self/net/snmp", O_RDONLY | O_CLOEXEC));
  if (!file) return Error::from_errno(errno, "/proc/thread-self/net/snmp");
  return AcceptedCounter(std::move(file));
}

std::optional<std::uint64_t> AcceptedCounter::read() const {
  std::array<char, kSnmpSize> text;
  const ssize_t size = ::pread(file_.get(), text.data(), text.size(), 0);
  if (size <= 0) return std::nullopt;
  return accepted_in(std::string_view(text.data(), static_cast<std::size_t>(size)));
}

// Two lines for a protocol: names, then values in their order.
std::optional<std::uint64_t> accepted_in(std::string_view snmp) {
  const std::size_t begin = snmp.find("Tcp: ");
  if (begin == snmp.npos) return std::nullopt;
  snmp.remove_prefix(begin);
  std::string_view names = snmp.substr(0, snmp.find('\n'));
  if (names.size() == snmp.size()) return std::nullopt;
  std::string_view values = snmp.substr(names.size() + 1);
  values = values.substr(0, values.find('\n'));
  while (!names.empty() && !values.empty()) {
    const std::string_view name = next_word(names), value = next_word(values);
    if (name != "PassiveOpens") continue;
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), count);
    if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
    return count;
  }
  return std::nullopt;
}

}  // namespace nines::address

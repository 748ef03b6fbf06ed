// The guard's transactions and its clocks, and who else touches its tables.
#include "address/guard.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/check.h"

namespace nines::address {
namespace {

constexpr std::size_t kAnswerSize = 64u << 10;
// What others may change between two looks; beyond it the kernel says that news was lost.
constexpr int kMonitorBuffer = 256 << 10;
constexpr int kMonitorReadsMax = 64;  // then the rest next time
// In Linux's abstract namespace, which each network namespace has its own of: it goes with us.
constexpr std::string_view kLockName("\0nines-guard", 12);
constexpr std::string_view kRehearsal = "nines-rehearsal";

std::int64_t nanoseconds(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

// The wall clock is read first: being held up in between makes the opening shorter, never longer.
std::optional<Opening> opening_until(Instant end) {
  const std::int64_t wall = nanoseconds(CLOCK_REALTIME);
  const Duration left = std::min<Duration>(end - Instant{nanoseconds(CLOCK_BOOTTIME)}, kOpeningMax);
  if (left < kOpeningMin) return std::nullopt;
  return Opening{.left = left, .wall_end = WallTime{wall + left.count()}};
}

Result<io::Descriptor> open_lock() {
  io::Descriptor lock(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!lock) return Error::from_errno(errno, "a socket for the guard's lock");
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, kLockName.data(), kLockName.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + kLockName.size());
  if (::bind(lock.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    if (errno == EADDRINUSE) {
      return Error(ErrorCode::kExists, "another process guards this network namespace", errno);
    }
    return Error::from_errno(errno, "the guard's lock");
  }
  return lock;
}

// Hears what others change: the kernel writes into each event who caused it, and all events of one
// datagram have the same cause. Our own renewals wake nobody.
Result<io::Descriptor> open_monitor(int netlink) {
  sockaddr_nl ours{};
  socklen_t size = sizeof ours;
  if (::getsockname(netlink, reinterpret_cast<sockaddr*>(&ours), &size) != 0) {
    return Error::from_errno(errno, "the nftables socket's number");
  }
  io::Descriptor monitor = TRY(open_netfilter(SOCK_NONBLOCK));
  const std::array<sock_filter, 4> filter{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(ours.nl_pid), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
  }};
  const sock_fprog program{.len = filter.size(), .filter = const_cast<sock_filter*>(filter.data())};
  if (::setsockopt(monitor.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    return Error::from_errno(errno, "the nftables monitor's filter");
  }
  ::setsockopt(monitor.get(), SOL_SOCKET, SO_RCVBUF, &kMonitorBuffer, sizeof kMonitorBuffer);
  const int group = NFNLGRP_NFTABLES;
  if (::setsockopt(monitor.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
    return Error::from_errno(errno, "the nftables monitor's group");
  }
  return monitor;
}

Result<void> explained(Result<void> sent) {
  if (sent.has_value() || sent.error().code() != ErrorCode::kRefused) return sent;
  return std::move(sent).error().with_context(
      "the guard needs CAP_NET_ADMIN, and its tables no owner");
}

// What the kernel cannot do is named by what was asked of it.
Error rehearsal_failed(const Error& error) {
  if (error.code() == ErrorCode::kRefused) return error;
  return Error(ErrorCode::kUnsupported,
               "this kernel cannot guard addresses (it needs CONFIG_NF_TABLES, NF_TABLES_INET and "
               "NF_TABLES_ARP, of Linux 5.4 or later): " +
                   error.message(),
               error.error_number());
}

}  // namespace

Guard::Guard(io::Descriptor lock, NftSocket netlink)
    : lock_(std::move(lock)), netlink_(std::move(netlink)), answer_(kAnswerSize) {}

Result<Guard> Guard::create() {
  io::Descriptor lock = TRY(open_lock());
  NftSocket netlink = TRY(NftSocket::open());
  Guard guard(std::move(lock), std::move(netlink));
  // Addresses for documentation (RFC 5737, 3849), under a name of their own.
  NftBatch batch = guard.netlink_.begin();
  const GuardRulesLease lease{
      .addresses = {SocketAddress::ipv4({192, 0, 2, 1}, 0),
                    SocketAddress::ipv6(
                        {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0)},
      .opening = Opening{.left = kOpeningMin, .wall_end = {}}};
  write_guard(batch, {lease}, kRehearsal);
  if (auto done = guard.send(batch, NftBatch::Ending::kDryRun); !done.has_value()) {
    return rehearsal_failed(done.error());
  }
  guard.monitor_ = TRY(open_monitor(guard.netlink_.descriptor()));
  return guard;
}

Result<void> Guard::install(const std::vector<GuardedLease>& leases) {
  std::vector<GuardRulesLease> rules;
  std::vector<Lease> fresh;
  for (const GuardedLease& lease : leases) {
    rules.push_back({.addresses = lease.addresses, .opening = opening_until(lease.open_until)});
    fresh.push_back({.families = families_of(lease.addresses)});
  }
  TRY(check_guardable(rules));
  NftBatch batch = netlink_.begin();
  write_guard(batch, rules);
  TRY(send(batch, NftBatch::Ending::kCommit));
  leases_ = std::move(fresh);
  return {};
}

Result<void> Guard::open_until(std::size_t lease, Instant end) {
  const std::optional<Opening> opening = opening_until(end);
  TRY(write(lease, opening));
  if (!opening) {
    return Error(ErrorCode::kTimeout, "too little is left of the lease to open the guard for it");
  }
  return {};
}

Result<void> Guard::close(std::size_t lease) { return write(lease, std::nullopt); }

Result<void> Guard::write(std::size_t lease, const std::optional<Opening>& opening) {
  CHECK(lease < leases_.size());
  Lease& of = leases_[lease];
  if (opening && of.renewal) {
    replace_opening(of.renewal->batch, of.renewal->places, *opening);
    return explained(netlink_.send_again(of.renewal->batch));
  }
  NftBatch batch = netlink_.begin();
  OpeningPlaces places = write_opening(batch, lease, of.families, opening);
  auto sent = send(batch, NftBatch::Ending::kCommit);
  if (opening) of.renewal = Lease::Renewal{std::move(batch), std::move(places)};
  return sent;
}

Result<void> Guard::remove() {
  NftBatch batch = netlink_.begin();
  write_removal(batch);
  TRY(send(batch, NftBatch::Ending::kCommit));
  leases_.clear();
  return {};
}

Result<bool> Guard::disturbed() {
  bool touched = false;
  for (int reads = 0; reads < kMonitorReadsMax; ++reads) {
    const ssize_t size = ::recv(monitor_.get(), answer_.data(), answer_.size(), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == ENOBUFS) {
      touched = true;
      continue;
    }
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (size < 0) return Error::from_errno(errno, "hear of nftables");
    touched |= speaks_of_guard({answer_.data(), static_cast<std::size_t>(size)});
  }
  return touched;
}

Result<void> Guard::send(NftBatch& batch, NftBatch::Ending ending) {
  return explained(netlink_.send(batch, ending));
}

}  // namespace nines::address

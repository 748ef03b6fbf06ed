// The guard's transactions and its clocks, and who else touches its tables.
#include "address/guard.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
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
#include <poll.h>
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
constexpr Duration kLockAgain = std::chrono::milliseconds(2);
constexpr std::string_view kRehearsal = "nines-rehearsal";

Error too_little_left() {
  return Error(ErrorCode::kTimeout, "too little is left of the lease to open the guard for it");
}

Result<io::Descriptor> open_lock(Duration patience) {
  io::Descriptor lock(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!lock) return Error::from_errno(errno, "a socket for the guard's lock");
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, kLockName.data(), kLockName.size());
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + kLockName.size());
  const auto until = std::chrono::steady_clock::now() + patience;
  while (::bind(lock.get(), reinterpret_cast<const sockaddr*>(&name), size) != 0) {
    if (errno != EADDRINUSE) return Error::from_errno(errno, "the guard's lock");
    if (std::chrono::steady_clock::now() >= until) {
      return Error(ErrorCode::kExists, "another process guards this network namespace", EADDRINUSE);
    }
    ::poll(nullptr, 0, static_cast<int>(milliseconds_of(kLockAgain)));
  }
  return lock;
}

// Hears what others change: the kernel writes into each event who caused it, and all events of one
// datagram have the same cause. Our own renewals wake nobody.
Result<io::Descriptor> open_monitor(std::uint32_t our_port, std::uint32_t our_other_port) {
  io::Descriptor monitor = TRY(open_netfilter(SOCK_NONBLOCK));
  const std::array<sock_filter, 5> filter{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(nlmsghdr, nlmsg_pid)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(our_port), 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(our_other_port), 0, 1),
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

template <typename T>
Result<T> explained(Result<T> asked) {
  if (asked.has_value() || asked.error().code() != ErrorCode::kRefused) return asked;
  return std::move(asked).error().with_context(
      "the guard needs CAP_NET_ADMIN, and its tables no owner");
}

// What the kernel cannot do is named by what was asked of it.
Error rehearsal_failed(const Error& error, GuardMeans means) {
  if (error.code() == ErrorCode::kRefused) return error;
  const std::string_view needed =
      means == GuardMeans::kProgram
          ? "this kernel cannot have rules ask a program (it needs CONFIG_NFT_COMPAT and "
            "NETFILTER_XT_MATCH_BPF): "
          : "this kernel cannot guard addresses (it needs CONFIG_NF_TABLES, NF_TABLES_INET and "
            "NF_TABLES_ARP, of Linux 5.4 or later): ";
  return Error(ErrorCode::kUnsupported, std::string(needed) + error.message(),
               error.error_number());
}

}  // namespace

Guard::Guard(io::Descriptor lock, NftSocket netlink)
    : lock_(std::move(lock)), netlink_(std::move(netlink)), answer_(kAnswerSize) {}

Result<Guard> Guard::create(std::optional<GuardMeans> means, Duration patience) {
  io::Descriptor lock = TRY(open_lock(patience));
  NftSocket netlink = TRY(NftSocket::open());
  Guard guard(std::move(lock), std::move(netlink));
  NftSocket threads = TRY(NftSocket::open());
  const std::uint32_t port = TRY(guard.netlink_.port());
  const std::uint32_t threads_port = TRY(threads.port());
  guard.monitor_ = TRY(explained(open_monitor(port, threads_port)));
  guard.arp_ = std::make_unique<OpeningThread>(std::move(threads));
  if (means) {
    guard.is_tried_ = true;
    if (*means == GuardMeans::kElements) guard.take_elements();
    TRY(guard.rehearse(*means));
  }
  return guard;
}

void Guard::take_elements() {
  means_ = GuardMeans::kElements;
  writer_ = OpeningWriter(OpeningTables::kBoth);
  arp_.reset();
}

// The kernel names what it lacks, and brings in what it has as a module. Where nothing is missing
// there is no need for that: a transaction that is given up waits for all processors (RCU), some
// 10 ms, while a killed owner's address waits for the next one.
Result<void> Guard::find_means() {
  auto by_program = rehearse(GuardMeans::kProgram);
  if (by_program.has_value()) return {};
  no_program_ = std::move(by_program).error();
  take_elements();
  return rehearse(GuardMeans::kElements);
}

// With addresses for documentation (RFC 5737, 3849), under a name of its own.
Result<void> Guard::rehearse(GuardMeans means) {
  GuardRulesLease lease{
      .addresses = {SocketAddress::ipv4({192, 0, 2, 1}, 0),
                    SocketAddress::ipv6(
                        {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0)},
      .opening = Opening{.left = kOpeningMin, .wall_end = {}}};
  NftBatch batch = netlink_.begin();
  std::optional<LeaseEnds> ends;
  if (means == GuardMeans::kProgram) {
    ends = TRY(LeaseEnds::create(1));
    lease.program = ends->program(0);
    write_program_rehearsal(batch, *lease.program, kRehearsal);
  }
  write_guard(batch, {lease}, kRehearsal);
  auto done = send(batch, NftBatch::Ending::kDryRun);
  if (!done.has_value()) return rehearsal_failed(done.error(), means);
  return {};
}

Result<void> Guard::install(const std::vector<GuardedLease>& leases) {
  std::vector<GuardRulesLease> rules;
  for (const GuardedLease& lease : leases) rules.push_back({.addresses = lease.addresses});
  TRY(check_guardable(rules));
  auto installed = replace(leases, rules);
  if (!installed.has_value() && !is_tried_) {
    TRY(find_means());
    installed = replace(leases, rules);
  }
  is_tried_ |= installed.has_value();
  return installed;
}

Result<void> Guard::replace(const std::vector<GuardedLease>& leases,
                            std::vector<GuardRulesLease> rules) {
  std::vector<GuardFamilies> families;
  for (const GuardedLease& lease : leases) families.push_back(families_of(lease.addresses));
  // New memory each time: what is open in the old rules stays as it is until these have taken
  // their place.
  std::optional<LeaseEnds> ends;
  if (means_ == GuardMeans::kProgram) ends = TRY(LeaseEnds::create(leases.size()));
  for (std::size_t lease = 0; lease < leases.size(); ++lease) {
    rules[lease].opening = opening_until(leases[lease].open_until);
    if (!ends) continue;
    rules[lease].program = ends->program(lease);
    ends->set(lease, leases[lease].open_until);
  }
  // What was asked for the leases before must not reach these.
  if (arp_) arp_->start_anew(families_);
  NftBatch batch = netlink_.begin();
  write_guard(batch, rules);
  TRY(send(batch, NftBatch::Ending::kCommit));
  if (arp_) arp_->start_anew(families);
  writer_.start_anew(families);
  families_ = std::move(families);
  ends_ = std::move(ends);
  return {};
}

Result<void> Guard::open_until(std::size_t lease, Instant end) {
  if (ends_) return open_by_program(lease, end);
  const std::optional<Opening> opening = opening_until(end);
  TRY(explained(writer_.write(netlink_, lease, opening)));
  if (!opening) return too_little_left();
  return {};
}

// Whoever takes an address asks who its clients are right after, by ARP, so that is open before
// this returns; at a renewal there is time.
Result<void> Guard::open_by_program(std::size_t lease, Instant end) {
  if (!left_until(end)) {
    TRY(close(lease));
    return too_little_left();
  }
  const bool is_renewal = left_until(ends_->of(lease)).has_value();
  if (is_renewal) {
    ends_->set(lease, end);
    return explained(arp_->open_until(lease, end));
  }
  arp_->settle(lease, end);
  TRY(explained(writer_.write(netlink_, lease, opening_until(end))));
  ends_->set(lease, end);
  return {};
}

Result<void> Guard::close(std::size_t lease) {
  if (ends_) {
    ends_->set(lease, Instant{});
    arp_->settle(lease, Instant{});
  }
  return explained(writer_.write(netlink_, lease, std::nullopt));
}

Result<void> Guard::remove() {
  NftBatch batch = netlink_.begin();
  write_removal(batch);
  TRY(send(batch, NftBatch::Ending::kCommit));
  families_.clear();
  if (arp_) arp_->start_anew(families_);
  writer_.start_anew(families_);
  ends_.reset();
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

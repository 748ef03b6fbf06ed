// The table comes with the first host and goes with the last.
#include "address/refusals.h"

#include <ctime>
#include <string>
#include <utility>

namespace nines::address {
namespace {

constexpr std::string_view kRehearsal = "nines-dead-rehearsal";

Instant now() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return Instant{time.tv_sec * 1'000'000'000LL + time.tv_nsec};
}

Error rehearsal_failed(const Error& error) {
  if (error.code() == ErrorCode::kRefused) {
    return Error(error).with_context("refusing connections to dead hosts needs CAP_NET_ADMIN");
  }
  return Error(ErrorCode::kUnsupported,
               "this kernel cannot refuse connections to dead hosts (it needs CONFIG_NF_TABLES, "
               "NF_TABLES_INET and NFT_REJECT_INET, of Linux 5.12 or later for tables with an "
               "owner): " +
                   error.message(),
               error.error_number());
}

}  // namespace

Result<Refusals> Refusals::create() {
  Refusals refusals(TRY(NftSocket::open()));
  NftBatch batch = refusals.netlink_.begin();
  write_refusal_table(batch, kRehearsal);
  // Addresses for documentation (RFC 5737, 3849).
  write_refusals(
      batch,
      {{.addresses = {SocketAddress::ipv4({192, 0, 2, 1}, 0),
                      SocketAddress::ipv6(
                          {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 0)},
        .left = kRefusalLeast}},
      {1}, kRehearsal);
  const auto done = refusals.netlink_.send(batch, NftBatch::Ending::kDryRun);
  if (!done.has_value()) return rehearsal_failed(done.error());
  return refusals;
}

Result<void> Refusals::set(const std::vector<RefusedHost>& hosts,
                           const std::vector<std::uint16_t>& ports) {
  NftBatch batch = netlink_.begin();
  std::vector<RefusalRulesHost> refused;
  const Instant begun = now();
  for (const RefusedHost& host : hosts) {
    TRY(check_refusable(host.addresses));
    const Duration left = host.until - begun;
    if (left >= kRefusalLeast) refused.push_back({.addresses = host.addresses, .left = left});
  }
  TRY(check_refusable_ports(ports));
  if (refused.empty()) {
    if (!stands_) return {};
    write_refusal_removal(batch);
  } else {
    if (!stands_) write_refusal_table(batch);
    write_refusals(batch, refused, ports);
  }
  TRY(netlink_.send(batch, NftBatch::Ending::kCommit));
  stands_ = !refused.empty();
  return {};
}

}  // namespace nines::address

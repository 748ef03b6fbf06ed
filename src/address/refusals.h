// Hosts that are dead, in the kernel: whoever on this host connects to one of their services hears
// at once that nobody is there, instead of waiting for an answer that cannot come.
#pragma once

#include <cstdint>
#include <vector>

#include "address/nft_socket.h"
#include "address/refusal_rules.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"

namespace nines::address {

struct RefusedHost {
  std::vector<SocketAddress> addresses;  // as check_refusable() lets them through
  Instant until{};                       // CLOCK_BOOTTIME; one that has passed: not refused
};

// What stands in the kernel ends with this object, with its process however that ends, and with
// each host's `until`. While nothing is refused there is no table, and no packet passes a rule.
// Belongs to the network namespace of the thread that made it: clients in others are not reached.
// Not thread-safe. Needs CAP_NET_ADMIN.
class Refusals {
 public:
  // Rehearses every rule without leaving one: kUnsupported with the part that is missing, kRefused
  // without the capability.
  static Result<Refusals> create();

  // In place of what was refused before, in one transaction; acknowledged when it returns (about
  // 0.1 ms, longer while somebody else changes nftables). A call that comes late refuses nothing
  // beyond `until`, but for the time it takes itself.
  Result<void> set(const std::vector<RefusedHost>& hosts, const std::vector<std::uint16_t>& ports);

 private:
  explicit Refusals(NftSocket netlink) : netlink_(std::move(netlink)) {}

  NftSocket netlink_;
  bool stands_ = false;
};

}  // namespace nines::address

// The kernel's guard as the gate of whoever holds addresses by lease; put back when somebody
// flushed it.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "address/guard.h"
#include "base/result.h"
#include "base/socket_address.h"
#include "cluster/address_holder.h"
#include "io/ports.h"

namespace nines {

// Lives on one loop; the log outlives it.
class GuardGate final : public cluster::AddressGate {
 public:
  // `groups`: the addresses of each lease, in the holder's order.
  GuardGate(address::Guard guard, std::vector<std::vector<SocketAddress>> groups, io::Log& log);

  // Shut for all groups, whatever was there before.
  Result<void> install() { return guard_.install(leases_); }

  Result<void> open_until(std::size_t group, Instant end) override;
  Result<void> close(std::size_t group) override;

  // Why a renewal waits for whoever loads a firewall; none: it does not.
  const std::optional<Error>& no_program() const { return guard_.no_program(); }

  // Readable when rules may have changed; then on_monitor().
  int monitor() const { return guard_.monitor(); }
  void on_monitor();

 private:
  Result<void> put_back();

  address::Guard guard_;
  io::Log& log_;
  std::vector<address::GuardedLease> leases_;
};

}  // namespace nines

// What the owner plane tells its supervisor of one instance: a line of text.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/socket_address.h"
#include "vrrp/vrrp.h"

namespace nines::vrrp {

struct OwnerReport {
  std::string instance;
  State state = State::kInit;
  int priority = 0;         // effective
  SocketAddress master;     // the router that is master, as far as known; us included
  int master_priority = 0;  // 0: none heard yet
  std::uint64_t epoch = 0;  // of the lease by which it is master; 0: by election, or it is not

  friend bool operator==(const OwnerReport&, const OwnerReport&) = default;
};

OwnerReport report_of(const Vrrp& machine);
std::string encode(const OwnerReport& report);
Result<OwnerReport> parse_owner_report(std::string_view text);

}  // namespace nines::vrrp

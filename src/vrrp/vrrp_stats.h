// What operators' tools ask a running VRRP process for: an instance with its counters, and
// keepalived's text of the latter (keepalived.stats of version 2.2.7). Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/time.h"
#include "vrrp/vrrp.h"
#include "vrrp/vrrp_filter.h"
#include "vrrp/vrrp_wire.h"

namespace nines::vrrp {

// Adverts for one virtual router that did not count, as keepalived sorts them. What it does not
// count (another version, a wrong checksum) is not here either.
struct PacketErrors {
  std::uint64_t length = 0;
  std::uint64_t time_to_live = 0;
  std::uint64_t type = 0;
  std::uint64_t interval = 0;
  std::uint64_t addresses = 0;
  std::uint64_t authentication_unknown = 0;  // a type that the protocol does not know
  std::uint64_t authentication_other = 0;    // another type than ours
  std::uint64_t password = 0;

  void count(WireFault fault);
  void count(Rejection rejection, const Advert& advert);
  friend bool operator==(const PacketErrors&, const PacketErrors&) = default;
};

// An instance at one moment. Commands are the words that are run; one that cannot be run has none.
struct InstanceReport {
  using Words = std::vector<std::string>;
  struct Scripts {
    Words master, backup, fault, stop, deleted, master_rx_lower_priority, any;
  };
  VrrpInstance instance;
  VrrpStatus status;
  WallTime since{};      // of the state; zero: it is still to begin
  bool holding = false;  // the addresses are set
  PacketErrors errors;
  Scripts scripts;
  std::vector<Words> tracked_scripts;
};

std::string stats_text(std::span<const InstanceReport> reports);

}  // namespace nines::vrrp

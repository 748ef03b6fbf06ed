// Watches every host's addresses and the ARP on the switch, and writes a line for each change, so
// that it is known afterwards who held an address and when. It sees kernels, not daemons: whatever
// takes an address and however it dies, the record is the same.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "lab/lab_child.h"
#include "lab/lab_host.h"
#include "lab/ownership.h"

namespace nines::lab {

// A line as format_log_line() makes it, with the event in words behind the instant: "began",
// "lost node02", "held node01 100.2.30.40", "announced node02 100.2.30.40 02:00:00:00:00:01".
std::string format_ownership_line(WallTime wall, const OwnershipEvent& event);
std::optional<OwnershipEvent> parse_ownership_line(std::string_view line);
// Every line of a recorder's file that is whole and is one; others are left out.
std::vector<OwnershipEvent> parse_ownership_lines(std::string_view text);

// What an Ethernet frame says of an IPv4 address: kAnnounced or kAnswered with address and
// hardware. Nothing when it is no ARP, or one that only asks.
std::optional<OwnershipEvent> parse_arp_claim(std::string_view frame);

struct OwnershipRecorderPlan {
  struct Host {
    std::string name;
    int network = -1;     // its network namespace; borrowed
    int switch_port = 0;  // index of its link in the switch's namespace
  };
  int switch_network = -1;  // borrowed
  std::vector<Host> hosts;
  std::string path;  // appended to
};
// Borrows the network's descriptors, for ChildPlan::keep as well.
OwnershipRecorderPlan plan_ownership_recorder(LabNetwork& network, std::string path);
std::vector<int> descriptors_of(const OwnershipRecorderPlan& plan);

// A switch port that is taken down is recorded as a cut of its host. Only IPv4 is announced by ARP;
// IPv6 addresses are recorded as the kernels have them.
//
// Runs for ever in the process that calls it, which must have one thread and the right to enter the
// namespaces; it is left in the switch's. Is ready when what is there has been written.
int run_ownership_recorder(const OwnershipRecorderPlan& plan, ReadySignal ready);

}  // namespace nines::lab

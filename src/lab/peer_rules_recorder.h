// Watches on every host which other hosts' services its kernel refuses, and writes a line for each
// change. It reads the kernels' tables and asks no daemon: whatever makes a rule and however it
// ends, the record is the same.
#pragma once

#include <string>
#include <vector>

#include "lab/lab_child.h"
#include "lab/lab_host.h"
#include "lab/peer_rules.h"

namespace nines::lab {

struct PeerRulesRecorderPlan {
  struct Host {
    std::string name;
    int network = -1;  // its network namespace; borrowed
  };
  // Borrowed: where the recorder stays, since whoever is in a host's network dies with the host.
  int switch_network = -1;
  std::vector<Host> hosts;
  std::string path;  // appended to
};
// Of the controllers. Borrows the network's descriptors, for ChildPlan::keep as well.
PeerRulesRecorderPlan plan_peer_rules_recorder(LabNetwork& network, std::string path);
std::vector<int> descriptors_of(const PeerRulesRecorderPlan& plan);

// That a rule stands is written when the kernel tells of the change; that it is gone at most
// kPollInterval late, since the end of an element or of a table's owner is told to nobody. While no
// rule stands anywhere nothing is asked.
inline constexpr Duration kRulePollInterval = std::chrono::milliseconds(5);

// Runs for ever in the process that calls it, which must have one thread and the right to enter the
// namespaces; it is left in the switch's.
int run_peer_rules_recorder(const PeerRulesRecorderPlan& plan, ReadySignal ready);

}  // namespace nines::lab

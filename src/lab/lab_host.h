// A host as namespaces: network, mounts and host name, held by descriptors alone, so that they are
// gone with the process that holds them and nothing has to be swept up after a crash.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/linux/descriptor.h"
#include "io/linux/netlink.h"
#include "lab/lab_plan.h"
#include "lab/rough_line.h"

namespace nines::lab {

// The namespaces of the calling thread's process; setns(2) accepts each.
struct Namespaces {
  io::Descriptor network;
  io::Descriptor mount;
  io::Descriptor host_name;

  static Result<Namespaces> current();
  // Moves the calling process, which must have one thread, into all three.
  Result<void> enter() const;
};

struct LabHost {
  HostPlan plan;
  Namespaces namespaces;
  io::Netlink inside;   // belongs to its network namespace
  int switch_port = 0;  // index of its link in the switch's namespace
  // The link that is on the bridge: its own, or while its line is rough the far side of a pair, and
  // a relay is between the two.
  int bridge_port = 0;
  int relay_port = 0;  // the near side of that pair; 0: there is none
  bool cut = false;
  bool isolated = false;  // not on the switch, with its own link up
  bool mute = false;      // nobody hears it
  bool deaf = false;      // it hears nobody
  Roughness roughness{};  // else

  // What its relay has to do.
  Roughness line() const {
    return {.loss_from = mute ? kLossMax : roughness.loss_from,
            .loss_to = deaf ? kLossMax : roughness.loss_to,
            .delay = roughness.delay};
  }
};

// The switch and the hosts on it. Whoever holds it must have a mount namespace of its own already,
// with nothing shared back to the machine. One thread.
class LabNetwork {
 public:
  // Makes everything in `plan`. The caller is in its old namespaces again afterwards.
  static Result<LabNetwork> create(const LabPlan& plan);

  std::vector<LabHost>& hosts() { return hosts_; }
  LabHost* find(std::string_view name);
  // The network namespace that the bridge is in.
  const io::Descriptor& switch_network() const { return switch_network_; }
  // Takes the host's port of the switch down or up: nothing reaches it, nothing leaves it.
  Result<void> cut(LabHost& host);
  // Takes the port off the switch's bridge: the host's link stays up, and nobody is there.
  Result<void> isolate(LabHost& host);
  Result<void> heal(LabHost& host);  // either
  // Takes the host's port off the bridge and puts a pair there, for a relay between port and pair.
  Result<void> splice(LabHost& host);
  Result<void> unsplice(LabHost& host);  // as it was
  // Whether the host's kernel has the virtual address; what cannot be told counts as no.
  bool holds_virtual_address(LabHost& host);
  // kNotFound when it does not have it.
  Result<void> drop_virtual_address(LabHost& host);
  // What a host's kernel forgets when its power fails: added addresses and TCP sessions. For a host
  // that is cut and has no process left.
  Result<void> forget(LabHost& host);
  // Ends the connections that `peer` still has to `host`, which was without power, with this port
  // at either end.
  Result<void> end_connections(const LabHost& peer, const LabHost& host, std::uint16_t port);

 private:
  LabNetwork(io::Netlink bridge_side, io::Descriptor network, Namespaces home)
      : switch_(std::move(bridge_side)),
        switch_network_(std::move(network)),
        home_(std::move(home)) {}
  Result<void> add_host(const LabPlan& plan, const HostPlan& host, int bridge);

  Result<std::vector<io::InterfaceAddress>> virtual_addresses(LabHost& host);

  io::Netlink switch_;
  int bridge_ = 0;  // its index in the switch's namespace
  io::Descriptor switch_network_;
  Namespaces home_;  // of the calling process
  std::vector<LabHost> hosts_;
};

}  // namespace nines::lab

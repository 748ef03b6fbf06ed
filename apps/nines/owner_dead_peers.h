// Dead peers in the owner plane: what nines.yaml says of them and what membership sees, to the
// driver; its verdicts to the balancer and to operators.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cluster/dead_peers_driver.h"
#include "cluster/membership_driver.h"
#include "cluster/verdict_sockets.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"
#include "node/host_share.h"
#include "node/run_config.h"
#include "vrrp/vrrp_config.h"

namespace nines {

// Lives on its loop; loop, log and membership outlive it.
class OwnerDeadPeers {
 public:
  using Shared = std::function<void(const node::HostShare&)>;

  // kInvalid: an address that cannot be a host's alone, a virtual one of `config` among them.
  static Result<std::unique_ptr<OwnerDeadPeers>> create(const node::ClusterConfig& cluster,
                                                        const vrrp::Config& config,
                                                        const cluster::MembershipDriver& membership,
                                                        io::EpollLoop& loop, io::Log& log);

  // Before start().
  void on_share(Shared callback) { shared_ = std::move(callback); }
  void start();
  // Membership sees something else than before.
  void changed() { driver_->changed(); }
  // The cluster's keys are read again, too. An error: they cannot be; listeners are told by the
  // old.
  Result<void> reload(const node::ClusterConfig& cluster);

  // For "cluster status".
  nlohmann::json report() const;

 private:
  OwnerDeadPeers() = default;

  static Result<cluster::VerdictTeller> make_teller(const node::ClusterConfig& cluster);
  void tell(const cluster::dead_peer_event::Look& look, cluster::NodeSet dead);

  std::unique_ptr<cluster::TellerSockets> teller_;  // none: listeners are not told
  std::unique_ptr<cluster::DeadPeersDriver> driver_;
  Shared shared_;
  std::vector<std::string> not_covered_;  // as nines.yaml has it
};

// As nines.yaml has them.
cluster::CutOff::Ports ports_of(const node::DeadPeersConfig& config);
// What the driver says, for "cluster status".
nlohmann::json dead_peers_json(const cluster::DeadPeersReport& report);
// Lines for people of what report() gave, indented by two blanks; each ends with a line feed.
std::string render_dead_peers(const nlohmann::json& report);

}  // namespace nines

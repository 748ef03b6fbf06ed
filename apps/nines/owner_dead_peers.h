// Dead peers in the owner plane: what nines.yaml says of them and what membership sees, to the
// driver; its verdicts to the balancer and to operators.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "cluster/dead_peers_driver.h"
#include "cluster/membership_driver.h"
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
  void start() { driver_->start(); }
  // Membership sees something else than before.
  void changed() { driver_->changed(); }
  void reload(const node::DeadPeersConfig& config);

  // For "cluster status".
  nlohmann::json report() const;

 private:
  OwnerDeadPeers() = default;

  std::unique_ptr<cluster::DeadPeersDriver> driver_;
  Shared shared_;
};

// Lines for people of what report() gave, indented by two blanks; each ends with a line feed.
std::string render_dead_peers(const nlohmann::json& report);

}  // namespace nines

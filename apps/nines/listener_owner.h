// The owner plane of a host that is no node of the cluster, such as a compute host: it hears the
// controllers' verdicts and tells the programs of this host. It owns nothing and has no vote.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/dead_peers_driver.h"
#include "cluster/verdict_sockets.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"
#include "node/run_config.h"
#include "vrrp/owner_service.h"

namespace nines {

class ListenerOwner final : public vrrp::OwnerService {
 public:
  using Load = std::function<Result<node::ClusterConfig>()>;
  // An error: no key, no socket, or addresses that cannot be.
  static Result<std::unique_ptr<vrrp::OwnerService>> create(const node::ClusterConfig& cluster,
                                                            Load load, io::EpollLoop& loop,
                                                            io::Log& log);

  void start(const vrrp::Predecessor&) override;
  void set_fit(bool) override {}
  // Keys, ports and whether anything is done; the rest changes by a restart.
  Result<void> reload(vrrp::Config) override;
  void stop() override {}
  void hand_over(std::function<void()> done) override;
  void on_change(std::function<void()>) override {}
  std::vector<vrrp::OwnerReport> reports() const override { return {}; }
  // "cluster status".
  std::string answer(std::string_view request) override;

 private:
  explicit ListenerOwner(io::EpollLoop& loop) : loop_(loop) {}
  static Result<cluster::VerdictListener> make_listener(const node::ClusterConfig& cluster);

  io::EpollLoop& loop_;
  Load load_;
  std::string name_;
  std::unique_ptr<cluster::ListenerSocket> socket_;
  std::unique_ptr<cluster::DeadPeersDriver> driver_;
};

// `current` gives the cluster's section as it is at work, for each owner that is made; `load` reads
// it again, in the owner's process.
vrrp::MakeOwner make_listener_owner(std::function<node::ClusterConfig()> current,
                                    std::function<Result<node::ClusterConfig>()> load);

}  // namespace nines

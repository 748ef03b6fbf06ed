// The lease machine at work on one host: peers by sealed datagrams, addresses behind the guard, and
// what keepalived.conf tracks as the wish to hold or not.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "address/interface_addresses.h"
#include "cluster/address_holder.h"
#include "cluster/cluster_view.h"
#include "cluster/lease_driver.h"
#include "cluster/membership_driver.h"
#include "cluster/session_driver.h"
#include "guard_gate.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/netlink.h"
#include "io/linux/processes.h"
#include "node/run_config.h"
#include "owner_adverts.h"
#include "owner_dead_peers.h"
#include "owner_notify.h"
#include "owner_peers.h"
#include "owner_rivals.h"
#include "owner_routes.h"
#include "owner_tracks.h"
#include "owner_word.h"
#include "vrrp/owner_service.h"

namespace nines {

class LeaseOwner final : public vrrp::OwnerService, private Timer {
 public:
  // Everything that can be refused is refused here; the gate is shut before any address is there.
  // `config`: as check_for_leases() has it.
  // `load` reads the cluster's section again, for reload().
  using Load = std::function<Result<node::ClusterConfig>()>;
  static Result<std::unique_ptr<vrrp::OwnerService>> create(const node::ClusterConfig& cluster,
                                                            Load load, const vrrp::Config& config,
                                                            io::EpollLoop& loop, io::Log& log);
  ~LeaseOwner() override;

  void start(const vrrp::Predecessor&) override;
  void set_fit(bool fit) override;
  Result<void> reload(vrrp::Config config) override;
  void stop() override { driver_->handle(cluster::lease_event::Stop{}); }
  void hand_over(std::function<void()> done) override;
  void on_change(std::function<void()> callback) override { changed_ = std::move(callback); }
  std::vector<vrrp::OwnerReport> reports() const override;
  void on_share(std::function<void(const node::HostShare&)> callback) override {
    dead_peers_->on_share(std::move(callback));
  }
  // Requests: "cluster status", "cluster maintenance on", "cluster maintenance off", "lease grant".
  // Each has a function of its own below answer().
  std::string answer(std::string_view request) override;

 private:
  struct Instance {
    vrrp::VrrpInstance config;
    cluster::Name name = 0;
    bool wanted = false;
    bool known = false;  // the machine was told once
    bool held = false;
    cluster::Epoch epoch = 0;
  };

  LeaseOwner(vrrp::Config config, io::EpollLoop& loop, io::Log& log, address::Routing routing,
             io::Netlink netlink, io::NetworkMonitor monitor);
  Result<void> prepare(const node::ClusterConfig& cluster);
  Result<cluster::Lease> make_machine(const node::ClusterConfig& cluster) const;
  Result<cluster::Membership> make_membership(const node::ClusterConfig& cluster) const;
  void on_timer(Instant) override;  // what was handed over is on its way

  std::string status() const;
  std::string set_maintenance(bool on);
  cluster::NodeId successor() const;
  std::string with_parts(const std::string& status) const;
  nlohmann::json conflicts(Instant now) const;
  std::string grant(std::string_view words);
  WordView word_view() const;

  void network_changed();
  void watch_processor();
  void watch_while_needed();
  void members_changed();
  void log_verdict(const cluster::NodeVerdict& verdict);
  std::string name_of(cluster::NodeId node) const;
  void refresh();
  void held_changed(const cluster::AddressGroup& group, bool held, cluster::Epoch epoch);

  io::EpollLoop& loop_;
  io::Log& log_;
  vrrp::Config config_;
  io::NetworkMonitor monitor_;
  io::LinuxProcesses processes_{loop_};
  OwnerNotify notify_{processes_, log_};
  OwnerTracks tracks_;
  OwnerRoutes routes_;
  std::vector<Instance> instances_;  // in the configuration's order
  std::unique_ptr<GuardGate> gate_;
  std::unique_ptr<cluster::AddressHolder> holder_;
  std::unique_ptr<OwnerPeers> peers_;
  std::unique_ptr<cluster::SessionDriver> sessions_;
  std::unique_ptr<cluster::LeaseDriver> driver_;
  std::unique_ptr<OwnerWord> word_;
  OwnerRivals rivals_;
  OwnerAdverts adverts_;
  bool advertises_ = false;
  std::unique_ptr<cluster::MembershipDriver> membership_;
  std::unique_ptr<OwnerDeadPeers> dead_peers_;
  Load load_;
  cluster::NodeId self_ = 0;
  std::vector<cluster::ClusterViewNode> nodes_;  // all of the cluster, by id
  std::vector<io::EpollLoop::WatchId> watches_;
  std::unique_ptr<io::ProcessorWatch> processor_watch_;  // none: one processor
  std::uint64_t processor_moves_ = 0;
  Instant moves_said_at_{};
  bool fit_ = true;
  bool maintenance_ = false;
  std::function<void()> changed_;
  std::function<void()> handed_over_;
  // Whether this owner still lives, for what it posted; shared with that alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace nines

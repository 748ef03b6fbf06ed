// The owner plane as its supervisor has it: started, restarted as the master it was, told whether
// the proxy serves, and cleaned up after when it does not come back.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "address/interface_addresses.h"
#include "address/routing.h"
#include "base/result.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"
#include "node/plane_process.h"
#include "node/plane_requests.h"
#include "vrrp/owner_main.h"
#include "vrrp/owner_report.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

// What is told of the owner. Calls come from the loop; none may destroy the plane.
class OwnerObserver {
 public:
  virtual ~OwnerObserver() = default;
  virtual void on_owner_started() = 0;  // for the first time
  virtual void on_owner_report(const OwnerReport&) {}
  virtual void on_owner_share(const node::HostShare&) {}
  // Its process is gone, for good or not: what it said of others counts no longer.
  virtual void on_owner_lost() {}
  virtual void on_owner_reload_ended(const Result<void>& result) = 0;
  virtual void on_owner_ended(bool good) = 0;  // `good`: it was asked to
};

// By what its addresses are held.
enum class OwnerRight : std::uint8_t { kElection, kLease };

// An owner that died as master is back within this time, else its addresses are removed: then
// another host may have them. By election that is as long as no backup can have them yet, since
// giving up sooner helps nobody; a lease ends by itself, and at once another has it.
Duration back_within(const Config& config, OwnerRight right);

// Lives on the loop of a process with one thread; loop, log and observer outlive it.
class OwnerPlane : private node::PlaneSupport {
 public:
  // A handover's longest wait, and a margin (vrrp.h).
  static constexpr Duration kReleasePatience = std::chrono::seconds(3);

  using Load = std::function<Result<Config>()>;
  // `load` reads the configuration again, here and in the plane; `make` is called in the plane.
  // kRefused without the rights that removing addresses needs.
  static Result<std::unique_ptr<OwnerPlane>> create(Config config, OwnerRight right, Load load,
                                                    MakeOwner make, io::EpollLoop& loop,
                                                    io::Log& log, OwnerObserver& observer);

  Result<void> start();
  void set_proxy_fit(bool fit);
  // To `config`, which `load` gave just now.
  void reload(Config config);
  // Hands all addresses over and ends.
  void release();
  // An operator's request, and what the owner says to it (OwnerService::answer). `answered` is
  // called once, from the loop: with kUnavailable when there is no owner to ask or it dies before
  // it has answered, with kExhausted when node::PlaneRequests::kUnansweredMax wait already.
  void ask(std::string_view request, node::PlaneRequests::Answered answered);

  bool serving() const { return plane_.watch().state() == node::PlaneWatch::State::kServing; }
  const node::PlaneProcess& plane() const { return plane_; }
  const Config& config() const { return options_.config; }
  // What the kernel gave it, "SCHED_FIFO" at best; empty: it has not told yet.
  const std::string& scheduling() const { return scheduling_; }
  // The latest of each instance, in the configuration's order.
  std::vector<OwnerReport> reports() const;

 private:
  OwnerPlane(Config config, OwnerRight right, Load load, MakeOwner make, io::EpollLoop& loop,
             io::Log& log, address::InterfaceAddresses addresses, address::Routing routing,
             OwnerObserver& observer);

  int run_plane() override;
  Result<void> on_plane_started() override;
  void on_plane_message(node::ChannelMessage message) override;
  void on_plane_fit(bool fit) override;
  void on_plane_died(bool asked_for) override;
  void remove_addresses();
  void note_masters();
  void tell(const node::ChannelMessage& message);

  void set_config(Config config);
  static node::PlanePolicy policy(const Config& config, OwnerRight right);

  io::Log& log_;
  OwnerObserver& observer_;
  OwnerRight right_;
  address::InterfaceAddresses addresses_;
  address::Routing routing_;
  OwnerMainOptions options_;
  std::map<std::string, OwnerReport> reports_;  // by instance
  std::string scheduling_;
  std::optional<Config> reloading_;
  bool ever_served_ = false;
  bool releasing_ = false;
  node::PlaneRequests requests_;
  node::PlaneProcess plane_;
};

}  // namespace nines::vrrp

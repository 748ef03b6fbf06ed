// What an owner plane is about: the right to own addresses, by whatever rule it is come by, and the
// addresses themselves.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"
#include "node/host_share.h"
#include "vrrp/owner_report.h"
#include "vrrp/vrrp_config.h"

namespace nines::vrrp {

// The process of this host that owned before this one, and died.
struct Predecessor {
  std::set<std::string> masters;  // instances of which it was master; empty: there was no process
  Instant seen_at{};              // it was at work then or later
};

// Lives on its loop's thread; loop and log outlive it. Destroyed, it lets go of its addresses.
class OwnerService {
 public:
  virtual ~OwnerService() = default;
  // Once.
  virtual void start(const Predecessor& predecessor) = 0;
  // Whether what the addresses are for works; while it does not, none is held.
  virtual void set_fit(bool fit) = 0;
  // A bad one changes nothing.
  virtual Result<void> reload(Config config) = 0;
  virtual void stop() = 0;  // at once
  // As planned, to whoever can have them; `done` afterwards, from the loop.
  virtual void hand_over(std::function<void()> done) = 0;
  // Called whenever a report would be another.
  virtual void on_change(std::function<void()> callback) = 0;
  virtual std::vector<OwnerReport> reports() const = 0;
  // Called whenever a controller's servers are to get another share of the balancer's work.
  virtual void on_share(std::function<void(const node::HostShare&)>) {}
  // An operator's request, as the control socket has heard it: one line. The reply is JSON; of a
  // request that is not known, {"error": "..."} and nothing else.
  virtual std::string answer(std::string_view request);
};

using MakeOwner =
    std::function<Result<std::unique_ptr<OwnerService>>(const Config&, io::EpollLoop&, io::Log&)>;

// By election among routers (vrrp_service.h).
Result<std::unique_ptr<OwnerService>> make_vrrp_owner(const Config& config, io::EpollLoop& loop,
                                                      io::Log& log);

}  // namespace nines::vrrp

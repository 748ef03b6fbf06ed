// What keepalived.conf tracks, where no priorities compete: whether this host may hold an instance.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/linux/epoll_loop.h"
#include "io/linux/netlink.h"
#include "io/linux/processes.h"
#include "io/ports.h"
#include "vrrp/script_runner.h"
#include "vrrp/vrrp_config.h"

namespace nines {

// Lives on its loop; references outlive it.
class OwnerTracks {
 public:
  // `changed`: a script's state is another; from the loop, never from a call of ours.
  OwnerTracks(io::EpollLoop& loop, io::LinuxProcesses& processes, io::Netlink netlink, io::Log& log,
              std::function<void()> changed);
  ~OwnerTracks();

  // Runs the scripts that the configuration's instances track, from their beginning.
  void load(const vrrp::Config& config);

  // The host's links as they are now; kept for fit(). An error: as they were.
  Result<void> look();
  // Whether an instance's own link, its addresses' or one that it tracks has changed to this, or is
  // gone by that name. Hosts of virtual machines and routers have others come and go all the time.
  bool concerns(const vrrp::Config& config, const io::NetworkLink& link) const;
  // Whether the instance's own link and all that it tracks are good and known, as of look().
  bool fit(const vrrp::VrrpInstance& instance) const;

 private:
  struct Script {
    vrrp::VrrpScript config;
    std::unique_ptr<vrrp::ScriptRunner> runner;
  };

  bool running(const std::string& link) const;

  io::EpollLoop& loop_;
  io::LinuxProcesses& processes_;
  io::Netlink netlink_;
  io::Log& log_;
  std::function<void()> changed_;
  std::vector<io::NetworkLink> links_;
  std::map<std::string, Script> scripts_;
  // Whether this still lives, for what it posted; shared with that alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace nines

// The notify scripts of keepalived.conf, run for what a lease gives and takes.
#pragma once

#include "io/linux/processes.h"
#include "io/ports.h"
#include "vrrp/vrrp_config.h"

namespace nines {

// Lives on the loop of `processes`; references outlive it.
class OwnerNotify {
 public:
  OwnerNotify(io::LinuxProcesses& processes, io::Log& log) : processes_(processes), log_(log) {}

  // keepalived.conf(5): notify_STATE alone, then notify with INSTANCE, the name, the state and the
  // priority. A script that cannot be started is logged.
  void run(const vrrp::Config& config, const vrrp::VrrpInstance& instance, bool held);

 private:
  io::LinuxProcesses& processes_;
  io::Log& log_;
};

}  // namespace nines

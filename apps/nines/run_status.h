// How a host's daemon is: as JSON, for `nines status` and for tools.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "manager_plane.h"
#include "node/run_config.h"
#include "node/supervisor.h"
#include "proxy/proxy_master.h"
#include "vrrp/owner_plane.h"

namespace nines {

struct RunStatus {
  const node::RunConfig& config;
  const std::string& config_path;
  node::Supervisor::Stage stage;
  Instant now;
  const proxy::ProxyMaster* proxy = nullptr;  // null: there is none
  const vrrp::OwnerPlane* owner = nullptr;    // the same
  const ManagerPlane* manager = nullptr;      // the same
  // What the owner says of its cluster (JSON), or why it says nothing; null: there is no cluster.
  const Result<std::string>* cluster = nullptr;
  // The same of the manager and the Galera cluster.
  const Result<std::string>* galera = nullptr;
};

// A line of JSON.
std::string render_run_status(const RunStatus& status);
// {"error": "..."}, as a line: how a request is refused.
std::string error_reply(std::string_view message);

}  // namespace nines

// What a monitor knows of a Galera cluster, as JSON and for people: the same whoever looked.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/time.h"
#include "galera/monitor.h"
#include "node/galera_config.h"

namespace nines {

// All of it; every member has been looked at. Keys: docs/user/database.md.
nlohmann::json galera_json(const galera::Monitor& monitor, const node::GaleraConfig& config,
                           Instant now);
// All members are synced, all arbitrators are seen, and there is one history.
bool is_galera_well(const galera::Monitor& monitor, const node::GaleraConfig& config);

// From that JSON, which may come from a daemon: a table, each line after `indent`.
std::string render_galera_table(const nlohmann::json& galera, const std::string& indent);

}  // namespace nines

// What a server says of itself and its cluster: the status and system variables of wsrep, as
// values. Names and texts come from a server and may be anything.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "galera/position.h"

namespace nines::galera {

// wsrep_local_state, the numbers of Galera's own states.
enum class LocalState : std::uint8_t {
  kUndefined = 0,
  kJoining = 1,
  kDonor = 2,  // feeds another member, or was desynced by hand
  kJoined = 3,
  kSynced = 4,
};

struct WsrepStatus {
  bool is_on = false;     // it has a provider at all
  bool is_ready = false;  // it takes statements
  bool is_connected = false;
  bool is_primary = false;     // in the primary component
  std::string cluster_status;  // Primary, non-Primary, Disconnected
  LocalState local_state = LocalState::kUndefined;
  std::string local_state_comment;
  int cluster_size = 0;                // members and arbitrators of its component
  Position position;                   // of the cluster's history, and the last that it committed
  std::int64_t receive_queue = 0;      // write sets that wait to be applied
  double flow_control_paused = 0;      // share of the time since the last FLUSH STATUS, 0 to 1
  std::int64_t flow_control_sent = 0;  // times that it held the others up
  bool is_desynced = false;            // by hand
  bool is_read_only = false;
  std::string node_name;
  std::vector<std::string> data_members;  // addresses for clients of those in its component
  int without_data = 0;                   // arbitrators among them
};

struct NamedValue {
  std::string_view name, value;
};

// Takes rows of SHOW STATUS and SHOW VARIABLES, in any order and in any case; rows of other names
// are passed over. May be called again with more.
void read_wsrep_row(const NamedValue& row, WsrepStatus& status);

// The statements whose rows are wanted. Both are answered in a non-primary component.
inline constexpr std::string_view kStatusQuery =
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready','wsrep_connected',"
    "'wsrep_cluster_status','wsrep_local_state','wsrep_local_state_comment','wsrep_cluster_size',"
    "'wsrep_cluster_state_uuid','wsrep_local_state_uuid','wsrep_last_committed',"
    "'wsrep_local_recv_queue','wsrep_flow_control_paused','wsrep_flow_control_sent',"
    "'wsrep_incoming_addresses')";
inline constexpr std::string_view kVariablesQuery =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on','wsrep_provider','wsrep_desync',"
    "'wsrep_node_name','read_only')";

}  // namespace nines::galera

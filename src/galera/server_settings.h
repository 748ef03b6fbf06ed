// What a server is set to and how much is written to it, as far as an audit asks: variables and
// provider options by name, and the counters that rates come from.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "galera/wsrep_status.h"

namespace nines::galera {

struct ServerSettings {
  // By name in lower case: system variables, and options of the provider ("evs.suspect_timeout"),
  // whose names have a dot. As the server wrote them; it may have written anything.
  std::map<std::string, std::string, std::less<>> values;

  // Empty where the server did not say, or said nothing that can be read.
  std::string_view text(std::string_view name) const;
  std::optional<std::int64_t> number(std::string_view name) const;
  std::optional<bool> flag(std::string_view name) const;     // ON, OFF, 1, 0, YES, NO, TRUE, FALSE
  std::optional<double> bytes(std::string_view name) const;  // "134217728", "128M"
  std::optional<Duration> duration(std::string_view name) const;  // "PT7.5S"
};

// Since the server's start.
struct ServerCounters {
  std::int64_t write_bytes = 0;  // of write sets, its own and the others'
  std::int64_t commits = 0;      // write sets, its own and the others'
  std::int64_t uptime = 0;       // seconds
  std::int64_t connections_most = 0;
};

// What is written to the cluster, as one member saw it.
struct WriteLoad {
  double bytes = 0;    // a second
  double commits = 0;  // a second
};
// The average between two looks that are `apart`; nothing is negative where a server began anew.
WriteLoad load_between(const ServerCounters& before, const ServerCounters& after, Duration apart);
WriteLoad load_since_start(const ServerCounters& counters);

// Takes rows of the statements below, in any order; rows of other names are passed over.
void read_settings_row(const NamedValue& row, ServerSettings& settings, ServerCounters& counters);

inline constexpr std::string_view kSettingsQuery =
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit',"
    "'innodb_flush_log_at_timeout','innodb_doublewrite','innodb_autoinc_lock_mode','log_bin',"
    "'sync_binlog','binlog_format','max_connections','wsrep_on','wsrep_provider',"
    "'wsrep_provider_options','wsrep_sst_method','wsrep_sync_wait')";
inline constexpr std::string_view kCountersQuery =
    "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_replicated','wsrep_replicated_bytes',"
    "'wsrep_received','wsrep_received_bytes','Uptime','Max_used_connections')";

}  // namespace nines::galera

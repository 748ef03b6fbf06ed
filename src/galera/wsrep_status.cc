// One case for each name; what cannot be read leaves the value as it was.
#include "galera/wsrep_status.h"

#include <algorithm>
#include <charconv>

#include "text/units.h"

namespace nines::galera {

namespace {

constexpr std::size_t kWordMax = 64;       // bytes kept of a name or a state
constexpr std::size_t kAddressesMax = 64;  // members of a component

bool equal_in_any_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [&](char x, char y) { return lower(x) == lower(y); });
}

bool is_on(std::string_view value) { return equal_in_any_case(value, "ON") || value == "1"; }

std::string word(std::string_view value) {
  std::string out;
  for (const char c : value.substr(0, kWordMax)) out += c >= ' ' && c <= '~' ? c : '?';
  return out;
}

std::int64_t count(std::string_view value, std::int64_t otherwise) {
  const auto number = text::parse_integer(value);
  return number && *number >= 0 ? *number : otherwise;
}

double share(std::string_view value) {
  double number = 0;
  const auto end = value.data() + value.size();
  const auto read = std::from_chars(value.data(), end, number);
  return read.ec == std::errc() && number >= 0 && number <= 1 ? number : 0;
}

// "10.0.0.1:3306,10.0.0.2:3306,": an arbitrator takes no clients and leaves its place empty.
void read_addresses(std::string_view list, WsrepStatus& status) {
  status.data_members.clear();
  status.without_data = 0;
  for (std::size_t seen = 0; seen < kAddressesMax; ++seen) {
    const auto comma = list.find(',');
    const std::string_view one = list.substr(0, comma);
    if (one.empty()) {
      ++status.without_data;
    } else {
      status.data_members.push_back(word(one));
    }
    if (comma == list.npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

void read_wsrep_row(const NamedValue& row, WsrepStatus& status) {
  const auto named = [&row](std::string_view name) { return equal_in_any_case(row.name, name); };
  const std::string_view value = row.value;
  if (named("wsrep_on")) {
    status.is_on = is_on(value);
  } else if (named("wsrep_provider")) {
    if (equal_in_any_case(value, "none")) status.is_on = false;
  } else if (named("wsrep_ready")) {
    status.is_ready = is_on(value);
  } else if (named("wsrep_connected")) {
    status.is_connected = is_on(value);
  } else if (named("wsrep_cluster_status")) {
    status.cluster_status = word(value);
    status.is_primary = equal_in_any_case(value, "Primary");
  } else if (named("wsrep_local_state")) {
    const std::int64_t number = count(value, 0);
    status.local_state = number <= 4 ? static_cast<LocalState>(number) : LocalState::kUndefined;
  } else if (named("wsrep_local_state_comment")) {
    status.local_state_comment = word(value);
  } else if (named("wsrep_cluster_size")) {
    status.cluster_size = static_cast<int>(std::min<std::int64_t>(count(value, 0), 1000));
  } else if (named("wsrep_cluster_state_uuid")) {
    // The local one is of use where no cluster is there to have one.
    const auto uuid = parse_uuid(value);
    if (uuid && *uuid != kUuidUndefined) status.position.uuid = *uuid;
  } else if (named("wsrep_local_state_uuid")) {
    const auto uuid = parse_uuid(value);
    if (uuid && status.position.uuid == kUuidUndefined) status.position.uuid = *uuid;
  } else if (named("wsrep_last_committed")) {
    status.position.seqno = count(value, kSeqnoUndefined);
  } else if (named("wsrep_local_recv_queue")) {
    status.receive_queue = count(value, 0);
  } else if (named("wsrep_flow_control_paused")) {
    status.flow_control_paused = share(value);
  } else if (named("wsrep_flow_control_sent")) {
    status.flow_control_sent = count(value, 0);
  } else if (named("wsrep_incoming_addresses")) {
    read_addresses(value, status);
  } else if (named("wsrep_desync")) {
    status.is_desynced = is_on(value);
  } else if (named("wsrep_node_name")) {
    status.node_name = word(value);
  } else if (named("read_only")) {
    status.is_read_only = is_on(value);
  }
}

}  // namespace nines::galera

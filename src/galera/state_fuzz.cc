// Hostile bytes as each of the files and texts that a recovery believes: what is taken is written
// again and read as the very same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "galera/evidence.h"
#include "galera/recovery.h"
#include "galera/state_files.h"
#include "galera/wsrep_status.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nines::galera;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Evidence evidence;
  evidence.member = "node01";
  if (const auto grastate = parse_grastate(text)) {
    const auto again = parse_grastate(render_grastate(*grastate));
    CHECK(again.has_value() && *again == *grastate);
    evidence.grastate = *grastate;
  }
  if (const auto gvwstate = parse_gvwstate(text)) {
    CHECK(gvwstate->members.size() <= kViewMembersMax);
    evidence.gvwstate = *gvwstate;
  }
  if (const auto recovered = parse_recovered(text)) evidence.recovered = *recovered;
  const auto carried = parse_evidence(render_evidence(evidence));
  CHECK(carried.has_value() && *carried == evidence);
  if (const auto told = parse_evidence(text)) {
    const auto again = parse_evidence(render_evidence(*told));
    CHECK(again.has_value() && render_evidence(*again) == render_evidence(*told));
  }
  if (const auto record = parse_record(text)) {
    const auto again = parse_record(render_record(*record));
    CHECK(again.has_value() && render_record(*again) == render_record(*record));
  }
  // A server's rows: the name ends at the first '=', the row at the line's end.
  WsrepStatus status;
  std::string_view rest = text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    const std::string_view row = rest.substr(0, end);
    const auto equals = row.find('=');
    if (equals != row.npos) {
      read_wsrep_row({row.substr(0, equals), row.substr(equals + 1)}, status);
    }
    if (end == rest.npos) break;
    rest.remove_prefix(end + 1);
  }
  CHECK(status.flow_control_paused >= 0 && status.flow_control_paused <= 1);
  return 0;
}

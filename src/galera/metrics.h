// What a monitor knows, as metrics in Prometheus's text exposition format, version 0.0.4. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "galera/health.h"

namespace nines::galera {

struct MeasuredMember {
  std::string name;
  const MemberHealth* health = nullptr;  // lent
};

struct ClusterMeasures {
  std::vector<MeasuredMember> members;
  int arbitrators = 0;      // as the configuration has them
  std::uint64_t looks = 0;  // of the monitor since it began
};

// Values that are not known are left out: a member that was never seen has its states alone.
std::string render_metrics(const ClusterMeasures& cluster, Instant now);

}  // namespace nines::galera

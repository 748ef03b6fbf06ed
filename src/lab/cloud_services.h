// A whole OpenStack on the lab's hosts, as values: what real_services.h has, and glance, placement,
// nova and neutron of Debian's packages on the controllers, nova-compute with its fake driver on
// compute hosts. Its tables are made once and kept (kSeedDirectory). Pure.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "lab/real_services.h"

namespace nines::lab {

struct CloudTuning;

// In the order of a start. What is in plan_real_services() is there too, but that its tables come
// from the seed.
std::vector<RealService> plan_cloud_services(std::span<const HostPlan> controllers,
                                             std::span<const HostPlan> computes,
                                             const CloudTuning& tuning);

// What stands for a stand-in, besides what real_service_for() knows by itself; empty: none.
std::string_view cloud_service_for(std::string_view stand_in);
// Besides those of the real services.
std::span<const std::string_view> cloud_programs();

// On the machine, and the only thing of a lab that outlives it: a database's directory with all
// tables in it, by the versions of the packages that made them.
inline constexpr std::string_view kSeedDirectory = "/var/cache/nines-lab";

// What a server is made of; both are in the seed.
inline constexpr std::string_view kCloudFlavor = "1";
inline constexpr std::string_view kCloudImage = "6e696e65-732d-4c61-8249-6d6167650001";

}  // namespace nines::lab

// One table of ours in each host's packet filter, with a set of addresses and ports.
#include "lab/packet_swallow.h"

#include <string>

#include "lab/lab_plan.h"

namespace nines::lab {
namespace {

constexpr std::string_view kTable = "inet nines_lab_swallow";

Result<void> run_nft(const LabControl& lab, const NamespaceNumbers& host,
                     const std::string& commands) {
  const int status = TRY(run_in_host(lab, host, {"nft", commands}));
  if (status == 0) return {};
  return Error(ErrorCode::kUnavailable,
               "nft (package nftables) ended with " + std::to_string(status));
}

// Adding what is there already is no mistake to nft.
std::string table_and_set() {
  const std::string table(kTable);
  return "add table " + table + "; add set " + table +
         " services { type ipv4_addr . inet_service; }; ";
}

}  // namespace

Result<void> swallow_packets(const LabControl& lab, const NamespaceNumbers& host,
                             std::string_view address, std::string_view service, bool on) {
  const StandInPlan* plan = find_stand_in(service);
  if (plan == nullptr) {
    return Error(ErrorCode::kInvalid, "no service '" + std::string(service) + "'");
  }
  const std::string table(kTable);
  const std::string element =
      " services { " + std::string(address) + " . " + std::to_string(plan->port) + " }; ";
  if (!on) {
    // One that was not swallowed is added first, so that taking it away is no mistake either.
    return run_nft(
        lab, host,
        table_and_set() + "add element " + table + element + "delete element " + table + element);
  }
  return run_nft(lab, host,
                 table_and_set() + "add chain " + table +
                     " vanish { type filter hook prerouting priority raw; policy accept; }; "
                     "flush chain " +
                     table + " vanish; add rule " + table +
                     " vanish ip daddr . tcp dport @services drop; add element " + table + element);
}

Result<void> deliver_all_packets(const LabControl& lab, const NamespaceNumbers& host) {
  const std::string table(kTable);
  return run_nft(lab, host, "add table " + table + "; delete table " + table);
}

}  // namespace nines::lab

// The operator's word that nodes are powered off: judged by what this node hears, given to the
// lease machine, and told of until it counts. And what an operator is to do where nobody may own.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/lease.h"
#include "cluster/node_set.h"
#include "node/run_config.h"

namespace nines {

// A request for it: "lease grant NAME... --i-have-powered-off NODE...".
inline constexpr std::string_view kGrantRequest = "lease grant";
inline constexpr std::string_view kPoweredOffFlag = "--i-have-powered-off";
// Whoever was heard within this time is not off.
inline constexpr Duration kSilentLeast = std::chrono::seconds(3);

// What an operator said, as words.
struct GrantRequest {
  std::vector<std::string> names;        // instances that are to be held here; none: all
  std::vector<std::string> powered_off;  // nodes; one at least
};
// kInvalid: a flag that is not known, or no node.
Result<GrantRequest> parse_grant_request(std::string_view words);
std::string text_of(const GrantRequest& request);  // as parse_grant_request() reads it

// What this node knows when it is asked. Times by CLOCK_BOOTTIME.
struct WordView {
  cluster::LeaseStatus leases;
  std::map<cluster::NodeId, Instant> last_heard;  // of all others; zero: never
  Instant now{};
  std::uint64_t wall_seconds = 0;  // since 1970
  std::vector<std::string> instances;
};

// Knows the nodes by name. Pure.
class OwnerWord {
 public:
  explicit OwnerWord(const node::ClusterConfig& cluster) : cluster_(cluster) {}

  // The word to give, or in words why not.
  Result<cluster::lease_event::Grant> judge(const GrantRequest& request,
                                            const WordView& view) const;
  // Lines for an operator; none: leases are granted here, or will be by themselves.
  std::vector<std::string> advice(const WordView& view) const;
  std::string name_of(cluster::NodeId node) const;
  std::vector<std::string> names_of(cluster::NodeSet nodes) const;

 private:
  cluster::NodeSet heard(const WordView& view) const;
  cluster::NodeSet silent(const WordView& view) const;
  std::string since(cluster::NodeId node, const WordView& view) const;

  node::ClusterConfig cluster_;
};

}  // namespace nines

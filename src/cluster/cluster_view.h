// The cluster as one node sees it at a moment: who is there and why it thinks so, each link, who
// votes, who holds what. As JSON for tools, and in words for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"
#include "cluster/lease.h"
#include "cluster/membership.h"

namespace nines::cluster {

struct ClusterViewNode {
  NodeId id = 0;
  std::string name;
  std::vector<std::string> addresses;  // by network, with ports
  bool witness = false;                // votes, and never owns
};
struct ClusterViewLease {
  std::string name;
  bool wanted = false;  // by this node
  LeaseSight sight;
};

struct ClusterView {
  NodeId self = 0;
  std::vector<ClusterViewNode> nodes;  // all, this one too, by id
  int networks = 1;
  Instant now{};
  // Of this node.
  bool isolated = false;
  int strain = 0;
  Standing standing = Standing::kServing;
  std::uint64_t incarnation = 0;
  std::vector<PeerStatus> peers;  // the others, by id
  LeaseStatus leases;
  std::vector<ClusterViewLease> names;
};

// One object, without a line feed.
std::string render_cluster_json(const ClusterView& view);

// Lines of what render_cluster_json() gave, indented by two blanks; each ends with a line feed. Of
// anything else, a line that says so.
std::string render_cluster_text(const std::string& json);

}  // namespace nines::cluster

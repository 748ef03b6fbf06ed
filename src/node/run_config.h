// nines.yaml: what one host's daemon runs, and what neither haproxy.cfg nor keepalived.conf can
// say.
//
//   haproxy: /etc/haproxy/haproxy.cfg          # a file, a directory of *.cfg, or a list of them
//   keepalived: /etc/keepalived/keepalived.conf
//   control: /run/nines/control.sock
//   stop:
//     drain: 3s
//   cluster:
//     key: /etc/nines/cluster.key
//     state: /var/lib/nines
//     nodes:
//       node01: {id: 1, addresses: [192.0.2.41, 198.51.100.41]}   # one on each network
//       node02: {id: 2, addresses: [192.0.2.42, 198.51.100.42]}
//       node03: {id: 3, addresses: [192.0.2.43, 198.51.100.43]}
//       # or, with two of them: witness: {id: 3, addresses: [...], witness: true}
//     self: node01                               # unless told otherwise: the host's name
//     listener: comp01                           # or: this host is no node, and hears verdicts
//     term: 120ms
//     advertise: false                           # VRRP adverts by who holds, for who listens
//     tell_sessions: true                        # clients of a dead holder hear of it at once
//     dead_peers: ...                            # dead_peers_config.h
//   galera: ...                                  # galera_config.h
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"
#include "node/dead_peers_config.h"
#include "node/galera_config.h"
#include "text/diagnostics.h"
#include "text/source.h"

namespace nines::node {

inline constexpr std::string_view kDefaultRunConfig = "/etc/nines/nines.yaml";
inline constexpr std::string_view kDefaultControlPath = "/run/nines/control.sock";
inline constexpr Duration kDrainDefault = std::chrono::seconds(3);
inline constexpr Duration kDrainMax = std::chrono::minutes(10);

inline constexpr std::string_view kDefaultStatePath = "/var/lib/nines";
inline constexpr std::size_t kClusterNodesMax = 15;
inline constexpr int kClusterNodeIdMax = 63;
inline constexpr std::size_t kClusterNetworksMax = 4;
inline constexpr std::uint16_t kClusterPortDefault = 7402;  // UDP
inline constexpr std::size_t kNodeNameMax = 64;             // characters, as of a host's name
inline constexpr Duration kTermDefault = std::chrono::milliseconds(120);
inline constexpr Duration kTermLeast = std::chrono::milliseconds(50);
inline constexpr Duration kTermMost = std::chrono::seconds(10);

struct ClusterNode {
  std::string name;
  std::uint8_t id = 0;                   // 1 to kClusterNodeIdMax, never given to another node
  std::vector<SocketAddress> addresses;  // by network, with ports
  bool witness = false;                  // votes, and never owns
  friend bool operator==(const ClusterNode&, const ClusterNode&) = default;
};

struct ClusterConfig {
  std::string key;                       // path
  std::string state{kDefaultStatePath};  // folder of what must outlive a boot
  std::vector<ClusterNode> nodes;        // by id; all have equally many addresses
  std::uint8_t self = 0;                 // the id of one of them
  bool is_witness() const;               // this host's node
  // This host is none of the nodes: it hears their verdicts under this name. Empty: it is a node.
  std::string listener{};
  Duration term = kTermDefault;  // of an address's lease
  bool advertise = false;        // the holder sends VRRP adverts; nobody obeys them
  // The holder of an address tells the others which sessions it has there; the next one ends them.
  bool tell_sessions = true;
  DeadPeersConfig dead_peers;
  friend bool operator==(const ClusterConfig&, const ClusterConfig&) = default;
};

struct RunConfig {
  std::vector<std::string> haproxy;  // paths; none: no proxy plane
  std::string keepalived;            // path; empty: no owner plane
  std::string control{kDefaultControlPath};
  // At a stop: how long answers under way may take before the addresses are handed over.
  Duration drain = kDrainDefault;
  std::optional<ClusterConfig> cluster;
  std::optional<GaleraConfig> galera;  // none: no manager plane
};

struct LoadedRunConfig {
  RunConfig config;  // to be used only when there are no errors
  text::Diagnostics diagnostics;
  bool ok() const { return !diagnostics.has_errors(); }
};

// Goes on after a mistake and reports all of them, but those of YAML itself, after which nothing
// can be read. Unknown and repeated keys are errors. Relative paths start from the file's own
// folder. Pure: no file is opened. `host_name`: this host's, with or without its domain; the
// cluster's node of that name, or else of its first part, is this one when `self` does not say
// which.
LoadedRunConfig load_run_config(const text::SourceFile& file, std::string_view host_name);

}  // namespace nines::node

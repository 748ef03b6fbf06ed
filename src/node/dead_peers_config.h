// What nines.yaml says of dead peers, within its cluster:
//
//   dead_peers: off                  # one line turns it off
//
//   dead_peers:
//     silence: 1s                    # of a host, on all networks, until its clients are told
//     hold_down: 1m                  # of being there, until returns no longer ask for more silence
//     ports: [3306, 5672]            # in place of the default
//     more_ports: [9000]             # besides
//     stand_in: [5672]               # of them, where each controller offers the same; off: none
//     listeners: true                # hosts that are no nodes may hear verdicts: run_config.h
//     not_covered: [qrouter-*]       # networks of this host that are known not to be told
//     addresses:                     # of services, where those are not the nodes' own addresses
//       node01: [10.1.0.41]
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"

struct fy_node;

namespace nines::node {

class YamlReader;

inline constexpr Duration kDeadSilenceDefault = std::chrono::seconds(1);
inline constexpr Duration kDeadSilenceLeast = std::chrono::milliseconds(500);
inline constexpr Duration kDeadSilenceMost = std::chrono::minutes(1);
inline constexpr Duration kDeadHoldDownDefault = std::chrono::minutes(1);
inline constexpr Duration kDeadHoldDownMost = std::chrono::hours(1);
inline constexpr std::size_t kDeadPortsMax = 64;
inline constexpr std::size_t kNotCoveredMax = 32;
inline constexpr std::size_t kDeadAddressesMax = 4;  // of a node, besides its own

inline constexpr std::size_t kStandInPortsMax = 8;

// What an OpenStack controller serves; each is argued in docs/decisions/0151.
const std::vector<std::uint16_t>& dead_ports_default();
// RabbitMQ's clients, in the clear (docs/decisions/0208).
inline constexpr std::uint16_t kStandInDefault = 5672;

struct DeadPeersConfig {
  bool on = true;
  Duration silence = kDeadSilenceDefault;
  Duration hold_down = kDeadHoldDownDefault;
  bool listeners = false;  // hosts that are no nodes are told
  // Other networks of this host, by name, whose programs are known not to be told; a `*` at the end
  // stands for any rest.
  std::vector<std::string> not_covered{};
  std::vector<std::uint16_t> ports = dead_ports_default();  // ascending, once each
  // Among `ports`, ascending, once each: a connection to a dead node's goes to a living one's.
  std::vector<std::uint16_t> stand_in = {kStandInDefault};
  std::map<std::string, std::vector<SocketAddress>> addresses{};  // node -> besides its own
  friend bool operator==(const DeadPeersConfig&, const DeadPeersConfig&) = default;
};

// Whether one of the names or patterns means it.
bool names_network(const std::vector<std::string>& not_covered, std::string_view network);

// Mistakes are the reader's diagnostics. `nodes`: the cluster's names.
DeadPeersConfig read_dead_peers_config(YamlReader& reader, fy_node* section,
                                       const std::vector<std::string_view>& nodes);

}  // namespace nines::node

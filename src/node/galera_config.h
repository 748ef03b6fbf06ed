// The section of nines.yaml that names a Galera cluster:
//
//   galera:
//     members:                                # those that hold data, with their servers' addresses
//       node01: 192.0.2.41
//       node02: 192.0.2.42
//       node03: 192.0.2.43:3307
//     arbitrators: [192.0.2.50]               # hosts of garbd: they vote and hold nothing
//     self: node01                            # unless told otherwise: the host's name
//     socket: /run/mysqld/mysqld.sock         # of this host's server
//     credentials: galera.credentials         # user = ..., password = ...
//     data: /var/lib/mysql
//     state: /var/lib/nines                   # what a recovery under way writes down
//     server:                                 # how it is started and stopped, one of
//       unit: mariadb.service
//       process: [mariadbd, --defaults-file=/etc/mysql/my.cnf]
//       command: {start: [...], bootstrap: [...], stop: [...]}
//       recover: [mariadbd, --user=mysql]     # what --wsrep-recover is added to
//     reach: [ssh, -oBatchMode=yes, 'root@{member}', nines]    # runs nines on another member's
//     host
//     recovery: automatic                     # or by-hand, unless told otherwise
//     metrics: /var/lib/prometheus/node-exporter/nines.prom     # written by nines run
//     pools:                                  # of the clients, for an audit
//       keystone: {processes: 24}             # on all hosts together
//       nova-api: {processes: 24, size: 5, overflow: 50}
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_address.h"

struct fy_node;

namespace nines::node {

class YamlReader;

inline constexpr std::size_t kGaleraMembersMax = 15;
inline constexpr std::size_t kGaleraArbitratorsMax = 4;
inline constexpr std::size_t kGaleraCommandWordsMax = 64;
inline constexpr std::string_view kGaleraReachMember = "{member}";
inline constexpr std::size_t kGaleraPoolsMax = 64;
inline constexpr std::int64_t kGaleraPoolNumberMax = 1'000'000;
inline constexpr std::int64_t kGaleraPoolSizeDefault = 5;       // oslo.db's max_pool_size
inline constexpr std::int64_t kGaleraPoolOverflowDefault = 50;  // oslo.db's max_overflow
inline constexpr std::uint16_t kGaleraPortDefault = 3306;
inline constexpr std::string_view kGaleraSocketDefault = "/run/mysqld/mysqld.sock";
inline constexpr std::string_view kGaleraStateDefault = "/var/lib/nines";
inline constexpr std::string_view kGaleraDataDefault = "/var/lib/mysql";

struct GaleraMember {
  std::string name;
  SocketAddress address;  // of its server
  friend bool operator==(const GaleraMember&, const GaleraMember&) = default;
};

// How a server is started and stopped. All empty: nobody said, so that nobody may.
struct GaleraServer {
  std::string unit;                                 // of systemd
  std::vector<std::string> process;                 // run by nines itself, and outliving it
  std::vector<std::string> start, bootstrap, stop;  // commands that end once it is under way
  bool is_said() const { return !unit.empty() || !process.empty() || !start.empty(); }
  friend bool operator==(const GaleraServer&, const GaleraServer&) = default;
};

// A service's connections to the database: a pool in each of its processes, on all hosts together.
struct GaleraPool {
  std::string name;
  std::int64_t processes = 0;
  std::int64_t size = kGaleraPoolSizeDefault;
  std::int64_t overflow = kGaleraPoolOverflowDefault;
  std::int64_t connections() const { return processes * (size + overflow); }
  friend bool operator==(const GaleraPool&, const GaleraPool&) = default;
};

struct GaleraConfig {
  std::vector<GaleraMember> members;  // as the file has them
  std::vector<SocketAddress> arbitrators;
  std::string self;  // the member on this host; empty: none is
  std::string socket{kGaleraSocketDefault};
  std::string credentials;  // path
  std::string data{kGaleraDataDefault};
  std::string state{kGaleraStateDefault};
  GaleraServer server;
  std::vector<std::string> recover{"mariadbd", "--user=mysql"};
  std::vector<std::string> reach;  // kGaleraReachMember in its words is the name; empty: no way
  bool recovers_by_itself = false;
  std::string metrics;            // the file that a daemon writes them to; empty: none
  std::vector<GaleraPool> pools;  // empty: nobody said
  friend bool operator==(const GaleraConfig&, const GaleraConfig&) = default;
};

// 1 to 64 letters, digits, '-', '_' and '.', the first neither '-' nor '.': what may also be a word
// of a command, a file's name and a host's.
bool is_galera_member_name(std::string_view name);

// `host_name` with or without its domain. Mistakes are the reader's diagnostics.
GaleraConfig read_galera_config(YamlReader& reader, fy_node* section, std::string_view host_name);

}  // namespace nines::node

// What a lab consists of, as values: hosts, their addresses, their services. Decided here in pure
// code from the command line's wishes; lab_keeper makes it real.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "lab/engine_plan.h"
#include "lab/real_services.h"

namespace nines::lab {

inline constexpr int kControllersMax = 9;                      // .41 to .49
inline constexpr std::string_view kListenerService = "nines";  // on compute hosts
inline constexpr int kComputes = 2;  // of a lab with an OpenStack: .51 and .52
inline constexpr std::size_t kLabNameMax = 32;
inline constexpr std::string_view kLabsDirectory = "/run/nines-lab";
inline constexpr std::string_view kDefaultLabName = "lab";
inline constexpr std::string_view kVirtualAddress = "100.2.30.40";
inline constexpr std::string_view kClientHost = "client";
inline constexpr std::string_view kHostInterface = "eth0";
inline constexpr std::uint16_t kStatisticsPort = 1984;
inline constexpr std::uint16_t kLogPort = 5140;
// Every controller answers datagrams here at the virtual address while it has it, with its name.
inline constexpr std::uint16_t kEchoPort = 7007;
inline constexpr std::string_view kStatisticsUser = "openstack";
// The service names that are not stand-ins.
inline constexpr std::string_view kBalancerService = "balancer";
inline constexpr std::string_view kLogService = "log";
inline constexpr std::string_view kForwardService = "forward";
inline constexpr std::string_view kEchoService = "echo";
// What the engine reads, in the host's own directory.
inline constexpr std::string_view kBalancerFile = "haproxy.cfg";
inline constexpr std::string_view kAddressFile = "keepalived.conf";
inline constexpr std::string_view kEngineFile = "nines.yaml";
inline constexpr std::string_view kCheckFile = "check_alive.sh";

enum class StandInKind : std::uint8_t { kHttp, kWebSocket, kMysql };
std::string_view name_of(StandInKind kind);
std::optional<StandInKind> find_stand_in_kind(std::string_view name);

// How an OpenStack API answers at its root: measured once on real ones, because health checks
// depend on it (placement's 405 to OPTIONS marks it down under a plain `option httpchk`).
struct HttpPersona {
  int get_root = 200;
  int head_root = 200;
  int options_root = 200;
  int get_healthcheck = 200;
};

struct StandInPlan {
  std::string_view service;  // "keystone", as in `nines lab kill node02 keystone`
  std::string_view proxy;    // its `listen` section in the reference: "keystone_internal"
  std::uint16_t port;
  StandInKind kind;
  HttpPersona persona;
};

// Every service of the reference configuration, in its order.
std::span<const StandInPlan> stand_ins();
// By either of its names; null when there is none.
const StandInPlan* find_stand_in(std::string_view name);

enum class HostRole : std::uint8_t { kController, kCompute, kClient };

struct HostPlan {
  std::string name;
  std::string address;  // IPv4, in 100.2.30.0/24
  HostRole role = HostRole::kController;
  bool owns_virtual_address = false;  // for good, because its engine moves no address
  int priority = 0;                   // of a controller whose engine does
};

struct LabPlan {
  std::string name;
  std::string directory;      // on the machine: kLabsDirectory/NAME
  std::string configuration;  // haproxy.cfg's text
  EnginePlan engine;
  std::string cluster_key;      // of those with leases: a key file's text
  Duration term{};              // of their leases; 0: as they come
  std::vector<HostPlan> hosts;  // controllers in order, then compute hosts, then the client
  ServiceSource services = ServiceSource::kStandIns;
  std::vector<RealService> real;  // none where all are stand-ins

  // It has the log, the statistics page and the copy of the configuration that people change.
  const HostPlan& first() const { return hosts.front(); }
  bool runs_engine(const HostPlan& host) const {
    return host.role == HostRole::kController &&
           (engine.moves_the_address() || host.owns_virtual_address);
  }
};

// What an operator may set beside what OpenStack's packages say.
struct CloudTuning {
  // oslo.messaging's kombu_reconnect_delay, up to kReconnectDelayMax; none: as it comes, a second.
  std::optional<Duration> reconnect_delay;
};
inline constexpr Duration kReconnectDelayMax = std::chrono::milliseconds(4500);

struct LabWishes {
  std::string name{kDefaultLabName};
  int controllers = 3;
  std::string configuration = {};
  EngineKind engine = EngineKind::kNines;
  ServiceSource services = ServiceSource::kStandIns;
  std::vector<int> priorities = {};  // of the controllers; empty: default_priorities()
  std::string balancer = {};         // EngineKind::kBalancer's program; empty: `self`
  std::string cluster_key = {};      // of those with leases: a key file's text
  Duration term{};                   // of their leases; 0: as they come
  // Of compute hosts that hear verdicts: host -> a key file's text.
  std::map<std::string, std::string> listener_keys = {};
  CloudTuning tuning = {};  // of a lab with an OpenStack
  std::string self = {};    // the path of this program
};

// kInvalid with a message for people when a wish cannot be had.
Result<LabPlan> plan_lab(const LabWishes& wishes);
// 1 to kLabNameMax of a-z, 0-9 and '-'.
Result<void> check_lab_name(std::string_view name);

// An address that a configuration listens on, and the section that says so. Read by its shape alone
// (`listen NAME`, `frontend NAME`, `bind ADDRESS:PORT,...`): whether the text is good is the
// balancer's to say.
struct BoundAddress {
  std::string section;
  SocketAddress address;
};
std::vector<BoundAddress> bound_addresses(std::string_view configuration);

// The file's text, by its name, for a host that runs the engine.
struct HostFile {
  std::string_view name;
  std::string text;
  unsigned mode = 0644;
};
std::vector<HostFile> engine_files(const LabPlan& plan, const HostPlan& host);

// Inside a host its own part of the lab's directory is seen at kHostDirectory.
inline constexpr std::string_view kHostDirectory = "/run/nines-lab";
std::string host_directory(const LabPlan& plan, const HostPlan& host);
std::string hosts_file(const LabPlan& plan);

// The numeric id of `name` in the text of passwd or group.
std::optional<int> account_id(std::string_view text, std::string_view name);
// `text` (passwd or group) with an entry "NAME:x:ID:SUFFIX" when `name` has none; ID is a free one.
std::string ensure_account(std::string text, std::string_view name, std::string_view suffix);

}  // namespace nines::lab

// The engine of a controller, as values: which programs hold the virtual address and balance
// behind it, how each is told to stop or to read its files again, which of its processes plays
// which part, and the files they read. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace nines::lab {

enum class EngineKind : std::uint8_t {
  kNines,      // ours, on each controller
  kIncumbent,  // keepalived and HAProxy, on each controller
  kBalancer,   // one balancer on the first controller, which has the address for good
  kLease,      // ours, on each controller, the address by a majority's lease
  kPassive,    // the same, which does nothing for the clients of a dead controller
};
inline bool has_leases(EngineKind kind) {
  return kind == EngineKind::kLease || kind == EngineKind::kPassive;
}
std::string_view name_of(EngineKind kind);
std::optional<EngineKind> find_engine_kind(std::string_view name);
// "nines,lease,passive,incumbent": those that move the address, each at most once, with commas
// between.
Result<std::vector<EngineKind>> parse_moving_engines(std::string_view text);

enum class EngineSignal : std::uint8_t { kNone, kHangUp, kTerminate, kUser1, kUser2 };

// One program of the engine.
struct ProgramPlan {
  std::string name;                  // as the lab's commands call it
  std::vector<std::string> command;  // the whole command line
  // Run before it to its end, whatever that is; empty: nothing.
  std::vector<std::string> prepare = {};
  std::string output;  // the file in the host's directory that takes its words
  EngineSignal stop = EngineSignal::kTerminate;
  EngineSignal reload = EngineSignal::kNone;
  Duration stop_patience = 10s;  // then it is killed
};

// The parts that every engine of several processes has.
inline constexpr std::string_view kSupervisorRole = "supervisor";
inline constexpr std::string_view kOwnerRole = "owner";
inline constexpr std::string_view kProxyRole = "proxy";
// All processes of the engine at once.
inline constexpr std::string_view kWholeEngine = "engine";

// Which process plays a part: a program itself, or a child of it.
struct RolePlan {
  std::string_view role;
  std::size_t program = 0;  // an index of EnginePlan::programs
  bool is_child = false;
  std::string_view child_name = {};  // its name in the process table; empty: any child
};

struct EnginePlan {
  EngineKind kind = EngineKind::kNines;
  std::vector<ProgramPlan> programs;  // stopped in this order, one after the other
  std::vector<RolePlan> roles;
  // It holds the address by election or by lease: runs on every controller.
  bool moves_the_address() const { return kind != EngineKind::kBalancer; }
};

// `self` is the path of this program, `balancer` that of EngineKind::kBalancer's (empty: self).
EnginePlan plan_engine(EngineKind kind, const std::string& self, const std::string& balancer);

// A process of a host, from the process table.
struct HostProcess {
  int id = 0;
  int parent = 0;
  char state = 'S';  // as proc(5) has it: 'T' is stopped, 'Z' dead and not yet reaped
  std::string name = {};
};

// The process that plays `role`, null when there is none now. `programs` are the ids of the running
// programs by their index, 0 where one does not run.
const HostProcess* find_role(const EnginePlan& plan, std::string_view role,
                             std::span<const int> programs, std::span<const HostProcess> processes);

// The engine's processes among all of its host's: not `others` (the lab's own services), nothing
// that was begun from outside the lab's process namespace, and no descendant of either.
std::vector<int> processes_of_engine(std::span<const HostProcess> processes,
                                     const std::set<int>& others);

inline constexpr int kPriorityMin = 1;
inline constexpr int kPriorityMax = 254;  // 255: has it for good (RFC 3768, section 5.3.4)
// N, N-1, ..., 1 for N controllers.
std::vector<int> default_priorities(int controllers);
// "254,253,252": one for each controller, kPriorityMin to kPriorityMax, no two the same.
Result<std::vector<int>> parse_priorities(std::string_view text, int controllers);

// The first `stats socket PATH` of a haproxy.cfg; empty when there is none.
std::string runtime_socket_path(std::string_view configuration);
// What keepalived and its like read: the reference's instance with the lab's interface and address.
// `check` is the script's path; empty: nothing is checked.
std::string keepalived_configuration(int priority, std::string_view check);
// The check script of the reference's kind: alive is what takes a question at its runtime socket.
std::string check_script(std::string_view runtime_socket);
// What `nines run` reads.
std::string nines_configuration();
// The same with a cluster of these hosts (name and address), whose key is in kKeyFile.
struct ClusterMember {
  std::string name;
  std::string address;
};
// `dead_peers`: what is done for the clients of a dead controller is left as it is by itself.
// `term`: of leases; 0: as it is by itself. `listeners`: hosts that are no nodes may hear verdicts.
std::string cluster_configuration(std::span<const ClusterMember> members, bool dead_peers = true,
                                  Duration term = {}, bool listeners = false);
// Of a host that is none of these and hears their verdicts; its key is in kListenerKeyFile.
std::string listener_configuration(std::span<const ClusterMember> members, std::string_view name);
inline constexpr std::string_view kListenerKeyFile = "listener.key";
inline constexpr std::string_view kKeyFile = "cluster.key";

}  // namespace nines::lab

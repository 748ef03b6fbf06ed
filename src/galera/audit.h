// From what the members' servers are set to, to what that loses or costs when something fails: each
// setting with its effect in words and figures, and what would mend it. Pure.
//
// Where the figures come from: docs/internals/galera-audit.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "galera/server_settings.h"

namespace nines::galera {

// What of a service's connections: each of its processes keeps a pool of its own.
struct ConnectionPool {
  std::string name;
  std::int64_t connections = 0;  // at most, of all its processes on all hosts
};

struct AuditedMember {
  std::string name;
  std::string missing;  // why its server did not say; empty: it did
  ServerSettings settings;
  WriteLoad load_measured, load_since_start;
  std::int64_t connections_most = 0;  // at once, since the server's start
};

struct AuditQuestion {
  std::vector<AuditedMember> members;  // those with data, as the configuration has them
  int arbitrators = 0;
  std::vector<ConnectionPool> pools;  // empty: nobody said
  Duration measured_for{};            // of load_measured
};

enum class Verdict : std::uint8_t {
  kLoss,     // acknowledged commits may be lost, or members may come to differ
  kTime,     // an outage or a failure of one member takes longer than it has to
  kUnknown,  // it could not be judged
  kNote,     // costs nothing by itself; whoever builds on it should know
  kGood,
};
std::string_view name_of(Verdict verdict);

struct Finding {
  Verdict verdict = Verdict::kUnknown;
  std::string setting;
  std::string value;                 // for people; "not said" when the server said nothing
  std::vector<std::string> members;  // whose settings these are, in the question's order
  std::string effect;                // sentences
  std::string mend;                  // what to set; empty: nothing is to be done
};

struct Audit {
  WriteLoad load;                 // the busiest that was seen, which the figures are for
  std::vector<Finding> findings;  // the worst first
  bool is_all_asked = true;       // every member's server said what it is set to
  // The worst verdict is no worse than kUnknown.
  bool is_good() const;
};

Audit audit_settings(const AuditQuestion& question);

// A table and what to set, for a terminal of 100 columns and more.
std::string render_audit(const AuditQuestion& question, const Audit& audit);

// -- the figures, for the tests that hold them to real servers -----------------------------------

// How long writes may stall when a member dies, and how long when only some of the others stop
// hearing it. Empty when the server did not say what they come from.
struct WriteStall {
  Duration dead{};
  Duration half_heard{};
};
std::optional<WriteStall> write_stall(const ServerSettings& settings);

// Thresholds between good and kTime.
inline constexpr Duration kStallWanted = std::chrono::seconds(5);
inline constexpr Duration kAbsenceWanted = std::chrono::minutes(30);  // a reboot, with repairs
inline constexpr double kConnectionsUsedMax = 0.8;  // of max_connections, where pools are not said

}  // namespace nines::galera

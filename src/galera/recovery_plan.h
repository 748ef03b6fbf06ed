// From the evidence of all members to what is to be done next: which of them, if any, may begin the
// cluster anew, and who joins in which order. Pure and without memory; it is asked again before
// every step that cannot be taken back.
//
// Why it is right, and what it assumes: docs/internals/galera-recovery.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "galera/evidence.h"

namespace nines::galera {

// What is known of one member.
struct MemberFacts {
  std::string name;
  std::optional<Evidence> evidence;
  std::string missing;  // why there is none
  // The operator's word, or a fence's proof: it is off, or its data is lost, and what only it may
  // have committed is given up.
  bool is_excused = false;
  // The operator's word: its files are whole although something says that they may not be.
  bool is_trusted = false;
};

struct PlanQuestion {
  std::vector<MemberFacts> members;  // all, as the configuration has them
  bool has_reform_failed = false;    // Galera was let try, and did not come through
  bool has_waited = false;           // servers that start were given their time
  std::string begun_by;  // the member that was told to begin the cluster, if any was; it may have
};

enum class PlanKind : std::uint8_t {
  kNothing,    // all members are in one primary component
  kWait,       // a server is starting: what it will be decides
  kRejoin,     // a primary component lives: the others join it
  kReform,     // all agree: start all, and Galera reforms the component itself (pc.recovery)
  kPromote,    // `chosen` runs without a majority: it is told to be the primary (pc.bootstrap)
  kStandDown,  // those that run without a majority, or wait for one in vain, stop first
  kBootstrap,  // `chosen` begins the cluster anew
  kRefuse,
};

enum class Part : std::uint8_t {
  kStays,      // it is in the primary component, or will come back to it by itself
  kStarts,     // with all others at once
  kBegins,     // bootstrap or promotion
  kJoins,      // when its turn comes
  kStops,      // first
  kLeftAlone,  // never started by us: it may hold what nobody else has
  kNone,       // nothing is decided
};

// How a member's data counts when it is down.
enum class Standing : std::uint8_t {
  kMissing,   // nothing is known
  kRunning,   // its server says how far it came
  kSound,     // the position is sure
  kDoubtful,  // a position is told, and something says that the files may not be whole
  kUnknown,   // there is data and nobody can say how far it came
  kTorn,      // half of a state transfer: nothing that others do not have
  kNew,       // a server was installed there and never joined: nothing either
  kEmpty,     // no data: a lost disk, or one that is not mounted
};

struct MemberPlan {
  std::string name;
  Standing standing = Standing::kMissing;
  Position position;  // of kRunning, kSound and kDoubtful
  Part part = Part::kNone;
  std::string why;  // for people; may be empty
};

struct Plan {
  PlanKind kind = PlanKind::kRefuse;
  std::string chosen;                // of kPromote and kBootstrap
  Position begin_at;                 // the position that `chosen` is to have
  std::vector<MemberPlan> members;   // in the question's order
  std::vector<std::string> joining;  // names, in their order; of those with Part::kJoins
  std::string reason;                // a sentence
  // Of kRefuse: it may only look so because members were asked one after the other. Look again
  // before it is believed.
  bool is_fleeting = false;
  // Of kRefuse: options that make it go on, each with what they give up; may be empty.
  std::vector<std::string> overrides;
};

Plan plan_recovery(const PlanQuestion& question);

// As a table and numbered steps, for a terminal of 100 columns and more.
std::string render_plan(const PlanQuestion& question, const Plan& plan);

}  // namespace nines::galera

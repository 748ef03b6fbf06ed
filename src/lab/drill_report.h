// What a drill has measured, as values: requests to gaps and counts, counts to a verdict, all of it
// to a table. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "lab/drill_plan.h"
#include "lab/ownership.h"
#include "lab/peer_rules.h"
#include "lab/peer_watch.h"

namespace nines::lab {

// What a client does, and with it how its failures count.
enum class LoadKind : std::uint8_t {
  kRequests,      // a whole session that may be begun again: no failure is excused by its kind
  kTokens,        // a token is asked for (a POST: not sent twice) and validated
  kTransactions,  // a session that lasts writes; whoever breaks the session breaks what it does
};

enum class Outcome : std::uint8_t { kSuccess, kFailed, kUnfinished };

struct RequestRecord {
  Instant begun;
  Instant ended;  // of kUnfinished: when it was given up, at the end of the drill
  Outcome outcome = Outcome::kSuccess;
  std::string_view reason;  // of kFailed; static storage
  std::int8_t node = 0;     // who answered, an index of the caller's; -1: unknown
};

// A phase's stretch of time: from the fault to the next phase's, or the end.
struct Window {
  Instant begin;
  Instant end;
  // In it an address was moved as planned: after the old holder's last answer, before the new
  // one's first.
  struct Move {
    Instant after, before;
  };
  std::optional<Move> move{};
};

// An answer at the address itself.
struct AddressAnswer {
  Instant at;
  std::int8_t node = 0;  // who gave it, an index of the caller's
};

// The longest time without any of `instants` (sorted) in the window; the gap that its begin falls
// into began with the last one before.
Duration longest_gap(std::span<const Instant> instants, const Window& window);
// The longest time without an answer.
Duration longest_silence(std::span<const AddressAnswer> answers, const Window& window);
// Who answered requests that ended in the window well, as indices of the caller's.
std::set<int> nodes_of(std::span<const RequestRecord> records, const Window& window);

struct ServiceReport {
  std::string proxy;  // "tokens", "transactions" of those kinds
  LoadKind kind = LoadKind::kRequests;
  int requests = 0;          // begun in the window, or under way at its begin
  int failed = 0;            // begun in it
  int failed_in_flight = 0;  // under way at its begin, or at a planned move
  int slow = 0;              // took longer than kSlowRequest, unfinished ones too
  int unfinished = 0;        // given up at the end of the drill
  Duration slowest{};
  // The longest time without a success, counted from success to success (or to the window's end).
  Duration gap_longest{};
  // From the fault to the first success of a request begun after it.
  std::optional<Duration> first_success;
  // From the fault to the end of the last success that ended in the window.
  std::optional<Duration> last_success;
  std::map<std::string, int> reasons;  // of the failed
  std::int8_t last_node = -1;          // who answered the last success begun in the window
};

ServiceReport report_service(std::string proxy, std::span<const RequestRecord> records,
                             const Window& window, LoadKind kind = LoadKind::kRequests);

// Tokens asked about at the end of a drill: whether they are still good.
struct TokenAudit {
  int asked = 0;
  int valid = 0;
};

struct PhaseReport {
  std::string scenario;
  std::string phase;
  std::string watched_proxy;
  Duration length{};
  std::vector<ServiceReport> services;
  // After the fault; as the balancer let it be seen.
  std::optional<Duration> detected, decided, acted;
  // Of real services: of the tokens issued before the fault, and in the window.
  std::optional<TokenAudit> tokens_before, tokens_within;
  bool change_expected = false;  // whether the three are meaningful
  std::string answered_by;       // at the watched proxy, at the end
  bool same_process = true;
  std::string host;  // what was broken or mended: "node02", "node01+node02"; empty: no host
  // The address itself: nobody answered there for so long, and who did before and at the end, as
  // the client saw it.
  std::optional<Duration> outage;
  std::string holder_before, holder_after;
  // The same as the hosts' kernels and the switch had it.
  std::optional<OwnershipReport> ownership;
  // Of drills that are about what programs on the controllers notice of each other.
  struct Peers {
    int controllers = 0;
    // After the fault; as the engines say: the last of the survivors to give it no more work, and
    // the first and last to call it dead.
    std::optional<Duration> doubted, verdict_first, verdict_last;
    // After a host's return: until its kernel answers the last of the survivors, at a port without
    // rules. What a rule outlives counts from there, for each survivor its own.
    std::optional<Duration> reached;
    RuleReport rules;
    PeerWatchReport clients;
    // After its return each service of the host that returned, asked there and not by way of the
    // balancer: the first success. None: not until the watch's end.
    std::map<std::string, std::optional<Duration>> services_back;
  };
  std::optional<Peers> peers;
  std::string scheduling;   // of the processes that hold the address, before the drill
  int sessions_broken = 0;  // of the lasting database sessions
  // Where lasting database sessions were answered in the last second, and where new ones were.
  std::set<std::string> lasting_at, new_at;
  std::set<std::string> spread;      // who answered at the watched proxy in the last second
  std::vector<std::string> hazards;  // what no expectation forbids and people should know
  std::vector<std::string> broken;   // expectations that did not hold, for people
};

const ServiceReport* find_service(const PhaseReport& report, std::string_view proxy);
// Null when there was no such load.
const ServiceReport* find_load(const PhaseReport& report, LoadKind kind);
// Everything that went wrong with one load, however it did.
int lost_of(const ServiceReport& load);
struct Totals {
  int requests = 0, failed = 0, failed_in_flight = 0, slow = 0, unfinished = 0;
};
// Of LoadKind::kRequests.
Totals totals_of(const PhaseReport& report);

// The slowest of the services of who returned; none: not all of them are back, or nobody returned.
std::optional<Duration> slowest_back(const PhaseReport::Peers& peers);

// Fills report.broken.
void judge(const Expectation& expected, PhaseReport& report);

// An aligned table: a row a phase, and under it what did not hold; and where there were tokens and
// transactions a second one of them.
std::string render_table(std::span<const PhaseReport> reports);
// "3.2 ms", "812 ms", "10.04 s"; "-" for nothing.
std::string render_duration(std::optional<Duration> duration);

}  // namespace nines::lab

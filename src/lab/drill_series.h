// The same drills run many times by more than one engine, as values: a row for each run and phase,
// rows to least, median and most of each figure, the engines side by side, and the rows kept as
// text so that every figure can be counted again. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "lab/drill_report.h"

namespace nines::lab {

// In the order of the table. Times are nanoseconds here and milliseconds in the text of rows.
enum class Figure : std::uint8_t {
  kOutage,        // time: nobody answered at the address itself
  kLongestGap,    // time: no success at the proxy that is watched
  kFirstSuccess,  // time: from the fault to the first success of a request begun after it
  // Times from the fault, as the balancer let them be seen; where a server is to change.
  kDetected,
  kDecided,
  kActed,
  kFailed,             // requests begun after the fault
  kFailedInFlight,     // requests under way at the fault
  kSlow,               // requests
  kUnfinished,         // requests
  kNobody,             // time: no host within reach held the address
  kOverlap,            // time: more than one host within reach held it
  kOverlapWithCutOff,  // time: more than one in all did
  kAnnounced,          // gratuitous ARPs
  // Of real services. What was lost failed, under way at the fault or begun after it, or never
  // ended.
  kTokens,
  kTokensLost,
  kTokenSlowest,   // time
  kTokensInvalid,  // issued, and no longer valid at the end of the drill
  kTransactions,
  kTransactionsLost,
  kTransactionSlowest,  // time
  // Of drills that are about what programs on the controllers notice of each other.
  kRulesStand,     // time: every survivor refuses connections to the dead
  kPeerTold,       // time: the last connection that stood was ended
  kPeerRefused,    // time: the last survivor's first refusal
  kPeerWaited,     // time: the longest that one connection waited
  kPeerReached,    // time: the kernel of who returns answers the last survivor
  kRulesGone,      // time: the longest that a rule stood on after its reason
  kRulesOutlived,  // rules that did so for more than a second
  kServicesBack,   // time: the slowest service of who returns serves
};
inline constexpr std::size_t kFigures = 29;
std::string_view title_of(Figure figure);
bool is_time(Figure figure);

// What one run of one phase came to. A figure that was not measured is absent; one that did not end
// (an outage, say) is as long as it was watched.
struct DrillRow {
  std::string engine;
  int run = 1;
  std::string scenario;
  std::string phase;
  std::string scheduling;           // of the processes that hold the address; empty: not known
  bool held = true;                 // every expectation
  std::vector<std::string> broken;  // those that were not, for people
  std::array<std::optional<std::int64_t>, kFigures> figures{};

  std::optional<std::int64_t>& operator[](Figure figure) {
    return figures[static_cast<std::size_t>(figure)];
  }
  const std::optional<std::int64_t>& operator[](Figure figure) const {
    return figures[static_cast<std::size_t>(figure)];
  }
  friend bool operator==(const DrillRow&, const DrillRow&) = default;
};

DrillRow row_of(const PhaseReport& report, std::string engine, int run);

struct DrillSeries {
  std::map<std::string, std::string> about;  // the machine, the versions: whatever a reader needs
  std::vector<DrillRow> rows;
  std::vector<std::string> failed;  // runs that could not be made, and why

  friend bool operator==(const DrillSeries&, const DrillSeries&) = default;
};

// JSON, a row a line.
std::string to_text(const DrillSeries& series);
// kInvalid: which row, what was found, what is allowed. Times come back to the microsecond.
Result<DrillSeries> parse_drill_series(std::string_view text);
inline constexpr std::size_t kSeriesRowsMax = 100'000;

struct FigureSummary {
  int count = 0;    // rows that have it
  int nonzero = 0;  // of these
  double least = 0, median = 0, most = 0;
};
FigureSummary summarize(std::span<const DrillRow> rows, std::string_view engine,
                        std::string_view scenario, std::string_view phase, Figure figure);

enum class TableStyle : std::uint8_t { kPlain, kMarkdown };
// A block of rows a phase, a column an engine, both in the order in which they first come; with two
// engines the ratio of their medians, the first's to the second's. Figures that nobody measured, or
// that are nothing everywhere and need no saying, are left out.
std::string render_series(std::span<const DrillRow> rows, TableStyle style);

}  // namespace nines::lab

// The statistics as rows of typed columns: what "show stat", the statistics page and its CSV and
// JSON forms all say, collected once. HAProxy management guide, section 9.1.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "proxy/runtime.h"

namespace nines::proxy {

// HAProxy 2.6's columns in its order; tools know them by name and by position.
enum class StatsColumn : std::uint8_t {
  kPxname,
  kSvname,
  kQcur,
  kQmax,
  kScur,
  kSmax,
  kSlim,
  kStot,
  kBin,
  kBout,
  kDreq,
  kDresp,
  kEreq,
  kEcon,
  kEresp,
  kWretr,
  kWredis,
  kStatus,
  kWeight,
  kAct,
  kBck,
  kChkfail,
  kChkdown,
  kLastchg,
  kDowntime,
  kQlimit,
  kPid,
  kIid,
  kSid,
  kThrottle,
  kLbtot,
  kTracked,
  kType,
  kRate,
  kRateLim,
  kRateMax,
  kCheckStatus,
  kCheckCode,
  kCheckDuration,
  kHrsp1xx,
  kHrsp2xx,
  kHrsp3xx,
  kHrsp4xx,
  kHrsp5xx,
  kHrspOther,
  kHanafail,
  kReqRate,
  kReqRateMax,
  kReqTot,
  kCliAbrt,
  kSrvAbrt,
  kCompIn,
  kCompOut,
  kCompByp,
  kCompRsp,
  kLastsess,
  kLastChk,
  kLastAgt,
  kQtime,
  kCtime,
  kRtime,
  kTtime,
  kAgentStatus,
  kAgentCode,
  kAgentDuration,
  kCheckDesc,
  kAgentDesc,
  kCheckRise,
  kCheckFall,
  kCheckHealth,
  kAgentRise,
  kAgentFall,
  kAgentHealth,
  kAddr,
  kCookie,
  kMode,
  kAlgo,
  kConnRate,
  kConnRateMax,
  kConnTot,
  kIntercepted,
  kDcon,
  kDses,
  kWrew,
  kConnect,
  kReuse,
  kCacheLookups,
  kCacheHits,
  kSrvIcur,
  kSrcIlim,
  kQtimeMax,
  kCtimeMax,
  kRtimeMax,
  kTtimeMax,
  kEint,
  kIdleConnCur,
  kSafeConnCur,
  kUsedConnCur,
  kNeedConnEst,
  kUweight,
  kAggServerStatus,
  kAggServerCheckStatus,
  kAggCheckStatus,
  kSslSess,
  kSslReusedSess,
  kSslFailedHandshake,
  kH2HeadersRcvd,
  kH2DataRcvd,
  kH2SettingsRcvd,
  kH2RstStreamRcvd,
  kH2GoawayRcvd,
  kH2DetectedConnProtocolErrors,
  kH2DetectedStrmProtocolErrors,
  kH2RstStreamResp,
  kH2GoawayResp,
  kH2OpenConnections,
  kH2BackendOpenStreams,
  kH2TotalConnections,
  kH2BackendTotalStreams,
  kH1OpenConnections,
  kH1OpenStreams,
  kH1TotalConnections,
  kH1TotalStreams,
  kH1BytesIn,
  kH1BytesOut,
  kH1SplicedBytesIn,
  kH1SplicedBytesOut,
};
inline constexpr std::size_t kStatsColumns =
    static_cast<std::size_t>(StatsColumn::kH1SplicedBytesOut) + 1;
// The first column that one of HAProxy's modules adds; the CSV form has a "-" before it.
inline constexpr StatsColumn kStatsFirstModuleColumn = StatsColumn::kSslSess;

enum class StatsType : std::uint8_t { kU32, kS32, kU64, kText };

struct StatsColumnInfo {
  std::string_view name;
  std::string_view tag;  // origin, nature, scope: a letter each (section 9.2)
  StatsType type;
  std::string_view description;
};

// What a row is of; the numbers are those of the "type" column.
enum class StatsObject : std::uint8_t { kFrontend = 0, kBackend = 1, kServer = 2 };

const StatsColumnInfo& stats_column(std::size_t index);  // index < kStatsColumns
// A few columns mean another thing in another kind of row.
std::string_view stats_tag(std::size_t index, StatsObject object);

struct StatsValue {
  bool present = false;
  std::int64_t number = 0;
  std::string text;  // of kText columns
};

struct StatsRow {
  StatsObject object = StatsObject::kFrontend;
  int proxy_id = 0;
  int server_id = 0;
  std::array<StatsValue, kStatsColumns> values;

  void clear();
  void set(StatsColumn column, std::uint64_t number);
  void set(StatsColumn column, std::string_view text);
  void set_signed(StatsColumn column, std::int64_t number);
  const StatsValue& at(StatsColumn column) const {
    return values[static_cast<std::size_t>(column)];
  }
  std::string_view text(StatsColumn column) const { return at(column).text; }
  std::int64_t number(StatsColumn column) const { return at(column).number; }
};

// Which rows, and how much they tell: "show stat [<iid> <type> <sid>] [up] [no-maint]".
struct StatsFilter {
  static constexpr unsigned kFrontends = 1, kBackends = 2, kServers = 4, kListeners = 8;
  int proxy = -1;        // -1: all
  unsigned types = ~0u;  // sum of the above
  int server = -1;       // -1: all; frontends and backends are not asked
  bool only_up = false;  // no row for a server that is down or in maintenance
  bool no_maintenance = false;
  bool details = false;  // addr and algo, which a mere reader does not see
  std::string scope;     // part of a proxy's name, in any case; empty: all
};

// Walks a generation row by row, so that a big answer never has to be in memory at once. The
// generation must outlive it. Rows of one proxy are read at slightly different instants: a counter
// may be ahead of another by what happened in between.
class StatsCursor {
 public:
  // `maxconn`: the process's own, which frontends without one have.
  StatsCursor(const Generation& generation, StatsFilter filter, int maxconn, Instant now);
  // False when there is none left; `row` is reused by the caller.
  bool next(StatsRow& row);
  // Whose row next() filled last.
  const Proxy& proxy() const { return generation_.proxies[last_proxy_]; }

 private:
  enum class Step : std::uint8_t { kFrontend, kServers, kBackend };
  bool wants(const Proxy& proxy) const;
  void fill_frontend(const Proxy& proxy, StatsRow& row) const;
  void fill_server(const Proxy& proxy, const Server& server, StatsRow& row) const;
  void fill_backend(const Proxy& proxy, StatsRow& row) const;
  int full_connections(std::size_t proxy) const;
  std::int64_t seconds_since(std::int64_t instant) const;

  const Generation& generation_;
  StatsFilter filter_;
  int maxconn_;
  Instant now_;
  std::size_t proxy_ = 0;
  std::size_t last_proxy_ = 0;
  std::size_t server_ = 0;
  Step step_ = Step::kFrontend;
};

// "UP", "DOWN 1/2", "MAINT", "DRAIN", "no check": the status column of a server.
std::string server_status_text(const Server& server);
// How a check ended, as a short name ("L4OK"); health_log.h has the words.
std::string_view check_status_name(CheckStatus status);
// "roundrobin" and so on.
std::string_view algorithm_name(BalanceAlgorithm algorithm);
// Servers that take new work, by kind: what a backend has in "act" and "bck", and their weight.
struct UsableServers {
  int active = 0;
  int backup = 0;
  int weight = 0;  // of those that share the traffic now
};
UsableServers usable_servers(const Proxy& proxy);
// Seconds down in all, the current outage included.
std::int64_t server_down_seconds(const Server& server, Instant now);

}  // namespace nines::proxy

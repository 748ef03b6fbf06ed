// Where each column comes from: configuration, the state that outlives a reload, or the sum of the
// workers' counters. A column without a source here stays empty, as HAProxy leaves those that do
// not apply; one that counts what is never done here (TLS, HTTP/2, compression, cache) is 0.
#include "proxy/stats_rows.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "proxy/health_log.h"

namespace nines::proxy {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr std::int64_t kSecond = 1'000'000'000;

constexpr std::array<StatsColumnInfo, kStatsColumns> kColumns{{
    {"pxname", "KNS", StatsType::kText, "proxy"},
    {"svname", "KNS", StatsType::kText, "FRONTEND, BACKEND or the server's name"},
    {"qcur", "MGP", StatsType::kU32, "requests queued now"},
    {"qmax", "MMP", StatsType::kU32, "most requests queued at once"},
    {"scur", "MGP", StatsType::kU32, "sessions now"},
    {"smax", "MMP", StatsType::kU32, "most sessions at once"},
    {"slim", "CLP", StatsType::kU32, "limit of sessions"},
    {"stot", "MCP", StatsType::kU64, "sessions since the start"},
    {"bin", "MCP", StatsType::kU64, "bytes from clients"},
    {"bout", "MCP", StatsType::kU64, "bytes to clients"},
    {"dreq", "MCP", StatsType::kU64, "requests denied by a rule"},
    {"dresp", "MCP", StatsType::kU64, "responses denied by a rule"},
    {"ereq", "MCP", StatsType::kU64, "requests that were not valid"},
    {"econ", "MCP", StatsType::kU64, "attempts to connect that failed"},
    {"eresp", "MCP", StatsType::kU64, "responses that failed"},
    {"wretr", "MCP", StatsType::kU64, "connects that were tried again"},
    {"wredis", "MCP", StatsType::kU64, "requests sent to another server"},
    {"status", "SGP", StatsType::kText, "state"},
    {"weight", "MaP", StatsType::kU32, "weight in use"},
    {"act", "SGP", StatsType::kU32, "active: server 1 or 0, backend how many are usable"},
    {"bck", "SGP", StatsType::kU32, "backup: server 1 or 0, backend how many are usable"},
    {"chkfail", "MCP", StatsType::kU64, "checks that failed while the server was up"},
    {"chkdown", "MCP", StatsType::kU64, "changes from up to down"},
    {"lastchg", "MAP", StatsType::kU32, "seconds since the state changed"},
    {"downtime", "MCP", StatsType::kU32, "seconds spent down"},
    {"qlimit", "CLS", StatsType::kU32, "limit of the server's queue"},
    {"pid", "KGP", StatsType::kU32, "process number, always 1"},
    {"iid", "KGS", StatsType::kU32, "proxy number"},
    {"sid", "KGS", StatsType::kU32, "server number in its proxy"},
    {"throttle", "MaP", StatsType::kU32, "slow start: percent of the weight in use"},
    {"lbtot", "MCP", StatsType::kU64, "times chosen by balancing"},
    {"tracked", "CNS", StatsType::kText, "server whose state is followed"},
    {"type", "CGS", StatsType::kU32, "0 frontend, 1 backend, 2 server"},
    {"rate", "MRP", StatsType::kU32, "sessions in the last second"},
    {"rate_lim", "CLP", StatsType::kU32, "limit of sessions a second"},
    {"rate_max", "MMP", StatsType::kU32, "most sessions in a second"},
    {"check_status", "MOP", StatsType::kText, "how the last check ended"},
    {"check_code", "MOP", StatsType::kU32, "status code of the last check"},
    {"check_duration", "MDP", StatsType::kU64, "milliseconds the last check took"},
    {"hrsp_1xx", "MCP", StatsType::kU64, "responses with status 1xx"},
    {"hrsp_2xx", "MCP", StatsType::kU64, "responses with status 2xx"},
    {"hrsp_3xx", "MCP", StatsType::kU64, "responses with status 3xx"},
    {"hrsp_4xx", "MCP", StatsType::kU64, "responses with status 4xx"},
    {"hrsp_5xx", "MCP", StatsType::kU64, "responses with status 5xx"},
    {"hrsp_other", "MCP", StatsType::kU64, "responses with any other status"},
    {"hanafail", "MCP", StatsType::kU64, "failures seen in traffic"},
    {"req_rate", "MRP", StatsType::kU32, "requests in the last second"},
    {"req_rate_max", "MMP", StatsType::kU32, "most requests in a second"},
    {"req_tot", "MCP", StatsType::kU64, "requests since the start"},
    {"cli_abrt", "MCP", StatsType::kU64, "transfers given up by the client"},
    {"srv_abrt", "MCP", StatsType::kU64, "transfers given up by the server"},
    {"comp_in", "MCP", StatsType::kU64, "bytes fed to compression"},
    {"comp_out", "MCP", StatsType::kU64, "bytes out of compression"},
    {"comp_byp", "MCP", StatsType::kU64, "bytes that passed compression by"},
    {"comp_rsp", "MCP", StatsType::kU64, "responses compressed"},
    {"lastsess", "MAP", StatsType::kS32, "seconds since the last session, -1 for never"},
    {"last_chk", "MOP", StatsType::kText, "what the last check said"},
    {"last_agt", "MOP", StatsType::kText, "what the last agent check said"},
    {"qtime", "MaP", StatsType::kU32, "average milliseconds in the queue"},
    {"ctime", "MaP", StatsType::kU32, "average milliseconds to connect"},
    {"rtime", "MaP", StatsType::kU32, "average milliseconds to the response"},
    {"ttime", "MaP", StatsType::kU32, "average milliseconds of a session"},
    {"agent_status", "MOP", StatsType::kText, "how the last agent check ended"},
    {"agent_code", "MOP", StatsType::kU32, "code of the last agent check"},
    {"agent_duration", "MDP", StatsType::kU64, "milliseconds the last agent check took"},
    {"check_desc", "MOP", StatsType::kText, "check_status in words"},
    {"agent_desc", "MOP", StatsType::kText, "agent_status in words"},
    {"check_rise", "CGS", StatsType::kU32, "good checks needed to come up"},
    {"check_fall", "CGS", StatsType::kU32, "failed checks needed to go down"},
    {"check_health", "CGS", StatsType::kU32, "position between down and up, 0 to rise + fall - 1"},
    {"agent_rise", "CGS", StatsType::kU32, "good agent checks needed to come up"},
    {"agent_fall", "CGS", StatsType::kU32, "failed agent checks needed to go down"},
    {"agent_health", "CGS", StatsType::kU32, "position of the agent check between down and up"},
    {"addr", "CGS", StatsType::kText, "address and port"},
    {"cookie", "CNS", StatsType::kText, "cookie value"},
    {"mode", "CGS", StatsType::kText, "tcp or http"},
    {"algo", "CGS", StatsType::kText, "balancing algorithm"},
    {"conn_rate", "MRP", StatsType::kU32, "connections in the last second"},
    {"conn_rate_max", "MMP", StatsType::kU32, "most connections in a second"},
    {"conn_tot", "MCP", StatsType::kU64, "connections since the start"},
    {"intercepted", "MCP", StatsType::kU64, "requests answered here, such as this page"},
    {"dcon", "MCP", StatsType::kU64, "connections denied by a rule"},
    {"dses", "MCP", StatsType::kU64, "sessions denied by a rule"},
    {"wrew", "MCP", StatsType::kU64, "header rewrites that failed"},
    {"connect", "MCP", StatsType::kU64, "new connections to servers"},
    {"reuse", "MCP", StatsType::kU64, "requests sent on a pooled connection"},
    {"cache_lookups", "MCP", StatsType::kU64, "lookups in the cache"},
    {"cache_hits", "MCP", StatsType::kU64, "answers from the cache"},
    {"srv_icur", "MGP", StatsType::kU32, "idle connections to the server"},
    {"src_ilim", "CLP", StatsType::kU32, "limit of idle connections"},
    {"qtime_max", "MMP", StatsType::kU32, "most milliseconds in the queue"},
    {"ctime_max", "MMP", StatsType::kU32, "most milliseconds to connect"},
    {"rtime_max", "MMP", StatsType::kU32, "most milliseconds to the response"},
    {"ttime_max", "MMP", StatsType::kU32, "most milliseconds of a session"},
    {"eint", "MCP", StatsType::kU64, "errors of our own"},
    {"idle_conn_cur", "MGP", StatsType::kU32, "idle connections that not every request may use"},
    {"safe_conn_cur", "MGP", StatsType::kU32, "idle connections that any request may use"},
    {"used_conn_cur", "MGP", StatsType::kU32, "connections in use"},
    {"need_conn_est", "MGP", StatsType::kU32, "most connections in use at once"},
    {"uweight", "MaP", StatsType::kU32, "weight as set"},
    {"agg_server_status", "MGP", StatsType::kU32, "servers by state"},
    {"agg_server_check_status", "MGP", StatsType::kU32, "servers by check state"},
    {"agg_check_status", "MGP", StatsType::kU32, "servers by check result"},
    {"ssl_sess", "MCP", StatsType::kU64, "TLS sessions"},
    {"ssl_reused_sess", "MCP", StatsType::kU64, "TLS sessions resumed"},
    {"ssl_failed_handshake", "MCP", StatsType::kU64, "TLS handshakes that failed"},
    {"h2_headers_rcvd", "MCP", StatsType::kU64, "HTTP/2 HEADERS frames"},
    {"h2_data_rcvd", "MCP", StatsType::kU64, "HTTP/2 DATA frames"},
    {"h2_settings_rcvd", "MCP", StatsType::kU64, "HTTP/2 SETTINGS frames"},
    {"h2_rst_stream_rcvd", "MCP", StatsType::kU64, "HTTP/2 RST_STREAM frames"},
    {"h2_goaway_rcvd", "MCP", StatsType::kU64, "HTTP/2 GOAWAY frames"},
    {"h2_detected_conn_protocol_errors", "MCP", StatsType::kU64, "HTTP/2 connection errors"},
    {"h2_detected_strm_protocol_errors", "MCP", StatsType::kU64, "HTTP/2 stream errors"},
    {"h2_rst_stream_resp", "MCP", StatsType::kU64, "HTTP/2 RST_STREAM frames sent"},
    {"h2_goaway_resp", "MCP", StatsType::kU64, "HTTP/2 GOAWAY frames sent"},
    {"h2_open_connections", "MGP", StatsType::kU64, "HTTP/2 connections now"},
    {"h2_backend_open_streams", "MGP", StatsType::kU64, "HTTP/2 streams to servers now"},
    {"h2_total_connections", "MCP", StatsType::kU64, "HTTP/2 connections since the start"},
    {"h2_backend_total_streams", "MCP", StatsType::kU64,
     "HTTP/2 streams to servers since the start"},
    {"h1_open_connections", "MGP", StatsType::kU64, "HTTP/1 connections now"},
    {"h1_open_streams", "MGP", StatsType::kU64, "HTTP/1 requests being served"},
    {"h1_total_connections", "MCP", StatsType::kU64, "HTTP/1 connections since the start"},
    {"h1_total_streams", "MCP", StatsType::kU64, "HTTP/1 requests since the start"},
    {"h1_bytes_in", "MCP", StatsType::kU64, "HTTP/1 bytes received"},
    {"h1_bytes_out", "MCP", StatsType::kU64, "HTTP/1 bytes sent"},
    {"h1_spliced_bytes_in", "MCP", StatsType::kU64, "HTTP/1 bytes received through a kernel pipe"},
    {"h1_spliced_bytes_out", "MCP", StatsType::kU64, "HTTP/1 bytes sent through a kernel pipe"},
}};

constexpr std::array<StatsColumn, 6> kResponseColumns = {
    StatsColumn::kHrsp1xx, StatsColumn::kHrsp2xx, StatsColumn::kHrsp3xx,
    StatsColumn::kHrsp4xx, StatsColumn::kHrsp5xx, StatsColumn::kHrspOther};

template <typename Counters>
std::uint64_t total(const std::vector<Counters>& workers, Counter Counters::*member) {
  std::uint64_t sum = 0;
  for (const Counters& worker : workers) sum += (worker.*member).value();
  return sum;
}

template <typename Counters>
void set_responses(StatsRow& row, const std::vector<Counters>& workers) {
  for (std::size_t i = 0; i < kResponseColumns.size(); ++i) {
    std::uint64_t sum = 0;
    for (const Counters& worker : workers) sum += worker.responses[i].value();
    row.set(kResponseColumns[i], sum);
  }
}

// Averages over all finished sessions; HAProxy's are over the last 1024.
template <typename Counters>
void set_times(StatsRow& row, const std::vector<Counters>& workers) {
  const std::uint64_t count = total(workers, &Counters::timed);
  const auto average_ms = [&](Counter Counters::*member) {
    return count == 0 ? 0 : total(workers, member) / count / 1000;
  };
  row.set(StatsColumn::kQtime, average_ms(&Counters::queue_time));
  row.set(StatsColumn::kCtime, average_ms(&Counters::connect_time));
  row.set(StatsColumn::kRtime, average_ms(&Counters::response_time));
  row.set(StatsColumn::kTtime, average_ms(&Counters::total_time));
}

void set_gauge(StatsRow& row, StatsColumn now, StatsColumn max, const Gauge& gauge) {
  row.set(now, static_cast<std::uint64_t>(std::max<std::int64_t>(0, gauge.value())));
  row.set(max, static_cast<std::uint64_t>(std::max<std::int64_t>(0, gauge.max())));
}

void set_rate(StatsRow& row, StatsColumn now_column, StatsColumn max, const Rate& rate,
              Instant now) {
  row.set(now_column, std::uint64_t{rate.per_second(now)});
  row.set(max, std::uint64_t{rate.max()});
}

void set_zero(StatsRow& row, StatsColumn first, StatsColumn last) {
  for (auto i = static_cast<std::size_t>(first); i <= static_cast<std::size_t>(last); ++i) {
    row.set(static_cast<StatsColumn>(i), std::uint64_t{0});
  }
}

std::string_view mode_name(Mode mode) { return mode == Mode::kHttp ? "http" : "tcp"; }

bool checks_on(const Server& server) {
  return server.config->check && !server.state->checks_paused.load(kRelaxed);
}

// What the last check said, as far as it was kept: the kernel's word for a failed connection, a
// status code for an answer.
std::string last_check_text(const ServerState& state) {
  if (const int error_number = state.check_errno.load(kRelaxed); error_number != 0) {
    return std::strerror(error_number);
  }
  if (state.check_status.load(kRelaxed) == CheckStatus::kLayer7Status) {
    return "status " + std::to_string(state.check_code.load(kRelaxed));
  }
  return {};
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool contains_in_any_case(std::string_view text, std::string_view part) {
  return std::search(text.begin(), text.end(), part.begin(), part.end(),
                     [](char a, char b) { return lower(a) == lower(b); }) != text.end();
}

}  // namespace

const StatsColumnInfo& stats_column(std::size_t index) {
  CHECK(index < kStatsColumns);
  return kColumns[index];
}

std::string_view stats_tag(std::size_t index, StatsObject object) {
  if (object == StatsObject::kBackend) {
    switch (static_cast<StatsColumn>(index)) {
      case StatsColumn::kAct:
      case StatsColumn::kBck:
      case StatsColumn::kRate:
      case StatsColumn::kRateMax:
        return "MGP";
      default:
        break;
    }
  }
  return stats_column(index).tag;
}

void StatsRow::clear() {
  for (StatsValue& value : values) value.present = false, value.number = 0, value.text.clear();
}

void StatsRow::set(StatsColumn column, std::uint64_t number) {
  set_signed(column, static_cast<std::int64_t>(number));
}

void StatsRow::set_signed(StatsColumn column, std::int64_t number) {
  StatsValue& value = values[static_cast<std::size_t>(column)];
  value.present = true;
  value.number = number;
}

void StatsRow::set(StatsColumn column, std::string_view text) {
  StatsValue& value = values[static_cast<std::size_t>(column)];
  value.present = true;
  value.text = text;
}

StatsCursor::StatsCursor(const Generation& generation, StatsFilter filter, int maxconn, Instant now)
    : generation_(generation), filter_(std::move(filter)), maxconn_(maxconn), now_(now) {}

bool StatsCursor::next(StatsRow& row) {
  for (; proxy_ < generation_.proxies.size(); ++proxy_) {
    const Proxy& proxy = generation_.proxies[proxy_];
    if (!wants(proxy)) continue;
    last_proxy_ = proxy_;
    if (step_ == Step::kFrontend) {
      step_ = Step::kServers;
      server_ = 0;
      if (proxy.frontend && (filter_.types & StatsFilter::kFrontends) != 0) {
        fill_frontend(proxy, row);
        return true;
      }
    }
    if (step_ == Step::kServers && (filter_.types & StatsFilter::kServers) != 0) {
      while (server_ < proxy.servers.size()) {
        const Server& server = proxy.servers[server_++];
        const bool maintenance = server.state->maintenance.load(kRelaxed);
        if (filter_.server != -1 && filter_.server != server.id) continue;
        if (maintenance && (filter_.only_up || filter_.no_maintenance)) continue;
        if (filter_.only_up && !server.state->up.load(kRelaxed)) continue;
        fill_server(proxy, server, row);
        return true;
      }
    }
    step_ = Step::kFrontend;
    if (proxy.backend && (filter_.types & StatsFilter::kBackends) != 0) {
      fill_backend(proxy, row);
      ++proxy_;
      return true;
    }
  }
  return false;
}

bool StatsCursor::wants(const Proxy& proxy) const {
  if (filter_.proxy != -1 && filter_.proxy != proxy.id) return false;
  return filter_.scope.empty() || contains_in_any_case(proxy.config->name, filter_.scope);
}

void StatsCursor::fill_frontend(const Proxy& proxy, StatsRow& row) const {
  using C = StatsColumn;
  const ProxyState& state = *proxy.frontend;
  const auto sum = [&](Counter ProxyCounters::*member) { return total(state.counters, member); };
  row.clear();
  row.object = StatsObject::kFrontend;
  row.proxy_id = proxy.id;
  row.server_id = 0;

  row.set(C::kPxname, proxy.config->name);
  row.set(C::kSvname, "FRONTEND");
  set_gauge(row, C::kScur, C::kSmax, state.sessions);
  const int set_at_run_time = state.maxconn.load(kRelaxed);
  const int limit = set_at_run_time > 0         ? set_at_run_time
                    : proxy.config->maxconn > 0 ? proxy.config->maxconn
                                                : maxconn_;
  row.set(C::kSlim, static_cast<std::uint64_t>(limit));
  row.set(C::kStot, sum(&ProxyCounters::sessions));
  row.set(C::kBin, sum(&ProxyCounters::bytes_in));
  row.set(C::kBout, sum(&ProxyCounters::bytes_out));
  row.set(C::kDreq, sum(&ProxyCounters::denied_requests));
  row.set(C::kDresp, sum(&ProxyCounters::denied_responses));
  row.set(C::kEreq, sum(&ProxyCounters::request_errors));
  row.set(C::kStatus, state.paused.load(kRelaxed) ? "PAUSED" : "OPEN");
  row.set(C::kPid, std::uint64_t{1});
  row.set(C::kIid, static_cast<std::uint64_t>(proxy.id));
  row.set(C::kSid, std::uint64_t{0});
  row.set(C::kType, std::uint64_t{0});
  set_rate(row, C::kRate, C::kRateMax, state.session_rate, now_);
  row.set(C::kRateLim, std::uint64_t{0});
  if (proxy.config->mode == Mode::kHttp) {
    set_responses(row, state.counters);
    row.set(C::kIntercepted, sum(&ProxyCounters::intercepted));
    set_zero(row, C::kCacheLookups, C::kCacheHits);
  }
  set_rate(row, C::kReqRate, C::kReqRateMax, state.request_rate, now_);
  row.set(C::kReqTot, sum(&ProxyCounters::requests));
  set_zero(row, C::kCompIn, C::kCompRsp);
  row.set(C::kMode, mode_name(proxy.config->mode));
  set_rate(row, C::kConnRate, C::kConnRateMax, state.connection_rate, now_);
  row.set(C::kConnTot, sum(&ProxyCounters::connections));
  set_zero(row, C::kDcon, C::kWrew);
  row.set(C::kEint, std::uint64_t{0});
  set_zero(row, C::kSslSess, C::kH2BackendTotalStreams);
  if (proxy.config->mode == Mode::kHttp) {
    row.set(C::kH1OpenConnections,
            static_cast<std::uint64_t>(std::max<std::int64_t>(0, state.sessions.value())));
    row.set(C::kH1TotalConnections, sum(&ProxyCounters::connections));
    row.set(C::kH1TotalStreams, sum(&ProxyCounters::requests));
    row.set(C::kH1BytesIn, sum(&ProxyCounters::bytes_in));
    row.set(C::kH1BytesOut, sum(&ProxyCounters::bytes_out));
    set_zero(row, C::kH1SplicedBytesIn, C::kH1SplicedBytesOut);
  } else {
    set_zero(row, C::kH1OpenConnections, C::kH1SplicedBytesOut);
  }
}

void StatsCursor::fill_server(const Proxy& proxy, const Server& server, StatsRow& row) const {
  using C = StatsColumn;
  const ServerState& state = *server.state;
  const ServerConfig& config = *server.config;
  const auto sum = [&](Counter ServerCounters::*member) { return total(state.counters, member); };
  row.clear();
  row.object = StatsObject::kServer;
  row.proxy_id = proxy.id;
  row.server_id = server.id;

  row.set(C::kPxname, proxy.config->name);
  row.set(C::kSvname, config.name);
  set_gauge(row, C::kQcur, C::kQmax, state.queued);
  set_gauge(row, C::kScur, C::kSmax, state.sessions);
  if (config.maxconn > 0) row.set(C::kSlim, static_cast<std::uint64_t>(config.maxconn));
  row.set(C::kStot, sum(&ServerCounters::sessions));
  row.set(C::kBin, sum(&ServerCounters::bytes_in));
  row.set(C::kBout, sum(&ServerCounters::bytes_out));
  row.set(C::kDresp, std::uint64_t{0});
  row.set(C::kEcon, sum(&ServerCounters::connect_errors));
  row.set(C::kEresp, sum(&ServerCounters::response_errors));
  row.set(C::kWretr, sum(&ServerCounters::retries));
  row.set(C::kWredis, sum(&ServerCounters::redispatches));
  row.set(C::kStatus, server_status_text(server));
  const auto weight = static_cast<std::uint64_t>(std::max(0, state.weight.load(kRelaxed)));
  row.set(C::kWeight, weight);
  row.set(C::kUweight, weight);
  row.set(C::kAct, std::uint64_t{config.backup ? 0u : 1u});
  row.set(C::kBck, std::uint64_t{config.backup ? 1u : 0u});
  row.set_signed(C::kLastchg, seconds_since(state.changed_at.load(kRelaxed)));
  if (config.maxqueue > 0) row.set(C::kQlimit, static_cast<std::uint64_t>(config.maxqueue));
  row.set(C::kPid, std::uint64_t{1});
  row.set(C::kIid, static_cast<std::uint64_t>(proxy.id));
  row.set(C::kSid, static_cast<std::uint64_t>(server.id));
  row.set(C::kLbtot, sum(&ServerCounters::selected));
  row.set(C::kType, std::uint64_t{2});
  set_rate(row, C::kRate, C::kRateMax, state.session_rate, now_);
  if (checks_on(server)) {
    row.set(C::kChkfail, state.check_failures.load(kRelaxed));
    row.set(C::kChkdown, state.downs.load(kRelaxed));
    row.set_signed(C::kDowntime, server_down_seconds(server, now_));
    // While in maintenance nothing is checked, and what was found before is no longer true.
    if (!state.maintenance.load(kRelaxed)) {
      const CheckStatus status = state.check_status.load(kRelaxed);
      row.set(C::kCheckStatus, check_status_name(status));
      if (const int code = state.check_code.load(kRelaxed); code > 0) {
        row.set(C::kCheckCode, static_cast<std::uint64_t>(code));
      }
      if (const std::int64_t took = state.check_duration_ms.load(kRelaxed); took >= 0) {
        row.set_signed(C::kCheckDuration, took);
      }
      row.set(C::kLastChk, last_check_text(state));
      row.set(C::kCheckDesc, check_status_description(status));
      row.set(C::kCheckRise, static_cast<std::uint64_t>(config.rise));
      row.set(C::kCheckFall, static_cast<std::uint64_t>(config.fall));
      row.set(C::kCheckHealth,
              static_cast<std::uint64_t>(std::max(0, state.health.load(kRelaxed))));
    }
  }
  if (proxy.config->mode == Mode::kHttp) {
    set_responses(row, state.counters);
    row.set(C::kReqTot, sum(&ServerCounters::requests));
  }
  row.set(C::kCliAbrt, sum(&ServerCounters::client_aborts));
  row.set(C::kSrvAbrt, sum(&ServerCounters::server_aborts));
  const std::int64_t last = state.last_session.load(kRelaxed);
  row.set_signed(C::kLastsess, last == 0 ? -1 : seconds_since(last));
  set_times(row, state.counters);
  if (filter_.details) row.set(C::kAddr, config.address.text());
  row.set(C::kMode, mode_name(proxy.config->mode));
  row.set(C::kWrew, std::uint64_t{0});
  row.set(C::kConnect, sum(&ServerCounters::connects));
  row.set(C::kReuse, sum(&ServerCounters::reuses));
  row.set(C::kEint, std::uint64_t{0});
  const auto idle = static_cast<std::uint64_t>(std::max<std::int64_t>(0, state.idle.value()));
  row.set(C::kSrvIcur, idle);
  row.set(C::kIdleConnCur, idle);
  row.set(C::kSafeConnCur, std::uint64_t{0});
  set_gauge(row, C::kUsedConnCur, C::kNeedConnEst, state.sessions);
  set_zero(row, C::kSslSess, C::kSslFailedHandshake);
}

void StatsCursor::fill_backend(const Proxy& proxy, StatsRow& row) const {
  using C = StatsColumn;
  const ProxyState& state = *proxy.backend;
  const auto sum = [&](Counter ProxyCounters::*member) { return total(state.counters, member); };
  row.clear();
  row.object = StatsObject::kBackend;
  row.proxy_id = proxy.id;
  row.server_id = 0;

  row.set(C::kPxname, proxy.config->name);
  row.set(C::kSvname, "BACKEND");
  set_gauge(row, C::kQcur, C::kQmax, state.queued);
  set_gauge(row, C::kScur, C::kSmax, state.sessions);
  row.set(C::kSlim, static_cast<std::uint64_t>(full_connections(proxy_)));
  row.set(C::kStot, sum(&ProxyCounters::sessions));
  row.set(C::kBin, sum(&ProxyCounters::bytes_in));
  row.set(C::kBout, sum(&ProxyCounters::bytes_out));
  row.set(C::kDreq, sum(&ProxyCounters::denied_requests));
  row.set(C::kDresp, sum(&ProxyCounters::denied_responses));
  row.set(C::kEcon, sum(&ProxyCounters::connect_errors));
  row.set(C::kEresp, sum(&ProxyCounters::response_errors));
  row.set(C::kWretr, sum(&ProxyCounters::retries));
  row.set(C::kWredis, sum(&ProxyCounters::redispatches));
  // A backend without servers (the statistics page alone) is never down.
  const bool up = proxy.servers.empty() || state.up.load(kRelaxed);
  std::string status = up ? "UP" : "DOWN";
  if (filter_.only_up || filter_.no_maintenance) {
    const auto up_servers =
        std::count_if(proxy.servers.begin(), proxy.servers.end(), [](const Server& server) {
          return server.state->up.load(kRelaxed) && !server.state->maintenance.load(kRelaxed);
        });
    status += " (" + std::to_string(up_servers) + "/" + std::to_string(proxy.servers.size()) + ")";
  }
  row.set(C::kStatus, status);
  const UsableServers usable = usable_servers(proxy);
  row.set(C::kWeight, static_cast<std::uint64_t>(usable.weight));
  row.set(C::kUweight, static_cast<std::uint64_t>(usable.weight));
  row.set(C::kAct, static_cast<std::uint64_t>(usable.active));
  row.set(C::kBck, static_cast<std::uint64_t>(usable.backup));
  row.set(C::kChkdown, state.downs.load(kRelaxed));
  row.set_signed(C::kLastchg, seconds_since(state.changed_at.load(kRelaxed)));
  if (!proxy.servers.empty()) {
    const std::int64_t before = state.down_total_ns.load(kRelaxed) / kSecond;
    row.set_signed(C::kDowntime,
                   before + (up ? 0 : seconds_since(state.changed_at.load(kRelaxed))));
  }
  row.set(C::kPid, std::uint64_t{1});
  row.set(C::kIid, static_cast<std::uint64_t>(proxy.id));
  row.set(C::kSid, std::uint64_t{0});
  row.set(C::kLbtot, sum(&ProxyCounters::selected));
  row.set(C::kType, std::uint64_t{1});
  set_rate(row, C::kRate, C::kRateMax, state.session_rate, now_);
  if (proxy.config->mode == Mode::kHttp) {
    set_responses(row, state.counters);
    row.set(C::kReqTot, sum(&ProxyCounters::requests));
    set_zero(row, C::kCacheLookups, C::kCacheHits);
  }
  row.set(C::kCliAbrt, sum(&ProxyCounters::client_aborts));
  row.set(C::kSrvAbrt, sum(&ProxyCounters::server_aborts));
  set_zero(row, C::kCompIn, C::kCompRsp);
  const std::int64_t last = state.last_session.load(kRelaxed);
  row.set_signed(C::kLastsess, last == 0 ? -1 : seconds_since(last));
  set_times(row, state.counters);
  row.set(C::kMode, mode_name(proxy.config->mode));
  if (filter_.details) row.set(C::kAlgo, algorithm_name(proxy.config->balance));
  row.set(C::kWrew, std::uint64_t{0});
  row.set(C::kConnect, sum(&ProxyCounters::connects));
  row.set(C::kReuse, sum(&ProxyCounters::reuses));
  row.set(C::kEint, std::uint64_t{0});
  set_zero(row, C::kAggServerStatus, C::kAggCheckStatus);
  set_zero(row, C::kSslSess, C::kH2BackendTotalStreams);
}

// "fullconn": as configured, or a tenth of what the frontends that may come here let in (section
// 4.2 of the configuration manual).
int StatsCursor::full_connections(std::size_t proxy) const {
  const ProxyConfig& config = *generation_.proxies[proxy].config;
  if (config.fullconn > 0) return config.fullconn;
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < generation_.proxies.size(); ++i) {
    const Proxy& from = generation_.proxies[i];
    if (!from.frontend) continue;
    const auto& rules = from.config->use_backends;
    const bool refers = i == proxy || from.default_backend == static_cast<int>(proxy) ||
                        std::any_of(rules.begin(), rules.end(),
                                    [&](const auto& rule) { return rule.backend == config.name; });
    if (refers) sum += from.config->maxconn > 0 ? from.config->maxconn : maxconn_;
  }
  return static_cast<int>(std::max<std::int64_t>(1, sum / 10));
}

std::int64_t StatsCursor::seconds_since(std::int64_t instant) const {
  return std::max<std::int64_t>(0, (now_.nanoseconds - instant) / kSecond);
}

std::string server_status_text(const Server& server) {
  const ServerState& state = *server.state;
  if (state.maintenance.load(kRelaxed)) return "MAINT";
  const int rise = server.config->rise;
  const int fall = server.config->fall;
  const int health = state.health.load(kRelaxed);
  const bool checked = checks_on(server);
  if (!state.up.load(kRelaxed)) {
    if (!checked || health <= 0 || health >= rise) return "DOWN";
    return "DOWN " + std::to_string(health) + "/" + std::to_string(rise);
  }
  if (state.draining.load(kRelaxed)) return "DRAIN";
  if (!checked) return "no check";
  if (health < rise || health >= rise + fall - 1) return "UP";
  return "UP " + std::to_string(health - rise + 1) + "/" + std::to_string(fall);
}

std::string_view check_status_name(CheckStatus status) {
  switch (status) {
    case CheckStatus::kUnknown:
      return "UNK";
    case CheckStatus::kInitialized:
      return "INI";
    case CheckStatus::kSocketError:
      return "SOCKERR";
    case CheckStatus::kLayer4Ok:
      return "L4OK";
    case CheckStatus::kLayer4Timeout:
      return "L4TOUT";
    case CheckStatus::kLayer4Connection:
      return "L4CON";
    case CheckStatus::kLayer7Ok:
      return "L7OK";
    case CheckStatus::kLayer7OkConditional:
      return "L7OKC";
    case CheckStatus::kLayer7Timeout:
      return "L7TOUT";
    case CheckStatus::kLayer7Response:
      return "L7RSP";
    case CheckStatus::kLayer7Status:
      return "L7STS";
  }
  return "UNK";
}

std::string_view algorithm_name(BalanceAlgorithm algorithm) {
  switch (algorithm) {
    case BalanceAlgorithm::kRoundRobin:
      return "roundrobin";
    case BalanceAlgorithm::kLeastConn:
      return "leastconn";
    case BalanceAlgorithm::kFirst:
      return "first";
    case BalanceAlgorithm::kSource:
      return "source";
  }
  return "unknown";
}

UsableServers usable_servers(const Proxy& proxy) {
  UsableServers usable;
  int active_weight = 0;
  int backup_weight = 0;
  for (const Server& server : proxy.servers) {
    if (!server.state->usable()) continue;
    const int weight = server.state->weight.load(kRelaxed);
    if (!server.config->backup) {
      ++usable.active;
      active_weight += weight;
    } else {
      if (usable.backup == 0 || proxy.config->all_backups) backup_weight += weight;
      ++usable.backup;
    }
  }
  usable.weight = usable.active > 0 ? active_weight : backup_weight;
  return usable;
}

std::int64_t server_down_seconds(const Server& server, Instant now) {
  const ServerState& state = *server.state;
  std::int64_t down = state.down_total_ns.load(kRelaxed);
  const bool stopped = !state.up.load(kRelaxed) || state.maintenance.load(kRelaxed);
  if (stopped) down += std::max<std::int64_t>(0, now.nanoseconds - state.changed_at.load(kRelaxed));
  return down / kSecond;
}

}  // namespace nines::proxy

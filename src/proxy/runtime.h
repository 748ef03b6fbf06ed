// What a running proxy is made of: proxies and servers with the state that outlives a reload. The
// configuration half is immutable; the state half is atomics, each with one named writer, so that
// workers, the control thread and the statistics never wait for each other.
//
// Threads: "control" is the thread of health checks, the runtime socket and reloads; "workers"
// carry sessions. Everything here may be read from any thread; who writes is said field by field.
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "proxy/proxy_config.h"

namespace nines::proxy {

// Counts one way. Written by one thread only (a plain load and store), read by any.
class Counter {
 public:
  void add(std::uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }
  void clear() { value_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// A level that several threads move, with the highest it has been.
class Gauge {
 public:
  std::int64_t add(std::int64_t by) {
    const auto now = value_.fetch_add(by, std::memory_order_relaxed) + by;
    if (now > max_.load(std::memory_order_relaxed)) max_.store(now, std::memory_order_relaxed);
    return now;
  }
  std::int64_t value() const { return value_.load(std::memory_order_relaxed); }
  std::int64_t max() const { return max_.load(std::memory_order_relaxed); }
  void clear_max() { max_.store(value(), std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
  std::atomic<std::int64_t> max_{0};
};

// Events in the current and the previous second, as HAProxy's "rate" columns have them. Several
// threads count; a reader sees the last full second weighed with the current one.
class Rate {
 public:
  void count(Instant now);
  std::uint32_t per_second(Instant now) const;
  std::uint32_t max() const { return max_.load(std::memory_order_relaxed); }
  void clear_max() { max_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> second_{0};
  std::atomic<std::uint32_t> current_{0};
  std::atomic<std::uint32_t> previous_{0};
  std::atomic<std::uint32_t> max_{0};
};

// 1xx to 5xx at 0 to 4; anything else at 5.
using StatusCounters = std::array<Counter, 6>;
constexpr std::size_t status_class(int status) {
  return status >= 100 && status < 600 ? static_cast<std::size_t>(status / 100 - 1) : 5;
}

// One worker's counts for one server. Names in comments are the statistics' columns.
struct alignas(64) ServerCounters {
  Counter sessions;          // stot
  Counter selected;          // lbtot
  Counter bytes_in;          // bin: from clients
  Counter bytes_out;         // bout: to clients
  Counter connect_errors;    // econ
  Counter response_errors;   // eresp
  Counter retries;           // wretr
  Counter redispatches;      // wredis
  Counter client_aborts;     // cli_abrt
  Counter server_aborts;     // srv_abrt
  Counter connects;          // connect: new connections
  Counter reuses;            // reuse: requests on pooled connections
  Counter replays;           // requests sent again to another server after this one failed them
  StatusCounters responses;  // hrsp_*
  Counter requests;          // req_tot
  // Sums in microseconds over the finished sessions, for qtime, ctime, rtime, ttime.
  Counter queue_time, connect_time, response_time, total_time, timed;

  void clear();  // on the worker's own thread
};

// One worker's counts for one side of a proxy.
struct alignas(64) ProxyCounters {
  Counter connections;  // conn_tot (frontend)
  Counter sessions;     // stot
  Counter bytes_in, bytes_out;
  Counter denied_requests, denied_responses;  // dreq, dresp
  Counter request_errors;                     // ereq (frontend)
  Counter connect_errors;                     // econ (backend)
  Counter response_errors;                    // eresp (backend)
  Counter retries, redispatches;
  Counter client_aborts, server_aborts;
  Counter selected;  // lbtot (backend)
  StatusCounters responses;
  Counter requests;     // req_tot
  Counter intercepted;  // intercepted: answered by us (statistics page)
  Counter connects, reuses, replays;
  Counter queue_time, connect_time, response_time, total_time, timed;

  void clear();  // on the worker's own thread
};

// What a check found, as the statistics name it (section 9.1, check_status).
enum class CheckStatus : std::uint8_t {
  kUnknown,              // UNK
  kInitialized,          // INI
  kSocketError,          // SOCKERR
  kLayer4Ok,             // L4OK
  kLayer4Timeout,        // L4TOUT
  kLayer4Connection,     // L4CON
  kLayer7Ok,             // L7OK
  kLayer7OkConditional,  // L7OKC
  kLayer7Timeout,        // L7TOUT
  kLayer7Response,       // L7RSP
  kLayer7Status,         // L7STS
};

class ServerState {
 public:
  explicit ServerState(int workers) : counters(static_cast<std::size_t>(workers)) {}

  // Written by control.
  std::atomic<bool> up{true};                    // what the checks say; true without checks
  std::atomic<bool> maintenance{false};          // "disable server", "set server ... state maint"
  std::atomic<bool> draining{false};             // "set server ... state drain"
  std::atomic<bool> checks_paused{false};        // "disable health"
  std::atomic<int> weight{1};                    // as configured or set at run time, 0 to 256
  std::atomic<int> initial_weight{1};            // as configured
  std::atomic<bool> configured_disabled{false};  // "disabled" on the server's line
  std::atomic<int> health{0};                    // 0 .. rise + fall - 1; at or above rise: up
  std::atomic<CheckStatus> check_status{CheckStatus::kUnknown};
  std::atomic<int> check_code{0};  // HTTP status or MySQL error number; 0: none
  std::atomic<int> check_errno{0};
  std::atomic<std::int64_t> check_duration_ms{-1};
  std::atomic<std::int64_t> changed_at{0};  // Instant of the last change of up, maintenance, drain
  std::atomic<std::uint64_t> check_failures{0};  // chkfail
  std::atomic<std::uint64_t> downs{0};           // chkdown
  std::atomic<std::int64_t> down_total_ns{0};    // downtime before the current one

  // Set by a worker on a refused, reset or overdue connect; cleared by control once a check has
  // said what is the case. A suspect gets no new work while another server can take it.
  std::atomic<bool> suspect{false};
  // Written by control (silence.h): it is being found out, or was, that nobody answers there.
  std::atomic<bool> doubted{false};
  std::atomic<bool> silent{false};
  // Written by control (host_shares.h): its host is not heard, or dead as well; how much of its
  // weight it gets, 1 to 100.
  std::atomic<bool> host_away{false};
  std::atomic<bool> host_dead{false};
  std::atomic<int> share_percent{100};

  // Moved by workers.
  Gauge sessions;  // scur: connections in use and requests being served
  Gauge queued;    // qcur
  Gauge idle;      // idle_conn_cur
  Rate session_rate;
  std::atomic<std::int64_t> last_session{0};  // Instant, lastsess

  // May new sessions be sent here? Backup or not is the backend's business.
  bool usable() const {
    return up.load(std::memory_order_relaxed) && !maintenance.load(std::memory_order_relaxed) &&
           !draining.load(std::memory_order_relaxed) && weight.load(std::memory_order_relaxed) > 0;
  }

  // Checks found it down, and not by a word of its kernel's: unanswered, or nobody on the network
  // knows it.
  bool looks_dead() const {
    const CheckStatus found = check_status.load(std::memory_order_relaxed);
    return !up.load(std::memory_order_relaxed) &&
           (found == CheckStatus::kLayer4Timeout ||
            (found == CheckStatus::kLayer4Connection &&
             check_errno.load(std::memory_order_relaxed) != ECONNREFUSED));
  }
  // Nothing comes back from it: a probe of ours says so, its host is dead, or checks were not even
  // refused. What waits on it waits in vain.
  bool unresponsive() const {
    return silent.load(std::memory_order_relaxed) || host_dead.load(std::memory_order_relaxed) ||
           looks_dead() ||
           (!up.load(std::memory_order_relaxed) &&
            check_status.load(std::memory_order_relaxed) == CheckStatus::kLayer7Timeout);
  }
  // Usable, and yet passed over while another server can take the work.
  bool avoided() const {
    return suspect.load(std::memory_order_relaxed) || doubted.load(std::memory_order_relaxed) ||
           host_away.load(std::memory_order_relaxed);
  }

  std::vector<ServerCounters> counters;  // by worker
};

// One side of a proxy: a listen has two.
class ProxyState {
 public:
  explicit ProxyState(int workers) : counters(static_cast<std::size_t>(workers)) {}

  std::atomic<bool> paused{false};  // "disable frontend"; written by control
  // "set maxconn frontend"; 0: as configured; written by control
  std::atomic<int> maxconn{0};
  std::atomic<std::int64_t> changed_at{
      0};  // backend: Instant of the last change between UP and DOWN
  std::atomic<std::uint64_t> downs{0};
  std::atomic<std::int64_t> down_total_ns{0};
  std::atomic<bool> up{true};  // backend: any usable server; written by control
  // Grows whenever the set of usable servers or a weight changed: workers rebuild their schedules.
  // Added to with release order after the change, read with acquire order before it is used.
  std::atomic<std::uint32_t> generation{0};

  Gauge sessions;  // scur
  Gauge queued;    // qcur
  Rate session_rate, connection_rate, request_rate;
  std::atomic<std::int64_t> last_session{0};
  std::vector<ProxyCounters> counters;  // by worker

  // Moved by workers: the next place in the backend's rotation, one for all of them, so that shares
  // are exact across workers too.
  alignas(64) std::atomic<std::uint64_t> turn{0};
};

struct Server {
  const ServerConfig* config = nullptr;  // of this generation
  int id = 0;                            // sid: from 1, by order in the proxy
  // Shared with the generations before and after, which keep a server's health over a reload.
  std::shared_ptr<ServerState> state;
};

struct Proxy {
  const ProxyConfig* config = nullptr;
  int id = 0;  // iid: from 2, by order in the text (1 is HAProxy's internal one)
  std::shared_ptr<ProxyState> frontend;  // null when it is no frontend; shared as above
  std::shared_ptr<ProxyState> backend;   // null when it is no backend; shared as above
  std::vector<Server> servers;
  int default_backend = -1;  // index into Generation::proxies; -1: none
};

// One configuration as it runs. Immutable once published; a session holds on to the one that it
// began under.
struct Generation {
  Config config;
  std::vector<Proxy> proxies;  // parallel to config.proxies
  int workers = 0;
  std::uint64_t number = 0;

  // Builds the running form. States of servers with the same proxy, name and address, and of
  // proxies with the same name, are taken over from `before`, which may be null. Nothing that is
  // shared is changed yet: a generation that is thrown away leaves no trace. `workers` may not
  // exceed that of `before`, whose states have a row of counters for each.
  static std::shared_ptr<const Generation> create(Config config, int workers, Instant now,
                                                  const Generation* before);
  // Called once, on control, when this generation is published: brings the states taken over in
  // line with what the text says now (a weight or "disabled" that changed, checks that are gone).
  void settle(Instant now) const;
  // The first with that name; a frontend and a backend may share one.
  const Proxy* find_proxy(std::string_view name) const;
  const Server* find_server(std::string_view proxy, std::string_view server) const;
};

// Control only: sets what is not empty, and keeps the server's down counters and `changed_at`.
// The backend is to be refreshed by the caller.
struct ServerChange {
  std::optional<bool> up = {}, maintenance = {}, draining = {};
};
void apply_change(ServerState& state, const ServerChange& change, Instant now);

// Control only: computes a backend's `up` from its servers, keeps its down counters, and tells the
// workers that the set of servers or a weight changed. A backend without servers counts as up.
enum class BackendChange : std::uint8_t { kNone, kWentDown, kCameUp };
BackendChange refresh_backend(const Proxy& proxy, Instant now);

}  // namespace nines::proxy

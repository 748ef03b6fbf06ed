// What the runtime socket and the health checks may do to a running proxy. Implemented by the
// process that owns the workers; called on the control thread only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "proxy/runtime.h"

namespace nines::proxy {

// A session as "show sess" lists it.
struct SessionInfo {
  std::uint64_t id = 0;
  std::string protocol;  // "tcpv4", "tcpv6", "unix_stream"
  std::string source, frontend, backend, server;
  std::string state;  // for people: "waiting for a request", "sent, waiting for the answer", ...
  Duration age{};
  Duration idle{};
  int worker = 0;
  std::uint64_t requests = 0, bytes_in = 0, bytes_out = 0;
};

// The last invalid request or response of a proxy, for "show errors".
struct CapturedError {
  std::string proxy;        // frontend of a request, backend of a response
  std::string other_proxy;  // the other side, or empty
  std::string server;
  std::string source;
  bool response = false;
  WallTime at;
  std::uint64_t event = 0;
  std::uint32_t position = 0;  // offset of the offending byte in `bytes`
  std::string reason;
  std::string bytes;  // at most kCapturedBytesMax
  static constexpr std::size_t kCapturedBytesMax = 16384;
};

struct ProcessInfo {
  int pid = 0;
  int workers = 0;
  Instant started;
  int maxconn = 0;
  int max_sockets = 0;
  std::int64_t current_connections = 0;
  std::uint64_t connections = 0, requests = 0;
  std::uint32_t connection_rate = 0, connection_rate_max = 0;
  std::uint32_t session_rate = 0, session_rate_max = 0;
  std::uint64_t bytes_out = 0;
  int idle_percent = 100;
  std::uint64_t memory_bytes = 0;
  std::uint64_t reloads = 0, failed_reloads = 0;
  std::uint64_t dropped_logs = 0;
  std::string node, description, version;
  // What "show info" and "show version" call us: a drop-in for a tool that insists may say
  // otherwise.
  std::string name = "Nines";
  std::string release_date;  // "2026/01/31"; empty: left out
  int listeners = 0;
  bool stopping = false;
  std::size_t tasks = 0;
};

enum class AdminState : std::uint8_t { kReady, kDrain, kMaintenance };

class Control {
 public:
  virtual ~Control() = default;
  virtual Instant now() const = 0;
  virtual WallTime wall_time() const = 0;
  virtual std::shared_ptr<const Generation> generation() const = 0;
  virtual ProcessInfo process_info() const = 0;

  // Errors: kNotFound for an unknown proxy or server, with HAProxy's words.
  virtual Result<void> set_server_state(const std::string& proxy, const std::string& server,
                                        AdminState state) = 0;
  virtual Result<void> set_server_weight(const std::string& proxy, const std::string& server,
                                         int weight) = 0;  // 0 to 256
  virtual Result<void> set_server_checks(const std::string& proxy, const std::string& server,
                                         bool enabled) = 0;
  // "set server ... health up|stopping|down"
  virtual Result<void> set_server_health(const std::string& proxy, const std::string& server,
                                         bool up) = 0;
  virtual Result<void> set_frontend_enabled(const std::string& proxy, bool enabled) = 0;
  virtual Result<void> set_frontend_maxconn(const std::string& proxy, int maxconn) = 0;
  virtual Result<void> shutdown_server_sessions(const std::string& proxy,
                                                const std::string& server) = 0;
  virtual Result<void> shutdown_session(std::uint64_t id) = 0;
  virtual void clear_counters(bool all) = 0;
  // The answer comes later, on the control thread: workers are asked one by one.
  virtual void list_sessions(std::function<void(std::vector<SessionInfo>)> done) = 0;
  virtual const std::vector<CapturedError>& captured_errors() const = 0;  // newest a proxy and side
};

}  // namespace nines::proxy

// haproxy.cfg as plain structs: what the text means once defaults are inherited and every value is
// parsed and checked. No IO, no behaviour. Section numbers are those of the HAProxy 2.6
// configuration manual.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"
#include "proxy/check_credentials.h"

namespace nines::proxy {

// Where a thing was said, for messages that come later ("bind" failing at start, a reload).
struct Place {
  std::string file;
  int line = 0;
};

enum class Mode : std::uint8_t { kTcp, kHttp };

// "balance", section 4.2.
enum class BalanceAlgorithm : std::uint8_t { kRoundRobin, kLeastConn, kFirst, kSource };

// RFC 5424 severities, as "log ... <level>" names them.
enum class LogLevel : std::uint8_t {
  kEmerg,
  kAlert,
  kCrit,
  kErr,
  kWarning,
  kNotice,
  kInfo,
  kDebug
};

// "log <target> [len N] <facility> [max level [min level]]", sections 3.1 and 4.2.
struct LogTarget {
  SocketAddress address;                  // UDP, or a Unix datagram socket's path
  std::uint8_t facility = 0;              // RFC 3164 number, 0 to 23
  LogLevel max_level = LogLevel::kDebug;  // less severe lines are not sent
  LogLevel min_level = LogLevel::kEmerg;  // more severe lines are lowered to this level
  std::uint32_t line_length_max = 1024;
  friend bool operator==(const LogTarget&, const LogTarget&) = default;
};

// Empty: infinite, as HAProxy has it when a timeout is not set.
struct Timeouts {
  std::optional<Duration> check, client, client_fin, connect, http_keep_alive, http_request, queue,
      server, server_fin, tunnel;
};

// An access condition: the OR of ANDs of terms, sections 7.2 and 7.3.
struct AclTerm {
  enum class Fetch : std::uint8_t { kAlwaysTrue, kAlwaysFalse, kSslFc };
  Fetch fetch = Fetch::kAlwaysTrue;
  bool negated = false;
};
struct Condition {
  bool unless = false;
  std::vector<std::vector<AclTerm>> any_of;  // empty: always holds ("if" was absent)
};

// A log-format string as "http-request set-header" takes it, section 8.2.4.
struct FormatPiece {
  enum class Kind : std::uint8_t {
    kLiteral,
    kClientIp,
    kClientPort,
    kFrontendIp,
    kFrontendPort,
    kFrontendName,
    kBackendName,
    kServerName,
    kSslFc
  };
  Kind kind = Kind::kLiteral;
  std::string literal;
};

// "http-request <action>", section 4.2.
struct HttpRequestRule {
  enum class Action : std::uint8_t { kSetHeader, kAddHeader, kDelHeader };
  Action action = Action::kSetHeader;
  std::string header;
  std::vector<FormatPiece> value;  // empty for kDelHeader
  Condition condition;
  Place place;
};

// "bind <address>:<port>", section 5.1.
struct BindConfig {
  SocketAddress address;                    // of kNone family when inherited_descriptor is given
  std::optional<int> inherited_descriptor;  // "fd@N"
  std::string name;
  std::optional<int> backlog;
  std::optional<int> maxconn;
  bool defer_accept = false;
  bool transparent = false;  // every bind is IP_FREEBIND; this adds IP_TRANSPARENT
  unsigned unix_mode = 0;    // "mode", for Unix sockets; 0: as the umask says
  std::string text;          // as written, for messages
  Place place;
};

enum class CheckKind : std::uint8_t { kConnect, kHttp, kMysql, kGalera, kKeystone };

// "option httpchk", "http-check expect", "option mysql-check", section 4.2; "option galera-check"
// and "option keystone-check" are ours.
struct CheckConfig {
  CheckKind kind = CheckKind::kConnect;
  // kHttp
  std::string method = "OPTIONS";
  std::string uri = "/";
  std::string version = "HTTP/1.0";  // HTTP/1.1 sends a Host field
  std::string host;
  std::vector<std::pair<std::string, std::string>> headers;
  struct StatusRange {
    int first, last;
    friend bool operator==(const StatusRange&, const StatusRange&) = default;
  };
  std::vector<StatusRange> expected;  // empty: 2xx and 3xx
  bool expect_negated = false;        // "! status ..."
  // kMysql
  std::string user;  // empty: wait for the greeting only
  enum class MysqlAuth : std::uint8_t { kPost41, kPre41 } auth = MysqlAuth::kPost41;
  // kGalera, kKeystone
  std::string credentials_path;
  CheckCredentials credentials;     // of that file, once take_credentials() has been called
  bool donor_is_available = false;  // kGalera
  bool repeats_tokens = false;      // kKeystone: a request for a token may be sent twice
  friend bool operator==(const CheckConfig&, const CheckConfig&) = default;
};

// "server <name> <address>[:port] [param*]", section 5.2, with "default-server" applied.
struct ServerConfig {
  std::string name;
  SocketAddress address;
  bool check = false;
  std::optional<std::uint16_t> check_port;
  std::optional<SocketAddress> check_address;  // without a port
  Duration inter = std::chrono::seconds(2);
  std::optional<Duration> fastinter, downinter;
  int rise = 2;
  int fall = 3;
  int weight = 1;   // 0 to 256
  int maxconn = 0;  // 0: no limit
  int maxqueue = 0;
  Duration slowstart{};
  bool backup = false;
  bool disabled = false;
  bool mark_down_kills_sessions = false;       // "on-marked-down shutdown-sessions"
  bool mark_up_kills_backup_sessions = false;  // "on-marked-up shutdown-backup-sessions"
  Place place;
};

enum class HttpConnectionMode : std::uint8_t { kKeepAlive, kServerClose, kClose };

// "http-reuse": which requests may go out on a pooled connection to a server, section 4.2.
enum class HttpReuse : std::uint8_t { kNever, kSafe, kAggressive, kAlways };

// "stats ..." of a proxy, section 4.2.
struct StatsPageConfig {
  bool enabled = false;
  std::string uri = "/haproxy?stats";
  std::string realm = "HAProxy Statistics";
  std::optional<Duration> refresh;
  std::vector<std::string> credentials;  // "user:password"; empty: no authentication
  bool hide_version = false;
  std::optional<std::string> show_node;
  bool show_legends = false;
};

// One of frontend, backend, listen: a listen is both sides at once, section 4.
struct ProxyConfig {
  std::string name;
  bool frontend = false;
  bool backend = false;
  bool disabled = false;
  Mode mode = Mode::kTcp;
  std::string description;
  Place place;

  // Both sides
  std::vector<LogTarget> log_targets;  // "log global" resolved
  std::string log_tag;                 // empty: the global one
  Timeouts timeouts;
  bool tcp_log = false, http_log = false;  // "option tcplog", "option httplog"
  bool dontlognull = false;
  bool dontlog_normal = false;
  bool log_health_checks = false;
  HttpConnectionMode connection_mode = HttpConnectionMode::kKeepAlive;
  std::vector<HttpRequestRule> http_request_rules;
  struct ForwardFor {
    bool enabled = false;
    bool if_none = false;
    std::string header = "X-Forwarded-For";
    std::optional<SocketAddress> except_network;  // port unused
    int except_prefix_length = 0;
  } forward_for;
  StatsPageConfig stats;
  bool client_keepalive = false;  // SO_KEEPALIVE: "option tcpka" or "clitcpka"
  bool server_keepalive = false;  // "option tcpka" or "srvtcpka"

  // Frontend side
  std::vector<BindConfig> binds;
  int maxconn = 0;              // 0: what the global section allows
  std::optional<int> backlog;   // of binds that name none
  std::string default_backend;  // empty for a listen: itself
  struct UseBackend {
    std::string backend;
    Condition condition;
    Place place;
  };
  std::vector<UseBackend> use_backends;
  std::string monitor_uri;

  // Backend side
  BalanceAlgorithm balance = BalanceAlgorithm::kRoundRobin;
  std::vector<ServerConfig> servers;
  CheckConfig check;
  int retries = 3;
  // "option redispatch [interval]": 0 off; -1 on the last retry; N every Nth; -N as counted from
  // the end
  int redispatch = 0;
  bool all_backups = false;  // "option allbackups"
  int fullconn = 0;
  HttpReuse http_reuse = HttpReuse::kSafe;
};

enum class SocketLevel : std::uint8_t { kUser, kOperator, kAdmin };

// "stats socket", section 3.1.
struct StatsSocketConfig {
  BindConfig bind;
  SocketLevel level = SocketLevel::kOperator;
  std::string user, group;  // owner of the path; empty: ours
};

struct GlobalConfig {
  std::string chroot, user, group, pidfile, node, description;
  std::optional<unsigned> user_id, group_id;  // "uid", "gid"
  bool daemon = false;
  bool master_worker = false;
  int maxconn = 0;   // 0: computed from the descriptor limit
  int nbthread = 0;  // 0: the CPUs we may run on
  std::vector<LogTarget> log_targets;
  std::string log_tag = "haproxy";
  std::string log_send_hostname;  // empty: absent, as RFC 3164 lines of HAProxy are by default
  std::vector<StatsSocketConfig> stats_sockets;
  Duration stats_timeout = std::chrono::seconds(10);
  int spread_checks = 0;              // percent, 0 to 50
  std::uint32_t buffer_size = 16384;  // "tune.bufsize"
  std::uint32_t rewrite_size = 1024;  // "tune.maxrewrite"
};

struct Config {
  GlobalConfig global;
  std::vector<ProxyConfig> proxies;  // in the order of the text

  // The first of this name; a frontend and a backend may share one (section 4).
  const ProxyConfig* find_proxy(std::string_view name) const;
  // What "default_backend" and "use_backend" mean: a backend or a listen.
  const ProxyConfig* find_backend(std::string_view name) const;
};

}  // namespace nines::proxy

// A worker: one loop's share of the listeners and all that happens to the connections accepted
// there. It owns its sessions and its connections to servers; it shares with other threads only
// what runtime.h says, and speaks to them through the Hub.
//
//   client ── Listener ── HttpSession / TcpSession ── ServerConnection (pooled) ── server
//                              │  Balancer picks, Queue waits
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/message.h"
#include "io/loop.h"
#include "proxy/balance.h"
#include "proxy/control.h"
#include "proxy/log_sender.h"
#include "proxy/runtime.h"

namespace nines::proxy {

class Session;
class HttpSession;
class TcpSession;
class ServerConnection;
class Worker;

// Process-wide counts, shared by all workers.
struct ProcessState {
  explicit ProcessState(int workers)
      : connections(static_cast<std::size_t>(workers)),
        requests(static_cast<std::size_t>(workers)),
        bytes_out(static_cast<std::size_t>(workers)),
        dropped_logs(static_cast<std::size_t>(workers) + 1) {}
  Gauge current_connections;         // client connections of all proxies
  std::vector<Counter> connections;  // by worker; so are the others
  std::vector<Counter> requests;
  std::vector<Counter> bytes_out;
  std::vector<Counter> dropped_logs;  // by worker; the last is control's
  Rate connection_rate, session_rate;
  std::atomic<int> maxconn{0};          // 0: no limit
  std::atomic<int> limited_workers{0};  // do not accept because a maxconn was reached
  std::atomic<std::uint64_t> next_session{1};
};

// What a worker asks of the process around it. Thread-safe.
class Hub {
 public:
  virtual ~Hub() = default;
  virtual ProcessState& process() = 0;
  // Traffic found a server refusing, resetting or not answering a connect: check it now.
  virtual void on_traffic_failure(const std::shared_ptr<const Generation>& generation, int proxy,
                                  int server) = 0;
  // A request has waited for kAnswerPatience on a server of an HTTP backend: find out whether it is
  // slow or gone. Called once a request at most.
  virtual void on_silence(const std::shared_ptr<const Generation>& /*generation*/, int /*proxy*/,
                          int /*server*/) {}
  virtual void on_captured_error(CapturedError error) = 0;
  // A server's or a proxy's slot came free while sessions of other workers wait for one. `worker`
  // has looked already; a negative one: nobody has.
  virtual void on_slot_freed(const ProxyState& backend, int worker) = 0;
  // A client connection ended while some worker does not accept because "maxconn" was reached.
  virtual void on_connection_freed(int /*worker*/) {}
  virtual ProcessInfo process_info() const = 0;
};

// The name of a bind line's listening socket: its address, or "fd@N". Two lines of the same name
// are the same socket, before and after a reload.
std::string listener_key(const BindConfig& bind);

// Where a worker's acceptors come from: sockets shared by all workers in production, the loop's own
// in simulation.
class ListenerSource {
 public:
  virtual ~ListenerSource() = default;
  virtual Result<io::Acceptor*> open(io::Loop& loop, const BindConfig& bind, bool client_first,
                                     io::AcceptHandler& handler) = 0;
};

// A server's connections of one worker, across generations of the configuration.
struct ServerPool {
  std::shared_ptr<ServerState> state;
  std::vector<ServerConnection*> idle;  // most recently used last
  std::size_t connections = 0;          // idle and in use
};

// A backend as one worker sees it.
struct BackendRuntime {
  explicit BackendRuntime(const Proxy& of) : proxy(&of), balancer(of) {}
  const Proxy* proxy;
  Balancer balancer;
  std::deque<Session*> queue;  // waiting for a slot, oldest first
};

// A configuration as one worker runs it; lives until its last session has ended.
struct WorkerGeneration {
  std::shared_ptr<const Generation> shared;
  std::vector<std::unique_ptr<BackendRuntime>> backends;  // by proxy; null for pure frontends
};

class Worker : private Timer {
 public:
  struct Options {
    int index = 0;
    int pid = 0;
    std::string version;
  };
  // All references outlive the worker, which goes away between two passes of its loop.
  Worker(io::Loop& loop, Hub& hub, ListenerSource& listeners, Options options);
  ~Worker() override;

  // Runs a configuration from now on. Listeners that stay keep their connections; new ones open;
  // those that are gone close; sessions finish on what they have. An error of one listener leaves
  // that one closed and is returned, the rest runs.
  std::vector<Error> adopt(std::shared_ptr<const Generation> generation);
  // Accepts nothing more; idle kept-alive connections are closed, others end after their answer.
  void begin_stopping();
  // As that, but it goes on accepting: what comes now is answered and then closed as well.
  void begin_draining();
  // Whether all sessions that were there at begin_draining() have ended.
  bool drained() const;
  // Ends those that are left.
  void end_drain();
  bool idle() const { return session_count_ == 0; }
  void kill_sessions();  // a hard stop

  std::vector<SessionInfo> list_sessions() const;
  // Ends all sessions on a server, or the one with that id; returns how many.
  int kill_server_sessions(const ServerState& server, char cause);
  int kill_session(std::uint64_t id);
  // Session::watch_peer() of all sessions on a server.
  void watch_server_sessions(const ServerState& server);
  // "disable frontend" and back; also applied to maxconn.
  void update_listeners();
  void set_frontend_maxconn(const std::string& proxy, int maxconn);
  void serve_queues(const ProxyState& backend);

  // For sessions and server connections, on the worker's own thread.
  io::Loop& loop() { return loop_; }
  Hub& hub() { return hub_; }
  ProcessState& process() { return process_; }
  int index() const { return options_.index; }
  const Options& options() const { return options_; }
  LogSender& logs() { return logs_; }
  const std::shared_ptr<WorkerGeneration>& generation() const { return generation_; }
  bool stopping() const { return stopping_; }
  // Each answer is its connection's last.
  bool closing() const { return stopping_ || draining_; }
  // Whether the configuration of now has this frontend still.
  bool continues(const Proxy& frontend) const;
  ServerPool& pool_of(const std::shared_ptr<ServerState>& state);
  http::RequestHead& request_head() { return *request_head_; }
  http::ResponseHead& response_head() { return *response_head_; }
  std::string& scratch() { return scratch_; }
  const http::Limits& limits() const { return limits_; }
  struct PageAnswer {
    int status = 0;
    std::string text;  // the whole response
  };
  // Empty when `uri` is none of the page's.
  std::optional<PageAnswer> statistics_page(const Proxy& of, const Generation& generation,
                                            std::string_view method, std::string_view uri,
                                            std::string_view authorization, bool close);
  void add_session(Session& session);
  // Takes the session out and destroys it at the end of the pass.
  void end_session(Session& session);
  void end_connection(ServerConnection& connection);
  ServerConnection& new_connection(ServerPool& pool, const SocketAddress& to, bool keepalive,
                                   bool server_first);

 private:
  class Listener;
  class Undertaker;

  void on_timer(Instant now) override;  // sweeps idle server connections
  void end_idle_sessions();
  void accept(Listener& listener, io::Stream& stream);
  void bury();
  void end_what_is_gone();
  void set_limited(bool limited);

  static constexpr Duration kSweepInterval = std::chrono::seconds(1);

  io::Loop& loop_;
  Hub& hub_;
  ProcessState& process_;
  ListenerSource& listener_source_;
  Options options_;
  LogSender logs_;
  std::shared_ptr<WorkerGeneration> generation_;
  std::vector<std::weak_ptr<WorkerGeneration>> earlier_generations_;  // sessions still run on them
  std::map<std::string, std::unique_ptr<Listener>> listeners_;        // by the bind's key
  std::unordered_map<const ServerState*, std::unique_ptr<ServerPool>> pools_;
  std::unique_ptr<http::RequestHead> request_head_;  // scratch: parsed, used, forgotten
  std::unique_ptr<http::ResponseHead> response_head_;
  std::string scratch_;
  http::Limits limits_;
  Session* sessions_ = nullptr;  // intrusive list
  std::size_t session_count_ = 0;
  bool stopping_ = false;
  bool draining_ = false;
  Instant draining_since_{};
  bool dying_ = false;    // in the destructor: it buries by itself
  bool limited_ = false;  // a maxconn was reached: look again when sessions end
  std::unique_ptr<Undertaker> undertaker_;
  std::vector<std::unique_ptr<Session>> dead_sessions_;
  std::vector<std::unique_ptr<ServerConnection>> dead_connections_;
  std::unordered_map<ServerConnection*, std::unique_ptr<ServerConnection>> connections_;
};

// What a change of a server's health means for sessions, to be done by each worker. Made on
// control, after the state has changed.
std::function<void(Worker&)> task_for_server_down(const Server& server);
std::function<void(Worker&)> task_for_server_up(const Proxy& proxy, const Server& server);

}  // namespace nines::proxy

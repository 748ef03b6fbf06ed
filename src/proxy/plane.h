// The proxy plane: the process that carries traffic. A control thread (health checks, the runtime
// socket, reloads) and N workers with a loop each. It is given its configuration and its listening
// sockets; it opens none itself, and needs no privilege.
//
//   control ── HealthDriver, RuntimeSocket, Generation ──post──> worker 0..N-1
//           <──────────────post── evidence, captured errors, freed slots
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/linux/epoll_loop.h"
#include "io/ports.h"
#include "proxy/control.h"
#include "proxy/health_driver.h"
#include "proxy/host_shares.h"
#include "proxy/log_sender.h"
#include "proxy/runtime.h"
#include "proxy/runtime_socket_driver.h"
#include "proxy/silence_driver.h"
#include "proxy/worker.h"

namespace nines::proxy {

// Listening sockets by listener_key(). They are shared by all workers and survive reloads.
using ListenerSockets = std::map<std::string, io::Descriptor>;

class Plane final : public Hub,
                    public Control,
                    private ListenerSource,
                    private HealthObserver,
                    private Timer {
 public:
  struct Options {
    int pid = 0;
    std::string version;
    std::string name = "Nines";  // what "show info" calls us
    // HealthObserver::on_verdicts; may be empty.
    std::function<void(const std::string& lines)> tell_verdicts = {};
  };

  // `control` is the calling thread's loop; it and `log` outlive the plane.
  Plane(io::EpollLoop& control, io::Log& log, Options options);
  ~Plane() override;

  // Starts the workers. Every listener of `config` is in `sockets`, else kNotFound.
  Result<void> start(Config config, ListenerSockets sockets);
  // Swaps the configuration under the running workers: `sockets` are the new ones only. On an error
  // nothing has changed.
  Result<void> reload(Config config, ListenerSockets sockets);
  // Counted, and logged where the running configuration's global section says. After start().
  void on_failed_reload(const std::string& text);
  // Accepts nothing more; `done` runs when the last session has ended.
  void stop_softly(std::function<void()> done);
  // Each answer ends its client's connection from now on; `done` runs when all sessions that are
  // there now have ended. New ones are served as before.
  void drain(std::function<void()> done);
  // Ends those that drain() waits for.
  void end_drain();
  // What the servers on a controller's addresses get from now on; kept over reloads. After start().
  void set_host_share(const node::HostShare& share);
  // What the manager plane heard from a member of the database. After start().
  void set_member_word(const node::MemberWord& word);
  // `done` runs when every worker has had its turn: none of them is stuck. Asked again before that,
  // the newer `done` counts for nothing.
  void ask(std::function<void()> done);

  // Hub: from any thread.
  ProcessState& process() override { return *process_; }
  void on_traffic_failure(const std::shared_ptr<const Generation>& generation, int proxy,
                          int server) override;
  void on_silence(const std::shared_ptr<const Generation>& generation, int proxy,
                  int server) override;
  void on_captured_error(CapturedError error) override;
  void on_slot_freed(const ProxyState& backend, int worker) override;
  void on_connection_freed(int worker) override;
  ProcessInfo process_info() const override;

  // Control: on the control thread.
  Instant now() const override { return loop_.now(); }
  WallTime wall_time() const override { return loop_.wall_time(); }
  std::shared_ptr<const Generation> generation() const override { return generation_; }
  Result<void> set_server_state(const std::string& proxy, const std::string& server,
                                AdminState state) override;
  Result<void> set_server_weight(const std::string& proxy, const std::string& server,
                                 int weight) override;
  Result<void> set_server_checks(const std::string& proxy, const std::string& server,
                                 bool enabled) override;
  Result<void> set_server_health(const std::string& proxy, const std::string& server,
                                 bool up) override;
  Result<void> set_frontend_enabled(const std::string& proxy, bool enabled) override;
  Result<void> set_frontend_maxconn(const std::string& proxy, int maxconn) override;
  Result<void> shutdown_server_sessions(const std::string& proxy,
                                        const std::string& server) override;
  Result<void> shutdown_session(std::uint64_t id) override;
  void clear_counters(bool all) override;
  void list_sessions(std::function<void(std::vector<SessionInfo>)> done) override;
  const std::vector<CapturedError>& captured_errors() const override { return captured_; }

 private:
  struct WorkerThread {
    std::unique_ptr<io::EpollLoop> loop;
    std::unique_ptr<Worker> worker;
    std::thread thread;
  };

  Result<io::Acceptor*> open(io::Loop& loop, const BindConfig& bind, bool client_first,
                             io::AcceptHandler& handler) override;
  void on_timer(Instant now) override;  // once a second: idle time, a soft stop's progress
  Result<void> check_sockets(const Config& config, const ListenerSockets& more) const;
  void take_sockets(ListenerSockets sockets);
  void open_runtime_sockets();
  void close_runtime_sockets();
  void adopt_everywhere();
  void drop_unused_sockets();
  bool sockets_closed() const;
  void to_all_workers(const std::function<void(Worker&)>& task);
  // `done` on the control thread once the last of them has done it.
  void to_all_workers(const std::function<void(Worker&)>& task, std::function<void()> done);
  void look_whether_drained();
  void share_work();
  void log_to(const ProxyConfig& proxy, LogLevel level, std::string_view text);
  Result<const Server*> find_server(const std::string& proxy, const std::string& server) const;
  void measure_idle(Instant now);

  // HealthObserver
  void on_health_log(const Proxy& proxy, LogLevel level, const std::string& text) override;
  void on_server_down(const Proxy& proxy, const Server& server) override;
  void on_server_up(const Proxy& proxy, const Server& server) override;
  void on_verdicts(const std::string& lines) override {
    if (options_.tell_verdicts) options_.tell_verdicts(lines);
  }

  static constexpr Duration kMeasureInterval = std::chrono::seconds(1);
  static constexpr Duration kStopPoll = std::chrono::milliseconds(20);

  io::EpollLoop& loop_;
  io::Log& log_;
  Options options_;
  Instant started_;
  std::unique_ptr<ProcessState> process_;
  std::shared_ptr<const Generation> generation_;
  std::uint64_t generations_ = 0;
  mutable std::mutex sockets_mutex_;  // workers open listeners while adopting
  ListenerSockets sockets_;           // guarded by sockets_mutex_
  std::vector<WorkerThread> workers_;
  std::unique_ptr<HealthDriver> health_;
  std::unique_ptr<SilenceDriver> silence_;
  std::unique_ptr<LogSender> logs_;
  struct RuntimeListener {
    io::Acceptor* acceptor = nullptr;
    SocketLevel level = SocketLevel::kOperator;
  };
  std::unique_ptr<RuntimeSocketDriver> runtime_socket_;
  std::map<std::string, RuntimeListener> runtime_listeners_;
  std::vector<CapturedError> captured_;
  class DrainLook final : public Timer {
   public:
    explicit DrainLook(Plane& plane) : plane_(plane) {}
    void on_timer(Instant) override { plane_.look_whether_drained(); }

   private:
    Plane& plane_;
  };

  class ShareStep final : public Timer {
   public:
    explicit ShareStep(Plane& plane) : plane_(plane) {}
    void on_timer(Instant) override { plane_.share_work(); }

   private:
    Plane& plane_;
  };

  HostShares host_shares_;
  ShareStep share_step_{*this};
  std::function<void()> stopped_;
  std::function<void()> drained_;  // empty: nobody waits
  DrainLook drain_look_{*this};
  bool asked_ = false;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> reloads_{0}, failed_reloads_{0};
  std::atomic<int> idle_percent_{100};
  std::atomic<int> listeners_{0};
  std::int64_t cpu_measured_ns_ = 0;
  Instant cpu_measured_at_{};
  std::string node_;
  std::string description_;
};

}  // namespace nines::proxy

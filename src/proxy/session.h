// What HTTP and TCP sessions share: the client's side of the accounting, the choice of a server,
// the queue, and the facts for the log line.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/loop.h"
#include "proxy/retry.h"
#include "proxy/server_connection.h"
#include "proxy/session_log.h"
#include "proxy/silence.h"
#include "proxy/worker.h"

namespace nines::proxy {

// One client connection. Owned by its worker, lives on its loop. Ended by finish() of the subclass,
// which hands it to Worker::end_session.
class Session : public io::StreamHandler, public ServerConnectionUser, protected Timer {
 public:
  Session(Worker& worker, io::Stream& client, std::shared_ptr<WorkerGeneration> generation,
          int frontend);
  ~Session() override;

  std::uint64_t id() const { return id_; }
  virtual SessionInfo info() const = 0;
  // Ends it now; `cause` is the first termination character (8.5): 'D' for a server marked down,
  // 'U' for a backup whose active server came up, 'K' for an operator.
  virtual void kill(char cause) = 0;
  // Ends it if it only waits for the client's next request.
  virtual void end_if_idle() {}
  // Its server was found down by what looks like a dead host: whether the session's own connection
  // still stands there is asked until the server is up again, and the session ends when it does
  // not.
  virtual void watch_peer() {}
  // A slot may have come free for this queued session.
  virtual void on_slot() = 0;
  const ServerState* server_state() const;
  std::string protocol_name() const;  // "tcpv4", "tcpv6", "unix_stream"

 protected:
  friend class Worker;

  struct Facts {
    WallTime begun_wall;
    Instant begun;         // first byte of the request, or the accept in TCP mode
    Instant request_done;  // head complete
    Instant queued;        // began to wait for a slot
    Instant assigned;      // a server was given
    Instant connected;
    Instant answered;  // first byte of the answer's head
    std::uint64_t bytes_in = 0, bytes_out = 0;
    std::int64_t queue_before = 0;
    char cause = '-', state = '-';
  };

  enum class Choice : std::uint8_t { kAssigned, kQueued, kNone };
  // Picks a server for the backend and takes a slot on it, or queues.
  Choice choose_server();
  // The same server again, without asking the balancer.
  void keep_server();
  enum class Others : std::uint8_t { kUsable, kUnsuspected };
  bool other_server_usable(Others which = Others::kUsable) const;
  // Before the same server is tried again: short while checks are finding out about it.
  Duration retry_pause() const;
  // The pause is over, the server is still a suspect, and waiting on may yet save the session.
  bool awaits_verdict() const;
  // A connect begins now: when its session looks at it first.
  Instant begin_connect();
  // To be asked at each look: when the next one is due, or nothing when the attempt has failed. The
  // first look makes the server a suspect; one that the checks then call down is waited for no
  // longer once another can have the session.
  std::optional<Instant> look_at_connect(Instant now);
  void leave_server();  // gives the slot back and wakes who waits
  void leave_queue();
  // "timeout queue", or "timeout connect" where that is not given (section 4.2).
  std::optional<Duration> queue_limit() const;
  void count_retry();  // on the same server
  void enter_backend(int backend);
  void leave_backend();
  // Tells the checks; at most once while the server is a suspect.
  void suspect_server();
  // To be asked each kSilenceLook: whether the server's kernel has owed an acknowledgement on this
  // connection for two looks in a row. The first such look makes the server a suspect.
  bool peer_is_lost();

  const Proxy& frontend() const { return generation_->shared->proxies[frontend_index_]; }
  const Proxy& backend() const { return generation_->shared->proxies[backend_index_]; }
  const Server& server() const {
    return backend().servers[static_cast<std::size_t>(server_index_)];
  }
  BackendRuntime& backend_runtime() const { return *generation_->backends[backend_index_]; }
  bool has_backend() const { return backend_index_ != kNoBackend; }
  bool has_server() const { return server_index_ >= 0; }
  ProxyCounters& frontend_counters() const {
    return frontend().frontend->counters[static_cast<std::size_t>(worker_.index())];
  }
  ProxyCounters& backend_counters() const {
    return backend().backend->counters[static_cast<std::size_t>(worker_.index())];
  }
  ServerCounters& server_counters() const {
    return server().state->counters[static_cast<std::size_t>(worker_.index())];
  }

  std::int64_t since(Instant from, Instant to) const {
    return from == Instant{} || to == Instant{} ? -1 : milliseconds_of(to - from);
  }
  // Neither retried nor redispatched: what "option dontlog-normal" leaves out.
  bool went_smoothly() const { return failures_ == 0 && !redispatched_; }
  // When a server was given; for who gave up waiting for one, now.
  Instant end_of_queue(Instant now) const {
    return facts_.assigned == Instant{} && facts_.queued != Instant{} ? now : facts_.assigned;
  }
  SessionInfo common_info() const;  // all but the state; idle since the accept
  // Fills what both kinds of line have.
  void fill_record(SessionRecord& record) const;
  void write_log(const SessionRecord& record, bool http, LogLevel level);

  static constexpr std::size_t kNoBackend = SIZE_MAX;
  static constexpr int kAllWorkers = -1;   // for Hub::on_slot_freed: ourselves too
  static constexpr int kOverdueLooks = 2;  // one may be a single lost packet
  static constexpr int kTriedMax = 16;     // servers remembered as having failed this request

  Worker& worker_;
  io::Stream* client_;
  std::shared_ptr<WorkerGeneration> generation_;
  std::size_t frontend_index_;
  std::size_t backend_index_ = kNoBackend;
  int server_index_ = -1;
  int last_server_ = -1;  // the one that failed last
  ServerConnection* connection_ = nullptr;
  std::vector<int> tried_;
  int failures_ = 0;
  Instant failed_at_{};         // when server_index_ failed it last
  Instant connect_deadline_{};  // of the attempt under way
  bool redispatched_ = false;
  bool queued_ = false;
  bool in_backend_ = false;
  bool ended_ = false;
  bool watching_peer_ = false;  // watch_peer()
  int overdue_looks_ = 0;       // in a row, on this connection
  std::uint64_t id_;
  Instant accepted_;
  Facts facts_;

 private:
  Session* next_ = nullptr;  // the worker's list
  Session* previous_ = nullptr;
};

}  // namespace nines::proxy

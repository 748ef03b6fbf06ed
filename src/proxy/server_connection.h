// A connection to a server: used by one session at a time, or idle in its worker's pool, where its
// death is noticed as it happens.
#pragma once

#include <cstdint>

#include "io/loop.h"
#include "proxy/worker.h"

namespace nines::proxy {

// What the session that uses a connection hears.
class ServerConnectionUser {
 public:
  virtual ~ServerConnectionUser() = default;
  virtual void on_server_connected() = 0;
  virtual void on_server_data(io::LentBytes bytes) = 0;
  virtual void on_server_end() = 0;
  virtual void on_server_drained() = 0;
  virtual void on_server_failed(const Error& error) = 0;
};

class ServerConnection final : public io::StreamHandler {
 public:
  static constexpr std::size_t kIdlePerServerMax = 256;  // of one worker
  // HAProxy's pool-purge-delay; shorter than the keep-alive of servers that have one.
  static constexpr Duration kIdleLife = std::chrono::seconds(5);

  ServerConnection(Worker& worker, ServerPool& pool) : worker_(worker), pool_(pool) {}

  // `server_first`: a protocol in which the server may speak first.
  void start(const SocketAddress& to, bool keepalive, bool server_first);
  void attach(ServerConnectionUser* user) { user_ = user; }
  // Out of the pool, for a next user.
  void take() { leave_pool(); }
  // Back to the pool: nothing is outstanding on it. Closes it instead when the pool is full.
  void release();
  // Ends it; the object dies at the end of the pass.
  void close();
  void abort();

  io::Stream& stream() { return *stream_; }
  bool connected() const { return connected_; }
  bool used_before() const { return uses_ > 1; }
  void count_use() { ++uses_; }
  Instant idle_since() const { return idle_since_; }
  ServerPool& pool() { return pool_; }

  void on_connected(io::Stream&) override;
  void on_data(io::Stream&, io::LentBytes bytes) override;
  void on_end(io::Stream&) override;
  void on_drained(io::Stream&) override;
  void on_failed(io::Stream&, const Error& error) override;

 private:
  void leave_pool();

  Worker& worker_;
  ServerPool& pool_;
  ServerConnectionUser* user_ = nullptr;
  io::Stream* stream_ = nullptr;
  bool connected_ = false;
  bool pooled_ = false;
  bool closed_ = false;
  std::uint64_t uses_ = 0;
  Instant idle_since_{};
};

}  // namespace nines::proxy

// Asks a MariaDB server a few statements, by libmariadb's non-blocking API on our loop: every login
// method, several servers at once, and no call that waits.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <mysql.h>

#include "base/socket_address.h"
#include "base/time.h"
#include "base/timer_wheel.h"
#include "galera/health.h"
#include "io/linux/epoll_loop.h"

namespace nines::galera {

struct ServerLogin {
  SocketAddress server;  // IP, or a Unix path
  std::string user;
  std::string password;  // in no message and no log
};

struct ServerAnswer {
  Look::Contact contact = Look::Contact::kSilent;
  std::string said;    // why it is not kAnswered, or what the server said against a statement
  unsigned error = 0;  // the server's number for it, when it is one of a statement's
  // First two columns of all rows of all statements, in order; NULL is empty.
  std::vector<std::pair<std::string, std::string>> rows;
};

// Lives on its loop, which outlives it. The server is hostile: it gets no file of ours, no password
// in clear text, and answers of at most kAnswerMax bytes and kRowsMax rows.
class ServerClient final : private base::Timer {
 public:
  static constexpr unsigned long kAnswerMax = 1u << 20;  // bytes of a packet
  static constexpr std::size_t kRowsMax = 4096;
  using Done = std::function<void(ServerAnswer)>;

  ServerClient(io::EpollLoop& loop, ServerLogin login)
      : loop_(loop), login_(std::move(login)), host_(login_.server.ip_text()) {}
  ~ServerClient() override;

  // One conversation at a time. `done` runs once, never within this call, within `patience`, and
  // not at all when the client is destroyed before. The connection stays for the next one unless it
  // broke.
  void ask(std::vector<std::string> statements, Duration patience, Done done);
  bool is_busy() const { return static_cast<bool>(done_); }

 private:
  enum class Stage : std::uint8_t { kConnect, kQuery, kStore };

  void on_timer(Instant now) override;
  void begin();
  int start_stage();
  int continue_stage(int events);
  // After each step: `wait` is what the library waits for, 0 when the stage is done.
  void advance(int wait);
  std::optional<int> stage_done();
  bool take_rows();
  void watch(int wait);
  void unwatch();
  void fail();
  void finish();
  void drop();

  io::EpollLoop& loop_;
  const ServerLogin login_;
  const std::string host_;  // the library keeps a pointer to it
  MYSQL mysql_{};
  bool is_open_ = false;  // mysql_ is initialised
  bool is_connected_ = false;
  bool is_suspended_ = false;  // in the middle of one of the library's calls
  Stage stage_ = Stage::kConnect;
  MYSQL* connected_ = nullptr;
  int query_result_ = 0;
  MYSQL_RES* rows_ = nullptr;
  io::EpollLoop::WatchId watch_ = 0;
  std::vector<std::string> statements_;
  std::size_t next_ = 0;
  ServerAnswer answer_;
  Done done_;
};

}  // namespace nines::galera

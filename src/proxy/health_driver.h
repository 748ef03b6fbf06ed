// The health checks of a running proxy: opens the connections that the CheckMachines ask for, and
// publishes what they find to workers, statistics and logs.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/rng.h"
#include "io/loop.h"
#include "node/member_word.h"
#include "proxy/check.h"
#include "proxy/control.h"
#include "proxy/health_log.h"
#include "proxy/runtime.h"

namespace nines::proxy {

// A server's change between usable by its health and not, with the instants that recovery times
// are made of.
struct HealthTransition {
  bool up = false;
  HealthCause cause = HealthCause::kCheck;
  Instant detected;  // the first sign: a session's failure or a check's result
  Instant decided;   // the server's state changed
  CheckOutcome outcome;
};

// Called on the control thread, after the shared state has changed. Must not call the driver back.
class HealthObserver {
 public:
  virtual ~HealthObserver() = default;
  // A line for the proxy's log, as HAProxy words it.
  virtual void on_health_log(const Proxy&, LogLevel, const std::string& /*text*/) {}
  // By a check or by the operator; also on entering maintenance.
  virtual void on_server_down(const Proxy&, const Server&) {}
  virtual void on_server_up(const Proxy&, const Server&) {}
  // By a check or by the operator's "set server ... health"; comes before the two above.
  virtual void on_transition(const Proxy&, const Server&, const HealthTransition&) {}
  virtual void on_backend_down(const Proxy&) {}
  virtual void on_backend_up(const Proxy&) {}
  // Who answers the galera-checks: a line for each server that has one, "manager BACKEND/SERVER" or
  // "own BACKEND/SERVER", in the text's order. Whenever that changes.
  virtual void on_verdicts(const std::string& /*lines*/) {}
};

// A galera-check is answered by what the manager plane heard from the member at that address, while
// that is young enough; else, and from time to time all the same, it asks the server itself.
// Lives on the control thread's loop. Loop and observer outlive it.
class HealthDriver {
 public:
  // So old may the question be that the manager's word answers. It asks once a second.
  static constexpr Duration kWordAgeMax = std::chrono::milliseconds(1500);
  // A word that a server is good counts for so long after it was found good over the way that
  // clients take, with a login of its own; a bad word always counts.
  static constexpr Duration kProofLasts = std::chrono::seconds(30);
  static constexpr std::size_t kWordsMax = 32;       // members
  static constexpr std::size_t kVerdictsMax = 4096;  // bytes of lines

  HealthDriver(io::Loop& loop, HealthObserver& observer, base::Rng rng);
  ~HealthDriver();
  HealthDriver(const HealthDriver&) = delete;
  HealthDriver& operator=(const HealthDriver&) = delete;

  // Checks the servers of `generation` from now on, and settles it. Servers that were there before
  // (the same ServerState) go on undisturbed, an attempt under way included unless what it checks
  // has changed; new ones start, spread over their interval; those that are gone stop.
  void adopt(std::shared_ptr<const Generation> generation);
  // Ends all checks.
  void stop();

  // A session's connect was refused, reset or overdue. Of any generation; a server that is gone is
  // nothing to it.
  void on_traffic_failure(const ServerState& server);
  void on_traffic_failure(const Generation& generation, int proxy, int server);

  // The operator's. `server` is one of the adopted generation; others are left alone.
  void set_state(const Server& server, AdminState state);
  void set_weight(const Server& server, int weight);  // 0 to 256
  void set_checks(const Server& server, bool enabled);
  void set_health(const Server& server, bool up);

  // What the manager plane heard.
  void take_word(const node::MemberWord& word);

  // What the last check said, or null for a server that is not there.
  const CheckState* find_check(const ServerState& server) const;
  std::size_t running() const;  // attempts under way

 private:
  class ServerCheck;
  friend class ServerCheck;

  ServerCheck* find(const ServerState& server);
  void start_new_checks(const std::vector<ServerCheck*>& fresh);
  void on_health_change(ServerCheck& check, HealthCause cause);
  // After a change of the server's shared state: workers are told, and the observer when the
  // backend went with it.
  void refresh(const Proxy& proxy);
  void log(const Proxy& proxy, const LogLine& line);
  const node::MemberWord* find_word(const SocketAddress& member) const;
  void tell_verdicts();

  io::Loop& loop_;
  HealthObserver& observer_;
  base::Rng rng_;
  std::shared_ptr<const Generation> generation_;
  std::vector<std::unique_ptr<ServerCheck>> checks_;           // in the text's order
  std::unordered_map<const ServerState*, std::size_t> index_;  // into checks_
  std::map<SocketAddress, node::MemberWord> words_;
  std::string verdicts_;  // as last told
};

}  // namespace nines::proxy

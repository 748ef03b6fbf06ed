// The clients of a drill: a whole new session to each service at a steady pace, each one recorded
// with when it began, when it ended and how; and a few database sessions that last. To real
// services also tokens, each issued and then validated, and database sessions that write.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_address.h"
#include "http/message.h"
#include "io/loop.h"
#include "lab/drill_report.h"
#include "lab/lab_plan.h"

namespace nines::lab {

struct LoadTarget {
  const StandInPlan* service = nullptr;
  SocketAddress address;
  LoadKind kind = LoadKind::kRequests;

  // "keystone_internal", "tokens", "transactions".
  std::string_view name() const;
};

// Lives on the loop it is given, from the network that the loop's thread was in when it began.
class DrillLoad {
 public:
  // Beyond this many unfinished sessions a new one is a failure of its own ("client full").
  static constexpr std::size_t kSessionsMax = 4000;
  // Database sessions that stay open and ask again and again, as services' connection pools do.
  static constexpr int kLastingSessions = 3;
  // And of those that write.
  static constexpr int kWritingSessions = 3;
  // Tokens remembered for the end of a drill; further ones are not asked about.
  static constexpr std::size_t kTokensMax = 2000;
  // Of one stretch of time so many are asked about, evenly spread.
  static constexpr std::size_t kAuditedMax = 12;

  DrillLoad(io::Loop& loop, std::vector<LoadTarget> targets);
  ~DrillLoad();

  // Forgets what was recorded. Sessions begin `pace` times less often than interval_of() has it.
  void start(int pace);
  void stop();  // begins no new sessions, and ends those that last
  bool idle() const;
  void abandon();  // the unfinished are recorded as such

  // Asks, once all is idle, whether tokens issued in each of the windows are still valid; idle()
  // again when all are answered. abandon() counts those that are not as invalid.
  void audit_tokens(const std::vector<Window>& windows);
  const std::vector<TokenAudit>& audits() const { return audits_; }  // by window

  const std::vector<LoadTarget>& targets() const { return targets_; }
  // Of the target with that index, in order of their end.
  const std::vector<RequestRecord>& records(std::size_t target) const { return records_[target]; }
  // The last answers of the lasting sessions that came at or after `since`: who gave them.
  std::set<int> lasting_nodes(Instant since) const;
  // Lasting sessions that ended without our wish, since start(); each was begun anew.
  int lasting_broken() const { return lasting_broken_; }
  // By RequestRecord::node.
  const std::vector<std::string>& nodes() const { return nodes_; }

 private:
  class Generator;
  class Session;
  class HttpSession;
  class TokenSession;
  class WebSocketSession;
  class MysqlSession;
  class LastingSession;
  class WritingSession;

  struct IssuedToken {
    Instant at;
    std::string token;
  };

  void begin_session(std::size_t target);
  void end_session(std::uint64_t id, Outcome outcome, std::string_view reason,
                   std::string_view node);
  std::int8_t node_index(std::string_view name);

  io::Loop& loop_;
  std::vector<LoadTarget> targets_;
  std::vector<std::vector<RequestRecord>> records_;
  std::vector<std::string> nodes_;
  std::vector<std::unique_ptr<Generator>> generators_;
  std::map<std::uint64_t, std::unique_ptr<Session>> sessions_;
  std::vector<std::unique_ptr<LastingSession>> lasting_;
  std::vector<std::unique_ptr<WritingSession>> writing_;
  std::vector<IssuedToken> tokens_;  // in order
  std::vector<TokenAudit> audits_;
  int lasting_broken_ = 0;
  std::uint64_t last_session_ = 0;
  std::unique_ptr<http::ResponseHead> head_;  // used within one call at a time
};

}  // namespace nines::lab

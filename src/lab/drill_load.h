// The clients of a drill: a whole new session to each service at a steady pace, each one recorded
// with when it began, when it ended and how.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
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
};

// Lives on the loop it is given, from the network that the loop's thread was in when it began.
class DrillLoad {
 public:
  // Beyond this many unfinished sessions a new one is a failure of its own ("client full").
  static constexpr std::size_t kSessionsMax = 4000;

  DrillLoad(io::Loop& loop, std::vector<LoadTarget> targets);
  ~DrillLoad();

  void start();  // forgets what was recorded
  void stop();   // begins no new sessions
  bool idle() const { return sessions_.empty(); }
  void abandon();  // the unfinished are recorded as such

  const std::vector<LoadTarget>& targets() const { return targets_; }
  // Of the target with that index, in order of their end.
  const std::vector<RequestRecord>& records(std::size_t target) const { return records_[target]; }
  // By RequestRecord::node.
  const std::vector<std::string>& nodes() const { return nodes_; }

 private:
  class Generator;
  class Session;
  class HttpSession;
  class WebSocketSession;
  class MysqlSession;

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
  std::uint64_t last_session_ = 0;
  std::unique_ptr<http::ResponseHead> head_;  // used within one call at a time
};

}  // namespace nines::lab

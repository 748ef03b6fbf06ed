// What a balancer lets be seen of one server's fate, as a machine: fed with the runtime socket's
// replies and the log's lines, each with the instant it came, it tells when the balancer first
// noticed, when it decided, and from when on it acted so.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "lab/drill_plan.h"

namespace nines::lab {

// Of one server, from `show stat` (HAProxy management guide, section 9.1).
struct ServerView {
  std::string status;               // "UP", "UP 4/5", "DOWN", "DOWN 1/2", "no check", ...
  std::string check_status;         // "L4OK", "L4CON", ...
  std::uint64_t checks_failed = 0;  // chkfail
  std::uint64_t troubles = 0;       // econ + eresp + wretr + wredis
  std::uint64_t chosen = 0;         // lbtot: times that balancing chose it
  bool is_up() const { return status.starts_with("UP"); }
  bool is_down() const { return status.starts_with("DOWN"); }
};

struct BalancerView {
  std::uint64_t process = 0;                               // 0: not told
  std::map<std::string, ServerView, std::less<>> servers;  // "proxy/server"
};
// The reply to kBalancerQuestion, read by the columns' names; what is missing is left out.
BalancerView parse_balancer_view(std::string_view reply);
inline constexpr std::string_view kBalancerQuestion = "show info;show stat\n";

class BalancerWatch {
 public:
  // From here on, instants are about this change of this server.
  void begin(std::string_view proxy, std::string_view server, ServerChange change, Instant at);
  void on_view(const BalancerView& view, Instant at);
  // A line as it came over syslog.
  void on_log_line(std::string_view line, Instant at);

  // The first sign: a failed (or, for kUp, a good) check, an error, a retry.
  std::optional<Instant> detected() const;
  // It said that the server is down or up.
  std::optional<Instant> decided() const { return decided_; }
  // Down: from here on the server was chosen no more. Up: it was first chosen again.
  std::optional<Instant> acted() const;
  // The serving process has been the same in all views since begin().
  bool same_process() const { return same_process_; }

 private:
  void note_detected(Instant at) {
    if (!detected_) detected_ = at;
  }
  void note_decided(Instant at) {
    if (!decided_) decided_ = at;
  }

  std::string name_;
  ServerChange change_ = ServerChange::kNone;
  Instant begun_;
  std::optional<ServerView> last_;
  std::optional<Instant> detected_;
  std::optional<Instant> decided_;
  std::optional<Instant> chosen_last_;  // the last view in which `chosen` had grown
  std::optional<Instant> chosen_first_after_decided_;
  std::uint64_t process_ = 0;
  bool same_process_ = true;
};

}  // namespace nines::lab

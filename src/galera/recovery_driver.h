// Runs a recovery's machine: looks and acts through the members' hosts, keeps the record on this
// host's disk.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/timer_wheel.h"
#include "galera/peers.h"
#include "galera/recovery.h"
#include "galera/rolling_restart.h"
#include "io/linux/epoll_loop.h"

namespace nines::galera {

inline constexpr std::string_view kRecordFile = "galera.recovery";

// What an interrupted recovery left in `folder`; nothing: there was none.
Result<std::optional<RecoveryRecord>> read_record(const std::string& folder);

// The evidence that a host's `nines galera evidence` printed, held to be that member's.
Result<Evidence> evidence_in(const std::string& member, const Result<std::string>& printed);

struct RecoveryDriverOptions {
  RecoveryOptions recovery;
  std::optional<RestartOptions> restart;  // it, instead of a recovery; the record says only its run
  RecoveryRecord record;
  std::string folder;  // of the record
  // What is added to a command for this member's nines: the configuration, where it is not the
  // usual one.
  std::function<std::vector<std::string>(const std::string& member)> added;
  std::function<void(const std::string& line)> say;
};

// Lives on its loop. `finished` runs once.
class RecoveryDriver final : private base::Timer {
 public:
  static constexpr Duration kEvidenceWithin = std::chrono::minutes(11);
  static constexpr Duration kActWithin = std::chrono::minutes(6);
  static constexpr Duration kBootstrapWithin = std::chrono::minutes(17);  // looks once more itself

  RecoveryDriver(io::EpollLoop& loop, Peers& peers, RecoveryDriverOptions options,
                 std::function<void(bool is_good)> finished);
  void begin() { feed(recovery_event::Start{}); }

 private:
  void on_timer(Instant now) override;
  void feed(const RecoveryEvent& event);
  void perform(const RecoveryEffect& effect);
  void look(bool is_full);
  void act(const recovery_effect::Act& act);
  void keep(const RecoveryRecord& record);

  io::EpollLoop& loop_;
  Peers& peers_;
  const RecoveryDriverOptions options_;
  std::function<void(bool)> finished_;
  const std::vector<std::string>& members() const {
    return options_.restart ? options_.restart->members : options_.recovery.members;
  }

  std::variant<Recovery, RollingRestart> machine_;
  bool is_over_ = false;
};

}  // namespace nines::galera

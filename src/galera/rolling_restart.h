// A restart of the members one after another, as a machine: nobody leaves unless all are synced,
// and the next one waits until the last is synced again. So there is one donor at a time, and never
// one member fewer than one.
//
//   kLooking ──▶ kClaiming ──▶ kSettling ──▶ kLeaving ──▶ kReturning ──┐
//                                  ▲  all are synced                   │
//                                  └───────── the next ◀───────────────┘──▶ kDone    (any) ──▶
//                                  kRefused
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "galera/recovery.h"

namespace nines::galera {

enum class RestartStep : std::uint8_t {
  kLooking,
  kClaiming,
  kSettling,   // until all members are synced
  kLeaving,    // one was told to stop
  kReturning,  // and to start again
  kDone,
  kRefused,
};

struct RestartOptions {
  std::vector<std::string> members;  // names, as the configuration has them
  std::vector<std::string> order;    // of those that are restarted; each is a member
  std::string run;                   // names this restart to the members
  Duration poll = std::chrono::seconds(1);
  Duration settle_within = std::chrono::minutes(5);
  Duration return_within = std::chrono::minutes(60);  // a state transfer is in it
};

// The driver's duties are those of a recovery (recovery.h): effects in their order, and what is
// kept is on the disk before the next. What is kept is a recovery that rejoins: when this dies with
// a member down, `nines galera recover` goes on with it and starts that member.
class RollingRestart {
 public:
  static constexpr int kAttemptsMax = 2;   // to have one member leave, or start
  static constexpr int kLostLooksMax = 5;  // in a row, without a primary component
  static constexpr int kSettledLooks = 2;  // in a row, with all members synced

  explicit RollingRestart(RestartOptions options);

  void handle(const RecoveryEvent& event, Instant now, RecoveryEffects& out);
  std::optional<Instant> deadline() const { return deadline_; }
  RestartStep step() const { return step_; }

 private:
  struct Seen {
    std::optional<Evidence> evidence;
    std::string missing;
    bool is_claimed = false;
  };

  void on(const recovery_event::Start&, Instant now, RecoveryEffects& out);
  void on(const recovery_event::Told& told, Instant now, RecoveryEffects& out);
  void on(const recovery_event::Acted& acted, Instant now, RecoveryEffects& out);
  void on(const recovery_event::TimerFired&, Instant now, RecoveryEffects& out);
  void looked(Instant now, RecoveryEffects& out);
  void settle(Instant now, RecoveryEffects& out);
  void leave(Instant now, RecoveryEffects& out);
  void come_back(Instant now, RecoveryEffects& out);
  void enter(RestartStep step, Duration within, Instant now);
  void look(RecoveryEffects& out);
  void look_later(Instant now) { deadline_ = now + options_.poll; }
  void act(std::size_t member, MemberAction action, RecoveryEffects& out);
  void end(bool is_good, RecoveryEffects& out);
  void close(RecoveryEffects& out);
  void refuse(const std::string& why, RecoveryEffects& out);
  // Why not all members are synced, of one of them; empty: all are, in one history.
  std::string unsettled() const;
  std::size_t current() const;
  static void say(const std::string& line, RecoveryEffects& out);

  RestartOptions options_;
  RestartStep step_ = RestartStep::kLooking;
  std::vector<Seen> seen_;  // by index of `members`
  std::set<std::size_t> untold_;
  int acting_ = 0;
  bool is_ending_ = false;
  bool is_good_ = false;
  bool is_claim_left_ = false;
  std::size_t next_ = 0;  // of `order`
  int attempts_ = 0;
  int lost_ = 0;
  int settled_ = 0;
  Instant step_until_{};
  std::string trouble_;
  std::optional<Instant> deadline_;
};

}  // namespace nines::galera

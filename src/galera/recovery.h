// A recovery step by step, as a machine: looks, claims, looks again, acts once, and has the others
// join one at a time. Its step is kept before each act, so that a crash at any point is resumed.
//
//   kLooking ──▶ kClaiming ──▶ kConfirming ──┬─▶ kReforming ──────┬──▶ kRejoining ──▶ kDone
//       ▲            (twice the same plan)   ├─▶ kBootstrapping ──┤
//       │                                    ├─▶ kPromoting ──────┘        (any) ──▶ kRefused
//       └───────── what failed ──────────────┴─▶ kStandingDown
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "galera/recovery_plan.h"

namespace nines::galera {

enum class RecoveryStep : std::uint8_t {
  kLooking,
  kClaiming,    // each member takes steps from one recovery at a time
  kConfirming,  // the same plan again, from evidence gathered under the claims
  kReforming,   // all were started
  kStandingDown,
  kBootstrapping,
  kPromoting,
  kRejoining,
  kDone,
  kRefused,
};
std::string_view name_of(RecoveryStep step);

// What outlives a crash. What members are like is asked anew; this says what may be under way.
struct RecoveryRecord {
  std::string run;  // names this process's part of the recovery to the members
  // Those before it, which died: their claims are taken over, and what they ordered late is
  // refused.
  std::vector<std::string> earlier_runs;
  RecoveryStep step = RecoveryStep::kLooking;
  std::string begun_by;  // told to begin the cluster, and it is not known to have failed
  bool has_reform_failed = false;
  bool is_automatic = false;  // begun by nobody (auto_recovery.h)
  bool has_acted = false;  // a server was told to start, stop or begin, by an earlier run or this
  std::vector<std::string> without, trust;  // the operator's words
  friend bool operator==(const RecoveryRecord&, const RecoveryRecord&) = default;
};
inline constexpr std::size_t kEarlierRunsMax = 64;  // the oldest go
std::string render_record(const RecoveryRecord& record);
Result<RecoveryRecord> parse_record(std::string_view text);

enum class MemberAction : std::uint8_t {
  kClaim,
  kRelease,
  kStart,  // with the others; no state transfer is to be expected
  kJoin,   // start, and take the state from a primary component
  kStop,   // without a majority
  kLeave,  // stop, synced in a primary component that others stay in
  kBootstrap,
  kPromote,
};
std::string_view name_of(MemberAction action);

namespace recovery_event {
struct Start {};
// The answer of one member to Look, or why there is none. In any order.
struct Told {
  std::size_t member = 0;
  std::optional<Evidence> evidence;
  std::string missing;
};
struct Acted {
  std::size_t member = 0;
  MemberAction action = MemberAction::kClaim;
  bool is_done = false;  // else it was refused, or nobody knows what became of it
  std::string said;
};
struct TimerFired {};
}  // namespace recovery_event
using RecoveryEvent = std::variant<recovery_event::Start, recovery_event::Told,
                                   recovery_event::Acted, recovery_event::TimerFired>;

namespace recovery_effect {
struct Keep {
  RecoveryRecord record;
};
struct Forget {};  // the record: nothing is under way any more
// Ask every member. Not `is_full`: the storage engines of those that are down need not be asked.
struct Look {
  bool is_full = true;
};
struct Act {
  std::size_t member = 0;
  MemberAction action = MemberAction::kClaim;
  // Of kBootstrap: the member refuses when it is anywhere else. Of kStart and kJoin: where its
  // server begins; one that crashed does not know, and without it a component that reforms has no
  // history.
  Position expected;
};
struct Say {
  std::string line;
};
struct Finish {
  bool is_good = false;
};
}  // namespace recovery_effect
using RecoveryEffect =
    std::variant<recovery_effect::Keep, recovery_effect::Forget, recovery_effect::Look,
                 recovery_effect::Act, recovery_effect::Say, recovery_effect::Finish>;
using RecoveryEffects = std::vector<RecoveryEffect>;

struct RecoveryOptions {
  std::vector<std::string> members;  // names, as the configuration has them
  Duration poll = std::chrono::seconds(1);
  // Instead, while what was ordered less than kSoonFor ago is awaited.
  Duration poll_soon = std::chrono::milliseconds(200);
  // Of a server that somebody else started; longer where nobody asked for the recovery.
  Duration starting_within = std::chrono::minutes(1);
  Duration starting_within_unasked = std::chrono::minutes(3);
  Duration reform_within = std::chrono::seconds(60);
  Duration stop_within = std::chrono::minutes(5);
  Duration primary_within = std::chrono::minutes(5);
  Duration join_within = std::chrono::hours(2);  // a state transfer of all data
};

// The driver's duties: effects at once and in order; Keep is on the disk before the next effect;
// each Look is answered by one Told for every member and each Act by one Acted, however late. A
// member gives its claim to a run when no other has it, or one of that run's `earlier_runs`; it
// performs an action only for the run whose claim it holds; starts and bootstraps only when no
// process has its data, and answers when one has; bootstraps only at `expected`, promotes and stops
// only what is not primary. A driver that resumes gives a new `run` and adds the old one to
// `earlier_runs`. deadline() after each event. Pure; lives wherever its driver does.
class Recovery {
 public:
  static constexpr int kFleetingLooksMax = 4;
  static constexpr int kConfirmsMax = 10;  // plans that changed under the claims
  static constexpr int kRoundsMax = 5;     // primary components that were lost again
  static constexpr int kClaimsMax = 3;     // of one member
  static constexpr int kAttemptsMax = 2;   // of one member to begin, or to join
  // Without a primary component, after one was seen: a busy server answers late, and its host too.
  static constexpr int kLostLooksMax = 10;
  static constexpr int kSettledLooks = 2;  // with nothing left to do
  static constexpr Duration kSoonFor = std::chrono::seconds(60);

  Recovery(RecoveryOptions options, RecoveryRecord record);

  // Appends to `out`.
  void handle(const RecoveryEvent& event, Instant now, RecoveryEffects& out);
  std::optional<Instant> deadline() const { return deadline_; }
  RecoveryStep step() const { return record_.step; }
  const PlanQuestion& question() const { return question_; }  // as last looked

 private:
  using Effects = RecoveryEffects;
  struct Member {
    bool is_claimed = false;
    int claims = 0;  // tried; the answer to one may be lost
    int attempts = 0;
    bool is_given_up = false;
    bool was_refused = false;      // its claim, while rejoining
    std::optional<Evidence> full;  // the last full one of a server that was down
  };

  void on(const recovery_event::Start&, Instant now, Effects& out);
  void on(const recovery_event::Told& told, Instant now, Effects& out);
  void on(const recovery_event::Acted& acted, Instant now, Effects& out);
  void on(const recovery_event::TimerFired&, Instant now, Effects& out);

  void looked(Instant now, Effects& out);
  void on_plan(const Plan& plan, Instant now, Effects& out);
  void confirm(const Plan& plan, Instant now, Effects& out);
  bool is_stopped_by_will() const;
  bool claim_all(Effects& out);
  void act_on(const Plan& plan, Instant now, Effects& out);
  void await_primary(const Plan& plan, Instant now, Effects& out);
  void begin_standing_down(std::set<std::size_t> members, Instant now, Effects& out);
  void stand_down(Instant now, Effects& out);
  void rejoin(const Plan& plan, Instant now, Effects& out);
  void settle(const Plan& plan, Instant now, Effects& out);
  void acts_done(Instant now, Effects& out);

  void enter(RecoveryStep step, Duration within, Instant now, Effects& out);
  Duration starting_within() const {
    return record_.is_automatic ? options_.starting_within_unasked : options_.starting_within;
  }
  void look(bool is_full, Effects& out);
  void look_later(bool is_full, Instant now);
  void look_soon(Instant now);  // for what was ordered
  void act(std::size_t member, MemberAction action, Position expected, Effects& out);
  void say(std::string line, Effects& out);
  void refuse(std::string reason, const std::vector<std::string>& overrides, Effects& out);
  void finish(bool is_good, Effects& out);
  void close(Effects& out);
  std::size_t index_of(const std::string& name) const;
  bool is_running(std::size_t i) const;

  const RecoveryOptions options_;
  RecoveryRecord record_;
  PlanQuestion question_;
  std::vector<Member> members_;
  std::set<std::size_t> untold_;  // members that Look waits for
  bool is_look_full_ = true;
  bool will_look_full_ = true;  // at the deadline
  int acting_ = 0;              // Acts under way
  bool is_ending_ = false, is_good_ = false;
  bool is_claim_left_ = false;  // a member could not be told that it is free
  std::string trouble_;         // the last thing that a member refused
  std::optional<Plan> planned_;
  std::set<std::size_t> stopping_;  // of kStandingDown
  bool has_waited_ = false;         // servers that start were given their time
  int confirms_ = 0, rounds_ = 0, fleeting_ = 0, settled_ = 0, lost_ = 0;
  Instant step_until_{};
  Instant acted_at_{};  // when the last order was answered
  std::optional<Instant> deadline_;
};

}  // namespace nines::galera

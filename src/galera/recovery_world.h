// A seeded world for recoveries: members with disks and positions, servers that form components as
// Galera's do, hosts that cannot be reached, somebody who starts servers by hand, nines that dies
// between any two effects and is started again, and an operator whose word is true; or nobody, and
// each host's nines brings the database back by itself.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "base/rng.h"
#include "galera/auto_recovery.h"
#include "galera/recovery.h"

namespace nines::galera {

// What the machine's surroundings might get wrong. Each must be found.
enum class RecoveryPlant : std::uint8_t {
  kNone,
  kGrastateBelieved,  // positions come from what was written last in good order
  kUnseenExcused,     // a host that cannot be asked counts as fenced
  kClaimsIgnored,     // members take steps from whoever comes
  kOldEvidence,       // looks are answered from the first one
  kRecordForgotten,   // what nines wrote down is not there after its crash
  kTornUnseen,        // a cut-off state transfer is not told
  kSyncedTooEarly,    // a joining member is told as synced
  kProcessUnseen,     // a server that starts is told as down
  kEmptyExcused,      // an empty directory counts as a lost disk
  kHistoryForgotten,  // what a waiting server forgets when it ends is forgotten
};
inline constexpr std::array kRecoveryPlants = {
    RecoveryPlant::kGrastateBelieved, RecoveryPlant::kUnseenExcused,
    RecoveryPlant::kClaimsIgnored,    RecoveryPlant::kOldEvidence,
    RecoveryPlant::kRecordForgotten,  RecoveryPlant::kTornUnseen,
    RecoveryPlant::kSyncedTooEarly,   RecoveryPlant::kProcessUnseen,
    RecoveryPlant::kEmptyExcused,     RecoveryPlant::kHistoryForgotten,
};
const char* name_of(RecoveryPlant plant);

enum class Conductor : std::uint8_t {
  kOperator,   // runs nines on one host, or on two
  kAutomatic,  // nines on every member's host; nobody is there
};

struct RecoveryTally {
  std::uint64_t bootstraps = 0, promotions = 0, reforms = 0, in_vain = 0, rejoins = 0;
  std::uint64_t refusals = 0, words = 0, crashes = 0, meddlings = 0, unneeded = 0;
  std::uint64_t booted = 0;  // hosts that came up started their servers by themselves
  std::uint64_t begun = 0, resumed = 0, by_will = 0;  // of kAutomatic
};

class RecoveryWorld {
 public:
  RecoveryWorld(std::uint64_t seed, RecoveryPlant plant, bool is_tracing,
                Conductor conductor = Conductor::kOperator);
  ~RecoveryWorld();

  // One outage and the way back. Empty: nothing was violated; otherwise what was, in a sentence.
  std::string run();
  const RecoveryTally& tally() const { return tally_; }
  const std::vector<std::string>& trace() const { return trace_; }

 private:
  struct Member;
  struct Runner;
  struct Event {
    Instant at{};
    std::uint64_t order = 0;
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return at != other.at ? other.at < at : other.order < order;
    }
  };

  void outage();
  void recover();
  void start_at_boot();
  void begin_watching();
  void look_around(std::size_t which);
  OutageView view_from(std::size_t which) const;
  bool can_ask(std::size_t which, const Member& member) const;
  bool is_automatic() const { return conductor_ == Conductor::kAutomatic; }
  bool has_quiet_end();
  std::string judge_end();
  bool is_plain() const;  // nothing is in the way that only a person can answer
  void start_runner(std::size_t which);
  void feed(std::size_t which, const RecoveryEvent& event);
  void perform(std::size_t which, RecoveryEffects effects);
  void perform_look(std::size_t which);
  void perform_act(std::size_t which, const recovery_effect::Act& act);
  std::optional<std::string> do_act(Member& member, MemberAction action, const Position& expected,
                                    const std::string& run,
                                    const std::vector<std::string>& earlier);
  void check_hands(Member& member, std::size_t which);
  void crash(std::size_t which);
  void finished(std::size_t which, bool is_good);
  void answer_refusal(std::size_t which);
  Evidence evidence_of(Member& member);

  void start_server(Member& member, bool is_new_cluster);
  void server_decides(Member& member);
  void become_primary(Member& member, int component);
  void begin_component(Member& member);
  void try_reform();
  void join(Member& member);
  void stop_server(Member& member);
  void end_in_order(Member& member);
  void stop_for_recovery(Member& member);
  void check();
  void meddle();
  void commit();

  void schedule(Duration delay, std::function<void()> run);
  Duration between(Duration least, Duration most);
  Member& any();
  void violate(std::string what);
  void note(std::string what);

  base::Rng rng_;
  RecoveryPlant plant_;
  bool is_tracing_;
  Conductor conductor_;
  bool is_willed_ = false;  // all servers ended in good order
  bool was_plain_ = false;  // at the beginning
  // Somebody of the last view is another one now (an arbitrator that began anew): those who wait
  // for it wait for ever.
  bool is_reform_in_vain_ = false;
  Instant now_{1'000'000'000'000};
  std::uint64_t order_ = 0;
  std::priority_queue<Event> queue_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<std::unique_ptr<Runner>> runners_;
  int last_component_ = 0;
  int view_ = 1;
  std::int64_t acked_ = 0;  // the last seqno that a client was told of, of the true history
  int meddling_left_ = 0, crashes_left_ = 0, answers_lost_ = 0;
  bool is_meddled_ = false;  // somebody else starts and kills servers
  bool is_quiet_ = true;     // one nines alone, and its orders answered
  std::string violation_;
  RecoveryTally tally_;
  std::vector<std::string> trace_;
};

}  // namespace nines::galera

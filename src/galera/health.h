// One member's health, as a machine: what is heard of its server, look by look, to one of eight
// states with the reason in words, and what it was before.
//
//                 ┌────────────── kNonPrimary ◀─── it left the primary component, alive
//                 ▼                    ▲
//   kInitialising ──▶ kJoining ──▶ kSynced ◀──▶ kDonor, kDesynced
//        ▲               (any) ──▶ kLost   no server answers
//        └── started ─────────────────┘    kRecovering: a recovery has the member in its hands
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "galera/wsrep_status.h"

namespace nines::galera {

enum class Health : std::uint8_t {
  kInitialising,  // the server runs and belongs to no component yet
  kJoining,       // takes a state or catches up
  kDonor,         // feeds another member
  kDesynced,      // by hand: applies behind the others
  kSynced,
  kNonPrimary,  // alive without a majority: takes no statement
  kLost,        // no server, or none that answers
  kRecovering,
};
std::string_view name_of(Health health);

// One look at a member.
struct Look {
  enum class Contact : std::uint8_t {
    kAnswered,
    kRefused,  // nobody listens there
    kDenied,   // a server is there and lets us not in
    kSilent,   // no answer in time
  };
  Contact contact = Contact::kSilent;
  std::string said;                   // why it is not kAnswered
  std::optional<WsrepStatus> status;  // of kAnswered
  // Where the member is on this host: whether a process has its data. Elsewhere nothing is known.
  std::optional<bool> has_process;
  std::string recovery;  // the one that is under way; empty: none
};

struct HealthEntry {
  Health health = Health::kLost;
  std::string reason;
  Instant since{};
  friend bool operator==(const HealthEntry&, const HealthEntry&) = default;
};

// Pure; one for each member. A silent server keeps its state until kSilentLooksMax looks in a row
// brought no answer; a refused connection counts at once.
class MemberHealth {
 public:
  static constexpr int kSilentLooksMax = 2;
  static constexpr std::size_t kHistoryMax = 32;

  // True when the state changed, or was told for the first time.
  bool look(const Look& look, Instant now);

  // Empty before the first look.
  const std::optional<HealthEntry>& now() const { return now_; }
  // The last look brought no answer, and one is not enough to judge by.
  bool is_doubtful() const { return silent_looks_ > 0 && silent_looks_ < kSilentLooksMax; }
  // The last look brought an answer: status() is of that one.
  bool is_answering() const { return is_answering_; }
  // At the last look a server was there, whether it let us in or not.
  bool has_server() const { return has_server_; }
  const std::deque<HealthEntry>& history() const { return history_; }  // earlier ones, oldest first
  const std::optional<WsrepStatus>& status() const { return status_; }  // of the last answer
  std::uint64_t changes() const { return changes_; }                    // of the state, all of them

 private:
  std::optional<HealthEntry> now_;
  std::deque<HealthEntry> history_;
  std::optional<WsrepStatus> status_;
  int silent_looks_ = 0;
  bool is_answering_ = false, has_server_ = false;
  std::uint64_t changes_ = 0;
};

}  // namespace nines::galera

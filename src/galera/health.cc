// The order of the questions is the order of what matters: is there a server, has it a majority,
// has it the data.
#include "galera/health.h"

#include <string>

namespace nines::galera {

namespace {

struct Verdict {
  Health health;
  std::string reason;
};

std::string component(const WsrepStatus& status) {
  const int data = static_cast<int>(status.data_members.size());
  std::string text = "component of " + std::to_string(status.cluster_size);
  if (status.without_data > 0 && data > 0) {
    text += " (" + std::to_string(data) + " with data, " + std::to_string(status.without_data) +
            (status.without_data == 1 ? " arbitrator)" : " arbitrators)");
  }
  return text;
}

std::string queue(const WsrepStatus& status) {
  if (status.receive_queue == 0) return "";
  return ", " + std::to_string(status.receive_queue) + " write sets to apply";
}

Verdict judge_answer(const WsrepStatus& status) {
  if (!status.is_on) return {Health::kLost, "wsrep is off: it replicates with nobody"};
  if (!status.is_primary) {
    if (!status.is_connected || status.cluster_size == 0) {
      return {Health::kInitialising, "in no component yet"};
    }
    return {Health::kNonPrimary, "no majority: " + component(status) + " that is not primary"};
  }
  switch (status.local_state) {
    case LocalState::kDonor:
      if (status.is_desynced) {
        return {Health::kDesynced, "desynced by hand (wsrep_desync)" + queue(status)};
      }
      return {Health::kDonor, "feeds a joining member" + queue(status)};
    case LocalState::kJoining:
      return {Health::kJoining, "takes the state from a donor" + queue(status)};
    case LocalState::kJoined:
      return {Health::kJoining, "catches up" + queue(status)};
    case LocalState::kSynced:
      if (!status.is_ready) return {Health::kInitialising, "synced, and not ready for statements"};
      return {Health::kSynced, "primary " + component(status) +
                                   (status.is_read_only ? ", read_only" : "") + queue(status)};
    case LocalState::kUndefined:
      break;
  }
  return {Health::kInitialising, "primary, and has no state yet"};
}

Verdict judge_absence(const Look& look, const std::optional<HealthEntry>& before) {
  if (look.contact == Look::Contact::kDenied) {
    return {Health::kLost, "cannot be asked: " + look.said};
  }
  if (look.has_process == true) {
    if (look.contact == Look::Contact::kRefused) {
      // A server takes no connections while another member's state is copied over its data.
      const bool was_joining = before && before->health == Health::kJoining;
      return {was_joining ? Health::kJoining : Health::kInitialising,
              "its process runs and does not answer yet"};
    }
    return {Health::kLost, "its process runs and does not answer: " + look.said};
  }
  return {Health::kLost,
          (look.has_process == false ? "no process has its data: " : "") + look.said};
}

}  // namespace

std::string_view name_of(Health health) {
  switch (health) {
    case Health::kInitialising:
      return "initialising";
    case Health::kJoining:
      return "joining";
    case Health::kDonor:
      return "donor";
    case Health::kDesynced:
      return "desynced";
    case Health::kSynced:
      return "synced";
    case Health::kNonPrimary:
      return "non-primary";
    case Health::kLost:
      return "lost";
    case Health::kRecovering:
      return "recovering";
  }
  return "";
}

bool MemberHealth::look(const Look& look, Instant now) {
  const bool answered = look.contact == Look::Contact::kAnswered && look.status.has_value();
  silent_looks_ = look.contact == Look::Contact::kSilent ? silent_looks_ + 1 : 0;
  if (answered) status_ = look.status;
  is_answering_ = answered;
  has_server_ = answered || look.contact == Look::Contact::kDenied;
  Verdict verdict = answered ? judge_answer(*look.status) : judge_absence(look, now_);
  if (!look.recovery.empty() && verdict.health != Health::kSynced) {
    verdict = {Health::kRecovering, "the recovery " + look.recovery + " is under way; it is " +
                                        std::string(name_of(verdict.health)) + ": " +
                                        verdict.reason};
  }
  // One answer may be late where a host is busy; a server that is gone refuses.
  if (is_doubtful() && now_) return false;
  if (now_ && now_->health == verdict.health) {
    now_->reason = std::move(verdict.reason);
    return false;
  }
  if (now_) {
    ++changes_;
    history_.push_back(*now_);
    if (history_.size() > kHistoryMax) history_.pop_front();
  }
  now_ = HealthEntry{verdict.health, std::move(verdict.reason), now};
  return true;
}

}  // namespace nines::galera

// Heartbeats leave first; listeners hear of it afterwards, when the machine may be asked again. The
// loop fires timers after what its sockets brought, which is what the machine asks for.
#include "cluster/membership_driver.h"

#include <utility>

#include "base/check.h"

namespace nines::cluster {

MembershipDriver::MembershipDriver(Membership machine, io::Loop& loop, Clock clock,
                                   HeartbeatSender& sender)
    : machine_(std::move(machine)), loop_(loop), clock_(std::move(clock)), sender_(sender) {}

void MembershipDriver::handle(const MembershipEvent& event) {
  CHECK(!std::exchange(handling_, true));
  effects_.clear();
  machine_.handle(event, clock_(), effects_);
  std::vector<NodeVerdict> verdicts;
  bool changed = false;
  for (const MembershipEffect& effect : effects_) {
    if (const auto* const send = std::get_if<membership_effect::Send>(&effect)) {
      sender_.send(static_cast<std::size_t>(send->network), send->to, send->heartbeat);
    } else if (const auto* const concluded = std::get_if<membership_effect::Concluded>(&effect)) {
      verdicts.push_back(concluded->verdict);
    } else {
      changed = true;
    }
  }
  handling_ = false;
  arm();
  for (const NodeVerdict& verdict : verdicts) {
    for (const Concluded& listener : concluded_) listener(verdict);
  }
  if (!changed) return;
  for (const auto& listener : changed_) listener();
}

// Within whatever is being sent, perhaps by a listener of ours: so nothing is concluded here.
const std::vector<Heartbeat>& MembershipDriver::riding_to(NodeId to) {
  riding_.clear();
  if (handling_) return riding_;
  riding_effects_.clear();
  machine_.handle(membership_event::Departing{to}, clock_(), riding_effects_);
  for (const MembershipEffect& effect : riding_effects_) {
    riding_.push_back(std::get<membership_effect::Send>(effect).heartbeat);
  }
  arm();
  return riding_;
}

void MembershipDriver::arm() {
  if (const auto deadline = machine_.deadline()) loop_.arm(*this, *deadline);
}

}  // namespace nines::cluster

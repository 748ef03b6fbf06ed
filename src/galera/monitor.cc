// One question to each server, and an answer or its absence to each member's machine.
#include "galera/monitor.h"

#include <algorithm>

#include "base/check.h"
#include "galera/claim.h"
#include "galera/local_member.h"

namespace nines::galera {

// A member's connection, and when it is asked again.
class Monitor::Watched final : private base::Timer {
 public:
  Watched(Monitor& monitor, std::size_t index, const MonitoredMember& member)
      : client(monitor.loop_, member.login),
        data(member.data),
        state(member.state),
        monitor_(monitor),
        index_(index) {}

  void asked() {
    asked_at = monitor_.loop_.now();
    if (monitor_.is_watching_) monitor_.loop_.arm(*this, asked_at + kLateAfter);
  }
  // `is_news`: it says another thing than before.
  void told(bool is_news) {
    if (!monitor_.is_watching_) return;
    soon_left_ = is_news ? kSoonLooksMax : std::max(soon_left_ - 1, 0);
    const Instant now = monitor_.loop_.now();
    monitor_.loop_.arm(*this, std::max(now, asked_at + (soon_left_ > 0 ? kLookSoon : kLookEvery)));
  }

  ServerClient client;
  const std::string data, state;
  Instant asked_at{};

 private:
  void on_timer(Instant) override {
    if (client.is_busy()) return monitor_.hooks_.late(*monitor_.members_[index_]);
    monitor_.ask(index_);
  }

  Monitor& monitor_;
  const std::size_t index_;
  int soon_left_ = 0;
};

Monitor::Monitor(io::EpollLoop& loop, const std::vector<MonitoredMember>& members) : loop_(loop) {
  for (const MonitoredMember& each : members) {
    members_.push_back(std::make_unique<Member>(Member{each.name, {}, {}}));
    watched_.push_back(std::make_unique<Watched>(*this, watched_.size(), each));
  }
}

Monitor::~Monitor() = default;

void Monitor::look(Changed changed, std::function<void()> done) {
  CHECK(awaited_ == 0 && !members_.empty() && !is_watching_);
  hooks_.changed = std::move(changed);
  done_ = std::move(done);
  awaited_ = watched_.size();
  for (std::size_t i = 0; i < watched_.size(); ++i) ask(i);
}

void Monitor::watch(Hooks hooks) {
  CHECK(awaited_ == 0 && !is_watching_);
  is_watching_ = true;
  hooks_ = std::move(hooks);
  for (std::size_t i = 0; i < watched_.size(); ++i) ask(i);
}

bool Monitor::is_complete() const {
  return std::all_of(members_.begin(), members_.end(),
                     [](const auto& member) { return member->health.now().has_value(); });
}

void Monitor::ask(std::size_t index) {
  watched_[index]->client.ask({std::string(kStatusQuery), std::string(kVariablesQuery)},
                              kAnswerWithin,
                              [this, index](ServerAnswer answer) { heard(index, answer); });
  watched_[index]->asked();
}

void Monitor::heard(std::size_t index, const ServerAnswer& answer) {
  Watched& watched = *watched_[index];
  Member& member = *members_[index];
  Look look;
  look.contact = answer.contact;
  look.said = answer.said;
  if (answer.contact == Look::Contact::kAnswered) {
    WsrepStatus status;
    for (const auto& [name, value] : answer.rows) read_wsrep_row({name, value}, status);
    look.status = std::move(status);
    member.asked = watched.asked_at;
  } else if (!watched.data.empty()) {
    if (const auto process = find_server(watched.data)) look.has_process = process->has_value();
  }
  look.recovery = claimed_by();
  const bool has_changed = member.health.look(look, loop_.now());
  if (has_changed) hooks_.changed(member);
  if (is_watching_) {
    watched.told(has_changed || member.health.is_doubtful());
    return hooks_.looked(member);
  }
  if (--awaited_ > 0) return;
  const auto done = std::exchange(done_, nullptr);
  done();
}

// Whoever brings the cluster back claims all members that it can reach, the one on this host too.
std::string Monitor::claimed_by() const {
  for (const auto& watched : watched_) {
    if (watched->state.empty()) continue;
    const auto holder = claim_holder(watched->state);
    if (holder) return *holder;
  }
  return "";
}

}  // namespace nines::galera

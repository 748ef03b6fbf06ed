// One question to each server, and an answer or its absence to each member's machine.
#include "galera/monitor.h"

#include "base/check.h"
#include "galera/claim.h"
#include "galera/local_member.h"

namespace nines::galera {

struct Monitor::Watched {
  ServerClient client;
  std::string data, state;
};

Monitor::Monitor(io::EpollLoop& loop, const std::vector<MonitoredMember>& members) : loop_(loop) {
  for (const MonitoredMember& each : members) {
    members_.push_back(std::make_unique<Member>(Member{each.name, {}}));
    watched_.push_back(std::unique_ptr<Watched>(
        new Watched{ServerClient(loop, each.login), each.data, each.state}));
  }
}

Monitor::~Monitor() = default;

void Monitor::look(Changed changed, std::function<void()> done) {
  CHECK(awaited_ == 0 && !members_.empty());
  changed_ = std::move(changed);
  done_ = std::move(done);
  awaited_ = watched_.size();
  for (std::size_t i = 0; i < watched_.size(); ++i) {
    watched_[i]->client.ask({std::string(kStatusQuery), std::string(kVariablesQuery)},
                            kAnswerWithin, [this, i](ServerAnswer answer) { heard(i, answer); });
  }
}

void Monitor::heard(std::size_t index, const ServerAnswer& answer) {
  const Watched& watched = *watched_[index];
  Member& member = *members_[index];
  Look look;
  look.contact = answer.contact;
  look.said = answer.said;
  if (answer.contact == Look::Contact::kAnswered) {
    WsrepStatus status;
    for (const auto& [name, value] : answer.rows) read_wsrep_row({name, value}, status);
    look.status = std::move(status);
  } else if (!watched.data.empty()) {
    if (const auto process = find_server(watched.data)) look.has_process = process->has_value();
  }
  if (!watched.state.empty()) {
    const auto holder = claim_holder(watched.state);
    look.is_recovering = holder && !holder->empty();
  }
  if (member.health.look(look, loop_.now())) changed_(member);
  if (--awaited_ > 0) return;
  const auto done = std::exchange(done_, nullptr);
  done();
}

}  // namespace nines::galera

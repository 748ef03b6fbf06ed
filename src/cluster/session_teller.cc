// A step tells what changed first, and of a round at least one message.
#include "cluster/session_teller.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "cluster/session_wire.h"

namespace nines::cluster {

namespace {

constexpr std::size_t kRoom = kSessionMessageMax - kSessionHeadSize;

}  // namespace

bool SessionTeller::Held::is_at_rest() const {
  return sessions.empty() && changes.empty() && !is_in_round() && empty_rounds == 0;
}

void SessionTeller::held(Name name, Epoch epoch, Instant now) {
  Held& held = held_[name];
  if (held.epoch == epoch) return;
  held = Held{.epoch = epoch, .sessions = {}, .changes = {}, .round_at = {}};
  held.next_round = now + kRoundEvery;
}

void SessionTeller::let_go(Name name) { held_.erase(name); }

// What waits and stands is part of what was seen last, and so bounded; what waits and ended is not.
void SessionTeller::change(Held& held, const SessionTuple& session, bool stands) {
  if (stands || held.changes.size() < kChangesMax) {
    held.changes[session] = stands;
  } else {
    held.changes.erase(session);
  }
}

bool SessionTeller::seen(Name name, std::vector<SessionTuple> sessions, Instant now) {
  const auto found = held_.find(name);
  if (found == held_.end()) return false;
  Held& held = found->second;
  if (held.sessions == sessions) return false;
  if (held.is_at_rest()) held.next_round = now + kRoundEvery;
  auto before = held.sessions.begin();
  for (const SessionTuple& session : sessions) {
    while (before != held.sessions.end() && *before < session) change(held, *before++, false);
    if (before != held.sessions.end() && *before == session) {
      ++before;
    } else {
      change(held, session, true);
    }
  }
  while (before != held.sessions.end()) change(held, *before++, false);
  held.sessions = std::move(sessions);
  if (!held.sessions.empty()) held.empty_rounds = kEmptyRounds;
  return true;
}

void SessionTeller::begin_round(Held& held, Instant now) {
  if (held.is_at_rest() || held.is_in_round() || now < held.next_round) return;
  ++held.round;
  held.next_round = now + kRoundEvery;
  if (!held.sessions.empty()) {
    held.round_at = held.sessions.front();
  } else if (held.empty_rounds > 0) {
    held.says_empty = true;
    --held.empty_rounds;
  }
}

SessionMessage SessionTeller::changes_of(Name name, Held& held) {
  SessionMessage message{
      .name = name, .epoch = held.epoch, .round = held.round, .standing = {}, .ended = {}};
  std::size_t room = kRoom;
  while (!held.changes.empty()) {
    const auto& [session, stands] = *held.changes.begin();
    if (wire_size(session) > room) break;
    room -= wire_size(session);
    (stands ? message.standing : message.ended).push_back(session);
    held.changes.erase(held.changes.begin());
  }
  return message;
}

// Sessions come and go meanwhile: the round goes on from where it is, in their order.
SessionMessage SessionTeller::part_of_round(Name name, Held& held) {
  SessionMessage message{
      .name = name, .epoch = held.epoch, .round = held.round, .standing = {}, .ended = {}};
  held.says_empty = false;
  if (!held.round_at) return message;
  std::size_t room = kRoom;
  auto next = std::lower_bound(held.sessions.begin(), held.sessions.end(), *held.round_at);
  while (next != held.sessions.end() && wire_size(*next) <= room) {
    room -= wire_size(*next);
    message.standing.push_back(*next++);
  }
  if (next != held.sessions.end()) {
    held.round_at = *next;
  } else {
    held.round_at.reset();
  }
  return message;
}

void SessionTeller::tell(Instant now, std::vector<SessionMessage>& out) {
  if (now < next_step_) return;
  const std::size_t most = out.size() + kMessagesPerStep;
  bool in_round = false;
  for (auto& [name, held] : held_) {
    begin_round(held, now);
    in_round = in_round || held.is_in_round();
  }
  const std::size_t before = out.size();
  const std::size_t most_changes = most - (in_round ? kRoundMessagesPerStep : 0);
  for (auto& [name, held] : held_) {
    while (!held.changes.empty() && out.size() < most_changes) {
      out.push_back(changes_of(name, held));
    }
  }
  for (auto& [name, held] : held_) {
    while (held.is_in_round() && out.size() < most) out.push_back(part_of_round(name, held));
  }
  if (out.size() == before) return;
  told_ += out.size() - before;
  next_step_ = now + kStepEvery;
}

std::optional<Instant> SessionTeller::deadline() const {
  std::optional<Instant> earliest;
  for (const auto& [name, held] : held_) {
    if (held.is_at_rest()) continue;
    const bool now = !held.changes.empty() || held.is_in_round();
    const Instant due = std::max(next_step_, now ? Instant{} : held.next_round);
    if (!earliest || due < *earliest) earliest = due;
  }
  return earliest;
}

std::size_t SessionTeller::sessions() const {
  std::size_t count = 0;
  for (const auto& [name, held] : held_) count += held.sessions.size();
  return count;
}

}  // namespace nines::cluster

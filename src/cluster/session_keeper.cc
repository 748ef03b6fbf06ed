// An epoch is one holder's: a higher one ends what was known, a lower one is old news.
#include "cluster/session_keeper.h"

#include <algorithm>
#include <utility>

namespace nines::cluster {

SessionKeeper::SessionKeeper(std::map<Name, std::vector<SocketAddress>> names) {
  for (const auto& [name, addresses] : names) {
    Book& book = books_[name];
    for (const SocketAddress& address : addresses) {
      book.addresses.push_back(SessionTuple::of(address, address));
    }
  }
}

bool SessionKeeper::is_on(const Book& book, const SessionTuple& session) {
  return std::any_of(book.addresses.begin(), book.addresses.end(),
                     [&](const SessionTuple& each) { return each.is_on_address_of(session); });
}

std::size_t SessionKeeper::kept_of(NodeId holder) const {
  std::size_t count = 0;
  for (const auto& [name, book] : books_) {
    if (book.holder == holder) count += book.sessions.size();
  }
  return count;
}

void SessionKeeper::forget_missed(Book& book) {
  std::erase_if(book.sessions, [&](const auto& each) {
    return book.round > kRoundsMissedMax && each.second < book.round - kRoundsMissedMax;
  });
}

void SessionKeeper::heard(NodeId from, const SessionMessage& message, Instant now) {
  ++counters_.heard;
  const auto found = books_.find(message.name);
  if (found == books_.end()) {
    counters_.refused += message.standing.size();
    return;
  }
  Book& book = found->second;
  const bool older =
      message.epoch < book.epoch ||
      (message.epoch == book.epoch && (from != book.holder || message.round < book.round));
  if (older) {
    ++counters_.old;
    return;
  }
  if (message.epoch > book.epoch) {
    book.sessions.clear();
    book.epoch = message.epoch;
    book.holder = from;
    book.round = 0;
  }
  book.heard_at = now;
  if (std::exchange(book.round, message.round) != message.round) forget_missed(book);
  for (const SessionTuple& session : message.ended) book.sessions.erase(session);
  std::size_t kept = kept_of(from);
  for (const SessionTuple& session : message.standing) {
    if (!is_on(book, session)) {
      ++counters_.refused;
      continue;
    }
    const auto known = book.sessions.find(session);
    if (known != book.sessions.end()) {
      known->second = message.round;
    } else if (kept == kKeptMax) {
      ++counters_.left_out;
    } else {
      book.sessions.emplace(session, message.round);
      ++kept;
    }
  }
}

void SessionKeeper::taken(Name name, Epoch epoch, Instant now) {
  const auto found = books_.find(name);
  if (found == books_.end()) return;
  Book& book = found->second;
  // A session of an epoch after ours is not ours to end.
  if (epoch <= book.epoch) return;
  Round nudges;
  for (const auto& [session, round] : book.sessions) nudges.sessions.push_back(session);
  nudges.begun = nudges.due = now;
  const NodeId former = std::exchange(book.holder, NodeId{0});
  book.epoch = epoch;
  book.sessions.clear();
  nudging_.erase(name);
  if (nudges.sessions.empty()) return;
  last_ = Takeover{.name = name,
                   .holder = former,
                   .epoch = epoch,
                   .sessions = nudges.sessions.size(),
                   .at = now};
  nudging_.emplace(name, std::move(nudges));
}

void SessionKeeper::lost(Name name) { nudging_.erase(name); }

void SessionKeeper::forget_all() {
  nudging_.clear();
  for (auto& [name, book] : books_) book.sessions.clear();
}

void SessionKeeper::pass(Instant now, std::vector<SessionTuple>& nudges) {
  for (auto& [name, book] : books_) {
    if (!book.sessions.empty() && now - book.heard_at >= kForgetAfter) book.sessions.clear();
  }
  if (now < next_step_) return;
  const std::size_t before = nudges.size();
  std::size_t room = kNudgesPerStep;
  for (auto each = nudging_.begin(); each != nudging_.end();) {
    Round& round = each->second;
    if (now < round.due || room == 0) {
      ++each;
      continue;
    }
    const std::size_t count = std::min(room, round.sessions.size() - round.next);
    const auto first = round.sessions.begin() + static_cast<std::ptrdiff_t>(round.next);
    nudges.insert(nudges.end(), first, first + static_cast<std::ptrdiff_t>(count));
    room -= count;
    round.next += count;
    if (round.next == round.sessions.size()) {
      round.next = 0;
      round.begun = round.due = std::max(now, round.begun + kNudgeAgainAfter);
      if (++round.times == kNudgeTimes) {
        each = nudging_.erase(each);
        continue;
      }
    }
    ++each;
  }
  if (nudges.size() > before) next_step_ = now + kNudgeStepEvery;
}

std::optional<Instant> SessionKeeper::deadline() const {
  std::optional<Instant> earliest;
  const auto at = [&](Instant due) {
    if (!earliest || due < *earliest) earliest = due;
  };
  for (const auto& [name, book] : books_) {
    if (!book.sessions.empty()) at(book.heard_at + kForgetAfter);
  }
  for (const auto& [name, round] : nudging_) at(std::max(next_step_, round.due));
  return earliest;
}

std::vector<SessionKeeper::Known> SessionKeeper::known() const {
  std::vector<Known> known;
  for (const auto& [name, book] : books_) {
    if (book.sessions.empty()) continue;
    known.push_back({.name = name,
                     .holder = book.holder,
                     .epoch = book.epoch,
                     .sessions = book.sessions.size()});
  }
  return known;
}

}  // namespace nines::cluster

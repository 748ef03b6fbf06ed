// Read on()'s overloads as the table of states and events.
#include "node/plane_watch.h"

#include <algorithm>
#include <utility>

namespace nines::node {

void PlaneWatch::handle(const PlaneEvent& event, Instant now, std::vector<PlaneEffect>& out) {
  std::visit([&](const auto& one) { on(one, now, out); }, event);
}

std::optional<Instant> PlaneWatch::deadline() const {
  std::optional<Instant> first = unfit_at_;
  const auto sooner = [&first](Instant at) { first = first ? std::min(*first, at) : at; };
  switch (state_) {
    case State::kIdle:
    case State::kEnding:
      return std::nullopt;
    case State::kWaiting:
      sooner(restart_at_);
      break;
    case State::kStarting:
      if (!killed_) sooner(since_ + policy_.start_within);
      break;
    case State::kServing:
      if (!fit_) sooner(since_ + policy_.healthy_after);
      if (policy_.ask_interval > Duration{} && !killed_) {
        sooner(answer_due_ != Instant{} ? std::min(answer_due_, ask_at_) : ask_at_);
      }
      break;
  }
  return first;
}

void PlaneWatch::on(const event::Begin&, Instant now, Out& out) {
  if (state_ != State::kIdle) return;
  deaths_ = 0;
  delay_ = Duration{};
  start(now, out);
}

void PlaneWatch::on(const event::Served&, Instant now, Out& out) {
  if (state_ != State::kStarting) return;
  seen_at_ = since_;
  enter(State::kServing, now);
  unfit_at_.reset();
  answer_due_ = Instant{};
  ask_at_ = now + policy_.ask_interval;
  if (deaths_ < policy_.deaths_max) set_fit(true, out);
}

void PlaneWatch::on(const event::Answered&, Instant, Out&) {
  if (answer_due_ != Instant{}) seen_at_ = asked_at_;
  answer_due_ = Instant{};
}

void PlaneWatch::on(const event::Died&, Instant now, Out& out) {
  killed_ = false;
  if (state_ == State::kIdle || state_ == State::kWaiting) return;
  if (state_ == State::kEnding) return enter(State::kIdle, now);
  const bool was_healthy = state_ == State::kServing && now - since_ >= policy_.healthy_after;
  if (was_healthy) deaths_ = 0;
  ++deaths_;
  ++deaths_total_;
  delay_ = deaths_ == 1 ? policy_.restart_delay_min
                        : std::min<Duration>(delay_ * 2, policy_.restart_delay_max);
  restart_at_ = now + delay_;
  enter(State::kWaiting, now);
  if (!fit_) return;
  if (deaths_ >= policy_.deaths_max) return set_fit(false, out);
  // From the first moment without it, however often it dies while it comes back.
  if (!unfit_at_) unfit_at_ = now + policy_.back_within;
}

void PlaneWatch::on(const event::End&, Instant now, Out& out) {
  unfit_at_.reset();
  if (state_ == State::kIdle || state_ == State::kWaiting) return enter(State::kIdle, now);
  enter(State::kEnding, now);
  set_fit(false, out);
}

void PlaneWatch::on(const event::WatchTimer&, Instant now, Out& out) {
  if (unfit_at_ && now >= *unfit_at_) {
    unfit_at_.reset();
    set_fit(false, out);
  }
  switch (state_) {
    case State::kIdle:
    case State::kEnding:
      return;
    case State::kWaiting:
      if (now >= restart_at_) start(now, out);
      return;
    case State::kStarting:
      if (!killed_ && now >= since_ + policy_.start_within) {
        killed_ = true;
        out.push_back(PlaneEffect::kKill);
      }
      return;
    case State::kServing:
      if (!fit_ && now >= since_ + policy_.healthy_after) set_fit(true, out);
      if (policy_.ask_interval > Duration{} && !killed_) ask(now, out);
      return;
  }
}

void PlaneWatch::enter(State state, Instant now) {
  state_ = state;
  since_ = now;
}

void PlaneWatch::start(Instant now, Out& out) {
  enter(State::kStarting, now);
  out.push_back(PlaneEffect::kStart);
}

void PlaneWatch::ask(Instant now, Out& out) {
  // Late ourselves: the machine was paused, or has no time for anybody. The plane may be as well.
  const bool late = now > ask_at_ + policy_.answer_within / 2;
  if (late && answer_due_ != Instant{}) answer_due_ = now + policy_.answer_within;
  if (answer_due_ != Instant{} && now >= answer_due_) {
    killed_ = true;
    out.push_back(PlaneEffect::kKill);
    return;
  }
  if (now < ask_at_) return;
  ask_at_ = now + policy_.ask_interval;
  out.push_back(PlaneEffect::kAsk);
  if (answer_due_ != Instant{}) return;
  answer_due_ = now + policy_.answer_within;
  asked_at_ = now;
}

void PlaneWatch::set_fit(bool fit, Out& out) {
  if (std::exchange(fit_, fit) == fit) return;
  out.push_back(fit ? PlaneEffect::kFit : PlaneEffect::kUnfit);
}

}  // namespace nines::node

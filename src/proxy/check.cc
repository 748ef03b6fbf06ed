// The schedule of one server's checks. "HAProxy:" marks what was compared with the real 2.6.
#include "proxy/check.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace nines::proxy {

CheckTiming CheckTiming::of(const GlobalConfig& global, const ProxyConfig& proxy,
                            const ServerConfig& server) {
  CheckTiming timing;
  timing.inter = server.inter;
  timing.fastinter = server.fastinter;
  timing.downinter = server.downinter;
  timing.rise = server.rise;
  timing.fall = server.fall;
  timing.connect_timeout = proxy.timeouts.connect;
  timing.check_timeout = proxy.timeouts.check;
  timing.spread_percent = global.spread_checks;
  return timing;
}

CheckMachine::CheckMachine(CheckTiming timing, bool checked, bool maintenance, base::Rng rng)
    : timing_(std::move(timing)), checked_(checked), maintenance_(maintenance), rng_(rng) {
  CHECK(timing_.rise > 0 && timing_.fall > 0 && timing_.inter > Duration{});
  if (checked_) {
    // HAProxy: up, and one failure from down.
    status_.health = maintenance_ ? 0 : timing_.rise;
    status_.last.status = CheckStatus::kInitialized;
  }
}

void CheckMachine::handle(const CheckEvent& event, Instant now, CheckEffects& out) {
  out = {};
  out_ = &out;
  switch (event.kind) {
    case CheckEvent::Kind::kStart:
      started_once_ = true;
      pause_or_go_on(now + event.delay);
      break;
    case CheckEvent::Kind::kTick:
      on_tick(now);
      break;
    case CheckEvent::Kind::kConnected:
      on_connected(now);
      break;
    case CheckEvent::Kind::kOutcome:
      if (attempting()) finish(event.outcome, now);
      break;
    case CheckEvent::Kind::kTrafficFailure:
      on_traffic_failure(now);
      break;
    case CheckEvent::Kind::kHasten:
      hasten(now);
      break;
    case CheckEvent::Kind::kEnterMaintenance:
      maintenance_ = true;
      pause_or_go_on(now);
      break;
    case CheckEvent::Kind::kLeaveMaintenance:
      // HAProxy: believed up, and looked at immediately; one failure brings it down.
      maintenance_ = false;
      status_.up = true;
      if (checked_) status_.health = timing_.rise;
      pause_or_go_on(now);
      break;
    case CheckEvent::Kind::kDisableChecks:
      checked_ = false;
      pause_or_go_on(now);
      break;
    case CheckEvent::Kind::kEnableChecks:
      checked_ = true;
      if (status_.last.status == CheckStatus::kUnknown) {
        status_.last.status = CheckStatus::kInitialized;
        status_.health = status_.up ? timing_.rise : 0;
      }
      pause_or_go_on(now);
      break;
    case CheckEvent::Kind::kForceUp:
      status_.up = true;
      status_.health = health_max();
      break;
    case CheckEvent::Kind::kForceDown:
      status_.up = false;
      status_.health = 0;
      end_evidence();
      break;
    case CheckEvent::Kind::kRestart:
      if (attempting()) {
        stop();
        pause_or_go_on(now);
      }
      break;
  }
  status_.running = attempting();
  out_ = nullptr;
}

void CheckMachine::set_timing(CheckTiming timing, Instant now) {
  const bool best = status_.health == health_max();
  timing_ = std::move(timing);
  if (status_.up && status_.health > 0) {
    status_.health = best ? health_max() : std::clamp(status_.health, timing_.rise, health_max());
  } else {
    status_.health = std::min(status_.health, timing_.rise - 1);
  }
  if (state_ == State::kWaiting) wake_ = std::min(*wake_, now + interval());
}

// Section 5.2, "fastinter": transitional states are those neither fully up nor fully down.
Duration CheckMachine::interval() const {
  if (status_.health == health_max()) return timing_.inter;
  if (!status_.up && status_.health == 0) return timing_.downinter.value_or(timing_.inter);
  return timing_.fastinter.value_or(timing_.inter);
}

Duration CheckMachine::spread(Duration interval) {
  const std::int64_t reach = interval.count() * timing_.spread_percent / 100;
  if (reach <= 0) return interval;
  const auto draw =
      static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(2 * reach + 1)));
  return interval + Duration(draw - reach);
}

// "timeout check", section 4.2: where it is set, a connect may take the shorter of "inter" and
// "timeout connect"; otherwise "inter" is for the whole attempt.
Instant CheckMachine::connect_deadline() const {
  Duration limit = timing_.inter;
  if (timing_.check_timeout) limit = std::min(limit, timing_.connect_timeout.value_or(limit));
  if (evidence_) {
    limit = std::min(limit, std::max(kEvidenceConnectMax, kEvidenceConnectFactor * connect_time_));
  }
  return started_ + limit;
}

Instant CheckMachine::evidence_earliest() const {
  if (started_ == Instant{}) return started_;
  const Duration most = std::max(timing_.inter, kEvidenceInterval);
  return started_ + std::min(most, kEvidenceInterval * (std::int64_t{1} << false_alarms_));
}

void CheckMachine::begin(Instant now) {
  state_ = State::kConnecting;
  started_ = now;
  answers_evidence_ = evidence_;
  wake_ = connect_deadline();
  out_->start = true;
}

void CheckMachine::stop() {
  out_->abort |= attempting();
  state_ = State::kPaused;
  wake_.reset();
}

// `at`: when the next attempt is due if none is under way and there may be one.
void CheckMachine::pause_or_go_on(Instant at) {
  if (!allowed() || !started_once_) {
    stop();
    end_evidence();
  } else if (state_ == State::kPaused) {
    state_ = State::kWaiting;
    wake_ = at;
  }
}

void CheckMachine::on_tick(Instant now) {
  if (!wake_ || now < *wake_) return;
  switch (state_) {
    case State::kPaused:  // nothing checks this suspect
      wake_.reset();
      out_->clear_suspect = true;
      break;
    case State::kWaiting:
      begin(now);
      break;
    case State::kConnecting:
    case State::kTalking: {
      CheckOutcome outcome;
      outcome.status =
          state_ == State::kConnecting ? CheckStatus::kLayer4Timeout : CheckStatus::kLayer7Timeout;
      out_->abort = true;
      finish(std::move(outcome), now);
      break;
    }
  }
}

void CheckMachine::on_connected(Instant now) {
  if (state_ != State::kConnecting) return;
  state_ = State::kTalking;
  connect_time_ = now - started_;
  wake_ = timing_.check_timeout ? now + *timing_.check_timeout : started_ + timing_.inter;
}

void CheckMachine::finish(CheckOutcome outcome, Instant now) {
  outcome.duration = now - started_;
  const CheckStatus before = status_.last.status;
  const int health = status_.health;
  status_.last = std::move(outcome);
  state_ = State::kWaiting;
  out_->outcome = true;
  take_result(now);
  out_->report = status_.last.status != before || status_.health != health;
  wake_ = evidence_ ? std::max(now, started_ + kEvidenceInterval) : now + spread(interval());
}

void CheckMachine::take_result(Instant now) {
  int& health = status_.health;
  if (status_.last.passed()) {
    if (!status_.up && health == 0) status_.detected = now;
    if (health < health_max() && ++health >= timing_.rise) health = health_max();
    if (evidence_ && answers_evidence_) {
      false_alarms_ = std::min(false_alarms_ + 1, kFalseAlarmsMax);
      end_evidence();
    }
  } else {
    if (status_.up && health == health_max() && !evidence_) status_.detected = now;
    if (health > 0) {
      ++status_.failures;
      if (--health < timing_.rise) health = 0;
    }
    if (evidence_) false_alarms_ = 0;
  }
  if (status_.up && health < timing_.rise) {
    if (status_.detected == Instant{}) status_.detected = now;
    status_.up = false;
    out_->change = CheckEffects::Change::kWentDown;
    end_evidence();
  } else if (!status_.up && health >= timing_.rise) {
    status_.up = true;
    out_->change = CheckEffects::Change::kCameUp;
  }
}

void CheckMachine::on_traffic_failure(Instant now) {
  if (!allowed() || !started_once_) {
    if (!wake_) wake_ = now + kUncheckedSuspicion;
    return;
  }
  if (!status_.up) {  // known already
    out_->clear_suspect = true;
    return;
  }
  if (evidence_) return;
  if (now - evidence_at_ > kFalseAlarmMemory) false_alarms_ = 0;
  evidence_ = true;
  evidence_at_ = now;
  status_.detected = now;
  switch (state_) {
    case State::kPaused:
      break;
    case State::kConnecting:  // a failure of it counts; a success is older than the evidence
      wake_ = std::min(*wake_, connect_deadline());
      break;
    case State::kTalking:
      // It may wait long for a server that is gone: ask anew, from the connect on.
      stop();
      state_ = State::kWaiting;
      wake_ = Instant::max();
      [[fallthrough]];
    case State::kWaiting:
      wake_ = std::min(*wake_, evidence_earliest());
      if (now >= *wake_) begin(now);
      break;
  }
}

// A server that is down is looked at when the operator said.
void CheckMachine::hasten(Instant now) {
  if (state_ != State::kWaiting || !status_.up) return;
  wake_ = std::min(*wake_, std::max(now, started_ + kEvidenceInterval));
  if (now >= *wake_) begin(now);
}

void CheckMachine::end_evidence() {
  evidence_ = false;
  out_->clear_suspect = true;
}

}  // namespace nines::proxy

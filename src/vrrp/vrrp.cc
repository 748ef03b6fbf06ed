// The election. Read handle()'s overloads as the table of RFC 5798, section 6.4, with the claim
// between Backup and Master.
#include "vrrp/vrrp.h"

#include <algorithm>

#include "base/check.h"

namespace nines::vrrp {

namespace {

constexpr int kPriorityMin = 1;
constexpr int kPriorityMax = 254;  // what weights can make of it; 255 is the owner's alone
constexpr int kPriorityStop = 0;

}  // namespace

std::string_view name_of(State state) {
  switch (state) {
    case State::kInit:
      return "INIT";
    case State::kBackup:
      return "BACKUP";
    case State::kMaster:
      return "MASTER";
    case State::kFault:
      return "FAULT";
    case State::kStopped:
      return "STOP";
  }
  CHECK(false);
}

Vrrp::Vrrp(VrrpInstance instance, std::optional<Instant> master_seen_at)
    : instance_(std::move(instance)),
      resuming_(master_seen_at.has_value()),
      // Its last advert left an interval before that at the earliest: this is when one was due.
      next_at_(master_seen_at.value_or(Instant{})) {
  status_.master_interval = instance_.advert_int;
  update_priority();
}

void Vrrp::handle(const Event& event, Instant now, Effects& out) {
  if (status_.state == State::kStopped) return;
  // Before anything else is judged by a state that the world has left behind.
  const bool counted_on = status_.claiming || (status_.state == State::kMaster && !status_.leaving);
  if (counted_on && was_stopped_too_long(now)) {
    // Those who gave way to a claim have waited in vain for its adverts. One that holds nothing yet
    // claims again, unless it hears first of somebody whom it follows.
    status_.claiming = false;
    if (may_hold()) stand_again(now, out);
  }
  std::visit([&](const auto& one) { on(one, now, out); }, event);
}

std::optional<Instant> Vrrp::deadline() const {
  if (status_.state == State::kBackup) {
    return status_.waiting ? std::nullopt : std::optional(next_at_);
  }
  if (status_.state != State::kMaster) return std::nullopt;
  if (status_.leaving) return leave_repeats_ > 0 ? std::min(next_at_, leave_by_) : leave_by_;
  Instant first = next_at_;
  if (retake_at_ != Instant{}) first = std::min(first, retake_at_);
  for (const Announcement* each : {&spaced_, &soon_, &second_, &refresh_}) {
    if (each->at != Instant{}) first = std::min(first, each->at);
  }
  return first;
}

Duration Vrrp::skew_unit() const {
  return instance_.version == 3 ? status_.master_interval : Duration(1s);
}

Duration Vrrp::skew() const { return skew_unit() * (256 - status_.priority) / 256; }

Duration Vrrp::master_down_interval() const {
  return instance_.down_timer_adverts * status_.master_interval + skew();
}

Duration Vrrp::claim_hold() const { return std::min(kClaimHoldMax, instance_.advert_int / 100); }

Duration Vrrp::hand_over_patience() const {
  return std::min(skew_unit(), kHandOverSkewMax) + kHandOverMargin;
}

// ---- Events ----------------------------------------------------------------------------------

void Vrrp::on(const event::AdvertHeard& advert, Instant now, Effects& out) {
  ++status_.counters.adverts_heard;
  if (advert.priority == kPriorityStop) ++status_.counters.priority_zero_heard;
  switch (status_.state) {
    case State::kBackup:
      return heard_as_backup(advert, now, out);
    case State::kMaster:
      return heard_as_master(advert, now, out);
    case State::kInit:
    case State::kFault:
      status_.master_address = advert.source;
      status_.master_priority = advert.priority;
      return;
    case State::kStopped:
      return;
  }
}

void Vrrp::heard_as_backup(const event::AdvertHeard& advert, Instant now, Effects& out) {
  if (advert.priority == kPriorityStop) {
    // One that was master once and finds out late: the master that we follow lives.
    if (status_.master_address.is_ip() && advert.source != status_.master_address) return;
    // The master leaves: whoever has the highest priority is first. A claim goes on.
    // Said again, it does not make us wait again.
    if (!status_.claiming) next_at_ = std::min(next_at_, now + skew());
    return;
  }
  if (status_.claiming) {
    if (is_better(advert)) {
      ++status_.counters.claims_abandoned;
      if (resuming_) {
        // It holds them already, or is about to.
        become_backup(now, out);
        send_advert(status_.priority, out);
      }
      follow(advert, now);
    } else {
      // It may have missed ours; a master of lower priority steps down for this one, and has to
      // have the time to.
      send_advert(status_.priority, out);
      status_.waiting = false;
      next_at_ = std::max(next_at_, now + claim_hold());
    }
    return;
  }
  if (advert.priority >= status_.priority) {
    preempt_at_ = Instant{};
    return follow(advert, now);
  }
  if (instance_.nopreempt) return follow(advert, now);
  if (instance_.preempt_delay > Duration{}) {
    if (preempt_at_ == Instant{}) preempt_at_ = now + instance_.preempt_delay;
    if (now < preempt_at_) return follow(advert, now);
  }
  // A lower priority than ours does not hold us back: the timer runs on (RFC 5798, 6.4.2).
}

void Vrrp::heard_as_master(const event::AdvertHeard& advert, Instant now, Effects& out) {
  if (status_.leaving) {
    // Whoever it is takes the addresses, now or in a moment.
    if (advert.priority != kPriorityStop) on(event::Stop{}, now, out);
    return;
  }
  if (advert.priority != kPriorityStop && is_better(advert)) {
    become_backup(now, out);
    // See the head of vrrp.h: the winner has to know that there was a rival.
    send_advert(status_.priority, out);
    return follow(advert, now);
  }
  ++status_.counters.rivals_beaten;
  if (retake_at_ != Instant{}) retake_at_ = std::max(retake_at_, now + claim_hold());
  if (advert.priority == kPriorityStop || !instance_.lower_priority_no_advert) advertise(now, out);
  announce_after_doubt(now, out);
  out.push_back({.kind = Effect::Kind::kRivalBeaten});
}

void Vrrp::on(const event::TimerFired&, Instant now, Effects& out) {
  if (status_.state == State::kBackup) {
    if (status_.waiting || now < next_at_) return;
    if (!status_.claiming) return seek(now, out);
    if (!grouped()) return become_master(now, out);
    status_.waiting = true;
    return;
  }
  if (status_.state != State::kMaster) return;
  if (status_.leaving) return leave_on(now, out);
  if (retake_at_ != Instant{} && now >= retake_at_) {
    retake_at_ = Instant{};
    out.push_back({.kind = Effect::Kind::kTakeAddresses});
    announce_after_doubt(now, out);
  }
  if (now >= next_at_) advertise(now, out);
  announce_due(now, out);
}

void Vrrp::on(const event::Conditions& conditions, Instant now, Effects& out) {
  const int priority_before = status_.priority;
  conditions_ = conditions;
  update_priority();
  if (status_.leaving) {
    if (conditions_.faults > 0) on(event::Stop{}, now, out);
    return;
  }
  if (conditions_.faults > 0) {
    if (status_.state == State::kFault) return;
    if (may_hold()) {
      release(out);
      send_advert(kPriorityStop, out);
    }
    return enter(State::kFault, now, out);
  }
  if (status_.state == State::kInit || status_.state == State::kFault) {
    if (resuming_) return was_stopped_too_long(now) ? stand_again(now, out) : resume(now, out);
    if (!conditions_.known) return;
    become_backup(now, out);
    // RFC 5798, 6.4.1: the owner waits for nobody.
    if (status_.priority == kPriorityOwner) seek(now, out);
    return;
  }
  // A new priority is told at once, so that a better backup need not wait for the next advert.
  if (status_.state == State::kMaster && status_.priority != priority_before) advertise(now, out);
}

void Vrrp::on(const event::LinkRestored&, Instant now, Effects& out) {
  if (status_.state != State::kMaster || status_.leaving) return;
  advertise(now, out);
  announce_after_doubt(now, out);
}

void Vrrp::on(const event::AddressesLost&, Instant now, Effects& out) {
  if (status_.state != State::kMaster) return;
  if (status_.leaving) return out.push_back({.kind = Effect::Kind::kTakeAddresses});
  // They may have expired while this process stood still, and somebody else have taken them: said
  // again, and taken once that one can have stepped down.
  advertise(now, out);
  retake_at_ = now + claim_hold();
}

void Vrrp::on(const event::Reload& reload, Instant now, Effects& out) {
  CHECK(reload.instance.virtual_router_id == instance_.virtual_router_id);
  if (status_.leaving) return;
  instance_ = reload.instance;
  update_priority();
  if (status_.state == State::kBackup) {
    if (status_.master_priority == 0 || instance_.version == 2) {
      status_.master_interval = instance_.advert_int;
    }
    preempt_at_ = Instant{};
    if (!status_.claiming) {
      status_.waiting = false;
      next_at_ = now + master_down_interval();
    } else if (!grouped() && status_.waiting) {
      status_.waiting = false;  // it was in a group until now: the claim is ripe
      next_at_ = now;
    }
  } else if (status_.state == State::kMaster) {
    status_.master_interval = instance_.advert_int;
    out.push_back({.kind = Effect::Kind::kTakeAddresses});
    advertise(now, out);
    announce(instance_.announcements.master_repeat, now, out);
  }
}

void Vrrp::on(const event::Stop&, Instant now, Effects& out) {
  if (may_hold()) {
    // First the addresses, then the word: the next master must not meet ours.
    release(out);
    send_advert(kPriorityStop, out);
  }
  enter(State::kStopped, now, out);
}

void Vrrp::on(const event::HandOver&, Instant now, Effects& out) {
  if (status_.leaving) return;
  if (status_.state != State::kMaster) return on(event::Stop{}, now, out);
  status_.leaving = true;
  spaced_ = soon_ = second_ = refresh_ = {};
  leave_by_ = now + hand_over_patience();
  leave_repeats_ = kHandOverRepeats;
  next_at_ = now + kHandOverSpacing;
  send_advert(kPriorityStop, out);
}

void Vrrp::on(const event::GroupGo&, Instant now, Effects& out) {
  if (status_.state != State::kBackup || !status_.waiting) return;
  status_.claiming ? become_master(now, out) : claim(now, out);
}

// Those who gave way to it, or were served by it, need not wait for it.
void Vrrp::on(const event::GroupYield&, Instant now, Effects& out) {
  const bool claims = status_.state == State::kBackup && status_.claiming;
  if (!claims && (status_.state != State::kMaster || status_.leaving)) return;
  if (claims) ++status_.counters.claims_abandoned;
  become_backup(now, out);
  send_advert(kPriorityStop, out);
}

// ---- Steps -----------------------------------------------------------------------------------

// RFC 5798, 6.4.3: equal priorities are decided by the higher primary address.
bool Vrrp::is_better(const event::AdvertHeard& advert) const {
  if (advert.priority != status_.priority) return advert.priority > status_.priority;
  return advert.source > conditions_.primary;
}

void Vrrp::follow(const event::AdvertHeard& advert, Instant now) {
  status_.claiming = false;
  status_.waiting = false;
  status_.master_address = advert.source;
  status_.master_priority = advert.priority;
  status_.followed_priority = advert.priority;
  status_.master_interval = instance_.version == 3 ? advert.interval : instance_.advert_int;
  next_at_ = now + master_down_interval();
}

// Its time has come; in a group that of all has to.
void Vrrp::seek(Instant now, Effects& out) {
  if (!grouped()) return claim(now, out);
  status_.claiming = false;
  status_.waiting = true;
}

void Vrrp::claim(Instant now, Effects& out) {
  status_.claiming = true;
  status_.waiting = false;
  send_advert(status_.priority, out);
  next_at_ = now + claim_hold();
}

// Scripts are not told of the moment in between: to them the host has been master all the time.
void Vrrp::resume(Instant now, Effects& out) {
  status_.state = State::kBackup;
  status_.since = now;
  claim(now, out);
}

void Vrrp::become_master(Instant now, Effects& out) {
  status_.claiming = false;
  resuming_ = false;
  status_.master_address = conditions_.primary;
  status_.master_priority = status_.priority;
  status_.master_interval = instance_.advert_int;
  ++status_.counters.became_master;
  out.push_back({.kind = Effect::Kind::kTakeAddresses});
  const Announcements& announcements = instance_.announcements;
  announce(announcements.master_repeat, now, out);
  // Again once the address is there: the first advert of a master, not of a claimant.
  advertise(now, out);
  spaced_ = soon_ = second_ = {};
  if (announcements.master_delay > Duration{}) {
    second_ = {now + announcements.master_delay, announcements.master_repeat};
  }
  refresh_ = {};
  if (announcements.master_refresh > Duration{}) {
    refresh_ = {now + announcements.master_refresh, announcements.master_refresh_repeat};
  }
  enter(State::kMaster, now, out);
}

void Vrrp::become_backup(Instant now, Effects& out) {
  if (may_hold()) release(out);
  status_.claiming = false;
  status_.master_interval = instance_.advert_int;
  preempt_at_ = Instant{};
  next_at_ = now + master_down_interval();
  enter(State::kBackup, now, out);
}

// Whoever took over meanwhile keeps the address when we are not to preempt.
void Vrrp::stand_again(Instant now, Effects& out) {
  become_backup(now, out);
  if (!instance_.nopreempt) return seek(now, out);
  // One that took over unheard of us has to know that there was another.
  send_advert(kPriorityStop, out);
}

// A successor's advert ends it sooner.
void Vrrp::leave_on(Instant now, Effects& out) {
  if (now >= leave_by_) return on(event::Stop{}, now, out);
  if (leave_repeats_ == 0 || now < next_at_) return;
  --leave_repeats_;
  next_at_ = now + kHandOverSpacing;
  send_advert(kPriorityStop, out);
}

void Vrrp::release(Effects& out) {
  ++status_.counters.released_master;
  resuming_ = false;
  out.push_back({.kind = Effect::Kind::kDropAddresses});
}

void Vrrp::enter(State state, Instant now, Effects& out) {
  status_.state = state;
  retake_at_ = Instant{};
  status_.claiming = status_.claiming && state == State::kBackup;
  status_.waiting = false;
  status_.leaving = false;
  status_.since = now;
  out.push_back({.kind = Effect::Kind::kNotify, .state = state});
}

void Vrrp::send_advert(int priority, Effects& out) {
  ++status_.counters.adverts_sent;
  if (priority == kPriorityStop) ++status_.counters.priority_zero_sent;
  out.push_back({.kind = Effect::Kind::kSendAdvert, .value = priority});
}

void Vrrp::advertise(Instant now, Effects& out) {
  send_advert(status_.priority, out);
  next_at_ = now + instance_.advert_int;
}

void Vrrp::announce(int count, Instant now, Effects& out) {
  if (count <= 0 || retake_at_ != Instant{}) return;  // nothing to announce until it is taken
  announced_at_ = now;
  out.push_back({.kind = Effect::Kind::kAnnounce, .value = count});
}

// Somebody may have been told otherwise: at once, after an interval (a rival that hears us late may
// announce until then), and after the usual delay.
void Vrrp::announce_after_doubt(Instant now, Effects& out) {
  const Announcements& announcements = instance_.announcements;
  const int count = std::max(announcements.lower_priority_repeat, 1);
  if (announced_at_ == Instant{} || now - announced_at_ >= kAnnounceSpacing) {
    announce(count, now, out);
  } else {
    spaced_ = {announced_at_ + kAnnounceSpacing, count};
  }
  soon_ = {now + instance_.advert_int, count};
  if (announcements.lower_priority_delay > Duration{}) {
    second_ = {now + announcements.lower_priority_delay, count};
  }
}

void Vrrp::announce_due(Instant now, Effects& out) {
  for (Announcement* each : {&spaced_, &soon_, &second_, &refresh_}) {
    if (each->at == Instant{} || now < each->at) continue;
    announce(each->count, now, out);
    each->at = Instant{};
    if (each == &refresh_) each->at = now + instance_.announcements.master_refresh;
  }
}

// What is due, an advert or a claim's end, is late by so much that the backups' patience has ended.
bool Vrrp::was_stopped_too_long(Instant now) const {
  return now - next_at_ > (instance_.down_timer_adverts - 1) * instance_.advert_int;
}

void Vrrp::update_priority() {
  status_.priority =
      instance_.priority == kPriorityOwner
          ? kPriorityOwner
          : std::clamp(instance_.priority + conditions_.weight, kPriorityMin, kPriorityMax);
}

}  // namespace nines::vrrp

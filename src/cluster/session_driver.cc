// The lease first: whatever this does comes after the address is up, announced, or gone.
#include "cluster/session_driver.h"

#include <algorithm>
#include <utility>

namespace nines::cluster {

namespace {

std::map<Name, std::vector<SocketAddress>> addresses_of(
    const std::map<Name, SessionDriver::Group>& groups) {
  std::map<Name, std::vector<SocketAddress>> addresses;
  for (const auto& [name, group] : groups) addresses[name] = group.addresses;
  return addresses;
}

}  // namespace

Result<std::unique_ptr<SessionDriver>> SessionDriver::create(
    std::map<Name, Group> groups, bool on, LeaseHolder& inner, std::function<bool(Name)> holds,
    SessionPeers& peers, io::Loop& loop, Clock clock, io::Log& log, Watch watch) {
  auto accepted = TRY(address::AcceptedCounter::open());
  std::unique_ptr<SessionDriver> driver(
      new SessionDriver(std::move(groups), on, inner, std::move(holds), peers, loop,
                        std::move(clock), log, std::move(accepted), watch));
  TRY(driver->make_worker());
  return driver;
}

// The kernel notes nothing for those who tell nobody.
std::optional<address::SessionWatch> SessionDriver::make_watch() {
  no_watch_.clear();
  if (!on_ || watch_ == Watch::kNever) return std::nullopt;
  std::vector<SocketAddress> addresses;
  for (const auto& [name, group] : groups_) {
    addresses.insert(addresses.end(), group.addresses.begin(), group.addresses.end());
  }
  auto made = address::SessionWatch::create(addresses, SessionTeller::kSessionsMax);
  if (made.has_value()) return *std::move(made);
  no_watch_ = made.error().message();
  log_.write(io::Severity::kNotice, "sessions on addresses are found by walks: " + no_watch_);
  return std::nullopt;
}

Result<void> SessionDriver::make_worker() {
  auto table = TRY(address::SessionTable::open());
  worker_.reset();
  looking_ = false;
  const auto post = [this](auto task) {
    loop_.post([alive = alive_, task = std::move(task)]() mutable {
      if (*alive) task();
    });
  };
  worker_ = std::make_unique<SessionWorker>(
      std::move(table), make_watch(), SessionTeller::kSessionsMax,
      SessionWorker::Told{.look =
                              [this, post](SessionWorker::Look look) {
                                post([this, look = std::move(look)]() mutable {
                                  looked(std::move(look));
                                });
                              },
                          .nudged =
                              [this, post](const SessionWorker::Nudged& each) {
                                post([this, each] { nudged(each); });
                              }});
  return {};
}

SessionDriver::SessionDriver(std::map<Name, Group> groups, bool on, LeaseHolder& inner,
                             std::function<bool(Name)> holds, SessionPeers& peers, io::Loop& loop,
                             Clock clock, io::Log& log, address::AcceptedCounter accepted,
                             Watch watch)
    : groups_(std::move(groups)),
      on_(on),
      inner_(inner),
      holds_(std::move(holds)),
      peers_(peers),
      loop_(loop),
      clock_(std::move(clock)),
      log_(log),
      accepted_(std::move(accepted)),
      watch_(watch),
      keeper_(addresses_of(groups_)) {}

SessionDriver::~SessionDriver() {
  *alive_ = false;
  worker_.reset();
}

void SessionDriver::hold(Name name, Epoch epoch, Instant until, bool renewed) {
  inner_.hold(name, epoch, until, renewed);
  if (!groups_.contains(name) || !holds_(name)) return;
  if (Epoch& known = held_[name]; known != epoch) {
    known = epoch;
    const Instant now = clock_();
    const auto before = keeper_.last_takeover();
    if (on_) teller_.held(name, epoch, now);
    keeper_.taken(name, epoch, now);
    look_soon();
    if (const auto& last = keeper_.last_takeover(); last && (!before || last->at != before->at)) {
      nudges_ = living_ = 0;
      log_.write(io::Severity::kNotice,
                 "(" + text_of(name) + ") " + std::to_string(last->sessions) +
                     " session(s) of its former holder are known, and their clients nudged",
                 {{"node", std::to_string(last->holder)}});
    }
  }
  run();
}

void SessionDriver::let_go(Name name) {
  inner_.let_go(name);
  if (held_.erase(name) == 0) return;
  teller_.let_go(name);
  keeper_.lost(name);
  worker_->forget_nudges();
  run();
}

void SessionDriver::heard(NodeId from, const SessionMessage& message) {
  if (!on_) return;
  keeper_.heard(from, message, clock_());
  run();
}

void SessionDriver::configure(bool on) {
  if (std::exchange(on_, on) == on) return;
  for (const auto& [name, epoch] : held_) {
    if (on) {
      teller_.held(name, epoch, clock_());
    } else {
      teller_.let_go(name);
    }
  }
  if (!on) {
    keeper_.forget_all();
    worker_->forget_nudges();
    left_out_ = 0;
  }
  if (const auto made = make_worker(); !made.has_value()) complain(made.error().message());
  look_soon();
  run();
}

void SessionDriver::look_soon() {
  counted_.reset();
  count_at_ = look_from_ = walked_at_ = Instant{};
  look_pause_ = look_every();
}

void SessionDriver::run() {
  const Instant now = clock_();
  look_if_due(now);
  messages_.clear();
  teller_.tell(now, messages_);
  for (const SessionMessage& message : messages_) peers_.tell(message);
  due_.clear();
  keeper_.pass(now, due_);
  if (!due_.empty()) worker_->nudge(due_);
  std::optional<Instant> next;
  const auto at = [&](Instant due) {
    if (!next || due < *next) next = due;
  };
  if (const auto due = teller_.deadline()) at(*due);
  if (const auto due = keeper_.deadline()) at(*due);
  if (on_ && !held_.empty()) at(count_at_ + kRenewalFirst);
  if (next) {
    loop_.arm(*this, *next);
  } else {
    cancel();
  }
}

void SessionDriver::look_if_due(Instant now) {
  if (!on_ || held_.empty() || now < count_at_) return;
  count_at_ = now + look_every();
  if (looking_ || now < look_from_) return;
  const auto count = worker_->watches() ? worker_->accepted() : accepted_.read();
  const bool walk = walked_at_ == Instant{} || now - walked_at_ >= kLookAnyway;
  if (count && count == counted_ && !walk) return;
  // What is accepted from here on counts for the next look.
  counted_ = count;
  looked_at_ = now;
  if (walk || !worker_->watches()) walked_at_ = now;
  looking_ = true;
  std::vector<SocketAddress> addresses;
  for (const auto& [name, epoch] : held_) {
    const auto& own = groups_.at(name).addresses;
    addresses.insert(addresses.end(), own.begin(), own.end());
  }
  worker_->look(std::move(addresses), walk);
}

void SessionDriver::looked(SessionWorker::Look look) {
  looking_ = false;
  look_cost_ = look.cost;
  wait_after(look);
  if (!look.error.empty()) return complain(look.error);
  problem_.clear();
  if (!on_) return;
  left_out_ = look.left_out;
  std::map<Name, std::vector<SessionTuple>> sessions;
  for (const auto& [name, epoch] : held_) sessions[name];
  // In the order of their own addresses, and so it stays.
  std::vector<SessionTuple>* of_name = nullptr;
  for (std::size_t i = 0; i < look.sessions.size(); ++i) {
    const SessionTuple& session = look.sessions[i];
    if (i == 0 || !session.is_on_address_of(look.sessions[i - 1])) {
      const auto held = held_.find(name_of(session));
      of_name = held == held_.end() ? nullptr : &sessions[held->first];
    }
    if (of_name != nullptr) of_name->push_back(session);
  }
  const Instant now = clock_();
  bool changed = false;
  for (auto& [name, each] : sessions) {
    changed = teller_.seen(name, std::move(each), now) || changed;
  }
  // Where the count is of others as well it says little, and less each time.
  const Duration most = teller_.sessions() > 0 ? kLookPauseMax : kLookPauseMaxAtNone;
  look_pause_ = changed || worker_->watches() ? look_every() : std::min(2 * look_pause_, most);
  wait_after(look);
  run();
}

// A walk among looks that need none has a pause of its own, kLookAnyway.
void SessionDriver::wait_after(const SessionWorker::Look& look) {
  const bool is_rare = look.walked && worker_->watches();
  look_from_ = looked_at_ + std::max(look_pause_, is_rare ? Duration{} : kLookShare * look.cost);
}

// 0: none that this node may hold.
Name SessionDriver::name_of(const SessionTuple& session) const {
  const SocketAddress local = session.local_address().with_port(0);
  for (const auto& [name, group] : groups_) {
    if (std::find(group.addresses.begin(), group.addresses.end(), local) != group.addresses.end()) {
      return name;
    }
  }
  return 0;
}

void SessionDriver::nudged(const SessionWorker::Nudged& nudged) {
  nudges_ += nudged.nudged;
  living_ += nudged.living;
  if (!nudged.error.empty()) complain(nudged.error);
}

void SessionDriver::complain(const std::string& error) {
  problem_ = error;
  const Instant now = clock_();
  if (complained_at_ != Instant{} && now - complained_at_ < kComplaintEvery) return;
  complained_at_ = now;
  log_.write(io::Severity::kError, "sessions on addresses: " + error);
}

SessionReport SessionDriver::report() const {
  SessionReport report;
  report.on = on_;
  report.told = teller_.sessions();
  report.left_out = left_out_;
  report.look_cost = look_cost_;
  report.problem = problem_;
  report.no_watch = no_watch_;
  report.known = keeper_.known();
  report.heard = keeper_.counters();
  report.takeover = keeper_.last_takeover();
  report.nudges = nudges_;
  report.living = living_;
  return report;
}

std::string SessionDriver::text_of(Name name) const {
  const auto found = groups_.find(name);
  return found == groups_.end() ? std::string() : found->second.text;
}

}  // namespace nines::cluster

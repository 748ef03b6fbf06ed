// One ServerCheck for each server binds a machine, a probe and a connection together. Order after
// each event: effects on the connection, shared state, backend, observer.
#include "proxy/health_driver.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "proxy/check_probe.h"
#include "proxy/galera_check.h"

namespace nines::proxy {
namespace {

// HAProxy: servers with a shorter interval than this do not press the others closer together.
constexpr Duration kSpreadIntervalMin = std::chrono::seconds(1);

SocketAddress check_target(const ServerConfig& config) {
  if (!config.address.is_ip() && !config.check_address) return config.address;
  const std::uint16_t port = config.check_port.value_or(config.address.port());
  return (config.check_address ? *config.check_address : config.address).with_port(port);
}

}  // namespace

// Owned by the driver; lives on its loop.
class HealthDriver::ServerCheck final : public Timer, public io::StreamHandler {
 public:
  ServerCheck(HealthDriver& driver, const Proxy& proxy, const Server& server)
      : driver_(driver),
        proxy_(&proxy),
        server_(&server),
        target_(check_target(*server.config)),
        checked_(server.config->check),
        machine_(CheckTiming::of(driver.generation_->config.global, *proxy.config, *server.config),
                 server.config->check && !server.state->checks_paused, server.state->maintenance,
                 base::Rng(driver.rng_.next())),
        probe_(proxy.config->check) {}

  ~ServerCheck() override {
    if (stream_ != nullptr) stream_->abort();
  }

  bool checked() const { return checked_; }
  const Proxy& proxy() const { return *proxy_; }
  const Server& server() const { return *server_; }
  ServerState& state() { return *server_->state; }
  CheckMachine& machine() { return machine_; }
  const CheckMachine& machine() const { return machine_; }

  // The same server in a new generation.
  void move_to(const Proxy& proxy, const Server& server) {
    proxy_ = &proxy;
    server_ = &server;
    const Instant now = driver_.loop_.now();
    CheckTiming timing =
        CheckTiming::of(driver_.generation_->config.global, *proxy.config, *server.config);
    SocketAddress target = check_target(*server.config);
    const bool changed = target != target_ || proxy.config->check != probe_.config();
    if (changed) {
      handle(CheckEvent::Kind::kRestart);
      target_ = std::move(target);
      probe_ = CheckProbe(proxy.config->check);
      proven_until_ = counted_ = {};
      is_told_ = false;
    }
    if (timing != machine_.timing()) machine_.set_timing(std::move(timing), now);
    if (state().maintenance != in_maintenance_) {
      in_maintenance_ = state().maintenance;
      handle(in_maintenance_ ? CheckEvent::Kind::kEnterMaintenance
                             : CheckEvent::Kind::kLeaveMaintenance);
    }
    update_checks();
    rearm();
  }

  void start(Duration delay) {
    in_maintenance_ = state().maintenance;
    checks_on_ = checked_ && !state().checks_paused;
    CheckEvent event{CheckEvent::Kind::kStart};
    event.delay = delay;
    handle(event);
  }

  // "check" of the configuration and "disable health" of the operator together.
  void update_checks() {
    const bool on = checked_ && !state().checks_paused;
    if (on == checks_on_) return;
    checks_on_ = on;
    handle(on ? CheckEvent::Kind::kEnableChecks : CheckEvent::Kind::kDisableChecks);
  }

  void set_maintenance(bool maintenance) {
    if (maintenance == in_maintenance_) return;
    in_maintenance_ = maintenance;
    handle(maintenance ? CheckEvent::Kind::kEnterMaintenance : CheckEvent::Kind::kLeaveMaintenance);
  }

  // The manager's word on this server is a new one.
  bool is_of(const SocketAddress& member) const { return asks_member() && target_ == member; }
  void on_word() {
    const node::MemberWord* const word = driver_.find_word(target_);
    const bool is_bad = word != nullptr && (word->kind == node::MemberWord::Kind::kDoubt ||
                                            (word == fresh_word() && !judge(*word).passed()));
    handle(is_bad ? CheckEvent::Kind::kHasten : CheckEvent::Kind::kTick);  // it may have waited
  }
  bool asks_member() const { return checked_ && probe_.config().kind == CheckKind::kGalera; }
  bool is_told() const { return is_told_; }

  void handle(CheckEvent::Kind kind) { handle(CheckEvent{kind}); }

  void handle(const CheckEvent& event) {
    CheckEffects effects;
    machine_.handle(event, driver_.loop_.now(), effects);
    if (effects.abort) drop_connection(true);
    if (effects.start) begin();
    publish(effects);
    rearm();
  }

 private:
  void rearm() {
    auto deadline = machine_.deadline();
    if (!deadline) return cancel();
    // One word is one attempt: the next one is worth waiting for while this one is young.
    const node::MemberWord* const word = fresh_word();
    if (word != nullptr && checks_on_ && !machine_.status().running && !machine_.evidence() &&
        word->asked <= counted_ && counts(judge(*word))) {
      deadline = std::max(*deadline, word->asked + kWordAgeMax);
    }
    driver_.loop_.arm(*this, *deadline);
  }

  // -- The manager's word ------------------------------------------------------------------------

  CheckOutcome judge(const node::MemberWord& word) const {
    return judge_galera(
        {.ready = word.ready,
         .local_state = word.local_state,
         .cluster_status = word.cluster_status},
        probe_.config().donor_is_available ? DonorPolicy::kAvailable : DonorPolicy::kUnavailable);
  }

  // What the member said, when it was asked not too long ago.
  const node::MemberWord* fresh_word() const {
    if (!asks_member()) return nullptr;
    const node::MemberWord* const word = driver_.find_word(target_);
    if (word == nullptr || word->kind != node::MemberWord::Kind::kSays) return nullptr;
    const Instant now = driver_.loop_.now();
    return word->asked <= now && now - word->asked <= kWordAgeMax ? word : nullptr;
  }

  bool counts(const CheckOutcome& outcome) const {
    return !outcome.passed() || driver_.loop_.now() < proven_until_;
  }

  // The attempt's result without a connection of its own. Not while traffic says that the server is
  // gone: the word is older, and came another way.
  std::optional<CheckOutcome> told_outcome() {
    if (!asks_member()) return std::nullopt;
    const node::MemberWord* const word = fresh_word();
    set_told(word != nullptr);
    if (word == nullptr || machine_.evidence() || word->asked <= counted_) return std::nullopt;
    CheckOutcome outcome = judge(*word);
    if (!counts(outcome)) return std::nullopt;
    counted_ = word->asked;
    outcome.info += ", as the manager heard " +
                    std::to_string(milliseconds_of(driver_.loop_.now() - word->asked)) + " ms ago";
    return outcome;
  }

  void set_told(bool is_told) {
    if (std::exchange(is_told_, is_told) != is_told) driver_.tell_verdicts();
  }

  // -- An attempt --------------------------------------------------------------------------------

  void begin() {
    if (std::optional<CheckOutcome> outcome = told_outcome()) {
      CheckEvent event{CheckEvent::Kind::kOutcome};
      event.outcome = *std::move(outcome);
      return handle(event);
    }
    probe_.begin();
    io::ConnectOptions options;
    options.peer_may_speak_first = probe_.server_speaks_first();
    stream_ = &driver_.loop_.connect(target_, options, *this);
  }

  // With a reset after a plain connect or in the middle of an attempt: nothing more is owed to the
  // server, and no socket stays in TIME_WAIT for each check (HAProxy does so too).
  void drop_connection(bool reset) {
    if (stream_ == nullptr) return;
    io::Stream* stream = std::exchange(stream_, nullptr);
    reset ? stream->abort() : stream->close();
  }

  void conclude(CheckOutcome outcome) {
    drop_connection(probe_.config().kind == CheckKind::kConnect);
    if (outcome.passed()) proven_until_ = driver_.loop_.now() + kProofLasts;
    CheckEvent event{CheckEvent::Kind::kOutcome};
    event.outcome = std::move(outcome);
    handle(event);
  }

  void send_what_is_due() {
    if (stream_ != nullptr && !probe_.to_send().empty()) stream_->send(probe_.to_send());
  }

  // StreamHandler
  void on_connected(io::Stream&) override {
    handle(CheckEvent::Kind::kConnected);
    if (stream_ == nullptr) return;
    std::optional<CheckOutcome> verdict = probe_.on_connected();
    if (verdict) {
      conclude(*std::move(verdict));
    } else {
      send_what_is_due();
    }
  }

  void on_data(io::Stream&, io::LentBytes bytes) override {
    std::optional<CheckOutcome> verdict = probe_.on_data(bytes.view());
    send_what_is_due();
    if (verdict) conclude(*std::move(verdict));
  }

  void on_end(io::Stream&) override { conclude(probe_.on_end()); }
  void on_failed(io::Stream&, const Error& error) override { conclude(probe_.on_failed(error)); }
  void on_timer(Instant) override { handle(CheckEvent::Kind::kTick); }

  void publish(const CheckEffects& effects) {
    ServerState& shared = state();
    const CheckState& found = machine_.status();
    if (checked_) {
      shared.health = found.health;
      shared.check_failures = found.failures;
    }
    if (effects.clear_suspect) shared.suspect = false;
    if (!effects.outcome) return;
    if (!found.last.passed()) proven_until_ = {};
    shared.check_status = found.last.status;
    shared.check_code = found.last.code;
    shared.check_errno = found.last.error_number;
    shared.check_duration_ms = milliseconds_of(found.last.duration);
    if (effects.report && proxy_->config->log_health_checks) {
      driver_.log(*proxy_, describe_check(*proxy_, *server_, found));
    }
    if (effects.change != CheckEffects::Change::kNone) {
      driver_.on_health_change(*this, HealthCause::kCheck);
    }
  }

  HealthDriver& driver_;
  const Proxy* proxy_;
  const Server* server_;
  SocketAddress target_;
  const bool checked_;  // by the configuration
  bool in_maintenance_ = false;
  bool checks_on_ = false;
  CheckMachine machine_;
  CheckProbe probe_;
  io::Stream* stream_ = nullptr;  // of the attempt under way
  Instant proven_until_{};        // an attempt of its own found it good
  Instant counted_{};             // the manager's word of this instant was a result already
  bool is_told_ = false;          // the last attempt could have been, or was, answered by a word
};

HealthDriver::HealthDriver(io::Loop& loop, HealthObserver& observer, base::Rng rng)
    : loop_(loop), observer_(observer), rng_(rng) {}

HealthDriver::~HealthDriver() = default;

void HealthDriver::adopt(std::shared_ptr<const Generation> generation) {
  const std::shared_ptr<const Generation> before =
      std::exchange(generation_, std::move(generation));
  generation_->settle(loop_.now());
  std::vector<std::unique_ptr<ServerCheck>> old = std::exchange(checks_, {});
  const auto old_index = std::exchange(index_, {});
  std::vector<ServerCheck*> fresh;
  for (const Proxy& proxy : generation_->proxies) {
    if (proxy.config->disabled) continue;
    for (const Server& server : proxy.servers) {
      const auto found = old_index.find(server.state.get());
      // A server that is checked only now, or no more, begins anew.
      if (found != old_index.end() && old[found->second]->checked() == server.config->check) {
        checks_.push_back(std::move(old[found->second]));
        checks_.back()->move_to(proxy, server);
      } else {
        checks_.push_back(std::make_unique<ServerCheck>(*this, proxy, server));
        fresh.push_back(checks_.back().get());
      }
      index_[server.state.get()] = checks_.size() - 1;
    }
  }
  start_new_checks(fresh);
  tell_verdicts();
}

// Over the smallest interval of those that are not very short, in the text's order; each over its
// own if that is longer (HAProxy's start_checks).
void HealthDriver::start_new_checks(const std::vector<ServerCheck*>& fresh) {
  const auto first_interval = [](const CheckTiming& timing) {
    return timing.fall == 1 ? timing.inter : timing.fastinter.value_or(timing.inter);
  };
  std::int64_t count = 0;
  Duration least{};
  for (const ServerCheck* check : fresh) {
    if (!check->server().config->check) continue;
    ++count;
    const Duration interval = first_interval(check->machine().timing());
    if (interval >= kSpreadIntervalMin && (least == Duration{} || interval < least)) {
      least = interval;
    }
  }
  std::int64_t position = 0;
  for (ServerCheck* check : fresh) {
    Duration delay{};
    if (check->server().config->check) {
      const Duration span = std::max(least, first_interval(check->machine().timing()));
      delay = span * position++ / count;
    }
    check->start(delay);
  }
}

void HealthDriver::stop() {
  index_.clear();
  checks_.clear();
}

HealthDriver::ServerCheck* HealthDriver::find(const ServerState& server) {
  const auto found = index_.find(&server);
  return found != index_.end() ? checks_[found->second].get() : nullptr;
}

const CheckState* HealthDriver::find_check(const ServerState& server) const {
  const auto found = index_.find(&server);
  return found != index_.end() ? &checks_[found->second]->machine().status() : nullptr;
}

std::size_t HealthDriver::running() const {
  return static_cast<std::size_t>(
      std::count_if(checks_.begin(), checks_.end(),
                    [](const auto& check) { return check->machine().status().running; }));
}

void HealthDriver::on_traffic_failure(const ServerState& server) {
  if (ServerCheck* check = find(server)) check->handle(CheckEvent::Kind::kTrafficFailure);
}

void HealthDriver::on_traffic_failure(const Generation& generation, int proxy, int server) {
  on_traffic_failure(*generation.proxies[static_cast<std::size_t>(proxy)]
                          .servers[static_cast<std::size_t>(server)]
                          .state);
}

// ---- The manager's words -----------------------------------------------------------------------

void HealthDriver::take_word(const node::MemberWord& word) {
  if (word.kind == node::MemberWord::Kind::kGone) return words_.clear();
  const auto found = words_.find(word.member);
  if (found == words_.end() && words_.size() >= kWordsMax) return;
  words_[word.member] = word;
  for (const auto& check : checks_) {
    if (check->is_of(word.member)) check->on_word();
  }
}

const node::MemberWord* HealthDriver::find_word(const SocketAddress& member) const {
  const auto found = words_.find(member);
  return found != words_.end() ? &found->second : nullptr;
}

void HealthDriver::tell_verdicts() {
  std::string lines;
  for (const auto& check : checks_) {
    if (!check->asks_member()) continue;
    const std::string line = std::string(check->is_told() ? "manager " : "own ") +
                             check->proxy().config->name + '/' + check->server().config->name +
                             '\n';
    if (lines.size() + line.size() > kVerdictsMax) break;
    lines += line;
  }
  if (lines == verdicts_) return;
  verdicts_ = lines;
  observer_.on_verdicts(lines);
}

void HealthDriver::log(const Proxy& proxy, const LogLine& line) {
  observer_.on_health_log(proxy, line.level, line.text);
}

void HealthDriver::refresh(const Proxy& proxy) {
  switch (refresh_backend(proxy, loop_.now())) {
    case BackendChange::kNone:
      break;
    case BackendChange::kWentDown:
      log(proxy, describe_backend_down(proxy));
      observer_.on_backend_down(proxy);
      break;
    case BackendChange::kCameUp:
      observer_.on_backend_up(proxy);
      break;
  }
}

// The machine has decided; everybody else hears it from here.
void HealthDriver::on_health_change(ServerCheck& check, HealthCause cause) {
  const Proxy& proxy = check.proxy();
  const Server& server = check.server();
  const CheckState& found = check.machine().status();
  HealthTransition transition;
  transition.up = found.up;
  transition.cause = cause;
  transition.decided = loop_.now();
  transition.detected = cause == HealthCause::kCheck ? found.detected : transition.decided;
  transition.outcome = found.last;
  apply_change(*server.state, {.up = found.up}, loop_.now());
  const BackendCounts counts = BackendCounts::of(proxy);
  log(proxy, found.up ? describe_server_up(proxy, server, cause, found.last, counts)
                      : describe_server_down(proxy, server, cause, found.last, counts));
  refresh(proxy);
  observer_.on_transition(proxy, server, transition);
  found.up ? observer_.on_server_up(proxy, server) : observer_.on_server_down(proxy, server);
}

void HealthDriver::set_state(const Server& server, AdminState wanted) {
  ServerCheck* check = find(*server.state);
  if (check == nullptr) return;
  const Proxy& proxy = check->proxy();
  ServerState& state = *server.state;
  const bool maintenance = wanted == AdminState::kMaintenance;
  const bool draining = wanted == AdminState::kDrain;
  const bool was_down = !state.up;
  const bool was_maintenance = state.maintenance;
  const bool was_draining = state.draining;
  if (maintenance == was_maintenance && draining == was_draining) return;
  check->set_maintenance(maintenance);
  ServerChange change{.maintenance = maintenance, .draining = draining};
  if (was_maintenance && !maintenance) change.up = check->machine().status().up;
  if (maintenance && !was_maintenance) {
    apply_change(state, change, loop_.now());
    log(proxy, describe_enter_maintenance(proxy, server, was_down, was_draining,
                                          BackendCounts::of(proxy)));
  } else {
    apply_change(state, change, loop_.now());
    if (was_maintenance) {
      log(proxy, describe_leave_maintenance(proxy, server));
    } else if (draining) {
      log(proxy, describe_enter_drain(proxy, server, BackendCounts::of(proxy)));
    } else {
      log(proxy, describe_leave_drain(proxy, server));
    }
  }
  refresh(proxy);
  const bool down_before = was_down || was_maintenance;
  const bool down_now = !state.up || state.maintenance;
  if (down_now && !down_before) observer_.on_server_down(proxy, server);
  if (down_before && !down_now) observer_.on_server_up(proxy, server);
}

void HealthDriver::set_weight(const Server& server, int weight) {
  ServerCheck* check = find(*server.state);
  if (check == nullptr) return;
  server.state->weight = weight;
  refresh(check->proxy());
}

void HealthDriver::set_checks(const Server& server, bool enabled) {
  ServerCheck* check = find(*server.state);
  if (check == nullptr) return;
  server.state->checks_paused = !enabled;
  check->update_checks();
}

void HealthDriver::set_health(const Server& server, bool up) {
  ServerCheck* check = find(*server.state);
  if (check == nullptr) return;
  const bool was_up = check->machine().status().up;
  check->handle(up ? CheckEvent::Kind::kForceUp : CheckEvent::Kind::kForceDown);
  if (was_up != up) on_health_change(*check, HealthCause::kOperator);
}

}  // namespace nines::proxy

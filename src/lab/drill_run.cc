// One scenario after the other:
//   kSettle (the engines as a lab begins) --> kWarmUp --all is well--> kWatch (a phase; its act at
//   the start) --> ... --> kDrain --no session left--> kAudit (of tokens) --> its reports, and
//   kSettle of the next
#include "lab/drill_run.h"

#include <algorithm>
#include <csignal>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "lab/address_probe.h"
#include "lab/balancer_looker.h"
#include "lab/balancer_watch.h"
#include "lab/drill_lab.h"
#include "lab/drill_load.h"
#include "lab/drill_peers.h"
#include "lab/held_conditions.h"
#include "lab/ownership_recorder.h"

namespace nines::lab {
namespace {

constexpr Duration kTick = 10ms;  // between two looks at where the drill stands
constexpr Duration kWarmUpMin = 1s;
constexpr Duration kWarmUpMax = 40s;  // for all to be up again after the drill before
constexpr Duration kWarmUpOfRealMax = 120s;
constexpr Duration kHealthInterval = 200ms;
constexpr Duration kViewAgeMax = 1s;
constexpr Duration kDrainMax = 3s;
constexpr Duration kAuditMax = 20s;
constexpr Duration kLast = 1s;  // of a phase: what holds at its end is what held then
constexpr std::string_view kIdentityProxy = "keystone_internal";
constexpr std::string_view kBrokenLines =
    "\nlisten broken\n    bind nowhere\n    no-such-keyword\n";

std::string_view verb_of(Act act) {
  switch (act) {
    case Act::kNothing:
      break;
    case Act::kMute:
      return "mute";
    case Act::kDeafen:
      return "deafen";
    case Act::kKill:
      return "kill";
    case Act::kStart:
      return "start";
    case Act::kPause:
      return "pause";
    case Act::kResume:
      return "resume";
    case Act::kStop:
      return "stop";
    case Act::kCrash:
      return "crash";
    case Act::kBoot:
      return "boot";
    case Act::kCut:
      return "cut";
    case Act::kIsolate:
      return "isolate";
    case Act::kHeal:
      return "heal";
    case Act::kFreeze:
    case Act::kThaw:
      return "";  // several at once
    case Act::kDropAddress:
      return "drop-address";
    case Act::kSwallow:
    case Act::kDeliver:
    case Act::kFlush:
    case Act::kBootstrap:
      return "";  // not the keeper's
    case Act::kReload:
    case Act::kBreakConfiguration:
    case Act::kRestoreConfiguration:
      return "reload";
  }
  return "";
}

bool breaks_a_host(Act act) {
  return act == Act::kKill || act == Act::kPause || act == Act::kStop || act == Act::kCrash ||
         act == Act::kCut || act == Act::kIsolate || act == Act::kMute || act == Act::kDeafen ||
         act == Act::kFreeze;
}

bool mends_a_host(Act act) {
  return act == Act::kStart || act == Act::kResume || act == Act::kBoot || act == Act::kHeal ||
         act == Act::kThaw;
}

// What the recorder cannot see by itself.
std::optional<OwnershipEvent::Kind> ownership_event_of(Act act) {
  switch (act) {
    case Act::kCrash:
      return OwnershipEvent::Kind::kDied;
    case Act::kBoot:
      return OwnershipEvent::Kind::kReturned;
    case Act::kIsolate:
    case Act::kMute:
    case Act::kDeafen:
    case Act::kFreeze:
      return OwnershipEvent::Kind::kCut;
    case Act::kHeal:
    case Act::kThaw:
      return OwnershipEvent::Kind::kHealed;
    default:
      return std::nullopt;
  }
}

// Only a cluster calls a controller dead.
void forget_rules(Expectation& expected) {
  expected.rules_after_max.reset();
  expected.no_rule_begins = false;
  expected.rule_gone_max.reset();
  expected.verdicts_max.reset();
}

class DrillRun final : private Timer {
 public:
  DrillRun(const DrillWishes& wishes, DrillLab lab, io::EpollLoop& loop,
           std::vector<LoadTarget> targets, SocketAddress echo, std::unique_ptr<DrillPeers> peers)
      : wishes_(wishes),
        lab_(std::move(lab)),
        loop_(loop),
        load_(loop, std::move(targets)),
        probe_(loop, std::move(echo)),
        peers_(std::move(peers)),
        views_(lab_.hosts().size()),
        looker_(
            loop, sockets_of(lab_), [this] { return choose(); },
            [this](std::size_t host, const BalancerView& view, Instant at) {
              on_view(host, view, at);
            }) {
    for (const auto& host : lab_.hosts()) tails_.emplace_back(host.log);
    for (const auto* each : wishes_.scenarios) {
      scenarios_.push_back(scenario_for(*each, lab_.services()));
    }
  }

  Result<void> begin() {
    TRY(probe_.begin());
    begin_scenario();
    return {};
  }
  Result<std::vector<PhaseReport>> result() {
    if (error_) return *std::move(error_);
    return std::move(reports_);
  }
  void interrupt() { give_up(Error(ErrorCode::kRefused, "interrupted")); }

 private:
  enum class Step : std::uint8_t { kSettle, kWarmUp, kWatch, kDrain, kAudit };

  struct HostView {
    BalancerView view;
    Instant at;
  };

  static std::vector<std::string> sockets_of(const DrillLab& lab) {
    std::vector<std::string> paths;
    for (const auto& host : lab.hosts()) paths.push_back(host.runtime_socket);
    return paths;
  }

  const Scenario& scenario() const { return scenarios_[scenario_]; }
  bool is_real() const { return has_real_services(lab_.services()); }
  const Phase& phase() const { return scenario().phases[phase_]; }

  std::optional<std::size_t> holder_index() const {
    for (std::size_t i = 0; i < lab_.hosts().size(); ++i) {
      if (lab_.hosts()[i].name == probe_.holder()) return i;
    }
    return std::nullopt;
  }

  // All in turns before a fault; then whoever has the address.
  std::size_t choose() {
    if (step_ != Step::kWatch) looked_at_ = (looked_at_ + 1) % lab_.hosts().size();
    if (step_ == Step::kWatch) looked_at_ = holder_index().value_or(looked_at_);
    return looked_at_;
  }

  void on_view(std::size_t host, const BalancerView& view, Instant at) {
    views_[host] = {.view = view, .at = at};
    if (step_ == Step::kWatch && host == holder_index()) watch_.on_view(view, at);
  }

  void begin_scenario() {
    step_ = Step::kSettle;
    if (scenario_ < scenarios_.size()) {
      wishes_.progress(std::string(scenario().name) + ": " + std::string(scenario().what));
    }
    loop_.arm(*this, kTick);
  }

  void on_timer(Instant now) override {
    loop_.arm(*this, now + kTick);
    const auto holder = holder_index();
    for (std::size_t i = 0; i < tails_.size(); ++i) {
      tails_[i].read([&](const LogLine& line) {
        if (i == holder) watch_.on_log_line(line.text, line.at);
      });
    }
    if (scenario_ < scenarios_.size() && scenario().watches_peers) peers_->read(now);
    switch (step_) {
      case Step::kSettle:
        return settle();
      case Step::kWarmUp:
        return warm_up(now);
      case Step::kWatch:
        return watch(now);
      case Step::kDrain:
        return drain(now);
      case Step::kAudit:
        return audit(now);
    }
  }

  // Blocks: nothing is measured meanwhile.
  void settle() {
    const bool last = scenario_ == scenarios_.size();
    if (auto settled = settle_engines(last ? std::string_view() : scenario().holder_at_start);
        !settled.has_value()) {
      return give_up(std::move(settled).error());
    }
    if (last) return loop_.stop();
    step_ = Step::kWarmUp;
    step_begun_ = {};
    well_since_.reset();
    phase_ = 0;
    pending_.clear();
    victims_.clear();
    probe_.forget();
    load_.start(scenario().pace);
    if (scenario().watches_peers) peers_->begin();
  }

  Result<void> settle_engines(std::string_view holder) {
    if (engines_broken_) TRY(lab_.repair());
    // Who was called dead before is given more time the next time.
    const bool peers = scenario_ < scenarios_.size() && scenario().watches_peers;
    if (peers && lab_.engine() == EngineKind::kLease) TRY(lab_.restart_engines());
    bool wanted = engines_broken_;
    if (!wanted && !holder.empty() && lab_.moves_the_address()) {
      wanted = TRY(lab_.health()).holders != std::vector<std::string>{std::string(holder)};
    }
    if (wanted) TRY(lab_.settle(holder));
    engines_broken_ = false;
    return {};
  }

  // Empty when all is well; else what is not, for people.
  std::string not_well(Instant now) {
    for (std::size_t i = 0; i < load_.targets().size(); ++i) {
      const auto& records = load_.records(i);
      const std::string proxy(load_.targets()[i].name());
      if (records.empty()) return proxy + " does not answer";
      if (records.back().outcome != Outcome::kSuccess) {
        return proxy + " fails (" + std::string(records.back().reason) + ')';
      }
    }
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const std::string& host = lab_.hosts()[i].name;
      if (now > views_[i].at + kViewAgeMax) {
        return "the runtime socket of " + host + " does not answer";
      }
      for (const auto& [name, server] : views_[i].view.servers) {
        // Where frames are lost checks fail, and servers come and go: that is what is wished for.
        const bool is_up = server.status == "UP" || wishes_.conditions.loss > 0;
        if (!is_up && server.status != "no check") {
          return host + ": " + name + ' ' + server.status;
        }
      }
    }
    if (now < health_asked_at_ + kHealthInterval) return trouble_;
    health_asked_at_ = now;
    const auto health = lab_.health();
    trouble_ = health.has_value() ? health->trouble : health.error().message();
    if (health.has_value()) scheduling_ = health->scheduling;
    if (trouble_.empty() &&
        health->holders != std::vector<std::string>{std::string(probe_.holder())}) {
      trouble_ = "the address is at " + render_holders(health->holders) + ", and " +
                 (probe_.holder().empty() ? "nobody" : std::string(probe_.holder())) + " answers";
    }
    return trouble_;
  }

  void warm_up(Instant now) {
    if (step_begun_ == Instant{}) {
      step_begun_ = now;
      health_asked_at_ = {};
    }
    if (now - step_begun_ < kWarmUpMin) return;
    const std::string trouble = not_well(now);
    if (!trouble.empty()) well_since_.reset();
    if (trouble.empty() && !well_since_) well_since_ = now;
    if (well_since_ && now - *well_since_ >= wishes_.shift) return begin_phase();
    if (now - step_begun_ > (is_real() ? kWarmUpOfRealMax : kWarmUpMax)) {
      give_up(Error(ErrorCode::kUnavailable, "the lab is not well: " + trouble));
    }
  }

  std::string resolve(std::string_view host) const {
    if (host == kHolder) return std::string(probe_.holder());
    if (host == kVictim) return victims_.empty() ? std::string() : victims_.back();
    return std::string(host);
  }

  void begin_phase() {
    step_ = Step::kWatch;
    moved_at_.reset();
    last_before_move_ = probe_.last_at();
    sessions_at_.reset();
    rules_settled_at_.reset();
    holder_before_ = probe_.holder();
    lasting_broken_before_ = load_.lasting_broken();
    const Instant now = loop_.now();
    watch_.begin(phase().proxy, resolve(phase().server), phase().change, now);
    // The state before: only changes from it are signs.
    if (const auto holder = holder_index()) watch_.on_view(views_[*holder].view, now);
    auto at = perform(phase());
    if (!at.has_value()) return give_up(std::move(at).error().with_context(phase().name));
    step_begun_ = *at;
  }

  // The instant at which it was begun, by the keeper's clock, which is ours.
  Result<Instant> perform(const Phase& each) {
    engines_broken_ = engines_broken_ || scenario().needs_engine;
    if (each.act == Act::kBreakConfiguration) {
      TRY(lab_.write_configuration(lab_.configuration() + std::string(kBrokenLines)));
    } else if (each.act == Act::kRestoreConfiguration) {
      TRY(lab_.write_configuration(lab_.configuration()));
    }
    broken_hosts_.clear();
    std::vector<std::string> hosts = {resolve(each.host)};
    if (!each.and_host.empty()) hosts.push_back(resolve(each.and_host));
    std::optional<Instant> first;
    if (each.act == Act::kNothing) return loop_.now();
    for (const auto& host : hosts) {
      const Instant at = TRY(act(each, host));
      if (!first) first = at;
      if (breaks_a_host(each.act) && !each.mends_itself) victims_.push_back(host);
      if (mends_a_host(each.act)) std::erase(victims_, host);
      if (const auto kind = ownership_event_of(each.act)) {
        acts_.push_back({.kind = *kind, .at = at, .host = host});
      }
      broken_hosts_ += broken_hosts_.empty() ? host : '+' + host;
    }
    if (scenario().watches_peers) peers_->on_act(each, hosts, *first);
    return *first;
  }

  Result<Instant> act(const Phase& each, const std::string& host) {
    switch (each.act) {
      case Act::kSwallow:
      case Act::kDeliver:
        return lab_.swallow(host, each.service, each.act == Act::kSwallow);
      case Act::kFlush:
        return lab_.flush_filter(host);
      case Act::kBootstrap:
        return lab_.bootstrap(host);
      case Act::kFreeze:
        return lab_.freeze(host);
      case Act::kThaw:
        return lab_.thaw(host);
      default:
        return lab_.act(verb_of(each.act), host, each.service);
    }
  }

  void watch(Instant now) {
    if (!moved_at_ && probe_.holder() != holder_before_) moved_at_ = probe_.last_at();
    if (!moved_at_) last_before_move_ = probe_.last_at();
    std::optional<Instant> settled;
    if (phase().change != ServerChange::kNone) {
      const auto decided = watch_.decided();
      const auto acted = watch_.acted();
      if (decided && acted) settled = std::max(*decided, *acted);
    }
    if (phase().until_moved) settled = moved_at_;
    if (phase().until_sessions && !sessions_at_ && moved_at_ &&
        load_.lasting_nodes(*moved_at_).size() > 0) {
      sessions_at_ = now;
    }
    if (phase().until_sessions) settled = sessions_at_;
    if (phase().until_rules) {
      if (!rules_settled_at_ && peers_->is_settled()) rules_settled_at_ = now;
      settled = rules_settled_at_;
    }
    if (settled && now > *settled + phase().tail + wishes_.shift) return end_phase(now);
    if (now - step_begun_ >= phase().watch_max + wishes_.shift) end_phase(now);
  }

  std::set<std::string> names_of(const std::set<int>& nodes) const {
    std::set<std::string> names;
    for (const int node : nodes) names.insert(load_.nodes()[static_cast<std::size_t>(node)]);
    return names;
  }

  void end_phase(Instant now) {
    Measured measured{.window = {.begin = step_begun_, .end = now}, .report = {}};
    if (phase().act == Act::kStop && moved_at_) {
      measured.window.move = {.after = last_before_move_, .before = *moved_at_};
    }
    auto& report = measured.report;
    report.scenario = scenario().name;
    report.phase = phase().name;
    report.watched_proxy = phase().proxy;
    report.length = now - step_begun_;
    report.change_expected = phase().change != ServerChange::kNone;
    report.same_process = watch_.same_process();
    report.scheduling = scheduling_;
    report.host = broken_hosts_;
    report.holder_before = holder_before_;
    report.holder_after = probe_.holder();
    report.sessions_broken = load_.lasting_broken() - lasting_broken_before_;
    tell_hazards(now, report);
    const auto after = [&](std::optional<Instant> at) -> std::optional<Duration> {
      if (!at) return std::nullopt;
      return std::max(Duration(0), *at - step_begun_);
    };
    report.detected = after(watch_.detected());
    report.decided = after(watch_.decided());
    report.acted = after(watch_.acted());
    if (scenario().watches_peers) report.peers = peers_->report(measured.window);
    pending_.push_back(std::move(measured));
    if (++phase_ < scenario().phases.size()) return begin_phase();
    step_ = Step::kDrain;
    step_begun_ = now;
    load_.stop();
    if (scenario().watches_peers) peers_->end();
  }

  // Who answers now, and whether sessions that last write elsewhere than new ones.
  void tell_hazards(Instant now, PhaseReport& report) const {
    const Window last{.begin = now - kLast, .end = now + kTick};
    for (std::size_t i = 0; i < load_.targets().size(); ++i) {
      if (load_.targets()[i].kind != LoadKind::kRequests) continue;
      const auto& service = *load_.targets()[i].service;
      const auto answered = names_of(nodes_of(load_.records(i), last));
      if (service.proxy == phase().proxy) report.spread = answered;
      if (service.kind != StandInKind::kMysql) continue;
      report.new_at = answered;
      report.lasting_at = names_of(load_.lasting_nodes(last.begin));
      for (const auto& node : report.lasting_at) {
        if (answered.empty() || answered.contains(node)) continue;
        report.hazards.push_back("two writers: sessions that last stay at " + node +
                                 ", new ones go to " + *answered.begin());
      }
    }
  }

  // Requests of an earlier phase may end in a later one: reports are made when all have ended.
  void drain(Instant now) {
    if (!load_.idle() && now - step_begun_ < kDrainMax) return;
    load_.abandon();
    if (!is_real()) return tell();
    step_ = Step::kAudit;
    step_begun_ = now;
    std::vector<Window> windows;
    for (const auto& [window, report] : pending_) {
      windows.push_back({.begin = {}, .end = window.begin});
      windows.push_back(window);
    }
    load_.audit_tokens(windows);
  }

  // Whether tokens issued before a fault, and while it lasted, are good after it.
  void audit(Instant now) {
    if (!load_.idle() && now - step_begun_ < kAuditMax) return;
    load_.abandon();
    for (std::size_t i = 0; i < pending_.size(); ++i) {
      pending_[i].report.tokens_before = load_.audits()[2 * i];
      pending_[i].report.tokens_within = load_.audits()[2 * i + 1];
    }
    tell();
  }

  void tell() {
    const auto ownership = read_ownership();
    if (wishes_.story_told) wishes_.story_told(tell_story(ownership));
    for (std::size_t i = 0; i < pending_.size(); ++i) {
      auto& [window, report] = pending_[i];
      for (std::size_t t = 0; t < load_.targets().size(); ++t) {
        const auto& target = load_.targets()[t];
        report.services.push_back(
            report_service(std::string(target.name()), load_.records(t), window, target.kind));
      }
      if (const auto* watched = find_service(report, report.watched_proxy);
          watched != nullptr && watched->last_node >= 0) {
        report.answered_by = load_.nodes()[static_cast<std::size_t>(watched->last_node)];
      }
      if (lab_.moves_the_address()) {
        report.outage = longest_silence(probe_.answers(), window);
        report.ownership = ownership.report(window.begin, window.end);
      }
      Expectation expected = scenario().phases[i].expected;
      // By lease an address may stay in a dead host's kernel behind a shut guard, which the
      // recorder does not see: that two have it says nothing there.
      if (has_leases(lab_.engine())) expected.overlap_max.reset();
      if (lab_.engine() != EngineKind::kLease) forget_rules(expected);
      judge(expected, report);
      wishes_.phase_finished(report);
      reports_.push_back(std::move(report));
    }
    ++scenario_;
    begin_scenario();
  }

  DrillStory tell_story(const Ownership& ownership) const {
    const Window whole{.begin = pending_.front().window.begin - kStoryLead,
                       .end = pending_.back().window.end};
    DrillStory story;
    story.title = scenario().name;
    story.length = std::min(whole.end - whole.begin, Duration(kStoryMax));
    for (const auto& [window, report] : pending_) {
      story.faults.push_back({.at = window.begin - whole.begin, .what = words_of(report)});
    }
    for (std::size_t i = 0; i < load_.targets().size(); ++i) {
      count_requests(load_.records(i), whole, story.requests);
    }
    for (const auto& host : lab_.hosts()) story.hosts.push_back(host.name);
    auto owned = ownership.report(whole.begin, whole.begin + story.length);
    story.holdings = std::move(owned.holdings);
    story.bursts = std::move(owned.bursts);
    return story;
  }

  static std::string words_of(const PhaseReport& report) {
    return report.host.empty() ? report.phase : report.phase + " (" + report.host + ')';
  }

  Ownership read_ownership() const {
    Ownership ownership(*SocketAddress::parse_ip(kVirtualAddress, 0));
    io::LinuxFiles files;
    // Without the record nothing is complete, and the report says so.
    if (const auto text = files.read(lab_.ownership_path()); text.has_value()) {
      for (auto& event : parse_ownership_lines(*text)) ownership.handle(std::move(event));
    }
    for (const auto& event : acts_) ownership.handle(event);
    return ownership;
  }

  // Mends what is broken and says why the drills end here.
  void give_up(Error error) {
    if (error_) return;
    error_ = std::move(error);
    cancel();
    load_.stop();
    if (peers_ != nullptr) peers_->end();
    if (step_ == Step::kWatch) {
      for (std::size_t i = phase_; i < scenario().phases.size(); ++i) {
        if (scenario().phases[i].act != Act::kRestoreConfiguration) continue;
        static_cast<void>(perform(scenario().phases[i]).has_value());
      }
    }
    if (step_ != Step::kWarmUp || engines_broken_) {
      if (const auto repaired = lab_.repair(); !repaired.has_value()) {
        wishes_.progress("the lab could not be mended: " + repaired.error().message());
      }
    }
    loop_.stop();
  }

  struct Measured {
    Window window;
    PhaseReport report;
  };

  const DrillWishes& wishes_;
  DrillLab lab_;
  std::vector<Scenario> scenarios_;  // as they are for this lab's services
  io::EpollLoop& loop_;
  DrillLoad load_;
  AddressProbe probe_;
  std::unique_ptr<DrillPeers> peers_;  // none: no scenario is about them
  BalancerWatch watch_;
  std::vector<HostView> views_;  // by the index of the lab's hosts, as is all about balancers
  std::vector<LogTail> tails_;
  std::size_t looked_at_ = 0;
  BalancerLooker looker_;
  Step step_ = Step::kSettle;
  Instant step_begun_;
  std::optional<Instant> well_since_;  // of the warm-up
  Instant health_asked_at_;
  std::string trouble_;
  std::string scheduling_;
  bool engines_broken_ = false;  // a scenario has done something to them since they were settled
  std::size_t scenario_ = 0;
  std::size_t phase_ = 0;
  std::string holder_before_;
  std::optional<Instant> moved_at_, sessions_at_, rules_settled_at_;
  Instant last_before_move_{};  // the last answer of who had the address
  std::string broken_hosts_;    // of this phase, for people
  int lasting_broken_before_ = 0;
  std::vector<std::string> victims_;  // of this scenario: broken and not mended
  std::vector<OwnershipEvent> acts_;
  std::vector<Measured> pending_;  // of this scenario
  std::vector<PhaseReport> reports_;
  std::optional<Error> error_;
};

}  // namespace

bool has_moving_address(std::string_view lab) {
  const auto found = DrillLab::open(lab);
  return found.has_value() && found->moves_the_address();
}

Result<std::vector<PhaseReport>> run_drills(const DrillWishes& wishes) {
  auto lab = TRY(DrillLab::open(wishes.lab));
  bool watches_peers = false;
  for (const auto* scenario : wishes.scenarios) {
    watches_peers = watches_peers || scenario->watches_peers;
    if (static_cast<int>(lab.hosts().size()) < scenario->controllers_min) {
      return Error(ErrorCode::kInvalid,
                   "'" + std::string(scenario->name) + "' needs " +
                       std::to_string(scenario->controllers_min) + " controllers; this lab has " +
                       std::to_string(lab.hosts().size()) + " (nines lab up --hosts)");
    }
    if (!scenario->needs_engine || lab.moves_the_address()) continue;
    return Error(ErrorCode::kInvalid, "'" + std::string(scenario->name) +
                                          "' needs a lab whose engine moves the address (nines lab "
                                          "up without --balancer)");
  }
  std::vector<LoadTarget> targets;
  for (const auto& bound : bound_addresses(lab.configuration())) {
    const auto* service = find_stand_in(bound.section);
    if (service == nullptr) continue;
    targets.push_back({.service = service, .address = bound.address});
    if (!has_real_services(lab.services())) continue;
    if (service->kind == StandInKind::kMysql) {
      targets.push_back({service, bound.address, LoadKind::kTransactions});
    } else if (service->proxy == kIdentityProxy) {
      targets.push_back({service, bound.address, LoadKind::kTokens});
    }
  }
  const auto echo = TRY(SocketAddress::parse_ip(kVirtualAddress, kEchoPort));
  TRY(enter_network(lab.control(), lab.client()));
  const DrillLab under = lab;
  const auto held = TRY(HeldConditions::create(wishes.conditions, under));
  const auto loop = TRY(io::EpollLoop::create());
  std::unique_ptr<DrillPeers> peers;
  if (watches_peers) peers = TRY(DrillPeers::create(*loop, under));
  DrillRun run(wishes, std::move(lab), *loop, std::move(targets), echo, std::move(peers));
  TRY(loop->on_signal(SIGINT, [&] { run.interrupt(); }));
  TRY(loop->on_signal(SIGTERM, [&] { run.interrupt(); }));
  TRY(run.begin());
  loop->run();
  return run.result();
}

}  // namespace nines::lab

// One event at a time; what the kernel's thread and the probe say comes as events of its own.
#include "cluster/dead_peers_driver.h"

#include <utility>

#include "address/refusal_rules.h"
#include "base/check.h"

namespace nines::cluster {

Result<std::unique_ptr<DeadPeersDriver>> DeadPeersDriver::create(Options options,
                                                                 io::EpollLoop& loop, Clock clock,
                                                                 Look look, Shared shared,
                                                                 io::Log& log) {
  DeadPeers machine = TRY(DeadPeers::create(options.machine));
  TRY(address::check_refusable_ports(options.ports.refused));
  for (const auto& [node, host] : options.hosts) TRY(address::check_refusable(host.services));
  return std::unique_ptr<DeadPeersDriver>(
      new DeadPeersDriver(std::move(machine), std::move(options), loop, std::move(clock),
                          std::move(look), std::move(shared), log));
}

DeadPeersDriver::DeadPeersDriver(DeadPeers machine, Options options, io::EpollLoop& loop,
                                 Clock clock, Look look, Shared shared, io::Log& log)
    : machine_(std::move(machine)),
      options_(std::move(options)),
      loop_(loop),
      clock_(std::move(clock)),
      look_(std::move(look)),
      shared_(std::move(shared)),
      log_(log),
      healing_(loop) {}

DeadPeersDriver::~DeadPeersDriver() { *alive_ = false; }

void DeadPeersDriver::start() {
  if (options_.begin_after == 0ns) return begin();
  loop_.arm(*this, clock_() + options_.begin_after);
}

void DeadPeersDriver::on_timer(Instant) {
  if (!begun_) return begin();
  changed();
}

void DeadPeersDriver::begin() {
  begun_ = true;
  std::map<NodeId, std::vector<SocketAddress>> networks;
  for (const auto& [node, host] : options_.hosts) networks[node] = host.networks;
  auto echo = EchoProbe::create(std::move(networks), loop_, clock_,
                                [this](NodeId node) { handle(dead_peer_event::Answered{node}); });
  if (echo.has_value()) {
    echo_ = *std::move(echo);
  } else {
    no_echo_ = echo.error().message();
    log_.write(io::Severity::kWarning,
               "hosts cannot be asked whether they are there, so the death of a host's nines alone "
               "is taken for the host's: " +
                   no_echo_);
  }
  make_cut_off();
  changed();
}

void DeadPeersDriver::make_cut_off() {
  auto refusals = CutOff::rehearse();
  if (!refusals.has_value()) {
    missing_ = refusals.error().message();
    log_.write(io::Severity::kWarning, "clients of a dead host will not be told: " + missing_);
    return;
  }
  std::optional<address::StandIns> stand_ins;
  if (auto made = address::StandIns::create(); made.has_value()) {
    stand_ins = *std::move(made);
  } else {
    no_stand_in_ = made.error().message();
    log_.write(options_.ports.stand_in.empty() ? io::Severity::kDebug : io::Severity::kWarning,
               "nobody can stand in for a dead host: " + no_stand_in_);
  }
  CutOff::Addresses services;
  for (const auto& [node, host] : options_.hosts) services[node] = host.services;
  if (!options_.own_services.empty()) services[options_.machine.self] = options_.own_services;
  cut_off_ =
      std::make_unique<CutOff>(*std::move(refusals), std::move(stand_ins), std::move(services),
                               options_.ports, [this, alive = alive_](const CutOff::News& news) {
                                 loop_.post([this, alive, news] {
                                   if (*alive) heard_from_kernel(news);
                                 });
                               });
}

void DeadPeersDriver::changed() {
  if (!begun_) return;
  const dead_peer_event::Look look = look_(clock_());
  handle(look);
  if (judged_) judged_(look, machine_.blocked());
  const Duration left = machine_.deadline() - clock_();
  loop_.arm(*this, left > 0ns ? left : Duration{});
}

void DeadPeersDriver::configure(bool on, Duration silence, Duration hold_down,
                                CutOff::Ports ports) {
  if (cut_off_ != nullptr && ports != options_.ports) cut_off_->set_ports(ports);
  options_.ports = std::move(ports);
  handle(dead_peer_event::Configure{.on = on, .silence = silence, .hold_down = hold_down});
}

void DeadPeersDriver::handle(const DeadPeerEvent& event) {
  CHECK(!std::exchange(handling_, true));
  effects_.clear();
  const Instant now = clock_();
  machine_.handle(event, now, effects_);
  for (const DeadPeerEffect& effect : effects_) perform(effect, now);
  handling_ = false;
}

void DeadPeersDriver::perform(const DeadPeerEffect& effect, Instant now) {
  if (const auto* const block = std::get_if<dead_peer_effect::Block>(&effect)) {
    if (cut_off_ != nullptr) cut_off_->block(block->node, block->until, living(now));
    if (gone_.contains(block->node)) return;
    gone_.add(block->node);
    healing_.end(block->node);
    say(io::Severity::kWarning, block->node, "is called dead", now);
    shared_(options_.hosts.at(block->node), Share::kGone);
  } else if (const auto* const destroy = std::get_if<dead_peer_effect::Destroy>(&effect)) {
    if (cut_off_ != nullptr) cut_off_->destroy(destroy->node);
  } else if (const auto* const unblock = std::get_if<dead_peer_effect::Unblock>(&effect)) {
    if (cut_off_ != nullptr) cut_off_->unblock(unblock->node);
    tallies_[unblock->node].error.clear();
    gone_.remove(unblock->node);
    if (cut_off_ == nullptr) watch_healing(unblock->node);
    shared_(options_.hosts.at(unblock->node), Share::kNone);
    say(io::Severity::kNotice, unblock->node, "is dead no longer", now);
  } else if (const auto* const shun = std::get_if<dead_peer_effect::Shun>(&effect)) {
    say(io::Severity::kNotice, shun->node, "gets no new work", now);
    if (gone_.contains(shun->node)) return;  // it knows already
    shared_(options_.hosts.at(shun->node), Share::kNone);
  } else if (const auto* const readmit = std::get_if<dead_peer_effect::Readmit>(&effect)) {
    say(io::Severity::kNotice, readmit->node,
        readmit->slowly ? "gets work again, little by little" : "gets work again", now);
    shared_(options_.hosts.at(readmit->node), readmit->slowly ? Share::kSlowly : Share::kAll);
  } else if (const auto* const probe = std::get_if<dead_peer_effect::Probe>(&effect)) {
    if (echo_ != nullptr) echo_->ask(probe->node);
  }
}

// Who is there as far as is known at this moment.
NodeSet DeadPeersDriver::living(Instant now) const {
  NodeSet living;
  if (!options_.own_services.empty()) living.add(options_.machine.self);
  for (const DeadPeerStatus& status : machine_.status(now)) {
    if (status.verdict == DeadPeerStatus::Verdict::kWell) living.add(status.node);
  }
  return living;
}

void DeadPeersDriver::watch_healing(NodeId node) {
  healing_.begin(node, options_.hosts.at(node).services, options_.ports.refused);
}

void DeadPeersDriver::heard_from_kernel(const CutOff::News& news) {
  Tally& tally = tallies_[news.node];
  switch (news.kind) {
    case CutOff::News::Kind::kBlocked:
      tally.error.clear();
      say(io::Severity::kWarning, news.node,
          "is dead: connections to its services are refused from now on", clock_());
      return handle(dead_peer_event::Blocked{news.node});
    case CutOff::News::Kind::kUnblocked:
      // Not sooner: who stood in for it would be taken for it.
      if (!gone_.contains(news.node)) watch_healing(news.node);
      return;
    case CutOff::News::Kind::kDestroyed:
      tally.sockets += news.sockets;
      log_.write(io::Severity::kNotice, name_of(news.node) + ": connections ended",
                 {{"count", std::to_string(news.sockets)}});
      return;
    case CutOff::News::Kind::kNobodyStandsIn:
    case CutOff::News::Kind::kFailed:
      if (tally.error == news.error) return;  // it is tried again with each renewal
      tally.error = news.error;
      log_.write(io::Severity::kAlert,
                 name_of(news.node) + " is dead, and " +
                     (news.kind == CutOff::News::Kind::kFailed ? "its clients cannot be told: "
                                                               : "nobody stands in for it: ") +
                     news.error);
      return;
  }
}

void DeadPeersDriver::say(io::Severity severity, NodeId node, const std::string& what,
                          Instant now) {
  for (const DeadPeerStatus& status : machine_.status(now)) {
    if (status.node != node) continue;
    log_.write(severity, name_of(node) + " " + what, {{"evidence", text_of(status.evidence)}});
  }
}

DeadPeersReport DeadPeersDriver::report() const {
  DeadPeersReport report;
  report.on = machine_.on();
  report.silence = machine_.options().silence;
  report.hold_down = machine_.options().hold_down;
  report.ports = options_.ports.refused;
  report.stand_in = options_.ports.stand_in;
  if (!report.stand_in.empty()) report.no_stand_in = no_stand_in_;
  report.missing = missing_;
  report.no_echo = no_echo_;
  for (const DeadPeerStatus& status : machine_.status(clock_())) {
    DeadPeersReport::Node node{.name = name_of(status.node), .status = status, .error = {}};
    if (const auto found = tallies_.find(status.node); found != tallies_.end()) {
      node.sockets_destroyed = found->second.sockets;
      node.error = found->second.error;
    }
    node.healed = healing_.healed(status.node);
    node.heals = healing_.watches(status.node);
    report.nodes.push_back(std::move(node));
  }
  return report;
}

}  // namespace nines::cluster

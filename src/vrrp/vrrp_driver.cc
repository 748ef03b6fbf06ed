// Every effect is one or a few system calls; what fails is logged and tried again with the next
// renewal or advert.
#include "vrrp/vrrp_driver.h"

#include <algorithm>
#include <array>

#include "address/peer_nudge.h"
#include "address/session_killer.h"
#include "base/check.h"
#include "vrrp/script_runner.h"

namespace nines::vrrp {

namespace {

constexpr Duration kComplaintSpacing = std::chrono::minutes(1);
constexpr int kAdvertsPerLifetimeMax = 4;  // that renew
// From a new master's first word until it has the addresses and has announced them: sooner, and who
// connects anew would ask the dead host again. Shorter than a first retransmission (RFC 6298; Linux
// has 200 ms), so that no connection to the new master can be taken for a stranded one.
constexpr Duration kTakingPatience = std::chrono::milliseconds(100);
// After each nudge. A successor takes within milliseconds; one that had to wait for our silence
// later.
constexpr std::array<Duration, 3> kNudgePauses = {
    std::chrono::milliseconds(20), std::chrono::milliseconds(80), std::chrono::seconds(1)};

}  // namespace

const Command& command_of(const Notifications& notifications, State state) {
  switch (state) {
    case State::kMaster:
      return notifications.master;
    case State::kBackup:
      return notifications.backup;
    case State::kStopped:
      return notifications.stop;
    case State::kFault:
    case State::kInit:
      return notifications.fault;
  }
  CHECK(false);
}

VrrpDriver::VrrpDriver(VrrpInstance instance, VrrpWorld& world,
                       std::optional<Instant> master_seen_at)
    : world_(world),
      machine_(std::move(instance), master_seen_at),
      owned_(owned_by(machine_.instance())),
      routing_(routing_of(machine_.instance())),
      holding_(master_seen_at.has_value()),
      resumed_(holding_) {
  if (holding_) return;
  drop_routing(world_.routing, routing_, [](const std::string&) {});
  for (const address::OwnedAddress& address : owned_) {
    static_cast<void>(world_.addresses.drop(address).has_value());  // no interface: told elsewhere
  }
}

VrrpDriver::~VrrpDriver() {
  *alive_ = false;
  if (holding_) drop_addresses();
}

void VrrpDriver::set_conditions(const TrackSum& sum, const SocketAddress& primary) {
  event::Conditions conditions;
  conditions.known = sum.known;
  conditions.faults = sum.faults;
  conditions.weight = sum.weight;
  conditions.primary = primary;
  primary_ = primary;
  handle(conditions);
}

void VrrpDriver::packet_came(const Packet& packet) {
  const Rejection rejection = examine(instance(), primary_, packet);
  if (rejection != Rejection::kNone) {
    ++rejected_[static_cast<std::size_t>(rejection)];
    errors_.count(rejection, packet.advert);
    if (rejection != Rejection::kOtherRouter) {
      complain("dropped an advert from " + packet.source.ip_text() + ": " +
               std::string(name_of(rejection)));
    }
    return;
  }
  event::AdvertHeard heard;
  heard.priority = packet.advert.priority;
  heard.source = packet.source;
  heard.interval = packet.advert.interval;
  handle(heard);
}

void VrrpDriver::address_removed(const SocketAddress& address) {
  if (holding_ && owns(address)) {
    tell(io::Severity::kWarning, "address " + address.ip_text() + " was taken away; taken again");
    handle(event::AddressesLost{});
  }
}

void VrrpDriver::restore_routing() {
  if (!holding_) return;
  take_routing(world_.routing, routing_, Take::kTracked,
               [this](const std::string& about) { complain(about); });
}

void VrrpDriver::reload(VrrpInstance instance) {
  if (machine_.status().leaving) return;
  OwnedRouting gone = std::exchange(routing_, routing_of(instance));
  const auto stays = [](const auto& now) {
    return
        [&now](const auto& each) { return std::find(now.begin(), now.end(), each) != now.end(); };
  };
  std::erase_if(gone.routes, stays(routing_.routes));
  std::erase_if(gone.rules, stays(routing_.rules));
  drop_routing(world_.routing, gone, [this](const std::string& about) { complain(about); });
  world_.forget_paced(this->instance().name);  // they count by the old addresses
  const std::vector<address::OwnedAddress> before = owned_;
  owned_ = owned_by(instance);
  for (const address::OwnedAddress& address : before) {
    if (std::find(owned_.begin(), owned_.end(), address) == owned_.end()) {
      static_cast<void>(world_.addresses.drop(address).has_value());
    }
  }
  handle(event::Reload{std::move(instance)});
}

bool VrrpDriver::owns(const SocketAddress& address) const {
  return std::any_of(owned_.begin(), owned_.end(),
                     [&](const auto& owned) { return owned.address == address; });
}

bool VrrpDriver::owns(const io::Route& removed) const {
  return std::any_of(routing_.routes.begin(), routing_.routes.end(),
                     [&](const auto& owned) { return address::may_be(owned, removed); });
}

void VrrpDriver::handle(const Event& event) {
  Effects effects;
  machine_.handle(event, world_.loop.now(), effects);
  for (const Effect& effect : effects) perform(effect);
  follow_master();
  if (const auto deadline = machine_.deadline()) {
    world_.loop.arm(deadline_, *deadline);
  } else {
    deadline_.cancel();
  }
  if (!instance().group.empty()) world_.moved();
}

void VrrpDriver::perform(const Effect& effect) {
  switch (effect.kind) {
    case Effect::Kind::kSendAdvert:
      send_advert(effect.value);
      return renew_with_advert();
    case Effect::Kind::kTakeAddresses:
      take_addresses();
      return take_routing(world_.routing, routing_, Take::kAll,
                          [this](const std::string& about) { complain(about); });
    case Effect::Kind::kDropAddresses:
      return drop_addresses();
    case Effect::Kind::kAnnounce:
      return announce(effect.value);
    case Effect::Kind::kNotify:
      return notify(effect.state);
    case Effect::Kind::kRivalBeaten:
      tell(io::Severity::kNotice, "a rival of lower priority was heard while MASTER");
      return run(instance().notifications.master_rx_lower_priority, {});
  }
}

void VrrpDriver::timer_fired() {
  world_.drain();
  handle(event::TimerFired{});
}

void VrrpDriver::renew() {
  world_.drain();
  // A machine that was stopped for too long finds out here and drops them instead.
  handle(event::TimerFired{});
  if (!holding_) return;
  if (world_.loop.now() - renewed_at_ >= lifetime()) return handle(event::AddressesLost{});
  take_addresses();
}

void VrrpDriver::send_advert(int priority) {
  if (socket_ == nullptr || !primary_.is_ip()) return;
  const Advert advert = advert_of(instance(), priority);
  if (advert.addresses.empty()) return;
  const auto send = [&](const SocketAddress& to) {
    const auto sent = socket_->send(primary_, to, encode_message(advert, primary_, to));
    if (!sent.has_value()) complain(sent.error().message());
  };
  if (instance().unicast_peers.empty()) {
    return send(instance().ipv6 ? world_.global.multicast_group6 : world_.global.multicast_group4);
  }
  for (const SocketAddress& peer : instance().unicast_peers) send(peer);
}

// Backups count from our last advert: renewed with it, an address is gone before they are done
// counting. Not with each one where adverts are many a second.
void VrrpDriver::renew_with_advert() {
  if (!holding_ || machine_.status().leaving) return;
  if (world_.address_life == AddressLife::kUntilDropped) return;
  const Duration since = world_.loop.now() - renewed_at_;
  if (since >= lifetime()) return;  // gone: the machine decides when they are taken again
  if (since >= Duration(lifetime()) / kAdvertsPerLifetimeMax) take_addresses();
}

// The shortest patience that any backup may have: its skew can be next to nothing.
std::chrono::seconds VrrpDriver::lifetime() const {
  return address::lifetime_within(instance().down_timer_adverts * instance().advert_int);
}

void VrrpDriver::take_addresses() {
  const bool renewed = world_.address_life == AddressLife::kRenewed;
  const std::chrono::seconds seconds = renewed ? lifetime() : address::kForever;
  for (const address::OwnedAddress& address : owned_) {
    const bool shares_prefix =
        address.address.family() == SocketAddress::Family::kIpv4 && address.prefix_length < 32;
    if (!holding_ && shares_prefix) {
      if (const auto done = address::InterfaceAddresses::promote_secondaries(address.device);
          !done.has_value()) {
        tell(io::Severity::kWarning, done.error().message());
      }
    }
    if (const auto taken = world_.addresses.take(address, seconds); !taken.has_value()) {
      complain("cannot set " + address.address.ip_text() + ": " + taken.error().message());
    }
  }
  holding_ = true;
  renewed_at_ = world_.loop.now();
  // Should adverts not go out; the last moment with time for a second try.
  if (renewed) world_.loop.arm(renewal_, Duration(seconds) * 3 / 4);
}

void VrrpDriver::drop_addresses() {
  if (holding_) {
    lost_ = true;
    parting_ = true;
  }
  holding_ = false;
  resumed_ = false;
  renewal_.cancel();
  world_.forget_paced(instance().name);
  for (const address::OwnedAddress& address : owned_) {
    if (const auto dropped = world_.addresses.drop(address); !dropped.has_value()) {
      complain("cannot remove " + address.address.ip_text() + ": " + dropped.error().message());
    }
  }
  // Last: nobody but this host minds them.
  drop_routing(world_.routing, routing_, [this](const std::string& about) { complain(about); });
}

// Round by round where there are gaps, so that each address is told of soon.
void VrrpDriver::announce(int count) {
  for (int round = 0; round < count; ++round) {
    for (std::size_t i = 0; i < owned_.size(); ++i) {
      if (!world_.pace(owned_[i], {instance().name, i})) announce_now(i);
    }
  }
}

void VrrpDriver::announce_now(std::size_t address) {
  if (!holding_ || address >= owned_.size()) return;
  if (const auto done = world_.addresses.announce(owned_[address], 1); !done.has_value()) {
    complain(done.error().message());
  }
}

// What was accepted on an address must not live on without it: behind a session may be a lock. Only
// after the address has gone, for somebody may be about to take it; so clients are told by a nudge,
// which the address's next owner answers. It may not be there yet, hence more than one.
void VrrpDriver::part_from_sessions() {
  ended_.clear();
  for (const address::OwnedAddress& address : owned_) {
    const auto destroyed = address::destroy_sessions(address.address);
    if (!destroyed.has_value()) {
      complain("sessions on " + address.address.ip_text() + ": " + destroyed.error().message());
    } else if (!destroyed->empty()) {
      tell(io::Severity::kNotice, "ended " + std::to_string(destroyed->size()) + " session(s) on " +
                                      address.address.ip_text());
      ended_.insert(ended_.end(), destroyed->begin(), destroyed->end());
    }
  }
  nudges_ = 0;
  nudge();
}

void VrrpDriver::nudge() {
  if (holding_) ended_.clear();
  if (!ended_.empty()) {
    if (const auto nudged = address::nudge_peers(ended_, address::Nudge::kInsistent);
        !nudged.has_value()) {
      complain(nudged.error().message());
    }
    if (nudges_ < kNudgePauses.size()) {
      world_.loop.arm(nudge_, kNudgePauses[nudges_++]);
    } else {
      ended_.clear();
    }
  }
  // An end waits for all but the last, which is for who takes over late.
  const bool parting = !ended_.empty() && nudges_ < kNudgePauses.size();
  if (std::exchange(parting_, parting) != parting) world_.state_changed();
}

// Clients of the address on this host, its services before all, may wait for a former master that
// is dead (session_killer.h).
void VrrpDriver::follow_master() {
  const SocketAddress& master = machine_.status().master_address;
  if (!master.is_ip() || master == followed_) return;
  const bool is_known_to_be_new = followed_.is_ip() || machine_.status().state == State::kMaster;
  if (is_known_to_be_new) world_.loop.arm(stranded_, kTakingPatience);
  followed_ = master;
  world_.state_changed();
}

void VrrpDriver::end_stranded() {
  std::vector<SocketAddress> addresses;
  for (const address::OwnedAddress& owned : owned_) addresses.push_back(owned.address);
  const auto ended = address::destroy_stranded(addresses);
  if (!ended.has_value()) {
    complain("stranded sessions: " + ended.error().message());
  } else if (*ended > 0) {
    tell(io::Severity::kNotice,
         "ended " + std::to_string(*ended) +
             " session(s) of this host that a former master has not answered");
  }
}

// keepalived.conf(5): notify_STATE alone, then notify with INSTANCE, the name, the state and the
// priority.
void VrrpDriver::notify(State state) {
  tell(io::Severity::kNotice, "entering " + std::string(name_of(state)) + " state");
  // Later than the adverts that are due now.
  if (std::exchange(lost_, false)) {
    world_.loop.post([this, alive = alive_] {
      if (*alive && !holding_) part_from_sessions();
    });
  }
  world_.state_changed();
  run(command_of(instance().notifications, state), {});
  run(instance().notifications.any, {"INSTANCE", instance().name, std::string(name_of(state)),
                                     std::to_string(machine_.status().priority)});
}

void VrrpDriver::run(const Command& command, const std::vector<std::string>& more) {
  start_notification({.command = command, .more = more, .who = "(" + instance().name + ") "},
                     world_.global, world_.processes, world_.log);
}

void VrrpDriver::tell(io::Severity severity, const std::string& text) {
  world_.log.write(severity, "(" + instance().name + ") " + text);
}

// One line a minute, whatever the network or the kernel does.
void VrrpDriver::complain(const std::string& about) {
  ++complaints_;
  const Instant now = world_.loop.now();
  if (complained_at_ != Instant{} && now - complained_at_ < kComplaintSpacing) return;
  complained_at_ = now;
  const std::uint64_t more = complaints_ - 1;
  complaints_ = 0;
  tell(io::Severity::kWarning,
       about + (more == 0 ? "" : " (and " + std::to_string(more) + " more complaints before)"));
}

InstanceReport VrrpDriver::report() const {
  InstanceReport report;
  report.instance = instance();
  report.status = machine_.status();
  if (report.status.since != Instant{}) {
    const Duration ago = world_.loop.now() - report.status.since;
    report.since = {world_.loop.wall_time().nanoseconds_since_epoch - ago.count()};
  }
  report.holding = holding_;
  report.errors = errors_;
  const Notifications& notifications = instance().notifications;
  InstanceReport::Scripts& scripts = report.scripts;
  for (const auto& [command, words] :
       {std::pair(&notifications.master, &scripts.master),
        std::pair(&notifications.backup, &scripts.backup),
        std::pair(&notifications.fault, &scripts.fault),
        std::pair(&notifications.stop, &scripts.stop),
        std::pair(&notifications.deleted, &scripts.deleted),
        std::pair(&notifications.master_rx_lower_priority, &scripts.master_rx_lower_priority),
        std::pair(&notifications.any, &scripts.any)}) {
    if (resolve_command(*command, world_.global).has_value()) *words = located_words(*command);
  }
  return report;
}

void VrrpDriver::clear_counters() {
  machine_.clear_counters();
  errors_ = {};
  rejected_ = {};
}

std::string VrrpDriver::status_text() const {
  const VrrpStatus& status = machine_.status();
  const auto& counters = status.counters;
  std::string text = " VRRP Instance = " + instance().name + "\n";
  const auto line = [&text](std::string_view name, const std::string& value) {
    text += "   " + std::string(name) + " = " + value + "\n";
  };
  line("State", std::string(name_of(status.state)));
  line("Interface", instance().interface);
  line("Virtual Router ID", std::to_string(instance().virtual_router_id));
  line("Priority", std::to_string(instance().priority));
  line("Effective priority", std::to_string(status.priority));
  line("Primary address", primary_.is_ip() ? primary_.ip_text() : "none");
  line("Master router", status.master_address.is_ip() ? status.master_address.ip_text() : "none");
  line("Master priority", std::to_string(status.master_priority));
  line("Adverts sent", std::to_string(counters.adverts_sent));
  line("Adverts received", std::to_string(counters.adverts_heard));
  line("Priority zero sent", std::to_string(counters.priority_zero_sent));
  line("Priority zero received", std::to_string(counters.priority_zero_heard));
  line("Became master", std::to_string(counters.became_master));
  line("Released master", std::to_string(counters.released_master));
  line("Claims abandoned", std::to_string(counters.claims_abandoned));
  line("Rivals beaten", std::to_string(counters.rivals_beaten));
  for (int i = 1; i < kRejections; ++i) {
    if (rejected_[static_cast<std::size_t>(i)] == 0) continue;
    line("Rejected, " + std::string(name_of(static_cast<Rejection>(i))),
         std::to_string(rejected_[static_cast<std::size_t>(i)]));
  }
  for (const address::OwnedAddress& address : owned_) {
    line("Virtual address", address.address.ip_text() + "/" +
                                std::to_string(address.prefix_length) + " dev " + address.device);
  }
  return text;
}

}  // namespace nines::vrrp

// Conditions are told to an instance only when they differ from what it was last told, so refresh()
// may be called at any time and as often as anything changes.
#include "vrrp/vrrp_service.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include <linux/if_addr.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>

namespace nines::vrrp {

namespace {

constexpr int kDrainMax = 1000;  // packets of one socket before timers get their turn
constexpr Duration kComplaintSpacing = std::chrono::minutes(1);

bool same_script(const VrrpScript& a, const VrrpScript& b) {
  return a.command.words == b.command.words && a.command.user == b.command.user &&
         a.command.group == b.command.group && a.interval == b.interval && a.timeout == b.timeout &&
         a.fall == b.fall && a.rise == b.rise && a.init_fail == b.init_fail;
}

bool same_router(const VrrpInstance& a, const VrrpInstance& b) {
  return a.name == b.name && a.interface == b.interface && a.version == b.version &&
         a.ipv6 == b.ipv6 && a.virtual_router_id == b.virtual_router_id;
}

bool is_link_local(const SocketAddress& address) {
  const std::string_view bytes = address.ip_bytes();
  return bytes.size() == 16 && bytes[0] == '\xfe' && (bytes[1] & '\xc0') == '\x80';
}

}  // namespace

Result<std::unique_ptr<VrrpService>> VrrpService::create(Config config, io::EpollLoop& loop,
                                                         io::Log& log, AddressLife life) {
  TRY(check_against_host(config));
  return std::unique_ptr<VrrpService>(new VrrpService(
      std::move(config), loop, log, life, TRY(address::InterfaceAddresses::open()),
      TRY(address::Routing::open()), TRY(io::Netlink::open()), TRY(io::NetworkMonitor::open())));
}

VrrpService::VrrpService(Config config, io::EpollLoop& loop, io::Log& log, AddressLife life,
                         address::InterfaceAddresses addresses, address::Routing routing,
                         io::Netlink netlink, io::NetworkMonitor monitor)
    : config_(std::move(config)),
      loop_(loop),
      log_(log),
      addresses_(std::move(addresses)),
      routing_(std::move(routing)),
      netlink_(std::move(netlink)),
      monitor_(std::move(monitor)),
      world_{loop_,
             processes_,
             log_,
             addresses_,
             routing_,
             config_.global,
             life,
             [this] { drain(); },
             [this] { state_changed(); },
             [this](const address::OwnedAddress& address, PacedAnnouncement announcement) {
               return pace(address, std::move(announcement));
             },
             [this](const std::string& instance) { pacer_.forget(instance); },
             [this] {
               moved_ = true;
               if (together_ == 0) settle_groups();
             }} {}

VrrpService::~VrrpService() {
  *alive_ = false;
  members_.clear();
  if (monitor_watch_ != 0) loop_.unwatch_descriptor(monitor_watch_);
  close_sockets({});
}

// A group of which only some were was on its way: none of it goes on.
bool VrrpService::was_master(const VrrpInstance& instance,
                             const std::set<std::string>& masters_before) const {
  return std::all_of(config_.instances.begin(), config_.instances.end(), [&](const auto& other) {
    const bool moves_along =
        other.name == instance.name || (!instance.group.empty() && other.group == instance.group);
    return !moves_along || masters_before.count(other.name) != 0;
  });
}

void VrrpService::start(const Predecessor& predecessor) {
  apply_scheduling();
  monitor_watch_ = loop_.watch_descriptor(monitor_.descriptor(), EPOLLIN,
                                          [this](std::uint32_t) { network_changed(); });
  ready_at_ = loop_.now() + config_.global.startup_delay;
  if (config_.global.startup_delay > Duration{}) loop_.arm(startup_, ready_at_);
  const Together together(*this);
  for (const VrrpInstance& instance : config_.instances) {
    const bool before = was_master(instance, predecessor.masters);
    add_driver(instance, before ? std::optional(predecessor.seen_at) : std::nullopt);
  }
  load_scripts();
  hear_routing_if_needed();
  refresh();
}

Result<void> VrrpService::reload(Config config) {
  if (ended_) return Error(ErrorCode::kRefused, "the addresses are being handed over");
  TRY(check_against_host(config));
  drain();
  const Together together(*this);
  config_ = std::move(config);
  std::vector<Member> before = std::move(members_);
  members_.clear();
  for (const VrrpInstance& instance : config_.instances) {
    const auto found = std::find_if(before.begin(), before.end(), [&](const Member& member) {
      return member.driver != nullptr && same_router(member.driver->instance(), instance);
    });
    if (found == before.end()) continue;
    members_.push_back(std::move(*found));
    members_.back().driver->reload(instance);
  }
  // Those that went let go before new ones take.
  for (Member& member : before) {
    if (member.driver != nullptr) member.driver->stop();
  }
  before.clear();
  for (const VrrpInstance& instance : config_.instances) {
    const bool kept = std::any_of(members_.begin(), members_.end(), [&](const Member& member) {
      return same_router(member.driver->instance(), instance);
    });
    if (!kept) add_driver(instance, {});
  }
  std::erase_if(group_states_, [&](const auto& entry) {
    return std::none_of(config_.sync_groups.begin(), config_.sync_groups.end(),
                        [&](const SyncGroup& group) { return group.name == entry.first; });
  });
  load_scripts();
  hear_routing_if_needed();
  refresh();
  return {};
}

void VrrpService::stop() {
  const Together together(*this);
  for (Member& member : members_) member.driver->stop();
}

void VrrpService::hand_over(std::function<void()> ended) {
  ended_ = std::move(ended);
  drain();
  {
    const Together together(*this);
    for (Member& member : members_) member.driver->hand_over();
  }
  end_if_all_stopped();
}

void VrrpService::end_if_all_stopped() {
  const bool all = std::all_of(members_.begin(), members_.end(), [](const Member& member) {
    return member.driver->machine().status().state == State::kStopped && !member.driver->parting();
  });
  if (!ended_ || !all) return;
  loop_.post([ended = std::exchange(ended_, {})] { ended(); });
}

void VrrpService::set_fit(bool fit) {
  if (std::exchange(fit_, fit) != fit) refresh();
}

std::vector<const VrrpDriver*> VrrpService::drivers() const {
  std::vector<const VrrpDriver*> drivers;
  for (const Member& member : members_) drivers.push_back(member.driver.get());
  return drivers;
}

void VrrpService::state_changed() {
  end_if_all_stopped();
  if (!changed_ || std::exchange(change_posted_, true)) return;
  loop_.post([this, alive = alive_] {
    if (!*alive) return;
    change_posted_ = false;
    changed_();
  });
}

// ---- Announcements -----------------------------------------------------------------------------

bool VrrpService::pace(const address::OwnedAddress& address, PacedAnnouncement announcement) {
  const bool ipv6 = address.address.family() == SocketAddress::Family::kIpv6;
  AnnouncementGaps gaps = config_.global.announcement_gaps;
  std::string channel = address.device;
  const auto& groups = config_.global.announcement_groups;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto& names = groups[i].interfaces;
    if (std::find(names.begin(), names.end(), address.device) == names.end()) continue;
    gaps = groups[i].gaps;
    channel = "group " + std::to_string(i);  // no interface has such a name
  }
  const Duration gap = ipv6 ? gaps.neighbour : gaps.arp;
  if (gap <= Duration{}) return false;
  channel += ipv6 ? " neighbour" : " arp";
  // A full channel says the same already.
  static_cast<void>(pacer_.add(channel, gap, std::move(announcement)));
  loop_.arm(turn_, loop_.now());
  return true;
}

void VrrpService::announce_due() {
  std::vector<PacedAnnouncement> due;
  pacer_.take_due(loop_.now(), due);
  for (const PacedAnnouncement& each : due) {
    for (Member& member : members_) {
      if (member.driver->instance().name == each.owner) member.driver->announce_now(each.address);
    }
  }
  if (const auto next = pacer_.deadline()) loop_.arm(turn_, *next);
}

// ---- The world as it is ------------------------------------------------------------------------

void VrrpService::network_changed() {
  std::vector<io::NetworkEvent> events;
  if (const auto read = monitor_.read(events); !read.has_value()) {
    log_.write(io::Severity::kError, read.error().message());
  }
  bool news = false;
  bool routing = false;
  for (const io::NetworkEvent& event : events) {
    routing = routing || disturbs_routing(event);
    if (event.kind == io::NetworkEvent::Kind::kRouteRemoved ||
        event.kind == io::NetworkEvent::Kind::kRuleRemoved) {
      continue;
    }
    const bool of_address = event.kind == io::NetworkEvent::Kind::kAddressAdded ||
                            event.kind == io::NetworkEvent::Kind::kAddressRemoved;
    const bool ours = of_address && owned_by_any(event.address.address);
    // Each renewal of an address of ours makes one as well.
    if (!ours) news = true;
    if (ours && event.kind == io::NetworkEvent::Kind::kAddressRemoved) {
      drain();
      for (Member& member : members_) member.driver->address_removed(event.address.address);
    }
  }
  if (news) refresh();
  if (!routing) return;
  for (Member& member : members_) member.driver->restore_routing();
}

// A link or an address that came may be what a route has waited for; one that went took routes
// along, of which the kernel does not always tell.
bool VrrpService::disturbs_routing(const io::NetworkEvent& event) const {
  if (event.kind != io::NetworkEvent::Kind::kRouteRemoved) return true;
  return std::any_of(members_.begin(), members_.end(),
                     [&](const Member& member) { return member.driver->owns(event.route); });
}

void VrrpService::hear_routing_if_needed() {
  const bool needed =
      std::any_of(config_.instances.begin(), config_.instances.end(),
                  [](const auto& each) { return !each.routes.empty() || !each.rules.empty(); });
  if (!needed) return;
  if (const auto heard = monitor_.hear_routing(); !heard.has_value()) {
    log_.write(io::Severity::kError, heard.error().message());
  }
}

bool VrrpService::owned_by_any(const SocketAddress& address) const {
  return std::any_of(members_.begin(), members_.end(), [&](const Member& member) {
    return member.driver->owns(address.with_port(0));
  });
}

void VrrpService::refresh() {
  auto links = netlink_.links();
  auto addresses = netlink_.addresses();
  if (!links.has_value() || !addresses.has_value()) {
    log_.write(io::Severity::kError,
               (links.has_value() ? addresses.error() : links.error()).message());
    return;
  }
  std::map<std::string, io::NetworkLink> by_name;
  for (io::NetworkLink& link : *links) by_name.emplace(link.name, link);
  open_sockets(by_name);
  const Together together(*this);
  std::vector<Known> known;
  for (const Member& member : members_) {
    known.push_back(look(member.driver->instance(), by_name, *addresses));
  }
  for (const SyncGroup& group : config_.sync_groups) share(group, by_name, known);
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const auto socket = sockets_.find(socket_of(members_[i].driver->instance()));
    members_[i].driver->set_socket(socket == sockets_.end() ? nullptr
                                                            : socket->second.socket.get());
    tell(members_[i], known[i]);
  }
}

namespace {

bool runs(const std::map<std::string, io::NetworkLink>& links, const std::string& name) {
  const auto found = links.find(name);
  return found != links.end() && found->second.up && found->second.running;
}

}  // namespace

VrrpService::Known VrrpService::look(const VrrpInstance& instance, const Links& links,
                                     const std::vector<io::InterfaceAddress>& addresses) const {
  Known known;
  known.told = true;
  known.running = runs(links, instance.interface);
  known.primary = primary_of(instance, links, addresses);
  if (loop_.now() < ready_at_) known.sum.known = false;
  if (!fit_) ++known.sum.faults;
  if (!instance.dont_track_primary && !known.running) ++known.sum.faults;
  if (!known.primary.is_ip() || sockets_.find(socket_of(instance)) == sockets_.end()) {
    ++known.sum.faults;
  }
  add_tracks(known.sum, instance.track_scripts, instance.track_interfaces, links);
  return known;
}

void VrrpService::add_tracks(TrackSum& sum, const std::vector<Track>& scripts,
                             const std::vector<Track>& interfaces, const Links& links) const {
  for (const Track& track : interfaces) {
    sum.add(runs(links, track.name) ? ScriptState::kGood : ScriptState::kFailed, track.weight,
            track.reverse);
  }
  for (const Track& track : scripts) {
    const auto found = scripts_.find(track.name);
    // One that cannot be run is left out, as keepalived does; the log has said so.
    if (found == scripts_.end()) continue;
    sum.add(found->second.runner->state(), track.weight, track.reverse);
  }
}

// What is wrong with one member is wrong with all; the group's own tracks count for each.
void VrrpService::share(const SyncGroup& group, const Links& links,
                        std::vector<Known>& known) const {
  TrackSum own;
  add_tracks(own, group.track_scripts, group.track_interfaces, links);
  TrackSum all = own;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].driver->instance().group != group.name) continue;
    all.known = all.known && known[i].sum.known;
    all.faults += known[i].sum.faults;
  }
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].driver->instance().group != group.name) continue;
    known[i].sum.known = all.known;
    known[i].sum.faults = all.faults;
    known[i].sum.weight += own.weight;
  }
}

void VrrpService::tell(Member& member, const Known& known) {
  const Known before = std::exchange(member.known, known);
  if (!before.told || before.sum.known != known.sum.known ||
      before.sum.faults != known.sum.faults || before.sum.weight != known.sum.weight ||
      before.primary != known.primary) {
    member.driver->set_conditions(known.sum, known.primary);
  }
  if (before.told && !before.running && known.running) member.driver->link_restored();
}

// ---- Sync groups -------------------------------------------------------------------------------

void VrrpService::settle_groups() {
  if (!std::exchange(moved_, false)) return;
  ++together_;  // what the steps move is looked at in the next pass
  for (const SyncGroup& group : config_.sync_groups) settle(group);
  --together_;
  moved_ = false;
}

void VrrpService::settle(const SyncGroup& group) {
  const std::vector<VrrpDriver*> drivers = drivers_of(group);
  std::vector<const VrrpStatus*> members;
  for (const VrrpDriver* const driver : drivers) members.push_back(&driver->machine().status());
  settle_group(members, [&](const GroupStep& step) {
    VrrpDriver& driver = *drivers[step.member];
    step.kind == GroupStep::Kind::kYield ? driver.group_yield() : driver.group_go();
  });
  const auto state = group_state(members);
  if (!state) return;
  const auto told = group_states_.find(group.name);
  if (told != group_states_.end() && told->second == *state) return;
  group_states_[group.name] = *state;
  notify(group, *state);
}

// keepalived gives a group the priority 0.
void VrrpService::notify(const SyncGroup& group, State state) {
  log_.write(io::Severity::kNotice,
             "(" + group.name + ") the group is in " + std::string(name_of(state)) + " state");
  const auto run = [&](const Command& command, const std::vector<std::string>& more) {
    start_notification({.command = command, .more = more, .who = "(" + group.name + ") "},
                       world_.global, world_.processes, log_);
  };
  run(command_of(group.notifications, state), {});
  run(group.notifications.any, {"GROUP", group.name, std::string(name_of(state)), "0"});
}

std::vector<VrrpDriver*> VrrpService::drivers_of(const SyncGroup& group) {
  std::vector<VrrpDriver*> drivers;
  for (const Member& member : members_) {
    if (member.driver->instance().group == group.name) drivers.push_back(member.driver.get());
  }
  return drivers;
}

// ---- Addresses ---------------------------------------------------------------------------------

// The first address of the interface that no instance owns: of IPv6 a link-local one (RFC 5798,
// section 5.1.2.1), once it is known to be nobody else's.
SocketAddress VrrpService::primary_of(const VrrpInstance& instance, const Links& links,
                                      const std::vector<io::InterfaceAddress>& addresses) const {
  const bool unicast = !instance.unicast_peers.empty();
  if (const auto& wanted = unicast ? instance.unicast_src : instance.multicast_src) {
    return *wanted;
  }
  const auto link = links.find(instance.interface);
  if (link == links.end()) return {};
  for (const io::InterfaceAddress& address : addresses) {
    if (address.link != link->second.index || owned_by_any(address.address)) continue;
    const bool fits = instance.ipv6 ? is_link_local(address.address) &&
                                          (address.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0
                                    : address.address.family() == SocketAddress::Family::kIpv4;
    if (fits) return address.address.with_port(0);
  }
  return {};
}

// ---- Sockets -----------------------------------------------------------------------------------

VrrpService::SocketKey VrrpService::socket_of(const VrrpInstance& instance) {
  return {instance.interface, instance.ipv6};
}

void VrrpService::open_sockets(const Links& links) {
  std::map<SocketKey, int> wanted;  // to the interface's index
  for (const Member& member : members_) {
    const VrrpInstance& instance = member.driver->instance();
    if (const auto link = links.find(instance.interface); link != links.end()) {
      wanted.emplace(socket_of(instance), link->second.index);
    }
  }
  close_sockets(wanted);
  for (const auto& [key, index] : wanted) {
    if (sockets_.count(key) != 0) continue;
    const GlobalDefs& global = config_.global;
    auto socket = VrrpSocket::open(key.interface,
                                   key.ipv6 ? global.multicast_group6 : global.multicast_group4);
    if (!socket.has_value()) {
      log_.write(io::Severity::kError, socket.error().message());
      continue;
    }
    Socket opened;
    opened.link = index;
    opened.socket = std::make_unique<VrrpSocket>(*std::move(socket));
    opened.watch = loop_.watch_descriptor(opened.socket->descriptor(), EPOLLIN,
                                          [this](std::uint32_t) { drain(); });
    sockets_.emplace(key, std::move(opened));
  }
}

// All but the wanted ones, as long as their interfaces are the same.
void VrrpService::close_sockets(const std::map<SocketKey, int>& wanted) {
  std::erase_if(sockets_, [&](const auto& entry) {
    const auto found = wanted.find(entry.first);
    if (found != wanted.end() && found->second == entry.second.link) return false;
    loop_.unwatch_descriptor(entry.second.watch);
    return true;
  });
}

void VrrpService::drain() {
  const Together together(*this);
  for (auto& [key, entry] : sockets_) {
    for (int i = 0; i < kDrainMax; ++i) {
      const std::string_view bytes = entry.socket->receive();
      if (bytes.empty()) break;
      deliver(bytes, key);
    }
  }
}

void VrrpService::deliver(std::string_view bytes, const SocketKey& from) {
  Packet packet;
  const WireFault fault = parse_packet(bytes, packet);
  if (fault != WireFault::kNone) malformed(fault, from.interface);
  const auto router =
      fault == WireFault::kNone ? std::optional(packet.advert.router_id) : router_id_of(bytes);
  bool known = false;
  for (Member& member : members_) {
    const VrrpInstance& instance = member.driver->instance();
    if (socket_of(instance) != from) continue;
    const bool meant = instance.virtual_router_id == router;
    known = known || meant;
    if (fault == WireFault::kNone) {
      member.driver->packet_came(packet);
    } else if (meant) {
      member.driver->malformed_came(fault);
    }
  }
  if (!known && fault == WireFault::kNone) ++foreign_;
}

void VrrpService::malformed(WireFault fault, const std::string& interface) {
  ++malformed_[static_cast<std::size_t>(fault)];
  ++malformed_untold_;
  const Instant now = loop_.now();
  if (complained_at_ != Instant{} && now - complained_at_ < kComplaintSpacing) return;
  complained_at_ = now;
  log_.write(io::Severity::kWarning, "dropped " + std::to_string(malformed_untold_) +
                                         " malformed packet(s) of protocol 112, the last on " +
                                         interface + ": " + std::string(name_of(fault)));
  malformed_untold_ = 0;
}

// ---- Instances and scripts ---------------------------------------------------------------------

void VrrpService::add_driver(const VrrpInstance& instance, std::optional<Instant> master_seen_at) {
  members_.push_back({std::make_unique<VrrpDriver>(instance, world_, master_seen_at), {}});
}

ScriptState VrrpService::initial_state_of(const VrrpScript& script) const {
  const auto track_in = [&](const std::vector<Track>& tracks) {
    return std::find_if(tracks.begin(), tracks.end(),
                        [&](const Track& track) { return track.name == script.name; });
  };
  // The dead process was master with it.
  const auto of_a_master = [](const Track& track) {
    return track.reverse ? ScriptState::kFailed : ScriptState::kGood;
  };
  for (const Member& member : members_) {
    if (!member.driver->resumed()) continue;
    const VrrpInstance& instance = member.driver->instance();
    const auto own = track_in(instance.track_scripts);
    if (own != instance.track_scripts.end()) return of_a_master(*own);
    for (const SyncGroup& group : config_.sync_groups) {
      if (group.name != instance.group) continue;
      const auto shared = track_in(group.track_scripts);
      if (shared != group.track_scripts.end()) return of_a_master(*shared);
    }
  }
  return script.init_fail ? ScriptState::kFailed : ScriptState::kUnknown;
}

void VrrpService::load_scripts() {
  std::set<std::string> tracked;
  for (const VrrpInstance& instance : config_.instances) {
    for (const Track& track : instance.track_scripts) tracked.insert(track.name);
  }
  for (const SyncGroup& group : config_.sync_groups) {
    for (const Track& track : group.track_scripts) tracked.insert(track.name);
  }
  std::map<std::string, Script> before = std::move(scripts_);
  scripts_.clear();
  for (const VrrpScript& script : config_.scripts) {
    if (tracked.count(script.name) == 0) continue;
    if (auto found = before.find(script.name);
        found != before.end() && same_script(found->second.config, script)) {
      scripts_.emplace(script.name, std::move(found->second));
      continue;
    }
    auto arguments = resolve_command(script.command, config_.global);
    if (!arguments.has_value()) {
      log_.write(io::Severity::kError,
                 "script " + script.name + " is left out: " + arguments.error().message());
      continue;
    }
    Script added;
    added.config = script;
    added.runner =
        std::make_unique<ScriptRunner>(script, initial_state_of(script), *std::move(arguments),
                                       loop_, processes_, log_, [this] { refresh_soon(); });
    ScriptRunner& runner = *added.runner;
    scripts_.emplace(script.name, std::move(added));
    runner.start();
  }
}

// A script may be judged while instances are being told; so afterwards.
void VrrpService::refresh_soon() {
  loop_.post([this, alive = alive_] {
    if (*alive) refresh();
  });
}

std::string VrrpService::status_text() const {
  std::string text = "------< VRRP Topology >------\n";
  for (const Member& member : members_) text += member.driver->status_text();
  for (const auto& [name, state] : group_states_) {
    text += " VRRP Sync Group = " + name + "\n   State = " + std::string(name_of(state)) + "\n";
  }
  text +=
      "------< Packets >------\n   Foreign virtual routers = " + std::to_string(foreign_) + "\n";
  for (int i = 1; i < kWireFaults; ++i) {
    const std::uint64_t count = malformed_[static_cast<std::size_t>(i)];
    if (count == 0) continue;
    text += "   Malformed, " + std::string(name_of(static_cast<WireFault>(i))) + " = " +
            std::to_string(count) + "\n";
  }
  return text;
}

std::vector<InstanceReport> VrrpService::reports() const {
  std::vector<InstanceReport> reports;
  for (const Member& member : members_) {
    reports.push_back(member.driver->report());
    for (const Track& track : member.driver->instance().track_scripts) {
      // One that cannot be run is left out here as well.
      if (const auto found = scripts_.find(track.name); found != scripts_.end()) {
        reports.back().tracked_scripts.push_back(located_words(found->second.config.command));
      }
    }
  }
  return reports;
}

void VrrpService::clear_counters() {
  for (Member& member : members_) member.driver->clear_counters();
  malformed_ = {};
  foreign_ = 0;
}

// Wishes: a container that may not grant them still runs.
void VrrpService::apply_scheduling() {
  const GlobalDefs& global = config_.global;
  const auto complain = [this](const std::string& what) {
    log_.write(io::Severity::kWarning, Error::from_errno(errno, what).message());
  };
  if (global.process_no_swap && ::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) complain("mlockall");
  if (global.process_priority && ::setpriority(PRIO_PROCESS, 0, *global.process_priority) != 0) {
    complain("vrrp_priority");
  }
  if (global.rt_priority) {
    sched_param parameters{};
    parameters.sched_priority = *global.rt_priority;
    if (::sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &parameters) != 0) {
      complain("vrrp_rt_priority");
    }
  }
}

Result<void> check_against_host(const Config& config) {
  io::Netlink netlink = TRY(io::Netlink::open());
  std::string names;
  std::set<std::string> there;
  for (const io::NetworkLink& link : TRY(netlink.links())) {
    there.insert(link.name);
    names += (names.empty() ? "" : ", ") + link.name;
  }
  const auto at = [](const Place& place) {
    return place.file.empty() ? "" : place.file + ":" + std::to_string(place.line) + ": ";
  };
  const auto needs = [&](const std::string& interface, const Place& place) -> Result<void> {
    if (there.count(interface) != 0) return {};
    return Error(ErrorCode::kNotFound,
                 at(place) + "there is no interface '" + interface + "'; there are: " + names);
  };
  const auto refuse = [&](const Place& place, const std::string& what) {
    return Error(ErrorCode::kUnsupported, at(place) + what);
  };
  for (const SyncGroup& group : config.sync_groups) {
    for (const Track& track : group.track_interfaces) TRY(needs(track.name, track.place));
  }
  for (const VrrpInstance& instance : config.instances) {
    TRY(needs(instance.interface, instance.place));
    if (instance.addresses.empty()) {
      return refuse(instance.place, "an instance without virtual_ipaddress is not supported");
    }
    for (const auto* list : {&instance.addresses, &instance.excluded_addresses}) {
      for (const VirtualAddress& address : *list) {
        TRY(needs(address.device, address.place));
        if (address.peer) return refuse(address.place, "addresses with a peer are not supported");
      }
    }
    for (const Track& track : instance.track_interfaces) TRY(needs(track.name, track.place));
    for (const VirtualRoute& route : instance.routes) {
      if (!route.device.empty()) TRY(needs(route.device, route.place));
    }
    for (const VirtualRule& rule : instance.rules) {
      for (const std::string* const name : {&rule.from_interface, &rule.to_interface}) {
        if (!name->empty()) TRY(needs(*name, rule.place));
      }
    }
  }
  return {};
}

}  // namespace nines::vrrp

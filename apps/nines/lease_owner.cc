// The parts are made here and wired to each other; what each of them does is in its own file.
#include "lease_owner.h"

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>

#include "base/rng.h"
#include "cluster_owner.h"
#include "maintenance_mark.h"
#include "owner_sessions.h"
#include "vrrp/owned.h"

namespace nines {

namespace {

using cluster::NodeId;
using Json = nlohmann::json;

// A killed process has its sockets until its last thread has left the kernel.
constexpr Duration kGuardPatience = std::chrono::seconds(2);
constexpr Duration kMovesSaidEach = std::chrono::minutes(1);
// Two nodes that want the same free name at the same instant cost each other a round: the one of
// higher priority asks first.
constexpr Duration kPatiencePerPriority = std::chrono::microseconds(40);
constexpr int kPriorityMax = 255;
// After a handover its words are on their way; then this process may end.
constexpr Duration kHandOverLinger = std::chrono::milliseconds(50);
constexpr int kAnnounceAfterLink = 5;
constexpr int kAnnounceAgainstRival = 1;

Instant now_exactly() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{now.tv_sec * 1'000'000'000ll + now.tv_nsec};
}

Result<std::uint64_t> random_number() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number)) {
    return Error::from_errno(errno, "getrandom");
  }
  return number;
}

std::vector<cluster::AddressGroup> groups_of(const vrrp::Config& config) {
  std::vector<cluster::AddressGroup> groups;
  for (const vrrp::VrrpInstance& instance : config.instances) {
    groups.push_back({.text = instance.name, .addresses = vrrp::owned_by(instance)});
  }
  return groups;
}

Duration patience_of(const vrrp::VrrpInstance& instance) {
  return kPatiencePerPriority * (kPriorityMax - instance.priority);
}

bool is_absent(const cluster::PeerStatus& peer) {
  return peer.presence == cluster::Presence::kSuspect || peer.presence == cluster::Presence::kGone;
}

}  // namespace

Result<std::unique_ptr<vrrp::OwnerService>> LeaseOwner::create(const node::ClusterConfig& cluster,
                                                               Load load,
                                                               const vrrp::Config& config,
                                                               io::EpollLoop& loop, io::Log& log) {
  TRY(check_for_leases(config));
  auto owner = std::unique_ptr<LeaseOwner>(
      new LeaseOwner(config, loop, log, TRY(address::Routing::open()), TRY(io::Netlink::open()),
                     TRY(io::NetworkMonitor::open())));
  owner->load_ = std::move(load);
  TRY(owner->prepare(cluster));
  return std::unique_ptr<vrrp::OwnerService>(std::move(owner));
}

LeaseOwner::LeaseOwner(vrrp::Config config, io::EpollLoop& loop, io::Log& log,
                       address::Routing routing, io::Netlink netlink, io::NetworkMonitor monitor)
    : loop_(loop),
      log_(log),
      config_(std::move(config)),
      monitor_(std::move(monitor)),
      tracks_(loop, processes_, std::move(netlink), log, [this] { refresh(); }),
      routes_(std::move(routing), loop, log),
      rivals_(config_, loop, log, [this] { holder_->announce_all(kAnnounceAgainstRival); }),
      adverts_(loop, log,
               [this](const vrrp::VrrpInstance& instance) { return rivals_.socket_of(instance); }) {
  rivals_.set_strange([this](std::string_view instance) {
    return !adverts_.on() || adverts_.is_sole_speaker(instance);
  });
  for (const vrrp::VrrpInstance& instance : config_.instances) {
    instances_.push_back({.config = instance, .name = cluster::name_from(instance.name)});
  }
}

LeaseOwner::~LeaseOwner() {
  *alive_ = false;
  for (const auto watch : watches_) loop_.unwatch_descriptor(watch);
  loop_.set_watch(nullptr);
  processor_watch_.reset();
  dead_peers_.reset();
  driver_.reset();
}

Result<void> LeaseOwner::prepare(const node::ClusterConfig& cluster) {
  std::vector<std::vector<SocketAddress>> guarded;
  for (const cluster::AddressGroup& group : groups_of(config_)) {
    guarded.emplace_back();
    for (const auto& owned : group.addresses) guarded.back().push_back(owned.address);
  }
  gate_ = std::make_unique<GuardGate>(TRY(address::Guard::create(std::nullopt, kGuardPatience)),
                                      std::move(guarded), log_);
  TRY(gate_->install());
  if (const auto& why = gate_->no_program()) {
    log_.write(io::Severity::kNotice,
               "renewals wait while a firewall is loaded: " + why->message());
  }
  TRY(routes_.prepare(config_, monitor_));
  holder_ = std::make_unique<cluster::AddressHolder>(
      groups_of(config_), TRY(address::InterfaceAddresses::open()),
      TRY(address::InterfaceAddresses::open()), *gate_, loop_, now_exactly, log_,
      [this](const cluster::AddressGroup& group, bool held, cluster::Epoch epoch) {
        held_changed(group, held, epoch);
      });
  auto machine = TRY(make_machine(cluster));
  auto store = TRY(cluster::LeaseStore::open(cluster.state, std::string(cluster::kMemoryFolder)));
  if (!store.disk()) {
    log_.write(
        io::Severity::kWarning,
        "this node's part in the cluster is not on its disk: it learns it from a majority of "
        "the others (a new cluster begins with 'nines cluster init' on each node)");
  }
  peers_ = TRY(OwnerPeers::create(cluster, loop_, log_));
  sessions_ =
      TRY(make_session_driver(cluster, config_, *holder_, *peers_, loop_, now_exactly, log_));
  driver_ = std::make_unique<cluster::LeaseDriver>(std::move(machine), std::move(store), loop_,
                                                   now_exactly, *peers_, *sessions_, log_);
  word_ = std::make_unique<OwnerWord>(cluster);
  membership_ = std::make_unique<cluster::MembershipDriver>(TRY(make_membership(cluster)), loop_,
                                                            now_exactly, *peers_);
  membership_->on_verdict([this](const cluster::NodeVerdict& verdict) { log_verdict(verdict); });
  membership_->on_change([this] { members_changed(); });
  dead_peers_ = TRY(OwnerDeadPeers::create(cluster, config_, *membership_, loop_, log_));
  advertises_ = cluster.advertise;
  self_ = cluster.self;
  maintenance_ = TRY(is_in_maintenance(cluster.state));
  for (const auto& node : cluster.nodes) {
    nodes_.push_back({.id = node.id, .name = node.name, .addresses = {}, .witness = node.witness});
    for (const auto& address : node.addresses) nodes_.back().addresses.push_back(address.text());
  }
  return {};
}

Result<cluster::Membership> LeaseOwner::make_membership(const node::ClusterConfig& cluster) const {
  cluster::MembershipOptions options;
  options.self = cluster.self;
  for (const auto& node : cluster.nodes) {
    options.peers.add(node.id);
    options.networks = static_cast<int>(node.addresses.size());
  }
  return cluster::Membership::create(options);
}

Result<cluster::Lease> LeaseOwner::make_machine(const node::ClusterConfig& cluster) const {
  cluster::LeaseOptions options;
  options.self = cluster.self;
  for (const auto& node : cluster.nodes) options.peers.add(node.id);
  options.voters = options.peers;
  options.classes = {{.term = cluster.term, .renew_every = cluster.term / 4}};
  for (const Instance& instance : instances_) {
    options.names.push_back({.name = instance.name,
                             .term_class = 0,
                             .wanted = false,  // until refresh() has looked
                             .patience = patience_of(instance.config)});
  }
  const std::uint64_t seed = TRY(random_number());
  return cluster::Lease::create(std::move(options), base::Rng(seed));
}

void LeaseOwner::start(const vrrp::Predecessor&) {
  watches_.push_back(loop_.watch_descriptor(monitor_.descriptor(), EPOLLIN,
                                            [this](std::uint32_t) { network_changed(); }));
  watches_.push_back(loop_.watch_descriptor(gate_->monitor(), EPOLLIN,
                                            [this](std::uint32_t) { gate_->on_monitor(); }));
  watch_processor();
  const auto nonce = random_number();
  // Without randomness nothing could be sealed either; prepare() has had some.
  driver_->start(nonce.has_value() ? *nonce
                                   : static_cast<std::uint64_t>(now_exactly().nanoseconds));
  const auto incarnation = random_number();
  membership_->start(incarnation.has_value() && *incarnation != 0
                         ? *incarnation
                         : static_cast<std::uint64_t>(now_exactly().nanoseconds));
  if (maintenance_) membership_->stand(cluster::Standing::kMaintenance);
  peers_->start(*driver_, *membership_, *sessions_);
  dead_peers_->start();
  tracks_.load(config_);
  rivals_.listen(config_);
  adverts_.configure(config_, advertises_);
  refresh();
}

// Without one, a standstill of a processor is what it always was.
void LeaseOwner::watch_processor() {
  auto watch = io::ProcessorWatch::create(
      [this] { loop_.post([] {}); },
      [this](io::ProcessorWatch::Moved moved) {
        ++processor_moves_;
        const Instant now = now_exactly();
        if (moves_said_at_ != Instant{} && now - moves_said_at_ < kMovesSaidEach) return;
        moves_said_at_ = now;
        log_.write(io::Severity::kNotice,
                   "processor " + std::to_string(moved.from) +
                       " stood still with a renewal due: the owner went on by another",
                   {{"late_ms", std::to_string(milliseconds_of(moved.late))},
                    {"times", std::to_string(processor_moves_)}});
      });
  if (!watch.has_value()) return;
  processor_watch_ = *std::move(watch);
  loop_.set_watch(processor_watch_.get());
}

// A holder's renewals have to be in time, and so have a voter's answers where the other voters may
// be gone: a standstill there is borne otherwise.
void LeaseOwner::watch_while_needed() {
  if (!processor_watch_) return;
  const bool holds = std::any_of(instances_.begin(), instances_.end(),
                                 [](const Instance& each) { return each.held; });
  const auto peers = membership_->status();
  const bool all_are_seen = std::none_of(peers.begin(), peers.end(), is_absent);
  processor_watch_->set_on(holds || !all_are_seen);
}

void LeaseOwner::set_fit(bool fit) {
  if (std::exchange(fit_, fit) != fit) refresh();
}

// What takes effect without a new process: priorities, tracks, scripts, the cluster's keys. Names
// and addresses are what the guard and the machine were made for.
Result<void> LeaseOwner::reload(vrrp::Config config) {
  TRY(check_for_leases(config));
  const auto same_addresses = [&] {
    if (config.instances.size() != config_.instances.size()) return false;
    for (std::size_t i = 0; i < config.instances.size(); ++i) {
      const auto& a = config.instances[i];
      const auto& b = config_.instances[i];
      if (a.name != b.name || vrrp::owned_by(a) != vrrp::owned_by(b)) return false;
      if (vrrp::routing_of(a) != vrrp::routing_of(b)) return false;
    }
    return true;
  };
  if (!same_addresses()) {
    return Error(
        ErrorCode::kUnsupported,
        "instances, their addresses and routes change by a restart when they are held by lease");
  }
  const node::ClusterConfig cluster = TRY(load_());
  auto keys = TRY(peers_->read_keys());
  TRY(peers_->set_keys(std::move(keys)));
  TRY(dead_peers_->reload(cluster));
  sessions_->configure(cluster.tell_sessions);
  config_ = std::move(config);
  for (std::size_t i = 0; i < instances_.size(); ++i) instances_[i].config = config_.instances[i];
  tracks_.load(config_);
  rivals_.listen(config_);
  advertises_ = cluster.advertise;
  adverts_.configure(config_, advertises_);
  refresh();
  return {};
}

// A member that serves and may own, and of those the lowest number: all hosts would choose the
// same. 0: none.
NodeId LeaseOwner::successor() const {
  for (const cluster::PeerStatus& peer : membership_->status()) {
    const bool serves =
        peer.presence == cluster::Presence::kMember && peer.standing == cluster::Standing::kServing;
    const bool witness = std::any_of(
        nodes_.begin(), nodes_.end(),
        [&](const cluster::ClusterViewNode& node) { return node.id == peer.node && node.witness; });
    if (serves && !witness) return peer.node;
  }
  return 0;
}

void LeaseOwner::hand_over(std::function<void()> done) {
  const NodeId successor = this->successor();
  for (const Instance& instance : instances_) {
    if (instance.held && successor != 0) driver_->hand_over(instance.name, successor);
  }
  driver_->handle(cluster::lease_event::Stop{});
  membership_->stand(cluster::Standing::kLeaving);
  handed_over_ = std::move(done);
  loop_.arm(*this, kHandOverLinger);
}

void LeaseOwner::on_timer(Instant) {
  if (const auto done = std::exchange(handed_over_, nullptr)) done();
}

std::vector<vrrp::OwnerReport> LeaseOwner::reports() const {
  std::vector<vrrp::OwnerReport> reports;
  for (const Instance& instance : instances_) {
    vrrp::OwnerReport report;
    report.instance = instance.config.name;
    report.state = instance.held     ? vrrp::State::kMaster
                   : instance.wanted ? vrrp::State::kBackup
                   : maintenance_    ? vrrp::State::kStopped
                                     : vrrp::State::kFault;
    report.priority = instance.config.priority;
    report.epoch = instance.held ? instance.epoch : 0;
    reports.push_back(std::move(report));
  }
  return reports;
}

std::string LeaseOwner::answer(std::string_view request) {
  if (request == "cluster status") return with_parts(status());
  if (request == "cluster maintenance on") return set_maintenance(true);
  if (request == "cluster maintenance off") return set_maintenance(false);
  if (request.starts_with(kGrantRequest)) return grant(request.substr(kGrantRequest.size()));
  return Json({{"error",
                "known requests: cluster status, cluster maintenance on, cluster "
                "maintenance off, lease grant"}})
      .dump();
}

// The addresses go to a successor in one round trip, while both guards are known to be shut; then
// nothing is claimed until the operator says so. Others are told with the next heartbeat, at once.
std::string LeaseOwner::set_maintenance(bool on) {
  Json moved = Json::array();
  if (on && !maintenance_) {
    const NodeId to = successor();
    for (const Instance& instance : instances_) {
      if (!instance.held) continue;
      moved.push_back({{"name", instance.config.name}, {"to", to == 0 ? "" : name_of(to)}});
      if (to != 0) driver_->hand_over(instance.name, to);
    }
  }
  if (std::exchange(maintenance_, on) != on) {
    log_.write(io::Severity::kNotice, on ? "maintenance: nothing is claimed here"
                                         : "maintenance is over: addresses are claimed again");
    membership_->stand(on ? cluster::Standing::kMaintenance : cluster::Standing::kServing);
    refresh();
  }
  return Json({{"node", name_of(self_)},
               {"standing", cluster::name_of(membership_->machine().standing())},
               {"moved", std::move(moved)}})
      .dump();
}

std::string LeaseOwner::with_parts(const std::string& status) const {
  Json json = Json::parse(status);
  json["dead_peers"] = dead_peers_->report();
  json["sessions"] = sessions_json(*sessions_, nodes_, now_exactly());
  json["guard"] = {{"by_program", !gate_->no_program()}};
  if (gate_->no_program()) json["guard"]["no_program"] = gate_->no_program()->message();
  json["processor_moves"] = processor_moves_;
  return json.dump();
}

std::string LeaseOwner::grant(std::string_view words) {
  const auto judged = [&]() -> Result<cluster::lease_event::Grant> {
    const GrantRequest request = TRY(parse_grant_request(words));
    return word_->judge(request, word_view());
  }();
  if (!judged.has_value()) return Json({{"error", judged.error().message()}}).dump();
  std::string names;
  for (const std::string& name : word_->names_of(judged->switched_off)) names += ' ' + name;
  log_.write(io::Severity::kAlert, "the operator's word: powered off are" + names,
             {{"word", std::to_string(judged->word)}});
  driver_->handle(*judged);
  return Json({{"word", judged->word}}).dump();
}

WordView LeaseOwner::word_view() const {
  WordView view;
  view.leases = driver_->status();
  view.now = now_exactly();
  view.wall_seconds = static_cast<std::uint64_t>(::time(nullptr));
  peers_->others().for_each([&](NodeId node) {
    Instant& latest = view.last_heard[node];
    for (const auto& link : peers_->sockets().statistics(node).links) {
      latest = std::max(latest, link.last_heard);
    }
  });
  for (const Instance& instance : instances_) view.instances.push_back(instance.config.name);
  return view;
}

Json LeaseOwner::conflicts(Instant now) const {
  Json conflicts = Json::array();
  for (const Rival& rival : rivals_.record().rivals()) {
    conflicts.push_back(
        {{"instance", rival.instance},
         {"source", rival.source.ip_text()},
         {"router_id", rival.router_id},
         {"priority", rival.priority},
         {"adverts", rival.adverts},
         {"last_s", static_cast<double>(milliseconds_of(now - rival.last)) / 1000}});
  }
  return conflicts;
}

std::string LeaseOwner::status() const {
  cluster::ClusterView view;
  view.self = self_;
  view.nodes = nodes_;
  view.networks = static_cast<int>(peers_->sockets().networks());
  view.now = now_exactly();
  const cluster::Membership& machine = membership_->machine();
  view.isolated = machine.is_isolated();
  view.strain = machine.strain();
  view.standing = machine.standing();
  view.incarnation = machine.incarnation();
  view.peers = membership_->status();
  view.leases = driver_->status();
  for (const Instance& instance : instances_) {
    view.names.push_back({.name = instance.config.name,
                          .wanted = instance.wanted,
                          .sight = driver_->sight(instance.name)});
  }
  Json status = Json::parse(cluster::render_cluster_json(view));
  const WordView word = word_view();
  status["cold"] = word.leases.cold;
  status["unheard"] = word_->names_of(word.leases.unheard);
  status["word"] = {{"pending", word.leases.word_pending},
                    {"off", word_->names_of(word.leases.off)},
                    {"awaited", word_->names_of(word.leases.awaited)}};
  status["conflicts"] = conflicts(word.now);
  status["advice"] = word_->advice(word);
  return status.dump();
}

void LeaseOwner::network_changed() {
  std::vector<io::NetworkEvent> events;
  if (const auto read = monitor_.read(events); !read.has_value()) {
    log_.write(io::Severity::kError, read.error().message());
  }
  bool links = events.empty();  // news was lost: look again
  bool routes = links;
  for (const io::NetworkEvent& event : events) {
    routes = routes || routes_.disturbed_by(event);
    switch (event.kind) {
      case io::NetworkEvent::Kind::kAddressRemoved:
        holder_->address_removed(event.address.address);
        break;
      case io::NetworkEvent::Kind::kLinkChanged:
      case io::NetworkEvent::Kind::kLinkRemoved:
        links = links || tracks_.concerns(config_, event.link);
        break;
      case io::NetworkEvent::Kind::kLost:
        links = true;
        break;
      case io::NetworkEvent::Kind::kAddressAdded:
      case io::NetworkEvent::Kind::kRouteRemoved:
      case io::NetworkEvent::Kind::kRuleRemoved:
        break;
    }
  }
  if (routes) routes_.restore();
  if (!links) return;
  rivals_.listen(config_);
  refresh();
  // A carrier that came back: others may have learnt something else meanwhile.
  holder_->announce_all(kAnnounceAfterLink);
}

// Claims need not wait for the votes of those who cannot give any.
void LeaseOwner::members_changed() {
  cluster::NodeSet absent;
  for (const cluster::PeerStatus& peer : membership_->status()) {
    if (is_absent(peer)) absent.add(peer.node);
  }
  watch_while_needed();
  driver_->handle(cluster::lease_event::Absent{absent});
  dead_peers_->changed();
}

void LeaseOwner::log_verdict(const cluster::NodeVerdict& verdict) {
  // Whoever was behind a cut may have learnt there that somebody else has them.
  if (verdict.finding == cluster::Finding::kBack) holder_->announce_all(kAnnounceAfterLink);
  const bool bad = verdict.finding != cluster::Finding::kBack && !verdict.leaves;
  log_.write(bad ? io::Severity::kWarning : io::Severity::kNotice,
             name_of(verdict.node) + " is " + std::string(cluster::name_of(verdict.finding)) +
                 ": " + text_of(verdict));
}

std::string LeaseOwner::name_of(NodeId node) const {
  for (const cluster::ClusterViewNode& each : nodes_) {
    if (each.id == node) return each.name;
  }
  return "node " + std::to_string(node);
}

// Whether each instance is to be held here: the proxy serves, its links run, its scripts are good.
void LeaseOwner::refresh() {
  if (const auto looked = tracks_.look(); !looked.has_value()) {
    return log_.write(io::Severity::kError, looked.error().message());
  }
  bool changed = false;
  for (Instance& instance : instances_) {
    const bool wanted = fit_ && !maintenance_ && tracks_.fit(instance.config);
    if (std::exchange(instance.known, true) && instance.wanted == wanted) continue;
    instance.wanted = wanted;
    changed = true;
    driver_->want(instance.name, wanted, patience_of(instance.config));
  }
  if (changed && changed_) changed_();
}

void LeaseOwner::held_changed(const cluster::AddressGroup& group, bool held, cluster::Epoch epoch) {
  for (Instance& instance : instances_) {
    if (instance.config.name != group.text) continue;
    instance.held = held;
    instance.epoch = epoch;
    routes_.set_held(instance.config, held);
    adverts_.set_held(instance.config.name, held);
    log_.write(io::Severity::kNotice,
               "(" + group.text + ") " + (held ? "held by lease" : "held no longer"),
               {{"epoch", std::to_string(epoch)}});
    notify_.run(config_, instance.config, held);
  }
  watch_while_needed();
  if (changed_) {
    loop_.post([this, alive = alive_] {
      if (*alive) changed_();
    });
  }
}

}  // namespace nines

// The lease machine at work on one host: peers by sealed datagrams, addresses behind the guard, and
// what keepalived.conf tracks as the wish to hold or not.
#include "cluster_owner.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <utility>

#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>

#include "address/guard.h"
#include "address/interface_addresses.h"
#include "base/rng.h"
#include "cluster/address_holder.h"
#include "cluster/key_file.h"
#include "cluster/lease_driver.h"
#include "cluster/lease_wire.h"
#include "cluster/peer_sockets.h"
#include "io/linux/netlink.h"
#include "io/linux/processes.h"
#include "vrrp/owned.h"
#include "vrrp/script_runner.h"
#include "vrrp/vrrp_service.h"

namespace nines {

namespace {

using cluster::Name;
using cluster::NodeId;

// Two nodes that want the same free name at the same instant cost each other a round: the one of
// higher priority asks first.
constexpr Duration kPatiencePerPriority = std::chrono::microseconds(40);
constexpr int kPriorityMax = 255;
// After a handover its words are on their way; then this process may end.
constexpr Duration kHandOverLinger = std::chrono::milliseconds(50);
constexpr int kAnnounceAfterLink = 5;
constexpr Duration kHeardLately = std::chrono::seconds(1);

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

// The guard as the holder's gate; put back when somebody flushed it.
class GuardGate final : public cluster::AddressGate {
 public:
  GuardGate(address::Guard guard, std::vector<std::vector<SocketAddress>> groups, io::Log& log)
      : guard_(std::move(guard)), log_(log) {
    for (auto& addresses : groups) leases_.push_back({std::move(addresses), Instant{}});
  }

  Result<void> install() { return guard_.install(leases_); }

  Result<void> open_until(std::size_t group, Instant end) override {
    leases_[group].open_until = end;
    auto opened = guard_.open_until(group, end);
    if (opened.has_value() || opened.error().code() != ErrorCode::kNotFound) return opened;
    return put_back();
  }
  Result<void> close(std::size_t group) override {
    leases_[group].open_until = Instant{};
    auto closed = guard_.close(group);
    if (closed.has_value() || closed.error().code() != ErrorCode::kNotFound) return closed;
    return put_back();
  }

  int monitor() const { return guard_.monitor(); }
  void on_monitor() {
    const auto disturbed = guard_.disturbed();
    if (disturbed.has_value() && !*disturbed) return;
    if (const auto put = put_back(); !put.has_value()) {
      log_.write(io::Severity::kAlert, "the guard: " + put.error().message());
    }
  }

 private:
  Result<void> put_back() {
    log_.write(io::Severity::kWarning, "somebody changed the guard's rules: they are put back");
    return install();
  }

  address::Guard guard_;
  io::Log& log_;
  std::vector<address::GuardedLease> leases_;
};

class LeaseOwner final : public vrrp::OwnerService,
                         private cluster::LeasePeers,
                         private cluster::PeerHandler,
                         private Timer {
 public:
  static Result<std::unique_ptr<vrrp::OwnerService>> create(const node::ClusterConfig& cluster,
                                                            const vrrp::Config& config,
                                                            io::EpollLoop& loop, io::Log& log);
  ~LeaseOwner() override;

  void start(const std::set<std::string>&) override;
  void set_fit(bool fit) override;
  Result<void> reload(vrrp::Config config) override;
  void stop() override { driver_->handle(cluster::lease_event::Stop{}); }
  void hand_over(std::function<void()> done) override;
  void on_change(std::function<void()> callback) override { changed_ = std::move(callback); }
  std::vector<vrrp::OwnerReport> reports() const override;

 private:
  struct Instance {
    vrrp::VrrpInstance config;
    Name name = 0;
    bool wanted = false;
    bool known = false;  // the machine was told once
    bool held = false;
    cluster::Epoch epoch = 0;
  };
  struct Script {
    vrrp::VrrpScript config;
    std::unique_ptr<vrrp::ScriptRunner> runner;
  };

  LeaseOwner(const node::ClusterConfig& cluster, vrrp::Config config, io::EpollLoop& loop,
             io::Log& log, address::InterfaceAddresses addresses, io::Netlink netlink,
             io::NetworkMonitor monitor);
  Result<void> prepare(const node::ClusterConfig& cluster);

  // Peers.
  void send(NodeId to, const cluster::Message& message) override;
  void on_message(NodeId from, std::size_t network, std::string_view bytes) override;
  void on_timer(Instant) override;

  void network_changed();
  void refresh();
  void load_scripts();
  void held_changed(const cluster::AddressGroup& group, bool held, cluster::Epoch epoch);
  void run_notify(const Instance& instance);
  void run(const vrrp::Command& command, const std::vector<std::string>& more);

  io::EpollLoop& loop_;
  io::Log& log_;
  vrrp::Config config_;
  address::InterfaceAddresses addresses_;
  io::Netlink netlink_;
  io::NetworkMonitor monitor_;
  io::LinuxProcesses processes_{loop_};
  std::vector<Instance> instances_;  // in the configuration's order
  std::map<std::string, Script> scripts_;
  std::unique_ptr<GuardGate> gate_;
  std::unique_ptr<cluster::AddressHolder> holder_;
  std::unique_ptr<cluster::PeerSockets> sockets_;
  std::unique_ptr<cluster::LeaseDriver> driver_;
  cluster::NodeSet peers_;  // the others
  cluster::Message heard_;  // scratch
  std::vector<io::EpollLoop::WatchId> watches_;
  bool fit_ = true;
  std::function<void()> changed_;
  std::function<void()> handed_over_;
  // Whether this owner still lives, for what it posted; shared with that alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

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

Result<std::unique_ptr<vrrp::OwnerService>> LeaseOwner::create(const node::ClusterConfig& cluster,
                                                               const vrrp::Config& config,
                                                               io::EpollLoop& loop, io::Log& log) {
  TRY(check_for_leases(config));
  auto owner = std::unique_ptr<LeaseOwner>(
      new LeaseOwner(cluster, config, loop, log, TRY(address::InterfaceAddresses::open()),
                     TRY(io::Netlink::open()), TRY(io::NetworkMonitor::open())));
  TRY(owner->prepare(cluster));
  return std::unique_ptr<vrrp::OwnerService>(std::move(owner));
}

LeaseOwner::LeaseOwner(const node::ClusterConfig& cluster, vrrp::Config config, io::EpollLoop& loop,
                       io::Log& log, address::InterfaceAddresses addresses, io::Netlink netlink,
                       io::NetworkMonitor monitor)
    : loop_(loop),
      log_(log),
      config_(std::move(config)),
      addresses_(std::move(addresses)),
      netlink_(std::move(netlink)),
      monitor_(std::move(monitor)) {
  for (const vrrp::VrrpInstance& instance : config_.instances) {
    instances_.push_back({.config = instance, .name = cluster::name_from(instance.name)});
  }
  for (const auto& node : cluster.nodes) {
    if (node.id != cluster.self) peers_.add(node.id);
  }
}

LeaseOwner::~LeaseOwner() {
  *alive_ = false;
  for (const auto watch : watches_) loop_.unwatch_descriptor(watch);
  driver_.reset();
}

// Everything that can be refused is refused here; the gate is shut before any address is there.
Result<void> LeaseOwner::prepare(const node::ClusterConfig& cluster) {
  std::vector<std::vector<SocketAddress>> guarded;
  for (const cluster::AddressGroup& group : groups_of(config_)) {
    guarded.emplace_back();
    for (const auto& owned : group.addresses) guarded.back().push_back(owned.address);
  }
  gate_ = std::make_unique<GuardGate>(TRY(address::Guard::create()), std::move(guarded), log_);
  TRY(gate_->install());
  holder_ = std::make_unique<cluster::AddressHolder>(
      groups_of(config_), addresses_, *gate_, loop_, now_exactly, log_,
      [this](const cluster::AddressGroup& group, bool held, cluster::Epoch epoch) {
        held_changed(group, held, epoch);
      });

  cluster::LeaseOptions options;
  options.self = cluster.self;
  options.peers = peers_;
  options.classes = {{.term = cluster.term, .renew_every = cluster.term / 4}};
  for (const Instance& instance : instances_) {
    options.names.push_back({.name = instance.name,
                             .term_class = 0,
                             .wanted = false,  // until refresh() has looked
                             .patience = patience_of(instance.config)});
  }
  const std::uint64_t seed = TRY(random_number());
  auto machine = TRY(cluster::Lease::create(std::move(options), base::Rng(seed)));
  auto store = TRY(cluster::LeaseStore::open(cluster.state, std::string(cluster::kMemoryFolder)));
  if (!store.disk()) {
    log_.write(
        io::Severity::kWarning,
        "this node's part in the cluster is not on its disk: it learns it from a majority of "
        "the others (a new cluster begins with 'nines cluster init' on each node)");
  }
  cluster::PeerSocketsOptions links;
  links.self = cluster.self;
  for (const auto& node : cluster.nodes) links.nodes[node.id] = node.addresses;
  links.keys = TRY(cluster::read_key_file(cluster.key));
  links.incarnation = TRY(cluster::fresh_incarnation());
  sockets_ = TRY(cluster::PeerSockets::create(std::move(links), loop_, *this, log_));
  cluster::LeasePeers& peers = *this;
  driver_ = std::make_unique<cluster::LeaseDriver>(std::move(machine), std::move(store), loop_,
                                                   now_exactly, peers, *holder_, log_);
  return {};
}

void LeaseOwner::start(const std::set<std::string>&) {
  watches_.push_back(loop_.watch_descriptor(monitor_.descriptor(), EPOLLIN,
                                            [this](std::uint32_t) { network_changed(); }));
  watches_.push_back(loop_.watch_descriptor(gate_->monitor(), EPOLLIN,
                                            [this](std::uint32_t) { gate_->on_monitor(); }));
  const auto nonce = random_number();
  // Without randomness nothing could be sealed either; prepare() has had some.
  driver_->start(nonce.has_value() ? *nonce
                                   : static_cast<std::uint64_t>(now_exactly().nanoseconds));
  sockets_->start();
  load_scripts();
  refresh();
}

void LeaseOwner::set_fit(bool fit) {
  if (std::exchange(fit_, fit) != fit) refresh();
}

// What takes effect without a new process: priorities, tracks, scripts. Names and addresses are
// what the guard and the machine were made for.
Result<void> LeaseOwner::reload(vrrp::Config config) {
  TRY(check_for_leases(config));
  const auto same_addresses = [&] {
    if (config.instances.size() != config_.instances.size()) return false;
    for (std::size_t i = 0; i < config.instances.size(); ++i) {
      const auto& a = config.instances[i];
      const auto& b = config_.instances[i];
      if (a.name != b.name || vrrp::owned_by(a) != vrrp::owned_by(b)) return false;
    }
    return true;
  };
  if (!same_addresses()) {
    return Error(ErrorCode::kUnsupported,
                 "instances and their addresses change by a restart when they are held by lease");
  }
  config_ = std::move(config);
  for (std::size_t i = 0; i < instances_.size(); ++i) instances_[i].config = config_.instances[i];
  load_scripts();
  refresh();
  return {};
}

// To whoever was heard last, and of those to the lowest number: all hosts would choose the same.
void LeaseOwner::hand_over(std::function<void()> done) {
  const Instant now = now_exactly();
  NodeId successor = 0;
  peers_.for_each([&](NodeId node) {
    for (const auto& link : sockets_->statistics(node).links) {
      if (successor == 0 && now - link.last_heard < kHeardLately) successor = node;
    }
  });
  for (const Instance& instance : instances_) {
    if (instance.held && successor != 0) driver_->hand_over(instance.name, successor);
  }
  driver_->handle(cluster::lease_event::Stop{});
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
                                     : vrrp::State::kFault;
    report.priority = instance.config.priority;
    report.epoch = instance.held ? instance.epoch : 0;
    reports.push_back(std::move(report));
  }
  return reports;
}

// ---- Peers
// ---------------------------------------------------------------------------------------

void LeaseOwner::send(NodeId to, const cluster::Message& message) {
  // What is not taken is lost, as anything on a network may be.
  static_cast<void>(sockets_->send(to, cluster::encode_lease_message(message)));
}

void LeaseOwner::on_message(NodeId from, std::size_t, std::string_view bytes) {
  const auto fault = cluster::parse_lease_message(bytes, heard_);
  // What an authenticated peer of another version says is passed over, as if it had been lost.
  if (fault == cluster::WireFault::kNone) driver_->heard(from, heard_);
}

// ---- The world as it is
// --------------------------------------------------------------------------

void LeaseOwner::network_changed() {
  std::vector<io::NetworkEvent> events;
  if (const auto read = monitor_.read(events); !read.has_value()) {
    log_.write(io::Severity::kError, read.error().message());
  }
  bool links = events.empty();  // news was lost: look again
  for (const io::NetworkEvent& event : events) {
    if (event.kind == io::NetworkEvent::Kind::kAddressRemoved) {
      holder_->address_removed(event.address.address);
    } else if (event.kind != io::NetworkEvent::Kind::kAddressAdded) {
      links = true;
    }
  }
  if (!links) return;
  refresh();
  // A carrier that came back: others may have learnt something else meanwhile.
  holder_->announce_all(kAnnounceAfterLink);
}

// Whether each instance is to be held here: the proxy serves, its links run, its scripts are good.
void LeaseOwner::refresh() {
  const auto links = netlink_.links();
  if (!links.has_value()) return log_.write(io::Severity::kError, links.error().message());
  const auto running = [&](const std::string& name) {
    return std::any_of(links->begin(), links->end(), [&](const io::NetworkLink& link) {
      return link.name == name && link.up && link.running;
    });
  };
  bool changed = false;
  for (Instance& instance : instances_) {
    vrrp::TrackSum sum;
    if (!fit_) ++sum.faults;
    if (!running(instance.config.interface)) ++sum.faults;
    for (const vrrp::Track& track : instance.config.track_interfaces) {
      sum.add(running(track.name) ? vrrp::ScriptState::kGood : vrrp::ScriptState::kFailed,
              track.weight, track.reverse);
    }
    for (const vrrp::Track& track : instance.config.track_scripts) {
      const auto found = scripts_.find(track.name);
      if (found == scripts_.end()) continue;  // it cannot be run; the log has said so
      sum.add(found->second.runner->state(), track.weight, track.reverse);
    }
    const bool wanted = sum.faults == 0 && sum.known;
    if (std::exchange(instance.known, true) && instance.wanted == wanted) continue;
    instance.wanted = wanted;
    changed = true;
    driver_->want(instance.name, wanted, patience_of(instance.config));
  }
  if (changed && changed_) changed_();
}

void LeaseOwner::load_scripts() {
  std::set<std::string> tracked;
  for (const Instance& instance : instances_) {
    for (const vrrp::Track& track : instance.config.track_scripts) tracked.insert(track.name);
  }
  scripts_.clear();
  for (const vrrp::VrrpScript& script : config_.scripts) {
    if (!tracked.contains(script.name)) continue;
    auto arguments = vrrp::resolve_command(script.command, config_.global);
    if (!arguments.has_value()) {
      log_.write(io::Severity::kError,
                 "script " + script.name + " is left out: " + arguments.error().message());
      continue;
    }
    const auto state = script.init_fail ? vrrp::ScriptState::kFailed : vrrp::ScriptState::kUnknown;
    auto runner = std::make_unique<vrrp::ScriptRunner>(script, state, *std::move(arguments), loop_,
                                                       processes_, log_, [this] {
                                                         loop_.post([this, alive = alive_] {
                                                           if (*alive) refresh();
                                                         });
                                                       });
    vrrp::ScriptRunner& started = *runner;
    scripts_.emplace(script.name, Script{script, std::move(runner)});
    started.start();
  }
}

// ---- Holding
// -------------------------------------------------------------------------------------

void LeaseOwner::held_changed(const cluster::AddressGroup& group, bool held, cluster::Epoch epoch) {
  for (Instance& instance : instances_) {
    if (instance.config.name != group.text) continue;
    instance.held = held;
    instance.epoch = epoch;
    log_.write(io::Severity::kNotice,
               "(" + group.text + ") " + (held ? "held by lease" : "held no longer"),
               {{"epoch", std::to_string(epoch)}});
    run_notify(instance);
  }
  if (changed_) {
    loop_.post([this, alive = alive_] {
      if (*alive) changed_();
    });
  }
}

// keepalived.conf(5): notify_STATE alone, then notify with INSTANCE, the name, the state and the
// priority.
void LeaseOwner::run_notify(const Instance& instance) {
  const vrrp::Notifications& notifications = instance.config.notifications;
  run(instance.held ? notifications.master : notifications.backup, {});
  run(notifications.any, {"INSTANCE", instance.config.name, instance.held ? "MASTER" : "BACKUP",
                          std::to_string(instance.config.priority)});
}

void LeaseOwner::run(const vrrp::Command& command, const std::vector<std::string>& more) {
  if (command.empty()) return;
  const auto start = [&]() -> Result<void> {
    std::vector<std::string> arguments = TRY(vrrp::resolve_command(command, config_.global));
    arguments.insert(arguments.end(), more.begin(), more.end());
    static_cast<void>(TRY(processes_.spawn({.arguments = std::move(arguments),
                                            .environment = {},
                                            .descriptors = {},
                                            .end_with_parent = false},
                                           [](int, io::ProcessExit) {})));
    return {};
  };
  if (const auto started = start(); !started.has_value()) {
    log_.write(io::Severity::kError, "notify script: " + started.error().message());
  }
}

}  // namespace

Result<void> check_for_leases(const vrrp::Config& config) {
  TRY(vrrp::check_against_host(config));
  const auto refuse = [](const vrrp::Place& place, const std::string& what) {
    return Error(ErrorCode::kUnsupported,
                 place.file + ":" + std::to_string(place.line) + ": " + what);
  };
  for (const vrrp::VrrpInstance& instance : config.instances) {
    if (!instance.unicast_peers.empty()) {
      return refuse(instance.place,
                    "unicast_peer: a cluster knows its nodes from nines.yaml; leave it out");
    }
    for (const vrrp::Track& track : instance.track_scripts) {
      if (track.weight != 0) {
        return refuse(track.place,
                      "a weight has no meaning where no priorities compete: use weight 0");
      }
    }
    for (const vrrp::Track& track : instance.track_interfaces) {
      if (track.weight != 0) {
        return refuse(track.place,
                      "a weight has no meaning where no priorities compete: use weight 0");
      }
    }
  }
  return {};
}

vrrp::MakeOwner make_lease_owner(node::ClusterConfig cluster) {
  return [cluster = std::move(cluster)](const vrrp::Config& config, io::EpollLoop& loop,
                                        io::Log& log) {
    return LeaseOwner::create(cluster, config, loop, log);
  };
}

}  // namespace nines

// The same machine and the same rules as on a controller; what it looks at are the controllers'
// words.
#include "listener_owner.h"

#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "cluster/key_file.h"
#include "cluster/peer_sockets.h"
#include "owner_dead_peers.h"

namespace nines {
namespace {

using Json = nlohmann::json;

// While the controllers wait for theirs: two echo requests and three asks.
constexpr Duration kOwnSilence = cluster::DeadPeers::kSilenceLeast;

Instant now_exactly() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{now.tv_sec * 1'000'000'000ll + now.tv_nsec};
}

}  // namespace

Result<cluster::VerdictListener> ListenerOwner::make_listener(const node::ClusterConfig& cluster) {
  cluster::NodeSet nodes;
  for (const node::ClusterNode& each : cluster.nodes) nodes.add(each.id);
  return cluster::VerdictListener::create(TRY(cluster::read_key_file(cluster.key)),
                                          cluster.listener, nodes,
                                          TRY(cluster::fresh_incarnation()));
}

Result<std::unique_ptr<vrrp::OwnerService>> ListenerOwner::create(
    const node::ClusterConfig& cluster, Load load, io::EpollLoop& loop, io::Log& log) {
  std::unique_ptr<ListenerOwner> owner(new ListenerOwner(loop));
  owner->load_ = std::move(load);
  owner->name_ = cluster.listener;
  const node::DeadPeersConfig& wanted = cluster.dead_peers;
  cluster::DeadPeersDriver::Options options;
  options.machine.observes = true;
  options.machine.on = wanted.on;
  options.machine.silence = kOwnSilence;
  options.machine.hold_down = wanted.hold_down;
  options.ports = ports_of(wanted);
  std::map<cluster::NodeId, std::vector<SocketAddress>> nodes;
  for (const node::ClusterNode& each : cluster.nodes) {
    options.machine.nodes.add(each.id);
    nodes[each.id] = each.addresses;
    cluster::DeadPeersHost host{
        .name = each.name, .services = each.addresses, .networks = each.addresses};
    if (const auto more = wanted.addresses.find(each.name); more != wanted.addresses.end()) {
      host.services.insert(host.services.end(), more->second.begin(), more->second.end());
    }
    options.hosts[each.id] = std::move(host);
  }
  auto listener = TRY(make_listener(cluster));
  owner->socket_ =
      TRY(cluster::ListenerSocket::create(std::move(listener), std::move(nodes), loop, now_exactly,
                                          [owner = owner.get()] { owner->driver_->changed(); }));
  owner->driver_ = TRY(cluster::DeadPeersDriver::create(
      std::move(options), loop, now_exactly,
      [socket = owner->socket_.get()](Instant now) { return socket->listener().look(now); },
      [](const cluster::DeadPeersHost&, cluster::Share) {}, log));
  return std::unique_ptr<vrrp::OwnerService>(std::move(owner));
}

void ListenerOwner::start(const vrrp::Predecessor&) {
  driver_->start();
  socket_->start();
}

Result<void> ListenerOwner::reload(vrrp::Config) {
  const node::ClusterConfig cluster = TRY(load_());
  socket_->set_listener(TRY(make_listener(cluster)));
  driver_->configure(cluster.dead_peers.on, kOwnSilence, cluster.dead_peers.hold_down,
                     ports_of(cluster.dead_peers));
  return {};
}

void ListenerOwner::hand_over(std::function<void()> done) { loop_.post(std::move(done)); }

std::string ListenerOwner::answer(std::string_view request) {
  if (request != "cluster status") {
    return Json({{"error", "this host only listens; known requests: cluster status"}}).dump();
  }
  Json peers = dead_peers_json(driver_->report());
  Json words = Json::array();
  for (const cluster::TellerSight& sight : socket_->listener().sights(now_exactly())) {
    words.push_back({{"node", sight.node}, {"heard", sight.heard}});
    words.back()["word_s"] =
        sight.word ? Json(static_cast<double>(milliseconds_of(*sight.word)) / 1000) : Json();
  }
  peers["words"] = std::move(words);
  return Json({{"listener", name_}, {"dead_peers", std::move(peers)}}).dump();
}

vrrp::MakeOwner make_listener_owner(std::function<node::ClusterConfig()> current,
                                    std::function<Result<node::ClusterConfig>()> load) {
  return [current = std::move(current), load = std::move(load)](const vrrp::Config&,
                                                                io::EpollLoop& loop, io::Log& log) {
    return ListenerOwner::create(current(), load, loop, log);
  };
}

}  // namespace nines

// A message's kind says whose it is; each parser refuses what it does not know.
#include "owner_peers.h"

#include <utility>

#include "cluster/key_file.h"
#include "cluster/lease_wire.h"
#include "cluster/membership_wire.h"

namespace nines {

Result<std::unique_ptr<OwnerPeers>> OwnerPeers::create(const node::ClusterConfig& cluster,
                                                       io::Loop& loop, io::Log& log) {
  auto peers = std::unique_ptr<OwnerPeers>(new OwnerPeers());
  cluster::PeerSocketsOptions options;
  options.self = cluster.self;
  for (const auto& node : cluster.nodes) {
    options.nodes[node.id] = node.addresses;
    if (node.id != cluster.self) peers->others_.add(node.id);
  }
  options.keys = TRY(cluster::read_key_file(cluster.key));
  options.incarnation = TRY(cluster::fresh_incarnation());
  cluster::PeerHandler& handler = *peers;
  peers->sockets_ = TRY(cluster::PeerSockets::create(std::move(options), loop, handler, log));
  return peers;
}

void OwnerPeers::start(cluster::LeaseDriver& leases, cluster::MembershipDriver& membership) {
  leases_ = &leases;
  membership_ = &membership;
  sockets_->start();
}

void OwnerPeers::send(cluster::NodeId to, const cluster::Message& message) {
  static_cast<void>(sockets_->send(to, cluster::encode_lease_message(message)));
}

void OwnerPeers::send(std::size_t network, cluster::NodeId to,
                      const cluster::Heartbeat& heartbeat) {
  static_cast<void>(sockets_->send_on(network, to, cluster::encode_heartbeat(heartbeat)));
}

// What an authenticated peer of another version says is passed over, as if it had been lost.
void OwnerPeers::on_message(cluster::NodeId from, std::size_t network, std::string_view bytes) {
  cluster::Heartbeat heartbeat;
  switch (cluster::parse_heartbeat(bytes, heartbeat)) {
    case cluster::WireFault::kNone:
      return membership_->heard(from, network, heartbeat);
    case cluster::WireFault::kKind:
      if (cluster::parse_lease_message(bytes, heard_) == cluster::WireFault::kNone) {
        leases_->heard(from, heard_);
      }
      return;
    default:
      return;
  }
}

}  // namespace nines

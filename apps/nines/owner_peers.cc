// A message's kind says whose it is; each parser refuses what it does not know.
#include "owner_peers.h"

#include <utility>

#include "cluster/key_file.h"
#include "cluster/lease_wire.h"
#include "cluster/membership_wire.h"
#include "cluster/session_wire.h"

namespace nines {

static_assert(cluster::kSessionMessageMax <= cluster::kMessageMax);

namespace {

// In the file's order: the first seals.
std::vector<std::uint32_t> ids_of(const cluster::ClusterKeys& keys) {
  std::vector<std::uint32_t> ids;
  for (const cluster::ClusterKey& key : keys) ids.push_back(key.id);
  return ids;
}

}  // namespace

Result<std::unique_ptr<OwnerPeers>> OwnerPeers::create(const node::ClusterConfig& cluster,
                                                       io::Loop& loop, io::Log& log) {
  auto peers = std::unique_ptr<OwnerPeers>(new OwnerPeers());
  cluster::PeerSocketsOptions options;
  options.self = cluster.self;
  for (const auto& node : cluster.nodes) {
    options.nodes[node.id] = node.addresses;
    if (node.id == cluster.self) continue;
    peers->others_.add(node.id);
    if (!node.witness) peers->owners_.add(node.id);
  }
  peers->key_path_ = cluster.key;
  options.keys = TRY(peers->read_keys());
  peers->key_ids_ = ids_of(options.keys);
  options.incarnation = TRY(cluster::fresh_incarnation());
  cluster::PeerHandler& handler = *peers;
  peers->sockets_ = TRY(cluster::PeerSockets::create(std::move(options), loop, handler, log));
  return peers;
}

Result<cluster::ClusterKeys> OwnerPeers::read_keys() const {
  return cluster::read_key_file(key_path_);
}

Result<void> OwnerPeers::set_keys(cluster::ClusterKeys keys) {
  std::vector<std::uint32_t> ids = ids_of(keys);
  if (ids == key_ids_) return {};
  const cluster::Incarnation incarnation = TRY(cluster::fresh_incarnation());
  TRY(sockets_->set_keys(std::move(keys), incarnation));
  key_ids_ = std::move(ids);
  return {};
}

void OwnerPeers::start(cluster::LeaseDriver& leases, cluster::MembershipDriver& membership,
                       cluster::SessionDriver& sessions) {
  leases_ = &leases;
  membership_ = &membership;
  sessions_ = &sessions;
  sockets_->start();
}

// One datagram and one waking of the receiver for both, where a heartbeat is due soon.
void OwnerPeers::send(cluster::NodeId to, const cluster::Message& message) {
  const std::string bytes = cluster::encode_lease_message(message);
  riders_.clear();
  const bool fits = bytes.size() + cluster::kHeartbeatSize <= cluster::kMessageMax;
  if (membership_ != nullptr && fits && sockets_->ready(to)) {
    for (const cluster::Heartbeat& heartbeat : membership_->riding_to(to)) {
      riders_.push_back(cluster::encode_heartbeat(heartbeat));
    }
  }
  static_cast<void>(sockets_->send(to, bytes, riders_));
}

void OwnerPeers::send(std::size_t network, cluster::NodeId to,
                      const cluster::Heartbeat& heartbeat) {
  static_cast<void>(sockets_->send_on(network, to, cluster::encode_heartbeat(heartbeat)));
}

void OwnerPeers::tell(const cluster::SessionMessage& message) {
  const std::string bytes = cluster::encode_session_message(message);
  owners_.for_each([&](cluster::NodeId node) { static_cast<void>(sockets_->send(node, bytes)); });
}

// What an authenticated peer of another version says is passed over, as if it had been lost.
void OwnerPeers::on_message(cluster::NodeId from, std::size_t network, std::string_view bytes) {
  cluster::Heartbeat heartbeat;
  switch (cluster::parse_heartbeat(bytes, heartbeat)) {
    case cluster::WireFault::kNone:
      return membership_->heard(from, network, heartbeat);
    case cluster::WireFault::kKind:
      return on_other_message(from, bytes);
    default:
      return;
  }
}

void OwnerPeers::on_other_message(cluster::NodeId from, std::string_view bytes) {
  switch (cluster::parse_lease_message(bytes, heard_)) {
    case cluster::WireFault::kNone:
      return leases_->heard(from, heard_);
    case cluster::WireFault::kKind:
      if (cluster::parse_session_message(bytes, heard_session_) == cluster::WireFault::kNone) {
        sessions_->heard(from, heard_session_);
      }
      return;
    default:
      return;
  }
}

}  // namespace nines

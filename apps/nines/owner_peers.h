// The other controllers as the owner plane hears them: each kind of message to the machine that it
// is for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/lease_driver.h"
#include "cluster/membership_driver.h"
#include "cluster/peer_sockets.h"
#include "cluster/session_driver.h"
#include "io/loop.h"
#include "io/ports.h"
#include "node/run_config.h"

namespace nines {

// Lives on its loop; loop and log outlive it.
class OwnerPeers final : public cluster::LeasePeers,
                         public cluster::HeartbeatSender,
                         public cluster::SessionPeers,
                         private cluster::PeerHandler {
 public:
  // An error: no key, or addresses that cannot be.
  static Result<std::unique_ptr<OwnerPeers>> create(const node::ClusterConfig& cluster,
                                                    io::Loop& loop, io::Log& log);

  // Says hello; from here on each driver hears what is for it. They are started before this, and
  // destroyed after the peers or in the same pass of the loop.
  void start(cluster::LeaseDriver& leases, cluster::MembershipDriver& membership,
             cluster::SessionDriver& sessions);

  // What is not taken is lost, as anything on a network may be.
  void send(cluster::NodeId to, const cluster::Message& message) override;
  void send(std::size_t network, cluster::NodeId to, const cluster::Heartbeat& heartbeat) override;
  // To all but witnesses.
  void tell(const cluster::SessionMessage& message) override;

  // The key file as it is now; nothing is changed by reading it.
  Result<cluster::ClusterKeys> read_keys() const;
  // From here on by these. Nothing when they are what is used, in the same order.
  Result<void> set_keys(cluster::ClusterKeys keys);

  cluster::NodeSet others() const { return others_; }
  const cluster::PeerSockets& sockets() const { return *sockets_; }

 private:
  OwnerPeers() = default;
  void on_message(cluster::NodeId from, std::size_t network, std::string_view bytes) override;

  void on_other_message(cluster::NodeId from, std::string_view bytes);

  cluster::NodeSet others_, owners_;  // without self; owners: without witnesses
  std::string key_path_;
  std::vector<std::uint32_t> key_ids_;  // that are used
  std::unique_ptr<cluster::PeerSockets> sockets_;
  cluster::LeaseDriver* leases_ = nullptr;
  cluster::MembershipDriver* membership_ = nullptr;
  cluster::SessionDriver* sessions_ = nullptr;
  cluster::Message heard_;                 // scratch
  cluster::SessionMessage heard_session_;  // scratch
  std::vector<std::string> riders_;        // scratch
};

}  // namespace nines

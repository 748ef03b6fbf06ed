// Tellers and listeners on real networks: UDP, one port above the cluster's own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "cluster/verdict_listener.h"
#include "cluster/verdict_teller.h"
#include "io/loop.h"
#include "io/ports.h"

namespace nines::cluster {

// Where the node at this address tells listeners.
SocketAddress teller_address(const SocketAddress& node);

// Lives on its loop; loop and log outlive it.
class TellerSockets final : private Timer {
 public:
  static constexpr Duration kBindEvery = std::chrono::seconds(1);  // tries of a failed network
  using Clock = std::function<Instant()>;                          // CLOCK_BOOTTIME

  // `addresses`: the node's own, by network.
  TellerSockets(VerdictTeller teller, std::vector<SocketAddress> addresses, io::Loop& loop,
                Clock clock, io::Log& log);
  ~TellerSockets() override;

  void start();
  // Whom this node does not hear, and whom it calls dead.
  void set_view(NodeSet unheard, NodeSet dead);
  // Other keys, with a teller of their own.
  void set_teller(VerdictTeller teller);
  std::size_t listeners() const { return teller_.listeners(clock_()); }

 private:
  class Network;

  void on_timer(Instant now) override;
  void tell();

  VerdictTeller teller_;
  NodeSet unheard_, dead_;
  io::Loop& loop_;
  Clock clock_;
  io::Log& log_;
  std::vector<std::unique_ptr<Network>> networks_;
};

// Lives on its loop, which outlives it.
class ListenerSocket final : private Timer, private io::DatagramHandler {
 public:
  static constexpr Duration kLookEvery = std::chrono::milliseconds(50);
  using Clock = std::function<Instant()>;  // CLOCK_BOOTTIME
  using Heard = std::function<void()>;     // a word that is believed

  // `nodes`: addresses of each controller, by network, with the cluster's ports. kUnavailable: no
  // socket.
  static Result<std::unique_ptr<ListenerSocket>> create(
      VerdictListener listener, std::map<NodeId, std::vector<SocketAddress>> nodes, io::Loop& loop,
      Clock clock, Heard heard);
  ~ListenerSocket() override;

  void start() { on_timer({}); }
  const VerdictListener& listener() const { return listener_; }
  // Other keys, with a listener of their own.
  void set_listener(VerdictListener listener) { listener_ = std::move(listener); }

 private:
  ListenerSocket(VerdictListener listener, std::map<NodeId, std::vector<SocketAddress>> nodes,
                 io::Loop& loop, Clock clock, Heard heard)
      : listener_(std::move(listener)),
        nodes_(std::move(nodes)),
        loop_(loop),
        clock_(std::move(clock)),
        heard_(std::move(heard)) {}

  void on_timer(Instant) override;
  void on_datagram(const SocketAddress& from, std::string_view bytes) override;

  VerdictListener listener_;
  std::map<NodeId, std::vector<SocketAddress>> nodes_;
  io::Loop& loop_;
  Clock clock_;
  Heard heard_;
  io::Datagram* ipv4_ = nullptr;
  io::Datagram* ipv6_ = nullptr;
};

}  // namespace nines::cluster

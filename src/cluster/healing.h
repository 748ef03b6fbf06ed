// How long each service of a host took, after the host had been called dead and came back, until it
// accepted connections again: what the host's return is worth to clients.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"
#include "cluster/node_set.h"
#include "io/loop.h"

namespace nines::cluster {

struct HealedService {
  std::uint16_t port = 0;
  Duration after{};  // the end of the verdict
  friend bool operator==(const HealedService&, const HealedService&) = default;
};

// Connects to each port now and then until it accepts; which of them have a service at all nobody
// says. Lives on its loop, which outlives it.
class HealingWatch final : private Timer {
 public:
  static constexpr Duration kAskEvery = std::chrono::milliseconds(500);
  static constexpr Duration kConnectMost = std::chrono::milliseconds(1500);
  static constexpr Duration kWatchMost = std::chrono::minutes(3);

  explicit HealingWatch(io::Loop& loop);
  ~HealingWatch() override;

  // From now on; what was seen of an earlier return is forgotten. `services`: addresses, their
  // ports ignored.
  void begin(NodeId node, const std::vector<SocketAddress>& services,
             const std::vector<std::uint16_t>& ports);
  // It is called dead again.
  void end(NodeId node);

  // In the order in which they came back.
  std::vector<HealedService> healed(NodeId node) const;
  bool watches(NodeId node) const;

 private:
  class Ask;
  struct Host {
    Instant begun{};
    bool watched = true;
    std::vector<std::unique_ptr<Ask>> asks;
    std::vector<HealedService> healed;
  };

  void on_timer(Instant now) override;
  void accepted(NodeId node, std::uint16_t port);

  io::Loop& loop_;
  std::map<NodeId, Host> hosts_;
};

}  // namespace nines::cluster

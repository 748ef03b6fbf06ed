// Asks a host's kernel whether it is there, by ICMP echo requests on each of its networks: nines
// may have been killed on a host whose services are well.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "cluster/node_set.h"
#include "io/linux/descriptor.h"
#include "io/linux/epoll_loop.h"

namespace nines::cluster {

// Lives on its loop, which outlives it. Never called back after its end.
class EchoProbe {
 public:
  using Clock = std::function<Instant()>;
  // An answer that took longer says nothing of now.
  static constexpr Duration kAnswerWithin = std::chrono::milliseconds(400);

  // `targets`: IP addresses, their ports ignored. `answered` is called once for each answer.
  // kRefused without CAP_NET_RAW.
  static Result<std::unique_ptr<EchoProbe>> create(
      std::map<NodeId, std::vector<SocketAddress>> targets, io::EpollLoop& loop, Clock clock,
      std::function<void(NodeId)> answered);
  ~EchoProbe();
  EchoProbe(const EchoProbe&) = delete;
  EchoProbe& operator=(const EchoProbe&) = delete;

  // One request to each of its addresses; what cannot be sent is as good as lost.
  void ask(NodeId node);

 private:
  struct Socket {
    io::Descriptor descriptor;
    io::EpollLoop::WatchId watch = 0;
  };
  EchoProbe(std::map<NodeId, std::vector<SocketAddress>> targets, io::EpollLoop& loop, Clock clock,
            std::function<void(NodeId)> answered)
      : targets_(std::move(targets)),
        loop_(loop),
        clock_(std::move(clock)),
        answered_(std::move(answered)) {}

  Result<void> open(SocketAddress::Family family);
  void read(int descriptor, bool ipv6);
  std::optional<NodeId> who_answered(std::string_view message, const SocketAddress& from) const;
  std::string request(NodeId node, bool ipv6);

  const std::map<NodeId, std::vector<SocketAddress>> targets_;
  io::EpollLoop& loop_;
  Clock clock_;
  std::function<void(NodeId)> answered_;
  std::vector<Socket> sockets_;
  int ipv4_ = -1, ipv6_ = -1;     // of sockets_
  std::array<char, 8> secret_{};  // nobody who does not see our requests can answer them
  std::uint16_t sequence_ = 0;
};

}  // namespace nines::cluster

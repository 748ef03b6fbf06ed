// Controllers' datagrams on real networks: a socket on each network's own address, one sealed
// datagram for each network, hellos and answers handled inside. What arrives comes up once,
// whatever number of networks it came by. No decision is taken here: losing, delaying and
// reordering happen.
//
// Each message carries a number that its sender counts for each receiver; the copies for the
// several networks are sealed one by one, each naming its network, so that a link is believed to
// work only by what its peer really sent on it. The first copy is handed up, the others are
// counted. What is of one network alone (a heartbeat) may ride along in that network's datagram.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "cluster/membership.h"
#include "cluster/node_set.h"
#include "cluster/seal.h"
#include "io/loop.h"
#include "io/ports.h"

namespace nines::cluster {

inline constexpr std::size_t kFrameSize = 10;  // network, number, rider's size, within the seal
inline constexpr std::size_t kRiderMax = 255;
inline constexpr std::size_t kMessageMax = kPayloadMax - kFrameSize;

// 16 bytes of the kernel's random source. kSystem: it has none to give.
Result<Incarnation> fresh_incarnation();

struct PeerSocketsOptions {
  NodeId self = 0;
  // Node -> its address with port on each network, in the same order and number (1 to kNetworksMax)
  // for all nodes, self among them.
  std::map<NodeId, std::vector<SocketAddress>> nodes;
  ClusterKeys keys;
  Incarnation incarnation{};  // fresh for each PeerSockets: see Sealer
};

class PeerHandler {
 public:
  virtual ~PeerHandler() = default;
  // Authenticated, for this life of ours, a message never twice. `bytes` are lent for the call.
  // `network`: the one by which it, or its first copy, came. May send; must not destroy the
  // sockets.
  virtual void on_message(NodeId from, std::size_t network, std::string_view bytes) = 0;
  // A life of that peer that was not known: whatever was heard before was said by an earlier one.
  // Comes before its first message; from here on it can be sent to.
  virtual void on_new_life(NodeId) {}
};

struct PeerLinkStatistics {
  std::uint64_t sent = 0;     // messages
  std::uint64_t dropped = 0;  // not taken by the kernel, or the network has no socket
  std::uint64_t heard = 0;    // messages, copies of those heard elsewhere included
  std::uint64_t copies = 0;   // of them, heard on another network before
  std::uint64_t crossed = 0;  // sent on another network than they came by: refused
  Instant last_heard{};       // a message; zero: none yet
};
struct PeerStatistics {
  bool ready = false;
  std::uint64_t lives = 0;
  std::uint64_t hellos = 0;               // sent by us, counted once for all networks
  std::uint64_t answers = 0;              // sent by us
  std::uint64_t answers_withheld = 0;     // more than kAnswersBurst and one each kAnswerEvery
  std::vector<PeerLinkStatistics> links;  // by network
};
struct PeerNetworkStatistics {
  std::string problem;  // why there is no socket; empty: there is one
  std::uint64_t datagrams = 0;
  std::array<std::uint64_t, kSealFaults> refused{};  // by SealFault
  std::uint64_t malformed = 0;                       // sealed by a peer, and without a frame
};

// Lives on its loop; loop, handler and log outlive it. Never called back after its end.
class PeerSockets final : private Timer {
 public:
  // While a peer is not ready: the first pause between two hellos, doubled up to the last.
  static constexpr Duration kHelloFirst = std::chrono::milliseconds(50);
  static constexpr Duration kHelloLast = std::chrono::seconds(1);
  static constexpr Duration kBindEvery = std::chrono::seconds(1);  // tries of a failed network
  // To each peer, so that replayed hellos do not keep us busy.
  static constexpr int kAnswersBurst = 16;
  static constexpr Duration kAnswerEvery = std::chrono::milliseconds(10);
  // The log hears of a kind of refusal on a network so often.
  static constexpr Duration kComplaintEvery = std::chrono::minutes(1);

  // kInvalid: addresses or keys that cannot be. A network that cannot be bound is no error: it is
  // tried again, and its statistics say why.
  static Result<std::unique_ptr<PeerSockets>> create(PeerSocketsOptions options, io::Loop& loop,
                                                     PeerHandler& handler, io::Log& log);
  ~PeerSockets() override;

  // Binds, and says hello to everybody.
  void start();
  // A copy on each network. False: not ready, or no network took it. `bytes`: at most kMessageMax.
  // `riders`: none, or for each network what goes along in that network's datagram and is handed up
  // before the message, by every copy that comes; each at most kRiderMax, with the message at most
  // kMessageMax.
  bool send(NodeId to, std::string_view bytes, const std::vector<std::string>& riders = {});
  // On that network alone.
  bool send_on(std::size_t network, NodeId to, std::string_view bytes);

  // Other keys, and a life of their own: `incarnation` is fresh. Each peer is introduced anew,
  // which takes it a round trip and a half; what is sent or heard meanwhile is lost. An error
  // changes nothing.
  Result<void> set_keys(ClusterKeys keys, Incarnation incarnation);

  bool ready(NodeId peer) const { return sealer_.ready(peer); }
  NodeSet peers() const { return sealer_.peers(); }
  std::size_t networks() const { return networks_.size(); }
  PeerStatistics statistics(NodeId peer) const;  // of a peer
  const PeerNetworkStatistics& network_statistics(std::size_t network) const;
  const SealCounters& seal_counters() const { return sealer_.counters(); }

 private:
  class Network;
  struct Peer {
    std::vector<SocketAddress> addresses;
    std::uint64_t next_number = 1;
    ReplayWindow heard;  // of the peer's numbers
    PeerStatistics statistics;
    Instant hello_at{};
    Duration hello_pause = kHelloFirst;
    int answers_left = kAnswersBurst;
    Instant answers_counted{};  // answers_left was right then
  };

  PeerSockets(PeerSocketsOptions options, Sealer sealer, io::Loop& loop, PeerHandler& handler,
              io::Log& log);

  void on_timer(Instant now) override;
  void say_hello(NodeId to, Peer& peer);
  bool send_copy(std::size_t network, NodeId to, Peer& peer, std::uint64_t number,
                 std::string_view rider, std::string_view bytes);
  void received(std::size_t network, std::string_view datagram);
  void answer(std::size_t network, Peer& peer, std::string_view datagram);
  void handle_content(std::size_t network, NodeId from, Peer& peer, std::string_view framed);
  void complain(std::size_t network, SealFault fault);

  Sealer sealer_;
  io::Loop& loop_;
  PeerHandler& handler_;
  io::Log& log_;
  std::vector<std::unique_ptr<Network>> networks_;
  std::map<NodeId, Peer> peers_;  // without self
};

}  // namespace nines::cluster

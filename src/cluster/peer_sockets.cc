// Within the seal: the network's index (1), the message's number (8, little-endian), the size of
// what rides along (1), that, the message.
#include "cluster/peer_sockets.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include <sys/random.h>

#include "base/check.h"
#include "cluster/lease_wire.h"

namespace nines::cluster {

static_assert(kLeaseMessageMax <= kMessageMax);

namespace {

constexpr std::size_t kNumberSize = 8;

// Those that a healthy network brings: late and repeated datagrams, hellos, our own restart.
bool is_worth_a_line(SealFault fault) {
  return fault != SealFault::kReplayed && fault != SealFault::kTooOld &&
         fault != SealFault::kUnproven;
}

Error refused(NodeId node, std::string_view what) {
  return Error(ErrorCode::kInvalid, "node " + std::to_string(node) + ": " + std::string(what));
}

Result<void> check(const PeerSocketsOptions& options) {
  const auto own = options.nodes.find(options.self);
  if (own == options.nodes.end()) return refused(options.self, "is itself not among the nodes");
  const std::size_t networks = own->second.size();
  if (networks < 1 || networks > kNetworksMax) {
    return refused(options.self,
                   "one to " + std::to_string(kNetworksMax) + " networks are allowed");
  }
  std::set<SocketAddress> seen;
  for (const auto& [node, addresses] : options.nodes) {
    if (node < 1 || node > kNodeIdMax) return refused(node, "no such node can be");
    if (addresses.size() != networks) {
      return refused(node, "has not as many networks as node " + std::to_string(options.self));
    }
    for (const SocketAddress& address : addresses) {
      if (!address.is_ip() || address.port() == 0) {
        return refused(node, "an IP address with a port is expected");
      }
      if (!seen.insert(address).second) return refused(node, address.text() + " is named twice");
    }
  }
  return {};
}

}  // namespace

Result<Incarnation> fresh_incarnation() {
  Incarnation incarnation;
  std::size_t filled = 0;
  while (filled < incarnation.size()) {
    const ssize_t count = ::getrandom(incarnation.data() + filled, incarnation.size() - filled, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Error::from_errno(errno, "the kernel gives no random bytes");
    filled += static_cast<std::size_t>(count);
  }
  return incarnation;
}

class PeerSockets::Network final : public io::DatagramHandler {
 public:
  Network(PeerSockets& owner, std::size_t index, SocketAddress own)
      : owner_(owner), index_(index), own_(std::move(own)) {}
  ~Network() override {
    if (socket_ != nullptr) socket_->close();
  }

  bool is_bound() const { return socket_ != nullptr; }
  void bind() {
    auto opened = owner_.loop_.open_datagram(own_, *this);
    if (opened) {
      socket_ = *opened;
      statistics.problem.clear();
      return;
    }
    if (statistics.problem != opened.error().message()) {
      owner_.log_.write(io::Severity::kWarning,
                        "cluster network " + std::to_string(index_ + 1) +
                            " cannot be used yet: " + opened.error().message());
    }
    statistics.problem = opened.error().message();
  }
  bool send(const SocketAddress& to, std::string_view datagram) {
    return socket_ != nullptr && socket_->send_to(to, datagram);
  }
  void on_datagram(const SocketAddress&, std::string_view bytes) override {
    owner_.received(index_, bytes);
  }

  PeerNetworkStatistics statistics;
  std::array<Instant, kSealFaults> complain_at{};

 private:
  PeerSockets& owner_;
  std::size_t index_;
  SocketAddress own_;
  io::Datagram* socket_ = nullptr;  // the loop's
};

PeerSockets::PeerSockets(PeerSocketsOptions options, Sealer sealer, io::Loop& loop,
                         PeerHandler& handler, io::Log& log)
    : sealer_(std::move(sealer)), loop_(loop), handler_(handler), log_(log) {
  for (auto& [node, addresses] : options.nodes) {
    if (node == options.self) {
      for (std::size_t i = 0; i < addresses.size(); ++i) {
        networks_.push_back(std::make_unique<Network>(*this, i, addresses[i]));
      }
      continue;
    }
    Peer& peer = peers_[node];
    peer.statistics.links.resize(addresses.size());
    peer.addresses = std::move(addresses);
  }
}
PeerSockets::~PeerSockets() = default;

Result<std::unique_ptr<PeerSockets>> PeerSockets::create(PeerSocketsOptions options, io::Loop& loop,
                                                         PeerHandler& handler, io::Log& log) {
  TRY(check(options));
  NodeSet nodes;
  for (const auto& [node, addresses] : options.nodes) nodes.add(node);
  Sealer sealer =
      TRY(Sealer::create(std::move(options.keys), options.self, nodes, options.incarnation));
  return std::unique_ptr<PeerSockets>(
      new PeerSockets(std::move(options), std::move(sealer), loop, handler, log));
}

void PeerSockets::start() { on_timer(loop_.now()); }

Result<void> PeerSockets::set_keys(ClusterKeys keys, Incarnation incarnation) {
  sealer_ = TRY(Sealer::create(std::move(keys), sealer_.self(), sealer_.peers(), incarnation));
  for (auto& [node, peer] : peers_) {
    peer.hello_at = Instant{};
    peer.hello_pause = kHelloFirst;
  }
  on_timer(loop_.now());
  return {};
}

// Networks without a socket are bound, peers that are not ready hear a hello.
void PeerSockets::on_timer(Instant now) {
  Instant next = Instant::max();
  for (const auto& network : networks_) {
    if (network->is_bound()) continue;
    network->bind();
    if (!network->is_bound()) next = std::min(next, now + kBindEvery);
  }
  for (auto& [node, peer] : peers_) {
    if (sealer_.ready(node)) continue;
    if (peer.hello_at <= now) {
      say_hello(node, peer);
      peer.hello_at = now + peer.hello_pause;
      peer.hello_pause = std::min(2 * peer.hello_pause, kHelloLast);
    }
    next = std::min(next, peer.hello_at);
  }
  if (next != Instant::max()) loop_.arm(*this, next);
}

void PeerSockets::say_hello(NodeId to, Peer& peer) {
  ++peer.statistics.hellos;
  for (std::size_t i = 0; i < networks_.size(); ++i) {
    networks_[i]->send(peer.addresses[i], sealer_.hello(to));
  }
}

bool PeerSockets::send(NodeId to, std::string_view bytes, const std::vector<std::string>& riders) {
  CHECK(riders.empty() || riders.size() == networks_.size());
  const auto peer = peers_.find(to);
  if (peer == peers_.end() || !sealer_.ready(to)) return false;
  const std::uint64_t number = peer->second.next_number++;
  bool sent = false;
  for (std::size_t i = 0; i < networks_.size(); ++i) {
    sent |=
        send_copy(i, to, peer->second, number, riders.empty() ? std::string() : riders[i], bytes);
  }
  return sent;
}

bool PeerSockets::send_on(std::size_t network, NodeId to, std::string_view bytes) {
  CHECK(network < networks_.size());
  const auto peer = peers_.find(to);
  if (peer == peers_.end() || !sealer_.ready(to)) return false;
  return send_copy(network, to, peer->second, peer->second.next_number++, {}, bytes);
}

bool PeerSockets::send_copy(std::size_t network, NodeId to, Peer& peer, std::uint64_t number,
                            std::string_view rider, std::string_view bytes) {
  CHECK(rider.size() <= kRiderMax && rider.size() + bytes.size() <= kMessageMax);
  std::string framed;
  framed.reserve(kFrameSize + rider.size() + bytes.size());
  framed += static_cast<char>(network);
  for (std::size_t i = 0; i < kNumberSize; ++i) framed += static_cast<char>(number >> 8 * i & 0xff);
  framed += static_cast<char>(rider.size());
  framed += rider;
  framed += bytes;
  const auto sealed = sealer_.seal(to, framed);
  CHECK(sealed.has_value());  // ready, and not too large
  const bool sent = networks_[network]->send(peer.addresses[network], *sealed);
  PeerLinkStatistics& link = peer.statistics.links[network];
  ++(sent ? link.sent : link.dropped);
  return sent;
}

void PeerSockets::received(std::size_t network, std::string_view datagram) {
  PeerNetworkStatistics& statistics = networks_[network]->statistics;
  ++statistics.datagrams;
  const Opened opened = sealer_.open(datagram);
  if (opened.fault != SealFault::kNone) {
    ++statistics.refused[static_cast<std::size_t>(opened.fault)];
    complain(network, opened.fault);
  }
  if (opened.from == 0) return;
  Peer& peer = peers_.at(opened.from);
  if (!opened.answer.empty()) answer(network, peer, opened.answer);
  if (opened.fault != SealFault::kNone) return;
  if (opened.new_life) {
    peer.heard = ReplayWindow();
    ++peer.statistics.lives;
    handler_.on_new_life(opened.from);
  }
  if (opened.has_content) handle_content(network, opened.from, peer, opened.payload);
}

void PeerSockets::answer(std::size_t network, Peer& peer, std::string_view datagram) {
  const Instant now = loop_.now();
  const std::int64_t earned = (now - peer.answers_counted) / kAnswerEvery;
  if (earned >= kAnswersBurst) {
    peer.answers_left = kAnswersBurst;
    peer.answers_counted = now;
  } else {
    peer.answers_left = std::min(kAnswersBurst, peer.answers_left + static_cast<int>(earned));
    peer.answers_counted = peer.answers_counted + earned * kAnswerEvery;
  }
  if (peer.answers_left == 0) {
    ++peer.statistics.answers_withheld;
    return;
  }
  --peer.answers_left;
  ++peer.statistics.answers;
  networks_[network]->send(peer.addresses[network], datagram);
}

void PeerSockets::handle_content(std::size_t network, NodeId from, Peer& peer,
                                 std::string_view framed) {
  const std::size_t rider_size =
      framed.size() < kFrameSize ? 0 : static_cast<std::uint8_t>(framed[kFrameSize - 1]);
  if (framed.size() < kFrameSize + rider_size) {
    ++networks_[network]->statistics.malformed;
    return;
  }
  PeerLinkStatistics& link = peer.statistics.links[network];
  if (static_cast<std::uint8_t>(framed[0]) != network) {
    ++link.crossed;
    return;
  }
  std::uint64_t number = 0;
  for (std::size_t i = kNumberSize; i >= 1; --i) {
    number = number << 8 | static_cast<std::uint8_t>(framed[i]);
  }
  ++link.heard;
  link.last_heard = loop_.now();
  // Of this network alone, and opened once: the seal has seen to that.
  if (rider_size > 0) handler_.on_message(from, network, framed.substr(kFrameSize, rider_size));
  if (peer.heard.take(number) != ReplayWindow::Verdict::kNew) {
    ++link.copies;
    return;
  }
  handler_.on_message(from, network, framed.substr(kFrameSize + rider_size));
}

void PeerSockets::complain(std::size_t network, SealFault fault) {
  if (!is_worth_a_line(fault)) return;
  Instant& next = networks_[network]->complain_at[static_cast<std::size_t>(fault)];
  if (loop_.now() < next) return;
  next = loop_.now() + kComplaintEvery;
  const std::uint64_t count =
      networks_[network]->statistics.refused[static_cast<std::size_t>(fault)];
  log_.write(io::Severity::kWarning,
             "datagrams are refused on cluster network " + std::to_string(network + 1) + ": " +
                 std::string(name_of(fault)) + " (" + std::to_string(count) + " so far)");
}

PeerStatistics PeerSockets::statistics(NodeId peer) const {
  const auto found = peers_.find(peer);
  CHECK(found != peers_.end());
  PeerStatistics statistics = found->second.statistics;
  statistics.ready = sealer_.ready(peer);
  return statistics;
}

const PeerNetworkStatistics& PeerSockets::network_statistics(std::size_t network) const {
  CHECK(network < networks_.size());
  return networks_[network]->statistics;
}

}  // namespace nines::cluster

// An answer leaves by the socket that the ask came to, and so from the address that was asked.
#include "cluster/verdict_sockets.h"

#include <utility>

namespace nines::cluster {

SocketAddress teller_address(const SocketAddress& node) {
  return node.with_port(static_cast<std::uint16_t>(node.port() + 1));
}

class TellerSockets::Network final : public io::DatagramHandler {
 public:
  Network(TellerSockets& owner, SocketAddress own) : owner_(owner), own_(std::move(own)) {}
  ~Network() override {
    if (socket_ != nullptr) socket_->close();
  }

  bool is_bound() const { return socket_ != nullptr; }
  void bind() {
    auto opened = owner_.loop_.open_datagram(own_, *this);
    if (opened.has_value()) {
      socket_ = *opened;
      return problem_.clear();
    }
    if (problem_ == opened.error().message()) return;
    problem_ = opened.error().message();
    owner_.log_.write(io::Severity::kWarning, "listeners cannot be told yet: " + problem_);
  }
  void on_datagram(const SocketAddress& from, std::string_view bytes) override {
    const auto reply = owner_.teller_.heard(from, bytes, owner_.clock_());
    if (reply) socket_->send_to(reply->to, reply->bytes);
  }
  // False: it is of another kind of network.
  bool send(const SocketAddress& to, std::string_view bytes) {
    return socket_ != nullptr && to.family() == own_.family() && socket_->send_to(to, bytes);
  }

 private:
  TellerSockets& owner_;
  SocketAddress own_;
  io::Datagram* socket_ = nullptr;
  std::string problem_;
};

TellerSockets::TellerSockets(VerdictTeller teller, std::vector<SocketAddress> addresses,
                             io::Loop& loop, Clock clock, io::Log& log)
    : teller_(std::move(teller)), loop_(loop), clock_(std::move(clock)), log_(log) {
  for (const SocketAddress& each : addresses) {
    networks_.push_back(std::make_unique<Network>(*this, teller_address(each)));
  }
}

TellerSockets::~TellerSockets() = default;

void TellerSockets::start() { on_timer(loop_.now()); }

void TellerSockets::on_timer(Instant) {
  bool bound = true;
  for (const auto& network : networks_) {
    if (!network->is_bound()) network->bind();
    bound &= network->is_bound();
  }
  if (teller_.has_news()) tell();
  if (teller_.has_news()) {
    loop_.arm(*this, VerdictTeller::kTellEvery);
  } else if (!bound) {
    loop_.arm(*this, kBindEvery);
  }
}

void TellerSockets::set_view(NodeSet unheard, NodeSet dead) {
  unheard_ = unheard;
  dead_ = dead;
  if (!teller_.set_view(unheard, dead)) return;
  // Good news too, once: whoever is cut off by our word is not to wait for its next ask.
  tell();
  if (teller_.has_news()) loop_.arm(*this, VerdictTeller::kTellEvery);
}

void TellerSockets::set_teller(VerdictTeller teller) {
  teller_ = std::move(teller);
  static_cast<void>(teller_.set_view(unheard_, dead_));
}

// By the first network that takes it: which one an ask came by may no longer be true.
void TellerSockets::tell() {
  for (const auto& each : teller_.tell(clock_())) {
    for (const auto& network : networks_) {
      if (network->send(each.to, each.bytes)) break;
    }
  }
}

Result<std::unique_ptr<ListenerSocket>> ListenerSocket::create(
    VerdictListener listener, std::map<NodeId, std::vector<SocketAddress>> nodes, io::Loop& loop,
    Clock clock, Heard heard) {
  std::unique_ptr<ListenerSocket> socket(new ListenerSocket(
      std::move(listener), std::move(nodes), loop, std::move(clock), std::move(heard)));
  for (const auto& [node, addresses] : socket->nodes_) {
    for (const SocketAddress& each : addresses) {
      const bool ipv6 = each.family() == SocketAddress::Family::kIpv6;
      io::Datagram*& opened = ipv6 ? socket->ipv6_ : socket->ipv4_;
      if (opened != nullptr) continue;
      const auto any = SocketAddress::parse_ip(ipv6 ? "::" : "0.0.0.0", 0);
      opened = TRY(loop.open_datagram(*any, *socket));
    }
  }
  return socket;
}

ListenerSocket::~ListenerSocket() {
  for (io::Datagram* const each : {ipv4_, ipv6_}) {
    if (each != nullptr) each->close();
  }
}

// One ask for all of a controller's networks: it believes the first copy and passes over the
// others.
void ListenerSocket::on_timer(Instant) {
  const Instant now = clock_();
  for (const NodeId node : listener_.due(now)) {
    const std::string ask = listener_.ask(node, now);
    for (const SocketAddress& each : nodes_.at(node)) {
      io::Datagram* const by = each.family() == SocketAddress::Family::kIpv6 ? ipv6_ : ipv4_;
      if (by != nullptr) static_cast<void>(by->send_to(teller_address(each), ask));
    }
  }
  loop_.arm(*this, kLookEvery);
}

void ListenerSocket::on_datagram(const SocketAddress&, std::string_view bytes) {
  if (listener_.heard(bytes, clock_()) && heard_) heard_();
}

}  // namespace nines::cluster

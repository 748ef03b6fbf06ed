// One connect under way for each address and port; an accepted one ends all others of its port.
#include "cluster/healing.h"

#include <algorithm>
#include <utility>

namespace nines::cluster {

class HealingWatch::Ask final : public io::StreamHandler {
 public:
  Ask(HealingWatch& watch, NodeId node, SocketAddress at)
      : watch_(watch), node_(node), at_(std::move(at)) {}
  ~Ask() override { drop(); }

  std::uint16_t port() const { return at_.port(); }
  void ask(Instant now) {
    if (done_ || (stream_ != nullptr && now - asked_at_ < kConnectMost)) return;
    drop();
    asked_at_ = now;
    stream_ = &watch_.loop_.connect(at_, {}, *this);
  }
  void finish() {
    done_ = true;
    drop();
  }

  void on_connected(io::Stream&) override {
    finish();
    watch_.accepted(node_, at_.port());
  }
  void on_data(io::Stream&, io::LentBytes) override {}
  void on_end(io::Stream&) override { drop(); }
  void on_failed(io::Stream&, const Error&) override { drop(); }

 private:
  void drop() {
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->close();
  }

  HealingWatch& watch_;
  NodeId node_;
  SocketAddress at_;
  io::Stream* stream_ = nullptr;
  Instant asked_at_{};
  bool done_ = false;
};

HealingWatch::HealingWatch(io::Loop& loop) : loop_(loop) {}
HealingWatch::~HealingWatch() { cancel(); }

void HealingWatch::begin(NodeId node, const std::vector<SocketAddress>& services,
                         const std::vector<std::uint16_t>& ports) {
  Host& host = hosts_[node] = Host();
  host.begun = loop_.now();
  for (const SocketAddress& address : services) {
    for (const std::uint16_t port : ports) {
      host.asks.push_back(std::make_unique<Ask>(*this, node, address.with_port(port)));
    }
  }
  loop_.arm(*this, Duration{});
}

void HealingWatch::end(NodeId node) { hosts_.erase(node); }

void HealingWatch::on_timer(Instant now) {
  bool any = false;
  for (auto& [node, host] : hosts_) {
    if (!host.watched) continue;
    if (now - host.begun >= kWatchMost) {
      host.watched = false;
      host.asks.clear();
      continue;
    }
    any = true;
    for (const auto& each : host.asks) each->ask(now);
  }
  if (any) loop_.arm(*this, kAskEvery);
}

void HealingWatch::accepted(NodeId node, std::uint16_t port) {
  Host& host = hosts_.at(node);
  host.healed.push_back({.port = port, .after = loop_.now() - host.begun});
  for (const auto& each : host.asks) {
    if (each->port() == port) each->finish();
  }
}

std::vector<HealedService> HealingWatch::healed(NodeId node) const {
  const auto found = hosts_.find(node);
  return found == hosts_.end() ? std::vector<HealedService>() : found->second.healed;
}

bool HealingWatch::watches(NodeId node) const {
  const auto found = hosts_.find(node);
  return found != hosts_.end() && found->second.watched;
}

}  // namespace nines::cluster

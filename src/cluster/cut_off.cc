// First the rule, then destroy: whoever loses a socket connects anew at once.
#include "cluster/cut_off.h"

#include <iterator>
#include <utility>

#include "address/session_killer.h"

namespace nines::cluster {

Result<address::Refusals> CutOff::rehearse() {
  TRY(address::check_destroying());
  return address::Refusals::create();
}

CutOff::CutOff(address::Refusals refusals, Addresses addresses, std::vector<std::uint16_t> ports,
               std::function<void(const News&)> tell)
    : refusals_(std::move(refusals)), addresses_(std::move(addresses)), tell_(std::move(tell)) {
  wishes_.ports = std::move(ports);
  thread_ = std::thread([this] { run(); });
}

CutOff::~CutOff() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  news_.notify_one();
  thread_.join();
}

void CutOff::block(NodeId node, Instant until) {
  {
    const std::lock_guard lock(mutex_);
    wishes_.until[node] = until;
    changed_ = true;
  }
  news_.notify_one();
}

void CutOff::unblock(NodeId node) {
  {
    const std::lock_guard lock(mutex_);
    wishes_.until.erase(node);
    wishes_.destroy.erase(node);
    changed_ = true;
  }
  news_.notify_one();
}

void CutOff::destroy(NodeId node) {
  {
    const std::lock_guard lock(mutex_);
    wishes_.destroy.insert(node);
    changed_ = true;
  }
  news_.notify_one();
}

void CutOff::set_ports(std::vector<std::uint16_t> ports) {
  {
    const std::lock_guard lock(mutex_);
    wishes_.ports = std::move(ports);
    changed_ = true;
  }
  news_.notify_one();
}

void CutOff::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    news_.wait(lock, [this] { return changed_ || ending_; });
    if (ending_) return;
    const Wishes wishes = wishes_;
    wishes_.destroy.clear();
    changed_ = false;
    lock.unlock();
    carry_out(wishes);
    lock.lock();
  }
}

void CutOff::carry_out(const Wishes& wishes) {
  std::vector<address::RefusedHost> hosts;
  NodeSet wanted;
  for (const auto& [node, until] : wishes.until) {
    const auto found = addresses_.find(node);
    if (found == addresses_.end()) continue;
    hosts.push_back({.addresses = found->second, .until = until});
    wanted.add(node);
  }
  if (const auto set = refusals_.set(hosts, wishes.ports); !set.has_value()) {
    wanted.for_each([&](NodeId node) {
      tell_({.node = node, .kind = News::Kind::kFailed, .error = set.error().message()});
    });
    standing_ = {};
    return;
  }
  (wanted - standing_).for_each([&](NodeId node) {
    tell_({.node = node, .kind = News::Kind::kBlocked, .error = {}});
  });
  standing_ = wanted;
  const std::vector<std::uint16_t> spared(std::begin(address::kNeverRefused),
                                          std::end(address::kNeverRefused));
  for (const NodeId node : wishes.destroy) {
    if (!standing_.contains(node)) continue;
    const auto destroyed = address::destroy_connections(addresses_.at(node), wishes.ports, spared);
    if (destroyed.has_value()) {
      tell_({.node = node, .kind = News::Kind::kDestroyed, .sockets = *destroyed, .error = {}});
    } else {
      tell_({.node = node, .kind = News::Kind::kFailed, .error = destroyed.error().message()});
    }
  }
}

}  // namespace nines::cluster

// First the rule and who stands in, then destroy: whoever loses a socket connects anew at once.
#include "cluster/cut_off.h"

#include <iterator>
#include <utility>

#include "address/session_killer.h"

namespace nines::cluster {

Result<address::Refusals> CutOff::rehearse() {
  TRY(address::check_destroying());
  return address::Refusals::create();
}

CutOff::CutOff(address::Refusals refusals, std::optional<address::StandIns> stand_ins,
               Addresses addresses, Ports ports, std::function<void(const News&)> tell)
    : refusals_(std::move(refusals)),
      stand_ins_(std::move(stand_ins)),
      addresses_(std::move(addresses)),
      tell_(std::move(tell)) {
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

void CutOff::block(NodeId node, Instant until, NodeSet living) {
  {
    const std::lock_guard lock(mutex_);
    wishes_.blocks[node] = {.until = until, .living = living};
    wishes_.unblocked.remove(node);
    changed_ = true;
  }
  news_.notify_one();
}

void CutOff::unblock(NodeId node) {
  {
    const std::lock_guard lock(mutex_);
    wishes_.blocks.erase(node);
    wishes_.destroy.erase(node);
    wishes_.unblocked.add(node);
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

void CutOff::set_ports(Ports ports) {
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
    wishes_.unblocked = {};
    changed_ = false;
    lock.unlock();
    carry_out(wishes);
    lock.lock();
  }
}

void CutOff::tell_of(NodeSet nodes, News::Kind kind, const std::string& error) {
  nodes.for_each([&](NodeId node) { tell_({.node = node, .kind = kind, .error = error}); });
}

void CutOff::carry_out(const Wishes& wishes) {
  std::vector<address::RefusedHost> hosts;
  NodeSet wanted;
  for (const auto& [node, block] : wishes.blocks) {
    const auto found = addresses_.find(node);
    if (found == addresses_.end()) continue;
    hosts.push_back({.addresses = found->second, .until = block.until});
    wanted.add(node);
  }
  if (const auto set = refusals_.set(hosts, wishes.ports.refused); !set.has_value()) {
    tell_of(wanted, News::Kind::kFailed, set.error().message());
    tell_of(wishes.unblocked, News::Kind::kUnblocked);
    standing_ = {};
    return;
  }
  tell_of(wanted - standing_, News::Kind::kBlocked);
  if (const auto set = set_stand_ins(wishes); !set.has_value()) {
    tell_of(wanted, News::Kind::kNobodyStandsIn, set.error().message());
  }
  tell_of(wishes.unblocked, News::Kind::kUnblocked);
  standing_ = wanted;
  const std::vector<std::uint16_t> spared(std::begin(address::kNeverRefused),
                                          std::end(address::kNeverRefused));
  for (const NodeId node : wishes.destroy) {
    if (!standing_.contains(node)) continue;
    const auto destroyed =
        address::destroy_connections(addresses_.at(node), wishes.ports.refused, spared);
    if (destroyed.has_value()) {
      tell_({.node = node, .kind = News::Kind::kDestroyed, .sockets = *destroyed, .error = {}});
    } else {
      tell_({.node = node, .kind = News::Kind::kFailed, .error = destroyed.error().message()});
    }
  }
}

// An address is stood in for by the others' in the same place, which are in the same network.
Result<void> CutOff::set_stand_ins(const Wishes& wishes) {
  if (!stand_ins_) return {};
  std::vector<address::StoodInAddress> stood_in;
  for (const auto& [node, block] : wishes.blocks) {
    const auto found = addresses_.find(node);
    if (found == addresses_.end()) continue;
    for (std::size_t place = 0; place < found->second.size(); ++place) {
      address::StoodInAddress address{
          .dead = found->second[place], .living = {}, .until = block.until};
      block.living.for_each([&](NodeId living) {
        const auto other = addresses_.find(living);
        if (other == addresses_.end() || other->second.size() <= place) return;
        address.living.push_back(other->second[place]);
      });
      stood_in.push_back(std::move(address));
    }
  }
  return stand_ins_->set(stood_in, wishes.ports.stand_in);
}

}  // namespace nines::cluster

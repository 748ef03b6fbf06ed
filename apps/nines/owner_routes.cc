// Adding what is there is without effect, so nothing is compared before.
#include "owner_routes.h"

#include <algorithm>

namespace nines {

namespace {

constexpr Duration kComplaintSpacing = std::chrono::minutes(1);

}  // namespace

Result<void> OwnerRoutes::prepare(const vrrp::Config& config, io::NetworkMonitor& monitor) {
  for (const vrrp::VrrpInstance& instance : config.instances) {
    const vrrp::OwnedRouting owned = vrrp::routing_of(instance);
    if (owned == vrrp::OwnedRouting()) continue;
    vrrp::drop_routing(routing_, owned, [this](const std::string& about) { complain(about); });
    TRY(monitor.hear_routing());
  }
  return {};
}

void OwnerRoutes::set_held(const vrrp::VrrpInstance& instance, bool held) {
  const vrrp::OwnedRouting owned = vrrp::routing_of(instance);
  const auto complain = [this](const std::string& about) { this->complain(about); };
  if (held) {
    vrrp::take_routing(routing_, owned, vrrp::Take::kAll, complain);
    held_[instance.name] = owned;
  } else {
    vrrp::drop_routing(routing_, owned, complain);
    held_.erase(instance.name);
  }
}

bool OwnerRoutes::disturbed_by(const io::NetworkEvent& event) const {
  if (event.kind != io::NetworkEvent::Kind::kRouteRemoved) return !held_.empty();
  return std::any_of(held_.begin(), held_.end(), [&](const auto& entry) {
    const auto& routes = entry.second.routes;
    return std::any_of(routes.begin(), routes.end(), [&](const address::OwnedRoute& route) {
      return address::may_be(route, event.route);
    });
  });
}

void OwnerRoutes::restore() {
  for (const auto& [name, owned] : held_) {
    vrrp::take_routing(routing_, owned, vrrp::Take::kTracked,
                       [this](const std::string& about) { complain(about); });
  }
}

// One line a minute, whatever the kernel does.
void OwnerRoutes::complain(const std::string& about) {
  const Instant now = loop_.now();
  if (complained_at_ != Instant{} && now - complained_at_ < kComplaintSpacing) return;
  complained_at_ = now;
  log_.write(io::Severity::kWarning, about);
}

}  // namespace nines

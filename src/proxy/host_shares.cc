// A host that got all of its share back is forgotten.
#include "proxy/host_shares.h"

#include <algorithm>

namespace nines::proxy {

void HostShares::set(const node::HostShare& share, Instant now) {
  for (const SocketAddress& address : share.addresses) {
    hosts_[address.ip_text()] = {.kind = share.kind, .since = now};
  }
}

void HostShares::apply(const Generation& generation, Instant now) {
  using Kind = node::HostShare::Kind;
  deadline_.reset();
  std::map<std::string, int> percents;
  for (const auto& [address, host] : hosts_) {
    if (host.kind != Kind::kSlowly) continue;
    const auto step = static_cast<int>((now - host.since) / kStepEvery) + 1;
    percents[address] = 100 * std::min(step, kSteps) / kSteps;
    if (step >= kSteps) continue;
    const Instant next = host.since + kStepEvery * step;
    deadline_ = deadline_ ? std::min(*deadline_, next) : next;
  }
  slow_start_.begin();
  for (const Proxy& proxy : generation.proxies) {
    if (proxy.backend == nullptr) continue;
    bool changed = false;
    for (const Server& server : proxy.servers) {
      const SocketAddress& address = server.config->address;
      const auto found = address.is_ip() ? hosts_.find(address.ip_text()) : hosts_.end();
      const Kind kind = found == hosts_.end() ? Kind::kAll : found->second.kind;
      const int percent = std::min(kind == Kind::kSlowly ? percents.at(found->first) : 100,
                                   slow_start_.percent(server, proxy.config->balance, now));
      const auto put = [&changed](auto& field, auto value) {
        changed |= field.exchange(value, std::memory_order_relaxed) != value;
      };
      put(server.state->host_away, kind == Kind::kNone || kind == Kind::kGone);
      put(server.state->host_dead, kind == Kind::kGone);
      put(server.state->share_percent, percent);
    }
    if (changed) refresh_backend(proxy, now);
  }
  slow_start_.end();
  if (const auto next = slow_start_.deadline()) {
    deadline_ = std::min(deadline_.value_or(*next), *next);
  }
  std::erase_if(hosts_, [&](const auto& entry) {
    return entry.second.kind == Kind::kAll ||
           (entry.second.kind == Kind::kSlowly && percents.at(entry.first) == 100);
  });
}

}  // namespace nines::proxy

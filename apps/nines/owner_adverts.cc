// An advert leaves from an address that is the host's own, never from one that is held: whoever
// listens tells hosts apart by it.
#include "owner_adverts.h"

#include <algorithm>
#include <utility>

#include <linux/if_addr.h>
#include <net/if.h>

#include "vrrp/owned.h"
#include "vrrp/vrrp_filter.h"
#include "vrrp/vrrp_wire.h"

namespace nines {
namespace {

// What another host has said may be on its way, and its interval may be ours.
constexpr int kIntervalsAlone = 2;

bool is_link_local(const SocketAddress& address) {
  return address.family() == SocketAddress::Family::kIpv6 && address.ip_text().starts_with("fe80:");
}

}  // namespace

std::vector<AdvertSchedule::Due> AdvertSchedule::configure(const vrrp::Config& config, bool on,
                                                           Instant now) {
  std::vector<Entry> entries;
  for (const vrrp::VrrpInstance& instance : config.instances) {
    Entry entry{.name = instance.name,
                .priority = instance.priority,
                .interval = instance.advert_int,
                .held_since = now,
                .next = now};
    const auto before = std::find_if(entries_.begin(), entries_.end(),
                                     [&](const Entry& each) { return each.name == entry.name; });
    if (before != entries_.end()) {
      entry.held = before->held;
      entry.held_since = before->held_since;
      entry.next = std::min(before->next, now + entry.interval);
    }
    entries.push_back(std::move(entry));
  }
  entries_ = std::move(entries);
  std::vector<Due> last;
  if (on_ && !on) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].held) last.push_back({i, vrrp::kPriorityStop});
    }
  }
  on_ = on;
  return last;
}

std::vector<AdvertSchedule::Due> AdvertSchedule::set_held(std::string_view instance, bool held,
                                                          Instant now) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (entry.name != instance || std::exchange(entry.held, held) == held) continue;
    entry.held_since = now;
    entry.next = now + entry.interval;
    if (on_) return {{i, held ? entry.priority : int{vrrp::kPriorityStop}}};
  }
  return {};
}

std::vector<AdvertSchedule::Due> AdvertSchedule::due(Instant now) {
  std::vector<Due> all;
  for (std::size_t i = 0; on_ && i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (!entry.held || now < entry.next) continue;
    entry.next = now + entry.interval;
    all.push_back({i, entry.priority});
  }
  return all;
}

std::optional<Instant> AdvertSchedule::deadline() const {
  std::optional<Instant> earliest;
  for (const Entry& entry : entries_) {
    if (on_ && entry.held && (!earliest || entry.next < *earliest)) earliest = entry.next;
  }
  return earliest;
}

bool AdvertSchedule::is_sole_speaker(std::string_view instance, Instant now) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.name == instance && entry.held &&
           now - entry.held_since >= kIntervalsAlone * entry.interval;
  });
}

OwnerAdverts::OwnerAdverts(io::EpollLoop& loop, io::Log& log, Sockets sockets)
    : loop_(loop), log_(log), sockets_(std::move(sockets)) {}

void OwnerAdverts::configure(const vrrp::Config& config, bool on) {
  const auto last = schedule_.configure(config, on, loop_.now());
  config_ = config;
  on_ = on;
  send(last);
}

void OwnerAdverts::set_held(std::string_view instance, bool held) {
  send(schedule_.set_held(instance, held, loop_.now()));
}

bool OwnerAdverts::is_sole_speaker(std::string_view instance) const {
  return schedule_.is_sole_speaker(instance, loop_.now());
}

void OwnerAdverts::on_timer(Instant now) { send(schedule_.due(now)); }

void OwnerAdverts::send(const std::vector<AdvertSchedule::Due>& due) {
  for (const AdvertSchedule::Due& each : due) {
    const vrrp::VrrpInstance& instance = config_.instances[each.instance];
    vrrp::VrrpSocket* const socket = sockets_(instance);
    const vrrp::Advert advert = vrrp::advert_of(instance, each.priority);
    if (socket == nullptr || advert.addresses.empty()) continue;
    const auto sent = [&]() -> Result<void> {
      const SocketAddress source = TRY(source_of(instance));
      std::vector<SocketAddress> to = instance.unicast_peers;
      if (to.empty()) {
        to.push_back(instance.ipv6 ? config_.global.multicast_group6
                                   : config_.global.multicast_group4);
      }
      for (const SocketAddress& one : to) {
        TRY(socket->send(source, one, vrrp::encode_message(advert, source, one)));
      }
      return {};
    }();
    if (sent.has_value()) continue;
    const Instant now = loop_.now();
    if (complained_at_ != Instant{} && now - complained_at_ < kComplaintEvery) continue;
    complained_at_ = now;
    log_.write(io::Severity::kWarning,
               "(" + instance.name + ") no advert leaves: " + sent.error().message());
  }
  if (const auto next = schedule_.deadline()) {
    loop_.arm(*this, *next);
  } else {
    cancel();
  }
}

Result<SocketAddress> OwnerAdverts::source_of(const vrrp::VrrpInstance& instance) {
  const bool unicast = !instance.unicast_peers.empty();
  if (const auto& wanted = unicast ? instance.unicast_src : instance.multicast_src) return *wanted;
  if (!netlink_) netlink_.emplace(TRY(io::Netlink::open()));
  const auto link = static_cast<int>(::if_nametoindex(instance.interface.c_str()));
  const auto is_owned = [&](const SocketAddress& address) {
    return std::any_of(config_.instances.begin(), config_.instances.end(), [&](const auto& each) {
      const auto owned = vrrp::owned_by(each);
      return std::any_of(owned.begin(), owned.end(), [&](const auto& one) {
        return one.address.with_port(0) == address.with_port(0);
      });
    });
  };
  for (const io::InterfaceAddress& address : TRY(netlink_->addresses())) {
    if (address.link != link || is_owned(address.address)) continue;
    const bool fits = instance.ipv6
                          ? is_link_local(address.address) && (address.flags & IFA_F_TENTATIVE) == 0
                          : address.address.family() == SocketAddress::Family::kIpv4;
    if (fits) return address.address.with_port(0);
  }
  return Error(ErrorCode::kUnavailable, instance.interface + " has no address to send from");
}

}  // namespace nines

// A packet that is no advert, or is for somebody else's virtual router, is passed over.
#include "owner_rivals.h"

#include <algorithm>

#include <net/if.h>
#include <sys/epoll.h>

#include "vrrp/owned.h"

namespace nines {

void RivalRecord::set_config(const vrrp::Config& config) {
  ours_.clear();
  for (const vrrp::VrrpInstance& instance : config.instances) {
    Ours ours{instance.name, instance.interface, instance.virtual_router_id, instance.ipv6, {}};
    for (const auto& owned : vrrp::owned_by(instance)) {
      ours.addresses.push_back(owned.address.with_port(0));
    }
    ours_.push_back(std::move(ours));
  }
}

RivalRecord::Finding RivalRecord::heard(std::string_view interface, const vrrp::Packet& packet,
                                        Instant now,
                                        const std::function<bool(std::string_view)>& is_strange) {
  Finding finding;
  const vrrp::Advert& advert = packet.advert;
  if (advert.priority == vrrp::kPriorityStop) return finding;
  const bool ipv6 = packet.source.family() == SocketAddress::Family::kIpv6;
  for (const Ours& ours : ours_) {
    if (ours.interface != interface || ours.ipv6 != ipv6) continue;
    const auto claimed = std::find_if(
        advert.addresses.begin(), advert.addresses.end(), [&](const SocketAddress& address) {
          return std::find(ours.addresses.begin(), ours.addresses.end(), address.with_port(0)) !=
                 ours.addresses.end();
        });
    if (ours.router_id != advert.router_id && claimed == advert.addresses.end()) continue;
    if (is_strange && !is_strange(ours.name)) continue;
    const SocketAddress source = packet.source.with_port(0);
    const std::pair key(ours.name, source);
    if (!entries_.contains(key) && entries_.size() >= kRivalsMax) {
      ++unrecorded_;
      continue;
    }
    Entry& entry = entries_[key];
    Rival& rival = entry.rival;
    rival = {ours.name, source, advert.router_id, advert.priority, rival.adverts + 1, now};
    if (announced_ == Instant{} || now - announced_ >= kAnnounceEvery) {
      announced_ = now;
      finding.announce = true;
    }
    if (entry.told != Instant{} && now - entry.told < kTellEvery) continue;
    entry.told = now;
    finding.line += (finding.line.empty() ? "(" : "; (") + ours.name + ") the VRRP router at " +
                    source.ip_text() + " (virtual router " + std::to_string(advert.router_id) +
                    ", priority " + std::to_string(advert.priority) + ") claims " +
                    (claimed != advert.addresses.end() ? claimed->ip_text() : "the same router") +
                    ", which is held by lease: it is not obeyed, and has to be stopped";
  }
  return finding;
}

std::vector<Rival> RivalRecord::rivals() const {
  std::vector<Rival> rivals;
  for (const auto& [key, entry] : entries_) rivals.push_back(entry.rival);
  return rivals;
}

OwnerRivals::OwnerRivals(const vrrp::Config& config, io::EpollLoop& loop, io::Log& log,
                         std::function<void()> announce)
    : loop_(loop), log_(log), announce_(std::move(announce)), record_(config) {}

OwnerRivals::~OwnerRivals() {
  for (const auto& [key, entry] : sockets_) loop_.unwatch_descriptor(entry.watch);
}

void OwnerRivals::listen(const vrrp::Config& config) {
  record_.set_config(config);
  std::map<Key, unsigned> wanted;
  for (const vrrp::VrrpInstance& instance : config.instances) {
    const unsigned link = ::if_nametoindex(instance.interface.c_str());
    if (link != 0) wanted.emplace(Key(instance.interface, instance.ipv6), link);
  }
  std::erase_if(sockets_, [&](const auto& entry) {
    const auto found = wanted.find(entry.first);
    if (found != wanted.end() && found->second == entry.second.link) return false;
    loop_.unwatch_descriptor(entry.second.watch);
    return true;
  });
  for (const auto& [key, link] : wanted) {
    if (sockets_.contains(key)) continue;
    auto socket = vrrp::VrrpSocket::open(
        key.first, key.second ? config.global.multicast_group6 : config.global.multicast_group4);
    if (!socket.has_value()) {
      log_.write(io::Severity::kWarning, "VRRP routers that claim our addresses are not heard: " +
                                             socket.error().message());
      continue;
    }
    Socket& opened = sockets_[key];
    opened.link = link;
    opened.socket = std::make_unique<vrrp::VrrpSocket>(*std::move(socket));
    opened.watch = loop_.watch_descriptor(opened.socket->descriptor(), EPOLLIN,
                                          [this, key = key](std::uint32_t) { drain(key); });
  }
}

vrrp::VrrpSocket* OwnerRivals::socket_of(const vrrp::VrrpInstance& instance) {
  const auto found = sockets_.find(Key(instance.interface, instance.ipv6));
  return found == sockets_.end() ? nullptr : found->second.socket.get();
}

void OwnerRivals::drain(const Key& key) {
  const auto found = sockets_.find(key);
  if (found == sockets_.end()) return;
  for (int i = 0; i < kDrainMax; ++i) {
    const std::string_view bytes = found->second.socket->receive();
    if (bytes.empty()) return;
    if (vrrp::parse_packet(bytes, packet_) != vrrp::WireFault::kNone) continue;
    const RivalRecord::Finding finding =
        record_.heard(key.first, packet_, loop_.now(), is_strange_);
    if (!finding.line.empty()) log_.write(io::Severity::kAlert, finding.line);
    if (finding.announce) announce_();
  }
}

}  // namespace nines

// A channel that has nothing to say keeps the instant of its last word, so that the gap holds
// between rounds too.
#include "vrrp/announcement_pacer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace nines::vrrp {

bool AnnouncementPacer::add(const std::string& channel, Duration interval,
                            PacedAnnouncement announcement) {
  CHECK(interval > Duration{});
  Channel& into = channels_[channel];
  into.interval = interval;
  if (into.waiting.size() >= kWaitingMax) return false;
  into.waiting.push_back(std::move(announcement));
  return true;
}

void AnnouncementPacer::forget(const std::string& owner) {
  for (auto& [name, channel] : channels_) {
    std::erase_if(channel.waiting, [&](const auto& each) { return each.owner == owner; });
  }
}

void AnnouncementPacer::take_due(Instant now, std::vector<PacedAnnouncement>& out) {
  for (auto& [name, channel] : channels_) {
    if (channel.waiting.empty() || now < channel.free_at) continue;
    out.push_back(std::move(channel.waiting.front()));
    channel.waiting.pop_front();
    channel.free_at = now + channel.interval;
  }
}

std::optional<Instant> AnnouncementPacer::deadline() const {
  std::optional<Instant> first;
  for (const auto& [name, channel] : channels_) {
    if (channel.waiting.empty()) continue;
    first = first ? std::min(*first, channel.free_at) : channel.free_at;
  }
  return first;
}

}  // namespace nines::vrrp

// Gaps between announcements, for switches that lose what comes too fast (keepalived.conf(5),
// vrrp_garp_interval, garp_group): what is to be said waits its turn on a channel, that is one
// interface and family, or the interfaces of a group. Pure.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace nines::vrrp {

struct PacedAnnouncement {
  std::string owner;        // the instance's name
  std::size_t address = 0;  // an index that means something to the owner
  friend bool operator==(const PacedAnnouncement&, const PacedAnnouncement&) = default;
};

// Lives on one loop; not thread-safe.
class AnnouncementPacer {
 public:
  // On one channel. What comes beyond it is not said: whatever filled the queue says the same.
  static constexpr std::size_t kWaitingMax = 4096;

  // `interval`: above 0; of the channel from now on. False when there is no room.
  bool add(const std::string& channel, Duration interval, PacedAnnouncement announcement);
  // Nothing that waits of that owner is said any more.
  void forget(const std::string& owner);
  // Appends what may be said now; that it is said is the caller's part.
  void take_due(Instant now, std::vector<PacedAnnouncement>& out);
  // When something that waits may be said; nothing waits: nothing.
  std::optional<Instant> deadline() const;

 private:
  struct Channel {
    Duration interval{};
    Instant free_at{};
    std::deque<PacedAnnouncement> waiting;
  };
  std::map<std::string, Channel> channels_;
};

}  // namespace nines::vrrp

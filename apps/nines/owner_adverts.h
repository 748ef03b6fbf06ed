// VRRP adverts of what is held by lease, for routers and monitoring that listen. They tell, and
// nothing follows from them: no node of the cluster takes one for a right.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/netlink.h"
#include "io/ports.h"
#include "vrrp/vrrp_config.h"
#include "vrrp/vrrp_socket.h"

namespace nines {

// Which advert is due when. Pure.
class AdvertSchedule {
 public:
  struct Due {
    std::size_t instance = 0;  // in the configuration's order
    int priority = 0;          // kPriorityStop: it is held here no longer
    friend bool operator==(const Due&, const Due&) = default;
  };

  // Instances by name; what was held goes on being held. `on`: false ends all adverts.
  std::vector<Due> configure(const vrrp::Config& config, bool on, Instant now);
  // The first advert of a holder, or the last one.
  std::vector<Due> set_held(std::string_view instance, bool held, Instant now);
  std::vector<Due> due(Instant now);
  std::optional<Instant> deadline() const;
  // Held for so long that adverts of whoever held it before have ended.
  bool is_sole_speaker(std::string_view instance, Instant now) const;

 private:
  struct Entry {
    std::string name;
    int priority = 0;
    Duration interval{};
    bool held = false;
    Instant held_since{}, next{};
  };

  bool on_ = false;
  std::vector<Entry> entries_;
};

// Lives on its loop; loop and log outlive it.
class OwnerAdverts final : private Timer {
 public:
  // The socket of an instance's interface and family; null while there is none.
  using Sockets = std::function<vrrp::VrrpSocket*(const vrrp::VrrpInstance&)>;

  OwnerAdverts(io::EpollLoop& loop, io::Log& log, Sockets sockets);

  void configure(const vrrp::Config& config, bool on);
  void set_held(std::string_view instance, bool held);
  bool on() const { return on_; }
  // Whether an advert for it, heard now, can only be somebody else's.
  bool is_sole_speaker(std::string_view instance) const;

 private:
  static constexpr Duration kComplaintEvery = std::chrono::minutes(1);

  void on_timer(Instant now) override;
  void send(const std::vector<AdvertSchedule::Due>& due);
  Result<SocketAddress> source_of(const vrrp::VrrpInstance& instance);

  io::EpollLoop& loop_;
  io::Log& log_;
  Sockets sockets_;
  vrrp::Config config_;
  bool on_ = false;
  AdvertSchedule schedule_;
  std::optional<io::Netlink> netlink_;
  Instant complained_at_{};
};

}  // namespace nines

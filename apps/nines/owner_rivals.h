// VRRP routers that claim what is held by lease: keepalived left running, or another cluster. They
// are heard, recorded and told of, and never obeyed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"
#include "io/linux/epoll_loop.h"
#include "io/ports.h"
#include "vrrp/vrrp_config.h"
#include "vrrp/vrrp_socket.h"
#include "vrrp/vrrp_wire.h"

namespace nines {

struct Rival {
  std::string instance;  // of ours, that it claims
  SocketAddress source;
  int router_id = 0;
  int priority = 0;
  std::uint64_t adverts = 0;
  Instant last{};
};

// Whose adverts are conflicts, and how often that is said. Pure.
class RivalRecord {
 public:
  static constexpr std::size_t kRivalsMax = 64;                    // more are counted and not kept
  static constexpr Duration kTellEvery = std::chrono::minutes(1);  // of one rival
  static constexpr Duration kAnnounceEvery = std::chrono::seconds(1);  // of all addresses

  explicit RivalRecord(const vrrp::Config& config) { set_config(config); }
  void set_config(const vrrp::Config& config);

  struct Finding {
    std::string line;       // for the log; empty: nothing new
    bool announce = false;  // the segment may have learnt something else
  };
  // An advert for one of our virtual routers, or for an address of ours, on its interface; others
  // find nothing. A router that says it leaves claims nothing.
  Finding heard(std::string_view interface, const vrrp::Packet& packet, Instant now,
                const std::function<bool(std::string_view instance)>& is_strange = nullptr);

  std::vector<Rival> rivals() const;
  std::uint64_t unrecorded() const { return unrecorded_; }

 private:
  struct Ours {
    std::string name, interface;
    int router_id;
    bool ipv6;
    std::vector<SocketAddress> addresses;
  };
  struct Entry {
    Rival rival;
    Instant told{};
  };

  std::vector<Ours> ours_;
  std::map<std::pair<std::string, SocketAddress>, Entry> entries_;  // by instance and source
  std::uint64_t unrecorded_ = 0;
  Instant announced_{};
};

// Lives on its loop; loop and log outlive it.
class OwnerRivals {
 public:
  // `announce`: the addresses that are held, again.
  OwnerRivals(const vrrp::Config& config, io::EpollLoop& loop, io::Log& log,
              std::function<void()> announce);
  ~OwnerRivals();
  OwnerRivals(const OwnerRivals&) = delete;
  OwnerRivals& operator=(const OwnerRivals&) = delete;

  // Listens on each instance's interface; again after a reload and when links have changed.
  void listen(const vrrp::Config& config);
  // Where members of the cluster advertise: whether an advert for an instance is a stranger's all
  // the same. Unless told, each is.
  void set_strange(std::function<bool(std::string_view instance)> is_strange) {
    is_strange_ = std::move(is_strange);
  }
  // Of the instance's interface and family; null while it cannot be opened.
  vrrp::VrrpSocket* socket_of(const vrrp::VrrpInstance& instance);
  const RivalRecord& record() const { return record_; }

 private:
  static constexpr int kDrainMax = 64;       // packets in a pass
  using Key = std::pair<std::string, bool>;  // interface, IPv6
  struct Socket {
    unsigned link = 0;
    std::unique_ptr<vrrp::VrrpSocket> socket;
    io::EpollLoop::WatchId watch = 0;
  };

  void drain(const Key& key);

  io::EpollLoop& loop_;
  io::Log& log_;
  std::function<void()> announce_;
  std::function<bool(std::string_view)> is_strange_ = [](std::string_view) { return true; };
  RivalRecord record_;
  std::map<Key, Socket> sockets_;
  vrrp::Packet packet_;  // scratch
};

}  // namespace nines

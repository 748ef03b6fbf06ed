// All instances of a configuration on one loop, with their scripts and the interfaces they watch:
// VRRP without a process around it. `nines vrrp` puts a process around it, and so does the owner
// plane.
//
// Everything that changes in the world (links, addresses, scripts) ends in refresh(), which works
// out each instance's conditions anew: there is no second way to learn a state.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "address/interface_addresses.h"
#include "address/routing.h"
#include "base/result.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/netlink.h"
#include "io/linux/processes.h"
#include "io/ports.h"
#include "vrrp/owner_service.h"
#include "vrrp/script_runner.h"
#include "vrrp/sync_group.h"
#include "vrrp/vrrp_config.h"
#include "vrrp/vrrp_driver.h"
#include "vrrp/vrrp_socket.h"
#include "vrrp/vrrp_stats.h"
#include "vrrp/vrrp_wire.h"

namespace nines::vrrp {

// What the text cannot know or this program does not do: kNotFound for an interface that is not
// there (the message names those that are), kUnsupported. Opens a netlink socket, needs no rights.
Result<void> check_against_host(const Config& config);

// Lives on its loop's thread; loop and log outlive it. Destroyed, it lets go of its addresses.
class VrrpService {
 public:
  // kRefused without the rights that raw and netlink sockets need.
  static Result<std::unique_ptr<VrrpService>> create(Config config, io::EpollLoop& loop,
                                                     io::Log& log,
                                                     AddressLife life = AddressLife::kRenewed);
  ~VrrpService();
  VrrpService(const VrrpService&) = delete;
  VrrpService& operator=(const VrrpService&) = delete;

  // Addresses of which the predecessor was master may still be in the kernel, and stay (vrrp.h).
  void start(const Predecessor& predecessor = {});
  // Keeps the instances that stay. What check_against_host() refuses changes nothing.
  Result<void> reload(Config config);
  // Ends all instances at once: addresses dropped, priority 0 said, notify scripts started.
  void stop();
  // Ends them as planned: a master serves until its successor speaks, for at most a second and a
  // bit with version 2 (Vrrp::hand_over_patience()). `ended` is called afterwards, once, from the
  // loop; stop() meanwhile cuts it short. No reload while it lasts: kRefused.
  void hand_over(std::function<void()> ended);
  // Beside what the configuration tracks: while something that all instances are there for does not
  // work, none stands for election.
  void set_fit(bool fit);
  // Called whenever an instance's state has changed, once for any number of changes.
  void on_change(std::function<void()> callback) { changed_ = std::move(callback); }

  std::string status_text() const;  // lines for people
  // In the configuration's order.
  std::vector<InstanceReport> reports() const;
  void clear_counters();
  // In the configuration's order.
  std::vector<const VrrpDriver*> drivers() const;

 private:
  VrrpService(Config config, io::EpollLoop& loop, io::Log& log, AddressLife life,
              address::InterfaceAddresses addresses, address::Routing routing, io::Netlink netlink,
              io::NetworkMonitor monitor);

  struct SocketKey {
    std::string interface;
    bool ipv6 = false;
    friend auto operator<=>(const SocketKey&, const SocketKey&) = default;
  };
  struct Socket {
    int link = 0;  // the interface's index when it was opened
    std::unique_ptr<VrrpSocket> socket;
    io::EpollLoop::WatchId watch = 0;
  };
  struct Script {
    VrrpScript config;
    std::unique_ptr<ScriptRunner> runner;
  };
  struct Known {  // what an instance was last told
    TrackSum sum;
    SocketAddress primary;
    bool running = false;
    bool told = false;
  };
  struct Member {
    std::unique_ptr<VrrpDriver> driver;
    Known known;
  };
  // While one is there, what moves waits: the members of a group hear of the same things one after
  // another, and only then it is looked at what became of the group.
  class Together {
   public:
    explicit Together(VrrpService& service) : service_(service) { ++service_.together_; }
    ~Together() {
      if (--service_.together_ == 0) service_.settle_groups();
    }
    Together(const Together&) = delete;
    Together& operator=(const Together&) = delete;

   private:
    VrrpService& service_;
  };
  using Links = std::map<std::string, io::NetworkLink>;  // by name
  class Startup final : public Timer {
   public:
    explicit Startup(VrrpService& service) : service_(service) {}
    void on_timer(Instant) override { service_.refresh(); }

   private:
    VrrpService& service_;
  };
  class Turn final : public Timer {
   public:
    explicit Turn(VrrpService& service) : service_(service) {}
    void on_timer(Instant) override { service_.announce_due(); }

   private:
    VrrpService& service_;
  };

  bool was_master(const VrrpInstance& instance, const std::set<std::string>& masters_before) const;
  bool pace(const address::OwnedAddress& address, PacedAnnouncement announcement);
  void announce_due();
  void network_changed();
  bool owned_by_any(const SocketAddress& address) const;
  bool disturbs_routing(const io::NetworkEvent& event) const;
  void hear_routing_if_needed();
  void refresh();
  Known look(const VrrpInstance& instance, const Links& links,
             const std::vector<io::InterfaceAddress>& addresses) const;
  void add_tracks(TrackSum& sum, const std::vector<Track>& scripts,
                  const std::vector<Track>& interfaces, const Links& links) const;
  void share(const SyncGroup& group, const Links& links, std::vector<Known>& known) const;
  static void tell(Member& member, const Known& known);
  void settle_groups();
  void settle(const SyncGroup& group);
  void notify(const SyncGroup& group, State state);
  std::vector<VrrpDriver*> drivers_of(const SyncGroup& group);
  void refresh_soon();
  SocketAddress primary_of(const VrrpInstance& instance, const Links& links,
                           const std::vector<io::InterfaceAddress>& addresses) const;
  static SocketKey socket_of(const VrrpInstance& instance);
  void open_sockets(const Links& links);
  void close_sockets(const std::map<SocketKey, int>& wanted);
  void drain();
  void deliver(std::string_view bytes, const SocketKey& from);
  void malformed(WireFault fault, const std::string& interface);
  void add_driver(const VrrpInstance& instance, std::optional<Instant> master_seen_at);
  ScriptState initial_state_of(const VrrpScript& script) const;
  void load_scripts();
  void state_changed();
  void end_if_all_stopped();
  void apply_scheduling();

  Config config_;
  io::EpollLoop& loop_;
  io::Log& log_;
  address::InterfaceAddresses addresses_;
  address::Routing routing_;
  io::Netlink netlink_;
  io::NetworkMonitor monitor_;
  io::LinuxProcesses processes_{loop_};
  VrrpWorld world_;
  io::EpollLoop::WatchId monitor_watch_ = 0;
  std::map<SocketKey, Socket> sockets_;
  std::map<std::string, Script> scripts_;  // by name
  int together_ = 0;
  bool moved_ = false;
  std::map<std::string, State> group_states_;  // that were told, by the group's name
  std::vector<Member> members_;                // in the configuration's order
  Startup startup_{*this};
  AnnouncementPacer pacer_;
  Turn turn_{*this};
  Instant ready_at_{};
  bool fit_ = true;
  std::function<void()> changed_;
  bool change_posted_ = false;
  std::function<void()> ended_;  // while handing over
  // Whether this service still lives, for what it posted; shared with that alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::array<std::uint64_t, kWireFaults> malformed_{};
  std::uint64_t malformed_untold_ = 0;
  std::uint64_t foreign_ = 0;
  Instant complained_at_{};
};

}  // namespace nines::vrrp

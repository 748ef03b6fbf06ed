// One VRRP instance at work: performs what its machine decides, on the sockets, interfaces and
// scripts that the daemon shares between instances.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "address/interface_addresses.h"
#include "address/routing.h"
#include "address/session_killer.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/processes.h"
#include "io/ports.h"
#include "vrrp/announcement_pacer.h"
#include "vrrp/owned.h"
#include "vrrp/script_tracker.h"
#include "vrrp/vrrp.h"
#include "vrrp/vrrp_filter.h"
#include "vrrp/vrrp_socket.h"
#include "vrrp/vrrp_stats.h"

namespace nines::vrrp {

// kRenewed: an address goes by itself when its owner is dead. kUntilDropped: it stays, as
// keepalived's does, where somebody takes each renewal for news (neutron's L3 agent).
enum class AddressLife : std::uint8_t { kRenewed, kUntilDropped };

// What several instances share. All of it outlives them and lives on one loop.
struct VrrpWorld {
  io::EpollLoop& loop;
  io::LinuxProcesses& processes;
  io::Log& log;
  address::InterfaceAddresses& addresses;
  address::Routing& routing;
  const GlobalDefs& global;
  AddressLife address_life;
  // Reads every socket empty and delivers what came, before a timer decides (vrrp.h, duty 1).
  std::function<void()> drain;
  std::function<void()> state_changed;  // of any instance
  // An announcement of that address waits its turn; false: there are no turns, it is said at once.
  std::function<bool(const address::OwnedAddress&, PacedAnnouncement)> pace;
  std::function<void(const std::string&)> forget_paced;  // of that instance
  std::function<void()> moved;  // a member of a sync group may have, and its group with it
};

const Command& command_of(const Notifications& notifications, State state);

class VrrpDriver {
 public:
  // Addresses that an earlier process left behind are removed; but with `master_seen_at` (vrrp.h)
  // they stay where they are until this one is master, or is not to be, and then go with their
  // sessions.
  VrrpDriver(VrrpInstance instance, VrrpWorld& world, std::optional<Instant> master_seen_at = {});
  ~VrrpDriver();
  VrrpDriver(const VrrpDriver&) = delete;
  VrrpDriver& operator=(const VrrpDriver&) = delete;

  // The socket is borrowed until the next call; null while there is no interface.
  void set_socket(VrrpSocket* socket) { socket_ = socket; }
  // The interface as it is, the scripts as they are. `primary` of no family: none there.
  void set_conditions(const TrackSum& sum, const SocketAddress& primary);
  void packet_came(const Packet& packet);
  // One for this virtual router that is no advert.
  void malformed_came(WireFault fault) { errors_.count(fault); }
  void link_restored() { handle(event::LinkRestored{}); }
  // Its turn has come.
  void announce_now(std::size_t address);
  void group_go() { handle(event::GroupGo{}); }
  void group_yield() { handle(event::GroupYield{}); }
  // An address went from an interface; ours are taken again.
  void address_removed(const SocketAddress& address);
  // Routes or rules went, or what they need came back: those that are looked after are put back.
  void restore_routing();
  // Same name, router, version and interface.
  void reload(VrrpInstance instance);
  void stop() { handle(event::Stop{}); }
  // The same in its own time (event::HandOver); the machine's state says when it is done.
  void hand_over() { handle(event::HandOver{}); }

  const Vrrp& machine() const { return machine_; }
  // Took over from a dead process of this host and has held the addresses ever since.
  bool resumed() const { return resumed_; }
  const VrrpInstance& instance() const { return machine_.instance(); }
  bool owns(const SocketAddress& address) const;
  bool owns(const io::Route& removed) const;
  // The address has gone, and clients of sessions on it are still being told.
  bool parting() const { return parting_; }
  std::string status_text() const;  // lines for people
  // All but the tracked scripts, which are shared.
  InstanceReport report() const;
  void clear_counters();

 private:
  class Wakeup final : public Timer {
   public:
    Wakeup(VrrpDriver& driver, void (VrrpDriver::*call)()) : driver_(driver), call_(call) {}
    void on_timer(Instant) override { (driver_.*call_)(); }

   private:
    VrrpDriver& driver_;
    void (VrrpDriver::*call_)();
  };

  void handle(const Event& event);
  void perform(const Effect& effect);
  void timer_fired();
  void renew();
  void renew_with_advert();
  void send_advert(int priority);
  void take_addresses();
  void drop_addresses();
  void announce(int count);
  void part_from_sessions();
  void nudge();
  void follow_master();
  void end_stranded();
  void notify(State state);
  void run(const Command& command, const std::vector<std::string>& more);
  void tell(io::Severity severity, const std::string& text);
  void complain(const std::string& about);
  std::chrono::seconds lifetime() const;

  VrrpWorld& world_;
  Vrrp machine_;
  VrrpSocket* socket_ = nullptr;
  SocketAddress primary_;
  std::vector<address::OwnedAddress> owned_;
  OwnedRouting routing_;
  bool holding_ = false;
  bool resumed_ = false;
  Instant renewed_at_{};
  bool lost_ = false;  // the addresses, and nothing was done about their sessions yet
  bool parting_ = false;
  std::vector<address::Session> ended_;  // whose peers are to be told
  std::size_t nudges_ = 0;
  SocketAddress followed_;  // the machine's master, ourselves too, when last looked at
  std::array<std::uint64_t, kRejections> rejected_{};
  PacketErrors errors_;
  Instant complained_at_{};
  std::uint64_t complaints_ = 0;  // since the last line
  // Whether this driver still lives, for what it posted; shared with that alone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Wakeup deadline_{*this, &VrrpDriver::timer_fired};
  Wakeup renewal_{*this, &VrrpDriver::renew};
  Wakeup nudge_{*this, &VrrpDriver::nudge};
  Wakeup stranded_{*this, &VrrpDriver::end_stranded};
};

}  // namespace nines::vrrp

// Addresses that are held by lease: on the interface, through the kernel's gate, and announced, for
// as long as the lease runs and no longer.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "address/interface_addresses.h"
#include "cluster/lease_driver.h"
#include "io/linux/keyed_worker.h"
#include "io/loop.h"
#include "io/ports.h"

namespace nines::cluster {

// What lets traffic for a group's addresses through until an instant (CLOCK_BOOTTIME), and nothing
// after it, with nobody acting (address/guard.h). Groups count from 0, in the holder's order.
class AddressGate {
 public:
  virtual ~AddressGate() = default;
  virtual Result<void> open_until(std::size_t group, Instant end) = 0;
  virtual Result<void> close(std::size_t group) = 0;
};

// The number that all nodes derive from a name's text: FNV-1a, never 0.
Name name_from(std::string_view text);

struct AddressGroup {
  std::string text;  // as people know it: the instance's name
  std::vector<address::OwnedAddress> addresses;
};

// Lives on the loop of the driver that calls it; all references outlive it. Destroyed, it lets go
// of everything. Taking and letting go wait for the kernel's lock on its network's settings (RTNL),
// which others hold for a tenth of a second and more while devices come and go; renewing what was
// taken is done by a thread, so that a lease that is held waits for nobody.
class AddressHolder final : public LeaseHolder, private Timer {
 public:
  using Clock = LeaseDriver::Clock;
  // Held or not, and under which epoch; after each change.
  using Changed = std::function<void(const AddressGroup&, bool held, Epoch)>;

  // `renewals`: of the same network namespace, the thread's.
  AddressHolder(std::vector<AddressGroup> groups, address::InterfaceAddresses addresses,
                address::InterfaceAddresses renewals, AddressGate& gate, io::Loop& loop,
                Clock clock, io::Log& log, Changed changed);
  ~AddressHolder() override;

  void hold(Name name, Epoch epoch, Instant until, bool renewed) override;
  void let_go(Name name) override;

  // Tells the segment again, for what may have been learnt wrong meanwhile.
  void announce_all(int count);
  // Somebody took an address of ours away from the interface: it is put back.
  void address_removed(const SocketAddress& address);
  bool holds(Name name) const;

 private:
  struct Held {
    AddressGroup group;
    std::size_t index = 0;             // the gate's
    std::vector<SocketAddress> plain;  // the group's addresses alone
    bool held = false;
    Epoch epoch = 0;
    Instant until{};                   // of the newest hold()
    Instant refresh_at{};              // of the addresses' lifetime
    std::vector<Instant> announce_at;  // latest first
  };

  void on_timer(Instant now) override;
  void arm_next();
  void put_on_interface(Held& held);
  void renew_soon(Held& held);
  void announce(const Held& held, int count);
  void ask_unheard(const Held& held);
  void end_sessions(const Held& held);
  void complain(const Result<void>& result);

  std::map<Name, Held> groups_;
  address::InterfaceAddresses addresses_;
  address::InterfaceAddresses renewals_;  // the worker's
  AddressGate& gate_;
  io::Loop& loop_;
  Clock clock_;
  io::Log& log_;
  Changed changed_;
  Instant complained_at_{};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what the worker posts
  io::KeyedWorker worker_;                                      // its keys: groups
};

}  // namespace nines::cluster

// Addresses on this host's interfaces: taken for a lifetime, renewed, dropped, announced.
// Everything here is one synchronous system call after another, since whoever moves an address
// waits for nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"
#include "base/time.h"
#include "io/linux/descriptor.h"
#include "io/linux/netlink.h"

namespace nines::address {

struct OwnedAddress {
  SocketAddress address;
  int prefix_length = 32;
  std::string device;
  std::string label;
  std::uint8_t scope = 0;  // RT_SCOPE_*
  std::optional<SocketAddress> broadcast;
  std::uint32_t flags = 0;  // IFA_F_*
  bool deprecated = false;  // IPv6: nothing new leaves from it by itself

  friend bool operator==(const OwnedAddress&, const OwnedAddress&) = default;
};

// Whole seconds, all that the kernel keeps: long enough to be renewed in time, and no longer than
// the owner's peers are sure to wait (`patience`), less what the kernel may be late.
constexpr Duration kLifetimeMin = std::chrono::seconds(2);
constexpr Duration kExpiryLateness = std::chrono::milliseconds(150);
std::chrono::seconds lifetime_within(Duration patience);

// As the kernel writes it: until it is dropped.
constexpr std::chrono::seconds kForever{0xffffffff};

// Belongs to the network namespace of the thread that opened it. Not thread-safe.
class InterfaceAddresses {
 public:
  static Result<InterfaceAddresses> open();

  // Adds it or renews its lifetime.
  Result<void> take(const OwnedAddress& address, std::chrono::seconds lifetime);
  // One that is not there is dropped already.
  Result<void> drop(const OwnedAddress& address);
  // Tells the segment, `count` times.
  Result<void> announce(const OwnedAddress& address, int count);
  // Asks at once, in the address's name, where those neighbours of its interface are whom the
  // kernel asks for once a second; kAskedMax at most. Says how many.
  static constexpr std::size_t kAskedMax = 64;
  Result<std::size_t> ask_unheard(const OwnedAddress& address);
  // An address that shares its prefix with the host's own may take that one along when it expires
  // before it; the kernel's promote_secondaries prevents it.
  static Result<void> promote_secondaries(const std::string& device);

 private:
  Result<void> send_frame(int link, const std::string& frame);

  InterfaceAddresses(io::Netlink netlink, io::Descriptor packets)
      : netlink_(std::move(netlink)), packets_(std::move(packets)) {}

  io::Netlink netlink_;
  io::Descriptor packets_;  // sends frames, hears none
};

}  // namespace nines::address

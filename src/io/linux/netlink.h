// The kernel's links and addresses over rtnetlink (RFC 3549; rtnetlink(7)): a synchronous client
// for changes and dumps, and a monitor for what others change. Encoded here over libmnl.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/socket_address.h"

namespace nines::io {

struct NetworkLink {
  int index = 0;
  std::string name;
  bool up = false;       // administratively
  bool running = false;  // carrier as well: the other end is there
  int master = 0;        // index of the bridge it is a port of; 0: none
};

struct InterfaceAddress {
  static constexpr std::uint32_t kForever = UINT32_MAX;

  int link = 0;                // index
  SocketAddress address = {};  // the port is not used
  std::uint8_t prefix_length = 32;
  // Seconds until the kernel removes it by itself, so that a dead owner's address does not outlive
  // it for long; kForever never does.
  std::uint32_t valid_lifetime = kForever;
  std::uint32_t preferred_lifetime = kForever;
  // IFA_F_* of linux/if_addr.h, such as IFA_F_NODAD, IFA_F_NOPREFIXROUTE. Dumps and events give
  // what the kernel says; IFA_F_SECONDARY and IFA_F_PERMANENT are its own and ignored when adding.
  std::uint32_t flags = 0;
  // When adding only; dumps and events leave these alone.
  std::uint8_t scope = 0;  // RT_SCOPE_* of linux/rtnetlink.h; 0: everywhere
  std::string label = {};  // IFA_LABEL, at most 15 bytes; empty: the link's name
  std::optional<SocketAddress> broadcast = {};  // IPv4; none: none

  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

enum class LinkState : std::uint8_t { kDown, kUp };

// One NETLINK_ROUTE socket. It belongs for good to the network namespace that its thread was in
// when it was opened. Each call is one request and its acknowledgement; the kernel answers within
// the send, so that no call waits. Not thread-safe.
class Netlink {
 public:
  static Result<Netlink> open();
  Netlink(Netlink&& other) noexcept;
  Netlink& operator=(Netlink&& other) noexcept;
  ~Netlink();

  Result<std::vector<NetworkLink>> links();
  Result<NetworkLink> find_link(std::string_view name);  // kNotFound
  // kExists when the name is taken. Names are at most 15 bytes: kInvalid.
  Result<void> add_bridge(std::string_view name);
  // A pair: `name` here, `peer` in the network namespace of that descriptor.
  Result<void> add_veth(std::string_view name, std::string_view peer, int peer_namespace);
  Result<void> set_link_state(int link, LinkState state);
  Result<void> set_link_master(int link, int master);
  Result<void> delete_link(int link);

  Result<std::vector<InterfaceAddress>> addresses();
  Result<void> add_address(const InterfaceAddress& address);  // kExists
  // Adds it, or renews the lifetimes of one that is there.
  Result<void> replace_address(const InterfaceAddress& address);
  Result<void> delete_address(const InterfaceAddress& address);  // kNotFound

 private:
  explicit Netlink(int descriptor) : descriptor_(descriptor) {}
  class Request;
  Result<void> acknowledge(Request& request);
  template <typename Visit>
  Result<void> exchange(Request& request, Visit visit);
  Result<void> put_address(int type, int flags, const InterfaceAddress& address);

  int descriptor_ = -1;
  std::uint32_t sequence_ = 0;
};

struct NetworkEvent {
  enum class Kind : std::uint8_t {
    kLinkChanged,
    kLinkRemoved,
    kAddressAdded,  // or its lifetimes changed
    kAddressRemoved,
    kLost,  // the kernel dropped events: dump again
  };
  Kind kind = Kind::kLost;
  NetworkLink link;          // of the two link kinds
  InterfaceAddress address;  // of the two address kinds
};

// Hears of every change of links and addresses in the namespace it was opened in. The descriptor
// is non-blocking and becomes readable when read() has something to give.
class NetworkMonitor {
 public:
  static Result<NetworkMonitor> open();
  NetworkMonitor(NetworkMonitor&& other) noexcept;
  NetworkMonitor& operator=(NetworkMonitor&& other) noexcept;
  ~NetworkMonitor();

  int descriptor() const { return descriptor_; }
  // Appends what has come so far; never blocks.
  Result<void> read(std::vector<NetworkEvent>& events);

 private:
  explicit NetworkMonitor(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
};

}  // namespace nines::io

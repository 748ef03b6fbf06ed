// The kernel's links, addresses, routes and rules over rtnetlink (RFC 3549; rtnetlink(7)): a
// synchronous client for changes and dumps, and a monitor for what others change. Encoded here over
// libmnl.
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

// A route, or what stands in the place of one.
struct Route {
  static constexpr std::uint32_t kTableMain = 254;
  static constexpr std::uint32_t kTableMax = UINT32_MAX;

  std::uint8_t type = 1;           // RTN_* of linux/rtnetlink.h; 1: unicast
  SocketAddress destination = {};  // its family is the route's; the port is not used
  std::uint8_t prefix_length = 0;
  std::optional<SocketAddress> gateway = {};
  std::optional<SocketAddress> source = {};  // preferred
  int link = 0;                              // index; 0: the kernel finds it by the gateway
  std::uint32_t table = kTableMain;
  std::uint32_t metric = 0;   // lower is better; 0: the kernel's default
  std::uint8_t scope = 0;     // RT_SCOPE_*
  std::uint8_t protocol = 0;  // RTPROT_*: who made it
  std::uint8_t type_of_service = 0;
  bool onlink = false;  // the gateway is taken for a neighbour whatever the addresses say
  // Of RTAX_*; 0: not said.
  std::uint32_t mtu = 0, advertised_mss = 0, hop_limit = 0;

  friend bool operator==(const Route&, const Route&) = default;
};

// A rule of the policy database: which packets look into which table.
struct RoutingRule {
  std::uint8_t action = 1;  // FR_ACT_* of linux/fib_rules.h; 1: look into `table`
  SocketAddress::Family family = SocketAddress::Family::kIpv4;
  std::optional<SocketAddress> from = {}, to = {};  // none: any
  std::uint8_t from_length = 0, to_length = 0;
  std::string from_interface = {}, to_interface = {};  // "iif" and "oif"; empty: any
  std::optional<std::uint32_t> mark = {}, mark_mask = {};
  std::uint8_t type_of_service = 0;
  bool inverted = false;
  std::uint32_t table = 0;
  std::uint32_t priority = 0;  // lower is asked first
  std::uint8_t protocol = 0;   // RTPROT_*

  friend bool operator==(const RoutingRule&, const RoutingRule&) = default;
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

  // Ahead of others to the same destination with the same metric, as "ip route prepend" does; those
  // stay. kExists when the very same one is there.
  Result<void> add_route(const Route& route);
  // Exactly that one. kNotFound.
  Result<void> delete_route(const Route& route);
  Result<void> add_rule(const RoutingRule& rule);     // kExists
  Result<void> delete_rule(const RoutingRule& rule);  // kNotFound

 private:
  explicit Netlink(int descriptor) : descriptor_(descriptor) {}
  class Request;
  Result<void> acknowledge(Request& request);
  template <typename Visit>
  Result<void> exchange(Request& request, Visit visit);
  Result<void> put_address(int type, int flags, const InterfaceAddress& address);
  Result<void> put_route(int type, int flags, const Route& route);
  Result<void> put_rule(int type, int flags, const RoutingRule& rule);

  int descriptor_ = -1;
  std::uint32_t sequence_ = 0;
};

struct NetworkEvent {
  enum class Kind : std::uint8_t {
    kLinkChanged,
    kLinkRemoved,
    kAddressAdded,  // or its lifetimes changed
    kAddressRemoved,
    kRouteRemoved,  // these two of monitors that were told to hear of routing
    kRuleRemoved,
    kLost,  // the kernel dropped events: dump again
  };
  Kind kind = Kind::kLost;
  NetworkLink link;          // of the two link kinds
  InterfaceAddress address;  // of the two address kinds
  Route route = {};          // of kRouteRemoved: type, destination, table, metric
};

// Hears of every change of links and addresses in the namespace it was opened in. The descriptor
// is non-blocking and becomes readable when read() has something to give.
class NetworkMonitor {
 public:
  static Result<NetworkMonitor> open();
  // From now on also of routes and rules that are removed; a router may have very many.
  Result<void> hear_routing();
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

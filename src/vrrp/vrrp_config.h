// keepalived.conf as plain structs: what the text means once every value is parsed, checked, and
// defaults and global settings have been applied. No IO, no behaviour. Keywords are those of
// keepalived.conf(5), version 2.2.7.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/socket_address.h"
#include "base/time.h"

namespace nines::vrrp {

// RFC 3768 section 5.3 and RFC 5798 section 5.2: fields of eight bits; 0 is never configured.
inline constexpr int kVirtualRouterIdMax = 255;
inline constexpr int kPriorityOwner = 255;  // "owns" the address: never a backup
inline constexpr int kPriorityDefault = 100;
// VRRPv2's authentication data: eight bytes, what is longer is cut as keepalived cuts it.
inline constexpr std::size_t kAuthDataSize = 8;
inline constexpr int kVersionDefault = 2;
// A packet's count of addresses has eight bits; keepalived refuses more as well.
inline constexpr std::size_t kVirtualAddressesMax = 255;

// Where a thing was said, for messages that come later (an interface that is not there).
struct Place {
  std::string file;
  int line = 0;
};

// A command as its words; never handed to a shell. `words` is empty when there is none.
struct Command {
  std::vector<std::string> words;
  std::string user;   // empty: GlobalDefs::script_user, and failing that keepalived_script, or root
  std::string group;  // empty: the user's own
  Place place;
  bool empty() const { return words.empty(); }
};

// "vrrp_script NAME { ... }".
struct VrrpScript {
  std::string name;
  Command command;
  Duration interval = std::chrono::seconds(1);  // between the starts of two runs
  Duration timeout{};                           // 0: as long as the interval
  int fall = 1;                                 // failures in a row that make it failed
  int rise = 1;                                 // successes in a row that make it good
  // -253 to 253, what track_script takes when it names none. 0: a failure is a fault of the
  // instance; above: added while good; below: added (that is, taken off) while failed.
  int weight = 0;
  bool weight_reverse = false;
  bool init_fail = false;  // failed until it was seen good; otherwise good until seen failed
  Place place;
};

// An entry of track_script or track_interface; the weight's default is already applied.
struct Track {
  std::string name;  // of a vrrp_script in Config::scripts, or of an interface
  int weight = 0;    // -254 to 254; as VrrpScript::weight
  bool reverse = false;
  Place place;
};

enum class InitialState : std::uint8_t { kBackup, kMaster };

enum class AuthType : std::uint8_t { kNone, kPass };
struct Authentication {
  AuthType type = AuthType::kNone;
  std::string password;  // at most kAuthDataSize bytes: what the packet carries
};

// linux/rtnetlink.h, RT_SCOPE_*.
enum class AddressScope : std::uint8_t { kGlobal = 0, kSite = 200, kLink = 253, kHost = 254 };

// A line of virtual_ipaddress or virtual_ipaddress_excluded.
struct VirtualAddress {
  SocketAddress address;  // IPv4 or IPv6, port 0
  int prefix_length = 32;
  std::string device;  // "dev", else the instance's interface; never empty
  std::string label;   // IFA_LABEL; may be empty
  AddressScope scope = AddressScope::kGlobal;
  std::optional<SocketAddress> broadcast;  // "brd ADDRESS"
  bool broadcast_computed = false;         // "brd +": all host bits set
  std::optional<SocketAddress> peer;       // "peer ADDRESS": point to point
  bool no_track = false;  // removed by hand, it stays removed and is no fault (our reading of it)
  bool nodad = false;     // IPv6: IFA_F_NODAD; keepalived sets it for every IPv6 address
  // IPv6: "preferred_lft 0", and what has a length of 128 unless "preferred_lft forever".
  bool deprecated = false;
  bool home = false;           // IFA_F_HOMEADDRESS
  bool noprefixroute = false;  // IFA_F_NOPREFIXROUTE
  Place place;
};

// linux/rtnetlink.h, RTN_*: what becomes of a packet to the destination.
enum class RouteType : std::uint8_t {
  kUnicast = 1,
  kBlackhole = 6,
  kUnreachable = 7,
  kProhibit = 8,
  kThrow = 9,
};

// RTPROT_KEEPALIVED: by which "ip route" shows who made a route or rule.
inline constexpr std::uint8_t kRoutingProtocol = 18;
inline constexpr std::uint32_t kTableMain = 254;

// A line of virtual_routes. What is not said is left to the kernel, as keepalived leaves it.
struct VirtualRoute {
  RouteType type = RouteType::kUnicast;
  SocketAddress destination;  // its family is the route's
  int prefix_length = 0;
  std::optional<SocketAddress> gateway;  // "via"
  std::optional<SocketAddress> source;   // "src": preferred
  std::string device;                    // "dev"; empty: the kernel finds it by the gateway
  std::uint32_t table = kTableMain;
  std::optional<std::uint8_t> scope, protocol, type_of_service;
  std::optional<std::uint32_t> metric, mtu, advertised_mss, hop_limit;
  bool onlink = false;
  bool no_track = false;  // taken away by others, it stays away until the next promotion
  Place place;
};

// linux/fib_rules.h, FR_ACT_*.
enum class RuleAction : std::uint8_t {
  kTable = 1,
  kBlackhole = 6,
  kUnreachable = 7,
  kProhibit = 8
};

// A line of virtual_rules.
struct VirtualRule {
  struct Prefix {
    SocketAddress address;
    int length = 0;
  };
  SocketAddress::Family family = SocketAddress::Family::kIpv4;
  bool inverted = false;           // "not"
  std::optional<Prefix> from, to;  // none: any
  std::string from_interface, to_interface;
  std::optional<std::uint32_t> mark, mark_mask;
  std::uint8_t type_of_service = 0;
  RuleAction action = RuleAction::kTable;
  std::uint32_t table = 0;     // of kTable
  std::uint32_t priority = 0;  // said, or counted down from 16384 for each family
  bool no_track = false;
  Place place;
};

// As keepalived's JSON shows them.
std::string text_of(const VirtualRoute& route);
std::string text_of(const VirtualRule& rule);

// Gratuitous ARP and unsolicited neighbour advertisements, from the instance or the global section.
struct Announcements {
  Duration master_delay =
      std::chrono::seconds(5);  // second round this long after the first; 0: none
  int master_repeat = 5;        // in a round, for each address
  Duration master_refresh{};    // 0: never again after the second round
  int master_refresh_repeat = 1;
  // After a lower priority's advertisement was heard; both default to those of the promotion.
  Duration lower_priority_delay = std::chrono::seconds(5);
  int lower_priority_repeat = 5;
};

// Gaps between two announcements. 0: none.
struct AnnouncementGaps {
  Duration arp{}, neighbour{};  // gratuitous ARP, unsolicited neighbour advertisement
};

// "garp_group { ... }": interfaces whose announcements wait for one another.
struct AnnouncementGroup {
  std::vector<std::string> interfaces;
  AnnouncementGaps gaps;
};

// notify_*. Each is run with its words alone, except `any`, which gets the usual three or four
// behind them: INSTANCE|GROUP, the name, the state, the priority.
struct Notifications {
  Command master, backup, fault, stop, deleted, master_rx_lower_priority, any;
};

// "vrrp_instance NAME { ... }".
struct VrrpInstance {
  std::string name;
  InitialState initial_state = InitialState::kBackup;
  std::string interface;                          // not checked to exist: the parser knows no world
  int virtual_router_id = 0;                      // 1 to 255
  int priority = kPriorityDefault;                // 1 to 255; 255 owns the address
  Duration advert_int = std::chrono::seconds(1);  // v2: whole seconds to 255; v3: to 40.95 s
  int version = kVersionDefault;                  // 2 or 3
  bool ipv6 = false;                              // adverts by IPv6; v3 only
  bool nopreempt = false;
  Duration preempt_delay{};       // 0 to 1000 s
  int down_timer_adverts = 3;     // adverts missed before a master is taken for dead, 1 to 100
  Authentication authentication;  // v2 only
  // The first address is kept first: keepalived puts them into the packet in this order.
  std::vector<VirtualAddress> addresses;
  std::vector<VirtualAddress> excluded_addresses;  // set like the others, not in the packet
  std::vector<VirtualRoute> routes;                // set after the addresses
  std::vector<VirtualRule> rules;                  // set after the routes
  std::optional<SocketAddress> unicast_src;        // "unicast_src_ip", port 0
  std::vector<SocketAddress> unicast_peers;        // none: multicast
  std::optional<SocketAddress> multicast_src;      // "mcast_src_ip", port 0
  bool check_unicast_src = false;  // drop what does not come from a peer in the list
  std::vector<Track> track_scripts;
  std::vector<Track> track_interfaces;  // the instance's own interface is tracked besides
  bool dont_track_primary = false;
  Announcements announcements;
  bool accept = true;  // packets to the address are accepted though it is not the owner's
  bool strict = false;
  bool lower_priority_no_advert = false;     // no advert at once when a lower priority was heard
  bool higher_priority_send_advert = false;  // one more advert when a higher priority was heard
  bool skip_check_adv_addr = false;  // addresses in adverts of the same master are checked once
  Notifications notifications;
  bool debug = false;
  std::string group;  // the vrrp_sync_group that it is in; empty: it moves alone
  Place place;
};

// "vrrp_sync_group NAME { group { ... } ... }": instances that are master or backup together.
struct SyncGroup {
  std::string name;
  std::vector<std::string> instances;  // names in Config::instances
  std::vector<Track> track_scripts;
  std::vector<Track> track_interfaces;
  bool tracking_weight = false;  // "sync_group_tracking_weight": weights other than 0 allowed
  Notifications notifications;
  Place place;
};

struct GlobalDefs {
  std::string router_id;    // empty: the host's name
  std::string script_user;  // empty: keepalived_script if there is such a user, else root
  std::string script_group;
  bool enable_script_security = false;
  int vrrp_version = kVersionDefault;
  bool strict = false;
  // 224.0.0.18 and ff02::12 unless told otherwise.
  SocketAddress multicast_group4, multicast_group6;
  Duration startup_delay{};
  AnnouncementGaps announcement_gaps;  // of each interface that is in no group
  std::vector<AnnouncementGroup> announcement_groups;
  std::optional<int> process_priority;  // nice value
  std::optional<int> rt_priority;       // SCHED_RR
  bool process_no_swap = false;
};

// A whole configuration. Order is that of the text.
struct Config {
  GlobalDefs global;
  std::vector<VrrpScript> scripts;
  std::vector<VrrpInstance> instances;
  std::vector<SyncGroup> sync_groups;
};

// Whether anything in it runs another program.
bool runs_scripts(const Config& config);

// What is set as its broadcast address, computed where the text says so; nothing: none.
std::optional<SocketAddress> broadcast_of(const VirtualAddress& address);

std::string_view name_of(InitialState state);
std::string_view name_of(AuthType type);
std::string_view name_of(AddressScope scope);
std::string_view name_of(RouteType type);
std::string_view name_of(RuleAction action);

}  // namespace nines::vrrp

// rtnetlink over libmnl: one buffer a request, attributes put by hand, the extended acknowledgement
// read back so that the kernel's own words reach the operator.
#include "io/linux/netlink.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/check.h"

namespace nines::io {
namespace {

// A request is a header and a handful of attributes; a dump comes in parts of at most 32 KiB.
constexpr std::size_t kRequestSize = 1024;
constexpr std::size_t kReplySize = 32768;
// A kernel that does not answer at all is a bug somewhere; better an error than a hang.
constexpr timeval kAnswerTimeout{.tv_sec = 5, .tv_usec = 0};
// Between two reads of a monitor a thousand addresses may come; beyond that it says kLost.
constexpr int kMonitorBuffer = 1 << 20;

Result<int> open_route_socket(int extra_flags, std::uint32_t groups) {
  const int descriptor = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | extra_flags, NETLINK_ROUTE);
  if (descriptor < 0) return Error::from_errno(errno, "netlink socket");
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  local.nl_groups = groups;
  if (::bind(descriptor, reinterpret_cast<sockaddr*>(&local), sizeof local) != 0) {
    const int error = errno;
    ::close(descriptor);
    return Error::from_errno(error, "netlink bind");
  }
  return descriptor;
}

// libmnl's own macro for this is not C++.
template <typename Visit>
void for_each_attribute(const nlmsghdr* header, std::size_t offset, Visit visit) {
  auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, offset));
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
  while (mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
    visit(attribute);
    attribute = mnl_attr_next(attribute);
  }
}

// The kernel's words from an extended acknowledgement (NLMSGERR_ATTR_MSG), if it gave any.
std::string extended_message(const nlmsghdr* header, const nlmsgerr* error) {
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  std::size_t offset = sizeof(nlmsgerr);
  if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) {
    offset += mnl_nlmsg_get_payload_len(&error->msg);
  }
  std::string text;
  for_each_attribute(header, offset, [&](const nlattr* attribute) {
    if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0) {
      text = mnl_attr_get_str(attribute);
    }
  });
  return text;
}

std::optional<NetworkLink> read_link(const nlmsghdr* header) {
  if (mnl_nlmsg_get_payload_len(header) < sizeof(ifinfomsg)) return std::nullopt;
  const auto* message = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(header));
  // Bridge ports are also announced in the bridge's own family; the plain form says it all.
  if (message->ifi_family != AF_UNSPEC) return std::nullopt;
  NetworkLink link;
  link.index = message->ifi_index;
  link.up = (message->ifi_flags & IFF_UP) != 0;
  link.running = (message->ifi_flags & IFF_RUNNING) != 0;
  for_each_attribute(header, sizeof(ifinfomsg), [&](const nlattr* attribute) {
    const int type = mnl_attr_get_type(attribute);
    if (type == IFLA_IFNAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0) {
      link.name = mnl_attr_get_str(attribute);
    } else if (type == IFLA_MASTER && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0) {
      link.master = static_cast<int>(mnl_attr_get_u32(attribute));
    }
  });
  return link;
}

SocketAddress address_of(const nlattr* attribute) {
  const auto* bytes = static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute));
  if (mnl_attr_get_payload_len(attribute) == 4) {
    std::array<std::uint8_t, 4> ip{};
    std::memcpy(ip.data(), bytes, ip.size());
    return SocketAddress::ipv4(ip, 0);
  }
  if (mnl_attr_get_payload_len(attribute) == 16) {
    std::array<std::uint8_t, 16> ip{};
    std::memcpy(ip.data(), bytes, ip.size());
    return SocketAddress::ipv6(ip, 0);
  }
  return {};
}

std::optional<InterfaceAddress> read_address(const nlmsghdr* header) {
  if (mnl_nlmsg_get_payload_len(header) < sizeof(ifaddrmsg)) return std::nullopt;
  const auto* message = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(header));
  if (message->ifa_family != AF_INET && message->ifa_family != AF_INET6) return std::nullopt;
  InterfaceAddress result;
  result.link = static_cast<int>(message->ifa_index);
  result.prefix_length = message->ifa_prefixlen;
  result.flags = message->ifa_flags;
  SocketAddress local;
  for_each_attribute(header, sizeof(ifaddrmsg), [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case IFA_ADDRESS:
        result.address = address_of(attribute);
        break;
      case IFA_LOCAL:
        local = address_of(attribute);
        break;
      case IFA_FLAGS:
        if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0) {
          result.flags = mnl_attr_get_u32(attribute);
        }
        break;
      case IFA_CACHEINFO:
        if (mnl_attr_get_payload_len(attribute) >= sizeof(ifa_cacheinfo)) {
          ifa_cacheinfo info{};
          std::memcpy(&info, mnl_attr_get_payload(attribute), sizeof info);
          result.valid_lifetime = info.ifa_valid;
          result.preferred_lifetime = info.ifa_prefered;
        }
        break;
      default:
        break;
    }
  });
  // On a point-to-point link IFA_ADDRESS is the peer; IFA_LOCAL, when given, is always ours.
  if (local.is_ip()) result.address = local;
  if (!result.address.is_ip()) return std::nullopt;
  return result;
}

// As much of a route as tells it from others.
std::optional<Route> read_route(const nlmsghdr* header) {
  if (mnl_nlmsg_get_payload_len(header) < sizeof(rtmsg)) return std::nullopt;
  const auto* message = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(header));
  if (message->rtm_family != AF_INET && message->rtm_family != AF_INET6) return std::nullopt;
  if ((message->rtm_flags & RTM_F_CLONED) != 0) return std::nullopt;  // of a cache
  Route route;
  route.type = message->rtm_type;
  route.prefix_length = message->rtm_dst_len;
  route.table = message->rtm_table;
  route.destination =
      message->rtm_family == AF_INET ? SocketAddress::ipv4({}, 0) : SocketAddress::ipv6({}, 0);
  for_each_attribute(header, sizeof(rtmsg), [&](const nlattr* attribute) {
    switch (mnl_attr_get_type(attribute)) {
      case RTA_DST:
        if (const SocketAddress to = address_of(attribute); to.is_ip()) route.destination = to;
        break;
      case RTA_TABLE:
        if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0) {
          route.table = mnl_attr_get_u32(attribute);
        }
        break;
      case RTA_PRIORITY:
        if (mnl_attr_validate(attribute, MNL_TYPE_U32) == 0) {
          route.metric = mnl_attr_get_u32(attribute);
        }
        break;
      default:
        break;
    }
  });
  return route;
}

std::uint8_t kernel_family(const SocketAddress& address) {
  return address.family() == SocketAddress::Family::kIpv4 ? AF_INET : AF_INET6;
}

bool fits(const SocketAddress& address, SocketAddress::Family family, std::uint8_t length) {
  return address.family() == family && length <= address.ip_bytes().size() * 8;
}

}  // namespace

// A message under construction in a buffer of its own.
class Netlink::Request {
 public:
  Request(int type, int flags) : header_(mnl_nlmsg_put_header(buffer_.data())) {
    header_->nlmsg_type = static_cast<std::uint16_t>(type);
    header_->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  }

  template <typename T>
  T* extra() {
    return static_cast<T*>(mnl_nlmsg_put_extra_header(header_, sizeof(T)));
  }
  void put(std::uint16_t type, std::string_view bytes) {
    CHECK(mnl_attr_put_check(header_, buffer_.size(), type, bytes.size(), bytes.data()));
  }
  void put_text(std::uint16_t type, std::string_view text) {
    put(type, std::string_view(std::string(text).c_str(), text.size() + 1));
  }
  void put_u32(std::uint16_t type, std::uint32_t value) {
    put(type, {reinterpret_cast<const char*>(&value), sizeof value});
  }
  nlattr* begin_nested(std::uint16_t type) {
    nlattr* nest = mnl_attr_nest_start_check(header_, buffer_.size(), type);
    CHECK(nest != nullptr);
    return nest;
  }
  void end_nested(nlattr* nest) { mnl_attr_nest_end(header_, nest); }
  nlmsghdr* header() { return header_; }

 private:
  alignas(nlmsghdr) std::array<char, kRequestSize> buffer_{};
  nlmsghdr* header_;
};

Result<Netlink> Netlink::open() {
  const int descriptor = TRY(open_route_socket(0, 0));
  Netlink result(descriptor);
  const int on = 1;
  // Both are refinements: an older kernel without them still acknowledges.
  ::setsockopt(descriptor, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(descriptor, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  if (::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &kAnswerTimeout, sizeof kAnswerTimeout) !=
      0) {
    return Error::from_errno(errno, "netlink SO_RCVTIMEO");
  }
  return result;
}

Netlink::Netlink(Netlink&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), sequence_(other.sequence_) {}

Netlink& Netlink::operator=(Netlink&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(sequence_, other.sequence_);
  return *this;
}

Netlink::~Netlink() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

template <typename Visit>
Result<void> Netlink::exchange(Request& request, Visit visit) {
  nlmsghdr* const sent = request.header();
  sent->nlmsg_seq = ++sequence_;
  if (::send(descriptor_, sent, sent->nlmsg_len, 0) < 0) {
    return Error::from_errno(errno, "netlink send");
  }
  alignas(nlmsghdr) std::array<char, kReplySize> reply;
  while (true) {
    const ssize_t size = ::recv(descriptor_, reply.data(), reply.size(), 0);
    if (size < 0) {
      if (errno == EINTR) continue;
      return Error::from_errno(errno, "netlink receive");
    }
    int left = static_cast<int>(size);
    for (auto* header = reinterpret_cast<nlmsghdr*>(reply.data()); mnl_nlmsg_ok(header, left);
         header = mnl_nlmsg_next(header, &left)) {
      if (header->nlmsg_seq != sent->nlmsg_seq) continue;  // the rest of a call that gave up
      if ((header->nlmsg_flags & NLM_F_DUMP_INTR) != 0) {
        return Error(ErrorCode::kUnavailable, "netlink: changed while it was being listed");
      }
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type != NLMSG_ERROR) {
        visit(header);
        continue;
      }
      if (mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr)) {
        return Error(ErrorCode::kInvalid, "netlink: a short acknowledgement");
      }
      const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
      if (error->error == 0) return {};
      Error result = Error::from_errno(-error->error, "netlink");
      const std::string words = extended_message(header, error);
      if (words.empty()) return result;
      return std::move(result).with_context(words);
    }
  }
}

Result<void> Netlink::acknowledge(Request& request) {
  request.header()->nlmsg_flags |= NLM_F_ACK;
  return exchange(request, [](const nlmsghdr*) {});
}

Result<std::vector<NetworkLink>> Netlink::links() {
  Request request(RTM_GETLINK, NLM_F_DUMP);
  request.extra<ifinfomsg>();
  std::vector<NetworkLink> result;
  TRY(exchange(request, [&](const nlmsghdr* header) {
    if (header->nlmsg_type != RTM_NEWLINK) return;
    if (auto link = read_link(header)) result.push_back(*std::move(link));
  }));
  return result;
}

Result<NetworkLink> Netlink::find_link(std::string_view name) {
  for (auto& link : TRY(links())) {
    if (link.name == name) return std::move(link);
  }
  return Error(ErrorCode::kNotFound, "no network interface " + std::string(name));
}

static Result<void> check_link_name(std::string_view name) {
  if (name.empty() || name.size() >= IFNAMSIZ) {
    return Error(ErrorCode::kInvalid,
                 "interface name '" + std::string(name) + "': 1 to 15 bytes are allowed");
  }
  return {};
}

Result<void> Netlink::add_bridge(std::string_view name) {
  TRY(check_link_name(name));
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.extra<ifinfomsg>();
  request.put_text(IFLA_IFNAME, name);
  nlattr* info = request.begin_nested(IFLA_LINKINFO);
  request.put_text(IFLA_INFO_KIND, "bridge");
  request.end_nested(info);
  return acknowledge(request);
}

Result<void> Netlink::add_veth(std::string_view name, std::string_view peer, int peer_namespace) {
  TRY(check_link_name(name));
  TRY(check_link_name(peer));
  Request request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.extra<ifinfomsg>();
  request.put_text(IFLA_IFNAME, name);
  nlattr* info = request.begin_nested(IFLA_LINKINFO);
  request.put_text(IFLA_INFO_KIND, "veth");
  nlattr* data = request.begin_nested(IFLA_INFO_DATA);
  // The peer's attributes follow a link header of their own inside this one (linux/veth.h).
  nlattr* other = request.begin_nested(VETH_INFO_PEER);
  request.extra<ifinfomsg>();
  request.put_text(IFLA_IFNAME, peer);
  request.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(peer_namespace));
  request.end_nested(other);
  request.end_nested(data);
  request.end_nested(info);
  return acknowledge(request);
}

Result<void> Netlink::set_link_state(int link, LinkState state) {
  Request request(RTM_NEWLINK, 0);
  auto* message = request.extra<ifinfomsg>();
  message->ifi_index = link;
  message->ifi_change = IFF_UP;
  message->ifi_flags = state == LinkState::kUp ? IFF_UP : 0;
  return acknowledge(request);
}

Result<void> Netlink::set_link_master(int link, int master) {
  Request request(RTM_NEWLINK, 0);
  request.extra<ifinfomsg>()->ifi_index = link;
  request.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(master));
  return acknowledge(request);
}

Result<void> Netlink::delete_link(int link) {
  Request request(RTM_DELLINK, 0);
  request.extra<ifinfomsg>()->ifi_index = link;
  return acknowledge(request);
}

Result<std::vector<InterfaceAddress>> Netlink::addresses() {
  Request request(RTM_GETADDR, NLM_F_DUMP);
  request.extra<ifaddrmsg>();
  std::vector<InterfaceAddress> result;
  TRY(exchange(request, [&](const nlmsghdr* header) {
    if (header->nlmsg_type != RTM_NEWADDR) return;
    if (auto address = read_address(header)) result.push_back(*std::move(address));
  }));
  return result;
}

Result<void> Netlink::put_address(int type, int flags, const InterfaceAddress& address) {
  if (!address.address.is_ip()) return Error(ErrorCode::kInvalid, "not an IP address");
  const std::string_view bytes = address.address.ip_bytes();
  if (address.prefix_length > bytes.size() * 8) {
    return Error(ErrorCode::kInvalid, "prefix length " + std::to_string(address.prefix_length) +
                                          " is too long for " + address.address.ip_text());
  }
  Request request(type, flags);
  auto* message = request.extra<ifaddrmsg>();
  message->ifa_family = bytes.size() == 4 ? AF_INET : AF_INET6;
  message->ifa_prefixlen = address.prefix_length;
  message->ifa_index = static_cast<std::uint32_t>(address.link);
  request.put(IFA_LOCAL, bytes);
  request.put(IFA_ADDRESS, bytes);
  if (type == RTM_NEWADDR) {
    message->ifa_scope = address.scope;
    if (!address.label.empty()) {
      if (address.label.size() >= IFNAMSIZ) {
        return Error(ErrorCode::kInvalid, "the label " + address.label + " is too long");
      }
      // The kernel takes a string with its end.
      request.put(IFA_LABEL, {address.label.c_str(), address.label.size() + 1});
    }
    if (address.broadcast) request.put(IFA_BROADCAST, address.broadcast->ip_bytes());
    request.put_u32(IFA_FLAGS, address.flags & ~(IFA_F_SECONDARY | IFA_F_PERMANENT));
    if (address.valid_lifetime != InterfaceAddress::kForever ||
        address.preferred_lifetime != InterfaceAddress::kForever) {
      ifa_cacheinfo info{};
      info.ifa_valid = address.valid_lifetime;
      info.ifa_prefered = std::min(address.preferred_lifetime, address.valid_lifetime);
      request.put(IFA_CACHEINFO, {reinterpret_cast<const char*>(&info), sizeof info});
    }
  }
  return acknowledge(request);
}

Result<void> Netlink::add_address(const InterfaceAddress& address) {
  return put_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address);
}

Result<void> Netlink::replace_address(const InterfaceAddress& address) {
  return put_address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, address);
}

Result<void> Netlink::delete_address(const InterfaceAddress& address) {
  auto result = put_address(RTM_DELADDR, 0, address);
  if (!result.has_value() && result.error().error_number() == EADDRNOTAVAIL) {
    return Error(ErrorCode::kNotFound, "no address " + address.address.ip_text(), EADDRNOTAVAIL);
  }
  return result;
}

Result<void> Netlink::put_route(int type, int flags, const Route& route) {
  const SocketAddress::Family family = route.destination.family();
  const bool good = route.destination.is_ip() &&
                    fits(route.destination, family, route.prefix_length) &&
                    (!route.gateway || route.gateway->family() == family) &&
                    (!route.source || route.source->family() == family);
  if (!good) return Error(ErrorCode::kInvalid, "a route whose addresses do not fit together");
  Request request(type, flags);
  auto* message = request.extra<rtmsg>();
  message->rtm_family = kernel_family(route.destination);
  message->rtm_dst_len = route.prefix_length;
  message->rtm_tos = route.type_of_service;
  // The header's field has eight bits; the attribute counts.
  message->rtm_table = route.table <= UINT8_MAX ? static_cast<std::uint8_t>(route.table)
                                                : std::uint8_t{RT_TABLE_UNSPEC};
  message->rtm_protocol = route.protocol;
  message->rtm_scope = route.scope;
  message->rtm_type = route.type;
  if (route.onlink) message->rtm_flags |= RTNH_F_ONLINK;
  request.put_u32(RTA_TABLE, route.table);
  request.put(RTA_DST, route.destination.ip_bytes());
  if (route.gateway) request.put(RTA_GATEWAY, route.gateway->ip_bytes());
  if (route.source) request.put(RTA_PREFSRC, route.source->ip_bytes());
  if (route.link != 0) request.put_u32(RTA_OIF, static_cast<std::uint32_t>(route.link));
  if (route.metric != 0) request.put_u32(RTA_PRIORITY, route.metric);
  if (route.mtu != 0 || route.advertised_mss != 0 || route.hop_limit != 0) {
    nlattr* metrics = request.begin_nested(RTA_METRICS);
    if (route.mtu != 0) request.put_u32(RTAX_MTU, route.mtu);
    if (route.advertised_mss != 0) request.put_u32(RTAX_ADVMSS, route.advertised_mss);
    if (route.hop_limit != 0) request.put_u32(RTAX_HOPLIMIT, route.hop_limit);
    request.end_nested(metrics);
  }
  return acknowledge(request);
}

Result<void> Netlink::add_route(const Route& route) {
  return put_route(RTM_NEWROUTE, NLM_F_CREATE, route);
}

Result<void> Netlink::delete_route(const Route& route) { return put_route(RTM_DELROUTE, 0, route); }

Result<void> Netlink::put_rule(int type, int flags, const RoutingRule& rule) {
  const bool good = (!rule.from || fits(*rule.from, rule.family, rule.from_length)) &&
                    (!rule.to || fits(*rule.to, rule.family, rule.to_length)) &&
                    rule.from_interface.size() < IFNAMSIZ && rule.to_interface.size() < IFNAMSIZ;
  if (!good) return Error(ErrorCode::kInvalid, "a rule whose addresses do not fit together");
  Request request(type, flags);
  auto* message = request.extra<fib_rule_hdr>();
  message->family = rule.family == SocketAddress::Family::kIpv4 ? AF_INET : AF_INET6;
  message->tos = rule.type_of_service;
  message->action = rule.action;
  message->table = rule.table <= UINT8_MAX ? static_cast<std::uint8_t>(rule.table)
                                           : std::uint8_t{RT_TABLE_UNSPEC};
  if (rule.inverted) message->flags |= FIB_RULE_INVERT;
  if (rule.table != 0) request.put_u32(FRA_TABLE, rule.table);
  request.put_u32(FRA_PRIORITY, rule.priority);
  if (rule.from && rule.from_length > 0) {
    message->src_len = rule.from_length;
    request.put(FRA_SRC, rule.from->ip_bytes());
  }
  if (rule.to && rule.to_length > 0) {
    message->dst_len = rule.to_length;
    request.put(FRA_DST, rule.to->ip_bytes());
  }
  if (!rule.from_interface.empty()) request.put_text(FRA_IIFNAME, rule.from_interface);
  if (!rule.to_interface.empty()) request.put_text(FRA_OIFNAME, rule.to_interface);
  if (rule.mark) request.put_u32(FRA_FWMARK, *rule.mark);
  if (rule.mark_mask) request.put_u32(FRA_FWMASK, *rule.mark_mask);
  if (rule.protocol != 0) {
    request.put(FRA_PROTOCOL, {reinterpret_cast<const char*>(&rule.protocol), 1});
  }
  return acknowledge(request);
}

Result<void> Netlink::add_rule(const RoutingRule& rule) {
  return put_rule(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
}

Result<void> Netlink::delete_rule(const RoutingRule& rule) {
  return put_rule(RTM_DELRULE, 0, rule);
}

Result<NetworkMonitor> NetworkMonitor::open() {
  const int descriptor =
      TRY(open_route_socket(SOCK_NONBLOCK, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR));
  NetworkMonitor result(descriptor);
  // The limit net.core.rmem_max binds the unprivileged only.
  if (::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &kMonitorBuffer,
                   sizeof kMonitorBuffer) != 0) {
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &kMonitorBuffer, sizeof kMonitorBuffer);
  }
  return result;
}

Result<void> NetworkMonitor::hear_routing() {
  for (const int group :
       {RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE}) {
    if (::setsockopt(descriptor_, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
      return Error::from_errno(errno, "netlink membership");
    }
  }
  return {};
}

NetworkMonitor::NetworkMonitor(NetworkMonitor&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

NetworkMonitor& NetworkMonitor::operator=(NetworkMonitor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

NetworkMonitor::~NetworkMonitor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> NetworkMonitor::read(std::vector<NetworkEvent>& events) {
  alignas(nlmsghdr) std::array<char, kReplySize> buffer;
  while (true) {
    sockaddr_nl from{};
    socklen_t from_size = sizeof from;
    const ssize_t size = ::recvfrom(descriptor_, buffer.data(), buffer.size(), 0,
                                    reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return {};
      if (errno == ENOBUFS) {
        events.push_back({.kind = NetworkEvent::Kind::kLost, .link = {}, .address = {}});
        continue;
      }
      return Error::from_errno(errno, "netlink receive");
    }
    if (from.nl_pid != 0) continue;  // only the kernel is believed
    int left = static_cast<int>(size);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer.data()); mnl_nlmsg_ok(header, left);
         header = mnl_nlmsg_next(header, &left)) {
      NetworkEvent event;
      if (header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK) {
        auto link = read_link(header);
        if (!link) continue;
        event.kind = header->nlmsg_type == RTM_NEWLINK ? NetworkEvent::Kind::kLinkChanged
                                                       : NetworkEvent::Kind::kLinkRemoved;
        event.link = *std::move(link);
      } else if (header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_DELADDR) {
        auto address = read_address(header);
        if (!address) continue;
        event.kind = header->nlmsg_type == RTM_NEWADDR ? NetworkEvent::Kind::kAddressAdded
                                                       : NetworkEvent::Kind::kAddressRemoved;
        event.address = *std::move(address);
      } else if (header->nlmsg_type == RTM_DELROUTE) {
        auto route = read_route(header);
        if (!route) continue;
        event.kind = NetworkEvent::Kind::kRouteRemoved;
        event.route = *std::move(route);
      } else if (header->nlmsg_type == RTM_DELRULE) {
        event.kind = NetworkEvent::Kind::kRuleRemoved;
      } else {
        continue;
      }
      events.push_back(std::move(event));
    }
  }
}

}  // namespace nines::io

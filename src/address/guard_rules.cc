// Two tables of one shape. A map leads from each guarded address to its lease's chain; a packet
// that concerns the address jumps there, and is dropped unless the lease is open. A renewal touches
// the lease's chain and its one-element set only, however many addresses it has.
#include "address/guard_rules.h"

#include <algorithm>
#include <array>
#include <bit>
#include <set>
#include <string>
#include <utility>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_arp.h>
#include <linux/netlink.h>

#include "base/check.h"

namespace nines::address {
namespace {

using Family = SocketAddress::Family;

// Before connection tracking (-200) and whatever counts or rewrites: a packet that is dropped here
// leaves no trace there.
constexpr int kPriority = -300;

// How `nft` numbers the types that it shows (they mean nothing to the kernel).
constexpr std::uint32_t kTypeProtocolFamily = 2;
constexpr std::uint32_t kTypeIpv4 = 7;
constexpr std::uint32_t kTypeIpv6 = 8;

// Where headers have what is compared (RFC 791, 8200, 4861, 826 for Ethernet).
constexpr std::uint32_t kIpv4Source = 12, kIpv4Destination = 16;
constexpr std::uint32_t kIpv6Source = 8, kIpv6Destination = 24;
constexpr std::uint32_t kNeighborTarget = 8;
constexpr std::uint32_t kArpHardwareLength = 4, kArpOperation = 6;
constexpr std::uint32_t kArpSender = 14, kArpTarget = 24;
constexpr char kIcmpv6 = 58, kNeighborSolicitation = '\x87', kNeighborAdvertisement = '\x88';

constexpr std::string_view kOwned4 = "owned4", kOwned6 = "owned6", kOurs = "ours";

std::string name_of_table(std::uint8_t family, std::string_view table) {
  return (family == NFPROTO_ARP ? "table arp " : "table inet ") + std::string(table);
}

// One of the two tables, as it is written.
class Table {
 public:
  Table(NftBatch& batch, std::uint8_t family, std::string_view name)
      : batch_(batch), name_(name), family_(family) {}

  // A deletion needs something to delete.
  void clear() {
    create();
    begin(NFT_MSG_DELTABLE, 0, "");
    batch_.put_text(NFTA_TABLE_NAME, name_);
  }
  void create() {
    begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, "");
    batch_.put_text(NFTA_TABLE_NAME, name_);
  }

  void add_chain(std::string_view chain) { begin_chain(chain); }
  void add_base_chain(std::string_view chain, std::uint32_t hook) {
    begin_chain(chain);
    batch_.begin_nest(NFTA_CHAIN_HOOK);
    batch_.put_u32(NFTA_HOOK_HOOKNUM, hook);
    batch_.put_u32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(kPriority));
    batch_.end_nest();
    batch_.put_u32(NFTA_CHAIN_POLICY, NF_ACCEPT);
    batch_.put_text(NFTA_CHAIN_TYPE, "filter");
  }

  void add_set(std::string_view set, std::uint32_t flags, std::uint32_t key_type,
               std::uint32_t key_size) {
    begin(NFT_MSG_NEWSET, NLM_F_CREATE, (flags & NFT_SET_MAP) != 0 ? "map" : "set", set);
    batch_.put_text(NFTA_SET_TABLE, name_);
    batch_.put_text(NFTA_SET_NAME, set);
    batch_.put_u32(NFTA_SET_FLAGS, flags);
    batch_.put_u32(NFTA_SET_KEY_TYPE, key_type);
    batch_.put_u32(NFTA_SET_KEY_LEN, key_size);
    if ((flags & NFT_SET_MAP) != 0) batch_.put_u32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT);
    batch_.put_u32(NFTA_SET_ID, batch_.next_sequence());  // any number that no other set has
  }

  // element() writes each one's attributes after its key.
  template <typename Elements, typename Write>
  void add_elements(std::string_view set, const Elements& keys, Write element) {
    begin(NFT_MSG_NEWSETELEM, NLM_F_CREATE, "elements of", set);
    put_set(set);
    batch_.begin_nest(NFTA_SET_ELEM_LIST_ELEMENTS);
    for (const auto& key : keys) {
      batch_.begin_nest(NFTA_LIST_ELEM);
      batch_.begin_nest(NFTA_SET_ELEM_KEY);
      batch_.put(NFTA_DATA_VALUE, std::string_view(key));
      batch_.end_nest();
      element(key);
      batch_.end_nest();
    }
    batch_.end_nest();
  }
  // All of them, also none.
  void flush_elements(std::string_view set) {
    begin(NFT_MSG_DELSETELEM, 0, "elements of", set);
    put_set(set);
  }

  // What expression() calls write until end_rule().
  void begin_rule(std::string_view chain) {
    begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, "a rule of", chain);
    batch_.put_text(NFTA_RULE_TABLE, name_);
    batch_.put_text(NFTA_RULE_CHAIN, chain);
    batch_.begin_nest(NFTA_RULE_EXPRESSIONS);
  }
  void end_rule() { batch_.end_nest(); }
  void flush_chain(std::string_view chain) {
    begin(NFT_MSG_DELRULE, 0, "the rules of", chain);
    batch_.put_text(NFTA_RULE_TABLE, name_);
    batch_.put_text(NFTA_RULE_CHAIN, chain);
  }

  void load_meta(std::uint32_t key) {
    expression("meta", [&] {
      batch_.put_u32(NFTA_META_DREG, NFT_REG_1);
      batch_.put_u32(NFTA_META_KEY, key);
    });
  }
  void load(std::uint32_t base, std::uint32_t offset, std::uint32_t size) {
    expression("payload", [&] {
      batch_.put_u32(NFTA_PAYLOAD_DREG, NFT_REG_1);
      batch_.put_u32(NFTA_PAYLOAD_BASE, base);
      batch_.put_u32(NFTA_PAYLOAD_OFFSET, offset);
      batch_.put_u32(NFTA_PAYLOAD_LEN, size);
    });
  }
  void to_network_order(std::uint32_t size) {
    expression("byteorder", [&] {
      batch_.put_u32(NFTA_BYTEORDER_SREG, NFT_REG_1);
      batch_.put_u32(NFTA_BYTEORDER_DREG, NFT_REG_1);
      batch_.put_u32(NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
      batch_.put_u32(NFTA_BYTEORDER_LEN, size);
      batch_.put_u32(NFTA_BYTEORDER_SIZE, size);
    });
  }
  void compare(std::uint32_t operation, std::string_view value) {
    expression("cmp", [&] {
      batch_.put_u32(NFTA_CMP_SREG, NFT_REG_1);
      batch_.put_u32(NFTA_CMP_OP, operation);
      batch_.begin_nest(NFTA_CMP_DATA);
      batch_.put(NFTA_DATA_VALUE, value);
      batch_.end_nest();
    });
  }
  void unless_in(std::string_view set) {
    expression("lookup", [&] {
      batch_.put_text(NFTA_LOOKUP_SET, set);
      batch_.put_u32(NFTA_LOOKUP_SREG, NFT_REG_1);
      batch_.put_u32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    });
  }
  void go_by(std::string_view map) {
    expression("lookup", [&] {
      batch_.put_text(NFTA_LOOKUP_SET, map);
      batch_.put_u32(NFTA_LOOKUP_SREG, NFT_REG_1);
      batch_.put_u32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
    });
  }
  void decide(int verdict, std::string_view chain = {}) {
    expression("immediate", [&] {
      batch_.put_u32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
      batch_.begin_nest(NFTA_IMMEDIATE_DATA);
      put_verdict(verdict, chain);
      batch_.end_nest();
    });
  }
  void put_verdict(int code, std::string_view chain) {
    batch_.begin_nest(NFTA_DATA_VERDICT);
    batch_.put_u32(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
    if (!chain.empty()) batch_.put_text(NFTA_VERDICT_CHAIN, chain);
    batch_.end_nest();
  }

  std::uint8_t family() const { return family_; }

 private:
  void begin(int type, int flags, std::string_view kind, std::string_view name = {}) {
    std::string what;
    if (!kind.empty()) what = std::string(kind) + " " + std::string(name) + " in ";
    batch_.begin_message(type, flags, family_, what + name_of_table(family_, name_));
  }
  void begin_chain(std::string_view chain) {
    begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, "chain", chain);
    batch_.put_text(NFTA_CHAIN_TABLE, name_);
    batch_.put_text(NFTA_CHAIN_NAME, chain);
  }
  void put_set(std::string_view set) {
    batch_.put_text(NFTA_SET_ELEM_LIST_TABLE, name_);
    batch_.put_text(NFTA_SET_ELEM_LIST_SET, set);
  }
  template <typename Write>
  void expression(std::string_view name, Write write) {
    batch_.begin_nest(NFTA_LIST_ELEM);
    batch_.put_text(NFTA_EXPR_NAME, name);
    batch_.begin_nest(NFTA_EXPR_DATA);
    write();
    batch_.end_nest();
    batch_.end_nest();
  }

  NftBatch& batch_;
  std::string_view name_;
  std::uint8_t family_;
};

std::string lease_chain(std::size_t lease) { return "lease_" + std::to_string(lease); }
std::string term_chain(std::size_t lease) { return "term_" + std::to_string(lease); }
std::string lease_set(std::size_t lease) { return "open_" + std::to_string(lease); }

// The keys of a lease's set: the families whose packets come to its chain. One element for each
// opens all of the lease's addresses.
std::vector<std::string> lease_keys(std::uint8_t table_family) {
  if (table_family == NFPROTO_ARP) return {std::string(1, char{NFPROTO_ARP})};
  return {std::string(1, char{NFPROTO_IPV4}), std::string(1, char{NFPROTO_IPV6})};
}

std::string network_bytes(std::uint64_t value) {
  if constexpr (std::endian::native == std::endian::little) value = __builtin_bswap64(value);
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// Written anew each time, since a rule's constant cannot be changed.
void write_term(Table& table, std::size_t lease, const std::optional<Opening>& opening) {
  table.begin_rule(term_chain(lease));
  if (opening) {
    table.load_meta(NFT_META_TIME_NS);
    table.to_network_order(8);
    table.compare(
        NFT_CMP_GTE,
        network_bytes(static_cast<std::uint64_t>(opening->wall_end.nanoseconds_since_epoch)));
  }
  table.decide(NF_DROP);
  table.end_rule();
}

void write_lease_elements(Table& table, NftBatch& batch, std::size_t lease,
                          const Opening& opening) {
  CHECK(opening.left >= kOpeningMin && opening.left <= kOpeningMax);
  // Rounded down: a moment early is right, a moment late is not.
  const auto milliseconds = static_cast<std::uint64_t>(milliseconds_of(opening.left));
  table.add_elements(lease_set(lease), lease_keys(table.family()), [&](const std::string&) {
    batch.put_u64(NFTA_SET_ELEM_TIMEOUT, milliseconds);
  });
}

// Address -> "jump to the chain of your lease".
void write_owned(Table& table, NftBatch& batch, const std::vector<GuardRulesLease>& leases,
                 Family family) {
  const bool ipv4 = family == Family::kIpv4;
  const std::string_view map = ipv4 ? kOwned4 : kOwned6;
  table.add_set(map, NFT_SET_MAP, ipv4 ? kTypeIpv4 : kTypeIpv6, ipv4 ? 4 : 16);
  for (std::size_t lease = 0; lease < leases.size(); ++lease) {
    std::vector<std::string_view> keys;
    for (const SocketAddress& address : leases[lease].addresses) {
      if (address.family() == family) keys.push_back(address.ip_bytes());
    }
    if (keys.empty()) continue;
    table.add_elements(map, keys, [&](std::string_view) {
      batch.begin_nest(NFTA_SET_ELEM_DATA);
      table.put_verdict(NFT_JUMP, lease_chain(lease));
      batch.end_nest();
    });
  }
}

void write_leases(Table& table, NftBatch& batch, const std::vector<GuardRulesLease>& leases) {
  for (std::size_t lease = 0; lease < leases.size(); ++lease) {
    table.add_set(lease_set(lease), NFT_SET_TIMEOUT, kTypeProtocolFamily, 1);
    table.add_chain(term_chain(lease));
    write_term(table, lease, leases[lease].opening);
    const std::string chain = lease_chain(lease);
    table.add_chain(chain);
    table.begin_rule(chain);
    table.load_meta(NFT_META_NFPROTO);
    table.unless_in(lease_set(lease));
    table.decide(NF_DROP);
    table.end_rule();
    table.begin_rule(chain);
    table.decide(NFT_GOTO, term_chain(lease));
    table.end_rule();
    if (leases[lease].opening) write_lease_elements(table, batch, lease, *leases[lease].opening);
  }
}

// An IP header's address; the family first, since the other's header has something else there.
void write_ip_rule(Table& table, std::string_view chain, Family family, std::uint32_t offset) {
  const bool ipv4 = family == Family::kIpv4;
  table.begin_rule(chain);
  table.load_meta(NFT_META_NFPROTO);
  table.compare(NFT_CMP_EQ, std::string(1, ipv4 ? char{NFPROTO_IPV4} : char{NFPROTO_IPV6}));
  table.load(NFT_PAYLOAD_NETWORK_HEADER, offset, ipv4 ? 4 : 16);
  table.go_by(ipv4 ? kOwned4 : kOwned6);
  table.end_rule();
}

// Neighbour discovery names the address in its body, whoever sends it.
void write_neighbor_rule(Table& table, std::string_view chain, char type) {
  table.begin_rule(chain);
  table.load_meta(NFT_META_NFPROTO);
  table.compare(NFT_CMP_EQ, std::string(1, char{NFPROTO_IPV6}));
  table.load_meta(NFT_META_L4PROTO);
  table.compare(NFT_CMP_EQ, std::string(1, kIcmpv6));
  table.load(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);
  table.compare(NFT_CMP_EQ, std::string(1, type));
  table.load(NFT_PAYLOAD_TRANSPORT_HEADER, kNeighborTarget, 16);
  table.go_by(kOwned6);
  table.end_rule();
}

void write_inet(NftBatch& batch, const std::vector<GuardRulesLease>& leases,
                std::string_view name) {
  Table table(batch, NFPROTO_INET, name);
  table.clear();
  table.create();
  write_leases(table, batch, leases);
  write_owned(table, batch, leases, Family::kIpv4);
  write_owned(table, batch, leases, Family::kIpv6);
  // What is for the address comes in, what is from it goes out. The other two ways are those of a
  // host that talks to the owner.
  table.add_base_chain("input", NF_INET_LOCAL_IN);
  write_ip_rule(table, "input", Family::kIpv4, kIpv4Destination);
  write_ip_rule(table, "input", Family::kIpv6, kIpv6Destination);
  write_neighbor_rule(table, "input", kNeighborSolicitation);
  table.add_base_chain("output", NF_INET_LOCAL_OUT);
  write_ip_rule(table, "output", Family::kIpv4, kIpv4Source);
  write_ip_rule(table, "output", Family::kIpv6, kIpv6Source);
  write_neighbor_rule(table, "output", kNeighborAdvertisement);
}

void write_arp(NftBatch& batch, const std::vector<GuardRulesLease>& leases, std::string_view name) {
  Table table(batch, NFPROTO_ARP, name);
  table.clear();
  std::vector<std::string_view> addresses;
  for (const GuardRulesLease& lease : leases) {
    for (const SocketAddress& address : lease.addresses) {
      if (address.family() == Family::kIpv4) addresses.push_back(address.ip_bytes());
    }
  }
  if (addresses.empty()) return;
  table.create();
  write_leases(table, batch, leases);
  write_owned(table, batch, leases, Family::kIpv4);
  table.add_set(kOurs, 0, kTypeIpv4, 4);
  table.add_elements(kOurs, addresses, [](std::string_view) {});
  // Who asks for the address. Its owner's announcements ask for themselves: they must come in, or
  // this host goes on talking to the owner before.
  const std::string ethernet(1, '\x06');
  table.add_base_chain("input", NF_ARP_IN);
  table.begin_rule("input");
  table.load(NFT_PAYLOAD_NETWORK_HEADER, kArpHardwareLength, 1);
  table.compare(NFT_CMP_EQ, ethernet);
  table.load(NFT_PAYLOAD_NETWORK_HEADER, kArpOperation, 2);
  table.compare(NFT_CMP_EQ, std::string("\x00\x01", 2));
  table.load(NFT_PAYLOAD_NETWORK_HEADER, kArpSender, 4);
  table.unless_in(kOurs);
  table.load(NFT_PAYLOAD_NETWORK_HEADER, kArpTarget, 4);
  table.go_by(kOwned4);
  table.end_rule();
  // Whatever claims it: requests and replies alike name their sender.
  table.add_base_chain("output", NF_ARP_OUT);
  table.begin_rule("output");
  table.load(NFT_PAYLOAD_NETWORK_HEADER, kArpHardwareLength, 1);
  table.compare(NFT_CMP_EQ, ethernet);
  table.load(NFT_PAYLOAD_NETWORK_HEADER, kArpSender, 4);
  table.go_by(kOwned4);
  table.end_rule();
}

std::string why_unguardable(const SocketAddress& address) {
  const std::string_view ip = address.ip_bytes();
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(ip[i]); };
  if (!address.is_ip()) return "not an IP address";
  if (address.is_wildcard()) return "every host has it";
  if (ip.size() == 4) {
    if (byte(0) == 127) return "a loopback address belongs to each host";
    if (byte(0) >= 224) return "a multicast or broadcast address belongs to nobody";
    return {};
  }
  if (ip.substr(0, 15) == std::string_view("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 15) && byte(15) == 1) {
    return "a loopback address belongs to each host";
  }
  if (byte(0) == 0xff) return "a multicast address belongs to nobody";
  if (byte(0) == 0xfe && (byte(1) & 0xc0) == 0x80) {
    return "a link-local address may be another's on another link";
  }
  if (ip.substr(0, 12) == std::string_view("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12)) {
    return "its packets are IPv4: write it as IPv4";
  }
  return {};
}

}  // namespace

GuardFamilies families_of(const std::vector<SocketAddress>& addresses) {
  GuardFamilies families;
  for (const SocketAddress& address : addresses) {
    families.ipv4 |= address.family() == Family::kIpv4;
    families.ipv6 |= address.family() == Family::kIpv6;
  }
  return families;
}

Result<void> check_guardable(const std::vector<GuardRulesLease>& leases) {
  if (leases.size() > kGuardedLeasesMax) {
    return Error(ErrorCode::kExhausted, std::to_string(leases.size()) + " leases to guard: " +
                                            std::to_string(kGuardedLeasesMax) + " are allowed");
  }
  std::set<std::string_view> seen;
  for (const GuardRulesLease& lease : leases) {
    for (const SocketAddress& address : lease.addresses) {
      if (const std::string why = why_unguardable(address); !why.empty()) {
        return Error(ErrorCode::kInvalid, address.ip_text() + " cannot be guarded: " + why);
      }
      if (!seen.insert(address.ip_bytes()).second) {
        return Error(ErrorCode::kInvalid, address.ip_text() + " is to be guarded twice");
      }
    }
  }
  if (seen.size() > kGuardedAddressesMax) {
    return Error(ErrorCode::kExhausted, std::to_string(seen.size()) + " addresses to guard: " +
                                            std::to_string(kGuardedAddressesMax) + " are allowed");
  }
  return {};
}

void write_guard(NftBatch& batch, const std::vector<GuardRulesLease>& leases,
                 std::string_view table) {
  write_inet(batch, leases, table);
  write_arp(batch, leases, table);
}

void write_opening(NftBatch& batch, std::size_t lease, GuardFamilies families,
                   const std::optional<Opening>& opening, std::string_view table) {
  const auto write = [&](std::uint8_t family) {
    Table each(batch, family, table);
    each.flush_elements(lease_set(lease));
    if (opening) write_lease_elements(each, batch, lease, *opening);
    each.flush_chain(term_chain(lease));
    write_term(each, lease, opening);
  };
  write(NFPROTO_INET);
  if (families.ipv4) write(NFPROTO_ARP);
}

void write_removal(NftBatch& batch) {
  Table(batch, NFPROTO_INET, kGuardTable).clear();
  Table(batch, NFPROTO_ARP, kGuardTable).clear();
}

bool speaks_of_guard(std::string_view datagram) {
  int left = static_cast<int>(datagram.size());
  const auto* header = reinterpret_cast<const nlmsghdr*>(datagram.data());
  for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
    const int type = header->nlmsg_type;
    if (type >> 8 != NFNL_SUBSYS_NFTABLES || (type & 0xff) == NFT_MSG_NEWGEN) continue;
    if (mnl_nlmsg_get_payload_len(header) < sizeof(nfgenmsg)) continue;
    const auto* generic = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(header));
    if (generic->nfgen_family != NFPROTO_INET && generic->nfgen_family != NFPROTO_ARP) continue;
    // Tables, chains, rules, sets and elements all name their table in the same attribute.
    const auto* attribute =
        static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, sizeof(nfgenmsg)));
    const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
    while (
        mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
      if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME &&
          mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0 &&
          mnl_attr_get_str(attribute) == kGuardTable) {
        return true;
      }
      attribute = mnl_attr_next(attribute);
    }
  }
  return false;
}

}  // namespace nines::address

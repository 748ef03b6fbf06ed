// Two tables of one shape. A map leads from each guarded address to its lease's chain; a packet
// that concerns the address jumps there, and is dropped unless the lease is open. A renewal touches
// the lease's chain and its one-element set only, however many addresses it has.
#include "address/guard_rules.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_arp.h>
#include <linux/netlink.h>

#include "address/nft_table.h"
#include "base/check.h"

namespace nines::address {
namespace {

using Family = SocketAddress::Family;

// Before connection tracking (-200) and whatever counts or rewrites: a packet that is dropped here
// leaves no trace there.
constexpr int kPriority = -300;

// Where headers have what is compared (RFC 4861, 826 for Ethernet).
constexpr std::uint32_t kNeighborTarget = 8;
constexpr std::uint32_t kArpHardwareLength = 4, kArpOperation = 6;
constexpr std::uint32_t kArpSender = 14, kArpTarget = 24;
constexpr char kIcmpv6 = 58, kNeighborSolicitation = '\x87', kNeighborAdvertisement = '\x88';

constexpr std::string_view kOwned4 = "owned4", kOwned6 = "owned6", kOurs = "ours";

std::string lease_chain(std::size_t lease) { return "lease_" + std::to_string(lease); }
std::string term_chain(std::size_t lease) { return "term_" + std::to_string(lease); }
std::string lease_set(std::size_t lease) { return "open_" + std::to_string(lease); }

// The keys of a lease's set: the families whose packets come to its chain. One element for each
// opens all of the lease's addresses; one more than is needed makes the kernel's table grow with
// each renewal and shrink after it.
std::vector<std::string> lease_keys(std::uint8_t table_family, GuardFamilies families) {
  if (table_family == NFPROTO_ARP) return {std::string(1, char{NFPROTO_ARP})};
  std::vector<std::string> keys;
  if (families.ipv4) keys.emplace_back(1, char{NFPROTO_IPV4});
  if (families.ipv6) keys.emplace_back(1, char{NFPROTO_IPV6});
  return keys;
}

// As the kernel counts them; rounded down: a moment early is right, a moment late is not.
std::uint64_t left_value(const Opening& opening) {
  CHECK(opening.left >= kOpeningMin && opening.left <= kOpeningMax);
  return static_cast<std::uint64_t>(milliseconds_of(opening.left));
}
std::uint64_t wall_end_value(const Opening& opening) {
  return static_cast<std::uint64_t>(opening.wall_end.nanoseconds_since_epoch);
}

// Written anew each time, since a rule's constant cannot be changed.
void write_term(NftTable& table, std::size_t lease, const std::optional<Opening>& opening,
                OpeningPlaces& places) {
  table.begin_rule(term_chain(lease));
  if (opening) {
    table.load_meta(NFT_META_TIME_NS);
    table.to_network_order(8);
    places.wall_end.push_back(table.compare_u64(NFT_CMP_GTE, wall_end_value(*opening)));
  }
  table.decide(NF_DROP);
  table.end_rule();
}

void write_lease_elements(NftTable& table, NftBatch& batch, std::size_t lease,
                          GuardFamilies families, const Opening& opening, OpeningPlaces& places) {
  table.add_elements(
      lease_set(lease), lease_keys(table.family(), families), [&](const std::string&) {
        places.left.push_back(batch.put_u64(NFTA_SET_ELEM_TIMEOUT, left_value(opening)));
      });
}

// Address -> "jump to the chain of your lease".
void write_owned(NftTable& table, NftBatch& batch, const std::vector<GuardRulesLease>& leases,
                 Family family) {
  const bool ipv4 = family == Family::kIpv4;
  const std::string_view map = ipv4 ? kOwned4 : kOwned6;
  table.add_set(map, NFT_SET_MAP, ipv4 ? kNftTypeIpv4 : kNftTypeIpv6, ipv4 ? 4 : 16);
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

void write_leases(NftTable& table, NftBatch& batch, const std::vector<GuardRulesLease>& leases) {
  OpeningPlaces places;  // of a batch that is sent once
  for (std::size_t lease = 0; lease < leases.size(); ++lease) {
    if (const auto& program = leases[lease].program; program && table.family() != NFPROTO_ARP) {
      table.add_chain(lease_chain(lease));
      table.begin_rule(lease_chain(lease));
      table.if_program(*program);
      table.decide(NF_DROP);
      table.end_rule("when the lease has ended");
      continue;
    }
    table.add_set(lease_set(lease), NFT_SET_TIMEOUT, kNftTypeProtocolFamily, 1);
    table.add_chain(term_chain(lease));
    write_term(table, lease, leases[lease].opening, places);
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
    const GuardFamilies families = families_of(leases[lease].addresses);
    if (leases[lease].opening && (families.ipv4 || families.ipv6)) {
      write_lease_elements(table, batch, lease, families, *leases[lease].opening, places);
    }
  }
}

// An IP header's address; the family first, since the other's header has something else there.
void write_ip_rule(NftTable& table, std::string_view chain, Family family, std::uint32_t offset) {
  const bool ipv4 = family == Family::kIpv4;
  table.begin_rule(chain);
  table.load_meta(NFT_META_NFPROTO);
  table.compare(NFT_CMP_EQ, std::string(1, ipv4 ? char{NFPROTO_IPV4} : char{NFPROTO_IPV6}));
  table.load(NFT_PAYLOAD_NETWORK_HEADER, offset, ipv4 ? 4 : 16);
  table.go_by(ipv4 ? kOwned4 : kOwned6);
  table.end_rule();
}

// Neighbour discovery names the address in its body, whoever sends it.
void write_neighbor_rule(NftTable& table, std::string_view chain, char type) {
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
  NftTable table(batch, NFPROTO_INET, name);
  table.clear();
  table.create();
  write_leases(table, batch, leases);
  write_owned(table, batch, leases, Family::kIpv4);
  write_owned(table, batch, leases, Family::kIpv6);
  // What is for the address comes in, what is from it goes out. The other two ways are those of a
  // host that talks to the owner.
  table.add_base_chain("input", NF_INET_LOCAL_IN, kPriority);
  write_ip_rule(table, "input", Family::kIpv4, kIpv4Destination);
  write_ip_rule(table, "input", Family::kIpv6, kIpv6Destination);
  write_neighbor_rule(table, "input", kNeighborSolicitation);
  table.add_base_chain("output", NF_INET_LOCAL_OUT, kPriority);
  write_ip_rule(table, "output", Family::kIpv4, kIpv4Source);
  write_ip_rule(table, "output", Family::kIpv6, kIpv6Source);
  write_neighbor_rule(table, "output", kNeighborAdvertisement);
}

void write_arp(NftBatch& batch, const std::vector<GuardRulesLease>& leases, std::string_view name) {
  NftTable table(batch, NFPROTO_ARP, name);
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
  table.add_set(kOurs, 0, kNftTypeIpv4, 4);
  table.add_elements(kOurs, addresses, [](std::string_view) {});
  // Who asks for the address. Its owner's announcements ask for themselves: they must come in, or
  // this host goes on talking to the owner before.
  const std::string ethernet(1, '\x06');
  table.add_base_chain("input", NF_ARP_IN, kPriority);
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
  table.add_base_chain("output", NF_ARP_OUT, kPriority);
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

void write_program_rehearsal(NftBatch& batch, int program, std::string_view table) {
  NftTable ipv4(batch, NFPROTO_IPV4, table);
  ipv4.create();
  ipv4.add_chain("lease");
  ipv4.begin_rule("lease");
  ipv4.if_program(program);
  ipv4.end_rule();
}

OpeningPlaces write_opening(NftBatch& batch, OpeningTables tables, std::size_t lease,
                            GuardFamilies families, const std::optional<Opening>& opening,
                            std::string_view table) {
  OpeningPlaces places;
  const auto write = [&](std::uint8_t family) {
    NftTable each(batch, family, table);
    each.flush_elements(lease_set(lease));
    if (opening && (families.ipv4 || families.ipv6)) {
      write_lease_elements(each, batch, lease, families, *opening, places);
    }
    each.flush_chain(term_chain(lease));
    write_term(each, lease, opening, places);
  };
  if (tables == OpeningTables::kBoth) write(NFPROTO_INET);
  if (families.ipv4) write(NFPROTO_ARP);
  return places;
}

void replace_opening(NftBatch& batch, const OpeningPlaces& places, const Opening& opening) {
  for (const std::size_t at : places.left) batch.replace_u64(at, left_value(opening));
  for (const std::size_t at : places.wall_end) batch.replace_u64(at, wall_end_value(opening));
}

void write_removal(NftBatch& batch) {
  NftTable(batch, NFPROTO_INET, kGuardTable).clear();
  NftTable(batch, NFPROTO_ARP, kGuardTable).clear();
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

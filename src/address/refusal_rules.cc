// Only the first packet of a connection is looked at, and only on its way out of this host: what is
// there already is destroyed, not refused.
#include "address/refusal_rules.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include <linux/netfilter.h>
#include <netinet/tcp.h>

#include "address/nft_table.h"
#include "base/check.h"

namespace nines::address {
namespace {

using Family = SocketAddress::Family;

// After connection tracking (-200), so that the reset belongs to the connection and a firewall that
// lets in what is related does so; after the translation of addresses (-100), so that what is
// compared is where the packet really goes; before the firewall's own rules (0).
constexpr int kPriority = -10;

constexpr std::string_view kDead4 = "dead4", kDead6 = "dead6";
constexpr char kTcp = 6;
constexpr std::uint32_t kTcpDestinationPort = 2, kTcpFlags = 13;
constexpr char kFlagsAsked = TH_FIN | TH_SYN | TH_RST | TH_ACK;

std::string port_bytes(std::uint16_t port) {
  // A concatenation's parts are padded to four bytes.
  return {static_cast<char>(port >> 8), static_cast<char>(port & 0xff), '\0', '\0'};
}

void write_rule(NftTable& table, Family family) {
  const bool ipv4 = family == Family::kIpv4;
  table.begin_rule("output");
  table.load_meta(NFT_META_NFPROTO);
  table.compare(NFT_CMP_EQ, std::string(1, ipv4 ? char{NFPROTO_IPV4} : char{NFPROTO_IPV6}));
  table.load_meta(NFT_META_L4PROTO);
  table.compare(NFT_CMP_EQ, std::string(1, kTcp));
  table.load(NFT_PAYLOAD_TRANSPORT_HEADER, kTcpFlags, 1);
  table.mask(std::string(1, kFlagsAsked));
  table.compare(NFT_CMP_EQ, std::string(1, char{TH_SYN}));
  table.load(NFT_PAYLOAD_NETWORK_HEADER, ipv4 ? kIpv4Destination : kIpv6Destination, ipv4 ? 4 : 16,
             NFT_REG32_00);
  table.load(NFT_PAYLOAD_TRANSPORT_HEADER, kTcpDestinationPort, 2,
             ipv4 ? NFT_REG32_01 : NFT_REG32_04);
  table.if_in(ipv4 ? kDead4 : kDead6, NFT_REG32_00);
  table.count();
  table.reject_with_reset();
  table.end_rule();
}

std::string why_unrefusable(const SocketAddress& address) {
  const std::string_view ip = address.ip_bytes();
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(ip[i]); };
  if (!address.is_ip()) return "not an IP address";
  if (address.is_wildcard()) return "every host has it";
  if (ip.size() == 4) {
    if (byte(0) == 127) return "a loopback address belongs to each host";
    if (byte(0) >= 224) return "a multicast or broadcast address belongs to nobody";
    return {};
  }
  if (address.ip_text() == "::1") return "a loopback address belongs to each host";
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

Result<void> check_refusable(const std::vector<SocketAddress>& addresses) {
  if (addresses.size() > kRefusedAddressesMax) {
    return Error(ErrorCode::kExhausted, std::to_string(addresses.size()) +
                                            " addresses of a host: " +
                                            std::to_string(kRefusedAddressesMax) + " are allowed");
  }
  for (const SocketAddress& address : addresses) {
    if (const std::string why = why_unrefusable(address); !why.empty()) {
      return Error(ErrorCode::kInvalid, address.ip_text() + " is no host's address: " + why);
    }
  }
  return {};
}

Result<void> check_refusable_ports(const std::vector<std::uint16_t>& ports) {
  if (ports.size() > kRefusedPortsMax) {
    return Error(ErrorCode::kExhausted, std::to_string(ports.size()) + " ports: " +
                                            std::to_string(kRefusedPortsMax) + " are allowed");
  }
  for (const std::uint16_t port : ports) {
    if (port == 0) return Error(ErrorCode::kInvalid, "0 is no port");
    if (std::find(std::begin(kNeverRefused), std::end(kNeverRefused), port) !=
        std::end(kNeverRefused)) {
      return Error(ErrorCode::kInvalid, "port " + std::to_string(port) +
                                            " is never refused: it is the way in for whoever "
                                            "mends the host, or nines' own");
    }
  }
  return {};
}

void write_refusal_table(NftBatch& batch, std::string_view name) {
  NftTable table(batch, NFPROTO_INET, name);
  table.create(NFT_TABLE_F_OWNER);
  table.add_set(kDead4, NFT_SET_TIMEOUT, concatenated(kNftTypeIpv4, kNftTypePort), 8);
  table.add_set(kDead6, NFT_SET_TIMEOUT, concatenated(kNftTypeIpv6, kNftTypePort), 20);
  table.add_base_chain("output", NF_INET_LOCAL_OUT, kPriority);
  write_rule(table, Family::kIpv4);
  write_rule(table, Family::kIpv6);
}

void write_refusals(NftBatch& batch, const std::vector<RefusalRulesHost>& hosts,
                    const std::vector<std::uint16_t>& ports, std::string_view name) {
  NftTable table(batch, NFPROTO_INET, name);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const std::string_view set = family == Family::kIpv4 ? kDead4 : kDead6;
    table.flush_elements(set);
    for (const RefusalRulesHost& host : hosts) {
      CHECK(host.left >= kRefusalLeast);
      std::set<std::string> keys;
      for (const SocketAddress& address : host.addresses) {
        if (address.family() != family) continue;
        for (const std::uint16_t port : ports) {
          keys.insert(std::string(address.ip_bytes()) + port_bytes(port));
        }
      }
      if (keys.empty()) continue;
      table.add_elements(set, keys, [&](const std::string&) {
        batch.put_u64(NFTA_SET_ELEM_TIMEOUT,
                      static_cast<std::uint64_t>(milliseconds_of(host.left)));
      });
    }
  }
}

void write_refusal_removal(NftBatch& batch) {
  NftTable(batch, NFPROTO_INET, kRefusalTable).remove();
}

}  // namespace nines::address

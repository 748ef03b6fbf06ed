// What a lease's opening writes, decoded back to text; which addresses are refused; which events
// are about us. What the rules do is guard_test.cc's.
#include "address/guard_rules.h"

#include <cstdio>
#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

namespace nines::address {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

SocketAddress ip(const char* text) { return *SocketAddress::parse_ip(text, 0); }

// An attribute as "TYPE=bytes", a nest as "TYPE(...)"; text as it is, other bytes in hex.
std::string decode(const nlattr* attribute) {
  const auto* bytes = static_cast<const char*>(mnl_attr_get_payload(attribute));
  const std::size_t size = mnl_attr_get_payload_len(attribute);
  std::string text = std::to_string(mnl_attr_get_type(attribute));
  if ((attribute->nla_type & NLA_F_NESTED) != 0) {
    text += "(";
    const auto* inner = static_cast<const nlattr*>(mnl_attr_get_payload(attribute));
    while (
        mnl_attr_ok(inner, static_cast<int>(bytes + size - reinterpret_cast<const char*>(inner)))) {
      if (text.back() != '(') text += " ";
      text += decode(inner);
      inner = mnl_attr_next(inner);
    }
    return text + ")";
  }
  text += "=";
  if (size > 1 && bytes[size - 1] == '\0' && bytes[0] >= 'a') return text + bytes;
  for (std::size_t i = 0; i < size; ++i) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(bytes[i]));
    text += two;
  }
  return text;
}

// A line for each message between begin and end: family, type, attributes.
std::string decode(std::string_view bytes) {
  std::string text;
  int left = static_cast<int>(bytes.size());
  const auto* header = reinterpret_cast<const nlmsghdr*>(bytes.data());
  for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
    if (header->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES) continue;
    const auto* generic = static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(header));
    text += generic->nfgen_family == NFPROTO_INET ? "inet " : "arp ";
    text += std::to_string(header->nlmsg_type & 0xff);
    const auto* attribute =
        static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, sizeof(nfgenmsg)));
    const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
    while (
        mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
      text += " " + decode(attribute);
      attribute = mnl_attr_next(attribute);
    }
    text += "\n";
  }
  return text;
}

std::string opening(GuardFamilies families, const std::optional<Opening>& how) {
  NftBatch batch(1);
  write_opening(batch, OpeningTables::kBoth, 3, families, how);
  batch.finish(NftBatch::Ending::kCommit);
  return decode(batch.bytes());
}

// Messages: 14 deletes elements, 12 adds them, 8 deletes rules, 6 adds one.
constexpr const char* kArpShut =
    "arp 14 1=nines 2=open_3\n"
    "arp 8 1=nines 2=term_3\n"
    "arp 6 1=nines 2=term_3 4(1(1=immediate 2(1=00000000 2(2(1=00000000)))))\n";

TEST(GuardRules, ShuttingEmptiesTheSetAndLeavesABareDrop) {
  EXPECT_EQ(opening({.ipv4 = true}, std::nullopt),
            "inet 14 1=nines 2=open_3\n"
            "inet 8 1=nines 2=term_3\n"
            "inet 6 1=nines 2=term_3 4(1(1=immediate 2(1=00000000 2(2(1=00000000)))))\n" +
                std::string(kArpShut));
}

TEST(GuardRules, OnlyFamiliesThatTheLeaseHasAreOpened) {
  const Opening how{.left = Duration(50'000'000), .wall_end = WallTime{1}};
  const std::string ipv4 = " 3(1(1(1=02) 4=0000000000000032))\n";
  const std::string ipv6 = " 3(1(1(1=0a) 4=0000000000000032))\n";
  const std::string arp = "arp 12 1=nines 2=open_3 3(1(1(1=03) 4=0000000000000032))\n";
  EXPECT_THAT(opening({.ipv4 = true}, how), HasSubstr("inet 12 1=nines 2=open_3" + ipv4));
  EXPECT_THAT(opening({.ipv4 = true}, how), HasSubstr(arp));
  EXPECT_THAT(opening({.ipv6 = true}, how), HasSubstr("inet 12 1=nines 2=open_3" + ipv6));
  EXPECT_THAT(opening({.ipv6 = true}, how), Not(HasSubstr("arp")));
  EXPECT_THAT(opening({}, how), Not(HasSubstr("inet 12")));
}

TEST(GuardRules, WithProgramsTheArpTableAloneIsOpened) {
  NftBatch batch(1);
  write_opening(batch, OpeningTables::kArp, 3, {.ipv4 = true, .ipv6 = true}, std::nullopt);
  batch.finish(NftBatch::Ending::kCommit);
  EXPECT_EQ(decode(batch.bytes()), kArpShut);
}

TEST(GuardRules, OpeningSaysTheTimeoutInMillisecondsAndTheWallClocksEnd) {
  // 123.9 ms become 123, 0x7b. The rule: time, in network order, >= the end: drop.
  const Opening how{.left = Duration(123'900'000), .wall_end = WallTime{0x0102030405060708}};
  EXPECT_THAT(opening({.ipv4 = true, .ipv6 = true}, how),
              StartsWith("inet 14 1=nines 2=open_3\n"
                         "inet 12 1=nines 2=open_3 3(1(1(1=02) 4=000000000000007b) 1(1(1=0a) "
                         "4=000000000000007b))\n"
                         "inet 8 1=nines 2=term_3\n"
                         "inet 6 1=nines 2=term_3 4(1(1=meta 2(1=00000001 2=0000001e))"
                         " 1(1=byteorder 2(1=00000001 2=00000001 3=00000001 4=00000008 5=00000008))"
                         " 1(1=cmp 2(1=00000001 2=00000005 3(1=0102030405060708)))"
                         " 1(1=immediate 2(1=00000000 2(2(1=00000000)))))\n"));
}

TEST(GuardRules, ARenewalOfWhatWasSentIsWhatWouldBeWrittenAnew) {
  const Opening before{.left = Duration(88'000'000), .wall_end = WallTime{0x1111111111111111}};
  const Opening after{.left = Duration(57'900'000), .wall_end = WallTime{0x0102030405060708}};
  for (const GuardFamilies families :
       {GuardFamilies{.ipv4 = true, .ipv6 = false}, GuardFamilies{.ipv4 = false, .ipv6 = true},
        GuardFamilies{.ipv4 = true, .ipv6 = true}, GuardFamilies{}}) {
    NftBatch sent(1);
    const OpeningPlaces places = write_opening(sent, OpeningTables::kBoth, 3, families, before);
    sent.finish(NftBatch::Ending::kCommit);
    const std::uint32_t next = 0xfffffffd;  // numbers begin again within it
    replace_opening(sent, places, after);
    sent.renumber(next);
    NftBatch anew(next);
    write_opening(anew, OpeningTables::kBoth, 3, families, after);
    anew.finish(NftBatch::Ending::kCommit);
    EXPECT_EQ(sent.bytes(), anew.bytes()) << families.ipv4 << families.ipv6;
    EXPECT_EQ(sent.next_sequence(), anew.next_sequence());
    EXPECT_EQ(sent.what(next + 1), anew.what(next + 1));
    EXPECT_EQ(sent.last_sequence(), anew.last_sequence());
  }
}

TEST(GuardRules, RemovalNamesOurTablesOnly) {
  NftBatch batch(1);
  write_removal(batch);
  batch.finish(NftBatch::Ending::kCommit);
  EXPECT_EQ(decode(batch.bytes()),
            "inet 0 1=nines\ninet 2 1=nines\narp 0 1=nines\narp 2 1=nines\n");
}

TEST(GuardRules, AddressesThatAreNotOneHostsAreRefused) {
  for (const char* const text :
       {"0.0.0.0", "127.0.0.1", "127.3.2.1", "224.0.0.18", "255.255.255.255", "::", "::1",
        "ff02::12", "fe80::1", "febf::1", "::ffff:10.0.0.1"}) {
    const auto checked = check_guardable({{.addresses = {ip(text)}, .opening = {}}});
    ASSERT_FALSE(checked.has_value()) << text;
    EXPECT_EQ(checked.error().code(), ErrorCode::kInvalid);
    EXPECT_EQ(checked.error().message().find(ip(text).ip_text() + " cannot be guarded: "), 0u)
        << checked.error().message();
  }
  EXPECT_FALSE(check_guardable({{.addresses = {SocketAddress::unix_path("/a")}, .opening = {}}})
                   .has_value());
  for (const char* const text : {"10.0.0.1", "169.254.0.1", "126.255.255.255", "128.0.0.1",
                                 "2001:db8::1", "fd00::1", "fec0::1", "::2", "::1.2.3.4"}) {
    EXPECT_TRUE(check_guardable({{.addresses = {ip(text)}, .opening = {}}}).has_value()) << text;
  }
}

TEST(GuardRules, AddressBelongsToOneLeaseWhateverItsPort) {
  const auto twice = check_guardable(
      {{.addresses = {ip("10.0.0.1")}, .opening = {}},
       {.addresses = {ip("10.0.0.2"), ip("10.0.0.1").with_port(80)}, .opening = {}}});
  ASSERT_FALSE(twice.has_value());
  EXPECT_EQ(twice.error().message(), "10.0.0.1 is to be guarded twice");
}

TEST(GuardRules, LimitsAreNamed) {
  EXPECT_EQ(check_guardable(std::vector<GuardRulesLease>(65)).error().message(),
            "65 leases to guard: 64 are allowed");
  GuardRulesLease lease;
  for (int i = 0; i <= 1000; ++i) {
    lease.addresses.push_back(SocketAddress::ipv4(
        {10, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)}, 0));
  }
  EXPECT_EQ(check_guardable({lease}).error().message(),
            "1001 addresses to guard: 1000 are allowed");
}

std::string event(int type, std::uint8_t family, const char* table) {
  NftBatch batch(1);
  batch.begin_message(type, 0, family, "event");
  batch.put_u32(9, 1);
  batch.put_text(NFTA_TABLE_NAME, table);
  batch.finish(NftBatch::Ending::kDryRun);
  return std::string(batch.bytes().substr(20));
}

TEST(GuardRules, EventsAboutOurTablesAreKnownAmongOthers) {
  const std::string other = event(NFT_MSG_DELTABLE, NFPROTO_INET, "filter");
  for (const int type : {NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE, NFT_MSG_DELCHAIN, NFT_MSG_NEWRULE,
                         NFT_MSG_DELRULE, NFT_MSG_DELSET, NFT_MSG_NEWSETELEM}) {
    EXPECT_TRUE(speaks_of_guard(other + event(type, NFPROTO_INET, "nines") + other)) << type;
    EXPECT_TRUE(speaks_of_guard(event(type, NFPROTO_ARP, "nines"))) << type;
    EXPECT_FALSE(speaks_of_guard(event(type, NFPROTO_IPV4, "nines"))) << type;
    EXPECT_FALSE(speaks_of_guard(event(type, NFPROTO_INET, "nines2"))) << type;
    EXPECT_FALSE(speaks_of_guard(event(type, NFPROTO_INET, "nine"))) << type;
  }
  EXPECT_FALSE(speaks_of_guard(other));
  EXPECT_FALSE(speaks_of_guard({}));
  EXPECT_FALSE(speaks_of_guard(event(NFT_MSG_NEWGEN, NFPROTO_INET, "nines")));
  // Cut anywhere, it is no event, and nothing beyond it is read.
  const std::string whole = event(NFT_MSG_DELTABLE, NFPROTO_INET, "nines");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::vector<char> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    EXPECT_FALSE(speaks_of_guard({part.data(), part.size()}));
  }
}

}  // namespace
}  // namespace nines::address

// Attributes by linux/netfilter/nf_tables.h; each message says for people what it is about.
#include "address/nft_table.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_bpf.h>
#include <linux/netlink.h>

#include "base/check.h"

namespace nines::address {
namespace {

std::string name_of_table(std::uint8_t family, std::string_view table) {
  const char* const kind = family == NFPROTO_ARP    ? "table arp "
                           : family == NFPROTO_IPV4 ? "table ip "
                                                    : "table inet ";
  return kind + std::string(table);
}

}  // namespace

// A deletion needs something to delete.
void NftTable::clear() {
  create();
  remove();
}

void NftTable::remove() {
  begin(NFT_MSG_DELTABLE, 0, "");
  batch_.put_text(NFTA_TABLE_NAME, name_);
}

void NftTable::create(std::uint32_t flags) {
  begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, "");
  batch_.put_text(NFTA_TABLE_NAME, name_);
  if (flags != 0) batch_.put_u32(NFTA_TABLE_FLAGS, flags);
}

void NftTable::add_base_chain(std::string_view chain, std::uint32_t hook, int priority) {
  begin_chain(chain);
  batch_.begin_nest(NFTA_CHAIN_HOOK);
  batch_.put_u32(NFTA_HOOK_HOOKNUM, hook);
  batch_.put_u32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(priority));
  batch_.end_nest();
  batch_.put_u32(NFTA_CHAIN_POLICY, NF_ACCEPT);
  batch_.put_text(NFTA_CHAIN_TYPE, "filter");
}

void NftTable::add_set(std::string_view set, std::uint32_t flags, std::uint32_t key_type,
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

void NftTable::flush_elements(std::string_view set) {
  begin(NFT_MSG_DELSETELEM, 0, "elements of", set);
  put_set(set);
}

void NftTable::begin_rule(std::string_view chain) {
  begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, "a rule of", chain);
  batch_.put_text(NFTA_RULE_TABLE, name_);
  batch_.put_text(NFTA_RULE_CHAIN, chain);
  batch_.begin_nest(NFTA_RULE_EXPRESSIONS);
}

// As nft(8) writes it: a type, of which a comment's is 0, a length and a text that ends with a 0.
void NftTable::end_rule(std::string_view comment) {
  batch_.end_nest();
  if (comment.empty()) return;
  CHECK(comment.size() <= kCommentMax);
  std::string data{'\0', static_cast<char>(comment.size() + 1)};
  data.append(comment).push_back('\0');
  batch_.put(NFTA_RULE_USERDATA, data);
}

void NftTable::flush_chain(std::string_view chain) {
  begin(NFT_MSG_DELRULE, 0, "the rules of", chain);
  batch_.put_text(NFTA_RULE_TABLE, name_);
  batch_.put_text(NFTA_RULE_CHAIN, chain);
}

void NftTable::load_meta(std::uint32_t key) {
  expression("meta", [&] {
    batch_.put_u32(NFTA_META_DREG, NFT_REG_1);
    batch_.put_u32(NFTA_META_KEY, key);
  });
}

void NftTable::load(std::uint32_t base, std::uint32_t offset, std::uint32_t size,
                    std::uint32_t to) {
  expression("payload", [&] {
    batch_.put_u32(NFTA_PAYLOAD_DREG, to);
    batch_.put_u32(NFTA_PAYLOAD_BASE, base);
    batch_.put_u32(NFTA_PAYLOAD_OFFSET, offset);
    batch_.put_u32(NFTA_PAYLOAD_LEN, size);
  });
}

void NftTable::to_network_order(std::uint32_t size) {
  expression("byteorder", [&] {
    batch_.put_u32(NFTA_BYTEORDER_SREG, NFT_REG_1);
    batch_.put_u32(NFTA_BYTEORDER_DREG, NFT_REG_1);
    batch_.put_u32(NFTA_BYTEORDER_OP, NFT_BYTEORDER_HTON);
    batch_.put_u32(NFTA_BYTEORDER_LEN, size);
    batch_.put_u32(NFTA_BYTEORDER_SIZE, size);
  });
}

void NftTable::mask(std::string_view bits) {
  expression("bitwise", [&] {
    batch_.put_u32(NFTA_BITWISE_SREG, NFT_REG_1);
    batch_.put_u32(NFTA_BITWISE_DREG, NFT_REG_1);
    batch_.put_u32(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(bits.size()));
    batch_.begin_nest(NFTA_BITWISE_MASK);
    batch_.put(NFTA_DATA_VALUE, bits);
    batch_.end_nest();
    batch_.begin_nest(NFTA_BITWISE_XOR);
    batch_.put(NFTA_DATA_VALUE, std::string(bits.size(), '\0'));
    batch_.end_nest();
  });
}

void NftTable::compare(std::uint32_t operation, std::string_view value) {
  expression("cmp", [&] {
    batch_.put_u32(NFTA_CMP_SREG, NFT_REG_1);
    batch_.put_u32(NFTA_CMP_OP, operation);
    batch_.begin_nest(NFTA_CMP_DATA);
    batch_.put(NFTA_DATA_VALUE, value);
    batch_.end_nest();
  });
}

std::size_t NftTable::compare_u64(std::uint32_t operation, std::uint64_t value) {
  std::size_t at = 0;
  expression("cmp", [&] {
    batch_.put_u32(NFTA_CMP_SREG, NFT_REG_1);
    batch_.put_u32(NFTA_CMP_OP, operation);
    batch_.begin_nest(NFTA_CMP_DATA);
    at = batch_.put_u64(NFTA_DATA_VALUE, value);
    batch_.end_nest();
  });
  return at;
}

void NftTable::if_in(std::string_view set, std::uint32_t from) {
  expression("lookup", [&] {
    batch_.put_text(NFTA_LOOKUP_SET, set);
    batch_.put_u32(NFTA_LOOKUP_SREG, from);
  });
}

void NftTable::unless_in(std::string_view set) {
  expression("lookup", [&] {
    batch_.put_text(NFTA_LOOKUP_SET, set);
    batch_.put_u32(NFTA_LOOKUP_SREG, NFT_REG_1);
    batch_.put_u32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
  });
}

void NftTable::go_by(std::string_view map) {
  expression("lookup", [&] {
    batch_.put_text(NFTA_LOOKUP_SET, map);
    batch_.put_u32(NFTA_LOOKUP_SREG, NFT_REG_1);
    batch_.put_u32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
  });
}

// iptables-extensions(8), "bpf"; the kernel has it for iptables' rules, and nftables' take it as it
// is (net/netfilter/nft_compat.c, xt_bpf.c).
void NftTable::if_program(int program) {
  xt_bpf_info_v1 info{};
  info.mode = XT_BPF_MODE_FD_ELF;
  info.fd = program;
  expression("match", [&] {
    batch_.put_text(NFTA_MATCH_NAME, "bpf");
    batch_.put_u32(NFTA_MATCH_REV, 1);
    batch_.put(NFTA_MATCH_INFO, {reinterpret_cast<const char*>(&info), sizeof info});
  });
}

void NftTable::decide(int verdict, std::string_view chain) {
  expression("immediate", [&] {
    batch_.put_u32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    batch_.begin_nest(NFTA_IMMEDIATE_DATA);
    put_verdict(verdict, chain);
    batch_.end_nest();
  });
}

void NftTable::put_verdict(int code, std::string_view chain) {
  batch_.begin_nest(NFTA_DATA_VERDICT);
  batch_.put_u32(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
  if (!chain.empty()) batch_.put_text(NFTA_VERDICT_CHAIN, chain);
  batch_.end_nest();
}

void NftTable::count() {
  expression("counter", [] {});
}

void NftTable::reject_with_reset() {
  expression("reject", [&] { batch_.put_u32(NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST); });
}

void NftTable::begin(int type, int flags, std::string_view kind, std::string_view name) {
  std::string what;
  if (!kind.empty()) what = std::string(kind) + " " + std::string(name) + " in ";
  batch_.begin_message(type, flags, family_, what + name_of_table(family_, name_));
}

void NftTable::begin_chain(std::string_view chain) {
  begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE, "chain", chain);
  batch_.put_text(NFTA_CHAIN_TABLE, name_);
  batch_.put_text(NFTA_CHAIN_NAME, chain);
}

void NftTable::put_set(std::string_view set) {
  batch_.put_text(NFTA_SET_ELEM_LIST_TABLE, name_);
  batch_.put_text(NFTA_SET_ELEM_LIST_SET, set);
}

}  // namespace nines::address

// One nftables table of ours as it is written into a transaction: chains, sets, rules and what
// rules are made of. Pure; the words are those of nft(8).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>

#include "address/nft_batch.h"

namespace nines::address {

// How `nft` numbers the types that it shows (they mean nothing to the kernel). A concatenation has
// its parts' numbers side by side.
inline constexpr std::uint32_t kNftTypeProtocolFamily = 2;
inline constexpr std::uint32_t kNftTypeIpv4 = 7;
inline constexpr std::uint32_t kNftTypeIpv6 = 8;
inline constexpr std::uint32_t kNftTypePort = 13;
constexpr std::uint32_t concatenated(std::uint32_t first, std::uint32_t second) {
  return first << 6 | second;
}

// As nft(8) has it.
inline constexpr std::size_t kCommentMax = 128;

// Where IP headers have what rules compare (RFC 791, 8200).
inline constexpr std::uint32_t kIpv4Source = 12, kIpv4Destination = 16;
inline constexpr std::uint32_t kIpv6Source = 8, kIpv6Destination = 24;

// Writes to a batch that outlives it. `family`: NFPROTO_*. Used on one thread.
class NftTable {
 public:
  NftTable(NftBatch& batch, std::uint8_t family, std::string_view name)
      : batch_(batch), name_(name), family_(family) {}

  // Also when it is not there. Not for one with an owner: that is made once.
  void clear();
  void remove();
  // `flags`: NFT_TABLE_F_*.
  void create(std::uint32_t flags = 0);

  void add_chain(std::string_view chain) { begin_chain(chain); }
  // A filter that accepts what no rule decides. `hook`: NF_INET_* or NF_ARP_*.
  void add_base_chain(std::string_view chain, std::uint32_t hook, int priority);
  // `flags`: NFT_SET_*; a map's data are verdicts.
  void add_set(std::string_view set, std::uint32_t flags, std::uint32_t key_type,
               std::uint32_t key_size);
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
  void flush_elements(std::string_view set);

  // What is called until end_rule() is the rule, in its order. The comment is for people who list
  // it: at most kCommentMax bytes.
  void begin_rule(std::string_view chain);
  void end_rule(std::string_view comment = {});
  void flush_chain(std::string_view chain);

  // Into a register, out of the first one unless told otherwise.
  void load_meta(std::uint32_t key);
  void load(std::uint32_t base, std::uint32_t offset, std::uint32_t size,
            std::uint32_t to = NFT_REG_1);
  void to_network_order(std::uint32_t size);
  void mask(std::string_view bits);
  void compare(std::uint32_t operation, std::string_view value);
  // With 8 bytes in network order; where they stand, for NftBatch::replace_u64().
  std::size_t compare_u64(std::uint32_t operation, std::uint64_t value);
  void if_in(std::string_view set, std::uint32_t from = NFT_REG_1);
  void unless_in(std::string_view set);
  void go_by(std::string_view map);
  // Goes on if a program of the kernel's (BPF_PROG_TYPE_SOCKET_FILTER) answers anything but 0. The
  // descriptor may be closed once the transaction was taken.
  void if_program(int program);
  void decide(int verdict, std::string_view chain = {});
  void put_verdict(int code, std::string_view chain);
  void count();
  void reject_with_reset();

  std::uint8_t family() const { return family_; }

 private:
  void begin(int type, int flags, std::string_view kind, std::string_view name = {});
  void begin_chain(std::string_view chain);
  void put_set(std::string_view set);
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

}  // namespace nines::address

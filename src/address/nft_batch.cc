// Headers, attributes and nests, each padded to four bytes (linux/netlink.h).
#include "address/nft_batch.h"

#include <bit>
#include <cstring>
#include <utility>

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include "base/check.h"

namespace nines::address {
namespace {

template <typename T>
T network_order(T value) {
  if constexpr (std::endian::native == std::endian::big) return value;
  if constexpr (sizeof(T) == 2) return __builtin_bswap16(value);
  if constexpr (sizeof(T) == 4) return __builtin_bswap32(value);
  return __builtin_bswap64(value);
}

template <typename T>
std::string_view bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// An attribute's length is 16 bits.
constexpr std::size_t kAttributeMax = 0xffff;

}  // namespace

NftBatch::NftBatch(std::uint32_t sequence) : first_(sequence), sequence_(sequence) {
  begin_header(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES);
  what_.emplace_back("nftables");
}

void NftBatch::begin_message(int type, int flags, std::uint8_t family, std::string what) {
  CHECK(!finished_);
  end_message();
  begin_header(static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | type),
               static_cast<std::uint16_t>(NLM_F_REQUEST | flags), family, 0);
  what_.push_back(std::move(what));
}

void NftBatch::put(std::uint16_t type, std::string_view bytes) {
  CHECK(NLA_HDRLEN + bytes.size() <= kAttributeMax);
  append(static_cast<std::uint16_t>(NLA_HDRLEN + bytes.size()));
  append(type);
  bytes_.append(bytes);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()));
}

void NftBatch::put_text(std::uint16_t type, std::string_view text) {
  const std::string ended(text);
  put(type, {ended.c_str(), ended.size() + 1});
}

void NftBatch::put_u32(std::uint16_t type, std::uint32_t value) {
  put(type, bytes_of(network_order(value)));
}

std::size_t NftBatch::put_u64(std::uint16_t type, std::uint64_t value) {
  const std::size_t at = bytes_.size() + NLA_HDRLEN;
  put(type, bytes_of(network_order(value)));
  return at;
}

void NftBatch::replace_u64(std::size_t at, std::uint64_t value) {
  CHECK(finished_ && at + sizeof value <= bytes_.size());
  patch(at, network_order(value));
}

void NftBatch::renumber(std::uint32_t sequence) {
  CHECK(finished_);
  first_ = sequence_ = sequence;
  for (std::size_t at = 0; at < bytes_.size();) {
    nlmsghdr header{};
    std::memcpy(&header, bytes_.data() + at, sizeof header);
    CHECK(header.nlmsg_len >= sizeof header);
    patch(at + offsetof(nlmsghdr, nlmsg_seq), sequence_++);
    at += header.nlmsg_len;
  }
}

void NftBatch::begin_nest(std::uint16_t type) {
  nests_.push_back(bytes_.size());
  put(static_cast<std::uint16_t>(NLA_F_NESTED | type), {});
}

void NftBatch::end_nest() {
  CHECK(!nests_.empty());
  const std::size_t size = bytes_.size() - nests_.back();
  CHECK(size <= kAttributeMax);
  patch(nests_.back(), static_cast<std::uint16_t>(size));
  nests_.pop_back();
}

void NftBatch::finish(Ending ending) {
  CHECK(!finished_ && what_.size() > 1);
  end_message();
  nlmsghdr last{};
  std::memcpy(&last, bytes_.data() + message_, sizeof last);
  patch(message_ + offsetof(nlmsghdr, nlmsg_flags),
        static_cast<std::uint16_t>(last.nlmsg_flags | NLM_F_ACK));
  if (ending == Ending::kCommit) {
    begin_header(NFNL_MSG_BATCH_END, NLM_F_REQUEST, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES);
    end_message();
  }
  finished_ = true;
}

std::uint32_t NftBatch::last_sequence() const {
  return first_ + static_cast<std::uint32_t>(what_.size()) - 1;
}

std::string_view NftBatch::what(std::uint32_t sequence) const {
  const std::uint32_t index = sequence - first_;
  return index < what_.size() ? std::string_view(what_[index]) : std::string_view();
}

void NftBatch::begin_header(std::uint16_t type, std::uint16_t flags, std::uint8_t family,
                            std::uint16_t resource) {
  message_ = bytes_.size();
  append(std::uint32_t{0});  // the length, when it ends
  append(type);
  append(flags);
  append(sequence_++);
  append(std::uint32_t{0});  // the kernel fills in who we are
  append(family);
  append(std::uint8_t{NFNETLINK_V0});
  append(network_order(resource));
}

void NftBatch::end_message() {
  CHECK(nests_.empty());
  patch(message_, static_cast<std::uint32_t>(bytes_.size() - message_));
}

template <typename T>
void NftBatch::append(T value) {
  bytes_.append(bytes_of(value));
}

template <typename T>
void NftBatch::patch(std::size_t at, T value) {
  std::memcpy(bytes_.data() + at, &value, sizeof value);
}

}  // namespace nines::address

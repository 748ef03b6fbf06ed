// One batch out, its acknowledgements in. The kernel works the batch off before send() returns, so
// its answers are there already and nothing here waits for them.
#include "address/nft_socket.h"

#include <cerrno>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>

namespace nines::address {
namespace {

constexpr std::size_t kAnswerSize = 64u << 10;

std::string kernel_words(const nlmsghdr* header, const nlmsgerr* error) {
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  std::size_t offset = sizeof(nlmsgerr);
  if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) offset += mnl_nlmsg_get_payload_len(&error->msg);
  const auto* attribute = static_cast<const nlattr*>(mnl_nlmsg_get_payload_offset(header, offset));
  const auto* end = static_cast<const char*>(mnl_nlmsg_get_payload_tail(header));
  while (mnl_attr_ok(attribute, static_cast<int>(end - reinterpret_cast<const char*>(attribute)))) {
    if (mnl_attr_get_type(attribute) == NLMSGERR_ATTR_MSG &&
        mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0) {
      return std::string(": ") + mnl_attr_get_str(attribute);
    }
    attribute = mnl_attr_next(attribute);
  }
  return {};
}

Error refusal(const nlmsghdr* header, const nlmsgerr* error, std::string_view what) {
  return Error::from_errno(-error->error, std::string(what) + kernel_words(header, error));
}

}  // namespace

Result<io::Descriptor> open_netfilter(int flags) {
  io::Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_NETFILTER));
  if (!socket && errno == EPROTONOSUPPORT) {
    return Error(ErrorCode::kUnsupported, "the kernel has no netfilter (CONFIG_NETFILTER_NETLINK)",
                 EPROTONOSUPPORT);
  }
  if (!socket) return Error::from_errno(errno, "a socket for nftables");
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&local), sizeof local) != 0) {
    return Error::from_errno(errno, "a socket for nftables");
  }
  return socket;
}

NftSocket::NftSocket(io::Descriptor netlink) : netlink_(std::move(netlink)), answer_(kAnswerSize) {}

Result<NftSocket> NftSocket::open() {
  io::Descriptor netlink = TRY(open_netfilter(0));
  const int on = 1;
  // Refinements, both: longer words for people, shorter answers.
  ::setsockopt(netlink.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  ::setsockopt(netlink.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  return NftSocket(std::move(netlink));
}

Result<std::uint32_t> NftSocket::port() const {
  sockaddr_nl ours{};
  socklen_t size = sizeof ours;
  if (::getsockname(netlink_.get(), reinterpret_cast<sockaddr*>(&ours), &size) != 0) {
    return Error::from_errno(errno, "the nftables socket's number");
  }
  return ours.nl_pid;
}

Result<void> NftSocket::send(NftBatch& batch, NftBatch::Ending ending) {
  batch.finish(ending);
  return deliver(batch);
}

Result<void> NftSocket::send_again(NftBatch& batch) {
  batch.renumber(sequence_ + 1);
  return deliver(batch);
}

Result<void> NftSocket::deliver(const NftBatch& batch) {
  sequence_ = batch.next_sequence();
  const std::string_view bytes = batch.bytes();
  while (::send(netlink_.get(), bytes.data(), bytes.size(), 0) < 0) {
    if (errno != EINTR) return Error::from_errno(errno, "send to nftables");
  }
  bool acknowledged = false;
  std::optional<Error> failure;
  while (true) {
    const ssize_t size = ::recv(netlink_.get(), answer_.data(), answer_.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (size < 0) return Error::from_errno(errno, "hear from nftables");
    int left = static_cast<int>(size);
    const auto* header = reinterpret_cast<const nlmsghdr*>(answer_.data());
    for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
      if (header->nlmsg_type != NLMSG_ERROR ||
          mnl_nlmsg_get_payload_len(header) < sizeof(nlmsgerr)) {
        continue;
      }
      const std::string_view what = batch.what(header->nlmsg_seq);
      if (what.empty()) continue;  // the rest of a call that gave up
      const auto* error = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(header));
      if (error->error == 0) {
        acknowledged |= header->nlmsg_seq == batch.last_sequence();
      } else if (!failure) {
        failure = refusal(header, error, what);
      }
    }
    if (acknowledged) break;  // by the last message: what there was to say of others came before
  }
  if (failure) return *std::move(failure);
  if (!acknowledged) return Error(ErrorCode::kSystem, "nftables did not acknowledge a change");
  return {};
}

}  // namespace nines::address

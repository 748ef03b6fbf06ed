// The count lies in memory that the kernel's program writes and this process reads.
#include "address/session_watch.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <utility>

#include <netinet/in.h>

#include "address/bpf_address.h"
#include "address/session_program.h"

namespace nines::address {

Result<SessionWatch> SessionWatch::create(std::span<const SocketAddress> addresses,
                                          std::size_t most) {
  SessionWatch watch;
  watch.most_ = most;
  const io::Descriptor root = TRY(bpf::open_root_of_groups());
  watch.addresses_ = TRY(bpf::make_map(BPF_MAP_TYPE_HASH, sizeof(bpf::Address), 1,
                                       std::max<std::size_t>(addresses.size(), 1), 0));
  const char present = 1;
  for (const SocketAddress& address : addresses) {
    const bpf::Address words = bpf::words_of(address);
    TRY(bpf::put(watch.addresses_, &words, &present));
  }
  watch.sessions_ =
      TRY(bpf::make_map(BPF_MAP_TYPE_HASH, sizeof(WatchedSession), 1, most, BPF_F_NO_PREALLOC));
  watch.count_map_ = TRY(bpf::make_map(BPF_MAP_TYPE_ARRAY, sizeof(std::uint32_t),
                                       sizeof(std::uint64_t), 1, BPF_F_MMAPABLE));
  watch.count_ = TRY(bpf::share(watch.count_map_, bpf::Sharing::kRead));
  const SessionMaps maps{.addresses = watch.addresses_.get(),
                         .sessions = watch.sessions_.get(),
                         .accepted = watch.count_map_.get()};
  const std::uint64_t network = TRY(bpf::own_network());
  watch.program_ =
      TRY(bpf::load(BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, session_program(network, maps)));
  watch.attached_ = TRY(bpf::attach(watch.program_, root, BPF_CGROUP_SOCK_OPS));
  return watch;
}

std::uint64_t SessionWatch::accepted() const {
  return std::atomic_ref<std::uint64_t>(count_[0]).load(std::memory_order_relaxed);
}

Result<std::vector<Session>> SessionWatch::find() const {
  const std::string keys = TRY(bpf::keys_of(sessions_, sizeof(WatchedSession), 1, most_));
  std::vector<Session> sessions;
  sessions.reserve(keys.size() / sizeof(WatchedSession));
  for (std::size_t at = 0; at < keys.size(); at += sizeof(WatchedSession)) {
    WatchedSession each;
    std::memcpy(&each, keys.data() + at, sizeof each);
    sessions.push_back(
        {bpf::address_of(each.local, static_cast<std::uint16_t>(each.local_port)),
         bpf::address_of(each.peer, static_cast<std::uint16_t>(ntohl(each.peer_port)))});
  }
  return sessions;
}

Result<void> SessionWatch::forget(const Session& session) {
  const WatchedSession key{.local = bpf::words_of(session.local),
                           .peer = bpf::words_of(session.peer),
                           .local_port = session.local.port(),
                           .peer_port = htonl(session.peer.port())};
  return bpf::take(sessions_, &key);
}

}  // namespace nines::address

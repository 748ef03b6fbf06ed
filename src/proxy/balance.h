// Which server takes the next session: the "balance" algorithms (section 4.2) as pure selection
// over the servers' shared state. A worker has a Balancer of its own for each backend; what must be
// common to all workers (the place in the rotation) is in ProxyState.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/socket_address.h"
#include "proxy/runtime.h"

namespace nines::proxy {

struct PickInput {
  // The client's address, for "balance source"; null or without an IP (a Unix socket): that
  // algorithm takes turns instead. The port is not looked at. Borrowed for the call.
  const SocketAddress* client = nullptr;
  // Indices of servers that this request was already tried on: passed over as long as any other is
  // left. A handful at most. Borrowed for the call.
  std::span<const int> excluded = {};
};

struct Pick {
  enum class Outcome : std::uint8_t {
    kServer,    // `server` is an index into Proxy::servers
    kNoServer,  // no server is usable: 503
    kAllFull,   // usable servers are all at their maxconn: queue on the backend
  };
  Outcome outcome = Outcome::kNoServer;
  int server = -1;

  bool has_value() const { return outcome == Outcome::kServer; }
  explicit operator bool() const { return has_value(); }
  int operator*() const { return server; }
};

// True when the server has no slot left under its maxconn, or others already wait for one.
bool is_full(const Server& server);

// Lives on one worker. `proxy` is a backend, borrowed, and must outlive this (the Generation does).
//
// The class that is chosen from: usable servers that are no backups; if there is none, the first
// usable backup in the text's order, or all of them with "option allbackups". Servers of a dead
// host count where there are no others. Within the class, best first: neither tried nor suspect;
// not tried; any.
class Balancer {
 public:
  explicit Balancer(const Proxy& proxy);

  // Allocates only when the backend's generation has changed since the last call (its schedule is
  // built anew then). roundrobin costs O(1) while no server of the class is full or a suspect; the
  // others cost O(servers).
  // roundrobin, leastconn and first pass over full servers; source stays with its server, full or
  // not, and the caller queues there.
  Pick pick(const PickInput& input);

 private:
  // After so many places of the rotation that could not be used, a weighted draw ends the search.
  static constexpr int kSkipsMax = 8;
  // Longest rotation; weights are halved together until theirs fits. Reached only with more than
  // 256 servers of large weights that have no common divisor.
  static constexpr std::size_t kScheduleMax = 65536;

  static constexpr int kWeightMax = 256;
  static constexpr int kShareFactor = 10;  // while a returning host's servers get a part of theirs

  struct Member {
    int server = -1;  // index into Proxy::servers
    int weight = 1;
    std::uint64_t name_hash = 0;
  };
  enum class Rank : std::uint8_t { kBest, kSuspect, kTried, kNever };

  void refresh();
  void collect_members();
  void collect_class(bool backup, bool dead_too);
  void share_weights();
  void build_schedule();
  Rank rank_of(const Member& member, const PickInput& input, bool may_be_full) const;
  Pick pick_round_robin(const PickInput& input);
  Pick pick_by_weight(const PickInput& input, std::uint64_t turn) const;
  Pick pick_least_connections(const PickInput& input);
  Pick pick_first(const PickInput& input) const;
  Pick pick_by_source(const PickInput& input, std::string_view address) const;
  Pick none() const;

  const Proxy& proxy_;
  std::uint32_t generation_ = 0;
  bool fresh_ = false;
  std::vector<Member> members_;          // the class, in the text's order
  std::vector<std::uint16_t> schedule_;  // indices into members_, one full rotation
};

}  // namespace nines::proxy

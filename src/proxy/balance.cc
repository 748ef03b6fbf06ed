// The algorithms of "balance". Nothing here waits, allocates on the common path or writes to a
// server: sessions are counted by whoever opens them.
#include "proxy/balance.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

#include "base/check.h"

namespace nines::proxy {
namespace {

// The servers of a backend are indexed by 16 bits in the schedule.
constexpr std::size_t kServersMax = 65535;

// FNV-1a, 64 bits, and the finalizer of splitmix64. Two nodes with the same text must agree on the
// server of a client, so these are part of the behaviour: changing them moves every client.
std::uint64_t hash_bytes(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325ull;
  for (const char byte : bytes) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001b3ull;
  }
  return hash;
}

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// The bytes that stand for a client: an IPv4 client of a dual-stack socket is the same client.
std::string_view client_bytes(const SocketAddress* client) {
  if (client == nullptr || !client->is_ip()) return {};
  const std::string_view bytes = client->ip_bytes();
  constexpr std::string_view kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
  if (bytes.size() == 16 && bytes.starts_with(kMapped)) return bytes.substr(kMapped.size());
  return bytes;
}

std::uint64_t load_of(const ServerState& state) {
  const std::int64_t load = state.sessions.value() + state.queued.value();
  return load > 0 ? static_cast<std::uint64_t>(load) : 0;
}

}  // namespace

bool is_full(const Server& server) {
  if (server.config->maxconn <= 0) return false;
  return server.state->sessions.value() >= server.config->maxconn ||
         server.state->queued.value() > 0;
}

Balancer::Balancer(const Proxy& proxy) : proxy_(proxy) {
  CHECK(proxy.backend != nullptr);
  CHECK(proxy.servers.size() <= kServersMax);
}

Pick Balancer::pick(const PickInput& input) {
  refresh();
  if (members_.empty()) return {};
  switch (proxy_.config->balance) {
    case BalanceAlgorithm::kRoundRobin:
      return pick_round_robin(input);
    case BalanceAlgorithm::kLeastConn:
      return pick_least_connections(input);
    case BalanceAlgorithm::kFirst:
      return pick_first(input);
    case BalanceAlgorithm::kSource: {
      const std::string_view address = client_bytes(input.client);
      return address.empty() ? pick_round_robin(input) : pick_by_source(input, address);
    }
  }
  return {};
}

void Balancer::refresh() {
  const std::uint32_t generation = proxy_.backend->generation.load(std::memory_order_acquire);
  if (fresh_ && generation == generation_) return;
  generation_ = generation;
  fresh_ = true;
  collect_members();
  build_schedule();
}

void Balancer::collect_members() {
  // A server on a dead host counts for a class only where nobody else is left in any.
  for (const bool dead_too : {false, true}) {
    for (const bool backup : {false, true}) {
      collect_class(backup, dead_too);
      if (!members_.empty()) return share_weights();
    }
  }
}

void Balancer::collect_class(bool backup, bool dead_too) {
  members_.clear();
  for (std::size_t i = 0; i < proxy_.servers.size(); ++i) {
    const Server& server = proxy_.servers[i];
    if (server.config->backup != backup || !server.state->usable()) continue;
    if (!dead_too && server.state->host_dead.load(std::memory_order_relaxed)) continue;
    Member member;
    member.server = static_cast<int>(i);
    member.weight = std::max(1, server.state->weight.load(std::memory_order_relaxed));
    member.name_hash = hash_bytes(server.config->name);
    members_.push_back(member);
    if (backup && !proxy_.config->all_backups) break;
  }
}

// A part of a small weight needs larger ones to be a part of; none may go beyond kWeightMax.
void Balancer::share_weights() {
  const auto percent = [&](const Member& member) {
    return proxy_.servers[static_cast<std::size_t>(member.server)].state->share_percent.load(
        std::memory_order_relaxed);
  };
  int heaviest = 0;
  bool shared = false;
  for (const Member& member : members_) {
    heaviest = std::max(heaviest, member.weight);
    shared |= percent(member) < 100;
  }
  if (!shared) return;
  const int factor = heaviest * kShareFactor <= kWeightMax ? kShareFactor : 1;
  for (Member& member : members_) {
    member.weight = std::max(1, member.weight * factor * percent(member) / 100);
  }
}

// One rotation holds each member weight / gcd times, spread evenly: the n-th turn of a member is at
// (n + offset) / weight of the rotation, and members of equal weight share out their offsets, in
// the text's order. Equal weights thus give exactly s1 s2 s3, as HAProxy does.
void Balancer::build_schedule() {
  schedule_.clear();
  const BalanceAlgorithm algorithm = proxy_.config->balance;
  if (algorithm == BalanceAlgorithm::kLeastConn || algorithm == BalanceAlgorithm::kFirst) return;
  int divisor = 0;
  for (const Member& member : members_) divisor = std::gcd(divisor, member.weight);
  if (divisor == 0) return;
  const auto share = [&](const Member& member) { return std::max(1, member.weight / divisor); };
  const auto length = [&] {
    std::size_t sum = 0;
    for (const Member& member : members_) sum += static_cast<std::size_t>(share(member));
    return sum;
  };
  while (length() > kScheduleMax && divisor < 256) divisor *= 2;

  struct Turn {
    std::uint64_t numerator, denominator;
    std::uint16_t member;
  };
  std::array<std::uint32_t, 257> group_sizes{}, group_seen{};
  for (const Member& member : members_) ++group_sizes[static_cast<std::size_t>(share(member))];
  std::vector<Turn> turns;
  turns.reserve(length());
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const auto weight = static_cast<std::size_t>(share(members_[i]));
    const std::uint64_t group = group_sizes[weight];
    const std::uint64_t rank = group_seen[weight]++;
    for (std::uint64_t n = 0; n < weight; ++n) {
      turns.push_back(
          {2 * (n * group + rank) + 1, 2 * group * weight, static_cast<std::uint16_t>(i)});
    }
  }
  std::sort(turns.begin(), turns.end(), [](const Turn& a, const Turn& b) {
    const std::uint64_t left = a.numerator * b.denominator;
    const std::uint64_t right = b.numerator * a.denominator;
    return left != right ? left < right : a.member < b.member;
  });
  schedule_.reserve(turns.size());
  for (const Turn& turn : turns) schedule_.push_back(turn.member);
}

Balancer::Rank Balancer::rank_of(const Member& member, const PickInput& input,
                                 bool may_be_full) const {
  const Server& server = proxy_.servers[static_cast<std::size_t>(member.server)];
  if (!may_be_full && is_full(server)) return Rank::kNever;
  for (const int tried : input.excluded) {
    if (tried == member.server) return Rank::kTried;
  }
  if (server.state->avoided()) return Rank::kSuspect;
  return Rank::kBest;
}

Pick Balancer::none() const {
  return {members_.empty() ? Pick::Outcome::kNoServer : Pick::Outcome::kAllFull, -1};
}

Pick Balancer::pick_round_robin(const PickInput& input) {
  std::uint64_t turn = 0;
  // A place that cannot be used is used up all the same: the others keep their proportions.
  for (int skips = 0; skips < kSkipsMax; ++skips) {
    turn = proxy_.backend->turn.fetch_add(1, std::memory_order_relaxed);
    const Member& member = members_[schedule_[turn % schedule_.size()]];
    if (rank_of(member, input, false) == Rank::kBest) {
      return {Pick::Outcome::kServer, member.server};
    }
  }
  return pick_by_weight(input, turn);
}

// The draw is a hash of the turn: proportional over many, and the same on every run.
Pick Balancer::pick_by_weight(const PickInput& input, std::uint64_t turn) const {
  Rank best = Rank::kNever;
  std::uint64_t total = 0;
  for (const Member& member : members_) {
    const Rank rank = rank_of(member, input, false);
    if (rank > best || rank == Rank::kNever) continue;
    if (rank < best) total = 0;
    best = rank;
    total += static_cast<std::uint64_t>(member.weight);
  }
  if (best == Rank::kNever) return none();
  std::uint64_t draw = mix(turn) % total;
  int last = -1;
  for (const Member& member : members_) {
    if (rank_of(member, input, false) != best) continue;
    last = member.server;
    const auto weight = static_cast<std::uint64_t>(member.weight);
    if (draw < weight) return {Pick::Outcome::kServer, last};
    draw -= weight;
  }
  // Another worker changed a rank between the two passes.
  return last >= 0 ? Pick{Pick::Outcome::kServer, last} : none();
}

// The smallest load / weight, compared without dividing. The scan begins at a place that moves on
// with each pick, so that equals take turns.
Pick Balancer::pick_least_connections(const PickInput& input) {
  const std::size_t count = members_.size();
  const std::uint64_t turn = proxy_.backend->turn.fetch_add(1, std::memory_order_relaxed);
  std::size_t at = turn % count;
  const Member* chosen = nullptr;
  Rank best = Rank::kNever;
  std::uint64_t lowest = 0;
  for (std::size_t n = 0; n < count; ++n) {
    const Member& member = members_[at];
    if (++at == count) at = 0;
    const Rank rank = rank_of(member, input, false);
    if (rank > best || rank == Rank::kNever) continue;
    const std::uint64_t load =
        load_of(*proxy_.servers[static_cast<std::size_t>(member.server)].state);
    if (rank < best || load * static_cast<std::uint64_t>(chosen->weight) <
                           lowest * static_cast<std::uint64_t>(member.weight)) {
      chosen = &member;
      best = rank;
      lowest = load;
    }
  }
  if (chosen == nullptr) return none();
  return {Pick::Outcome::kServer, chosen->server};
}

Pick Balancer::pick_first(const PickInput& input) const {
  const Member* chosen = nullptr;
  Rank best = Rank::kNever;
  for (const Member& member : members_) {
    const Rank rank = rank_of(member, input, false);
    if (rank >= best) continue;
    best = rank;
    chosen = &member;
    if (best == Rank::kBest) break;
  }
  if (chosen == nullptr) return none();
  return {Pick::Outcome::kServer, chosen->server};
}

// Weighted rendezvous hashing (docs/decisions/0020-source-rendezvous.md): each server draws a
// number from the client and its own name, and the smallest -ln(u) / weight wins. A server that
// leaves or returns moves only its own clients.
Pick Balancer::pick_by_source(const PickInput& input, std::string_view address) const {
  const std::uint64_t client = mix(hash_bytes(address));
  const Member* chosen = nullptr;
  Rank best = Rank::kNever;
  double lowest = 0;
  for (const Member& member : members_) {
    const Rank rank = rank_of(member, input, true);
    if (rank > best || rank == Rank::kNever) continue;
    // 53 bits, and half a step so that it is never 0 or 1.
    const std::uint64_t draw = mix(client ^ member.name_hash) >> 11;
    const double unit = (static_cast<double>(draw) + 0.5) * 0x1.0p-53;
    const double score = -std::log(unit) / member.weight;
    if (rank < best || score < lowest) {
      chosen = &member;
      best = rank;
      lowest = score;
    }
  }
  if (chosen == nullptr) return none();
  return {Pick::Outcome::kServer, chosen->server};
}

}  // namespace nines::proxy

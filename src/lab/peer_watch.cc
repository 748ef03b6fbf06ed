// Each pair of a client's host and another counts by its first; the worst pair is told.
#include "lab/peer_watch.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace nines::lab {
namespace {

using Outcome = PeerAttempt::Outcome;
using Pair = std::pair<std::string_view, std::string_view>;

// Clients that were under way when the first was refused may have to say their SYN again.
constexpr Duration kAfterFirst = std::chrono::milliseconds(100);

// The worst of all pairs, when there is one of each.
std::optional<Duration> worst(const std::map<Pair, Instant>& found, std::size_t pairs,
                              Instant begin) {
  if (found.empty() || found.size() < pairs) return std::nullopt;
  Duration most{};
  for (const auto& [pair, at] : found) most = std::max(most, at - begin);
  return most;
}

}  // namespace

PeerWatchReport report_peer_watch(std::span<const PeerAttempt> attempts,
                                  std::span<const PeerBreak> breaks,
                                  std::span<const std::string> hosts, const PeerWatchScope& scope) {
  std::size_t pairs = 0;
  for (const auto& host : hosts) {
    for (const auto& against : scope.about) {
      pairs += host != against && !scope.away.contains(host) ? 1 : 0;
    }
  }
  const auto counts = [&](std::string_view host, std::string_view against) {
    return !scope.away.contains(std::string(host)) && scope.about.contains(std::string(against));
  };
  PeerWatchReport report;
  std::map<Pair, Instant> refused;
  std::map<Pair, Instant> connected;
  for (const auto& each : attempts) {
    if (each.begun >= scope.end) continue;
    const bool ended = each.outcome != Outcome::kUnderWay && each.ended < scope.end;
    if (ended && each.ended < scope.begin) continue;
    if (ended && each.outcome == Outcome::kRefused &&
        !scope.broken.contains(std::string(each.against))) {
      ++report.refused_there;
    }
    if (!counts(each.host, each.against)) continue;
    const Instant from = std::max(each.begun, scope.begin);
    report.waited =
        std::max(report.waited.value_or(Duration(0)), (ended ? each.ended : scope.end) - from);
    if (!ended || each.begun < scope.begin) continue;
    const auto first = [&](std::map<Pair, Instant>& found) {
      const auto [entry, is_new] = found.try_emplace({each.host, each.against}, each.ended);
      if (!is_new) entry->second = std::min(entry->second, each.ended);
    };
    if (each.outcome == Outcome::kRefused) first(refused);
    if (each.outcome == Outcome::kConnected) first(connected);
  }
  report.refused = worst(refused, pairs, scope.begin);
  report.connected = worst(connected, pairs, scope.begin);

  std::vector<Duration> took;
  for (const auto& each : attempts) {
    if (each.outcome != Outcome::kRefused || each.ended >= scope.end) continue;
    const auto since = refused.find({each.host, each.against});
    if (since == refused.end() || each.begun < since->second + kAfterFirst) continue;
    took.push_back(each.ended - each.begun);
  }
  if (!took.empty()) {
    const auto middle = took.begin() + static_cast<std::ptrdiff_t>(took.size() / 2);
    std::nth_element(took.begin(), middle, took.end());
    report.refusal_took = *middle;
  }

  std::map<Pair, Instant> told;
  for (const auto& each : breaks) {
    if (each.at < scope.begin || each.at >= scope.end || !counts(each.host, each.against)) continue;
    told.try_emplace({each.host, each.against}, each.at);
  }
  report.told = worst(told, pairs, scope.begin);
  return report;
}

}  // namespace nines::lab

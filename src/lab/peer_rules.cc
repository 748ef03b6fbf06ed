// Rules and reasons as spans of the same shape, and what is left of the one without the other.
#include "lab/peer_rules.h"

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

namespace nines::lab {
namespace {

using Kind = RuleEvent::Kind;

struct KindName {
  Kind kind;
  std::string_view name;
  std::size_t words;  // that follow: host, whom it refuses
};
constexpr std::array<KindName, 4> kKindNames{{
    {Kind::kBegan, "began", 0},
    {Kind::kLost, "lost", 1},
    {Kind::kStands, "stands", 2},
    {Kind::kGone, "gone", 2},
}};

std::string_view take_word(std::string_view& rest) {
  const auto space = std::min(rest.find(' '), rest.size());
  const auto word = rest.substr(0, space);
  rest.remove_prefix(std::min(space + 1, rest.size()));
  return word;
}

}  // namespace

std::string rule_words(const RuleEvent& event) {
  std::string words;
  for (const auto& each : kKindNames) {
    if (each.kind != event.kind) continue;
    words = each.name;
    if (each.words > 0) words += ' ' + event.host;
    if (each.words > 1) words += ' ' + event.against.ip_text();
  }
  return words;
}

std::optional<RuleEvent> parse_rule_words(Instant at, std::string_view words) {
  const auto name = take_word(words);
  for (const auto& each : kKindNames) {
    if (each.name != name) continue;
    RuleEvent event{.kind = each.kind, .at = at};
    if (each.words > 0) event.host = take_word(words);
    if (each.words > 1) {
      auto against = SocketAddress::parse_ip(take_word(words), 0);
      if (!against.has_value()) return std::nullopt;
      event.against = *std::move(against);
    }
    if (!words.empty() || (each.words > 0 && event.host.empty())) return std::nullopt;
    return event;
  }
  return std::nullopt;
}

PeerRules::PeerRules(std::vector<Host> hosts) : hosts_(std::move(hosts)) {
  for (auto& host : hosts_) host.address = host.address.with_port(0);
}

std::optional<std::size_t> PeerRules::index_of(std::string_view host) const {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    if (hosts_[i].name == host) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> PeerRules::index_at(const SocketAddress& address) const {
  for (std::size_t i = 0; i < hosts_.size(); ++i) {
    if (hosts_[i].address == address.with_port(0)) return i;
  }
  return std::nullopt;
}

void PeerRules::handle(RuleEvent event) {
  if (events_.size() >= kEventsMax) {
    full_ = true;
    return;
  }
  const auto later =
      std::upper_bound(events_.begin(), events_.end(), event.at,
                       [](Instant at, const RuleEvent& each) { return at < each.at; });
  events_.insert(later, std::move(event));
}

bool PeerRules::State::has_reason(std::size_t host, std::size_t against) const {
  if (host == against || away[host] || silent[host] || !away[against]) return false;
  if (reaches.contains({host, against})) return false;
  std::size_t voters = 0;
  for (std::size_t i = 0; i < away.size(); ++i) voters += !away[i] && !silent[i] ? 1 : 0;
  return 2 * voters > away.size();
}

// True: the event was a fact about a host.
bool PeerRules::apply(const RuleEvent& event, State& state) const {
  const auto host = index_of(event.host);
  if (!host) return false;
  switch (event.kind) {
    case Kind::kAway:
    case Kind::kBack:
      state.away[*host] = event.kind == Kind::kAway;
      std::erase_if(state.reaches, [&](const Pair& pair) { return pair.second == *host; });
      return true;
    case Kind::kReaches:
      if (const auto against = index_at(event.against)) state.reaches.emplace(*host, *against);
      return true;
    case Kind::kSilent:
    case Kind::kSpeaks:
      state.silent[*host] = event.kind == Kind::kSilent;
      return true;
    default:
      return false;
  }
}

PeerRules::State PeerRules::state_at_the_end() const {
  State state{.away = std::vector<bool>(hosts_.size()), .silent = std::vector<bool>(hosts_.size())};
  for (const auto& event : events_) apply(event, state);
  return state;
}

bool PeerRules::has_reason(std::string_view host, std::string_view against) const {
  const auto who = index_of(host);
  const auto whom = index_of(against);
  return who && whom && state_at_the_end().has_reason(*who, *whom);
}

PeerRules::Spans PeerRules::rules() const {
  Spans spans;
  for (const auto& event : events_) {
    if (event.kind != Kind::kStands && event.kind != Kind::kGone) continue;
    const auto host = index_of(event.host);
    const auto against = index_at(event.against);
    if (!host || !against) continue;
    auto& found = spans[{*host, *against}];
    const bool stands = !found.empty() && !found.back().end;
    if (event.kind == Kind::kStands && !stands) found.push_back({.begin = event.at, .end = {}});
    if (event.kind == Kind::kGone && stands) found.back().end = event.at;
  }
  return spans;
}

PeerRules::Spans PeerRules::reasons() const {
  Spans spans;
  State state{.away = std::vector<bool>(hosts_.size()), .silent = std::vector<bool>(hosts_.size())};
  for (const auto& event : events_) {
    if (!apply(event, state)) continue;
    for (std::size_t host = 0; host < hosts_.size(); ++host) {
      for (std::size_t against = 0; against < hosts_.size(); ++against) {
        auto& found = spans[{host, against}];
        const bool had = !found.empty() && !found.back().end;
        const bool has = state.has_reason(host, against);
        if (has && !had) found.push_back({.begin = event.at, .end = {}});
        if (!has && had) found.back().end = event.at;
      }
    }
  }
  return spans;
}

bool PeerRules::any_stands() const {
  for (const auto& [pair, spans] : rules()) {
    if (!spans.empty() && !spans.back().end) return true;
  }
  return false;
}

bool PeerRules::is_settled() const {
  const State state = state_at_the_end();
  const auto found = rules();
  for (std::size_t host = 0; host < hosts_.size(); ++host) {
    for (std::size_t against = 0; against < hosts_.size(); ++against) {
      const auto spans = found.find({host, against});
      const bool stands =
          spans != found.end() && !spans->second.empty() && !spans->second.back().end;
      if (stands != state.has_reason(host, against)) return false;
    }
  }
  return true;
}

RuleReport PeerRules::report(Instant begin, Instant end) const {
  RuleReport report;
  report.complete = !full_;
  for (const auto& event : events_) {
    if (event.kind == Kind::kLost && event.at >= begin && event.at < end) report.complete = false;
  }
  const auto rules = this->rules();
  const auto reasons = this->reasons();
  const auto until = [&](const Span& span) { return std::min(span.end.value_or(end), end); };

  // A stretch of a rule without a reason, from `from` to `to`.
  const auto count_stretch = [&](Instant from, Instant to) {
    if (to <= from) return;
    if (from >= begin)
      report.gone_after = std::max(report.gone_after.value_or(Duration(0)), to - from);
    const Instant outlived_at = from + kOutlivedAllowed;
    if (to > outlived_at && outlived_at >= begin) ++report.outlived;
  };
  for (const auto& [pair, spans] : rules) {
    int verdicts = 0;
    const auto why = reasons.find(pair);
    for (const auto& rule : spans) {
      if (rule.begin >= end) continue;
      ++verdicts;
      if (rule.end && *rule.end <= begin) continue;
      report.standing.push_back({.host = hosts_[pair.first].name,
                                 .against = hosts_[pair.second].name,
                                 .begin = std::max(Duration(0), rule.begin - begin),
                                 .end = until(rule) - begin});
      if (rule.begin >= begin) {
        ++report.begun;
        report.first = std::min(report.first.value_or(rule.begin - begin), rule.begin - begin);
      }
      Instant covered = rule.begin;
      if (why != reasons.end()) {
        for (const auto& reason : why->second) {
          if (reason.begin >= until(rule)) break;
          count_stretch(covered, reason.begin);
          covered = std::max(covered, until(reason));
          // It ended first, and with that in time.
          const bool ended_within = reason.end && *reason.end >= begin && *reason.end < end;
          if (ended_within && *reason.end > rule.begin && !report.gone_after) {
            report.gone_after = Duration(0);
          }
        }
      }
      count_stretch(covered, until(rule));
    }
    report.verdicts_most = std::max(report.verdicts_most, verdicts);
  }
  std::sort(report.standing.begin(), report.standing.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.host, a.against) < std::tie(b.begin, b.host, b.against);
  });
  for (const auto& each : report.standing) {
    std::set<std::string> at_once;
    for (const auto& other : report.standing) {
      if (other.host == each.host && other.begin <= each.begin && other.end > each.begin) {
        at_once.insert(other.against);
      }
    }
    report.against_most = std::max(report.against_most, static_cast<int>(at_once.size()));
  }

  // Until the last of those that had a reason at the window's end.
  Duration all{};
  bool any = false;
  bool missing = false;
  for (const auto& [pair, spans] : reasons) {
    const bool has = std::any_of(spans.begin(), spans.end(), [&](const auto& reason) {
      return reason.begin < end && (!reason.end || *reason.end >= end);
    });
    if (!has) continue;
    any = true;
    const auto found = rules.find(pair);
    bool stands = false;
    if (found != rules.end()) {
      for (const auto& rule : found->second) {
        if (rule.begin >= end || (rule.end && *rule.end < end)) continue;
        stands = true;
        all = std::max(all, rule.begin - begin);
      }
    }
    missing = missing || !stands;
  }
  if (any && !missing && report.begun > 0) report.all = all;
  return report;
}

}  // namespace nines::lab

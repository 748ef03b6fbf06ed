// The events of one instant are taken as one change: what is undone within it never was, so that
// two kernels' changes that were read together leave no span of no length behind.
#include "lab/ownership.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <tuple>
#include <utility>

#include "base/stable_sort.h"

namespace nines::lab {
namespace {

using Kind = OwnershipEvent::Kind;

struct Host {
  bool in_kernel = false;
  bool dead = false;
  bool cut = false;

  bool holds() const { return in_kernel && !dead; }
  bool within_reach() const { return holds() && !cut; }
};
using Hosts = std::map<std::string, Host>;

void apply(const OwnershipEvent& event, Hosts& hosts) {
  switch (event.kind) {
    case Kind::kBegan:
      // A new recorder tells anew what it finds; what was done to the hosts is still so.
      for (auto& [name, host] : hosts) host.in_kernel = false;
      return;
    case Kind::kHeld:
      hosts[event.host].in_kernel = true;
      return;
    case Kind::kReleased:
      hosts[event.host].in_kernel = false;
      return;
    case Kind::kDied:
      hosts[event.host].dead = true;
      return;
    case Kind::kReturned:
      hosts[event.host].dead = false;
      return;
    case Kind::kCut:
      hosts[event.host].cut = true;
      return;
    case Kind::kHealed:
      hosts[event.host].cut = false;
      return;
    case Kind::kLost:
    case Kind::kAnnounced:
    case Kind::kAnswered:
      return;
  }
}

std::vector<std::string> names_where(const Hosts& hosts, bool cut) {
  std::vector<std::string> names;
  for (const auto& [name, host] : hosts) {
    if (host.holds() && host.cut == cut) names.push_back(name);
  }
  return names;
}

// Measures how long something is so.
class Meter {
 public:
  void set(bool so, Instant at) {
    if (so == since_.has_value()) return;
    if (so) {
      since_ = at;
      return;
    }
    const Duration length = at - *since_;
    since_.reset();
    if (length <= Duration{}) return;
    ++spans_.count;
    spans_.total += length;
    spans_.longest = std::max(spans_.longest, length);
  }
  OwnershipSpans end(Instant at) {
    set(false, at);
    return spans_;
  }

 private:
  std::optional<Instant> since_;
  OwnershipSpans spans_;
};

// The story, with the announcements of one burst in one moment.
class Story {
 public:
  explicit Story(Instant begin) : begin_(begin) {}

  // Announcements of `host` soon after are told with it, unless it is one that holds no more.
  void tell(Instant at, const std::string& host, std::string what, bool may_announce = true) {
    moments_.push_back({.at = at,
                        .heard = at,
                        .host = host,
                        .what = std::move(what),
                        .may_announce = may_announce});
  }
  void announce(Instant at, const std::string& host) {
    // What another host did in between is no reason to begin anew: bursts of rivals interleave.
    for (auto moment = moments_.rbegin(); moment != moments_.rend(); ++moment) {
      if (moment->host != host) continue;
      if (at - moment->heard >= Ownership::kAnnouncementsApart || !moment->may_announce) break;
      moment->heard = at;
      ++moment->announced;
      return;
    }
    moments_.push_back({.at = at, .heard = at, .host = host, .what = {}, .announced = 1});
  }

  std::vector<OwnershipMoment> finish() const {
    std::vector<OwnershipMoment> result;
    for (const auto& moment : moments_) {
      if (result.size() + 1 == Ownership::kMomentsMax && moments_.size() > Ownership::kMomentsMax) {
        const std::size_t more = moments_.size() - result.size();
        result.push_back({moment.at - begin_, "and " + std::to_string(more) + " more"});
        break;
      }
      std::string what = moment.what;
      if (moment.announced > 0) {
        what += what.empty() ? moment.host + " announces x" : ", announced x";
        what += std::to_string(moment.announced);
      }
      result.push_back({moment.at - begin_, std::move(what)});
    }
    return result;
  }

 private:
  struct Moment {
    Instant at;
    Instant heard;  // the last of its announcements
    std::string host;
    std::string what;
    int announced = 0;
    bool may_announce = true;
  };
  Instant begin_;
  std::vector<Moment> moments_;
};

// One pass over a window's events, an instant at a time.
class Reader {
 public:
  Reader(Hosts hosts, Instant begin, OwnershipReport& report)
      : hosts_(std::move(hosts)), begin_(begin), report_(report), story_(begin) {
    for (const auto& [name, host] : hosts_) {
      if (host.holds()) {
        story_.tell(begin, name, name + (host.cut ? " holds behind the cut" : " holds"));
      }
    }
    if (names_where(hosts_, false).empty() && names_where(hosts_, true).empty()) {
      story_.tell(begin, {}, "nobody holds");
    }
    measure(begin);
  }

  void read(std::span<const OwnershipEvent> together) {
    const Instant at = together.front().at;
    const Hosts old = hosts_;
    for (const auto& event : together) {
      apply(event, hosts_);
      if (event.kind == Kind::kBegan || event.kind == Kind::kLost) {
        report_.complete = false;
        story_.tell(at, {},
                    event.kind == Kind::kBegan ? "the recorder begins"
                                               : "the recorder missed changes at " + event.host);
      }
      if (event.kind == Kind::kAnswered) ++report_.answered[event.host];
    }
    for (const auto& [name, host] : hosts_) {
      const auto found = old.find(name);
      tell_change(at, name, found == old.end() ? Host{} : found->second, host);
    }
    for (const auto& event : together) {
      if (event.kind != Kind::kAnnounced) continue;
      ++report_.announced[event.host];
      story_.announce(at, event.host);
      add_to_burst(at, event.host);
    }
    measure(at);
  }

  void finish(Instant end) {
    report_.nobody = nobody_.end(end);
    report_.overlap = overlap_.end(end);
    report_.overlap_with_cut_off = overlap_with_cut_off_.end(end);
    for (const auto& [name, since] : open_) close_holding(name, since, end);
    sort_stably(report_.holdings, [](const Holding& left, const Holding& right) {
      return std::tie(left.begin, left.host) < std::tie(right.begin, right.host);
    });
    report_.after = names_where(hosts_, false);
    report_.cut_off_after = names_where(hosts_, true);
    report_.timeline = story_.finish();
  }

 private:
  struct Since {
    Instant at;
    bool cut_off = false;
  };

  void tell_change(Instant at, const std::string& name, const Host& was, const Host& is) {
    const auto tell = [&](const char* what, bool holding) {
      story_.tell(at, name, name + what + (holding ? ", holding it" : ""), is.holds());
    };
    if (is.dead != was.dead) return tell(is.dead ? " dies" : " returns", was.holds() || is.holds());
    if (is.cut != was.cut) tell(is.cut ? " is cut off" : " is healed", was.holds() && is.holds());
    if (is.holds() == was.holds()) return;
    if (!is.holds()) return tell(" holds no longer", false);
    tell(is.cut ? " holds behind the cut" : " holds", false);
  }

  void add_to_burst(Instant at, const std::string& host) {
    const auto heard = last_announced_.find(host);
    const bool again =
        heard != last_announced_.end() && at - heard->second < Ownership::kAnnouncementsApart;
    last_announced_[host] = at;
    auto& bursts = report_.bursts;
    const auto same = std::find_if(bursts.rbegin(), bursts.rend(),
                                   [&](const auto& burst) { return burst.host == host; });
    if (again && same != bursts.rend()) {
      ++same->count;
    } else if (bursts.size() < Ownership::kMomentsMax) {
      bursts.push_back({host, at - begin_, 1});
    }
  }

  void measure(Instant at) {
    const auto within = std::count_if(hosts_.begin(), hosts_.end(),
                                      [](const auto& each) { return each.second.within_reach(); });
    const auto in_all = std::count_if(hosts_.begin(), hosts_.end(),
                                      [](const auto& each) { return each.second.holds(); });
    nobody_.set(within == 0, at);
    overlap_.set(within > 1, at);
    overlap_with_cut_off_.set(in_all > 1, at);
    for (const auto& [name, host] : hosts_) {
      const auto found = open_.find(name);
      if (found != open_.end()) {
        if (host.holds() && host.cut == found->second.cut_off) continue;
        close_holding(name, found->second, at);
        open_.erase(found);
      }
      if (host.holds()) open_.emplace(name, Since{at, host.cut});
    }
  }

  void close_holding(const std::string& name, const Since& since, Instant at) {
    if (at <= since.at) return;
    report_.holdings.push_back({name, since.at - begin_, at - begin_, since.cut_off});
  }

  Hosts hosts_;
  Instant begin_;
  OwnershipReport& report_;
  Story story_;
  Meter nobody_, overlap_, overlap_with_cut_off_;
  std::map<std::string, Since> open_;
  std::map<std::string, Instant> last_announced_;
};

bool is_of_an_address(Kind kind) {
  return kind == Kind::kHeld || kind == Kind::kReleased || kind == Kind::kAnnounced ||
         kind == Kind::kAnswered;
}

}  // namespace

void Ownership::handle(OwnershipEvent event) {
  if (is_of_an_address(event.kind) && event.address.with_port(0) != address_) return;
  if (events_.size() >= kEventsMax) {
    full_ = true;
    return;
  }
  // Nearly always at the end.
  const auto place =
      std::upper_bound(events_.begin(), events_.end(), event.at,
                       [](Instant at, const OwnershipEvent& other) { return at < other.at; });
  events_.insert(place, std::move(event));
}

OwnershipReport Ownership::report(Instant begin, Instant end) const {
  OwnershipReport report;
  Hosts hosts;
  bool began = false;
  auto next = events_.begin();
  for (; next != events_.end() && next->at < begin; ++next) {
    apply(*next, hosts);
    began = began || next->kind == Kind::kBegan;
  }
  report.complete = began && !full_;
  report.before = names_where(hosts, false);
  report.cut_off_before = names_where(hosts, true);

  Reader reader(std::move(hosts), begin, report);
  while (next != events_.end() && next->at < end) {
    const auto last = std::find_if(next, events_.end(),
                                   [at = next->at](const auto& event) { return event.at != at; });
    reader.read({next, last});
    next = last;
  }
  reader.finish(end);
  return report;
}

std::string render_holders(std::span<const std::string> hosts) {
  if (hosts.empty()) return "nobody";
  std::string text;
  for (const auto& host : hosts) text += (text.empty() ? "" : "+") + host;
  return text;
}

std::string render_timeline(const OwnershipReport& report) {
  std::string text;
  for (const auto& moment : report.timeline) {
    std::array<char, 32> at;
    std::snprintf(at.data(), at.size(), "%+.3f ", static_cast<double>(moment.at.count()) / 1e9);
    if (!text.empty()) text += "; ";
    text += at.data() + moment.what;
  }
  return text;
}

}  // namespace nines::lab

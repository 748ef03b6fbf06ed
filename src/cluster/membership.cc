// The view of one node. A link counts when it works both ways; a peer is suspected when no link
// counts; it is gone when most of those who are still heard suspect it as well.
#include "cluster/membership.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "base/check.h"

namespace nines::cluster {
namespace {

constexpr double kSmoothing = 1.0 / 16;
constexpr std::uint64_t kStepsMax = 1'000'000;  // heartbeats missed at once; more count as that
constexpr Duration kIntervalMin = std::chrono::milliseconds(1);
constexpr Duration kIntervalMax = std::chrono::seconds(10);

Duration smoothed(Duration before, Duration sample) {
  return before + Duration((sample - before).count() / 16);
}

Duration distance(Duration a, Duration b) { return a > b ? a - b : b - a; }

// So many heartbeats in a row are lost on a sound link like this one less often than kDoubt.
int missed_in_a_row(double loss) {
  return static_cast<int>(
      std::ceil(std::log(Membership::kDoubt) / std::log(std::clamp(loss, 0.001, 0.9))));
}

}  // namespace

std::string_view name_of(Presence presence) {
  switch (presence) {
    case Presence::kUnknown:
      return "unknown";
    case Presence::kJoining:
      return "joining";
    case Presence::kMember:
      return "member";
    case Presence::kSuspect:
      return "suspect";
    case Presence::kGone:
      return "gone";
  }
  return "unknown";
}

std::string_view name_of(Standing standing) {
  switch (standing) {
    case Standing::kServing:
      return "serving";
    case Standing::kMaintenance:
      return "maintenance";
    case Standing::kLeaving:
      return "leaving";
  }
  return "unknown";
}

Result<Membership> Membership::create(MembershipOptions options) {
  const auto invalid = [](std::string what) { return Error(ErrorCode::kInvalid, std::move(what)); };
  const auto plain = [](Duration time) { return std::to_string(milliseconds_of(time)) + " ms"; };
  if (options.self < 1 || options.self > kNodeIdMax) {
    return invalid("node number " + std::to_string(options.self) + " is not 1 to " +
                   std::to_string(kNodeIdMax));
  }
  if (options.networks < 1 || options.networks > kNetworksMax) {
    return invalid(std::to_string(options.networks) + " networks are not 1 to " +
                   std::to_string(kNetworksMax));
  }
  if (options.interval < kIntervalMin || options.interval > kIntervalMax) {
    return invalid("heartbeats each " + plain(options.interval) + " are not each " +
                   plain(kIntervalMin) + " to " + plain(kIntervalMax));
  }
  if (options.silence_min < 2 * options.interval || options.silence_max < options.silence_min) {
    return invalid("silence allowed from " + plain(options.silence_min) + " to " +
                   plain(options.silence_max) + " is not at least two intervals of " +
                   plain(options.interval) + ", and rising");
  }
  if (options.steady < 0ns) return invalid("the time of being steady is negative");
  options.peers.remove(options.self);
  return Membership(options);
}

Membership::Membership(MembershipOptions options) : options_(options) {
  options_.peers.for_each([&](NodeId node) {
    Peer peer;
    peer.node = node;
    peers_.push_back(peer);
  });
}

void Membership::handle(const MembershipEvent& event, Instant now, MembershipEffects& out) {
  if (const auto* const departing = std::get_if<membership_event::Departing>(&event)) {
    return on(*departing, now, out);
  }
  if (started_) notice_stall(now);
  std::visit([&](const auto& each) { on(each, now, out); }, event);
  if (!started_) return;
  judge(now, out);
  send_due(now, out);
}

void Membership::on(const membership_event::Start& start, Instant now, MembershipEffects&) {
  CHECK(!started_ && start.incarnation != 0);
  started_ = true;
  incarnation_ = start.incarnation;
  for (Peer& peer : peers_) peer.beat_at = now;
}

void Membership::on(const membership_event::Stand& stand, Instant now, MembershipEffects&) {
  standing_ = stand.standing;
  hurry(now);  // others hear of it at once
}

// After a stall the timer comes first: it is what notices.
void Membership::on(const membership_event::Departing& departing, Instant now,
                    MembershipEffects& out) {
  Peer* const peer = find(departing.to);
  if (!started_ || peer == nullptr || is_late(now)) return;
  if (peer->beat_at - now <= options_.interval / 2 + kCompanyWait) send_to(*peer, now, out);
}

void Membership::on(const membership_event::Heard& heard, Instant now, MembershipEffects& out) {
  Peer* const peer = find(heard.from);
  if (!started_ || peer == nullptr || heard.network < 0 || heard.network >= options_.networks) {
    return;
  }
  const Heartbeat& heartbeat = heard.heartbeat;
  Link& link = peer->links[static_cast<std::size_t>(heard.network)];
  const bool is_new_life = link.begun && link.incarnation != heartbeat.incarnation;
  if (is_new_life) {
    const std::uint64_t sent = link.sequence_sent;
    link = Link{};
    link.sequence_sent = sent;
  } else if (link.begun && heartbeat.sequence <= link.sequence_heard) {
    return;  // late or repeated: it says nothing new
  }
  measure(link, heartbeat, now);
  peer->incarnation = heartbeat.incarnation;
  peer->hears = heartbeat.hears;
  peer->suspects = heartbeat.suspects;
  peer->strain = heartbeat.strain;
  if (peer->standing != heartbeat.standing) {
    peer->standing = heartbeat.standing;
    out.push_back(membership_effect::Changed{peer->node, peer->presence, peer->standing});
  }
  // Whoever says that it leaves needs no verdict.
  const bool counts = peer->presence != Presence::kUnknown && peer->presence != Presence::kGone;
  if (peer->standing == Standing::kLeaving && counts) enter(*peer, Presence::kGone, now, out);
}

// Late timers are our own fault, or our host's: whoever cannot keep time must not judge others.
void Membership::notice_stall(Instant now) {
  if (!is_late(now)) return;
  strain_ = std::min(kStrainMax, strain_ + 1);
  calm_ = 0;
  // What others sent meanwhile waits to be read.
  trust_others_until_ = now + options_.silence_min;
}

bool Membership::is_late(Instant now) const {
  return std::any_of(peers_.begin(), peers_.end(),
                     [&](const Peer& peer) { return now - peer.beat_at >= options_.interval; });
}

void Membership::measure(Link& link, const Heartbeat& heartbeat, Instant now) {
  // A cut is not loss, and what waited for us while we were stopped says nothing of the link; nor
  // does what is missing between that and the first heartbeat since: our sockets had no room for
  // it.
  const bool is_usual = link.begun && hears(link, now) && link.heard_at >= trust_others_until_;
  if (is_usual) {
    const std::uint64_t steps = std::min(heartbeat.sequence - link.sequence_heard, kStepsMax);
    const Duration each = (now - link.heard_at) / static_cast<std::int64_t>(steps);
    const double lost = 1.0 - 1.0 / static_cast<double>(steps);
    link.loss += (lost - link.loss) * std::min(1.0, kSmoothing * static_cast<double>(steps));
    link.missed_max = missed_in_a_row(link.loss);
    if (link.interval == 0ns) link.interval = each;
    link.jitter = smoothed(link.jitter, distance(each, link.interval));
    link.interval = smoothed(link.interval, each);
  }
  link.begun = true;
  link.incarnation = heartbeat.incarnation;
  link.sequence_heard = heartbeat.sequence;
  link.heard_at = now;
  link.their_sent_at = heartbeat.sent_at;
  // An echo of our own clock's reading: nothing from before our start, nothing from the future.
  if (heartbeat.echo_incarnation != incarnation_ || heartbeat.echo_sequence == 0) return;
  if (heartbeat.echo_sequence > link.sequence_sent) return;
  if (heartbeat.echo_sent_at > now || heartbeat.echo_sent_at <= link.echo_sent_at) return;
  link.echo_sent_at = heartbeat.echo_sent_at;
  // Not reckoned by the usual round trip: what waited while the peer was stopped came back after
  // seconds, and would let a link count as sound for as long.
  link.arrives_until = std::max(link.echo_sent_at, now - std::max(heartbeat.echo_held, 0ns));
  const Duration trip = now - heartbeat.echo_sent_at - heartbeat.echo_held;
  if (heartbeat.echo_held < 0ns || trip < 0ns) return;
  link.round_trip = link.round_trip == 0ns ? trip : smoothed(link.round_trip, trip);
}

Duration Membership::allowed(const Link& link) const {
  const Duration interval = std::max(link.interval, options_.interval);
  const Duration usual = std::max(link.missed_max, kMissedMin) * interval + 6 * link.jitter;
  const Duration patient = std::max(usual, options_.silence_min) * (1 + strain_);
  return std::min(patient, options_.silence_max);
}

bool Membership::hears(const Link& link, Instant now) const {
  return link.begun && now - link.heard_at <= allowed(link);
}

// Our own heartbeats come back as echoes, an interval later at most.
bool Membership::is_heard(const Link& link, Instant now) const {
  return link.echo_sent_at.nanoseconds != 0 &&
         now - link.arrives_until <= allowed(link) + std::max(link.interval, options_.interval);
}

bool Membership::is_up(const Peer& peer, Instant now) const {
  return std::any_of(peer.links.begin(), peer.links.begin() + options_.networks,
                     [&](const Link& link) { return hears(link, now) && is_heard(link, now); });
}

void Membership::judge(Instant now, MembershipEffects& out) {
  judge_at_ = now + options_.interval + kCompanyWait;
  NodeSet hears_now, suspects_now;
  for (const Peer& peer : peers_) {
    if (is_up(peer, now)) {
      hears_now.add(peer.node);
    } else if (now < trust_others_until_ && hears_.contains(peer.node)) {
      hears_now.add(peer.node);
    } else if (peer.presence != Presence::kUnknown) {
      suspects_now.add(peer.node);
    }
  }
  // What is seen is told at once, for others wait for it with their verdict.
  if (suspects_now != suspects_ || hears_now != hears_) hurry(now);
  hears_ = hears_now;
  suspects_ = suspects_now;
  isolated_ = hears_.empty() && !peers_.empty();
  for (Peer& peer : peers_) {
    const bool up = hears_.contains(peer.node);
    switch (peer.presence) {
      case Presence::kUnknown:
      case Presence::kGone:
        if (!up || peer.standing == Standing::kLeaving) break;
        peer.heard_since = now;
        enter(peer, Presence::kJoining, now, out);
        break;
      case Presence::kJoining:
        if (!up) {
          enter(peer, Presence::kGone, now, out);
        } else if (now - peer.heard_since >= options_.steady) {
          enter(peer, Presence::kMember, now, out);
        }
        break;
      case Presence::kMember:
        if (!up) enter(peer, Presence::kSuspect, now, out);
        break;
      case Presence::kSuspect:
        if (up) enter(peer, Presence::kMember, now, out);
        break;
    }
    if (peer.presence != Presence::kSuspect || isolated_) continue;
    if (is_majority(suspecting(peer.node), observers_of(peer.node))) {
      enter(peer, Presence::kGone, now, out);
    }
  }
}

void Membership::enter(Peer& peer, Presence presence, Instant now, MembershipEffects& out) {
  const Presence before = std::exchange(peer.presence, presence);
  peer.since = now;
  out.push_back(membership_effect::Changed{peer.node, presence, peer.standing});
  const auto conclude = [&](Finding finding) {
    out.push_back(membership_effect::Concluded{verdict_on(peer, finding, now)});
  };
  if (presence == Presence::kSuspect) conclude(Finding::kSuspect);
  if (presence == Presence::kGone) conclude(Finding::kGone);
  const bool was_missed = before == Presence::kSuspect || before == Presence::kGone;
  if (was_missed && (presence == Presence::kJoining || presence == Presence::kMember)) {
    conclude(Finding::kBack);
  }
}

NodeVerdict Membership::verdict_on(const Peer& peer, Finding finding, Instant now) const {
  NodeVerdict verdict;
  verdict.node = peer.node;
  verdict.finding = finding;
  verdict.at = now;
  verdict.incarnation = peer.incarnation;
  verdict.leaves = peer.standing == Standing::kLeaving;
  verdict.suspected_by = suspecting(peer.node);
  verdict.observers = observers_of(peer.node);
  verdict.networks = options_.networks;
  bool heard = false;
  for (int network = 0; network < options_.networks; ++network) {
    const Link& link = peer.links[static_cast<std::size_t>(network)];
    LinkEvidence& evidence = verdict.links[static_cast<std::size_t>(network)];
    evidence.ever_heard = link.begun;
    evidence.silence_allowed = allowed(link);
    if (!link.begun) continue;
    evidence.hears = hears(link, now);
    evidence.is_heard = is_heard(link, now);
    evidence.silence = now - link.heard_at;
    verdict.silence = heard ? std::min(verdict.silence, evidence.silence) : evidence.silence;
    heard = true;
  }
  return verdict;
}

// Ourselves and those whom we hear, except the one in question.
NodeSet Membership::observers_of(NodeId node) const {
  NodeSet observers = hears_;
  observers.add(options_.self);
  observers.remove(node);
  return observers;
}

NodeSet Membership::suspecting(NodeId node) const {
  NodeSet suspecting;
  if (suspects_.contains(node)) suspecting.add(options_.self);
  hears_.for_each([&](NodeId other) {
    if (other != node && find(other)->suspects.contains(node)) suspecting.add(other);
  });
  return suspecting;
}

// Those who never heard it, and so do not suspect it, among them.
NodeSet Membership::not_hearing(NodeId node) const {
  NodeSet not_hearing;
  if (!hears_.contains(node)) not_hearing.add(options_.self);
  hears_.for_each([&](NodeId other) {
    if (other != node && !find(other)->hears.contains(node)) not_hearing.add(other);
  });
  return not_hearing;
}

void Membership::hurry(Instant now) {
  for (Peer& peer : peers_) peer.beat_at = std::min(peer.beat_at, now);
}

void Membership::send_due(Instant now, MembershipEffects& out) {
  for (Peer& peer : peers_) {
    if (now >= peer.beat_at) send_to(peer, now, out);
  }
}

void Membership::send_to(Peer& peer, Instant now, MembershipEffects& out) {
  const bool in_time = now - peer.beat_at < options_.interval;
  if (&peer == &peers_.front() && in_time && ++calm_ >= kCalmHeartbeats) {
    calm_ = 0;
    strain_ = std::max(0, strain_ - 1);
  }
  peer.beat_at = now + options_.interval + kCompanyWait;
  for (int network = 0; network < options_.networks; ++network) {
    Link& link = peer.links[static_cast<std::size_t>(network)];
    Heartbeat heartbeat;
    heartbeat.incarnation = incarnation_;
    heartbeat.sequence = ++link.sequence_sent;
    heartbeat.sent_at = now;
    if (link.begun) {
      heartbeat.echo_sequence = link.sequence_heard;
      heartbeat.echo_incarnation = link.incarnation;
      heartbeat.echo_sent_at = link.their_sent_at;
      heartbeat.echo_held = now - link.heard_at;
    }
    heartbeat.standing = standing_;
    heartbeat.strain = static_cast<std::uint8_t>(strain_);
    heartbeat.hears = hears_;
    heartbeat.suspects = suspects_;
    out.push_back(membership_effect::Send{peer.node, network, heartbeat});
  }
}

std::optional<Instant> Membership::deadline() const {
  if (!started_ || peers_.empty()) return std::nullopt;
  // Where all heartbeats ride on something, none is due by itself; silence has to be noticed still.
  Instant earliest = judge_at_;
  for (const Peer& peer : peers_) earliest = std::min(earliest, peer.beat_at);
  return earliest;
}

Membership::Peer* Membership::find(NodeId node) {
  const auto found = std::find_if(peers_.begin(), peers_.end(),
                                  [&](const Peer& peer) { return peer.node == node; });
  return found == peers_.end() ? nullptr : &*found;
}
const Membership::Peer* Membership::find(NodeId node) const {
  return const_cast<Membership*>(this)->find(node);
}

Presence Membership::presence(NodeId node) const {
  const Peer* const peer = find(node);
  return peer == nullptr ? Presence::kUnknown : peer->presence;
}

NodeSet Membership::members() const {
  NodeSet members;
  if (!isolated_) members.add(options_.self);
  for (const Peer& peer : peers_) {
    if (peer.presence == Presence::kMember || peer.presence == Presence::kSuspect) {
      members.add(peer.node);
    }
  }
  return members;
}

std::vector<PeerStatus> Membership::status(Instant now) const {
  std::vector<PeerStatus> all;
  for (const Peer& peer : peers_) {
    PeerStatus status;
    status.node = peer.node;
    status.incarnation = peer.incarnation;
    status.since = peer.since;
    status.presence = peer.presence;
    status.standing = peer.standing;
    status.strain = peer.strain;
    status.observers = observers_of(peer.node);
    status.suspected_by = suspecting(peer.node);
    status.unheard_by = not_hearing(peer.node);
    for (int network = 0; network < options_.networks; ++network) {
      const Link& link = peer.links[static_cast<std::size_t>(network)];
      LinkStatus& seen = status.links[static_cast<std::size_t>(network)];
      seen.ever_heard = link.begun;
      seen.hears = hears(link, now);
      seen.is_heard = is_heard(link, now);
      seen.round_trip = link.round_trip;
      seen.jitter = link.jitter;
      seen.loss = link.loss;
      seen.silence = link.begun ? now - link.heard_at : Duration{};
      seen.silence_allowed = allowed(link);
    }
    all.push_back(status);
  }
  return all;
}

}  // namespace nines::cluster

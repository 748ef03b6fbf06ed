// The world's mechanics, and its checks: each opening of a guard is held against all other guards
// at that true instant, and each grant's epoch against all before it.
#include "cluster/lease_world.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <sstream>

namespace nines::cluster {
namespace {

constexpr std::int64_t kMillion = 1'000'000;
constexpr int kRateErrorPpmMax = 100'000;
constexpr Duration kLatenessMax = std::chrono::milliseconds(10);  // of the kernel's timeouts
constexpr Duration kLongest = LeaseWorld::kWriterTerm;
constexpr Duration kSteady = std::chrono::milliseconds(700);  // without losing an owner

std::string text_of(Epoch epoch) {
  return std::to_string(epoch >> 8) + "." + std::to_string(epoch & 0xff);
}

std::string text_of(NodeSet nodes) {
  std::string text;
  nodes.for_each([&](NodeId node) { text += (text.empty() ? "" : ",") + std::to_string(node); });
  return "{" + text + "}";
}

struct Describe {
  std::string operator()(const message::Proposal& m) const {
    return (m.phase == Phase::kPrepare ? "prepare " : "accept ") + text_of(m.ballot.value) +
           " round " + std::to_string(m.round & 0xffff) + " names " +
           std::to_string(m.names.size()) + " generation " + std::to_string(m.generation);
  }
  std::string operator()(const message::Votes& m) const {
    std::string text = (m.phase == Phase::kPrepare ? "promise " : "accepted ") +
                       text_of(m.ballot.value) + " round " + std::to_string(m.round & 0xffff);
    if (m.refusal != message::Refusal::kNone) {
      text += " refused " + std::to_string(static_cast<int>(m.refusal));
    }
    for (const message::Vote& vote : m.votes) {
      constexpr std::array<const char*, 4> kWords = {"yes", "busy", "outbid", "full"};
      text += std::string(" ") + kWords[static_cast<std::size_t>(vote.verdict)];
    }
    return text;
  }
  std::string operator()(const message::Release& m) const {
    return "release " + text_of(m.ballot.value) + (m.successor != 0 ? " to n" : "") +
           (m.successor != 0 ? std::to_string(m.successor) : std::string());
  }
  std::string operator()(const message::LearnAsk&) const { return "asks to learn"; }
  std::string operator()(const message::LearnAnswer& m) const {
    return std::string(m.warm ? "" : "cold, ") + "teaches counter " + std::to_string(m.counter) +
           " generation " + std::to_string(m.generation.number);
  }
  std::string operator()(const message::ChangeProposal& m) const {
    return std::string(m.phase == Phase::kPrepare ? "prepare" : "accept") + " generation " +
           std::to_string(m.next.number) + " " + text_of(m.next.voters);
  }
  std::string operator()(const message::ChangeVote& m) const {
    return std::string("votes ") + (m.yes ? "yes" : "no") + " on generation " +
           std::to_string(m.number);
  }
  std::string operator()(const message::GenerationNews& m) const {
    return "news: generation " + std::to_string(m.generation.number) + " " +
           text_of(m.generation.voters);
  }
  std::string operator()(const message::GenerationAdopted& m) const {
    return "adopted generation " + std::to_string(m.number);
  }
};

void put(std::ostringstream& out, const char* text) { out << text; }
void put(std::ostringstream& out, const std::string& text) { out << text; }
void put(std::ostringstream& out, Duration time) {
  out << static_cast<double>(time.count()) / 1e6 << " ms";
}
void put(std::ostringstream& out, std::uint64_t number) { out << number; }

}  // namespace

const char* name_of(Plant plant) {
  switch (plant) {
    case Plant::kNone:
      return "none";
    case Plant::kClockStandsInPauses:
      return "a clock that stands still in pauses";
    case Plant::kMarkOnlyInMemory:
      return "the epochs' mark kept only in memory";
    case Plant::kNodeCountedTwice:
      return "a node counted twice";
    case Plant::kPromisesForgotten:
      return "promises forgotten at restart";
    case Plant::kGuardWithoutLease:
      return "a guard renewed without the lease";
    case Plant::kGuardFromOldClock:
      return "a guard opened by an old clock";
    case Plant::kShutIgnored:
      return "a dead process's guard left open";
    case Plant::kSendBeforeKeep:
      return "answers sent before the promise is kept";
    case Plant::kBootNotNoticed:
      return "a boot that is not noticed";
    case Plant::kWordHalfWritten:
      return "a word of which the disk keeps only half";
    case Plant::kNamedNodesLive:
      return "a word that names nodes which live";
  }
  return "unknown";
}

struct LeaseWorld::Host {
  NodeId id = 0;
  std::optional<Lease> machine;
  bool powered = true;
  bool paused = false;
  bool kept_off = false;  // switched off by somebody who may tell others so
  std::uint64_t life = 0;
  std::uint64_t wake = 0;
  std::optional<Instant> armed;
  std::deque<std::pair<NodeId, Message>> inbox;
  std::deque<LeaseEffect> pending;
  std::optional<LeasePromises> promises;
  std::optional<LeaseDisk> disk;
  std::map<Name, Guard> guards;
  Instant local_base{}, true_base{};
  std::int64_t rate_ppm = 0;
  Instant paused_since{};
  Duration paused_total{};
};

struct LeaseWorld::Event {
  enum class Kind : std::uint8_t { kMessage, kTimer, kDisk, kResume, kRestart, kGuard, kEffects };
  Instant at{};
  std::uint64_t order = 0;
  Kind kind = Kind::kMessage;
  NodeId host = 0;
  NodeId from = 0;
  std::uint64_t life = 0;  // or the wake's number
  std::uint64_t sequence = 0;
  std::shared_ptr<const Message> message;  // shared by a message and its repetition
  std::shared_ptr<const LeaseDisk> disk;
};

struct LeaseWorld::Later {
  bool operator()(const Event& a, const Event& b) const {
    return a.at != b.at ? a.at > b.at : a.order > b.order;
  }
};

template <typename... Parts>
void LeaseWorld::note(const Host* host, const Parts&... parts) {
  if (!tracing_) return;
  std::ostringstream out;
  char at[32];
  std::snprintf(at, sizeof at, "%12.6f  ", static_cast<double>((now_ - begun_).count()) / 1e9);
  out << at;
  if (host != nullptr) out << "n" << static_cast<int>(host->id) << " ";
  (put(out, parts), ...);
  trace_.push_back(out.str());
}

LeaseWorld::LeaseWorld(std::uint64_t seed, Plant plant, bool tracing, Words words, Members members)
    : rng_(seed), plant_(plant), truth_(words), members_(members), tracing_(tracing) {
  struct Shape {
    int hosts, voters;
  };
  constexpr std::array<Shape, 6> kShapes = {{{3, 3}, {3, 3}, {5, 5}, {5, 3}, {7, 7}, {4, 3}}};
  const Shape shape =
      members == Members::kTwoAndWitness ? Shape{3, 3} : kShapes[rng_.below(kShapes.size())];
  Generation first{1, {}, {}, 0};
  NodeSet all;
  for (int i = 1; i <= shape.hosts; ++i) {
    if (i <= shape.voters) first.voters.add(static_cast<NodeId>(i));
    all.add(static_cast<NodeId>(i));
  }
  voters_ = first.voters;
  names_ = {11, 12, 13};
  cut_.assign(static_cast<std::size_t>(shape.hosts) + 1,
              std::vector<bool>(static_cast<std::size_t>(shape.hosts) + 1));
  for (int i = 1; i <= shape.hosts; ++i) {
    hosts_.push_back(std::make_unique<Host>());
    Host& host = *hosts_.back();
    host.id = static_cast<NodeId>(i);
    host.true_base = now_;
    host.local_base = Instant{static_cast<std::int64_t>(rng_.below(1'000'000'000'000'000))};
    set_rate(host,
             static_cast<std::int64_t>(rng_.below(2 * kRateErrorPpmMax + 1)) - kRateErrorPpmMax);
    // As the operator's command leaves it before the first start of all.
    host.disk = LeaseDisk{0, first, {}, kLongest, {}, {}};
  }
  for (auto& host : hosts_) begin(*host);
}

LeaseWorld::~LeaseWorld() = default;

std::string LeaseWorld::run() {
  run_until(now_ + 300ms);
  chaos();
  if (violation_.empty()) heal();
  if (violation_.empty()) wait_for_owners();
  if (violation_.empty() && words_ > 0) wait_for_voters();
  if (violation_.empty() && members_ == Members::kTwoAndWitness) lose_one_of_three();
  return violation_;
}

// -- the schedule of faults -----------------------------------------------------------------------

void LeaseWorld::chaos() {
  const bool is_long = rng_.chance(0.004);
  const Duration mean = is_long ? 5s : between(30ms, 400ms);
  const Instant end = now_ + (is_long ? between(1min, 4min) : between(500ms, 4s));
  stall_ = rng_.chance(0.5) ? 0.002 : 0;
  theme_ = static_cast<Theme>(rng_.below(4));
  // Only words can show these.
  if (plant_ == Plant::kBootNotNoticed || plant_ == Plant::kWordHalfWritten ||
      plant_ == Plant::kNamedNodesLive) {
    theme_ = Theme::kWords;
  }
  while (now_ < end && violation_.empty()) {
    fault();
    run_until(now_ + between(1ms, 2 * mean));
  }
}

void LeaseWorld::fault() {
  if (theme_ == Theme::kVoters && rng_.chance(0.5)) {
    change_voters();
    return;
  }
  if (theme_ == Theme::kWords && rng_.chance(0.4)) {
    rng_.chance(0.6) ? switch_off_and_grant() : readmit();
    return;
  }
  Host& host = any();
  Host& other = any();
  switch (rng_.below(19)) {
    case 0:
      pause(host, between(10ms, 300ms));
      break;
    case 1:
      pause(host, between(50ms, 5s));
      break;
    case 2:
      pause(host, rng_.chance(0.1) ? between(10s, 3min) : between(80ms, 200ms));
      break;
    case 3:
      kill(host, between(1ms, 60ms));
      break;
    case 4:
      kill(host, between(1ms, 2s));
      break;
    case 5:
      power_cut(host, between(20ms, 1500ms));
      break;
    case 6:
      // Every voter at once, or nearly.
      if (rng_.chance(0.3)) {
        for (auto& each : hosts_) {
          if (rng_.chance(0.9)) power_cut(*each, between(20ms, 800ms));
        }
      }
      break;
    case 7: {
      const bool sound = std::all_of(hosts_.begin(), hosts_.end(),
                                     [](const auto& each) { return each->disk.has_value(); });
      // What a survivor did alone, by the operator's word, its disk alone knows.
      const bool by_word = std::any_of(hosts_.begin(), hosts_.end(), [](const auto& each) {
        return each->kept_off || !each->disk || each->disk->generation.voters.size() < 3;
      });
      if (!sound || by_word) break;
      power_cut(host, between(20ms, 500ms));
      note(&host, "lost its disk");
      host.disk.reset();
      break;
    }
    case 8:
    case 9:
      cut_[host.id][other.id] = !cut_[host.id][other.id];
      note(&host, cut_[host.id][other.id] ? "is cut off, one way, from n" : "is heard again by n",
           std::uint64_t{other.id});
      break;
    case 10: {  // a clean partition
      std::vector<bool> side;
      for (std::size_t i = 0; i <= hosts_.size(); ++i) side.push_back(rng_.chance(0.5));
      for (std::size_t i = 1; i <= hosts_.size(); ++i) {
        for (std::size_t j = 1; j <= hosts_.size(); ++j) cut_[i][j] = side[i] != side[j];
      }
      note(nullptr, "the network is partitioned");
      break;
    }
    case 11:
      for (auto& row : cut_) std::fill(row.begin(), row.end(), false);
      note(nullptr, "all links are whole");
      break;
    case 12:
      loss_ = rng_.chance(0.5) ? 0 : 0.5 * static_cast<double>(rng_.below(100)) / 100;
      duplication_ = rng_.chance(0.5) ? 0 : 0.3;
      delayed_ = rng_.chance(0.6) ? 0 : 0.05;
      note(nullptr, "loss is now ", static_cast<std::uint64_t>(loss_ * 100), " %");
      break;
    case 13:
      delay_max_ = rng_.chance(0.5) ? 400us : between(1ms, 40ms);
      note(nullptr, "messages take up to ", delay_max_);
      break;
    case 14:
      set_rate(host,
               static_cast<std::int64_t>(rng_.below(2 * kRateErrorPpmMax + 1)) - kRateErrorPpmMax);
      break;
    case 15: {
      const Name name = names_[rng_.below(names_.size())];
      if (rng_.chance(0.3)) {
        const bool wanted = rng_.chance(0.7);
        const Duration patience = between(0ms, 30ms);
        if (!is_witness(host)) handle(host, lease_event::Want{name, wanted, patience});
      } else {
        for (auto& each : hosts_) {
          if (!each->machine || each->paused) continue;
          if (each->machine->held(name, machine_time(*each))) {
            note(each.get(), "is told to hand over name ", name, " to n", std::uint64_t{other.id});
            ++tally_.hand_overs;
            handle(*each, lease_event::HandOver{name, other.id});
          }
        }
      }
      break;
    }
    case 16:
      change_voters();
      break;
    case 17:
      if (rng_.chance(truth_ == Words::kFalse ? 1 : 0.5)) switch_off_and_grant();
      break;
    case 18: {  // of any truth
      NodeSet absent;
      for (auto& each : hosts_) {
        if (rng_.chance(0.5)) absent.add(each->id);
      }
      if (host.machine && !host.paused) handle(host, lease_event::Absent{absent});
      break;
    }
  }
}

void LeaseWorld::change_voters() {
  Host& host = any();
  if (!host.machine || host.paused) return;
  NodeSet voters = host.machine->status(machine_time(host)).generation.voters;
  const Host& other = any();
  if (voters.contains(other.id)) {
    if (voters.size() <= 3) return;
    voters.remove(other.id);
  } else {
    voters.add(other.id);
  }
  note(&host, "is told to change the voters to ", text_of(voters));
  handle(host, lease_event::ChangeVoters{voters});
}

// Truly off first, told only then; and off until the word counts.
void LeaseWorld::switch_off_and_grant() {
  if (truth_ == Words::kFalse || plant_ == Plant::kNamedNodesLive) return grant_falsely();
  // While somebody has yet to learn, the others are what it must learn from: off, they are missed
  // for good, and only the operator can help.
  if (std::any_of(hosts_.begin(), hosts_.end(), [](const auto& each) { return !each->disk; })) {
    return;
  }
  NodeSet off;
  const std::size_t most = 1 + rng_.below(hosts_.size() - 1);
  for (std::size_t i = 0; i < most; ++i) {
    Host& host = any();
    if (off.size() + 1 >= static_cast<int>(hosts_.size())) break;
    power_cut(host, Duration{});
    host.kept_off = true;
    off.add(host.id);
  }
  for (auto& host : hosts_) {
    if (host->kept_off) off.add(host->id);
  }
  if (rng_.chance(0.2)) return;
  note(nullptr, "the operator's word: switched off are ", text_of(off));
  // Mostly to one; sometimes two operators help.
  const bool to_several = rng_.chance(0.2);
  ++words_;
  bool is_told = false;
  for (auto& host : hosts_) {
    if (!host->machine || host->paused || (is_told && !to_several) || !rng_.chance(0.7)) continue;
    handle(*host, lease_event::Grant{off, words_});
    is_told = true;
  }
}

// To one that hears none of the others; they live.
void LeaseWorld::grant_falsely() {
  Host& host = any();
  if (!host.machine || host.paused || !host.disk) return;
  NodeSet named;
  for (const auto& other : hosts_) {
    if (other->id == host.id) continue;
    named.add(other->id);
    cut_[host.id][other->id] = cut_[other->id][host.id] = true;
  }
  if (truth_ == Words::kFalse) one_holder_ = false;
  note(&host, "is told, falsely, that ", text_of(named), " are switched off");
  handle(host, lease_event::Grant{named, ++words_});
}

bool LeaseWorld::has_pending_word() const {
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const auto& host) {
    if (host->disk && !host->disk->awaited.empty()) return true;
    return host->machine && host->machine->status(machine_time(*host)).word_pending;
  });
}

// Power comes back whatever the network does. But who once went on alone himself, and was said to
// be off afterwards, comes back only where he can hear of it.
void LeaseWorld::readmit() {
  if (has_pending_word()) return;
  for (auto& host : hosts_) {
    if (!host->kept_off || !host->disk || !host->disk->off.empty()) continue;
    if (rng_.chance(0.2)) continue;
    note(host.get(), "is switched on again");
    host->kept_off = false;
    begin(*host);
  }
}

void LeaseWorld::heal() {
  note(nullptr, "all faults end");
  for (auto& row : cut_) std::fill(row.begin(), row.end(), false);
  loss_ = duplication_ = delayed_ = stall_ = 0;
  delay_max_ = 400us;
  for (auto& host : hosts_) {
    resume(*host);
    if (host->kept_off) continue;
    host->powered = true;
    if (!host->machine) begin(*host);
  }
  let_words_count();
  for (auto& host : hosts_) {
    host->kept_off = false;
    if (!host->machine) begin(*host);
    if (is_witness(*host)) continue;
    for (const Name name : names_) {
      handle(*host, lease_event::Want{name, true, host->id * 5ms});
    }
  }
  if (truth_ == Words::kTrue) return;
  run_until(now_ + kOneHolderWithin);
  check_one_holder();
}

// Who was named stays off until then. Where something that it had sent before came late, it counts
// as heard and is waited for: the operator says it once more.
void LeaseWorld::let_words_count() {
  NodeSet off;
  for (const auto& host : hosts_) {
    if (host->kept_off) off.add(host->id);
  }
  const Instant limit = now_ + 6 * kLongest + Lease::kRelearnWait * 5 / 4;
  for (Instant again_at = now_ + 1s; violation_.empty(); run_until(now_ + 5ms)) {
    bool all_count = true;
    for (const auto& host : hosts_) {
      if (!host->machine) continue;
      const LeaseStatus status = host->machine->status(machine_time(*host));
      all_count = all_count && !status.word_pending;
      if (now_ < again_at || (status.awaited & off).empty()) continue;
      note(host.get(), "is told again that ", text_of(off), " are switched off");
      handle(*host, lease_event::Grant{off, ++words_});
      again_at = now_ + 1s;
    }
    if (all_count) return;
    if (now_ >= limit) violate("a word does not count after all faults ended");
  }
}

void LeaseWorld::check_one_holder() {
  one_holder_ = true;
  for (const Name name : names_) {
    const Host* holder = nullptr;
    for (const auto& host : hosts_) {
      const auto found = host->guards.find(name);
      if (found == host->guards.end() || found->second.until <= local(*host, now_)) continue;
      if (holder != nullptr) {
        violate("n" + std::to_string(holder->id) + " and n" + std::to_string(host->id) +
                " still hold name " + std::to_string(name) + " though they can hear each other");
      }
      holder = host.get();
      if (!violation_.empty() || !host->machine) continue;
      // Whatever the other one did meanwhile is older, and can be told from it.
      const Generation& known = host->machine->status(machine_time(*host)).generation;
      const std::uint64_t word = known.number >> Generation::kWordBits;
      if (found->second.epoch >> 8 < word << Generation::kWordBits) {
        violate("n" + std::to_string(host->id) + " holds name " + std::to_string(name) +
                " under an epoch of before the word");
      }
    }
  }
}

bool LeaseWorld::all_owned(NodeId without) {
  return std::all_of(names_.begin(), names_.end(), [&](Name name) {
    return std::any_of(hosts_.begin(), hosts_.end(), [&](const auto& host) {
      return host->id != without && host->machine && host->machine->held(name, machine_time(*host));
    });
  });
}

// A voter that came back without a disk waits longest; then terms that nobody renews run out, and a
// few claims may collide.
void LeaseWorld::wait_for_owners() {
  bool relearns = false;
  for (auto& host : hosts_) {
    // Who lost a disk within the last seconds may not vote yet.
    relearns =
        relearns || !host->disk ||
        host->machine->status(machine_time(*host)).votes_from - machine_time(*host) > kLongest;
  }
  const Instant healed = now_;
  const Duration bound =
      2 * kLongest + 1s + kSteady + (relearns ? Lease::kRelearnWait * 5 / 4 : 0s);
  // What a fault did before it ended may still cost an owner its lease; after the bound, nothing.
  Instant owned_since = now_;
  while (now_ < healed + bound && violation_.empty() && now_ - owned_since < kSteady) {
    run_until(now_ + 2ms);
    if (!all_owned()) owned_since = now_;
  }
  if (!violation_.empty()) return;
  if (now_ - owned_since < kSteady) {
    violate("a name has no lasting owner after all faults ended");
    return;
  }
  tally_.healed_max = owned_since - healed;
}

// Who was off votes again, whether or not anybody goes on asking the operator.
void LeaseWorld::wait_for_voters() {
  constexpr Duration kBound = std::chrono::seconds(30);
  const Instant limit = now_ + kBound;
  const auto all_vote = [&] {
    return std::all_of(hosts_.begin(), hosts_.end(), [&](const auto& host) {
      return (voters_ - host->machine->status(machine_time(*host)).generation.voters).empty();
    });
  };
  while (!all_vote() && now_ < limit && violation_.empty()) run_until(now_ + 10ms);
  if (!violation_.empty() || all_vote()) return;
  violate("a node that is to vote does not after all faults ended");
}

// What the witness is there for: whoever of the three dies or is cut off for good, the other two
// are a majority, and a node that may hold is one of them.
void LeaseWorld::lose_one_of_three() {
  // One without its disk or its promises waits before it votes; with a second one gone there is no
  // majority until then.
  const auto all_vote = [&] {
    return std::all_of(hosts_.begin(), hosts_.end(), [&](const auto& host) {
      return host->machine && host->machine->status(machine_time(*host)).voting;
    });
  };
  const Instant vote_by = now_ + Lease::kRelearnWait * 5 / 4 + kSteady;
  while (!all_vote() && now_ < vote_by && violation_.empty()) run_until(now_ + 10ms);
  if (violation_.empty() && !all_vote()) {
    violate("one of three does not vote after all faults ended");
  }
  run_until(now_ + kSteady);
  Host& lost = any();
  const bool dies = rng_.chance(0.5);
  if (dies) {
    power_cut(lost, Duration{});
    lost.kept_off = true;
  } else {
    note(&lost, "is cut off for good");
    for (const auto& other : hosts_) {
      cut_[lost.id][other->id] = cut_[other->id][lost.id] = other->id != lost.id;
    }
  }
  const auto owned_by_others = [&] { return all_owned(lost.id); };
  // Its lease runs out at the others' voters, and one of them claims.
  const Instant from = now_;
  const Instant limit = now_ + 2 * kLongest;
  while (!owned_by_others() && now_ < limit && violation_.empty()) run_until(now_ + 2ms);
  if (violation_.empty() && !owned_by_others()) {
    violate("two of three have no owner after n" + std::to_string(lost.id) +
            (dies ? " died" : " was cut off"));
  }
  ++tally_.survived;
  tally_.survived_max = now_ - from;
  run_until(now_ + kSteady);
  if (violation_.empty() && !owned_by_others()) violate("two of three do not keep what they own");
}

bool LeaseWorld::is_witness(const Host& host) const {
  return members_ == Members::kTwoAndWitness && host.id == hosts_.size();
}

// -- time and events ------------------------------------------------------------------------------

Instant LeaseWorld::local(const Host& host, Instant at) const {
  const Duration since = at - host.true_base;
  return host.local_base + since +
         Duration(since.count() / kMillion * host.rate_ppm +
                  since.count() % kMillion * host.rate_ppm / kMillion);
}

Instant LeaseWorld::machine_time(const Host& host) const {
  const Instant at = local(host, now_);
  return plant_ == Plant::kClockStandsInPauses ? at - host.paused_total : at;
}

// How long until this host's clock shows that, by true time; a little more, never less.
Duration LeaseWorld::true_delay(const Host& host, Instant local_at) const {
  const Duration left = local_at - machine_time(host);
  if (left <= 0ns) return 0ns;
  return Duration(static_cast<std::int64_t>(static_cast<double>(left.count()) /
                                            (1.0 + static_cast<double>(host.rate_ppm) / 1e6)) +
                  2);
}

void LeaseWorld::set_rate(Host& host, std::int64_t ppm) {
  host.local_base = local(host, now_);
  host.true_base = now_;
  host.rate_ppm = ppm;
  host.armed.reset();
  arm(host);
}

Duration LeaseWorld::between(Duration least, Duration most) {
  return least + Duration(static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(
                     std::max<std::int64_t>((most - least).count(), 1)))));
}

LeaseWorld::Host& LeaseWorld::any() { return *hosts_[rng_.below(hosts_.size())]; }

void LeaseWorld::violate(std::string what) {
  if (!violation_.empty()) return;
  note(nullptr, "VIOLATION: ", what);
  violation_ = std::move(what);
}

void LeaseWorld::schedule(Duration delay, Event event) {
  event.at = now_ + delay;
  event.order = order_++;
  queue_.push_back(std::move(event));
  std::push_heap(queue_.begin(), queue_.end(), Later{});
}

void LeaseWorld::run_until(Instant limit) {
  while (violation_.empty() && step(limit)) {
  }
  if (violation_.empty()) now_ = limit;
}

bool LeaseWorld::step(Instant limit) {
  if (queue_.empty() || queue_.front().at > limit) return false;
  std::pop_heap(queue_.begin(), queue_.end(), Later{});
  const Event event = std::move(queue_.back());
  queue_.pop_back();
  now_ = std::max(now_, event.at);
  ++tally_.events;
  Host& host = *hosts_[event.host - 1u];
  bool word_cut_short = false;
  switch (event.kind) {
    case Event::Kind::kMessage:
      if (cut_[event.from][event.host]) break;
      deliver(host, event.from, *event.message);
      break;
    case Event::Kind::kTimer:
      if (!host.machine || event.life != host.wake) break;
      host.armed.reset();
      if (!host.paused) handle(host, lease_event::TimerFired{});
      break;
    case Event::Kind::kDisk:
      if (event.life != host.life) break;  // what a dead kernel had not written is decided there
      if (plant_ != Plant::kMarkOnlyInMemory) host.disk = *event.disk;
      if (plant_ == Plant::kWordHalfWritten && !host.disk->awaited.empty()) {
        host.disk->awaited = {};
        word_cut_short = rng_.chance(0.5);
      }
      // A dead or stopped process hears of it at its next start, by reading the disk, or not.
      if (host.machine && !host.paused) {
        handle(host, lease_event::DiskWritten{event.sequence});
      } else if (host.machine) {
        schedule(10ms, event);
      }
      if (word_cut_short) kill(host, between(1ms, 10ms));
      break;
    case Event::Kind::kResume:
      if (event.life == host.life && host.paused) resume(host);
      break;
    case Event::Kind::kRestart:
      if (event.life == host.life && !host.machine && !host.kept_off) begin(host);
      break;
    case Event::Kind::kGuard:
      // The planted timer, which knows nothing of the lease.
      if (event.life != host.life || !host.machine) break;
      for (auto& [name, guard] : host.guards) {
        open_guard(host, name, guard.epoch, local(host, now_) + 80ms);
      }
      schedule(30ms, event);
      break;
    case Event::Kind::kEffects:
      break;
  }
  return true;
}

void LeaseWorld::begin(Host& host) {
  host.powered = true;
  host.paused = false;
  ++host.life;
  host.inbox.clear();
  host.pending.clear();
  host.armed.reset();
  LeaseOptions options;
  options.self = host.id;
  for (const auto& each : hosts_) options.peers.add(each->id);
  options.voters = voters_;
  options.classes = {{kAddressTerm, 25ms}, {kWriterTerm, 200ms}};
  for (std::size_t i = 0; i < names_.size() && !is_witness(host); ++i) {
    const bool is_writer = i + 1 == names_.size();
    options.names.push_back(
        {names_[i], static_cast<std::uint8_t>(is_writer ? 1 : 0), true, host.id * 5ms});
  }
  // The kernel of the model is late by as much as is allowed for.
  options.enforcement_lateness = kLatenessMax;
  auto made = Lease::create(options, base::Rng(rng_.next()));
  if (!made) {
    violate(made.error().message());
    return;
  }
  host.machine.emplace(std::move(*made));
  lease_event::Start start;
  start.disk = host.disk;
  start.promises = host.promises;
  if (plant_ == Plant::kPromisesForgotten) start.promises = LeasePromises{};
  if (plant_ == Plant::kBootNotNoticed && host.disk && !host.promises) {
    start.promises = LeasePromises{host.disk->mark, local(host, now_) + kLongest, false, {}};
  }
  start.nonce = rng_.next();
  note(&host, "starts ", host.disk ? "with" : "without", " its disk, ",
       host.promises ? "with" : "without", " its promises");
  if (!host.disk) ++tally_.learned;
  handle(host, start);
  if (plant_ == Plant::kGuardWithoutLease) {
    Event event;
    event.kind = Event::Kind::kGuard;
    event.host = host.id;
    event.life = host.life;
    schedule(30ms, event);
  }
}

void LeaseWorld::deliver(Host& host, NodeId from, const Message& message) {
  if (!host.machine) return;
  if (host.paused) {
    if (host.inbox.size() < 500) host.inbox.emplace_back(from, message);
    return;
  }
  if (tracing_) {
    note(&host, "hears n", std::uint64_t{from}, ": ", std::visit(Describe{}, message));
  }
  handle(host, lease_event::Heard{from, message});
  if (plant_ == Plant::kNodeCountedTwice && host.machine && !host.paused &&
      std::holds_alternative<message::Votes>(message)) {
    const auto other = static_cast<NodeId>(from % hosts_.size() + 1);
    if (other != host.id) handle(host, lease_event::Heard{other, message});
  }
}

void LeaseWorld::handle(Host& host, const LeaseEvent& event) {
  if (!host.machine || host.paused || !violation_.empty()) return;
  LeaseEffects effects;
  host.machine->handle(event, machine_time(host), effects);
  if (plant_ == Plant::kSendBeforeKeep) {
    std::stable_partition(effects.begin(), effects.end(), [](const LeaseEffect& effect) {
      return std::holds_alternative<lease_effect::Send>(effect);
    });
  }
  for (const LeaseEffect& effect : effects) {
    // Grants are judged in the order in which they were decided.
    if (const auto* const acquired = std::get_if<lease_effect::Acquired>(&effect)) {
      if (is_witness(host)) violate("the witness acquires name " + std::to_string(acquired->name));
      std::set<Epoch>& before = epochs_[acquired->name];
      const Epoch last = before.empty() ? 0 : *before.rbegin();
      const bool is_new = given_.insert({acquired->name, acquired->epoch}).second;
      if (!is_new || (truth_ == Words::kTrue && acquired->epoch <= last)) {
        violate("n" + std::to_string(host.id) + " acquires name " + std::to_string(acquired->name) +
                " under epoch " + text_of(acquired->epoch) + ", and " + text_of(last) +
                " was given before");
      }
      before.insert(acquired->epoch);
      ++tally_.grants;
      const Generation& generation = host.machine->status(machine_time(host)).generation;
      if (generation.row() != 0 && generation.voters.size() == 1) ++tally_.owned_by_word;
    }
    host.pending.push_back(effect);
  }
  perform(host);
}

void LeaseWorld::perform(Host& host) {
  while (!host.pending.empty() && !host.paused && host.machine) {
    const LeaseEffect effect = std::move(host.pending.front());
    host.pending.pop_front();
    perform_one(host, effect);
    // Two of the plants need a death at a certain place.
    const bool is_send = std::holds_alternative<lease_effect::Send>(effect);
    const bool is_opening = std::holds_alternative<lease_effect::Acquired>(effect);
    if ((plant_ == Plant::kSendBeforeKeep && is_send && rng_.chance(0.02)) ||
        (plant_ == Plant::kShutIgnored && is_opening && rng_.chance(0.5))) {
      kill(host, between(1ms, 10ms));
    }
    if (stall_ > 0 && rng_.chance(stall_)) {
      if (rng_.chance(0.3)) {
        kill(host, between(1ms, 300ms));
      } else {
        pause(host, between(1ms, 400ms));
      }
    }
  }
  arm(host);
}

void LeaseWorld::perform_one(Host& host, const LeaseEffect& effect) {
  if (const auto* const send = std::get_if<lease_effect::Send>(&effect)) {
    transmit(host, send->to, send->message);
  } else if (const auto* const all = std::get_if<lease_effect::KeepAll>(&effect)) {
    host.promises = all->promises;
  } else if (const auto* const kept = std::get_if<lease_effect::KeepRegister>(&effect)) {
    *host.promises->add(kept->name) = kept->state;
  } else if (const auto* const write = std::get_if<lease_effect::WriteDisk>(&effect)) {
    Event event;
    event.kind = Event::Kind::kDisk;
    event.host = host.id;
    event.life = host.life;
    event.sequence = write->sequence;
    event.disk = std::make_shared<const LeaseDisk>(write->disk);
    schedule(rng_.chance(0.05) ? between(20ms, 300ms) : between(200us, 15ms), event);
  } else if (const auto* const acquired = std::get_if<lease_effect::Acquired>(&effect)) {
    note(&host, "ACQUIRED name ", acquired->name, " epoch ", text_of(acquired->epoch));
    open_guard(host, acquired->name, acquired->epoch, acquired->until);
  } else if (const auto* const renewed = std::get_if<lease_effect::Renewed>(&effect)) {
    open_guard(host, renewed->name, renewed->epoch, renewed->until);
  } else if (const auto* const lost = std::get_if<lease_effect::Lost>(&effect)) {
    note(&host, "LOST name ", lost->name, " epoch ", text_of(lost->epoch), ": ",
         std::string(name_of(lost->reason)));
    if (plant_ != Plant::kGuardWithoutLease) host.guards.erase(lost->name);
  } else if (const auto* const shut = std::get_if<lease_effect::Shut>(&effect)) {
    note(&host, "gives name ", shut->name, " up before it had it");
    if (plant_ != Plant::kGuardWithoutLease && plant_ != Plant::kShutIgnored) {
      host.guards.erase(shut->name);
    }
  } else if (const auto* const gone = std::get_if<lease_effect::HeardThoughOff>(&effect)) {
    note(&host, "heard n", std::uint64_t{gone->node}, ", which was said to be off");
  } else if (const auto* const changed = std::get_if<lease_effect::VotersChanged>(&effect)) {
    note(&host, "votes in generation ", changed->generation.number, " ",
         text_of(changed->generation.voters));
    if (changed->generation.number > newest_generation_) {
      newest_generation_ = changed->generation.number;
      ++tally_.changes;
      if (changed->generation.row() != 0 && changed->generation.voters.size() > 1) {
        ++tally_.readmitted;
      }
    }
  }
}

// The kernel: an element lives until then by the host's clock, and a little longer.
void LeaseWorld::open_guard(Host& host, Name name, Epoch epoch, Instant until) {
  Instant end = until;
  if (plant_ == Plant::kClockStandsInPauses) {
    end = local(host, now_) + (until - machine_time(host));
  }
  if (plant_ == Plant::kGuardFromOldClock && host.paused_since.nanoseconds != 0) {
    // What was left when the machine decided, started anew now.
    const Instant decided = std::min(local(host, now_), until - 40ms);
    end = local(host, now_) + (until - decided);
  }
  if (end <= local(host, now_)) return;
  for (const auto& other : hosts_) {
    if (other->id == host.id || !other->powered) continue;
    const auto found = other->guards.find(name);
    if (found == other->guards.end() || found->second.until <= local(*other, now_)) continue;
    if (!one_holder_) {
      ++tally_.overlaps;
      continue;
    }
    violate("n" + std::to_string(host.id) + " (epoch " + text_of(epoch) + ") and n" +
            std::to_string(other->id) + " (epoch " + text_of(found->second.epoch) +
            ") let packets through for name " + std::to_string(name) + " at one instant");
  }
  Guard& guard = host.guards[name];
  guard.epoch = epoch;
  guard.until = end + between(0ns, kLatenessMax);
}

void LeaseWorld::transmit(Host& from, NodeId to, const Message& message) {
  if (to < 1 || to > hosts_.size()) return;
  if (rng_.chance(loss_)) return;
  Event event;
  event.host = to;
  event.from = from.id;
  event.message = std::make_shared<const Message>(message);
  const auto delay = [&] {
    return rng_.chance(delayed_) ? between(delay_min_, 3s) : between(delay_min_, delay_max_);
  };
  if (rng_.chance(duplication_)) schedule(delay(), event);
  schedule(delay(), std::move(event));
}

void LeaseWorld::arm(Host& host) {
  if (!host.machine || host.paused) return;
  const auto deadline = host.machine->deadline();
  if (deadline == host.armed) return;
  host.armed = deadline;
  ++host.wake;
  if (!deadline) return;
  Event event;
  event.kind = Event::Kind::kTimer;
  event.host = host.id;
  event.life = host.wake;
  schedule(true_delay(host, *deadline) + between(0us, 200us), event);
}

void LeaseWorld::pause(Host& host, Duration time) {
  if (!host.machine || host.paused) return;
  note(&host, "is stopped for ", time);
  host.paused = true;
  host.paused_since = local(host, now_);
  Event event;
  event.kind = Event::Kind::kResume;
  event.host = host.id;
  event.life = host.life;
  schedule(time, event);
}

void LeaseWorld::resume(Host& host) {
  if (!host.paused) return;
  note(&host, "goes on");
  host.paused = false;
  host.paused_total = host.paused_total + (local(host, now_) - host.paused_since);
  host.armed.reset();
  perform(host);
  // What waited in the socket, and the timer, in either order.
  const bool timer_first = rng_.chance(0.5);
  if (timer_first) handle(host, lease_event::TimerFired{});
  while (!host.inbox.empty() && !host.paused && host.machine) {
    const auto [from, message] = std::move(host.inbox.front());
    host.inbox.pop_front();
    deliver(host, from, message);
  }
  arm(host);
}

void LeaseWorld::kill(Host& host, Duration until_restart) {
  if (!host.machine) return;
  note(&host, "is killed");
  host.machine.reset();
  forget_work(host);
  host.paused = false;
  ++host.wake;
  Event event;
  event.kind = Event::Kind::kRestart;
  event.host = host.id;
  event.life = host.life;
  schedule(until_restart, event);
}

// A grant of which nothing was done, not even the voter's own word kept, was never given: where one
// node votes, others are promised less afterwards.
void LeaseWorld::forget_work(Host& host) {
  for (const LeaseEffect& effect : host.pending) {
    const auto* const acquired = std::get_if<lease_effect::Acquired>(&effect);
    if (acquired != nullptr) epochs_[acquired->name].erase(acquired->epoch);
  }
  host.pending.clear();
  host.inbox.clear();
}

// A write under way may have reached the disk or not; which, the order of events decides: what was
// written before now is there.
void LeaseWorld::power_cut(Host& host, Duration until_restart) {
  if (host.kept_off) return;
  note(&host, "loses power");
  host.machine.reset();
  forget_work(host);
  host.promises.reset();
  host.guards.clear();
  host.paused = false;
  host.powered = false;
  ++host.wake;
  ++host.life;
  if (until_restart <= 0ns) return;
  Event event;
  event.kind = Event::Kind::kRestart;
  event.host = host.id;
  event.life = host.life;
  schedule(until_restart, event);
}

}  // namespace nines::cluster

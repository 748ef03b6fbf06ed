// Facts of the drill, the recorder's lines and clients' records, brought together for a phase.
#include "lab/drill_peers.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <map>
#include <utility>

#include "lab/lab_plan.h"

namespace nines::lab {
namespace {

// A stand-in for an API that accepts and waits; with real services memcached, which does so too and
// minds nobody who says nothing.
constexpr std::string_view kServiceOfStandIns = "nova_api";
constexpr std::uint16_t kMemcachedPort = 11211;
constexpr int kPaceOfAsking = 2;
constexpr std::size_t kHeardMax = 10'000;

std::uint16_t port_of_clients(const DrillLab& lab) {
  return lab.services() == ServiceSource::kStandIns ? find_stand_in(kServiceOfStandIns)->port
                                                    : kMemcachedPort;
}

bool takes_away(Act act) {
  return act == Act::kCrash || act == Act::kCut || act == Act::kIsolate || act == Act::kFreeze;
}
bool brings_back(Act act) { return act == Act::kBoot || act == Act::kHeal || act == Act::kThaw; }

// Whether this part is what makes rules.
bool is_of_the_owner(std::string_view part) {
  return part == kWholeEngine || part == kOwnerRole || part == kSupervisorRole;
}

Duration time_of_day(WallTime wall) {
  const std::time_t seconds = static_cast<std::time_t>(wall.seconds());
  std::tm local{};
  if (::localtime_r(&seconds, &local) == nullptr) return Duration(0);
  return std::chrono::hours(local.tm_hour) + std::chrono::minutes(local.tm_min) +
         std::chrono::seconds(local.tm_sec) + std::chrono::milliseconds(wall.milliseconds());
}

}  // namespace

// An answer of any kind is one.
class ReturnProbe::Attempt final : public io::StreamHandler {
 public:
  Attempt(ReturnProbe& probe, Instant begun)
      : begun_(begun), probe_(probe), stream_(&probe.loop_.connect(probe.host_, {}, *this)) {}
  ~Attempt() override { stream_->close(); }

  Instant begun() const { return begun_; }
  void on_connected(io::Stream&) override { answered(); }
  void on_data(io::Stream&, io::LentBytes) override {}
  void on_end(io::Stream&) override {}
  void on_failed(io::Stream&, const Error& error) override {
    if (error.error_number() == ECONNREFUSED) answered();
  }

 private:
  void answered() {
    if (std::exchange(probe_.done_, true)) return;
    probe_.reached_(probe_.loop_.now());
  }

  Instant begun_;
  ReturnProbe& probe_;
  io::Stream* stream_;
};

ReturnProbe::ReturnProbe(io::Loop& loop, SocketAddress host, Within within, Reached reached)
    : loop_(loop),
      host_(host.with_port(kPort)),
      within_(std::move(within)),
      reached_(std::move(reached)) {
  loop_.arm(*this, Duration(0));
}

ReturnProbe::~ReturnProbe() = default;

void ReturnProbe::on_timer(Instant now) {
  std::erase_if(attempts_, [&](const auto& each) { return now - each->begun() >= kPatience; });
  if (done_) return attempts_.clear();
  loop_.arm(*this, now + kInterval);
  within_([&] { attempts_.push_back(std::make_unique<Attempt>(*this, now)); });
}

Result<std::unique_ptr<DrillPeers>> DrillPeers::create(io::EpollLoop& loop, const DrillLab& lab) {
  std::vector<PeerRules::Host> hosts;
  std::vector<PeerClients::Host> clients;
  for (const auto& host : lab.hosts()) {
    const auto address = TRY(SocketAddress::parse_ip(host.address, port_of_clients(lab)));
    hosts.push_back({.name = host.name, .address = address});
    clients.push_back({.name = host.name,
                       .service = address,
                       .network = TRY(open_network(lab.control(), host.namespaces))});
  }
  auto made = TRY(PeerClients::create(loop, std::move(clients)));
  return std::unique_ptr<DrillPeers>(
      new DrillPeers(loop, lab, PeerRules(std::move(hosts)), std::move(made)));
}

DrillPeers::DrillPeers(io::EpollLoop& loop, const DrillLab& lab, PeerRules rules,
                       std::unique_ptr<PeerClients> clients)
    : loop_(loop),
      lab_(lab),
      nothing_(rules),
      rules_(std::move(rules)),
      clients_(std::move(clients)),
      recorder_(lab.rules_path()) {
  for (const auto& host : lab.hosts()) words_.emplace_back(host.words);
}

void DrillPeers::begin() {
  read(loop_.now());
  rules_ = nothing_;
  heard_.clear();
  about_.clear();
  away_.clear();
  broken_.clear();
  returning_.clear();
  asking_.reset();
  clients_->start();
}

void DrillPeers::end() {
  clients_->stop();
  returning_.clear();
  asking_.reset();
}

void DrillPeers::on_act(const Phase& phase, const std::vector<std::string>& hosts, Instant at) {
  using Kind = RuleEvent::Kind;
  const auto tell = [&](Kind kind) {
    for (const auto& host : hosts) rules_.handle({.kind = kind, .at = at, .host = host});
  };
  asking_.reset();
  reached_.clear();
  if (takes_away(phase.act)) {
    std::erase_if(returning_, [&](const auto& each) {
      return std::find(hosts.begin(), hosts.end(), each.first.second) != hosts.end();
    });
    tell(Kind::kAway);
    away_.insert(hosts.begin(), hosts.end());
    broken_.insert(hosts.begin(), hosts.end());
  } else if (brings_back(phase.act)) {
    for (const auto& host : lab_.hosts()) {
      if (std::find(hosts.begin(), hosts.end(), host.name) == hosts.end()) continue;
      away_.erase(host.name);
      const auto address = SocketAddress::parse_ip(host.address, 0);
      if (address.has_value()) await_return(host.name, *address);
    }
  } else if (is_of_the_owner(phase.service)) {
    const bool ends =
        phase.act == Act::kKill || phase.act == Act::kPause || phase.act == Act::kStop;
    const bool begins = phase.act == Act::kStart || phase.act == Act::kResume;
    if (ends) tell(Kind::kSilent);
    if (begins) tell(Kind::kSpeaks);
  }
  const bool is_about_hosts = takes_away(phase.act) || brings_back(phase.act);
  about_ = is_about_hosts ? std::set<std::string>(hosts.begin(), hosts.end()) : away_;
  if (phase.act != Act::kBoot) return;
  asked_.clear();
  for (const auto& host : lab_.hosts()) {
    if (!about_.contains(host.name)) continue;
    for (const auto& service : stand_ins()) {
      const auto address = SocketAddress::parse_ip(host.address, service.port);
      if (address.has_value()) asked_.push_back({.service = &service, .address = *address});
    }
  }
  asking_ = std::make_unique<DrillLoad>(loop_, asked_);
  asking_->start(kPaceOfAsking);
}

// It is back when everybody who is there reaches it.
void DrillPeers::await_return(const std::string& host, const SocketAddress& address) {
  using Kind = RuleEvent::Kind;
  for (const auto& from : lab_.hosts()) {
    if (from.name == host || away_.contains(from.name)) continue;
    const Names names{from.name, host};
    returning_[names] = std::make_unique<ReturnProbe>(
        loop_, address,
        [this, name = from.name](const auto& open) { clients_->within(name, open); },
        [this, names, address](Instant at) {
          rules_.handle({Kind::kReaches, at, names.first, address});
          reached_[names] = at;
          const bool by_all =
              std::all_of(returning_.begin(), returning_.end(), [&](const auto& each) {
                return each.first.second != names.second || reached_.contains(each.first);
              });
          if (by_all) rules_.handle({.kind = Kind::kBack, .at = at, .host = names.second});
        });
  }
}

void DrillPeers::read(Instant now) {
  recorder_.read([&](const LogLine& line) {
    if (auto event = parse_rule_words(line.at, line.text)) rules_.handle(*std::move(event));
  });
  const Duration time_now = time_of_day(loop_.wall_time());
  for (std::size_t i = 0; i < words_.size(); ++i) {
    words_[i].read([&](std::string_view line) {
      auto word = parse_peer_word(line);
      if (!word || heard_.size() >= kHeardMax) return;
      const Instant at = instant_of(word->time_of_day, time_now, now);
      heard_.push_back({.at = at, .word = *std::move(word), .host = lab_.hosts()[i].name});
    });
  }
}

bool DrillPeers::all_are_back() const {
  if (asking_ == nullptr) return true;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    const auto& records = asking_->records(i);
    if (std::none_of(records.begin(), records.end(),
                     [](const auto& each) { return each.outcome == Outcome::kSuccess; })) {
      return false;
    }
  }
  return true;
}

bool DrillPeers::is_settled() const {
  return std::all_of(returning_.begin(), returning_.end(),
                     [&](const auto& each) { return reached_.contains(each.first); }) &&
         rules_.is_settled() && all_are_back();
}

// The first such word of each host that is there, about the phase's hosts; of those the first.
std::optional<Duration> DrillPeers::first_word(PeerWord::Kind kind, const Window& window) const {
  std::optional<Duration> first;
  for (const auto& each : heard_) {
    if (each.word.kind != kind || !about_.contains(each.word.peer) || away_.contains(each.host) ||
        each.at < window.begin || each.at >= window.end) {
      continue;
    }
    first = std::min(first.value_or(each.at - window.begin), each.at - window.begin);
  }
  return first;
}

// And of those the last.
std::optional<Duration> DrillPeers::last_word(PeerWord::Kind kind, const Window& window) const {
  std::map<std::pair<std::string, std::string>, Instant> firsts;
  for (const auto& each : heard_) {
    if (each.word.kind != kind || !about_.contains(each.word.peer) || away_.contains(each.host) ||
        each.at < window.begin || each.at >= window.end) {
      continue;
    }
    firsts.try_emplace({each.host, each.word.peer}, each.at);
  }
  std::optional<Duration> last;
  for (const auto& [pair, at] : firsts) {
    last = std::max(last.value_or(Duration(0)), at - window.begin);
  }
  return last;
}

PhaseReport::Peers DrillPeers::report(const Window& window) const {
  PhaseReport::Peers report;
  report.controllers = static_cast<int>(lab_.hosts().size());
  report.doubted = last_word(PeerWord::Kind::kDoubted, window);
  report.verdict_first = first_word(PeerWord::Kind::kDead, window);
  report.verdict_last = last_word(PeerWord::Kind::kDead, window);
  report.rules = rules_.report(window.begin, window.end);
  report.clients = clients_->report({.begin = window.begin,
                                     .end = window.end,
                                     .about = about_,
                                     .away = away_,
                                     .broken = broken_});
  for (const auto& [names, at] : reached_) {
    report.reached = std::max(report.reached.value_or(Duration(0)), at - window.begin);
  }
  if (asking_ == nullptr) return report;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    const std::string name(asked_[i].service->service);
    const auto back = report_service(name, asking_->records(i), window).first_success;
    const auto [entry, is_new] = report.services_back.try_emplace(name, back);
    // Of several hosts the last counts, and one that is missing is the last.
    if (!is_new)
      entry->second = back && entry->second ? std::max(entry->second, back) : std::nullopt;
  }
  return report;
}

}  // namespace nines::lab

// kWarmUp --servers become ACTIVE, one after the other--> kWatch (the fault at its start)
//   --all that count have ended--> kDrain --nothing is under way--> kAudit --> the end
#include "lab/cloud_drill.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>
#include <utility>

#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "lab/cloud_load.h"
#include "lab/drill_lab.h"
#include "lab/lab_plan.h"
#include "lab/ownership_recorder.h"

namespace nines::lab {
namespace {

constexpr Duration kTick = 20ms;
// So many in a row become ACTIVE: all is well. Each nova-conductor has had its turn by then: the
// first question that it ever asks of a database, if it fails, is asked again after ten seconds
// only (oslo.db's retry_interval), which a cloud of more than a minute's age does not know.
constexpr int kWellServers = 8;
constexpr Duration kWellPatience = 10s;  // and each within this
constexpr Duration kWarmUpMax = 180s;
constexpr Duration kWatchMin = 40s;
// The last server is asked for 22 s after the fault, and waits for as long as a call of nova's
// does.
constexpr Duration kWatchMax = 85s;
constexpr Duration kDrainMax = 10s;
constexpr Duration kAuditMax = 60s;
constexpr std::string_view kFirst = "node01";

constexpr std::array kScenarios = {
    CloudScenario{"holder-lost",
                  "the controller with the address and the active database loses its power",
                  kFirst},
    CloudScenario{"other-lost", "a controller that has neither loses its power", "node02"},
};

class CloudRun final : private Timer {
 public:
  CloudRun(const CloudWishes& wishes, DrillLab lab, io::EpollLoop& loop)
      : wishes_(wishes), lab_(std::move(lab)), loop_(loop), load_(loop) {}

  void begin() {
    step_begun_ = loop_.now();
    load_.start();
    loop_.arm(*this, kTick);
  }
  Result<CloudResult> result() {
    if (error_) return *std::move(error_);
    return std::move(result_);
  }
  void interrupt() { give_up(Error(ErrorCode::kRefused, "interrupted")); }

 private:
  enum class Step : std::uint8_t { kWarmUp, kWatch, kDrain, kAudit };

  void on_timer(Instant now) override {
    loop_.arm(*this, now + kTick);
    switch (step_) {
      case Step::kWarmUp:
        return warm_up(now);
      case Step::kWatch:
        return watch(now);
      case Step::kDrain:
        return drain(now);
      case Step::kAudit:
        return;
    }
  }

  // Empty when all is well.
  std::string not_well(Instant now) {
    const auto& records = load_.records();
    if (records.servers.size() < kWellServers) return "servers are not made yet";
    for (auto each = records.servers.end() - kWellServers; each != records.servers.end(); ++each) {
      if (each->outcome != Outcome::kSuccess)
        return "a server failed: " + std::string(each->reason);
      if (each->ended - each->begun > kWellPatience) return "servers take too long";
    }
    if (records.tokens.back().outcome != Outcome::kSuccess) return "tokens are not issued";
    if (records.lists.empty() || records.lists.back().outcome != Outcome::kSuccess) {
      return "servers are not listed";
    }
    if (now < health_asked_at_ + kHealthInterval) return trouble_;
    health_asked_at_ = now;
    const auto health = lab_.health();
    trouble_ = health.has_value() ? health->trouble : health.error().message();
    if (trouble_.empty() && health->holders != std::vector<std::string>{std::string(kFirst)}) {
      trouble_ = "the address is at " + render_holders(health->holders);
    }
    return trouble_;
  }

  void warm_up(Instant now) {
    const std::string trouble = not_well(now);
    if (!trouble.empty()) {
      well_since_.reset();
      if (now - step_begun_ > kWarmUpMax) {
        give_up(Error(ErrorCode::kUnavailable, "the lab is not well: " + trouble));
      }
      return;
    }
    if (!well_since_) well_since_ = now;
    if (now - *well_since_ < wishes_.shift) return;
    const auto at = lab_.act("crash", wishes_.scenario->host, "");
    if (!at.has_value()) return give_up(at.error());
    broken_ = true;
    wishes_.progress(std::string(wishes_.scenario->host) + " has lost its power");
    step_ = Step::kWatch;
    fault_ = step_begun_ = *at;
  }

  void watch(Instant now) {
    const Window so_far{.begin = fault_, .end = now};
    const auto& ended = load_.records().servers;
    const auto counted = figures_of(ended, so_far).asked + load_.servers_under_way();
    if (counted >= kServersAsked) load_.stop_servers();
    const bool all = counted >= kServersAsked && load_.servers_under_way() == 0;
    const Duration watched = now - fault_;
    if (watched < kWatchMin || (!all && watched < kWatchMax)) return;
    ended_ = now;
    load_.stop();
    step_ = Step::kDrain;
    step_begun_ = now;
  }

  void drain(Instant now) {
    if (!load_.idle() && now - step_begun_ < kDrainMax) return;
    load_.abandon();
    step_ = Step::kAudit;
    load_.audit(kAuditMax, [this](auto left) { tell(std::move(left)); });
  }

  void tell(std::optional<std::map<std::string, int>> left) {
    if (!left) {
      return give_up(Error(ErrorCode::kUnavailable, "nobody says what became of the servers"));
    }
    const Window window{.begin = fault_, .end = ended_};
    result_.row = measure_cloud(load_.records(), window);
    result_.row.scenario = wishes_.scenario->name;
    result_.row.engine = wishes_.engine;
    result_.row.run = wishes_.run;
    result_.row.left = *std::move(left);
    tell_story();
    end();
  }

  void tell_story() {
    const Window whole{.begin = fault_ - kLead, .end = ended_};
    auto& story = result_.story;
    story.title = std::string(wishes_.scenario->name) + ", " + wishes_.engine;
    story.length = std::min(whole.end - whole.begin, Duration(kStoryMax));
    story.faults = {
        {.at = kLead, .what = std::string(wishes_.scenario->host) + " loses its power"}};
    story.requests = requests_of(load_.records(), whole);
    for (const auto& host : lab_.hosts()) story.hosts.push_back(host.name);
    Ownership ownership(*SocketAddress::parse_ip(kVirtualAddress, 0));
    io::LinuxFiles files;
    if (const auto text = files.read(lab_.ownership_path()); text.has_value()) {
      for (auto& event : parse_ownership_lines(*text)) ownership.handle(std::move(event));
    }
    ownership.handle({.kind = OwnershipEvent::Kind::kDied,
                      .at = fault_,
                      .host = std::string(wishes_.scenario->host)});
    auto owned = ownership.report(whole.begin, whole.begin + story.length);
    story.holdings = std::move(owned.holdings);
    story.bursts = std::move(owned.bursts);
  }

  void give_up(Error error) {
    if (error_) return;
    error_ = std::move(error);
    end();
  }

  void end() {
    cancel();
    load_.stop();
    if (broken_ && wishes_.mend) {
      wishes_.progress(std::string(wishes_.scenario->host) + " boots");
      if (const auto repaired = lab_.repair(); !repaired.has_value()) {
        wishes_.progress("the lab could not be mended: " + repaired.error().message());
      }
    }
    loop_.stop();
  }

  static constexpr Duration kHealthInterval = 500ms;
  static constexpr Duration kLead = 5s;  // of the story before the fault

  const CloudWishes& wishes_;
  DrillLab lab_;
  io::EpollLoop& loop_;
  CloudLoad load_;
  Step step_ = Step::kWarmUp;
  Instant step_begun_;
  Instant fault_, ended_;
  std::optional<Instant> well_since_;
  Instant health_asked_at_;
  std::string trouble_;
  bool broken_ = false;
  CloudResult result_;
  std::optional<Error> error_;
};

}  // namespace

std::span<const CloudScenario> cloud_scenarios() { return kScenarios; }

const CloudScenario* find_cloud_scenario(std::string_view name) {
  const auto found = std::find_if(kScenarios.begin(), kScenarios.end(),
                                  [&](const auto& each) { return each.name == name; });
  return found == kScenarios.end() ? nullptr : &*found;
}

Result<CloudResult> run_cloud_drill(const CloudWishes& wishes) {
  auto lab = TRY(DrillLab::open(wishes.lab));
  if (lab.services() != ServiceSource::kOpenStack || !lab.moves_the_address()) {
    return Error(ErrorCode::kInvalid,
                 "'" + std::string(wishes.scenario->name) +
                     "' needs a lab with an OpenStack and an engine that moves the address (nines "
                     "lab up --services openstack)");
  }
  const auto health = TRY(lab.health());
  if (health.holders != std::vector<std::string>{std::string(kFirst)}) {
    TRY(lab.settle(kFirst));
  }
  TRY(enter_network(lab.control(), lab.client()));
  const auto loop = TRY(io::EpollLoop::create());
  CloudRun run(wishes, std::move(lab), *loop);
  TRY(loop->on_signal(SIGINT, [&] { run.interrupt(); }));
  TRY(loop->on_signal(SIGTERM, [&] { run.interrupt(); }));
  run.begin();
  loop->run();
  return run.result();
}

}  // namespace nines::lab

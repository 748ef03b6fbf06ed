// One scenario after the other:
//   kWarmUp --all answer, all servers up--> kWatch (a phase; its act at the start) --> ... -->
//   kDrain --no session left--> its reports, and kWarmUp of the next
#include "lab/drill_run.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "lab/balancer_watch.h"
#include "lab/drill_load.h"
#include "lab/lab_control.h"
#include "lab/log_sink.h"

namespace nines::lab {
namespace {

using Json = nlohmann::json;

constexpr Duration kTick = 10ms;          // between two looks at where the drill stands
constexpr Duration kLookInterval = 20ms;  // between two questions to the runtime socket
constexpr Duration kWarmUpMin = 1s;
constexpr Duration kWarmUpMax = 40s;  // for all to be up again after the drill before
constexpr Duration kDrainMax = 3s;
constexpr std::size_t kViewMax = 4u << 20;  // bytes of a runtime socket's reply
constexpr std::string_view kBrokenLines =
    "\nlisten broken\n    bind nowhere\n    no-such-keyword\n";

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string_view verb_of(Act act) {
  switch (act) {
    case Act::kKill:
      return "kill";
    case Act::kStart:
      return "start";
    case Act::kPause:
      return "pause";
    case Act::kResume:
      return "resume";
    case Act::kCut:
      return "cut";
    case Act::kHeal:
      return "heal";
    case Act::kReload:
    case Act::kBreakConfiguration:
    case Act::kRestoreConfiguration:
      return "reload";
  }
  return "";
}

// Asks the runtime socket again and again; one question at a time.
class Looker final : public io::StreamHandler, private Timer {
 public:
  using Seen = std::function<void(const BalancerView&, Instant)>;
  Looker(io::Loop& loop, std::string path, Seen seen)
      : loop_(loop), at_(SocketAddress::unix_path(std::move(path))), seen_(std::move(seen)) {
    loop_.arm(*this, kLookInterval);
  }
  ~Looker() override { drop(); }

  void on_connected(io::Stream& stream) override { stream.send(kBalancerQuestion); }
  void on_data(io::Stream&, io::LentBytes bytes) override {
    reply_.append(bytes.view());
    if (reply_.size() > kViewMax) drop();
  }
  void on_end(io::Stream&) override {
    drop();
    const BalancerView view = parse_balancer_view(reply_);
    if (!view.servers.empty()) seen_(view, loop_.now());
  }
  void on_failed(io::Stream&, const Error&) override { drop(); }

 private:
  void on_timer(Instant) override {
    loop_.arm(*this, kLookInterval);
    if (stream_ != nullptr) return;
    reply_.clear();
    stream_ = &loop_.connect(at_, {}, *this);
  }
  void drop() {
    if (stream_ != nullptr) std::exchange(stream_, nullptr)->close();
  }

  io::Loop& loop_;
  SocketAddress at_;
  Seen seen_;
  io::Stream* stream_ = nullptr;
  std::string reply_;
};

// New whole lines of a file that grows.
class Tail {
 public:
  explicit Tail(const std::string& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (file_) ::lseek(file_.get(), 0, SEEK_END);
  }
  template <typename Visit>
  void read(Visit visit) {
    std::array<char, 65536> buffer;
    ssize_t size = 0;
    while (file_ && (size = ::read(file_.get(), buffer.data(), buffer.size())) > 0) {
      pending_.append(buffer.data(), static_cast<std::size_t>(size));
    }
    std::size_t begin = 0;
    std::size_t end = 0;
    while ((end = pending_.find('\n', begin)) != std::string::npos) {
      if (auto line = parse_log_line(std::string_view(pending_).substr(begin, end - begin))) {
        visit(*line);
      }
      begin = end + 1;
    }
    pending_.erase(0, begin);
  }

 private:
  io::Descriptor file_;
  std::string pending_;
};

struct LabFacts {
  NamespaceNumbers client;
  std::string runtime_socket, configuration_path, configuration, log;
};

Result<LabFacts> learn_facts(const LabControl& control) {
  const std::string reply = TRY(control.ask(R"({"do":"status"})"));
  const Json status = Json::parse(reply, nullptr, false);
  if (!status.is_object()) return Error(ErrorCode::kInvalid, "the keeper's status is not JSON");
  LabFacts facts;
  facts.runtime_socket = text_of(status, "runtime_socket");
  facts.configuration_path = text_of(status, "configuration");
  facts.log = text_of(status, "log");
  for (const auto& host : status["hosts"]) {
    if (text_of(host, "name") != kClientHost) continue;
    facts.client.network = host["namespaces"]["network"].get<int>();
  }
  io::LinuxFiles files;
  facts.configuration = TRY(files.read(facts.configuration_path));
  return facts;
}

class DrillRun final : private Timer {
 public:
  DrillRun(const DrillWishes& wishes, const LabControl& control, LabFacts facts,
           io::EpollLoop& loop, std::vector<LoadTarget> targets)
      : wishes_(wishes),
        control_(control),
        facts_(std::move(facts)),
        loop_(loop),
        load_(loop, std::move(targets)),
        tail_(facts_.log),
        looker_(loop, facts_.runtime_socket, [this](const BalancerView& view, Instant at) {
          view_ = view;
          watch_.on_view(view, at);
        }) {
    begin_scenario();
  }

  Result<std::vector<PhaseReport>> result() {
    if (error_) return *std::move(error_);
    return std::move(reports_);
  }
  void interrupt() { give_up(Error(ErrorCode::kRefused, "interrupted")); }

 private:
  enum class Step : std::uint8_t { kWarmUp, kWatch, kDrain };

  const Scenario& scenario() const { return *wishes_.scenarios[scenario_]; }
  const Phase& phase() const { return scenario().phases[phase_]; }

  void begin_scenario() {
    if (scenario_ == wishes_.scenarios.size()) return loop_.stop();
    wishes_.progress(std::string(scenario().name) + ": " + std::string(scenario().what));
    step_ = Step::kWarmUp;
    step_begun_ = loop_.now();
    phase_ = 0;
    pending_.clear();
    load_.start();
    loop_.arm(*this, kTick);
  }

  void on_timer(Instant now) override {
    loop_.arm(*this, now + kTick);
    tail_.read([this](const LogLine& line) { watch_.on_log_line(line.text, line.at); });
    switch (step_) {
      case Step::kWarmUp:
        return warm_up(now);
      case Step::kWatch:
        return watch(now);
      case Step::kDrain:
        return drain(now);
    }
  }

  // Empty when all is well; else what is not, for people.
  std::string not_well() const {
    for (std::size_t i = 0; i < load_.targets().size(); ++i) {
      const auto& records = load_.records(i);
      const std::string proxy(load_.targets()[i].service->proxy);
      if (records.empty()) return proxy + " does not answer";
      if (records.back().outcome != Outcome::kSuccess) {
        return proxy + " fails (" + std::string(records.back().reason) + ')';
      }
    }
    if (view_.servers.empty()) return "the runtime socket does not answer";
    for (const auto& [name, server] : view_.servers) {
      if (server.status != "UP" && server.status != "no check") return name + ' ' + server.status;
    }
    return {};
  }

  void warm_up(Instant now) {
    if (now - step_begun_ < kWarmUpMin) return;
    const std::string trouble = not_well();
    if (trouble.empty()) return begin_phase();
    if (now - step_begun_ > kWarmUpMax) {
      give_up(Error(ErrorCode::kUnavailable, "the lab is not well: " + trouble));
    }
  }

  void begin_phase() {
    step_ = Step::kWatch;
    watch_.begin(phase().proxy, phase().server, phase().change, loop_.now());
    watch_.on_view(view_, loop_.now());  // the state before: only changes from it are signs
    auto at = perform(phase());
    if (!at.has_value()) return give_up(std::move(at).error().with_context(phase().name));
    step_begun_ = *at;
  }

  // The instant at which it was done, by the keeper's clock, which is ours.
  Result<Instant> perform(const Phase& each) {
    if (each.act == Act::kBreakConfiguration) {
      TRY(write_configuration(facts_.configuration + std::string(kBrokenLines)));
    } else if (each.act == Act::kRestoreConfiguration) {
      TRY(write_configuration(facts_.configuration));
    }
    const Json request = {
        {"do", verb_of(each.act)}, {"host", each.host}, {"service", each.service}};
    const Json reply = Json::parse(TRY(control_.ask(request.dump())), nullptr, false);
    if (!reply.is_object()) return Error(ErrorCode::kInvalid, "the keeper's reply is not JSON");
    if (reply.contains("error")) return Error(ErrorCode::kUnavailable, text_of(reply, "error"));
    return Instant{reply.value("at", std::int64_t{0})};
  }

  Result<void> write_configuration(const std::string& text) {
    io::LinuxFiles files;
    constexpr unsigned kMode = 0644;
    return files.replace(facts_.configuration_path, text, kMode);
  }

  void watch(Instant now) {
    const auto decided = watch_.decided();
    const auto acted = watch_.acted();
    const bool settled = phase().change != ServerChange::kNone && decided && acted &&
                         now > std::max(*decided, *acted) + kTail;
    if (!settled && now - step_begun_ < phase().watch_max) return;
    end_phase(now);
  }

  void end_phase(Instant now) {
    Measured measured{.window = {step_begun_, now}, .report = {}};
    auto& report = measured.report;
    report.scenario = scenario().name;
    report.phase = phase().name;
    report.watched_proxy = phase().proxy;
    report.length = now - step_begun_;
    report.change_expected = phase().change != ServerChange::kNone;
    report.same_process = watch_.same_process();
    const auto after = [&](std::optional<Instant> at) -> std::optional<Duration> {
      if (!at) return std::nullopt;
      return std::max(Duration(0), *at - step_begun_);
    };
    report.detected = after(watch_.detected());
    report.decided = after(watch_.decided());
    report.acted = after(watch_.acted());
    pending_.push_back(std::move(measured));
    if (++phase_ < scenario().phases.size()) return begin_phase();
    step_ = Step::kDrain;
    step_begun_ = now;
    load_.stop();
  }

  // Requests of an earlier phase may end in a later one: reports are made when all have ended.
  void drain(Instant now) {
    if (!load_.idle() && now - step_begun_ < kDrainMax) return;
    load_.abandon();
    for (std::size_t i = 0; i < pending_.size(); ++i) {
      auto& [window, report] = pending_[i];
      for (std::size_t t = 0; t < load_.targets().size(); ++t) {
        report.services.push_back(report_service(std::string(load_.targets()[t].service->proxy),
                                                 load_.records(t), window));
      }
      if (const auto* watched = find_service(report, report.watched_proxy);
          watched != nullptr && watched->last_node >= 0) {
        report.answered_by = load_.nodes()[static_cast<std::size_t>(watched->last_node)];
      }
      judge(scenario().phases[i].expected, report);
      wishes_.phase_finished(report);
      reports_.push_back(std::move(report));
    }
    ++scenario_;
    begin_scenario();
  }

  // The phases that follow a fault are its mending.
  void give_up(Error error) {
    if (error_) return;
    error_ = std::move(error);
    cancel();
    if (step_ == Step::kWatch) {
      for (std::size_t i = phase_ + 1; i < scenario().phases.size(); ++i) {
        // What cannot be mended was not broken: the act itself may be what failed.
        static_cast<void>(perform(scenario().phases[i]).has_value());
      }
    }
    loop_.stop();
  }

  struct Measured {
    Window window;
    PhaseReport report;
  };

  const DrillWishes& wishes_;
  const LabControl& control_;
  LabFacts facts_;
  io::EpollLoop& loop_;
  DrillLoad load_;
  BalancerWatch watch_;
  BalancerView view_;
  Tail tail_;
  Looker looker_;
  Step step_ = Step::kWarmUp;
  Instant step_begun_;
  std::size_t scenario_ = 0;
  std::size_t phase_ = 0;
  std::vector<Measured> pending_;  // of this scenario
  std::vector<PhaseReport> reports_;
  std::optional<Error> error_;
};

}  // namespace

Result<std::vector<PhaseReport>> run_drills(const DrillWishes& wishes) {
  const auto control = TRY(LabControl::open(wishes.lab));
  auto facts = TRY(learn_facts(control));
  std::vector<LoadTarget> targets;
  for (const auto& bound : bound_addresses(facts.configuration)) {
    const auto* service = find_stand_in(bound.section);
    if (service != nullptr) targets.push_back({.service = service, .address = bound.address});
  }
  TRY(enter_network(control, facts.client));
  const auto loop = TRY(io::EpollLoop::create());
  DrillRun run(wishes, control, std::move(facts), *loop, std::move(targets));
  TRY(loop->on_signal(SIGINT, [&] { run.interrupt(); }));
  TRY(loop->on_signal(SIGTERM, [&] { run.interrupt(); }));
  loop->run();
  return run.result();
}

}  // namespace nines::lab

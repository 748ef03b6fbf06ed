// Start-up goes stage by stage, each entered when all of the one before is ready:
//   kServices --> kEngine (the first controller's, then the others') --> kProbe
//     --> kBehind (what wants the address as it starts) --> kReady
// What takes time (a start, a graceful stop, a boot) is a task: looked at again and again until it
// has come about, so that it waits for nothing but the kernel.
#include "lab/lab_keeper.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "lab/balancer_probe.h"
#include "lab/echo.h"
#include "lab/forwarder.h"
#include "lab/host_engine.h"
#include "lab/host_processes.h"
#include "lab/lab_child.h"
#include "lab/lab_host.h"
#include "lab/line_relay.h"
#include "lab/log_sink.h"
#include "lab/ownership_recorder.h"
#include "lab/peer_rules_recorder.h"
#include "lab/real_service_run.h"
#include "lab/stand_in.h"

namespace nines::lab {
namespace {

using Json = nlohmann::json;

constexpr Duration kStartDeadline = 30s;

std::string scheduling_of(pid_t process) {
  switch (::sched_getscheduler(process) & ~SCHED_RESET_ON_FORK) {
    case SCHED_FIFO:
      return "SCHED_FIFO";
    case SCHED_RR:
      return "SCHED_RR";
    case SCHED_OTHER:
      return "SCHED_OTHER";
    default:
      return "";
  }
}
constexpr Duration kRealStartDeadline = 240s;  // on a machine that has other things to do
constexpr Duration kTaskDeadline = 30s;
constexpr Duration kCloudStartDeadline = 900s;  // the tables are made once
constexpr Duration kRealTaskDeadline = 120s;
constexpr Duration kCloudTaskDeadline = 300s;
constexpr std::size_t kLastWordsMax = 800;  // bytes of a log's end in a message
constexpr Duration kTaskInterval = 10ms;    // between two looks at the tasks
constexpr std::size_t kTasksMax = 64;
constexpr Duration kDeathPatience = 200ms;  // for a killed process; it is milliseconds
constexpr std::size_t kRequestMax = 4096;   // bytes of one command
constexpr rlim_t kDescriptorsMax = 65536;   // a balancer with maxconn 4000 wants 8000 and more
constexpr std::string_view kProbeService = "probe";
constexpr std::string_view kRecorderService = "recorder";
constexpr std::string_view kRulesRecorderService = "rules";
constexpr std::string_view kSwitch = "switch";  // where no host is
constexpr std::string_view kOwnershipFile = "ownership.log";
constexpr std::string_view kRulesFile = "rules.log";
constexpr std::string_view kEndedWell = "exit status 0";

struct Service {
  //  kStarting --ready--> kRunning <--pause, resume--> kPaused
  //      +-------------------+---------------------------+--dies--> kEnded --start--> kStarting
  enum class State : std::uint8_t { kStarting, kRunning, kPaused, kEnded };

  std::string name;
  std::string host;
  SocketAddress address;
  ChildPlan plan;
  bool shown = true;               // in the status
  bool is_real = false;            // a program of Debian's, not a stand-in
  bool is_job = false;             // ready when it has ended well; never started again
  bool needs_address = false;      // as it starts
  std::vector<std::string> after;  // "HOST NAME" of those that must be ready before it starts
  State state = State::kEnded;
  int pid = 0;
  io::Descriptor ready;
  io::EpollLoop::WatchId ready_watch = 0;
  std::string detail;                  // of kEnded: how
  std::vector<std::uint64_t> waiters;  // connections that wait for it to be ready

  bool is_ready() const {
    return state == State::kRunning || (is_job && state == State::kEnded && detail == kEndedWell);
  }
  bool was_started() const { return state != State::kEnded || !detail.empty(); }
};

std::string_view name_of(Service::State state) {
  switch (state) {
    case Service::State::kStarting:
      return "starting";
    case Service::State::kRunning:
      return "running";
    case Service::State::kPaused:
      return "paused";
    case Service::State::kEnded:
      return "ended";
  }
  return "";
}

// What a command has begun and is not there yet.
struct Task {
  std::uint64_t command = 0;  // who waits for it; 0: nobody
  Instant begun;
  // True: it is done. False: look again; `missing` says what is not there. An error ends it.
  std::function<Result<bool>(std::string& missing)> look;
};

// Wakes the keeper while there are tasks.
class TaskTimer final : public Timer {
 public:
  explicit TaskTimer(std::function<void()> wake) : wake_(std::move(wake)) {}
  void on_timer(Instant) override { wake_(); }

 private:
  std::function<void()> wake_;
};

// The keeper's own of a host: what runs there, and whether its power is on.
struct Controller {
  LabHost* host = nullptr;
  std::unique_ptr<HostEngine> engine;  // null where none runs
  enum class Power : std::uint8_t { kOn, kFailing, kOff, kBooting } power = Power::kOn;
};

int signal_of(std::string_view operation) {
  if (operation == "kill") return SIGKILL;
  if (operation == "pause") return SIGSTOP;
  if (operation == "resume") return SIGCONT;
  return 0;
}

class Keeper;

// One command: a line of JSON in, a line of JSON out.
class Command final : public io::StreamHandler {
 public:
  Command(Keeper& keeper, io::Stream& stream, std::uint64_t id)
      : keeper_(keeper), stream_(stream), id_(id) {
    stream_.set_handler(this);
  }
  ~Command() override { stream_.close(); }

  void on_data(io::Stream&, io::LentBytes bytes) override;
  void on_end(io::Stream&) override;
  void on_failed(io::Stream&, const Error&) override;
  void answer(const Json& reply) {
    stream_.send(reply.dump() + '\n');
    stream_.finish();
  }

 private:
  Keeper& keeper_;
  io::Stream& stream_;
  std::uint64_t id_;
  std::string line_;
  bool asked_ = false;
};

class Keeper final : public io::AcceptHandler, private Timer {
 public:
  Keeper(LabPlan plan, LabNetwork network, io::EpollLoop& loop, io::Descriptor progress)
      : plan_(std::move(plan)),
        network_(std::move(network)),
        loop_(loop),
        progress_(std::move(progress)),
        task_timer_([this] { look_at_tasks(); }) {}

  Result<void> begin();

  void on_accepted(io::Stream& stream) override {
    const auto id = ++last_command_;
    commands_.emplace(id, std::make_unique<Command>(*this, stream, id));
  }
  void on_accept_exhausted(const Error&) override {}
  // The reply, or nothing when it comes later through answer().
  std::optional<Json> obey(std::uint64_t command, const std::string& line);
  void forget(std::uint64_t command) { commands_.erase(command); }

 private:
  enum class Stage : std::uint8_t { kServices, kEngine, kProbe, kBehind, kReady };
  // Which services are meant: those that stand before the engine and its address, or behind it.
  enum class Side : std::uint8_t { kBefore, kBehind };

  void say(const std::string& line);
  [[noreturn]] void give_up(const std::string& why);
  Result<void> write_files();
  Result<void> plan_services();
  void plan_real_service(const RealService& real, const LabHost& host, SocketAddress address);
  void start_what_can();
  bool may_start(const Service& service) const;
  std::string last_words(const Service& service) const;
  bool is_real() const { return has_real_services(plan_.services); }
  Duration start_deadline() const;
  Duration task_deadline() const;
  Result<void> plan_front_door();
  Service& add_service(std::string name, const LabHost* host, SocketAddress address);
  void start(Service& service);
  void on_ready_pipe(Service& service);
  void on_children();
  void on_ended(Service& service, int status);
  void set_running(Service& service);
  void enter_next_stage();
  void answer_waiters(Service& service, const Json& reply);
  void on_timer(Instant) override { give_up("not ready in time; waiting for " + missing_); }
  std::string services_missing(std::string_view host, Side side) const;
  std::string services_missing(Side side) const;  // on any host but the client
  void tell_services();

  // Adds a task; the reply to `command` comes when it is done, or at once when `wait` is false.
  std::optional<Json> begin_task(std::uint64_t command, bool wait, Task task);
  void look_at_tasks();
  Result<bool> begin_engines(std::size_t& next, std::string& missing);
  Result<void> start_engine(Controller& controller);
  Result<std::string> engine_missing(Controller& controller);
  std::vector<SocketAddress> listening_addresses() const;

  struct Request {
    std::uint64_t command = 0;
    std::string operation, host, service;
    bool wait = true;
    Roughness roughness{};  // of "line"
  };
  // What makes a host's line rough.
  struct Line {
    LineSettings settings;
    Service* relay = nullptr;
  };
  Controller* find_controller(std::string_view host);
  Service* find_service(std::string_view host, std::string_view name);
  std::optional<Json> obey_for_host(const Request& request, LabHost& host);
  std::optional<Json> obey_for_line(const Request& request, LabHost& host);
  Result<bool> lay_line(LabHost& host);
  std::optional<Json> obey_for_service(const Request& request, Service& service);
  std::optional<Json> obey_for_engine(const Request& request, Controller& controller);
  std::optional<Json> crash(const Request& request, Controller& controller);
  std::optional<Json> boot(const Request& request, Controller& controller);
  Result<void> let_members_notice(const LabHost& host);
  void kill_everything(const LabHost& host);
  std::set<int> service_ids(std::string_view host) const;
  Json reload();
  Json status();
  Json status_of(LabHost& host, const ProcessTable& table);
  static Json done(Instant at = fresh_now()) { return {{"ok", true}, {"at", at.nanoseconds}}; }
  static Json refuse(const std::string& why) { return {{"error", why}}; }
  static Instant fresh_now();
  std::string services_of(std::string_view host);
  std::string path_of(const HostPlan& host, std::string_view file) const {
    return host_directory(plan_, host) + '/' + std::string(file);
  }

  LabPlan plan_;
  LabNetwork network_;
  io::EpollLoop& loop_;
  io::Descriptor progress_;
  Stage stage_ = Stage::kServices;
  std::string missing_;  // at start-up: what is waited for
  std::vector<std::unique_ptr<Service>> services_;
  std::map<std::string, Line> lines_;  // by host; whose line was rough at some time
  std::vector<Controller> controllers_;
  std::vector<Forward> forwards_;
  std::vector<io::Descriptor> log_files_;
  std::map<std::uint64_t, std::unique_ptr<Command>> commands_;
  std::uint64_t last_command_ = 0;
  std::vector<Task> tasks_;
  TaskTimer task_timer_;
};

Instant Keeper::fresh_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Instant{now.tv_sec * 1'000'000'000ll + now.tv_nsec};
}

void Keeper::say(const std::string& line) {
  if (progress_) dprintf(progress_.get(), "%s\n", line.c_str());
}

void Keeper::give_up(const std::string& why) {
  say("error: " + why);
  ::_exit(1);
}

Result<void> Keeper::begin() {
  TRY(loop_.on_signal(SIGCHLD, [this] { on_children(); }));
  TRY(loop_.on_signal(SIGTERM, [] { ::_exit(0); }));
  io::ListenOptions options;
  options.unix_mode = 0600;
  TRY(loop_.listen(SocketAddress::unix_path(plan_.directory + "/control"), options, *this));
  TRY(write_files());
  for (auto& host : network_.hosts()) {
    if (host.plan.role != HostRole::kController) continue;
    Controller controller{.host = &host, .engine = nullptr};
    if (plan_.runs_engine(host.plan)) {
      controller.engine =
          std::make_unique<HostEngine>(plan_.engine, host, host_directory(plan_, host.plan));
    }
    controllers_.push_back(std::move(controller));
  }
  TRY(plan_services());
  TRY(plan_front_door());
  loop_.arm(*this, start_deadline());
  start_what_can();
  return {};
}

Duration Keeper::start_deadline() const {
  if (plan_.services == ServiceSource::kOpenStack) return kCloudStartDeadline;
  return is_real() ? kRealStartDeadline : kStartDeadline;
}

Duration Keeper::task_deadline() const {
  if (plan_.services == ServiceSource::kOpenStack) return kCloudTaskDeadline;
  return is_real() ? kRealTaskDeadline : kTaskDeadline;
}

// At the lab's start: everything whose predecessors are ready, but for the client's.
void Keeper::start_what_can() {
  for (auto& service : services_) {
    if (service->host != kClientHost && !service->was_started() && may_start(*service)) {
      start(*service);
    }
  }
}

bool Keeper::may_start(const Service& service) const {
  if (service.needs_address && stage_ < Stage::kBehind) return false;
  return std::all_of(service.after.begin(), service.after.end(), [&](const auto& key) {
    return std::any_of(services_.begin(), services_.end(), [&](const auto& each) {
      return each->host + ' ' + each->name == key && each->is_ready();
    });
  });
}

// The end of its log: the lab's directory goes with a lab that did not come up.
std::string Keeper::last_words(const Service& service) const {
  io::LinuxFiles files;
  const auto text = files.read(service.plan.output);
  if (!text.has_value() || text->empty()) return "";
  return "\n" + text->substr(text->size() - std::min(text->size(), kLastWordsMax));
}

Result<void> Keeper::write_files() {
  io::LinuxFiles files;
  for (const auto& host : plan_.hosts) {
    // The first controller has the configuration even when its engine reads nothing else.
    if (!plan_.runs_engine(host)) continue;
    for (const auto& each : engine_files(plan_, host)) {
      TRY(files.replace(path_of(host, each.name), each.text, each.mode));
    }
  }
  return {};
}

Service& Keeper::add_service(std::string name, const LabHost* host, SocketAddress address) {
  auto service = std::make_unique<Service>();
  service->name = std::move(name);
  service->address = std::move(address);
  service->plan.title = service->name;
  if (host != nullptr) {
    service->host = host->plan.name;
    service->plan.where = &host->namespaces;
    service->plan.output = path_of(host->plan, "services.out");
  }
  services_.push_back(std::move(service));
  return *services_.back();
}

Result<void> Keeper::plan_services() {
  const auto echo_at = TRY(SocketAddress::parse_ip(kVirtualAddress, kEchoPort));
  std::vector<LogFile> log_files;
  for (const auto& controller : controllers_) {
    const LabHost& host = *controller.host;
    const auto address = TRY(SocketAddress::parse_ip(host.plan.address, 0));
    const std::string path = path_of(host.plan, "balancer.log");
    log_files_.emplace_back(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!log_files_.back()) return Error::from_errno(errno, path);
    log_files.push_back({.source = address, .descriptor = log_files_.back().get()});
    if (plan_.runs_engine(host.plan)) {
      auto& echo = add_service(std::string(kEchoService), &host, echo_at);
      echo.plan.body = [echo_at, node = host.plan.name](ReadySignal ready) {
        return run_echo(echo_at, node, std::move(ready));
      };
    }
    for (const auto& each : plan_.real) {
      if (each.host == host.plan.name) plan_real_service(each, host, address);
    }
    for (const auto& each : stand_ins()) {
      if (!real_service_for(each.service, plan_.services).empty()) continue;
      auto& service = add_service(std::string(each.service), &host, address.with_port(each.port));
      service.plan.body = [&each, at = service.address, node = host.plan.name](ReadySignal ready) {
        return run_stand_in(each, at, node, std::move(ready));
      };
    }
  }
  for (const auto& host : network_.hosts()) {
    if (host.plan.role != HostRole::kCompute) continue;
    const auto address = TRY(SocketAddress::parse_ip(host.plan.address, 0));
    for (const auto& each : plan_.real) {
      if (each.host == host.plan.name) plan_real_service(each, host, address);
    }
  }
  auto& recorder = add_service(std::string(kRecorderService), nullptr, {});
  recorder.host = kSwitch;
  recorder.plan.output = plan_.directory + "/recorder.out";
  const auto record =
      plan_ownership_recorder(network_, plan_.directory + '/' + std::string(kOwnershipFile));
  recorder.plan.keep = descriptors_of(record);
  recorder.plan.body = [record](ReadySignal ready) {
    return run_ownership_recorder(record, std::move(ready));
  };
  auto& rules = add_service(std::string(kRulesRecorderService), nullptr, {});
  rules.host = kSwitch;
  rules.plan.output = plan_.directory + "/recorder.out";
  const auto watched =
      plan_peer_rules_recorder(network_, plan_.directory + '/' + std::string(kRulesFile));
  rules.plan.keep = descriptors_of(watched);
  rules.plan.body = [watched](ReadySignal ready) {
    return run_peer_rules_recorder(watched, std::move(ready));
  };
  // All balancers log to the first controller, as the configuration has it.
  const LabHost& first = *controllers_.front().host;
  auto& log =
      add_service(std::string(kLogService), &first, log_files.front().source.with_port(kLogPort));
  for (const auto& each : log_files) log.plan.keep.push_back(each.descriptor);
  log.plan.body = [at = log.address, log_files](ReadySignal ready) {
    return run_log_sink(at, log_files, std::move(ready));
  };
  return {};
}

void Keeper::plan_real_service(const RealService& real, const LabHost& host,
                               SocketAddress address) {
  auto& service = add_service(
      real.name, &host, real.ports.empty() ? SocketAddress() : address.with_port(real.ports[0]));
  service.shown = !real.is_job();
  service.is_real = true;
  service.is_job = real.is_job();
  service.after = real.after;
  service.needs_address = real.needs_address;
  service.plan.output = path_of(host.plan, real.name + ".log");
  service.plan.body = [&real, at = host.plan.address](ReadySignal ready) {
    return run_real_service(real, at, std::move(ready));
  };
}

Result<void> Keeper::plan_front_door() {
  const LabHost* client = network_.find(kClientHost);
  std::vector<ProbeTarget> targets;
  for (const auto& bound : bound_addresses(plan_.configuration)) {
    // What is not known may be silent; that it accepts must do.
    const bool speaks =
        find_stand_in(bound.section) != nullptr || bound.address.port() == kStatisticsPort;
    targets.push_back({.address = bound.address, .expects_bytes = speaks});
    forwards_.push_back(TRY(open_forward(bound.section, bound.address)));
  }
  if (is_real()) {
    // What proves that keystone reaches its database through the balancer.
    targets.push_back({.address = TRY(SocketAddress::parse_ip(kVirtualAddress, 5000)),
                       .expects_bytes = true,
                       .request = token_request(),
                       .answer = kTokenAnswer});
  }
  auto& probe = add_service(std::string(kProbeService), client, {});
  probe.shown = false;
  probe.plan.body = [targets](ReadySignal ready) {
    return run_balancer_probe(targets, std::move(ready));
  };
  auto& forward = add_service(std::string(kForwardService), client, {});
  for (const auto& each : forwards_) forward.plan.keep.push_back(each.listener.get());
  forward.plan.body = [this](ReadySignal ready) {
    return run_forwarder(forwards_, std::move(ready));
  };
  return {};
}

void Keeper::start(Service& service) {
  service.detail.clear();
  auto child = start_child(service.plan);
  if (!child.has_value()) {
    service.state = Service::State::kEnded;
    service.detail = child.error().message();
    return answer_waiters(service, refuse(service.detail));
  }
  service.state = Service::State::kStarting;
  service.pid = child->pid;
  service.ready = std::move(child->ready);
  service.ready_watch = loop_.watch_descriptor(
      service.ready.get(), EPOLLIN, [this, &service](std::uint32_t) { on_ready_pipe(service); });
}

void Keeper::on_ready_pipe(Service& service) {
  char words[256];
  const ssize_t size = ::read(service.ready.get(), words, sizeof words);
  loop_.unwatch_descriptor(service.ready_watch);
  service.ready.reset();
  // Without a word it has died, and on_children() will tell.
  if (service.state == Service::State::kStarting && size > 0) set_running(service);
}

void Keeper::set_running(Service& service) {
  service.state = Service::State::kRunning;
  answer_waiters(service, done());
  if (stage_ != Stage::kReady) enter_next_stage();
}

void Keeper::enter_next_stage() {
  if (stage_ == Stage::kServices) {
    start_what_can();
    missing_ = services_missing(Side::kBefore);
    if (!missing_.empty()) return;
    tell_services();
    stage_ = Stage::kEngine;
    start(*find_service(kClientHost, kForwardService));
    Task task{.begun = fresh_now(), .look = nullptr};
    task.look = [this, next = std::size_t{0}](std::string& missing) mutable {
      return begin_engines(next, missing);
    };
    begin_task(0, false, std::move(task));
    return;
  }
  if (stage_ == Stage::kProbe) {
    missing_ = services_missing(kClientHost, Side::kBefore);
    if (!missing_.empty()) return;
    stage_ = Stage::kBehind;
  }
  if (stage_ != Stage::kBehind) return;
  start_what_can();
  missing_ = services_missing(Side::kBehind);
  if (!missing_.empty()) return;
  if (plan_.services == ServiceSource::kOpenStack) say("openstack: every service is ready");
  std::string engine = plan_.engine.moves_the_address() ? "engine: " : "balancer: ";
  for (const auto& program : plan_.engine.programs) {
    if (&program != &plan_.engine.programs.front()) engine += "and ";
    for (const auto& word : program.command) engine += word + ' ';
  }
  if (plan_.engine.moves_the_address()) {
    engine += "on " + std::to_string(controllers_.size()) + " controllers, ";
  }
  say(engine + "answers on " + std::string(kVirtualAddress));
  stage_ = Stage::kReady;
  cancel();
  say("ready");
  progress_.reset();
}

void Keeper::tell_services() {
  std::size_t stand_in_count = 0;
  std::size_t real = 0;
  for (const auto& service : services_) {
    if (service->is_real) {
      real += service->is_job || service->needs_address ? 0 : 1;
    } else {
      stand_in_count += find_stand_in(service->name) != nullptr;
    }
  }
  if (real > 0) say("services: " + std::to_string(real) + " real ones are ready");
  say("services: " + std::to_string(stand_in_count) + " stand-ins accept");
}

// The first controller's alone until it has the address, so that a lab always begins alike.
Result<bool> Keeper::begin_engines(std::size_t& next, std::string& missing) {
  for (std::size_t i = 0; i < controllers_.size(); ++i) {
    auto& controller = controllers_[i];
    if (controller.engine == nullptr) continue;
    if (i == next) {
      TRY(start_engine(controller));
      ++next;
    }
    missing = TRY(engine_missing(controller));
    if (!missing.empty()) return false;
    // By lease one alone has no majority: whoever is first has it, and the probe waits for that.
    const bool alone = i == 0 && !has_leases(plan_.engine.kind);
    if (alone && !network_.holds_virtual_address(*controller.host)) {
      missing = controller.host->plan.name + " to have " + std::string(kVirtualAddress);
      return false;
    }
  }
  stage_ = Stage::kProbe;
  missing = "an answer at " + std::string(kVirtualAddress);
  start(*find_service(kClientHost, kProbeService));
  return true;
}

Result<void> Keeper::start_engine(Controller& controller) {
  // The first controller's copy of the configuration is the one that people change.
  io::LinuxFiles files;
  const std::string source = path_of(plan_.first(), kBalancerFile);
  const std::string target = path_of(controller.host->plan, kBalancerFile);
  if (source != target) {
    const std::string text = TRY(files.read(source));
    TRY(files.replace(target, text, 0644));
  }
  controller.engine->start();
  return {};
}

std::vector<SocketAddress> Keeper::listening_addresses() const {
  io::LinuxFiles files;
  const auto text = files.read(path_of(plan_.first(), kBalancerFile));
  std::vector<SocketAddress> addresses;
  if (!text.has_value()) return addresses;
  for (auto& bound : bound_addresses(*text)) addresses.push_back(std::move(bound.address));
  return addresses;
}

Result<std::string> Keeper::engine_missing(Controller& controller) {
  return controller.engine->missing(ProcessTable::read(), listening_addresses());
}

// Of what a host was given at start-up, what is not running.
std::string Keeper::services_missing(std::string_view host, Side side) const {
  std::string names;
  for (const auto& service : services_) {
    if (service->host != host || service->is_ready()) continue;
    if (service->needs_address != (side == Side::kBehind)) continue;
    // The probe has done its work once it was ready, and may have ended.
    if (service->name == kProbeService && service->state == Service::State::kEnded &&
        service->detail == kEndedWell) {
      continue;
    }
    names += ' ' + service->host + ' ' + service->name;
  }
  return names;
}

std::string Keeper::services_missing(Side side) const {
  std::string names = services_missing(kSwitch, side);
  for (const auto& host : plan_.hosts) {
    if (host.role != HostRole::kClient) names += services_missing(host.name, side);
  }
  return names;
}

std::optional<Json> Keeper::begin_task(std::uint64_t command, bool wait, Task task) {
  if (tasks_.size() >= kTasksMax) return refuse("too much is under way; try again");
  const Json at_once = done(task.begun);
  task.command = wait ? command : 0;
  tasks_.push_back(std::move(task));
  if (!task_timer_.armed()) loop_.arm(task_timer_, Duration(0));
  if (wait) return std::nullopt;
  return at_once;
}

void Keeper::look_at_tasks() {
  // A look may begin other tasks: those are appended, and looked at next time.
  auto tasks = std::exchange(tasks_, {});
  for (auto& task : tasks) {
    std::string missing;
    const auto result = task.look(missing);
    Json reply = done(task.begun);
    if (!result.has_value()) {
      if (stage_ != Stage::kReady) give_up(result.error().message());
      reply = refuse(result.error().message());
    } else if (!*result) {
      if (stage_ != Stage::kReady) missing_ = missing;
      if (stage_ != Stage::kReady || fresh_now() < task.begun + task_deadline()) {
        tasks_.push_back(std::move(task));
        continue;
      }
      reply = refuse("not in time: " + missing);
    }
    if (const auto found = commands_.find(task.command); found != commands_.end()) {
      found->second->answer(reply);
    }
  }
  if (!tasks_.empty()) loop_.arm(task_timer_, kTaskInterval);
}

void Keeper::on_children() {
  int status = 0;
  int pid = 0;
  // Process 1 also inherits orphans: they are reaped and forgotten.
  while ((pid = ::waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
    for (auto& controller : controllers_) {
      if (controller.engine != nullptr) controller.engine->on_child(pid, status);
    }
    for (auto& service : services_) {
      if (service->pid != pid) continue;
      if (WIFSTOPPED(status)) {
        service->state = Service::State::kPaused;
      } else if (WIFCONTINUED(status)) {
        if (service->state == Service::State::kPaused) service->state = Service::State::kRunning;
      } else {
        on_ended(*service, status);
      }
      break;
    }
  }
}

void Keeper::on_ended(Service& service, int status) {
  service.pid = 0;
  const bool was_starting = service.state == Service::State::kStarting;
  service.state = Service::State::kEnded;
  service.detail = WIFSIGNALED(status) ? "killed by signal " + std::to_string(WTERMSIG(status))
                                       : "exit status " + std::to_string(WEXITSTATUS(status));
  if (service.name == kProbeService) {
    if (service.detail == kEndedWell) {
      // Its word may still be in the pipe: on_ready_pipe() has not been called.
      if (stage_ == Stage::kProbe) enter_next_stage();
      return;
    }
    if (stage_ != Stage::kReady) give_up("the balancer does not answer");
  }
  if (service.is_ready()) return enter_next_stage();  // a job
  if (was_starting && stage_ != Stage::kReady) {
    give_up(service.host + ' ' + service.name + ": " + service.detail + "; see " +
            service.plan.output + last_words(service));
  }
  answer_waiters(service, refuse(service.name + ": " + service.detail));
}

void Keeper::answer_waiters(Service& service, const Json& reply) {
  for (const auto id : std::exchange(service.waiters, {})) {
    if (const auto found = commands_.find(id); found != commands_.end()) {
      found->second->answer(reply);
    }
  }
}

Service* Keeper::find_service(std::string_view host, std::string_view name) {
  const StandInPlan* stand_in = find_stand_in(name);
  if (stand_in != nullptr) {
    const auto real = real_service_for(stand_in->service, plan_.services);
    if (!real.empty()) name = real;
  }
  for (auto& service : services_) {
    if (service->host != host) continue;
    if (service->name == name || (stand_in != nullptr && service->name == stand_in->service)) {
      return service.get();
    }
  }
  return nullptr;
}

Controller* Keeper::find_controller(std::string_view host) {
  for (auto& each : controllers_) {
    if (each.host->plan.name == host) return &each;
  }
  return nullptr;
}

std::string Keeper::services_of(std::string_view host) {
  std::string names;
  for (const auto& service : services_) {
    if (service->host == host && service->shown) names += ' ' + service->name;
  }
  if (const auto* found = find_controller(host); found != nullptr && found->engine != nullptr) {
    names += found->engine->names();
  }
  return names.empty() ? " none" : names;
}

std::optional<Json> Keeper::obey(std::uint64_t command, const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return refuse("not a JSON object");
  const auto text = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : "";
  };
  Request request{.command = command,
                  .operation = text("do"),
                  .host = text("host"),
                  .service = text("service")};
  if (const auto wait = json.find("wait"); wait != json.end() && wait->is_boolean()) {
    request.wait = wait->get<bool>();
  }
  // Where nothing else is called so, the balancer is the engine's proxy.
  if (request.service == kBalancerService && plan_.engine.moves_the_address()) {
    request.service = kProxyRole;
  }
  if (request.operation == "line") {
    const auto number = [&](const char* key) {
      const auto found = json.find(key);
      return found != json.end() && found->is_number_integer() ? found->get<int>() : 0;
    };
    request.roughness = {.loss_from = number("loss"),
                         .loss_to = number("loss"),
                         .delay = std::chrono::milliseconds(number("delay_ms"))};
  }
  if (request.operation == "status") return status();
  if (request.operation == "reload") return reload();
  if (request.operation == "down") ::_exit(0);
  LabHost* host = network_.find(request.host);
  if (host == nullptr) {
    std::string names;
    for (const auto& each : plan_.hosts) names += ' ' + each.name;
    return refuse("no host '" + request.host + "'; there are:" + names);
  }
  if (request.service.empty()) return obey_for_host(request, *host);
  if (Service* service = find_service(host->plan.name, request.service)) {
    return obey_for_service(request, *service);
  }
  if (Controller* const controller = find_controller(host->plan.name);
      controller != nullptr && controller->engine != nullptr) {
    return obey_for_engine(request, *controller);
  }
  return refuse("no service '" + request.service + "' on " + host->plan.name +
                "; there are:" + services_of(host->plan.name));
}

std::optional<Json> Keeper::obey_for_host(const Request& request, LabHost& host) {
  Controller* const controller = find_controller(host.plan.name);
  const bool powered = controller == nullptr || controller->power == Controller::Power::kOn;
  if (request.operation == "boot" && controller != nullptr) return boot(request, *controller);
  if (!powered) return refuse(host.plan.name + " is off (nines lab boot " + host.plan.name + ')');
  if (request.operation == "line" || request.operation == "mute" || request.operation == "deafen" ||
      (request.operation == "heal" && (host.mute || host.deaf))) {
    return obey_for_line(request, host);
  }
  // From before it, so that what is seen of it comes after it.
  const Instant at = fresh_now();
  Result<void> result;
  if (request.operation == "cut") {
    result = network_.cut(host);
  } else if (request.operation == "isolate") {
    result = network_.isolate(host);
  } else if (request.operation == "heal") {
    result = network_.heal(host);
  } else if (request.operation == "drop-address") {
    result = network_.drop_virtual_address(host);
  } else if (request.operation == "crash" && controller != nullptr) {
    return crash(request, *controller);
  } else {
    return refuse("no operation '" + request.operation + "' for " + host.plan.name);
  }
  if (!result.has_value()) return refuse(result.error().message());
  return done(at);
}

std::optional<Json> Keeper::obey_for_line(const Request& request, LabHost& host) {
  if (const auto checked = check(request.roughness); !checked.has_value()) {
    return refuse(checked.error().message());
  }
  const Instant at = fresh_now();
  if (request.operation == "line") host.roughness = request.roughness;
  if (request.operation == "mute") host.mute = true;
  if (request.operation == "deafen") host.deaf = true;
  if (request.operation == "heal") {
    host.mute = host.deaf = false;
    if (const auto healed = network_.heal(host); !healed.has_value()) {
      return refuse(healed.error().message());
    }
  }
  const auto starts = lay_line(host);
  if (!starts.has_value()) return refuse(starts.error().message());
  if (!*starts || !request.wait) return done(at);
  lines_.find(host.plan.name)->second.relay->waiters.push_back(request.command);
  return std::nullopt;
}

// Puts the relay into the host's line that it wants, or takes it out. True: it is being started.
Result<bool> Keeper::lay_line(LabHost& host) {
  const Roughness wanted = host.line();
  auto found = lines_.find(host.plan.name);
  if (wanted.is_smooth()) {
    if (host.relay_port == 0) return false;
    Service& relay = *found->second.relay;
    if (relay.pid != 0) ::kill(relay.pid, SIGKILL);
    TRY(network_.unsplice(host));
    return false;
  }
  if (found == lines_.end()) {
    auto settings = TRY(LineSettings::create());
    Service& relay = add_service("line-" + host.plan.name, nullptr, {});
    relay.host = kSwitch;
    relay.plan.output = plan_.directory + "/line.out";
    relay.plan.keep = {network_.switch_network().get()};
    found = lines_.emplace(host.plan.name, Line{std::move(settings), &relay}).first;
    relay.plan.body = [this, &host, &line = found->second](ReadySignal ready) {
      return run_line_relay({.network = network_.switch_network().get(),
                             .host_side = host.switch_port,
                             .switch_side = host.relay_port,
                             .settings = &line.settings},
                            std::move(ready));
    };
  }
  Line& line = found->second;
  line.settings.set(wanted);
  if (host.relay_port != 0 && line.relay->state != Service::State::kEnded) return false;
  if (host.relay_port == 0) {
    // Its last one may not have been reaped.
    if (line.relay->pid != 0) await_death(line.relay->pid, kDeathPatience);
    on_children();
    TRY(network_.splice(host));
  }
  start(*line.relay);
  return true;
}

std::set<int> Keeper::service_ids(std::string_view host) const {
  std::set<int> ids;
  for (const auto& service : services_) {
    if (service->host == host && service->pid != 0) ids.insert(service->pid);
  }
  return ids;
}

void Keeper::kill_everything(const LabHost& host) {
  for (const auto& each : ProcessTable::read().of(host.namespaces.network)) {
    ::kill(each.id, SIGKILL);
  }
}

// Like a power cut: the link first, so that nothing says goodbye.
std::optional<Json> Keeper::crash(const Request& request, Controller& controller) {
  LabHost& host = *controller.host;
  Task task{.begun = fresh_now(), .look = nullptr};
  if (const auto cut = network_.cut(host); !cut.has_value()) {
    return refuse(cut.error().message());
  }
  kill_everything(host);
  controller.power = Controller::Power::kFailing;
  task.look = [this, &controller, &host](std::string& missing) -> Result<bool> {
    const bool services_run = std::any_of(
        services_.begin(), services_.end(),
        [&](const auto& service) { return service->host == host.plan.name && service->pid != 0; });
    const bool engine_runs = controller.engine != nullptr && controller.engine->runs();
    if (services_run || engine_runs || !ProcessTable::read().of(host.namespaces.network).empty()) {
      kill_everything(host);
      missing = "its processes to end";
      return false;
    }
    controller.power = Controller::Power::kOff;
    TRY(network_.forget(host));
    return true;
  };
  return begin_task(request.command, request.wait, std::move(task));
}

Result<void> Keeper::let_members_notice(const LabHost& host) {
  for (const auto& real : plan_.real) {
    if (real.host != host.plan.name || real.member_port == 0) continue;
    for (const auto& peer : controllers_) {
      if (peer.host == &host) continue;
      TRY(network_.end_connections(*peer.host, host, real.member_port));
    }
  }
  return {};
}

std::optional<Json> Keeper::boot(const Request& request, Controller& controller) {
  LabHost& host = *controller.host;
  if (controller.power == Controller::Power::kOn) return refuse(host.plan.name + " is on");
  if (controller.power == Controller::Power::kBooting) {
    return refuse(host.plan.name + " boots already");
  }
  Task task{.begun = fresh_now(), .look = nullptr};
  task.look = [this, &controller, &host, services_begun = false, engine_begun = false,
               behind_begun = false](std::string& missing) mutable -> Result<bool> {
    const auto start_side = [&](bool behind) {
      for (auto& service : services_) {
        if (service->host == host.plan.name && !service->is_job &&
            service->needs_address == behind) {
          start(*service);
        }
      }
    };
    if (!services_begun) {
      missing = "its processes to end";
      if (controller.power == Controller::Power::kFailing) return false;
      services_begun = true;
      controller.power = Controller::Power::kBooting;
      TRY(let_members_notice(host));
      TRY(network_.heal(host));
      start_side(false);
    }
    missing = services_missing(host.plan.name, Side::kBefore);
    if (!missing.empty()) return false;
    if (controller.engine != nullptr) {
      if (!engine_begun) TRY(start_engine(controller));
      engine_begun = true;
      missing = TRY(engine_missing(controller));
      if (!missing.empty()) return false;
    }
    if (!behind_begun) start_side(true);
    behind_begun = true;
    missing = services_missing(host.plan.name, Side::kBehind);
    if (!missing.empty()) return false;
    controller.power = Controller::Power::kOn;
    return true;
  };
  return begin_task(request.command, request.wait, std::move(task));
}

std::optional<Json> Keeper::obey_for_service(const Request& request, Service& service) {
  const bool alive = service.state != Service::State::kEnded;
  if (request.operation == "start") {
    if (alive)
      return refuse(service.name + " on " + service.host + " is " +
                    std::string(name_of(service.state)) + " already");
    if (const auto* controller = find_controller(service.host);
        controller != nullptr && controller->power != Controller::Power::kOn) {
      return refuse(service.host + " is off (nines lab boot " + service.host + ')');
    }
    if (request.wait) service.waiters.push_back(request.command);
    const Json at_once = done();
    start(service);
    if (request.wait) return std::nullopt;
    return at_once;
  }
  if (request.operation == "stop") {
    return refuse("the engine alone is stopped; a service is killed or paused");
  }
  const int number = signal_of(request.operation);
  if (number == 0) return refuse("no operation '" + request.operation + "'");
  if (!alive) return refuse(service.name + " on " + service.host + " does not run");
  // The whole group. The leader is our child and not yet reaped, so that the number cannot have
  // become somebody else's.
  if (::kill(-service.pid, number) != 0) {
    return refuse(Error::from_errno(errno, service.name).message());
  }
  // What is still accepted while the kernel takes it apart was begun before the fault.
  if (number == SIGKILL) await_death(service.pid, kDeathPatience);
  return done();
}

std::optional<Json> Keeper::obey_for_engine(const Request& request, Controller& controller) {
  const std::string& host = controller.host->plan.name;
  if (controller.power != Controller::Power::kOn) {
    return refuse(host + " is off (nines lab boot " + host + ')');
  }
  HostEngine& engine = *controller.engine;
  if (!engine.knows(request.service)) {
    return refuse("no service '" + request.service + "' on " + host +
                  "; there are:" + services_of(host));
  }
  Task task{.begun = fresh_now(), .look = nullptr};
  if (request.operation == "start") {
    task.look = [this, &controller, begun = false](std::string& missing) mutable -> Result<bool> {
      missing = "the engine to end";
      if (!begun && controller.engine->stops()) return false;
      if (!begun) TRY(start_engine(controller));
      begun = true;
      missing = TRY(engine_missing(controller));
      return missing.empty();
    };
    return begin_task(request.command, request.wait, std::move(task));
  }
  if (request.operation == "stop") {
    if (request.service != kWholeEngine) return refuse("what is stopped is the whole engine");
    task.look = [&engine](std::string& missing) -> Result<bool> {
      missing = "the engine to end";
      return engine.stop_further(fresh_now());
    };
    return begin_task(request.command, request.wait, std::move(task));
  }
  const int number = signal_of(request.operation);
  if (number == 0) return refuse("no operation '" + request.operation + "'");
  const auto signalled =
      engine.signal(request.service, number, ProcessTable::read(), service_ids(host));
  if (!signalled.has_value()) return refuse(signalled.error().message());
  if (number != SIGKILL) return done();
  for (const int id : *signalled) await_death(id, kDeathPatience);
  task.begun = fresh_now();
  // Whoever starts it again must not take the dying for the living.
  task.look = [&controller, ids = *signalled](std::string& missing) -> Result<bool> {
    missing = "the killed to end";
    for (const auto& each : ProcessTable::read().of(controller.host->namespaces.network)) {
      if (each.state != 'Z' && std::find(ids.begin(), ids.end(), each.id) != ids.end()) {
        return false;
      }
    }
    return true;
  };
  return begin_task(request.command, request.wait, std::move(task));
}

Json Keeper::reload() {
  io::LinuxFiles files;
  const auto text = files.read(path_of(plan_.first(), kBalancerFile));
  if (!text.has_value()) return refuse(text.error().message());
  int count = 0;
  for (auto& controller : controllers_) {
    if (controller.engine == nullptr || controller.power != Controller::Power::kOn) continue;
    const HostPlan& host = controller.host->plan;
    if (&controller != &controllers_.front()) {
      const auto written = files.replace(path_of(host, kBalancerFile), *text, 0644);
      if (!written.has_value()) return refuse(written.error().message());
    }
    if (!controller.engine->runs()) continue;
    const auto reloaded = controller.engine->reload();
    if (!reloaded.has_value()) return refuse(reloaded.error().message());
    ++count;
  }
  if (count == 0) return refuse("no balancer runs");
  return done();
}

Json Keeper::status_of(LabHost& host, const ProcessTable& table) {
  Json services = Json::array();
  for (const auto& service : services_) {
    if (service->host != host.plan.name || !service->shown) continue;
    services.push_back({{"name", service->name},
                        {"address", service->address.is_ip() ? service->address.text() : ""},
                        {"state", name_of(service->state)},
                        {"pid", service->pid},
                        {"detail", service->detail}});
  }
  Json result = {{"name", host.plan.name},
                 {"address", host.plan.address},
                 {"link", host.cut        ? "cut"
                          : host.isolated ? "isolated"
                          : host.mute     ? "mute"
                          : host.deaf     ? "deaf"
                                          : "up"},
                 {"loss_percent", host.roughness.loss_from},
                 {"delay_ms", milliseconds_of(host.roughness.delay)},
                 {"power", "on"},
                 {"owns_virtual_address", network_.holds_virtual_address(host)},
                 {"namespaces",
                  {{"network", host.namespaces.network.get()},
                   {"mount", host.namespaces.mount.get()},
                   {"host_name", host.namespaces.host_name.get()}}}};
  const auto* controller = find_controller(host.plan.name);
  if (controller != nullptr && controller->power != Controller::Power::kOn) {
    result["power"] = controller->power == Controller::Power::kBooting ? "booting" : "off";
  }
  if (controller != nullptr && controller->engine != nullptr) {
    for (const auto& program : controller->engine->programs()) {
      services.push_back({{"name", program.plan->name},
                          {"program", true},
                          {"address", ""},
                          {"state", name_of(program.state)},
                          {"pid", program.pid},
                          {"detail", program.detail}});
    }
    const auto processes = table.of(host.namespaces.network);
    Json roles = Json::array();
    for (const auto& role : plan_.engine.roles) {
      const HostProcess* process = controller->engine->find(role.role, processes);
      roles.push_back({{"role", role.role},
                       {"pid", process == nullptr ? 0 : process->id},
                       {"scheduling", process == nullptr ? "" : scheduling_of(process->id)},
                       {"state", process == nullptr      ? "ended"
                                 : process->state == 'T' ? "paused"
                                                         : "running"}});
    }
    result["engine"] = roles;
    result["priority"] = host.plan.priority;
    result["configuration"] = path_of(host.plan, kBalancerFile);
    result["runtime_socket"] = path_of(host.plan, "kolla/haproxy.sock");
    result["log"] = path_of(host.plan, "balancer.log");
    result["engine_output"] = path_of(host.plan, plan_.engine.programs.front().output);
  }
  result["services"] = services;
  return result;
}

Json Keeper::status() {
  const HostPlan& first = plan_.first();
  const auto table = ProcessTable::read();
  Json hosts = Json::array();
  for (auto& host : network_.hosts()) hosts.push_back(status_of(host, table));
  Json forwards = Json::array();
  for (const auto& each : forwards_) {
    forwards.push_back(
        {{"name", each.name}, {"local", each.local.text()}, {"target", each.target.text()}});
  }
  Json programs = Json::array();
  for (const auto& program : plan_.engine.programs) programs.push_back(program.command);
  return {{"name", plan_.name},
          {"directory", plan_.directory},
          {"virtual_address", kVirtualAddress},
          {"engine", name_of(plan_.engine.kind)},
          {"services", name_of(plan_.services)},
          {"programs", programs},
          {"configuration", path_of(first, kBalancerFile)},
          {"runtime_socket", path_of(first, "kolla/haproxy.sock")},
          {"log", path_of(first, "balancer.log")},
          {"balancer_output", path_of(first, plan_.engine.programs.back().output)},
          {"ownership", plan_.directory + '/' + std::string(kOwnershipFile)},
          {"rules", plan_.directory + '/' + std::string(kRulesFile)},
          {"forwards", forwards},
          {"hosts", hosts}};
}

void Command::on_data(io::Stream&, io::LentBytes bytes) {
  if (asked_) return;
  line_.append(bytes.view());
  const auto end = line_.find('\n');
  if (end == std::string::npos && line_.size() < kRequestMax) return;
  asked_ = true;
  line_.resize(std::min(end, kRequestMax));
  if (const auto reply = keeper_.obey(id_, line_)) answer(*reply);
}
void Command::on_end(io::Stream&) { keeper_.forget(id_); }
void Command::on_failed(io::Stream&, const Error&) { keeper_.forget(id_); }

// A view of the file system of our own, so that nothing mounted here is ever seen by the machine,
// with a /proc that shows this process namespace.
Result<void> leave_the_machines_mounts() {
  if (::unshare(CLONE_NEWNS) != 0) return Error::from_errno(errno, "unshare mounts");
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Error::from_errno(errno, "make mounts private");
  }
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return Error::from_errno(errno, "mount /proc");
  }
  return {};
}

Result<void> prepare(const LabPlan& plan) {
  ::prctl(PR_SET_NAME, "nines-lab");
  ::umask(022);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < kDescriptorsMax) {
    limit.rlim_cur = kDescriptorsMax;
    limit.rlim_max = std::max(limit.rlim_max, kDescriptorsMax);
    ::setrlimit(RLIMIT_NOFILE, &limit);  // refused: the balancer says what it lacks
  }
  for (const auto& host : plan.hosts) {
    for (const std::string& path :
         {host_directory(plan, host), host_directory(plan, host) + "/kolla"}) {
      if (::mkdir(path.c_str(), 0755) != 0) return Error::from_errno(errno, path);
    }
  }
  return leave_the_machines_mounts();
}

std::string describe_hosts(const LabPlan& plan) {
  std::string text = "hosts:";
  for (const auto& host : plan.hosts) text += ' ' + host.name + ' ' + host.address;
  return text;
}

}  // namespace

void run_keeper(LabPlan plan, io::Descriptor progress) {
  const auto fail = [&](const Error& error) {
    dprintf(progress.get(), "error: %s\n", error.message().c_str());
    ::_exit(1);
  };
  if (auto prepared = prepare(plan); !prepared.has_value()) fail(prepared.error());
  auto network = LabNetwork::create(plan);
  if (!network.has_value()) fail(network.error());
  dprintf(progress.get(), "%s\n", describe_hosts(plan).c_str());
  auto loop = io::EpollLoop::create();
  if (!loop.has_value()) fail(loop.error());
  const int progress_number = progress.get();
  Keeper keeper(std::move(plan), *std::move(network), **loop, std::move(progress));
  if (auto begun = keeper.begin(); !begun.has_value()) {
    dprintf(progress_number, "error: %s\n", begun.error().message().c_str());
    ::_exit(1);
  }
  (*loop)->run();
  ::_exit(0);
}

}  // namespace nines::lab

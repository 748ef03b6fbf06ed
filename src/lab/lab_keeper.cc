// Start-up goes stage by stage, each entered when all of the one before is ready:
//   kStandIns (and the log) --> kBalancer (and the probe of it, and the front door) --> kReady
#include "lab/lab_keeper.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
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

#include "base/check.h"
#include "io/linux/epoll_loop.h"
#include "lab/balancer_probe.h"
#include "lab/forwarder.h"
#include "lab/lab_child.h"
#include "lab/lab_host.h"
#include "lab/log_sink.h"
#include "lab/stand_in.h"

namespace nines::lab {
namespace {

using Json = nlohmann::json;

constexpr Duration kStartDeadline = 30s;
constexpr std::size_t kRequestMax = 4096;  // bytes of one command
constexpr rlim_t kDescriptorsMax = 65536;  // a balancer with maxconn 4000 wants 8000 and more
constexpr std::string_view kProbeService = "probe";
constexpr int kExitNotRun = 127;  // as a shell has it when a program cannot be run

void write_whole(const std::string& path, std::string_view text) {
  const io::Descriptor out(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  // What is not written is missed by the balancer at once, and said by it.
  if (out) static_cast<void>(!::write(out.get(), text.data(), text.size()));
}

struct Service {
  //  kStarting --ready--> kRunning <--pause, resume--> kPaused
  //      +-------------------+---------------------------+--dies--> kEnded --start--> kStarting
  enum class State : std::uint8_t { kStarting, kRunning, kPaused, kEnded };

  std::string name;
  std::string host;
  SocketAddress address;
  ChildPlan plan;
  bool runs_program = false;  // exec closes the ready pipe without a word: that is good
  bool shown = true;          // in the status
  State state = State::kEnded;
  int pid = 0;
  io::Descriptor ready;
  io::EpollLoop::WatchId ready_watch = 0;
  std::string detail;                  // of kEnded: how
  std::vector<std::uint64_t> waiters;  // connections that wait for it to be ready
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
        progress_(std::move(progress)) {}

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
  enum class Stage : std::uint8_t { kStandIns, kBalancer, kReady };

  void say(const std::string& line);
  [[noreturn]] void give_up(const std::string& why);
  void plan_stand_ins();
  Result<void> plan_balancer();
  Service& add_service(std::string name, const LabHost* host, SocketAddress address);
  void start(Service& service);
  void on_ready_pipe(Service& service);
  void on_children();
  void on_ended(Service& service, int status);
  void set_running(Service& service);
  void enter_next_stage();
  void answer_waiters(Service& service, const Json& reply);
  void on_timer(Instant) override { give_up("not ready in time; waiting for " + not_ready()); }
  std::string not_ready() const;

  Service* find_service(std::string_view host, std::string_view name);
  std::optional<Json> obey_for_host(const std::string& operation, LabHost& host);
  std::optional<Json> obey_for_service(const std::string& operation, Service& service,
                                       std::uint64_t command);
  Json reload();
  Json status() const;
  Json done() const { return {{"ok", true}, {"at", fresh_now().nanoseconds}}; }
  static Json refuse(const std::string& why) { return {{"error", why}}; }
  static Instant fresh_now();
  std::string services_of(std::string_view host) const;
  const HostPlan& balancer_host() const;
  std::string output_path(const HostPlan& host, std::string_view file) const {
    return host_directory(plan_, host) + '/' + std::string(file);
  }

  LabPlan plan_;
  LabNetwork network_;
  io::EpollLoop& loop_;
  io::Descriptor progress_;
  Stage stage_ = Stage::kStandIns;
  std::vector<std::unique_ptr<Service>> services_;
  std::vector<Forward> forwards_;
  std::map<std::uint64_t, std::unique_ptr<Command>> commands_;
  std::uint64_t last_command_ = 0;
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
  write_whole(output_path(balancer_host(), "haproxy.cfg"), plan_.configuration);
  plan_stand_ins();
  TRY(plan_balancer());
  loop_.arm(*this, kStartDeadline);
  for (auto& service : services_) {
    if (service->name != kBalancerService && service->name != kProbeService &&
        service->name != kForwardService) {
      start(*service);
    }
  }
  return {};
}

const HostPlan& Keeper::balancer_host() const {
  for (const auto& host : plan_.hosts) {
    if (host.owns_virtual_address) return host;
  }
  CHECK(!"a lab has a host that owns the virtual address");
  return plan_.hosts.front();
}

Service& Keeper::add_service(std::string name, const LabHost* host, SocketAddress address) {
  auto service = std::make_unique<Service>();
  service->name = std::move(name);
  service->address = std::move(address);
  service->plan.title = service->name;
  if (host != nullptr) {
    service->host = host->plan.name;
    service->plan.where = &host->namespaces;
    service->plan.output = output_path(host->plan, "services.out");
  }
  services_.push_back(std::move(service));
  return *services_.back();
}

void Keeper::plan_stand_ins() {
  for (const auto& host : network_.hosts()) {
    if (host.plan.role != HostRole::kController) continue;
    const auto address = *SocketAddress::parse_ip(host.plan.address, 0);
    if (host.plan.owns_virtual_address) {
      auto& log = add_service(std::string(kLogService), &host, address.with_port(kLogPort));
      log.plan.body = [at = log.address](ReadySignal ready) {
        return run_log_sink(at, std::string(kHostDirectory) + "/balancer.log", std::move(ready));
      };
    }
    for (const auto& each : stand_ins()) {
      auto& service = add_service(std::string(each.service), &host, address.with_port(each.port));
      service.plan.body = [&each, at = service.address, node = host.plan.name](ReadySignal ready) {
        return run_stand_in(each, at, node, std::move(ready));
      };
    }
  }
}

Result<void> Keeper::plan_balancer() {
  const LabHost* host = network_.find(balancer_host().name);
  const LabHost* client = network_.find(kClientHost);
  const auto virtual_address = *SocketAddress::parse_ip(kVirtualAddress, 0);

  auto& balancer = add_service(std::string(kBalancerService), host, virtual_address);
  balancer.runs_program = true;
  balancer.plan.output = output_path(host->plan, "balancer.out");
  balancer.plan.body = [command = plan_.balancer](ReadySignal) {
    std::vector<std::string> words = command;
    words.push_back(std::string(kHostDirectory) + "/haproxy.cfg");
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    ::execvp(arguments[0], arguments.data());
    std::perror(arguments[0]);
    return kExitNotRun;
  };

  std::vector<ProbeTarget> targets;
  for (const auto& bound : bound_addresses(plan_.configuration)) {
    // What is not known may be silent; that it accepts must do.
    const bool speaks =
        find_stand_in(bound.section) != nullptr || bound.address.port() == kStatisticsPort;
    targets.push_back({.address = bound.address, .expects_bytes = speaks});
    forwards_.push_back(TRY(open_forward(bound.section, bound.address)));
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
  if (service.state != Service::State::kStarting) return;
  // No word: it has died, and on_children() will tell; or it became another program.
  if (size <= 0 && !service.runs_program) return;
  if (service.name != kBalancerService) return set_running(service);
  // A program is ready when it answers: the probe finds out.
  if (Service* probe = find_service(kClientHost, kProbeService);
      probe != nullptr && probe->state != Service::State::kStarting) {
    start(*probe);
  }
}

void Keeper::set_running(Service& service) {
  service.state = Service::State::kRunning;
  answer_waiters(service, done());
  if (service.name == kProbeService) {
    Service* balancer = find_service(balancer_host().name, kBalancerService);
    if (balancer->state == Service::State::kStarting) set_running(*balancer);
  }
  if (stage_ != Stage::kReady) enter_next_stage();
}

void Keeper::enter_next_stage() {
  if (!not_ready().empty()) return;
  if (stage_ == Stage::kStandIns) {
    std::size_t count = 0;
    for (const auto& service : services_) count += find_stand_in(service->name) != nullptr;
    say("services: " + std::to_string(count) + " stand-ins accept");
    stage_ = Stage::kBalancer;
    start(*find_service(kClientHost, kForwardService));
    start(*find_service(balancer_host().name, kBalancerService));
    return;
  }
  std::string command;
  for (const auto& word : plan_.balancer) command += word + ' ';
  say("balancer: " + command + "answers on " + std::string(kVirtualAddress));
  stage_ = Stage::kReady;
  cancel();
  say("ready");
  progress_.reset();
}

std::string Keeper::not_ready() const {
  std::string names;
  for (const auto& service : services_) {
    if (service->state == Service::State::kRunning) continue;
    const bool late = service->name == kBalancerService || service->name == kForwardService;
    if (service->name == kProbeService || (late && stage_ == Stage::kStandIns)) continue;
    if (!names.empty()) names += ", ";
    names += service->host + ' ' + service->name;
  }
  return names;
}

void Keeper::on_children() {
  int status = 0;
  int pid = 0;
  // Process 1 also inherits orphans: they are reaped and forgotten.
  while ((pid = ::waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
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
  const bool was_probe = service.name == kProbeService;
  service.state = Service::State::kEnded;
  service.detail = WIFSIGNALED(status) ? "killed by signal " + std::to_string(WTERMSIG(status))
                                       : "exit status " + std::to_string(WEXITSTATUS(status));
  if (was_probe && WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  if (was_probe) {
    Service* balancer = find_service(balancer_host().name, kBalancerService);
    answer_waiters(*balancer, refuse("the balancer does not answer"));
    if (stage_ != Stage::kReady) give_up("the balancer does not answer");
  }
  if (was_starting && stage_ != Stage::kReady) {
    give_up(service.host + ' ' + service.name + ": " + service.detail + "; see " +
            service.plan.output);
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
  for (auto& service : services_) {
    if (service->host != host) continue;
    if (service->name == name || (stand_in != nullptr && service->name == stand_in->service)) {
      return service.get();
    }
  }
  return nullptr;
}

std::string Keeper::services_of(std::string_view host) const {
  std::string names;
  for (const auto& service : services_) {
    if (service->host == host && service->shown) names += ' ' + service->name;
  }
  return names.empty() ? " none" : names;
}

std::optional<Json> Keeper::obey(std::uint64_t command, const std::string& line) {
  const Json request = Json::parse(line, nullptr, false);
  if (!request.is_object()) return refuse("not a JSON object");
  const auto text = [&](const char* key) {
    const auto found = request.find(key);
    return found != request.end() && found->is_string() ? found->get<std::string>() : "";
  };
  const std::string operation = text("do");
  if (operation == "status") return status();
  if (operation == "reload") return reload();
  if (operation == "down") ::_exit(0);
  LabHost* host = network_.find(text("host"));
  if (host == nullptr) {
    std::string names;
    for (const auto& each : plan_.hosts) names += ' ' + each.name;
    return refuse("no host '" + text("host") + "'; there are:" + names);
  }
  if (operation == "cut" || operation == "heal") return obey_for_host(operation, *host);
  Service* service = find_service(host->plan.name, text("service"));
  if (service == nullptr) {
    return refuse("no service '" + text("service") + "' on " + host->plan.name +
                  "; there are:" + services_of(host->plan.name));
  }
  return obey_for_service(operation, *service, command);
}

std::optional<Json> Keeper::obey_for_host(const std::string& operation, LabHost& host) {
  const auto result = operation == "cut" ? network_.cut(host) : network_.heal(host);
  if (!result.has_value()) return refuse(result.error().message());
  return done();
}

std::optional<Json> Keeper::obey_for_service(const std::string& operation, Service& service,
                                             std::uint64_t command) {
  const bool alive = service.state != Service::State::kEnded;
  if (operation == "start") {
    if (alive)
      return refuse(service.name + " on " + service.host + " is " +
                    std::string(name_of(service.state)) + " already");
    service.waiters.push_back(command);
    start(service);
    return std::nullopt;
  }
  const int number = operation == "kill"     ? SIGKILL
                     : operation == "pause"  ? SIGSTOP
                     : operation == "resume" ? SIGCONT
                                             : 0;
  if (number == 0) return refuse("no operation '" + operation + "'");
  if (!alive) return refuse(service.name + " on " + service.host + " does not run");
  // The whole group: a balancer may have workers. The leader is our child and not yet reaped, so
  // the number cannot have become somebody else's.
  if (::kill(-service.pid, number) != 0) {
    return refuse(Error::from_errno(errno, service.name).message());
  }
  return done();
}

Json Keeper::reload() {
  Service* balancer = find_service(balancer_host().name, kBalancerService);
  if (balancer->state != Service::State::kRunning) return refuse("the balancer does not run");
  const int number = plan_.reload_signal == "USR2" ? SIGUSR2 : SIGHUP;
  if (::kill(balancer->pid, number) != 0) {
    return refuse(Error::from_errno(errno, "reload").message());
  }
  return done();
}

Json Keeper::status() const {
  const HostPlan& balancing = balancer_host();
  Json hosts = Json::array();
  for (const auto& host : const_cast<LabNetwork&>(network_).hosts()) {
    Json services = Json::array();
    for (const auto& service : services_) {
      if (service->host != host.plan.name || !service->shown) continue;
      services.push_back({{"name", service->name},
                          {"address", service->address.is_ip() ? service->address.text() : ""},
                          {"state", name_of(service->state)},
                          {"pid", service->pid},
                          {"detail", service->detail}});
    }
    hosts.push_back({{"name", host.plan.name},
                     {"address", host.plan.address},
                     {"link", host.cut ? "cut" : "up"},
                     {"owns_virtual_address", host.plan.owns_virtual_address},
                     {"namespaces",
                      {{"network", host.namespaces.network.get()},
                       {"mount", host.namespaces.mount.get()},
                       {"host_name", host.namespaces.host_name.get()}}},
                     {"services", services}});
  }
  Json forwards = Json::array();
  for (const auto& each : forwards_) {
    forwards.push_back(
        {{"name", each.name}, {"local", each.local.text()}, {"target", each.target.text()}});
  }
  return {{"name", plan_.name},
          {"directory", plan_.directory},
          {"virtual_address", kVirtualAddress},
          {"balancer", plan_.balancer},
          {"configuration", output_path(balancing, "haproxy.cfg")},
          {"runtime_socket", output_path(balancing, "kolla/haproxy.sock")},
          {"log", output_path(balancing, "balancer.log")},
          {"balancer_output", output_path(balancing, "balancer.out")},
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

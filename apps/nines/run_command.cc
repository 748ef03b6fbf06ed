// Wires the planes together: the supervisor's machine decides, the proxy's and the owner's planes
// do.
#include "run_command.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <signal.h>
#include <unistd.h>

#include "base/check.h"
#include "cluster/key_file.h"
#include "cluster_owner.h"
#include "galera_setup.h"
#include "io/linux/epoll_loop.h"
#include "io/linux/files.h"
#include "lease_notes.h"
#include "listener_owner.h"
#include "maintenance_mark.h"
#include "manager_plane.h"
#include "node/run_config.h"
#include "node/service_manager.h"
#include "node/supervisor.h"
#include "other_networks.h"
#include "proxy/master_config.h"
#include "proxy/plane_main.h"
#include "proxy/proxy_master.h"
#include "recovery_child.h"
#include "run_control.h"
#include "run_status.h"
#include "text/diagnostics.h"
#include "version.h"
#include "vrrp/config_files.h"
#include "vrrp/owner_plane.h"

namespace nines {

namespace {

using Kind = node::SupervisorEffect::Kind;

constexpr int kExitUsage = 2;
// Of the control socket's requests, those that the owner plane answers begin so.
constexpr std::string_view kClusterRequests = "cluster ";
constexpr std::string_view kLeaseRequests = "lease ";
constexpr std::string_view kStatusRequest = "cluster status";
// The manager plane answers these.
constexpr std::string_view kGaleraRequests = "galera ";
constexpr std::string_view kGaleraStatusRequest = "galera status";
constexpr std::string_view kMaintenanceOn = "cluster maintenance on";
constexpr std::string_view kMaintenanceOff = "cluster maintenance off";

std::string host_name() {
  char name[256] = "";
  static_cast<void>(::gethostname(name, sizeof name - 1));
  return name;
}

bool on_terminal() { return ::isatty(STDERR_FILENO) == 1; }

// Who hears verdicts and is none of the cluster's nodes.
bool is_listener(const node::RunConfig& config) {
  return config.cluster && !config.cluster->listener.empty();
}

// A witness has an owner plane that votes, a listener one that hears; neither has addresses for it.
bool has_owner(const node::RunConfig& config) {
  return !config.keepalived.empty() || (config.cluster && config.cluster->is_witness()) ||
         is_listener(config);
}

// What is wrong, all of it, to stderr; an error when that is too much to run.
Result<node::RunConfig> load_run_file(const std::string& path) {
  io::LinuxFiles files;
  const text::SourceFile file(path, TRY(files.read(path)));
  node::LoadedRunConfig loaded = node::load_run_config(file, host_name());
  std::fputs(
      text::render_text(loaded.diagnostics, std::span(&file, 1), {.color = on_terminal()}).c_str(),
      stderr);
  if (!loaded.ok()) return Error(ErrorCode::kInvalid, path + " has errors");
  return std::move(loaded.config);
}

Result<node::ClusterConfig> load_cluster(const std::string& path) {
  node::RunConfig config = TRY(load_run_file(path));
  if (!config.cluster) return Error(ErrorCode::kInvalid, path + " names no cluster any more");
  return *std::move(config.cluster);
}

// But for what a running cluster can take: how it deals with dead peers, and with their sessions.
bool is_same_cluster(const std::optional<node::ClusterConfig>& a,
                     std::optional<node::ClusterConfig> b) {
  if (!a || !b) return a.has_value() == b.has_value();
  auto addresses = std::move(b->dead_peers.addresses);
  const bool listeners = b->dead_peers.listeners;
  b->dead_peers = a->dead_peers;
  b->tell_sessions = a->tell_sessions;
  return a->dead_peers.addresses == addresses && a->dead_peers.listeners == listeners && *a == *b;
}

Result<vrrp::Config> load_keepalived(const std::string& path, bool by_lease) {
  auto loaded = TRY(vrrp::load_config_file(path, ""));
  vrrp::check_names_on_host(loaded);
  if (by_lease) say_for_leases(loaded.diagnostics);
  std::fputs(text::render_text(loaded.diagnostics, loaded.files, {.color = on_terminal()}).c_str(),
             stderr);
  if (!loaded.ok()) return Error(ErrorCode::kInvalid, path + " has errors");
  return std::move(loaded.config);
}

// Of a witness: nothing to own.
Result<vrrp::Config> load_owned(const std::string& path, bool by_lease) {
  if (path.empty()) return vrrp::Config();
  return load_keepalived(path, by_lease);
}

proxy::MasterOptions proxy_options(const node::RunConfig& config) {
  proxy::MasterOptions options;
  options.config_paths = config.haproxy;
  options.foreground = true;
  options.version = kVersion;
  return options;
}

// The daemon. Lives on its loop.
class Node final : private proxy::ProxyObserver, private vrrp::OwnerObserver, private Timer {
 public:
  Node(std::string config_path, node::RunConfig config, io::EpollLoop& loop, io::Log& log)
      : config_path_(std::move(config_path)),
        config_(std::move(config)),
        loop_(loop),
        log_(log),
        options_(proxy_options(config_)),
        machine_({.proxy = !config_.haproxy.empty(),
                  .owner = has_owner(config_),
                  .drain = config_.drain}),
        recovery_(loop, log),
        control_(loop, [this](std::string_view request, RunControl::Reply reply) {
          answer(request, std::move(reply));
        }) {}

  // Everything that can be refused is refused here, before anything runs.
  Result<void> prepare() {
    watch_signals();
    if (!config_.haproxy.empty()) {
      proxy::set_local_peer("");
      io::LinuxFiles files;
      proxy::ProxyObserver& observer = *this;
      proxy_ = std::make_unique<proxy::ProxyMaster>(
          loop_, log_, options_, TRY(proxy::load_again(files, options_)), false, observer);
    }
    if (has_owner(config_)) {
      vrrp::Config owners = TRY(load_owned(config_.keepalived, config_.cluster.has_value()));
      const auto load = [path = config_.keepalived, by_lease = config_.cluster.has_value()] {
        return load_owned(path, by_lease);
      };
      if (config_.cluster) TRY(check_for_leases(owners));
      const auto current = [this] { return *config_.cluster; };
      const auto again = [path = config_path_] { return load_cluster(path); };
      const auto make = is_listener(config_) ? make_listener_owner(current, again)
                        : config_.cluster    ? make_lease_owner(current, again)
                                             : vrrp::MakeOwner(vrrp::make_vrrp_owner);
      const auto right = config_.cluster ? vrrp::OwnerRight::kLease : vrrp::OwnerRight::kElection;
      owner_ =
          TRY(vrrp::OwnerPlane::create(std::move(owners), right, load, make, loop_, log_, *this));
    }
    manage(config_.galera);
    TRY(control_.listen(config_.control));
    if (proxy_) TRY(proxy_->bind_all());
    return {};
  }

  int run() {
    dispatch(node::event::Start{});
    start_manager();
    loop_.run();
    return exit_code_;
  }

 private:
  void watch_signals() {
    CHECK(loop_.on_signal(SIGHUP, [this] { reload(); }).has_value());
    CHECK(loop_.on_signal(SIGTERM, [this] { dispatch(node::event::StopAsked{}); }).has_value());
    CHECK(loop_.on_signal(SIGINT, [this] { dispatch(node::event::StopAsked{}); }).has_value());
    // Their default would end the daemon, and nobody means that.
    for (const int number : {SIGPIPE, SIGUSR1, SIGUSR2}) ::signal(number, SIG_IGN);
  }

  // Effects may bring events about at once: they wait until their turn.
  void dispatch(const node::SupervisorEvent& event) {
    events_.push_back(event);
    if (std::exchange(dispatching_, true)) return;
    while (!events_.empty()) {
      const node::SupervisorEvent next = events_.front();
      events_.pop_front();
      node::Supervisor::Effects effects;
      machine_.handle(next, loop_.now(), effects);
      for (const node::SupervisorEffect& effect : effects) perform(effect);
    }
    dispatching_ = false;
    if (const auto deadline = machine_.deadline()) {
      loop_.arm(*this, *deadline);
    } else {
      cancel();
    }
  }
  void on_timer(Instant) override { dispatch(node::event::SupervisorTimer{}); }

  void perform(const node::SupervisorEffect& effect) {
    switch (effect.kind) {
      case Kind::kStartProxy:
        return begin(proxy_->start(), node::event::ProxyEnded{false});
      case Kind::kStartOwner:
        return begin(owner_->start(), node::event::OwnerEnded{false});
      case Kind::kTellOwner:
        return owner_->set_proxy_fit(effect.fit);
      case Kind::kReady:
        log_.write(io::Severity::kNotice, "all planes are at work");
        return node::notify_ready(::getpid());
      case Kind::kStopping:
        log_.write(io::Severity::kNotice, "stopping");
        return node::notify_stopping();
      case Kind::kDrainProxy:
        return proxy_->drain();
      case Kind::kEndDrain:
        return proxy_->end_drain();
      case Kind::kReleaseOwner:
        return owner_->release();
      case Kind::kStopProxySoftly:
        return proxy_->stop_softly();
      case Kind::kStopProxyHard:
        return proxy_->stop_hard();
      case Kind::kExit:
        if (manager_) manager_->end();
        exit_code_ = effect.code;
        return loop_.stop();
    }
  }

  void begin(const Result<void>& started, const node::SupervisorEvent& failed) {
    if (started.has_value()) return;
    log_.write(io::Severity::kCritical, started.error().message());
    dispatch(failed);
  }

  // ---- The manager: nothing waits for it, and what is wrong with it stops nobody ---------------

  void manage(const std::optional<node::GaleraConfig>& galera) {
    manager_fault_.clear();
    if (!galera) return manager_.reset();
    auto setup = galera_setup_of(config_path_, *galera);
    if (!setup.has_value()) {
      manager_.reset();
      manager_fault_ = setup.error().message();
      return log_.write(io::Severity::kError, "the database is not watched: " + manager_fault_);
    }
    if (manager_) return manager_->watch(*std::move(setup));
    manager_ = std::make_unique<ManagerPlane>(
        *std::move(setup), loop_, log_,
        [this](const node::MemberWord& word) {
          if (proxy_) proxy_->set_member_word(word);
        },
        [this](const std::string& why) { recover(why); });
  }

  void recover(const std::string& why) {
    if (machine_.stage() == node::Supervisor::Stage::kStopping) return;
    recovery_.begin(config_path_, why, [this](int code, const std::string& words) {
      if (manager_) manager_->recovered(code, words);
    });
  }

  void start_manager() {
    if (!manager_ || manager_->plane().watch().state() != node::PlaneWatch::State::kIdle) return;
    if (const auto started = manager_->start(); !started.has_value()) {
      log_.write(io::Severity::kError, started.error().message());
    }
  }

  void ask_manager(std::string_view request, node::PlaneRequests::Answered answered) {
    if (manager_) return manager_->ask(request, std::move(answered));
    answered(Error(ErrorCode::kUnavailable,
                   manager_fault_.empty() ? "nines.yaml names no Galera cluster" : manager_fault_));
  }

  // ---- Reload: all of it or nothing ------------------------------------------------------------

  void reload() {
    if (machine_.stage() != node::Supervisor::Stage::kRunning || reloads_ > 0) {
      log_.write(io::Severity::kWarning, "not reloaded: another thing is under way");
      return;
    }
    node::notify_reloading();
    std::optional<vrrp::Config> owners;
    const auto checked = [&]() -> Result<void> {
      node::RunConfig fresh = TRY(load_run_file(config_path_));
      if (fresh.haproxy.empty() != config_.haproxy.empty() ||
          fresh.keepalived != config_.keepalived || fresh.control != config_.control ||
          !is_same_cluster(config_.cluster, fresh.cluster)) {
        return Error(ErrorCode::kUnsupported,
                     "what runs, keepalived's path, the control socket and the cluster change by a "
                     "restart");
      }
      if (owner_) owners = TRY(load_owned(fresh.keepalived, fresh.cluster.has_value()));
      if (fresh.cluster) TRY(cluster::read_key_file(fresh.cluster->key));
      io::LinuxFiles files;
      if (proxy_) TRY(proxy::load_again(files, proxy_options(fresh)));
      config_ = std::move(fresh);
      return {};
    }();
    if (!checked.has_value()) {
      log_.write(io::Severity::kAlert,
                 "not reloaded, what runs stays: " + checked.error().message());
      return node::notify_reloaded();
    }
    machine_.set_drain(config_.drain);
    options_ = proxy_options(config_);
    manage(config_.galera);
    start_manager();
    reloads_ = (proxy_ ? 1 : 0) + (owner_ ? 1 : 0);
    if (reloads_ == 0) node::notify_reloaded();
    if (owner_) owner_->reload(*std::move(owners));
    if (proxy_) proxy_->reload();
  }

  void reload_ended() {
    if (reloads_ > 0 && --reloads_ == 0) node::notify_reloaded();
  }

  // ---- What the planes tell --------------------------------------------------------------------

  void on_proxy_started() override { dispatch(node::event::ProxyStarted{}); }
  void on_proxy_fit(bool fit) override { dispatch(node::event::ProxyFit{fit}); }
  void on_reload_ended(bool) override { reload_ended(); }
  void on_drained() override { dispatch(node::event::ProxyDrained{}); }
  void on_proxy_ended(bool good) override { dispatch(node::event::ProxyEnded{good}); }

  void on_owner_started() override { dispatch(node::event::OwnerStarted{}); }
  void on_owner_reload_ended(const Result<void>& result) override {
    if (result.has_value()) {
      log_.write(io::Severity::kNotice, "reloaded: the owner's new configuration runs");
    } else {
      log_.write(io::Severity::kAlert, "the owner did not reload: " + result.error().message());
    }
    reload_ended();
  }
  void on_owner_share(const node::HostShare& share) override {
    if (proxy_) proxy_->set_share(share);
  }
  void on_owner_lost() override {
    if (proxy_) proxy_->forget_shares();
  }
  void on_owner_ended(bool good) override { dispatch(node::event::OwnerEnded{good}); }

  // ---- What operators ask ----------------------------------------------------------------------

  void answer(std::string_view request, RunControl::Reply reply) {
    if (request == "status") {
      return with_galera([this, reply = std::move(reply)](const Result<std::string>* galera) {
        if (!config_.cluster || !owner_) return reply(status(nullptr, galera));
        const auto kept = galera != nullptr ? std::optional(*galera) : std::nullopt;
        owner_->ask(kStatusRequest, [this, reply, kept](const auto& cluster) {
          reply(status(&cluster, kept ? &*kept : nullptr));
        });
      });
    }
    if (request.starts_with(kGaleraRequests)) {
      return ask_manager(request, [reply = std::move(reply)](const Result<std::string>& answered) {
        reply(answered.has_value() ? *answered : error_reply(answered.error().message()));
      });
    }
    if (!request.starts_with(kClusterRequests) && !request.starts_with(kLeaseRequests)) {
      return reply(error_reply("known requests: status, cluster ..., lease ..., galera ..."));
    }
    if (!config_.cluster || !owner_) {
      return reply(error_reply("this host is in no cluster: nines.yaml names none"));
    }
    // Kept before it is done: an owner that dies meanwhile comes back as it was told to be.
    if (request == kMaintenanceOn || request == kMaintenanceOff) {
      const auto kept = set_in_maintenance(config_.cluster->state, request == kMaintenanceOn);
      if (!kept.has_value()) return reply(error_reply(kept.error().message()));
    }
    owner_->ask(request, [reply = std::move(reply)](const Result<std::string>& answered) {
      reply(answered.has_value() ? *answered + '\n' : error_reply(answered.error().message()));
    });
  }

  // Null when no Galera cluster is named.
  void with_galera(std::function<void(const Result<std::string>*)> then) {
    if (!config_.galera) return then(nullptr);
    ask_manager(kGaleraStatusRequest, [then = std::move(then)](const auto& told) { then(&told); });
  }

  // `cluster`: what the owner says of it, `galera`: what the manager does; null when there is none.
  std::string status(const Result<std::string>* cluster, const Result<std::string>* galera) const {
    return render_run_status({.config = config_,
                              .config_path = config_path_,
                              .stage = machine_.stage(),
                              .now = loop_.now(),
                              .proxy = proxy_.get(),
                              .owner = owner_.get(),
                              .manager = manager_.get(),
                              .cluster = cluster,
                              .galera = galera});
  }

  const std::string config_path_;
  node::RunConfig config_;
  io::EpollLoop& loop_;
  io::Log& log_;
  proxy::MasterOptions options_;
  node::Supervisor machine_;
  std::deque<node::SupervisorEvent> events_;
  bool dispatching_ = false;
  int reloads_ = 0;  // planes that have not told yet
  int exit_code_ = node::kRunExitGood;
  std::unique_ptr<proxy::ProxyMaster> proxy_;
  std::unique_ptr<vrrp::OwnerPlane> owner_;
  std::unique_ptr<ManagerPlane> manager_;
  RecoveryChild recovery_;
  std::string manager_fault_;  // why there is none although a Galera cluster is named
  RunControl control_;
};

// Who on this host speaks to those ports, is not told of a dead controller, and is not named as
// that: a warning, since it may be meant so.
void warn_of_other_networks(const node::DeadPeersConfig& config) {
  if (!config.on || ::geteuid() != 0) return;
  const std::set<std::uint16_t> ports(config.ports.begin(), config.ports.end());
  for (const auto& each : find_other_networks("/proc", "/run/netns", ::getpid(), ports)) {
    if (node::names_network(config.not_covered, each.name)) continue;
    std::fprintf(stderr,
                 "nines check: warning: network %s of this host has %d connections to services' "
                 "ports, and its programs are not told of a dead controller; if that is meant so, "
                 "name it in 'dead_peers: not_covered'\n",
                 each.name.c_str(), each.connections);
  }
}

int run_node(const std::string& config_path) {
  const auto refuse = [](const Error& error) {
    std::fprintf(stderr, "nines run: %s\n", error.message().c_str());
    return node::kRunExitBad;
  };
  auto config = load_run_file(config_path);
  if (!config.has_value()) return refuse(config.error());
  auto loop = io::EpollLoop::create();
  if (!loop.has_value()) return refuse(loop.error());
  const auto log = proxy::make_log(**loop, false);
  Node node(config_path, *std::move(config), **loop, *log);
  if (const auto prepared = node.prepare(); !prepared.has_value()) {
    return refuse(prepared.error());
  }
  return node.run();
}

}  // namespace

int run_command(std::span<char*> arguments) {
  CLI::App app(
      "Runs all that this host needs as one daemon: the addresses of keepalived.conf, the balancer "
      "of haproxy.cfg. SIGHUP reloads both or neither, SIGTERM lets answers end, hands the "
      "addresses over and ends; a second one waits for no answer.",
      "nines run");
  std::string config_path{node::kDefaultRunConfig};
  app.add_option("-c,--config", config_path, "nines.yaml")->capture_default_str();
  app.footer("Exit codes: 0 ended as asked, 1 could not begin, 2 usage.");
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return run_node(config_path);
}

int check_run_file(const std::string& path, bool json, bool quiet) {
  io::LinuxFiles files;
  const auto content = files.read(path);
  if (!content.has_value()) {
    std::fprintf(stderr, "nines check: %s\n", content.error().message().c_str());
    return 1;
  }
  const text::SourceFile file(path, *content);
  const node::LoadedRunConfig loaded = node::load_run_config(file, host_name());
  if (json) {
    std::puts(text::render_json(loaded.diagnostics, std::span(&file, 1)).c_str());
  } else {
    std::fputs(text::render_text(loaded.diagnostics, std::span(&file, 1), {.color = on_terminal()})
                   .c_str(),
               stderr);
  }
  if (!loaded.ok()) return 1;
  bool good = true;
  const auto judge = [&good](const Error& error) {
    std::fprintf(stderr, "nines check: %s\n", error.message().c_str());
    good = false;
  };
  if (loaded.config.cluster) {
    const auto keys = cluster::read_key_file(loaded.config.cluster->key);
    if (!keys.has_value()) judge(keys.error());
    warn_of_other_networks(loaded.config.cluster->dead_peers);
  }
  if (!loaded.config.haproxy.empty()) {
    const auto parsed = proxy::load_again(files, proxy_options(loaded.config));
    if (!parsed.has_value()) judge(parsed.error());
  }
  if (!loaded.config.keepalived.empty()) {
    const bool by_lease = loaded.config.cluster.has_value();
    const auto parsed = load_keepalived(loaded.config.keepalived, by_lease);
    if (!parsed.has_value()) {
      judge(parsed.error());
    } else if (by_lease) {
      const auto checked = check_for_leases(*parsed);
      if (!checked.has_value()) judge(checked.error());
    }
  }
  if (good && !quiet && !json) std::puts("Configuration file is valid");
  return good ? 0 : 1;
}

}  // namespace nines

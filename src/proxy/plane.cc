// Control's side of the plane: everything that touches all workers goes out as a posted task and
// comes back as one.
#include "proxy/plane.h"

#include <algorithm>
#include <ctime>
#include <fstream>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "io/linux/socket.h"
#include "io/log.h"

namespace nines::proxy {

namespace {

std::int64_t thread_cpu_ns(pthread_t thread) {
  clockid_t clock{};
  timespec used{};
  if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &used) != 0) return 0;
  return std::int64_t{used.tv_sec} * 1'000'000'000 + used.tv_nsec;
}

std::uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident * 4096;
}

std::string host_name() {
  char name[256] = "";
  if (::gethostname(name, sizeof name - 1) != 0) return "";
  return name;
}

int worker_count(const GlobalConfig& global) {
  if (global.nbthread > 0) return global.nbthread;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return 1;
  return std::max(1, CPU_COUNT(&allowed));
}

// Descriptors that are not connections: listeners, loops, logs, the runtime socket.
constexpr int kReservedDescriptors = 100;

int connection_limit(const GlobalConfig& global) {
  if (global.maxconn > 0) return global.maxconn;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  // A connection of a client and one to a server each.
  return std::max(
      1, (static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 20)) - kReservedDescriptors) / 2);
}

Error unknown_server() { return Error(ErrorCode::kNotFound, "No such server."); }

}  // namespace

Plane::Plane(io::EpollLoop& control, io::Log& log, Options options)
    : loop_(control), log_(log), options_(std::move(options)), started_(control.now()) {}

Plane::~Plane() {
  close_runtime_sockets();
  runtime_socket_.reset();
  silence_.reset();
  health_.reset();
  for (auto& worker : workers_) worker.loop->stop();
  for (auto& worker : workers_) {
    if (worker.thread.joinable()) worker.thread.join();
    worker.worker.reset();
  }
}

Result<void> Plane::start(Config config, ListenerSockets sockets) {
  TRY(check_sockets(config, sockets));
  const int count = worker_count(config.global);
  process_ = std::make_unique<ProcessState>(count);
  for (int i = 0; i < count; ++i) {
    WorkerThread worker;
    worker.loop = TRY(io::EpollLoop::create());
    workers_.push_back(std::move(worker));
  }
  logs_ = std::make_unique<LogSender>(loop_, options_.pid, process_->dropped_logs.back());
  health_ = std::make_unique<HealthDriver>(
      loop_, static_cast<HealthObserver&>(*this),
      base::Rng(static_cast<std::uint64_t>(loop_.wall_time().nanoseconds_since_epoch)));
  silence_ = std::make_unique<SilenceDriver>(
      loop_, [this](const Proxy& proxy, const Server& server, bool silent) {
        const std::string name = proxy.config->name + "/" + server.config->name;
        if (silent) {
          on_health_log(
              proxy, LogLevel::kWarning,
              "Server " + name + " accepts connections and does not answer: others get its work.");
        } else {
          on_health_log(proxy, LogLevel::kNotice, "Server " + name + " answers again.");
        }
      });
  take_sockets(std::move(sockets));
  generation_ = Generation::create(std::move(config), count, loop_.now(), nullptr);
  for (int i = 0; i < count; ++i) {
    auto& worker = workers_[static_cast<std::size_t>(i)];
    worker.worker = std::make_unique<Worker>(
        *worker.loop, static_cast<Hub&>(*this), static_cast<ListenerSource&>(*this),
        Worker::Options{.index = i, .pid = options_.pid, .version = options_.version});
  }
  adopt_everywhere();
  for (auto& worker : workers_) {
    worker.thread = std::thread([loop = worker.loop.get()] { loop->run(); });
  }
  loop_.arm(*this, kMeasureInterval);
  return {};
}

Result<void> Plane::reload(Config config, ListenerSockets sockets) {
  TRY(check_sockets(config, sockets));
  if (config.global.nbthread > 0 && config.global.nbthread != static_cast<int>(workers_.size())) {
    log_.write(io::Severity::kWarning,
               "'nbthread' takes effect at the next start, not on a reload");
  }
  take_sockets(std::move(sockets));
  generation_ = Generation::create(std::move(config), static_cast<int>(workers_.size()),
                                   loop_.now(), generation_.get());
  ++reloads_;
  adopt_everywhere();
  return {};
}

void Plane::on_failed_reload(const std::string& text) {
  ++failed_reloads_;
  const GlobalConfig& global = generation_->config.global;
  logs_->send(global.log_targets, LogLevel::kAlert, global.log_send_hostname, global.log_tag, text);
}

Result<void> Plane::check_sockets(const Config& config, const ListenerSockets& more) const {
  const std::lock_guard lock(sockets_mutex_);
  const auto check = [&](const BindConfig& bind) -> Result<void> {
    const std::string key = listener_key(bind);
    if (sockets_.contains(key) || more.contains(key)) return {};
    return Error(ErrorCode::kNotFound, "no listening socket was given for " + key);
  };
  for (const ProxyConfig& proxy : config.proxies) {
    if (proxy.disabled || !proxy.frontend) continue;
    for (const BindConfig& bind : proxy.binds) TRY(check(bind));
  }
  for (const auto& socket : config.global.stats_sockets) TRY(check(socket.bind));
  return {};
}

void Plane::take_sockets(ListenerSockets sockets) {
  const std::lock_guard lock(sockets_mutex_);
  for (auto& [key, socket] : sockets) sockets_[key] = std::move(socket);
}

void Plane::adopt_everywhere() {
  const Config& config = generation_->config;
  process_->maxconn.store(connection_limit(config.global), std::memory_order_relaxed);
  node_ = config.global.node.empty() ? host_name() : config.global.node;
  description_ = config.global.description;
  int listeners = 0;
  for (const ProxyConfig& proxy : config.proxies) {
    if (proxy.frontend && !proxy.disabled) listeners += static_cast<int>(proxy.binds.size());
  }
  listeners_ = listeners;
  health_->adopt(generation_);
  share_work();
  open_runtime_sockets();
  auto left = std::make_shared<std::atomic<std::size_t>>(workers_.size());
  for (auto& entry : workers_) {
    entry.loop->post([this, worker = entry.worker.get(), generation = generation_, left] {
      for (const Error& error : worker->adopt(generation)) {
        loop_.post([this, text = error.message()] { log_.write(io::Severity::kError, text); });
      }
      // The last worker to let go of the old listeners lets control close them.
      if (left->fetch_sub(1) == 1) loop_.post([this] { drop_unused_sockets(); });
    });
  }
}

void Plane::drop_unused_sockets() {
  const std::lock_guard lock(sockets_mutex_);
  const Config& config = generation_->config;
  std::erase_if(sockets_, [&](const auto& entry) {
    for (const ProxyConfig& proxy : config.proxies) {
      if (proxy.disabled || !proxy.frontend) continue;
      for (const BindConfig& bind : proxy.binds) {
        if (listener_key(bind) == entry.first) return false;
      }
    }
    for (const auto& socket : config.global.stats_sockets) {
      if (listener_key(socket.bind) == entry.first) return false;
    }
    return true;
  });
}

Result<io::Acceptor*> Plane::open(io::Loop& loop, const BindConfig& bind, bool client_first,
                                  io::AcceptHandler& handler) {
  const std::lock_guard lock(sockets_mutex_);
  const auto found = sockets_.find(listener_key(bind));
  if (found == sockets_.end()) {
    return Error(ErrorCode::kNotFound, "no listening socket for " + listener_key(bind));
  }
  const int descriptor = found->second.get();
  const SocketAddress at = TRY(io::local_address(descriptor));
  io::tune_listener(descriptor, at, io::ListenOptions{.defer_accept = client_first});
  for (auto& worker : workers_) {
    if (worker.loop.get() == &loop) return worker.loop->share_listener(descriptor, at, handler);
  }
  CHECK(false);
}

void Plane::open_runtime_sockets() {
  const GlobalConfig& global = generation_->config.global;
  if (runtime_socket_ == nullptr) {
    runtime_socket_ = std::make_unique<RuntimeSocketDriver>(loop_, *this, global.stats_timeout,
                                                            io::local_utc_offset);
  }
  runtime_socket_->set_timeout(global.stats_timeout);
  std::map<std::string, RuntimeListener> next;
  const std::lock_guard lock(sockets_mutex_);
  for (const auto& config : global.stats_sockets) {
    const std::string key = listener_key(config.bind);
    const auto before = runtime_listeners_.find(key);
    if (before != runtime_listeners_.end() && before->second.level == config.level) {
      next[key] = before->second;
      runtime_listeners_.erase(before);
      continue;
    }
    if (before != runtime_listeners_.end()) {
      before->second.acceptor->close();
      runtime_listeners_.erase(before);
    }
    const int descriptor = sockets_.at(key).get();
    next[key] = {loop_.share_listener(descriptor, config.bind.address,
                                      runtime_socket_->acceptor(config.level)),
                 config.level};
  }
  close_runtime_sockets();  // those that are left are no longer configured
  runtime_listeners_ = std::move(next);
}

void Plane::close_runtime_sockets() {
  for (auto& [key, listener] : runtime_listeners_) listener.acceptor->close();
  runtime_listeners_.clear();
}

void Plane::stop_softly(std::function<void()> done) {
  stopped_ = std::move(done);
  if (stopping_.exchange(true)) return;
  close_runtime_sockets();
  health_->stop();
  silence_.reset();
  auto left = std::make_shared<std::atomic<std::size_t>>(workers_.size());
  for (auto& entry : workers_) {
    entry.loop->post([this, worker = entry.worker.get(), left] {
      worker->begin_stopping();
      if (left->fetch_sub(1) != 1) return;
      // Closed at once: what connects from now on belongs to a successor, or is refused.
      loop_.post([this] {
        const std::lock_guard lock(sockets_mutex_);
        sockets_.clear();
      });
    });
  }
  loop_.arm(*this, kStopPoll);
}

void Plane::drain(std::function<void()> done) {
  drained_ = std::move(done);
  to_all_workers([](Worker& worker) { worker.begin_draining(); },
                 [this] { look_whether_drained(); });
}

void Plane::set_host_share(const node::HostShare& share) {
  host_shares_.set(share, loop_.now());
  share_work();
}

void Plane::set_member_word(const node::MemberWord& word) { health_->take_word(word); }

void Plane::share_work() {
  host_shares_.apply(*generation_, loop_.now());
  if (const auto next = host_shares_.deadline()) loop_.arm(share_step_, *next);
}

void Plane::end_drain() {
  to_all_workers([](Worker& worker) { worker.end_drain(); });
}

void Plane::look_whether_drained() {
  if (!drained_) return;
  auto left = std::make_shared<std::atomic<int>>(0);
  to_all_workers([left](Worker& worker) { left->fetch_add(worker.drained() ? 0 : 1); },
                 [this, left] {
                   if (*left > 0) return loop_.arm(drain_look_, kStopPoll);
                   if (const auto done = std::exchange(drained_, nullptr)) done();
                 });
}

void Plane::ask(std::function<void()> done) {
  if (std::exchange(asked_, true)) return;
  to_all_workers([](Worker&) {},
                 [this, done = std::move(done)] {
                   asked_ = false;
                   done();
                 });
}

void Plane::on_timer(Instant now) {
  if (stopping_) {
    if (sockets_closed() && process_->current_connections.value() == 0) {
      stopped_();
      return;
    }
    loop_.arm(*this, kStopPoll);
    return;
  }
  measure_idle(now);
  loop_.arm(*this, kMeasureInterval);
}

bool Plane::sockets_closed() const {
  const std::lock_guard lock(sockets_mutex_);
  return sockets_.empty();
}

void Plane::measure_idle(Instant now) {
  std::int64_t used = 0;
  for (auto& worker : workers_) used += thread_cpu_ns(worker.thread.native_handle());
  const auto span = (now - cpu_measured_at_).count() * static_cast<std::int64_t>(workers_.size());
  if (cpu_measured_at_ != Instant{} && span > 0) {
    const auto busy = 100 * (used - cpu_measured_ns_) / span;
    idle_percent_ = static_cast<int>(std::clamp<std::int64_t>(100 - busy, 0, 100));
  }
  cpu_measured_at_ = now;
  cpu_measured_ns_ = used;
}

void Plane::to_all_workers(const std::function<void(Worker&)>& task) {
  for (auto& entry : workers_) {
    entry.loop->post([worker = entry.worker.get(), task] { task(*worker); });
  }
}

void Plane::to_all_workers(const std::function<void(Worker&)>& task, std::function<void()> done) {
  auto left = std::make_shared<std::atomic<std::size_t>>(workers_.size());
  auto finish = std::make_shared<std::function<void()>>(std::move(done));
  to_all_workers([this, task, left, finish](Worker& worker) {
    task(worker);
    if (left->fetch_sub(1) == 1) loop_.post([finish] { (*finish)(); });
  });
}

// ---- Hub --------------------------------------------------------------------------------------

void Plane::on_traffic_failure(const std::shared_ptr<const Generation>& generation, int proxy,
                               int server) {
  loop_.post([this, generation, proxy, server] {
    health_->on_traffic_failure(*generation, proxy, server);
  });
}

void Plane::on_silence(const std::shared_ptr<const Generation>& generation, int proxy, int server) {
  loop_.post([this, generation, proxy, server] {
    if (silence_ != nullptr) silence_->on_evidence(generation, proxy, server);
    // Its own check asks the application too, and may settle it for everybody.
    if (generation->proxies[static_cast<std::size_t>(proxy)].config->check.kind ==
        CheckKind::kKeystone) {
      health_->on_traffic_failure(*generation, proxy, server);
    }
  });
}

void Plane::on_captured_error(CapturedError error) {
  loop_.post([this, error = std::move(error)]() mutable {
    const auto same = std::find_if(captured_.begin(), captured_.end(), [&](const auto& other) {
      return other.proxy == error.proxy && other.response == error.response;
    });
    if (same != captured_.end()) {
      *same = std::move(error);
    } else {
      captured_.push_back(std::move(error));
    }
  });
}

void Plane::on_slot_freed(const ProxyState& backend, int worker) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (static_cast<int>(i) == worker) continue;
    // Compared by address only, so a backend that is gone meanwhile finds nothing.
    workers_[i].loop->post(
        [of = workers_[i].worker.get(), state = &backend] { of->serve_queues(*state); });
  }
}

void Plane::on_connection_freed(int worker) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (static_cast<int>(i) == worker) continue;
    workers_[i].loop->post([of = workers_[i].worker.get()] { of->update_listeners(); });
  }
}

ProcessInfo Plane::process_info() const {
  ProcessInfo info;
  info.pid = options_.pid;
  info.workers = static_cast<int>(workers_.size());
  info.started = started_;
  info.maxconn = process_->maxconn.load(std::memory_order_relaxed);
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    info.max_sockets = static_cast<int>(std::min<rlim_t>(limit.rlim_cur, INT32_MAX));
  }
  info.current_connections = process_->current_connections.value();
  const auto sum = [](const std::vector<Counter>& counters) {
    std::uint64_t total = 0;
    for (const Counter& counter : counters) total += counter.value();
    return total;
  };
  info.connections = sum(process_->connections);
  info.requests = sum(process_->requests);
  info.bytes_out = sum(process_->bytes_out);
  info.dropped_logs = sum(process_->dropped_logs);
  info.connection_rate_max = process_->connection_rate.max();
  info.session_rate_max = process_->session_rate.max();
  timespec boot{};
  clock_gettime(CLOCK_BOOTTIME, &boot);
  const Instant current{std::int64_t{boot.tv_sec} * 1'000'000'000 + boot.tv_nsec};
  info.connection_rate = process_->connection_rate.per_second(current);
  info.session_rate = process_->session_rate.per_second(current);
  info.idle_percent = idle_percent_;
  info.memory_bytes = resident_bytes();
  info.reloads = reloads_;
  info.failed_reloads = failed_reloads_;
  info.node = node_;
  info.description = description_;
  info.version = options_.version;
  info.name = options_.name;
  info.listeners = listeners_;
  info.stopping = stopping_;
  info.tasks = static_cast<std::size_t>(std::max<std::int64_t>(0, info.current_connections));
  return info;
}

// ---- Control ----------------------------------------------------------------------------------

Result<const Server*> Plane::find_server(const std::string& proxy,
                                         const std::string& server) const {
  const Server* const found = generation_->find_server(proxy, server);
  if (found == nullptr) return unknown_server();
  return found;
}

Result<void> Plane::set_server_state(const std::string& proxy, const std::string& server,
                                     AdminState state) {
  const Server* const found = TRY(find_server(proxy, server));
  health_->set_state(*found, state);
  return {};
}

Result<void> Plane::set_server_weight(const std::string& proxy, const std::string& server,
                                      int weight) {
  const Server* const found = TRY(find_server(proxy, server));
  health_->set_weight(*found, weight);
  return {};
}

Result<void> Plane::set_server_checks(const std::string& proxy, const std::string& server,
                                      bool enabled) {
  const Server* const found = TRY(find_server(proxy, server));
  health_->set_checks(*found, enabled);
  return {};
}

Result<void> Plane::set_server_health(const std::string& proxy, const std::string& server,
                                      bool up) {
  const Server* const found = TRY(find_server(proxy, server));
  health_->set_health(*found, up);
  return {};
}

Result<void> Plane::set_frontend_enabled(const std::string& proxy, bool enabled) {
  const Proxy* const found = generation_->find_proxy(proxy);
  if (found == nullptr || found->frontend == nullptr) {
    return Error(ErrorCode::kNotFound, "No such frontend.");
  }
  found->frontend->paused = !enabled;
  to_all_workers([](Worker& worker) { worker.update_listeners(); });
  return {};
}

Result<void> Plane::set_frontend_maxconn(const std::string& proxy, int maxconn) {
  const Proxy* const found = generation_->find_proxy(proxy);
  if (found == nullptr || found->frontend == nullptr) {
    return Error(ErrorCode::kNotFound, "No such frontend.");
  }
  to_all_workers(
      [name = proxy, maxconn](Worker& worker) { worker.set_frontend_maxconn(name, maxconn); });
  return {};
}

Result<void> Plane::shutdown_server_sessions(const std::string& proxy, const std::string& server) {
  const Server* const found = TRY(find_server(proxy, server));
  to_all_workers(
      [state = found->state](Worker& worker) { worker.kill_server_sessions(*state, 'K'); });
  return {};
}

Result<void> Plane::shutdown_session(std::uint64_t id) {
  if (id == 0 || id >= process_->next_session.load()) {
    return Error(ErrorCode::kNotFound, "No such session (use 'show sess').");
  }
  to_all_workers([id](Worker& worker) { worker.kill_session(id); });
  return {};
}

void Plane::clear_counters(bool all) {
  // Counters have one writer each, so each worker clears its own.
  to_all_workers([generation = generation_, all](Worker& worker) {
    const auto index = static_cast<std::size_t>(worker.index());
    for (const Proxy& proxy : generation->proxies) {
      for (const auto& side : {proxy.frontend, proxy.backend}) {
        if (side == nullptr) continue;
        side->sessions.clear_max();
        side->queued.clear_max();
        side->session_rate.clear_max();
        side->connection_rate.clear_max();
        side->request_rate.clear_max();
        if (all) side->counters[index].clear();
      }
      for (const Server& server : proxy.servers) {
        server.state->sessions.clear_max();
        server.state->queued.clear_max();
        server.state->session_rate.clear_max();
        if (all) server.state->counters[index].clear();
      }
    }
  });
}

void Plane::list_sessions(std::function<void(std::vector<SessionInfo>)> done) {
  struct Gathering {
    std::vector<SessionInfo> list;
    std::size_t left;
    std::function<void(std::vector<SessionInfo>)> done;
  };
  // Shared by the tasks that carry it from worker to control; touched on control only.
  auto gathering = std::make_shared<Gathering>(Gathering{{}, workers_.size(), std::move(done)});
  for (auto& entry : workers_) {
    entry.loop->post([this, worker = entry.worker.get(), gathering] {
      loop_.post([gathering, list = worker->list_sessions()]() mutable {
        for (auto& session : list) gathering->list.push_back(std::move(session));
        if (--gathering->left == 0) gathering->done(std::move(gathering->list));
      });
    });
  }
}

// ---- Health -----------------------------------------------------------------------------------

void Plane::on_health_log(const Proxy& proxy, LogLevel level, const std::string& text) {
  const ProxyConfig& config = *proxy.config;
  const GlobalConfig& global = generation_->config.global;
  logs_->send(config.log_targets, level, global.log_send_hostname,
              config.log_tag.empty() ? global.log_tag : config.log_tag, text);
  log_.write(static_cast<io::Severity>(level), text);
}

void Plane::on_server_down(const Proxy&, const Server& server) {
  share_work();
  to_all_workers(task_for_server_down(server));
}

// Who waits for a slot hears of the new ones.
void Plane::on_server_up(const Proxy& proxy, const Server& server) {
  share_work();  // before anybody is sent there: it may have to start slowly
  to_all_workers(task_for_server_up(proxy, server));
}

}  // namespace nines::proxy
